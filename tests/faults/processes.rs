//! Faults of processes and machines, and what people do to them.

use crate::Probe;
use crate::probe::{LEADER, QUICK, all, buy, fault, fault_when, s, see};
use oncegate_sim::oracles::sightings::Sighting;

pub(crate) const PROBES: &[Probe] = &[
    ("crash", a_crash_closes_connections_and_ends_with_a_new_life),
    ("power-loss", a_power_loss_closes_nothing),
    ("shutdown", a_shutdown_hands_over_drains_and_starts_again),
    ("pause", a_pause_stops_the_process_and_not_its_clocks),
    ("pause-heartbeats", paused_heartbeats_stop_alone),
    ("step-down", who_steps_down_leaves_in_order_and_lives_on),
    ("resolve", an_operator_says_what_the_book_says),
    ("stop-orders", orders_that_are_stopped_wait_and_go_on_and_all_else_goes_on),
];

#[test]
fn a_crash_closes_connections_and_ends_with_a_new_life() {
    let seen = see("", &fault("25s", r#"{ crash = { host = "n2", down = "10s" } }"#));
    assert_eq!(seen.anything(LEADER, 25.0..35.0), 0, "who has crashed does nothing");
    assert_eq!(seen.told(LEADER, "process 2 starts", 35.0..35.001).len(), 1);
    assert_eq!(seen.anybody_told("process 2 starts").len(), 1, "and nobody else does");

    let broker = fault_when(r#"point = "order-booked""#, r#"{ crash = { host = "broker", down = "5s" } }"#);
    let seen = see("", &buy("25s", &broker));
    assert!(all(seen.took(LEADER, "place", "after", 25.0..25.1), s(0.0)..s(0.1)), "its kernel closes the connection");
    assert_eq!(seen.booked().len(), 1, "what it had booked stays booked");
    let next = seen.points(LEADER, "after-place", 25.1..60.0);
    assert!(next.last().unwrap() > &s(30.0));

    let redis = fault("25s", r#"{ crash = { host = "redis", down = "3s" } }"#);
    let seen = see("", &redis);
    assert_eq!(seen.count(LEADER, "applied-renew", 25.0..28.0), 0);
    assert!(
        seen.count("n1", "lease-granted", 28.0..60.0)
            + seen.count(LEADER, "lease-granted", 28.0..60.0)
            + seen.count("n3", "lease-granted", 28.0..60.0)
            >= 1,
        "redis has lost its data"
    );
}

#[test]
fn a_power_loss_closes_nothing() {
    let broker = fault_when(r#"point = "order-booked""#, r#"{ power-loss = { host = "broker", down = "10s" } }"#);
    let seen = see("", &buy("25s", &broker));
    let placing = seen.took(LEADER, "place", "after", 25.0..25.1);
    assert!(all(placing.clone(), s(3.99)..s(4.1)), "nobody says that the connection is gone: {placing:?}");
    assert_eq!(seen.booked().len(), 1);
    assert_eq!(seen.told("broker", "process 2 starts", 35.0..35.1).len(), 1);

    let node = fault("25s", r#"{ power-loss = { host = "n2", down = "10s" } }"#);
    let seen = see("", &node);
    assert_eq!(seen.anything(LEADER, 25.0..35.0), 0);
    assert_eq!(seen.told(LEADER, "process 2 starts", 35.0..35.001).len(), 1);
}

#[test]
fn a_shutdown_hands_over_drains_and_starts_again() {
    let seen = see("", &fault("25s", r#"{ shutdown = { host = "n2", down = "10s" } }"#));
    let ended = seen.once("process 1 has ended as asked");
    assert!(all(vec![ended], s(25.0)..s(25.1)), "idle, it ends at once: {ended:?}");
    assert_eq!(seen.count(LEADER, "applied-vacate", 25.0..25.1), 1, "having left the store");
    assert_eq!(seen.count(LEADER, "applied-release", 25.0..25.1), 1, "and redis in order");
    assert!(seen.once("opens epoch 2") < s(25.3), "so that somebody takes over at once");
    assert_eq!(seen.anything(LEADER, 25.2..35.0), 0);
    assert_eq!(seen.told(LEADER, "process 2 starts", 35.0..35.001).len(), 1);

    let silent = fault("20s", r#"{ broker-silent = { for = "30s" } }"#);
    let asked = fault_when(r#"point = "order-booked""#, r#"{ shutdown = { host = "n2", down = "20s" } }"#);
    let seen = see("", &buy("25s", &(silent.clone() + &asked)));
    let ended = seen.once("process 1 has ended as asked");
    assert!(all(vec![ended], s(29.0)..s(29.3)), "an order under way is waited for: {ended:?}");
    assert!(seen.points(LEADER, "outcome-stored", 25.0..30.0)[0] < ended, "and its end is written first");

    let stubborn = fault_when(r#"point = "order-booked""#, r#"{ shutdown = { host = "n2", down = "2s" } }"#);
    let seen = see("", &buy("25s", &(silent + &stubborn)));
    assert_eq!(seen.anybody_told("has ended as asked"), [], "who has not ended by then is killed");
    assert_eq!(seen.told(LEADER, "process 2 starts", 27.0..27.1).len(), 1);
}

#[test]
fn a_pause_stops_the_process_and_not_its_clocks() {
    let mut more = fault("25s", r#"{ pause = { host = "n2", for = "6s" } }"#);
    more += "[[signal]]\nid = \"SELL\"\nat = \"29s\"\nto = [\"n2\"]\n";
    let seen = see("", &buy("27s", &more));
    assert_eq!(seen.anything(LEADER, 25.0..31.0), 0, "it does nothing");
    assert_eq!(seen.count("n1", "applied-insert", 27.0..27.1), 1, "others do");
    assert_eq!(seen.points(LEADER, "before-renew", 31.0..31.5), [s(31.0)], "its clock ran on: a renewal is overdue");
    assert_eq!(seen.count(LEADER, "applied-insert", 31.0..31.01), 1, "its kernel took the signal in meanwhile");
    assert_eq!(seen.anybody_told("process 2 starts"), [], "it is the same process");
}

#[test]
fn paused_heartbeats_stop_alone() {
    let seen = see("", &buy("27s", &fault("25s", r#"{ pause-heartbeats = { host = "n2", for = "6s" } }"#)));
    assert_eq!(seen.count(LEADER, "applied-renew", 25.0..31.0), 0, "no renewals");
    assert_eq!(seen.count(LEADER, "applied-heartbeat", 25.0..31.0), 0, "no heartbeats");
    assert!(seen.count(LEADER, "applied-read-pending", 25.0..31.0) >= 2, "all else goes on");
    assert!(all(seen.booked(), s(27.0)..s(27.1)));
    assert_eq!(seen.count(LEADER, "applied-renew", 31.0..31.02), 1, "and they at the end");
    assert_eq!(seen.count(LEADER, "applied-heartbeat", 31.0..31.02), 1);
}

#[test]
fn who_steps_down_leaves_in_order_and_lives_on() {
    let seen = see("", &fault("25s", r#"{ step-down = { host = "n2" } }"#));
    assert_eq!(seen.told(LEADER, "LostLeadership", 25.0..25.01).len(), 1);
    assert_eq!(seen.count(LEADER, "applied-vacate", 25.0..25.1), 1);
    assert_eq!(seen.count(LEADER, "applied-release", 25.0..25.1), 1);
    assert!(seen.once("opens epoch 2") < s(25.3));
    assert_eq!(seen.anybody_told("process 1 has ended"), []);
    assert!(all(seen.took(LEADER, "acquire", "after", 26.0..60.0), QUICK), "it stands by");
    assert_eq!(seen.told(LEADER, "BecameLeader", 25.0..26.0), []);
}

#[test]
fn orders_that_are_stopped_wait_and_go_on_and_all_else_goes_on() {
    let stops = fault("20s", r#"{ stop-orders = { host = "@follower", for = "20s" } }"#);
    let seen = see("", &buy("25s", &stops));
    assert!(seen.once("new orders are stopped, by the word of") < s(20.1));
    assert_eq!(seen.told(LEADER, "Paused", 20.0..20.2).len(), 1, "whoever leads tells it");
    assert_eq!(seen.told("source", "BUY is acknowledged by n1 (202)", 25.0..25.1).len(), 1, "it is taken in");
    assert_eq!(seen.count(LEADER, "before-claim", 20.0..40.0), 0, "nobody asks in vain");
    assert!(seen.count(LEADER, "applied-heartbeat", 20.0..40.0) >= 9, "nobody stops leading");
    assert!(all(seen.booked(), s(40.0)..s(40.2)), "the order leaves when it may: {:?}", seen.booked());
    assert_eq!((seen.booked().len(), seen.state("BUY")), (1, "executed"));
    assert_eq!(seen.told(LEADER, "Resumed", 40.0..40.2).len(), 1);
}

#[test]
fn an_operator_says_what_the_book_says() {
    let resolve = fault("50s", r#"{ resolve = { host = "@follower" } }"#);
    let silent = fault("20s", r#"{ broker-silent = { for = "20s" } }"#);
    let placed = see("broker = \"blind\"", &buy("25s", &(silent + &resolve)));
    assert_eq!(placed.sighted(Sighting::Quarantined), 1);
    assert_eq!(placed.once("Executed"), s(50.0), "the order is in the book");
    assert_eq!((placed.booked().len(), placed.state("BUY")), (1, "executed"));

    let paused = fault_when(r#"point = "order-sending""#, r#"{ pause = { host = "@actor", for = "20s" } }"#);
    let lost = see("broker = \"blind\"", &buy("15s", &(paused.clone() + &resolve)));
    assert_eq!(lost.sighted(Sighting::Quarantined), 1);
    assert_eq!(lost.once("Resend"), s(50.0), "nothing was placed, and nothing can be under way");
    assert!(all(lost.booked(), s(50.0)..s(50.5)), "so it is received once more, and executed: {:?}", lost.booked());
    assert_eq!((lost.booked().len(), lost.state("BUY")), (1, "executed"));

    let alone = see("broker = \"blind\"", &buy("15s", &paused));
    assert_eq!((alone.booked().len(), alone.state("BUY")), (0, "quarantined"), "nobody else resolves anything");
}
