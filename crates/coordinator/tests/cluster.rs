//! The picture of the cluster, on a clock that jumps: what it shows, what it keeps, what it times.
#![allow(clippy::unwrap_used)] // In a test, also outside its functions, to panic is to fail.

mod support;

use std::collections::BTreeMap;

use oncegate_coordinator::{Clock, Observer, PeerAnswer};
use oncegate_protocol::record::Pause;
use oncegate_protocol::{
    CallId, Epoch, Event, Fingerprint, Leadership, LeaseReply, Leg, Notice, Reply, SignalState, StoreReply, Wall,
};
use support::{Port, START_MS, entry, holder, leadership, leased, run, tally, term};

#[tokio::test(start_paused = true)]
async fn the_picture_is_what_lease_store_peers_and_this_node_say() {
    let running = run();
    running.leads_until(3, 5);
    running.outside.tell(|told| {
        told.tally = Port::Says(vec![
            tally(SignalState::Received, 2, START_MS - 3_000),
            tally(SignalState::InDoubt, 1, START_MS - 4_000),
            tally(SignalState::Executed, 15, START_MS - 9_000_000),
        ]);
    });
    running.pass(1.5).await;
    let seen = running.seen();
    assert_eq!(seen.leader.redis_leader.as_deref(), Some("a"));
    assert_eq!(seen.leader.db_leader.as_deref(), Some("a"));
    assert!(seen.leader.is_leader && !seen.leader.split_brain);
    assert_eq!((seen.leader.epoch, seen.leader.led_since_ms), (3, Some(START_MS - 60_000)));
    assert_eq!((seen.leader.lease_remaining_ms, seen.leader.trust_remaining_ms), (Some(9_000), Some(4_000)));
    assert_eq!(seen.leader.heartbeat_at_ms, Some(START_MS));
    assert_eq!(seen.at_ms, START_MS + 1_000);
    // The oldest is of those that are owed something.
    assert_eq!(seen.oldest_unhandled_ms, Some(5_000));
    assert_eq!(seen.signals_by_state["executed"], 15);
    assert_eq!(seen.signals_by_state.len(), SignalState::ALL.len());
    let nodes: Vec<_> =
        seen.nodes.iter().map(|node| (node.instance.as_str(), node.reachable, node.is_leader)).collect();
    assert_eq!(nodes, [("a", true, true), ("b", true, false)]);
    assert_eq!(seen.nodes[1].clock_offset_ms, Some(-250));
    assert_eq!((seen.unreachable.len(), seen.alerts.len()), (0, 0));

    // Trust that is not renewed runs out by itself, also in the figures, between two looks.
    running.pass(3.6).await;
    assert!(!running.metrics.snapshot().leadership.is_leader);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_answer_keeps_its_last_known_value_and_is_named() {
    let running = run();
    running.pass(0.5).await;
    running.outside.tell(|told| {
        told.lease = Port::Hangs;
        told.tally = Port::Fails;
        told.peer = Port::Hangs;
    });
    running.pass(10.0).await;
    let seen = running.seen();
    assert_eq!(seen.unreachable, ["lease", "store"]);
    assert_eq!(seen.leader.redis_leader.as_deref(), Some("a"));
    assert_eq!(seen.leader.lease_remaining_ms, Some(0));
    assert_eq!(seen.nodes[1].instance, "b");
    assert_eq!((seen.nodes[1].reachable, seen.nodes[1].clock_offset_ms), (false, None));
    assert_eq!(seen.nodes[1].seen_at_ms, Some(START_MS));
    // It goes on looking every second, however long the others take.
    let age = running.clock.now().wall.as_millis() - seen.at_ms;
    assert!(age <= 1_000, "the picture is {age} ms old");

    running.outside.tell(|told| {
        told.lease = Port::Says(LeaseReply::Free);
        told.tally = Port::Says(vec![]);
    });
    running.pass(2.0).await;
    assert_eq!(running.seen().unreachable, Vec::<String>::new());
    assert_eq!(running.seen().leader.redis_leader, None);
}

#[tokio::test(start_paused = true)]
async fn before_the_first_answer_nothing_is_known_and_that_is_said() {
    let running = run();
    running.outside.tell(|told| {
        told.lease = Port::Hangs;
        told.store = Port::Hangs;
    });
    running.pass(1.5).await;
    let seen = running.seen();
    assert_eq!(seen.unreachable, ["lease", "store"]);
    assert_eq!((seen.leader.epoch, seen.leader.heartbeat_at_ms), (0, None));
    // An epoch that is heard of for the first time was there before.
    running.outside.tell(|told| {
        told.store = Port::Says(StoreReply::Leadership(leadership(41, Some("a"), START_MS)));
    });
    running.pass(2.0).await;
    assert_eq!(running.metrics.snapshot().leadership.epoch, 41);
    assert_eq!(running.metrics.snapshot().leadership.changes_total, 0);
}

#[tokio::test(start_paused = true)]
async fn a_split_is_called_one_after_its_grace_and_only_on_what_was_just_read() {
    let running = run();
    running.pass(0.5).await;
    running.outside.tell(|told| told.lease = Port::Says(leased("b")));
    running.pass(5.0).await;
    assert!(!running.seen().leader.split_brain);
    running.pass(1.0).await;
    assert!(running.seen().leader.split_brain);
    assert_eq!(running.alerts(), [("OncegateSplitBrain".to_owned(), "critical".to_owned())]);
    running.outside.tell(|told| told.lease = Port::Says(leased("a")));
    running.pass(1.0).await;
    assert!(!running.seen().leader.split_brain);

    // The lease that was last known names `a`, the store meanwhile `b`: that is no news of the lease.
    running.outside.tell(|told| {
        told.lease = Port::Hangs;
        told.store = Port::Says(StoreReply::Leadership(leadership(4, Some("b"), START_MS)));
    });
    running.pass(20.0).await;
    assert!(!running.seen().leader.split_brain);
}

#[tokio::test(start_paused = true)]
async fn alerts_begin_and_end_in_the_picture_and_in_the_figures() {
    let running = run();
    running.leads_until(3, 10_000);
    // Heartbeats are not what this is about.
    running.outside.tell(|told| {
        told.store = Port::Says(StoreReply::Leadership(leadership(3, Some("a"), START_MS + 1_000_000)));
    });
    running.outside.tell(|told| {
        told.peer = Port::Says(PeerAnswer { instance: "b".into(), is_leader: true, clock_offset_ms: None });
    });
    running.pass(9.5).await;
    assert_eq!(running.alerts(), []);
    running.pass(1.0).await;
    assert_eq!(running.alerts(), [("OncegateManyLeaders".to_owned(), "critical".to_owned())]);
    assert_eq!(running.seen().alerts[0].message, "a and b say that they lead");
    assert_eq!(running.seen().alerts[0].since_ms, START_MS);
    assert_eq!(running.metrics.snapshot().alerts, running.seen().alerts);
    let text = oncegate_coordinator::Exposition::prometheus(&running.metrics);
    assert!(text.contains("oncegate_alert_active{name=\"OncegateManyLeaders\",severity=\"critical\"} 1\n"), "{text}");
    assert!(text.contains("oncegate_alert_active{name=\"OncegateSplitBrain\",severity=\"critical\"} 0\n"), "{text}");

    running.outside.tell(|told| {
        told.peer = Port::Says(PeerAnswer { instance: "b".into(), is_leader: false, clock_offset_ms: None });
    });
    running.pass(59.0).await;
    assert_eq!(running.alerts(), [("OncegateManyLeaders".to_owned(), "critical".to_owned())]);
    running.pass(3.0).await;
    assert_eq!(running.alerts(), []);
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_shown_with_its_reason_until_it_is_over() {
    let running = run();
    running.pass(0.5).await;
    let pause = Pause { reason: "maintenance".into(), since: Wall::from_millis(START_MS - 5_000) };
    for paused in [Some(pause), None] {
        let leadership = Leadership { paused: paused.clone(), ..leadership(3, Some("a"), START_MS) };
        running.outside.tell(|told| told.store = Port::Says(StoreReply::Leadership(leadership)));
        running.pass(1.0).await;
        let shown = running.seen().paused.clone().map(|shown| (shown.reason, shown.since_ms));
        assert_eq!(shown, paused.as_ref().map(|pause| (pause.reason.clone(), pause.since.as_millis())));
        let active = running.alerts().contains(&("OncegatePaused".to_owned(), "warning".to_owned()));
        assert_eq!((active, running.metrics.snapshot().cluster.paused), (paused.is_some(), paused.is_some()));
    }
}

#[tokio::test(start_paused = true)]
async fn changes_of_leadership_are_counted_by_epochs_whoever_opens_them() {
    let running = run();
    running.pass(0.5).await;
    for epoch in [4, 5, 9] {
        running.outside.tell(|told| {
            told.store = Port::Says(StoreReply::Leadership(leadership(epoch, Some("b"), START_MS)));
        });
        running.pass(1_000.0).await;
    }
    let figures = running.metrics.snapshot().leadership;
    assert_eq!((figures.changes_total, figures.changes_last_hour, figures.acquired_total), (6, 6, 0));
    running.pass(1_700.0).await;
    assert_eq!(running.metrics.snapshot().leadership.changes_last_hour, 4);
}

#[tokio::test(start_paused = true)]
async fn a_failover_lasts_from_the_last_sign_of_life_to_the_new_epoch() {
    // Crashed: its last heartbeat counts. Left: the moment it wrote down does.
    for (closed_at, due) in [(START_MS, 11.0), (START_MS - 200, 0.2)] {
        let running = run();
        running.outside.tell(|told| {
            told.terms = Port::Says(vec![
                term(4, "a", START_MS, None),
                term(3, "b", START_MS - 60_000, Some((closed_at, "why"))),
            ]);
        });
        // The election reads the leadership before it opens the next epoch; where the reply to that was lost, it then
        // reads its own.
        for read in [leadership(3, Some("b"), START_MS - 11_000), leadership(4, Some("a"), START_MS)] {
            let reply = Reply::Store(Ok(StoreReply::Leadership(read)));
            let event = Event::Replied { id: CallId(1), reply };
            running.metrics.clone().hears(running.clock.now(), &event);
        }
        running.outside.notice(Notice::BecameLeader { epoch: Epoch(4), holder: holder("a") });
        running.pass(1.5).await;
        let figures = running.metrics.snapshot().leadership;
        let took = figures.last_failover_seconds.unwrap();
        assert!((took - due).abs() < 0.06, "{took} for {due}");
        assert_eq!((figures.failover.count, figures.acquired_total), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_send_is_timed_from_when_its_signal_was_stored_once_it_can_be_looked_up() {
    let running = run();
    let signal = |name: &str| Fingerprint::of_bytes(name.as_bytes());
    let entries = [
        (signal("first"), entry(signal("first"), START_MS - 2_000, &[3])),
        (signal("again"), entry(signal("again"), START_MS - 90_000, &[2, 3])),
    ];
    running.outside.tell(|told| told.entries = Port::Hangs);
    for name in ["first", "again", "first", "unknown"] {
        running.outside.notice(Notice::Sending { fingerprint: signal(name), leg: Leg(0), epoch: Epoch(3) });
    }
    running.pass(5.0).await;
    assert_eq!(running.metrics.snapshot().signals.received_to_sent.count, 0);
    running.outside.tell(|told| told.entries = Port::Says(BTreeMap::from(entries)));
    running.pass(5.0).await;
    let figures = running.metrics.snapshot().signals;
    assert_eq!((figures.sending_total, figures.received_to_sent.count), (4, 1));
    assert!((figures.received_to_sent.sum_seconds - 2.0).abs() < 0.06, "{:?}", figures.received_to_sent);
}
