//! The real thing: three daemons, a real Redis, a real PostgreSQL and a broker in a process of its own. Signals keep
//! coming while the daemon that leads is killed, stopped past its lease, and asked to end, again and again. Afterwards
//! the broker's own book is the judge.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // Real processes, in real time.

mod http;
mod nodes;

#[path = "../../../../tests/support/redis_server.rs"]
mod redis_server;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nodes::{Cluster, TTL};

/// How many signals are sent.
const SIGNALS: usize = 200;
/// How long after the last blow everything must be settled.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs redis-server and PostgreSQL"]
fn with_a_broker_that_deduplicates_every_signal_is_executed_once() {
    let book = drill("deduplicates");
    assert_eq!(book.by_state.get("executed"), Some(&SIGNALS), "{:?}", book.by_state);
}

#[test]
#[ignore = "needs redis-server and PostgreSQL"]
fn with_a_broker_that_can_only_be_asked_no_signal_is_executed_twice() {
    let book = drill("looks-up");
    let settled = ["executed", "quarantined"].iter().filter_map(|state| book.by_state.get(*state)).sum::<usize>();
    assert_eq!(settled, SIGNALS, "{:?}", book.by_state);
}

struct Outcome {
    by_state: BTreeMap<String, usize>,
}

fn drill(broker: &str) -> Outcome {
    let mut cluster = Cluster::start(broker);
    cluster.leader_within(TTL + Duration::from_secs(5));
    let stop = Arc::new(AtomicBool::new(false));
    let sender = {
        let (addresses, stop) = (cluster.addresses(), Arc::clone(&stop));
        thread::spawn(move || send_signals(&addresses, &stop))
    };
    let mut failovers = Vec::new();
    for round in 0..3 {
        let killed = cluster.leader_within(TTL * 3);
        cluster.kill(killed);
        failovers.push(("SIGKILL", cluster.other_leads(killed), TTL + Duration::from_secs(1)));
        cluster.start_node(killed);
        cluster.all_are_up();

        let stopped = cluster.leader_within(TTL * 3);
        cluster.signal(stopped, "-STOP");
        failovers.push(("SIGSTOP", cluster.other_leads(stopped), TTL + Duration::from_secs(1)));
        thread::sleep(Duration::from_millis(500 * round));
        cluster.signal(stopped, "-CONT");
        cluster.all_are_up();

        let asked = cluster.leader_within(TTL * 3);
        cluster.signal(asked, "-TERM");
        failovers.push(("SIGTERM", cluster.other_leads(asked), Duration::from_secs(1)));
        cluster.ended(asked, Duration::from_secs(5));
        cluster.start_node(asked);
        cluster.all_are_up();
    }
    let acknowledged = sender.join().unwrap();
    assert_eq!(acknowledged.len(), SIGNALS, "the sender was never left without an answer for good");
    let states = cluster.settled(&acknowledged, SETTLES_WITHIN);

    let book = cluster.book();
    let mut orders = BTreeSet::new();
    for order in &book {
        let key = (order["fingerprint"].to_string(), order["leg"].to_string());
        assert!(orders.insert(key), "the broker executed an order twice: {order}");
    }
    let ordered: BTreeSet<_> = book.iter().map(|order| order["fingerprint"].as_str().unwrap().to_owned()).collect();
    let mut by_state = BTreeMap::<String, usize>::new();
    for (fingerprint, state) in &states {
        *by_state.entry(state.clone()).or_default() += 1;
        if state == "executed" {
            assert!(ordered.contains(fingerprint), "{fingerprint} is executed, and the broker knows nothing of it");
        }
    }
    println!("{broker}: {} signals {by_state:?}, {} orders in the book", states.len(), book.len());
    for (how, took, limit) in &failovers {
        println!("  failover after {how}: {:.2} s", took.as_secs_f64());
        assert!(took <= limit, "failover after {how} took {took:?}, and may take {limit:?}");
    }
    Outcome { by_state }
}

/// Sends each signal until somebody acknowledges it, as a webhook's sender would: any node, again and again.
fn send_signals(addresses: &[String], stop: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0..SIGNALS {
        let body = format!(r#"{{"id": {number}, "symbol": "NIFTY", "side": "buy"}}"#);
        let begun = Instant::now();
        let mut at = number;
        loop {
            let answer = http::post(&addresses[at % addresses.len()], "/v1/signals", &body);
            if let Ok((200 | 202, answer)) = &answer {
                acknowledged.push(answer["fingerprint"].as_str().unwrap().to_owned());
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "signal {number} finds no taker: {answer:?}");
            if stop.load(Ordering::Relaxed) {
                return acknowledged;
            }
            at += 1;
            thread::sleep(Duration::from_millis(50));
        }
        thread::sleep(Duration::from_millis(200));
    }
    acknowledged
}
