//! Faults of Redis.

use crate::Probe;
use crate::probe::{LEADER, QUICK, Seen, all, fault, s, see};
use oncegate_sim::oracles::sightings::Sighting;

pub(crate) const PROBES: &[Probe] = &[
    ("redis-loses-data", a_redis_without_data_has_no_lease),
    ("redis-evicts", an_evicted_lease_is_gone),
    ("redis-fails-over", a_failover_loses_the_last_writes_and_no_older_ones),
    ("redis-two-masters", two_masters_grant_a_lease_each),
    ("redis-loses-replies", lost_replies_are_those_of_commands_that_were_carried_out),
    ("redis-slow", a_slow_redis_takes_that_much_longer),
];

/// The lease was n2's, and is free from then on until somebody takes it.
fn is_free_from(seen: &Seen, from: f64) {
    assert_eq!(seen.count(LEADER, "lease-renewed", from - 1.1..from).min(1), 1, "it was there before");
    assert_eq!(seen.count(LEADER, "lease-renewed", from..from + 1.1), 0, "and can't be renewed");
    let granted = ["n1", "n2", "n3"].map(|node| seen.points(node, "lease-granted", from..60.0)).concat();
    assert!(granted.iter().any(|at| *at < s(from + 9.0)), "somebody is granted it anew: {granted:?}");
    assert!(all(seen.took("n1", "acquire", "after", 1.0..60.0), QUICK), "redis itself is well");
}

#[test]
fn a_redis_without_data_has_no_lease() {
    let seen = see("", &fault("25s", "\"redis-loses-data\""));
    is_free_from(&seen, 25.0);
}

#[test]
fn an_evicted_lease_is_gone() {
    let seen = see("", &fault("25s", "\"redis-evicts\""));
    assert_eq!(seen.once("redis evicts the lease"), s(25.0));
    is_free_from(&seen, 25.0);
}

#[test]
fn a_failover_loses_the_last_writes_and_no_older_ones() {
    // The last renewals are those of 22 s and 24 s.
    let little = see("", &fault("25s", r#"{ redis-fails-over = { loses = "2s" } }"#));
    assert_eq!(little.count(LEADER, "lease-renewed", 25.9..26.1), 1, "the lease of 22 s is still n2's");
    let first = little.took(LEADER, "renew", "after", 25.0..27.0);
    assert!(all(first.clone(), s(0.0)..s(0.03)), "over a new connection: {first:?}");
    assert_eq!(little.anybody_told("LostLeadership"), []);

    // At 5 s the lease was n2's until 14 s.
    let much = see("", &fault("25s", r#"{ redis-fails-over = { loses = "20s" } }"#));
    assert_eq!(much.count(LEADER, "lease-renewed", 25.0..26.1), 0, "and has lapsed long ago");

    // n2 gives the lease away at 25 s, and the replica has not heard of it.
    let handed_over = fault("25s", r#"{ step-down = { host = "n2" } }"#);
    let lost = see("", &(handed_over + &fault("26s", r#"{ redis-fails-over = { loses = "2s" } }"#)));
    let named = lost.told("redis", "the lease names", 25.0..40.0);
    assert!(lost.once("opens epoch 2") < s(26.0));
    assert!(lost.told("redis", "the lease names n2", 26.0..34.0).len() == 1, "it is n2's again: {named:?}");
}

#[test]
fn two_masters_grant_a_lease_each() {
    let seen = see("", &fault("25s", r#"{ redis-two-masters = { hosts = ["n2"], for = "20s" } }"#));
    assert!(seen.count(LEADER, "lease-renewed", 25.0..33.0) >= 3, "n2 renews at the copy");
    let other = seen.told("redis", "the lease names n", 25.0..45.0);
    assert!(all(other, s(34.0)..s(36.0)), "at the first master its lease runs out, ten seconds after 24 s");
    let granted: Vec<_> = ["n1", "n3"].map(|node| seen.count(node, "lease-granted", 34.0..36.0)).into();
    assert_eq!(granted.iter().sum::<usize>(), 1, "and somebody else's begins, while n2's is good at the copy");
    let both = seen.count(LEADER, "lease-renewed", 36.0..45.0);
    assert!(both >= 1, "{}", seen.story());
    assert_eq!(seen.count(LEADER, "lease-renewed", 45.0..50.0), 0, "at the end the copy is gone with all it was told");
}

#[test]
fn lost_replies_are_those_of_commands_that_were_carried_out() {
    let seen = see("", &fault("25s", r#"{ redis-loses-replies = { host = "n2", for = "6s" } }"#));
    assert!(seen.count(LEADER, "lease-renewed", 25.0..31.0) >= 2, "carried out");
    assert!(seen.took(LEADER, "renew", "after", 25.0..31.0).iter().all(|took| *took > s(0.9)), "and not answered");
    assert!(!seen.told(LEADER, "PortFailed", 25.0..31.0).is_empty(), "which n2 finds out by waiting");
    assert!(all(seen.took("n1", "acquire", "after", 25.0..31.0), QUICK), "others are");
    assert!(seen.sighted(Sighting::RedisReplyLost) >= 2);
    let answered = seen.count(LEADER, "after-renew", 31.0..60.0) + seen.count(LEADER, "after-acquire", 31.0..60.0);
    assert!(answered > 0, "and when it is over it is answered again");
    let everybody = see("", &fault("25s", r#"{ redis-loses-replies = { for = "6s" } }"#));
    assert!(everybody.count("n1", "applied-acquire", 25.0..31.0) >= 1);
    assert_eq!(everybody.count("n1", "after-acquire", 25.0..30.8), 0);
}

#[test]
fn a_slow_redis_takes_that_much_longer() {
    let seen = see("", &fault("25s", r#"{ redis-slow = { by = "400ms", for = "6s" } }"#));
    let slow = s(0.4)..s(0.41);
    assert!(all(seen.took(LEADER, "renew", "after", 25.0..31.0), slow.clone()));
    assert!(all(seen.took("n1", "acquire", "after", 25.0..31.0), slow));
    assert!(all(seen.took(LEADER, "renew", "after", 3.0..25.0), QUICK));
    assert!(all(seen.took(LEADER, "renew", "after", 31.0..60.0), QUICK));
    assert!(all(seen.took(LEADER, "heartbeat", "after", 3.0..60.0), QUICK));
}
