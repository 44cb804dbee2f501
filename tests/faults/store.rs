//! Faults of the store.

use crate::Probe;
use crate::probe::{LEADER, QUICK, all, buy, fault, s, see};
use oncegate_sim::oracles::sightings::Sighting;

pub(crate) const PROBES: &[Probe] = &[
    ("store-fails", what_fails_has_no_effect),
    ("store-loses-replies", what_loses_its_reply_has_had_its_effect),
    ("store-slow", a_slow_store_takes_that_much_longer),
    ("store-busy", a_busy_store_lets_writes_wait_in_vain),
    ("store-full", a_full_store_refuses_writes_at_once),
];

#[test]
fn what_fails_has_no_effect() {
    let seen = see("", &buy("27s", &fault("25s", r#"{ store-fails = { host = "n2", for = "6s" } }"#)));
    assert_eq!(seen.count(LEADER, "applied-heartbeat", 25.0..31.0), 0);
    assert_eq!(seen.count(LEADER, "applied-read-pending", 25.0..31.0), 0, "not even a read");
    assert!(all(seen.took(LEADER, "heartbeat", "after", 25.0..31.0), QUICK), "it says so at once");
    assert!(all(seen.took(LEADER, "renew", "after", 25.0..31.0), QUICK));
    assert_eq!(seen.count("n1", "signal-stored", 27.0..27.1), 1, "it fails for nobody else");
    assert!(all(seen.took(LEADER, "heartbeat", "applied", 32.0..60.0), QUICK));

    let everybody = see("", &buy("27s", &fault("25s", r#"{ store-fails = { for = "6s" } }"#)));
    assert_eq!(everybody.told("source", "BUY is not taken by n1 (503)", 27.0..31.0).len(), 1);
    assert_eq!(everybody.count("n1", "signal-stored", 0.0..31.0), 0);
    assert_eq!(everybody.state("BUY"), "executed", "sent again it is stored");
}

#[test]
fn what_loses_its_reply_has_had_its_effect() {
    let seen = see("", &buy("27s", &fault("25s", r#"{ store-loses-replies = { host = "n1", for = "4s" } }"#)));
    assert_eq!(seen.count("n1", "signal-stored", 27.0..27.1), 1, "stored");
    assert_eq!(seen.told("source", "BUY is not taken by n1 (503)", 27.0..27.1).len(), 1, "and not acknowledged");
    assert!(all(seen.booked(), s(27.0)..s(27.1)), "n2 has seen it and has its replies");
    assert_eq!(seen.told("source", "BUY is acknowledged by n1 (200)", 31.0..33.0).len(), 1, "known when sent again");
    assert_eq!(seen.booked().len(), 1);
}

#[test]
fn a_slow_store_takes_that_much_longer() {
    let seen = see("", &fault("25s", r#"{ store-slow = { by = "400ms", for = "6s" } }"#));
    let slow = s(0.4)..s(0.41);
    assert!(all(seen.took(LEADER, "heartbeat", "after", 25.0..31.0), slow.clone()));
    assert!(all(seen.took(LEADER, "read-pending", "after", 25.0..31.0), slow));
    assert!(all(seen.took(LEADER, "heartbeat", "after", 3.0..25.0), QUICK));
    assert!(all(seen.took(LEADER, "heartbeat", "after", 31.0..60.0), QUICK));
    assert!(all(seen.took(LEADER, "renew", "after", 3.0..60.0), QUICK));
}

#[test]
fn a_busy_store_lets_writes_wait_in_vain() {
    let seen = see("", &buy("27s", &fault("25s", r#"{ store-busy = { host = "n2", for = "6s" } }"#)));
    assert_eq!(seen.count(LEADER, "applied-heartbeat", 25.0..31.0), 0);
    assert!(all(seen.took(LEADER, "heartbeat", "after", 25.0..29.9), s(1.0)..s(1.01)), "a second, in vain");
    assert!(all(seen.took(LEADER, "read-pending", "applied", 25.0..31.0), QUICK), "reads go on");
    assert_eq!(seen.count("n1", "signal-stored", 27.0..27.1), 1, "others write");
    assert!(seen.sighted(Sighting::StoreBusy) >= 3);
    assert!(all(seen.took(LEADER, "heartbeat", "applied", 32.0..60.0), QUICK));
    let everybody = see("", &buy("27s", &fault("25s", r#"{ store-busy = { for = "6s" } }"#)));
    let refused = everybody.told("source", "BUY is not taken by n1 (503)", 27.4..27.6);
    assert_eq!(refused.len(), 1, "nobody who sends a signal is kept waiting for a lock");
}

#[test]
fn a_full_store_refuses_writes_at_once() {
    let seen = see("", &buy("27s", &fault("25s", r#"{ store-full = { for = "6s" } }"#)));
    assert_eq!(seen.count(LEADER, "applied-heartbeat", 25.0..31.0), 0);
    assert!(all(seen.took(LEADER, "heartbeat", "after", 25.0..31.0), QUICK));
    assert!(all(seen.took(LEADER, "read-pending", "applied", 25.0..31.0), QUICK), "reads go on");
    assert_eq!(seen.told("source", "BUY is not taken by n1 (503)", 27.0..27.1).len(), 1);
    assert!(seen.sighted(Sighting::StoreFull) >= 3);
    assert!(seen.count("n1", "signal-stored", 31.0..60.0) == 1 && seen.state("BUY") == "executed");
    assert!(all(seen.took(LEADER, "heartbeat", "applied", 32.0..60.0), QUICK));
}
