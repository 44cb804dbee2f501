//! The figures: what is counted, when, and that both ways of telling them tell the same.
#![allow(clippy::unwrap_used)] // In a test, also outside its functions, to panic is to fail.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use oncegate_coordinator::timeout::until;
use oncegate_coordinator::{Broker, Clock, Exposition, LeaseStore, Measured, Metrics, MetricsSnapshot, SignalStore};
use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::call::{Claim, Purpose};
use oncegate_protocol::notice::LossReason;
use oncegate_protocol::{
    BrokerOrderId, ClientOrderId, Epoch, Fingerprint, LeaseCall, Leg, Mono, Notice, Order, Outcome, SignalState,
    StoreCall, StoreReply, Wall,
};
use support::{Outside, PausedClock, Port, holder, leadership, run};

/// The samples of an exposition, by name and labels as written.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.into(), value.parse().unwrap()))
        .collect()
}

fn measured() -> (PausedClock, Outside, Metrics) {
    let clock = PausedClock::new();
    (clock, Outside::well(), Metrics::new(Arc::new(clock), "a", "1.2.3", "oncegate:leader"))
}

fn order() -> Order {
    Order {
        fingerprint: Fingerprint::of_bytes(b"x"),
        leg: Leg(0),
        client_order_id: ClientOrderId::new("og-1"),
        epoch: Epoch(3),
        body: b"{}".to_vec(),
        send_before: Mono::MAX,
        timeout: Duration::from_secs(4),
    }
}

fn claim() -> StoreCall {
    StoreCall::Claim(Claim {
        fingerprint: Fingerprint::of_bytes(b"x"),
        leg: Leg(0),
        epoch: Epoch(3),
        holder: holder("a"),
        number: 1,
        client_order_id: ClientOrderId::new("og-1"),
        purpose: Purpose::Execute,
        at: Wall::default(),
    })
}

#[tokio::test(start_paused = true)]
async fn every_call_is_counted_by_kind_and_by_how_it_ended() {
    let (clock, outside, metrics) = measured();
    let store: Measured<dyn SignalStore> = Measured::new(Arc::new(outside.clone()), metrics.clone());
    let lease: Measured<dyn LeaseStore> = Measured::new(Arc::new(outside.clone()), metrics.clone());
    for _ in 0..7 {
        store.call(StoreCall::ReadLeadership).await.unwrap();
    }
    outside.tell(|told| {
        told.store = Port::Fails;
        told.lease = Port::Hangs;
    });
    for _ in 0..2 {
        store.call(claim()).await.unwrap_err();
    }
    outside.tell(|told| told.store = Port::Hangs);
    // Given up after two seconds, as the driver does.
    let deadline = clock.now().mono.plus(Duration::from_secs(2));
    assert_eq!(until(&clock, deadline, store.call(claim())).await, None);
    let deadline = clock.now().mono.plus(Duration::from_secs(1));
    assert_eq!(until(&clock, deadline, lease.call(LeaseCall::Read)).await, None);

    let figures = metrics.snapshot();
    let reads = &figures.store.calls["read_leadership"];
    assert_eq!((reads.attempts_total, reads.errors_total, reads.timeouts_total), (7, 0, 0));
    let claims = &figures.store.calls["claim"];
    assert_eq!((claims.attempts_total, claims.errors_total, claims.timeouts_total), (3, 2, 1));
    assert_eq!((figures.store.lately.ended, figures.store.lately.failed), (10, 3));
    assert!((figures.store.lately.failure_ratio - 0.3).abs() < 1e-9);
    assert!((figures.store.lately.max_seconds.unwrap() - 2.0).abs() < 0.02);
    assert!(figures.store.lately.p50_seconds.unwrap() < 0.001);
    assert!((claims.duration.sum_seconds - 2.0).abs() < 0.01);
    assert_eq!(figures.lease.calls["read"].timeouts_total, 1);

    let shown = samples(&metrics.prometheus());
    assert!((shown["oncegate_store_sync_failure_ratio"] - 0.3).abs() < 1e-9);
    for (name, due) in [
        ("oncegate_store_sync_attempts_total{call=\"read_leadership\"}", 7.0),
        ("oncegate_store_sync_failures_total{call=\"claim\",how=\"error\"}", 2.0),
        ("oncegate_store_sync_failures_total{call=\"claim\",how=\"timeout\"}", 1.0),
        ("oncegate_store_sync_duration_seconds_bucket{call=\"claim\",le=\"1\"}", 2.0),
        ("oncegate_store_sync_duration_seconds_bucket{call=\"claim\",le=\"2.5\"}", 3.0),
        ("oncegate_store_sync_duration_seconds_bucket{call=\"claim\",le=\"+Inf\"}", 3.0),
        ("oncegate_store_sync_duration_seconds_count{call=\"claim\"}", 3.0),
        // Kinds that were never called are there too.
        ("oncegate_store_sync_attempts_total{call=\"vacate\"}", 0.0),
        ("oncegate_lease_failures_total{call=\"read\",how=\"timeout\"}", 1.0),
    ] {
        assert!((shown[name] - due).abs() < 1e-9, "{name} is {}", shown[name]);
    }

    // Five minutes on, nothing of it is of late; the counters stay.
    clock.sleep_until(clock.now().mono.plus(Duration::from_secs(400))).await;
    let later = metrics.snapshot();
    assert_eq!((later.store.lately.ended, later.store.lately.p99_seconds), (0, None));
    assert_eq!(later.store.calls, figures.store.calls);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_fenced_is_counted_and_is_no_failure() {
    let (_, outside, metrics) = measured();
    let store: Measured<dyn SignalStore> = Measured::new(Arc::new(outside.clone()), metrics.clone());
    outside.tell(|told| told.store = Port::Says(StoreReply::Fenced(leadership(4, Some("b"), 0))));
    store.call(claim()).await.unwrap();
    let heartbeat = StoreCall::Heartbeat { epoch: Epoch(3), holder: holder("a"), at: Wall::default() };
    store.call(heartbeat).await.unwrap();
    let figures = metrics.snapshot();
    assert_eq!((figures.leadership.fenced_claims_total, figures.store.lately.failed), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn orders_are_counted_by_what_is_known_and_given_up_is_unknown() {
    let (clock, outside, metrics) = measured();
    let broker: Measured<dyn Broker> = Measured::new(Arc::new(outside.clone()), metrics.clone());
    for outcome in [
        Port::Says(Outcome::Accepted(BrokerOrderId::new("b"))),
        Port::Says(Outcome::Rejected("no funds".into())),
        Port::Says(Outcome::NotSent("refused".into())),
        Port::Fails,
        Port::Hangs,
    ] {
        outside.tell(|told| told.outcome = outcome);
        let deadline = clock.now().mono.plus(Duration::from_secs(4));
        until(&clock, deadline, broker.place(order())).await;
    }
    for answer in [LookupAnswer::NotFound, LookupAnswer::Unavailable("down".into())] {
        outside.tell(|told| told.lookup = answer);
        broker.look_up(ClientOrderId::new("og-1")).await;
    }
    let figures = metrics.snapshot();
    let counted = |counters: &BTreeMap<String, u64>| {
        counters.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(counted(&figures.broker_outcomes), "accepted 1, not_sent 1, rejected 1, unknown 2");
    assert_eq!(counted(&figures.broker_lookups), "found 0, not_found 1, unavailable 1");
    let (place, look_up) = (&figures.broker.calls["place"], &figures.broker.calls["look_up"]);
    assert_eq!((place.attempts_total, place.errors_total, place.timeouts_total), (5, 1, 1));
    assert_eq!((look_up.attempts_total, look_up.errors_total), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_timed_still_says_whether_it_is_ready() {
    let (_, outside, metrics) = measured();
    let broker: Measured<dyn Broker> = Measured::new(Arc::new(outside), metrics.clone());
    assert!(!broker.readiness(true).await);
    assert!(metrics.snapshot().broker_ready, "nobody has told the loop yet");
    let running = run();
    running.pass(0.5).await;
    assert!(!running.metrics.snapshot().broker_ready);
    assert!(samples(&running.metrics.prometheus())["oncegate_broker_ready"].abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn what_the_node_tells_is_counted() {
    let running = run();
    let fingerprint = Fingerprint::of_bytes(b"x");
    for notice in [
        Notice::LostLeadership { epoch: Epoch(3), reason: LossReason::LeaseGone },
        Notice::LostLeadership { epoch: Epoch(4), reason: LossReason::Asked("drill".into()) },
        Notice::GaveUpLease { reason: LossReason::RenewalDeadline },
        Notice::SplitBrain { lease: None, store: None },
        Notice::Fenced { own: Epoch(3), newest: Epoch(4) },
        Notice::EpochWentBack { read: Epoch(2), seen: Epoch(4) },
        Notice::PortFailed { doing: "x".into(), detail: "y".into() },
        Notice::Sending { fingerprint, leg: Leg(0), epoch: Epoch(3) },
        Notice::NotSent { fingerprint, reason: "late".into() },
        Notice::InDoubt { fingerprint, reason: "silence".into() },
        Notice::Settled { fingerprint, state: SignalState::Quarantined, detail: String::new() },
    ] {
        running.outside.notice(notice);
    }
    running.metrics.count_history_failures(|| 1);
    running.pass(1.5).await;
    let shown = samples(&running.metrics.prometheus());
    for name in [
        "oncegate_leadership_lost_total{reason=\"lease_gone\"}",
        "oncegate_leadership_lost_total{reason=\"asked\"}",
        "oncegate_leases_given_up_total",
        "oncegate_split_brain_detections_total",
        "oncegate_fenced_total",
        "oncegate_epoch_went_back_total",
        "oncegate_port_failures_total",
        "oncegate_orders_sending_total",
        "oncegate_orders_not_sent_total",
        "oncegate_in_doubt_total",
        "oncegate_signals_settled_total{state=\"quarantined\"}",
        "oncegate_history_write_failures_total",
    ] {
        assert!((shown[name] - 1.0).abs() < 1e-9, "{name} is {}", shown[name]);
    }
    assert!(shown["oncegate_leadership_lost_total{reason=\"fenced\"}"].abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn json_is_the_snapshot_and_prometheus_shows_the_same() {
    let running = run();
    running.leads_until(3, 8);
    running.pass(0.5).await;
    let snapshot = running.metrics.snapshot();
    let read: MetricsSnapshot = serde_json::from_value(running.metrics.json()).unwrap();
    assert_eq!(read, snapshot);
    let shown = samples(&running.metrics.prometheus());
    for (name, due) in [
        ("oncegate_leader", 1.0),
        ("leader_election_master_status{name=\"oncegate:leader\"}", 1.0),
        ("oncegate_epoch", 3.0),
        ("oncegate_trust_remaining_seconds", 7.5),
        ("oncegate_lease_remaining_seconds", 9.0),
        ("oncegate_leader_info{source=\"lease\",leader=\"a\"}", 1.0),
        ("oncegate_leader_info{source=\"store\",leader=\"a\"}", 1.0),
        ("oncegate_last_heartbeat_timestamp_seconds", 1_700_000_000.0),
        ("oncegate_overview_timestamp_seconds", 1_700_000_000.0),
        ("oncegate_build_info{version=\"1.2.3\",node=\"a\"}", 1.0),
        ("oncegate_signals{state=\"executed\"}", 0.0),
        ("oncegate_node_reachable{node=\"b\"}", 1.0),
        ("oncegate_node_clock_offset_seconds{node=\"b\"}", -0.25),
        ("oncegate_unreachable{part=\"store\"}", 0.0),
        ("oncegate_paused", 0.0),
    ] {
        assert!((shown[name] - due).abs() < 1e-9, "{name} is {}", shown[name]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_names_a_node_can_not_break_the_page() {
    let clock = PausedClock::new();
    let metrics = Metrics::new(Arc::new(clock), "a\"}\n\\x 1", "1", "k");
    let text = metrics.prometheus();
    assert!(text.contains(r#"node="a\"}\n\\x 1"} 1"#), "{text}");
}

#[tokio::test(start_paused = true)]
async fn nothing_that_comes_from_outside_makes_a_series() {
    let running = run();
    running.pass(0.5).await;
    let before = samples(&running.metrics.prometheus()).len();
    for number in 0..2_000_u32 {
        let fingerprint = Fingerprint::of_bytes(&number.to_be_bytes());
        running.outside.notice(Notice::Sending { fingerprint, leg: Leg(0), epoch: Epoch(3) });
        running.outside.notice(Notice::PortFailed { doing: format!("{number}"), detail: format!("{number}") });
        let reason = LossReason::Asked(format!("{number}"));
        running.outside.notice(Notice::LostLeadership { epoch: Epoch(3), reason });
    }
    running.pass(2.0).await;
    assert_eq!(samples(&running.metrics.prometheus()).len(), before);
    assert!(before < 500, "{before} series are many for one node");
}
