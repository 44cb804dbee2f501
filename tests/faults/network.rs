//! Faults of the network.

use crate::Probe;
use crate::probe::{IN_VAIN, LEADER, QUICK, all, buy, fault, fault_when, s, see};

pub(crate) const PROBES: &[Probe] = &[
    ("partition", a_partition_holds_both_directions_until_it_heals),
    ("one-way", one_way_lets_what_is_asked_through_and_not_the_answer),
    ("isolate", who_is_isolated_reaches_nobody_and_the_rest_goes_on),
    ("split", a_split_parts_groups_and_leaves_alone_who_is_in_none),
    ("late-release", late_release_opens_new_ways_at_once_and_old_ones_later),
    ("latency-spike", a_spike_delays_every_packet_of_one_host_for_a_while),
    ("reset", a_reset_breaks_connections_and_nothing_else),
    ("refuse", who_refuses_keeps_its_connections_and_takes_no_new_one),
];

#[test]
fn a_partition_holds_both_directions_until_it_heals() {
    let cut = fault("25s", r#"{ partition = { between = ["n2", "redis"], for = "6s" } }"#);
    let seen = see("", &buy("27s", &cut));
    assert_eq!(seen.count(LEADER, "applied-renew", 25.0..31.0), 0, "nothing reaches redis");
    assert!(all(seen.took(LEADER, "renew", "after", 25.0..29.4), IN_VAIN), "and nothing comes back");
    assert_eq!(seen.count(LEADER, "after-heartbeat", 25.0..31.0), 3, "the store is not concerned");
    assert_eq!(seen.booked().iter().filter(|at| all(vec![**at], s(27.0)..s(27.1))).count(), 1, "nor is the broker");
    assert_eq!(seen.count("n1", "applied-acquire", 30.0..30.1), 1, "nor is anybody else's way to redis");
    assert!(seen.count(LEADER, "applied-renew", 31.0..31.02) >= 1, "what was held arrives when it heals");
    assert!(all(seen.took(LEADER, "renew", "after", 32.0..60.0), QUICK));
}

#[test]
fn one_way_lets_what_is_asked_through_and_not_the_answer() {
    let seen = see("", &fault("25s", r#"{ one-way = { from = "redis", to = "n2", for = "6s" } }"#));
    assert!(seen.count(LEADER, "applied-renew", 25.0..31.0) >= 1, "what is asked arrives");
    assert!(all(seen.took(LEADER, "renew", "after", 25.0..29.4), IN_VAIN), "the answer does not");
    assert!(all(seen.took(LEADER, "heartbeat", "after", 25.0..31.0), QUICK));
    assert!(all(seen.took("n1", "acquire", "after", 25.0..31.0), QUICK));
    assert!(all(seen.took(LEADER, "renew", "after", 32.0..60.0), QUICK));
}

#[test]
fn who_is_isolated_reaches_nobody_and_the_rest_goes_on() {
    let isolated = fault("25s", r#"{ isolate = { host = "n2", for = "30s" } }"#);
    let seen = see("", &buy("40s", &isolated));
    for call in ["renew", "heartbeat", "read-pending", "acquire", "read-leadership"] {
        assert_eq!(seen.count(LEADER, &format!("applied-{call}"), 25.01..55.0), 0, "{call}");
    }
    let successor = seen.once("opens epoch 2");
    assert!((s(34.0)..s(50.0)).contains(&successor), "{successor:?}");
    assert_eq!(seen.booked().len(), 1);
    assert!(seen.booked()[0] < s(50.0), "the others go on");
    assert!(
        seen.count(LEADER, "after-read-leadership", 55.0..80.0) + seen.count(LEADER, "after-acquire", 55.0..80.0) > 0
    );
}

#[test]
fn a_split_parts_groups_and_leaves_alone_who_is_in_none() {
    let split = fault("25s", r#"{ split = { groups = [["n2", "redis"], ["n3", "store"]], for = "6s" } }"#);
    let seen = see("", &buy("27s", &split));
    assert_eq!(seen.count(LEADER, "applied-heartbeat", 25.02..31.0), 0, "n2 and the store are parted");
    assert_eq!(seen.count("n3", "applied-acquire", 25.0..31.0), 0, "n3 and redis are parted");
    assert!(all(seen.took(LEADER, "renew", "after", 25.0..31.0), QUICK), "n2 and redis are together");
    assert!(all(seen.took("n1", "acquire", "after", 25.0..31.0), QUICK), "n1 reaches everybody: redis");
    assert_eq!(seen.count("n1", "applied-insert", 27.0..27.1), 1, "and the store");
    assert!(seen.count(LEADER, "applied-heartbeat", 31.0..31.01) >= 1, "what was held arrives when it heals");
}

#[test]
fn late_release_opens_new_ways_at_once_and_old_ones_later() {
    let late = fault("25s", r#"{ late-release = { between = ["n2", "redis"], for = "6s", late = "5s" } }"#);
    let seen = see("", &late);
    assert_eq!(seen.count(LEADER, "applied-renew", 25.0..31.0), 0);
    let renewed = seen.points(LEADER, "applied-renew", 31.0..35.9);
    assert!(!renewed.is_empty() && renewed[0] < s(32.1), "a new connection works at once: {renewed:?}");
    let held = seen.points(LEADER, "applied-renew", 36.0..36.02);
    assert!(held.iter().any(|at| *at == s(36.0)), "what was held arrives 5 s after it healed: {held:?}");
    assert!(all(seen.took(LEADER, "heartbeat", "after", 25.0..60.0), QUICK));
}

#[test]
fn a_spike_delays_every_packet_of_one_host_for_a_while() {
    let seen = see("", &fault("25s", r#"{ latency-spike = { host = "redis", by = "300ms", for = "6s" } }"#));
    let spiked = s(0.6)..s(0.61);
    assert!(all(seen.took(LEADER, "renew", "after", 25.0..31.0), spiked.clone()), "300 ms there, 300 ms back");
    assert!(all(seen.took("n1", "acquire", "after", 25.0..31.0), spiked));
    assert!(all(seen.took(LEADER, "heartbeat", "after", 0.0..60.0), QUICK), "the store's packets are as fast as ever");
    assert!(all(seen.took(LEADER, "renew", "after", 3.0..25.0), QUICK));
    assert!(all(seen.took(LEADER, "renew", "after", 32.0..60.0), QUICK));
}

#[test]
fn a_reset_breaks_connections_and_nothing_else() {
    let both = fault("25s", r#"{ reset = { between = ["n2", "redis"] } }"#);
    let at_the_door = fault_when(r#"point = "signal-stored""#, r#"{ reset = { between = ["source", "n1"] } }"#);
    let seen = see("", &buy("27s", &(both + &at_the_door)));
    seen.once("connections between n2 and redis are reset");
    let first = seen.took(LEADER, "renew", "after", 25.0..27.0)[0];
    let usual = seen.took(LEADER, "renew", "after", 27.0..60.0).into_iter().max().unwrap();
    assert!(first < s(0.03), "n2 connects anew and goes on: {first:?}");
    assert!(usual < s(0.01));
    assert_eq!(seen.anybody_told("LostLeadership"), []);
    assert!(all(seen.took("n1", "acquire", "after", 25.0..60.0), QUICK), "nobody else's connection breaks");
    // The sender's end of the other one, and that its signal was stored all the same.
    assert_eq!(seen.told("source", "BUY does not reach n1", 27.0..27.1).len(), 1, "{}", seen.story());
    assert_eq!(seen.told("source", "BUY is acknowledged by n1 (200)", 32.0..32.2).len(), 1);
    assert_eq!((seen.booked().len(), seen.state("BUY")), (1, "executed"));
}

#[test]
fn who_refuses_keeps_its_connections_and_takes_no_new_one() {
    let refuses = fault("25s", r#"{ refuse = { host = "redis", for = "6s" } }"#);
    let reset = fault("27s", r#"{ reset = { between = ["n2", "redis"] } }"#);
    let seen = see("", &(refuses.clone() + &reset));
    assert_eq!(seen.count(LEADER, "applied-renew", 25.0..27.0), 1, "a connection that stands goes on");
    assert_eq!(seen.count(LEADER, "applied-renew", 27.0..31.0), 0, "a new one is refused");
    assert!(all(seen.took(LEADER, "renew", "after", 27.0..31.0), s(0.002)..s(0.02)), "at once, by who is there");
    assert_eq!(seen.count("n1", "applied-acquire", 30.0..30.1), 1, "others' connections stand");
    assert!(seen.count(LEADER, "applied-renew", 31.0..34.1) >= 1, "it takes connections again");

    let broker = fault("25s", r#"{ refuse = { host = "broker", for = "6s" } }"#);
    let seen = see("", &buy("27s", &broker));
    assert!(!seen.told(LEADER, "NotSent", 27.0..31.0).is_empty(), "an order that found no connection was not sent");
    assert!(seen.booked().len() == 1 && seen.booked()[0] > s(31.0));
}
