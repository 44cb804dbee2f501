//! The dashboard in a real browser on a real node: driver, SQLite and the API, as the daemon puts them together.
#![allow(clippy::disallowed_methods)] // A browser lives in real time.
#![allow(clippy::unwrap_used)] // In a test, also outside its functions, to panic is to fail.

#[path = "dashboard/browser.rs"]
#[allow(dead_code)] // Its other half is for `dashboard`.
mod browser;
mod kit;

use std::sync::Arc;
use std::time::{Duration, Instant};

use browser::{Browser, ENTER};
use kit::{ALICE, INSTANCE, Mute, Plan, picture};
use oncegate_coordinator::overview::{Leader, Overview};
use serde_json::{Value, json};

/// Within this time a change is to be seen.
const SHOWN: Duration = Duration::from_secs(2);
/// A browser that has to start something first gets this long.
const LOADED: Duration = Duration::from_secs(20);

/// Nothing is the matter, but one signal is quarantined.
fn overview() -> Overview {
    let leader = Leader { is_leader: true, ..picture().leader };
    let counts = oncegate_protocol::SignalState::ALL.map(|state| (state.name().to_owned(), 0));
    let mut overview = Overview {
        leader,
        paused: None,
        nodes: Vec::new(),
        alerts: Vec::new(),
        unreachable: Vec::new(),
        signals_by_state: counts.into(),
        ..picture()
    };
    overview.signals_by_state.insert("quarantined".into(), 1);
    overview
}

#[test]
#[ignore = "needs chromium"]
fn what_a_node_tells_is_shown_and_what_an_operator_says_reaches_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut plan = Plan { broker: Mute::new(), ..Plan::with_tokens() };
    plan.config.reads_need_token = true;
    let node = runtime.block_on(plan.start());
    let hostile = json!({ "id": 1, "note": "<img src=x onerror=\"window.owned=1\">" }).to_string();
    let fingerprint = runtime.block_on(async {
        let taken = node.post_as(ALICE, "/v1/signals", &hostile).await;
        taken.json()["fingerprint"].as_str().unwrap().to_owned()
    });
    let path = format!("/v1/signals/{fingerprint}");
    node.told.send_replace(Arc::new(overview()));

    let browser = Browser::start();
    browser.open(&format!("http://{}/", node.address));
    browser.wait_until("document.getElementById('token-dialog').open", LOADED);
    browser.write("#token-input", ALICE);
    browser.press(ENTER);
    // A mute broker's order is quarantined; the page hears of it by itself.
    browser.wait_until("document.querySelector('.signal[data-state=quarantined]')", LOADED);
    assert_eq!(browser.text("#leader"), INSTANCE);
    assert_eq!(browser.text("#verdict-title"), "1 signal waits for you");
    assert!(browser.text("#terms").contains("until now"), "the node's own term stands in its history");
    browser.script("window.marked = true");

    // A failover, as the node sees it.
    let leader = Leader {
        redis_leader: Some("node-b".into()),
        db_leader: Some("node-b".into()),
        is_leader: false,
        epoch: 4,
        ..overview().leader
    };
    let told = Instant::now();
    node.told.send_replace(Arc::new(Overview { at_ms: 6, leader, ..overview() }));
    browser.wait_until("document.getElementById('leader').textContent === 'node-b'", SHOWN);
    println!("a forced failover was on the page {:?} after it was known to the node", told.elapsed());
    assert!(told.elapsed() < SHOWN, "{:?}", told.elapsed());
    assert_eq!(browser.script("return window.marked === true"), true, "the page was loaded anew");

    browser.click(".open-button");
    browser.click(".do button");
    browser.click("[value=not_executed]");
    browser.write("#resolve-reason", "not in the book");
    browser.click("#resolve-sure");
    browser.picture("live-resolve");
    browser.click("#resolve-go");
    browser.wait_until("!document.getElementById('resolve-dialog').open", Duration::from_secs(5));
    let shown = runtime.block_on(node.get_as(ALICE, &path)).json();
    assert_eq!(shown["state"], "failed");
    let word = &shown["decisions"].as_array().unwrap().last().unwrap();
    assert_eq!((&word["verdict"], &word["detail"]), (&json!("not_executed"), &json!("not in the book (by alice)")));
    // Nobody has to say so to the page: what has changed is pushed.
    browser.wait_until("document.querySelector('.signal[data-state=failed]')", SHOWN);
    browser.picture("live");

    // Whatever got into the page would not run.
    browser.script(
        "document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.owned=1\">')",
    );
    browser.wait_until("document.querySelector('main > img')?.complete", LOADED);
    assert_eq!(browser.script("return window.owned ?? null"), Value::Null);
    drop(node);
    browser.wait_until("document.getElementById('verdict-title').textContent === 'Connection lost'", LOADED);
    let said = browser.console();
    assert!(!said.iter().any(|line| line.contains("Uncaught")), "{said:?}");
}
