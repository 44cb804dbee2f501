//! The dashboard in a real browser, against a node that tells what the test wants told. Pictures of what was seen are
//! kept in `target/dashboard`.
#![allow(clippy::disallowed_methods)] // A browser lives in real time, and so does the node that is played for it.
#![allow(clippy::unwrap_used)] // In a test, also outside its functions, to panic is to fail.

mod browser;
mod node;

use std::time::Duration;

use browser::{Browser, ENTER, ESCAPE, TAB};
use node::{Node, TOKEN, alarming, calm, history, leads, page, signal};
use oncegate_coordinator::overview::Paused;
use serde_json::{Value, json};

/// Within this time a change is to be seen.
const SHOWN: Duration = Duration::from_secs(2);
/// A browser that has to start something first gets this long.
const LOADED: Duration = Duration::from_secs(20);

const HOSTILE: &str = "<img src=x onerror=\"window.owned=1\"><script>window.owned=2</script>";

fn open(browser: &Browser, node: &Node) {
    browser.open(&node.url);
    browser.wait_until("document.getElementById('link').textContent === 'live'", LOADED);
}

fn verdict(title: &str) -> String {
    format!("document.getElementById('verdict-title').textContent === {title:?}")
}

fn of_text(id: &str) -> String {
    format!("document.getElementById({id:?}).textContent")
}

/// The page was not loaded anew since [`mark`].
fn mark(browser: &Browser) {
    browser.script("window.marked = true");
}

fn marked(browser: &Browser) -> bool {
    browser.script("return window.marked === true") == json!(true)
}

#[test]
#[ignore = "needs chromium"]
fn the_leader_is_shown_and_a_forced_failover_within_2_s_without_reload() {
    let node = Node::start(calm(), page(&[]), history());
    let browser = Browser::start();
    open(&browser, &node);
    assert_eq!(browser.text("#leader"), "n1");
    assert_eq!(browser.text("#verdict-title"), "All is well");
    assert_eq!(browser.text("#epoch"), "17");
    assert!(browser.text("#leader-for").ends_with("this node"));
    assert!(browser.text("#terms").contains("nobody led for 10 s"), "{}", browser.text("#terms"));
    mark(&browser);

    node.change(|scene| {
        scene.overview.leader = leads("n2", 18);
        scene.overview.nodes[0].is_leader = false;
        scene.overview.nodes[1].is_leader = true;
    });
    browser.wait_until(&format!("{} === 'n2' && {} === '18'", of_text("leader"), of_text("epoch")), SHOWN);
    assert!(marked(&browser), "the page was loaded anew");
    assert_eq!(browser.script("return document.getElementById('polite').textContent"), "n2 leads now, epoch 18.");
    assert!(!browser.script("return document.getElementById('step-down').disabled === false").as_bool().unwrap());
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
#[ignore = "needs chromium"]
fn hostile_text_is_shown_and_never_run() {
    let mut overview = alarming();
    overview.instance = HOSTILE.into();
    overview.leader.redis_leader = Some(HOSTILE.into());
    overview.paused = Some(Paused { reason: HOSTILE.into(), since_ms: node::BEGAN });
    overview.alerts[0].message = HOSTILE.into();
    overview.alerts[0].name = HOSTILE.into();
    overview.nodes[1].instance = HOSTILE.into();
    overview.nodes[1].url = Some("javascript:window.owned=3".into());
    let mut hostile = signal(1, "quarantined", json!({ "symbol": HOSTILE, HOSTILE: [HOSTILE] }));
    hostile["attempts"][0]["detail"] = json!(HOSTILE);
    hostile["attempts"][0]["client_order_id"] = json!(HOSTILE);
    hostile["decisions"] = json!([{ "at_ms": 1, "leader": HOSTILE, "verdict": HOSTILE, "detail": HOSTILE }]);
    let terms = json!({ "history": [{ "epoch": 1, "holder": HOSTILE, "instance": HOSTILE, "opened_at_ms": 1,
        "closed_at_ms": 2, "reason": HOSTILE }] });
    let node = Node::start(overview, page(&[hostile]), terms);
    let browser = Browser::start();
    open(&browser, &node);
    browser.click(".open-button");
    browser.click(".do button");
    assert!(browser.text("#resolve-dialog").contains(HOSTILE));
    assert!(browser.text(".detail pre").contains("onerror"));
    assert_eq!(browser.script("return document.querySelectorAll('main img, main script, dialog img').length"), 0);
    assert_eq!(browser.script("return document.querySelectorAll('#node-rows a').length"), 0, "a link that is code");
    assert_eq!(browser.script("return window.owned ?? null"), Value::Null);
}

#[test]
#[ignore = "needs chromium"]
fn a_quarantined_signal_is_resolved_with_a_reason_and_the_attempts_that_were_seen() {
    let quarantined = signal(7, "quarantined", json!({ "id": "S7", "symbol": "NIFTY" }));
    let fingerprint = quarantined["fingerprint"].as_str().unwrap().to_owned();
    let mut overview = calm();
    overview.signals_by_state.insert("quarantined".into(), 1);
    // Newer ones don't push it down.
    let newer = signal(9, "executed", json!({ "id": "S9" }));
    let node = Node::start(overview, page(&[newer, quarantined.clone()]), history());
    let browser = Browser::start();
    open(&browser, &node);
    assert_eq!(browser.text("#verdict-title"), "1 signal waits for you");
    assert!(browser.text("#signal-rows .signal:first-child").contains("quarantined"));

    let ready = || !browser.script("return document.getElementById('resolve-go').disabled").as_bool().unwrap();
    browser.click(".do button");
    browser.click("[value=resend]");
    browser.click("#resolve-sure");
    assert!(!ready(), "without a reason");
    browser.write("#resolve-reason", "not in the book, checked with the desk");
    assert!(ready());
    browser.click("[value=executed]");
    assert!(!ready(), "another choice is another statement, to be confirmed anew");
    browser.click("[value=resend]");
    browser.click("#resolve-sure");
    browser.picture("resolve");

    node.change(|scene| scene.taken = false);
    browser.click("#resolve-go");
    browser.wait_until("document.getElementById('resolve-note').textContent.startsWith('Not taken')", SHOWN);
    browser.picture("resolve-not-taken");
    assert!(!ready(), "what was refused is not to be said again without another look");
    node.change(|scene| scene.taken = true);
    browser.click("#resolve-dialog [data-close]");
    browser.click(".do button");
    browser.click("[value=resend]");
    browser.write("#resolve-reason", "not in the book, checked with the desk");
    browser.click("#resolve-sure");
    browser.click("#resolve-go");
    browser.wait_until("!document.getElementById('resolve-dialog').open", SHOWN);
    let asked = json!({ "resolution": "resend", "reason": "not in the book, checked with the desk", "attempts": 1 });
    let path = format!("/v1/signals/{fingerprint}/resolve");
    assert_eq!(node.posted(), [(path.clone(), asked.clone()), (path, asked)]);

    node.change(|scene| {
        scene.overview.signals_by_state.insert("quarantined".into(), 0);
        scene.signals = page(&[signal(7, "executed", json!({ "id": "S7" }))]);
    });
    browser.wait_until(&verdict("All is well"), SHOWN);
    assert_eq!(browser.script("return document.querySelectorAll('.do button').length"), 0);
}

#[test]
#[ignore = "needs chromium"]
fn a_lost_connection_is_never_all_is_well_and_comes_back_by_itself() {
    let node = Node::start(calm(), page(&[]), history());
    let browser = Browser::start();
    open(&browser, &node);
    mark(&browser);
    node.change(|scene| scene.down = true);
    browser.wait_until(&verdict("Connection lost"), SHOWN);
    assert!(browser.text("#link").starts_with("connection lost since "));
    assert_eq!(browser.text("#trust"), "unknown");
    browser.picture("lost");
    node.change(|scene| scene.down = false);
    browser.wait_until(&verdict("All is well"), LOADED);
    assert!(marked(&browser), "the page was loaded anew");
}

#[test]
#[ignore = "needs chromium"]
fn a_token_is_asked_for_when_reading_needs_one_and_kept_for_the_tab() {
    let node = Node::start(calm(), page(&[]), history());
    node.change(|scene| scene.guarded = true);
    let browser = Browser::start();
    browser.open(&node.url);
    browser.wait_until("document.getElementById('token-dialog').open", LOADED);
    assert_eq!(browser.text("#verdict-title"), "A token is needed");
    browser.write("#token-input", "wrong");
    browser.press(ENTER);
    browser.wait_until(
        "document.getElementById('token-dialog').open && !document.getElementById('token-input').value",
        LOADED,
    );
    browser.write("#token-input", TOKEN);
    browser.press(ENTER);
    browser.wait_until(&verdict("All is well"), LOADED);
    browser.script("location.reload()");
    browser.wait_until(&verdict("All is well"), LOADED);
}

#[test]
#[ignore = "needs chromium"]
fn pause_and_step_down_ask_for_a_reason_and_the_keyboard_suffices() {
    let node = Node::start(calm(), page(&[]), history());
    let browser = Browser::start();
    open(&browser, &node);
    for (button, path) in [("pause", "/coordinator/pause"), ("step-down", "/coordinator/step-down")] {
        browser.script(&format!("document.getElementById({button:?}).focus()"));
        browser.press(ENTER);
        browser.wait_until("document.getElementById('order-dialog').open", SHOWN);
        // Round and round: whatever is behind the dialog is not to be had.
        for _ in 0..8 {
            browser.press(TAB);
            let at = browser.script(
                "const at = document.activeElement; return at === document.body || Boolean(at.closest('dialog'))",
            );
            assert_eq!(at, true, "the focus has left the dialog");
        }
        browser.press(ESCAPE);
        browser.wait_until("!document.getElementById('order-dialog').open", SHOWN);
        assert_eq!(browser.script("return document.activeElement.id"), *button, "the focus goes back");
        assert_eq!(node.posted(), []);

        browser.press(ENTER);
        browser.wait_until("document.activeElement.id === 'order-reason'", SHOWN);
        browser.write("#order-reason", "drill");
        browser.press(TAB);
        browser.press(TAB);
        browser.press(ENTER);
        browser.wait_until("!document.getElementById('order-dialog').open", SHOWN);
        assert_eq!(node.posted(), [(path.to_owned(), json!({ "reason": "drill" }))]);
    }
    node.change(|scene| scene.overview.paused = Some(Paused { reason: "drill".into(), since_ms: node::BEGAN }));
    browser.wait_until(&format!("{} === 'Resume'", of_text("pause")), SHOWN);
    assert_eq!(browser.text("#verdict-title"), "New orders are paused");
}

#[test]
#[ignore = "needs chromium"]
fn every_width_is_readable_and_pictures_are_kept() {
    let signals = page(&[
        signal(3, "in_doubt", json!({ "id": "S3", "symbol": "NIFTY24DEC24500CE", "quantity": 50 })),
        signal(2, "quarantined", json!({ "id": "S2", "note": "x".repeat(400) })),
        signal(1, "executed", json!({ "id": "S1", "symbol": "BANKNIFTY" })),
    ]);
    let node = Node::start(calm(), page(&[signal(1, "executed", json!({ "id": "S1" }))]), history());
    let browser = Browser::start();
    for (scene, overview, signals) in [("calm", None, None), ("alarm", Some(alarming()), Some(signals))] {
        node.change(|told| {
            told.overview = overview.unwrap_or_else(calm);
            told.signals = signals.unwrap_or_else(|| told.signals.clone());
        });
        for (device, width, height) in [("desk", 1280, 900), ("phone", 360, 740)] {
            for colours in ["light", "dark"] {
                browser.size(width, height);
                browser.colours(colours);
                open(&browser, &node);
                browser.wait_until("document.querySelector('.signal')", SHOWN);
                browser.click(".open-button");
                let wide = browser.script("return document.documentElement.scrollWidth").as_u64().unwrap();
                assert!(wide <= u64::from(width), "{scene} {device}: {wide} px wide");
                browser.picture(&format!("{scene}-{device}-{colours}"));
            }
        }
    }
    assert_eq!(browser.script("return document.querySelectorAll('.lamp svg').length"), 1, "not by colour alone");
    assert_eq!(browser.text("#split"), "SPLIT BRAIN");
}
