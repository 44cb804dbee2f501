//! What goes wrong in a run: one strategy per kind of fault, and where its faults are anchored.

use proptest::prelude::*;
use proptest::strategy::Union;

use super::meetings;
use super::stories::{self, MOST_RENEWALS, when};
use super::swarm::Swarm;
use super::{secs, span};
use crate::scenario::{Fault, FaultSpec};
use crate::world::anchor::Point;
use crate::world::calls::CallName;

/// The longest that a fault lasts which is drawn at a time.
const LONGEST: i64 = 60_000;

/// Up to so many faults as the swarm says, of the kinds that it has.
pub fn faults(swarm: &Swarm) -> impl Strategy<Value = Vec<FaultSpec>> + use<> {
    let single = fault_spec(swarm).prop_map(|spec| vec![spec]).boxed();
    let together = stories::stories(swarm);
    let met = meetings::meetings(swarm);
    let kinds = if together.is_empty() {
        prop_oneof![4 => single, 3 => met].boxed()
    } else {
        prop_oneof![4 => single, 3 => met, 1 => Union::new(together)].boxed()
    };
    prop::collection::vec(kinds, 0..=swarm.faults).prop_map(|stories| stories.concat())
}

fn fault_spec(swarm: &Swarm) -> impl Strategy<Value = FaultSpec> + use<> {
    let timed = {
        let fault = fault(swarm, false);
        (span(3_000..=swarm.faults_for.as_millis() - LONGEST - 1_000), fault).prop_map(|(at, fault)| FaultSpec {
            at: Some(at),
            when: None,
            fault,
        })
    };
    // Between claim and outcome is where an order can be doubled or lost.
    let at_work = prop::sample::select(vec![
        Point::ClaimSending,
        Point::Claimed,
        Point::OrderSending,
        Point::BrokerConnecting,
        Point::OrderSent,
        Point::OrderBooked,
        Point::OrderAnswered,
        Point::OutcomeSending,
        Point::OutcomeStored,
    ]);
    let boundary = prop::sample::select(Point::boundaries().collect::<Vec<_>>());
    let point = prop_oneof![4 => at_work, 1 => prop::sample::select(&Point::ALL[..]), 2 => boundary];
    let fault = prop_oneof![2 => stopping_fault(swarm), 3 => fault(swarm, true)];
    let anchored = (point, 1..=5_u32, 1..=MOST_RENEWALS, fault).prop_map(|(point, few, many, fault)| {
        // What happens every two seconds would else only ever be struck in the first ten.
        let nth = if is_frequent(point) { many } else { few };
        anchor(point, nth, fault)
    });
    let anchored_of_ten = swarm.anchored;
    Union::new_weighted(vec![(10 - anchored_of_ten, timed.boxed()), (anchored_of_ten, anchored.boxed())])
}

/// A fault at a point. What is done to a call needs one: the call whose point it is.
pub(super) fn anchor(point: Point, nth: u32, fault: Fault) -> FaultSpec {
    let point = if fault.is_of_a_call() { Point::Before(call_at(point)) } else { point };
    when(point, nth, fault)
}

const fn is_frequent(point: Point) -> bool {
    matches!(
        point,
        Point::LeaseRenewed
            | Point::Before(CallName::Renew | CallName::Heartbeat | CallName::Acquire | CallName::ReadPending)
            | Point::Applied(CallName::Renew | CallName::Heartbeat | CallName::Acquire | CallName::ReadPending)
            | Point::After(CallName::Renew | CallName::Heartbeat | CallName::Acquire | CallName::ReadPending)
    )
}

/// The call that is made at or around a point.
const fn call_at(point: Point) -> CallName {
    match point {
        Point::Before(call) | Point::Applied(call) | Point::After(call) => call,
        Point::LeaseGranted => CallName::Acquire,
        Point::LeaseRenewed => CallName::Renew,
        Point::EpochOpened => CallName::OpenEpoch,
        Point::SignalStored => CallName::Insert,
        Point::ClaimSending | Point::Claimed => CallName::Claim,
        Point::OrderSending
        | Point::BrokerConnecting
        | Point::OrderSent
        | Point::OrderBooked
        | Point::OrderAnswered => CallName::Place,
        Point::OutcomeSending | Point::OutcomeStored => CallName::RecordOutcome,
        Point::LookupSending => CallName::LookUp,
    }
}

/// What stops a node in the middle of what it does: paused, dead, or parted from whom it talks to, mostly for
/// longer than its lease lasts; of the kinds that the swarm has, or a pause.
fn stopping_fault(swarm: &Swarm) -> impl Strategy<Value = Fault> + use<> {
    let kinds = [("pause", 4), ("snapshot", 1), ("crash", 1), ("power-loss", 1), ("partition", 1), ("isolate", 1)];
    let mut strategies = Vec::new();
    for (kind, weight) in kinds {
        if swarm.has(kind) {
            strategies.push((weight, stopping(kind)));
        }
    }
    if strategies.is_empty() {
        strategies.push((1, fault(swarm, true)));
    }
    Union::new_weighted(strategies)
}

fn stopping(kind: &str) -> BoxedStrategy<Fault> {
    let actor = || "@actor".to_owned();
    let service = prop::sample::select(vec!["redis", "store", "broker"]).prop_map(str::to_owned);
    match kind {
        "pause" => secs(5..=40).prop_map(move |lasts| Fault::Pause { host: actor(), lasts }).boxed(),
        "snapshot" => secs(5..=40).prop_map(move |lasts| Fault::Snapshot { host: actor(), lasts }).boxed(),
        "crash" => secs(1..=30).prop_map(move |down| Fault::Crash { host: actor(), down }).boxed(),
        "power-loss" => secs(1..=30).prop_map(move |down| Fault::PowerLoss { host: actor(), down }).boxed(),
        "isolate" => secs(5..=40).prop_map(move |lasts| Fault::Isolate { host: actor(), lasts }).boxed(),
        _ => (service, secs(5..=40))
            .prop_map(move |(service, lasts)| Fault::Partition { between: [actor(), service], lasts })
            .boxed(),
    }
}

/// A fault of any kind that the swarm has.
pub(super) fn fault(swarm: &Swarm, anchored: bool) -> BoxedStrategy<Fault> {
    let all = Fault::NAMES.into_iter().filter(|kind| swarm.has(kind));
    // A call can only be struck where it is made.
    let possible = all.filter(|kind| anchored || !kind.starts_with("call-"));
    let strategies: Vec<_> = possible.map(|kind| fault_of(kind, swarm.nodes, anchored)).collect();
    if strategies.is_empty() {
        return fault_of("pause", swarm.nodes, anchored);
    }
    Union::new(strategies).boxed()
}

/// A fault of one kind.
fn fault_of(kind: &'static str, nodes: usize, anchored: bool) -> BoxedStrategy<Fault> {
    let node_name = move || (1..=nodes).prop_map(|n| format!("n{n}"));
    // The node that matters is the one at work; now and then another.
    let at_work = if anchored { "@actor" } else { "@leader" };
    let node =
        || prop_oneof![3 => Just(at_work.to_owned()), 1 => Just("@follower".to_owned()), 2 => node_name()].boxed();
    let process = || prop_oneof![5 => node(), 1 => Just("redis".to_owned()), 1 => Just("broker".to_owned())].boxed();
    let service = || prop::sample::select(vec!["redis", "store", "broker"]).prop_map(str::to_owned).boxed();
    let whose = || prop::option::of(node()).boxed();
    // Up to a few lease times, so that some pass it and some don't.
    let lasts = || secs(1..=40).boxed();
    match kind {
        "partition" => {
            (node(), service(), lasts()).prop_map(|(a, b, lasts)| Fault::Partition { between: [a, b], lasts }).boxed()
        }
        "one-way" => (node(), service(), any::<bool>(), lasts())
            .prop_map(|(a, b, there, lasts)| {
                let (from, to) = if there { (a, b) } else { (b, a) };
                Fault::OneWay { from, to, lasts }
            })
            .boxed(),
        "isolate" => (prop_oneof![4 => node(), 1 => service()], lasts())
            .prop_map(|(host, lasts)| Fault::Isolate { host, lasts })
            .boxed(),
        "split" => (1..nodes.max(2), prop::collection::vec(any::<bool>(), 3), lasts())
            .prop_map(move |(cut, sides, lasts)| {
                let mut groups = vec![Vec::new(), Vec::new()];
                for number in 1..=nodes {
                    groups[usize::from(number > cut)].push(format!("n{number}"));
                }
                for (service, side) in ["redis", "store", "broker"].into_iter().zip(sides) {
                    groups[usize::from(side)].push(service.to_owned());
                }
                Fault::Split { groups, lasts }
            })
            .boxed(),
        "late-release" => (node(), service(), secs(1..=30), secs(1..=20))
            .prop_map(|(a, b, lasts, late)| Fault::LateRelease { between: [a, b], lasts, late })
            .boxed(),
        "latency-spike" => (prop_oneof![1 => node(), 1 => service()], span(100..=3_000), lasts())
            .prop_map(|(host, by, lasts)| Fault::LatencySpike { host, by, lasts })
            .boxed(),
        "reset" => (node(), prop::sample::select(vec!["redis", "broker", "source"]))
            .prop_map(|(a, b)| Fault::Reset { between: [a, b.to_owned()] })
            .boxed(),
        "refuse" => (process(), lasts()).prop_map(|(host, lasts)| Fault::Refuse { host, lasts }).boxed(),
        "crash" => (process(), secs(1..=30)).prop_map(|(host, down)| Fault::Crash { host, down }).boxed(),
        "power-loss" => (process(), secs(1..=30)).prop_map(|(host, down)| Fault::PowerLoss { host, down }).boxed(),
        "shutdown" => (node(), secs(1..=30)).prop_map(|(host, down)| Fault::Shutdown { host, down }).boxed(),
        "pause" => (process(), lasts()).prop_map(|(host, lasts)| Fault::Pause { host, lasts }).boxed(),
        "snapshot" => (node(), lasts()).prop_map(|(host, lasts)| Fault::Snapshot { host, lasts }).boxed(),
        "pause-heartbeats" => {
            (node(), lasts()).prop_map(|(host, lasts)| Fault::PauseHeartbeats { host, lasts }).boxed()
        }
        "step-down" => prop_oneof![3 => Just(at_work.to_owned()), 1 => node_name()]
            .prop_map(|host| Fault::StepDown { host })
            .boxed(),
        "stop-orders" => (node(), lasts()).prop_map(|(host, lasts)| Fault::StopOrders { host, lasts }).boxed(),
        "resolve" => node().prop_map(|host| Fault::Resolve { host }).boxed(),
        "clock-step" => {
            let by = prop_oneof![3 => secs(-60..=60).boxed(), 1 => secs(-7_200..=7_200).boxed()];
            (prop_oneof![3 => node(), 1 => Just("redis".to_owned())], by)
                .prop_map(|(host, by)| Fault::ClockStep { host, by })
                .boxed()
        }
        "clock-drift" => {
            let ppm = prop_oneof![3 => -5_000_i64..=5_000, 1 => -60_000_i64..=60_000];
            (prop_oneof![3 => node(), 1 => Just("redis".to_owned())], ppm, secs(10..=60))
                .prop_map(|(host, ppm, lasts)| Fault::ClockDrift { host, ppm, lasts })
                .boxed()
        }
        "redis-loses-data" => Just(Fault::RedisLosesData).boxed(),
        "redis-fails-over" => secs(0..=15).prop_map(|loses| Fault::RedisFailsOver { loses }).boxed(),
        "redis-evicts" => Just(Fault::RedisEvicts).boxed(),
        "redis-two-masters" => {
            (node(), lasts()).prop_map(|(host, lasts)| Fault::RedisTwoMasters { hosts: vec![host], lasts }).boxed()
        }
        "redis-loses-replies" => {
            (whose(), secs(1..=15)).prop_map(|(host, lasts)| Fault::RedisLosesReplies { host, lasts }).boxed()
        }
        "redis-slow" => (span(100..=2_500), lasts()).prop_map(|(by, lasts)| Fault::RedisSlow { by, lasts }).boxed(),
        "store-fails" => (whose(), secs(1..=30)).prop_map(|(host, lasts)| Fault::StoreFails { host, lasts }).boxed(),
        "store-loses-replies" => {
            (whose(), secs(1..=15)).prop_map(|(host, lasts)| Fault::StoreLosesReplies { host, lasts }).boxed()
        }
        "store-slow" => {
            (span(200..=6_000), secs(1..=30)).prop_map(|(by, lasts)| Fault::StoreSlow { by, lasts }).boxed()
        }
        "store-busy" => (whose(), secs(1..=30)).prop_map(|(host, lasts)| Fault::StoreBusy { host, lasts }).boxed(),
        "store-full" => secs(1..=30).prop_map(|lasts| Fault::StoreFull { lasts }).boxed(),
        "broker-silent" => lasts().prop_map(|lasts| Fault::BrokerSilent { lasts }).boxed(),
        "broker-outage" => lasts().prop_map(|lasts| Fault::BrokerOutage { lasts }).boxed(),
        "broker-refuses" => lasts().prop_map(|lasts| Fault::BrokerRefuses { lasts }).boxed(),
        "broker-confused" => lasts().prop_map(|lasts| Fault::BrokerConfused { lasts }).boxed(),
        "broker-misanswers" => (prop::sample::select(vec![400_u16, 404, 408, 409, 422, 429, 502, 503, 504]), lasts())
            .prop_map(|(status, lasts)| Fault::BrokerMisanswers { status, lasts })
            .boxed(),
        "broker-hides" => (secs(1..=15), lasts()).prop_map(|(by, lasts)| Fault::BrokerHides { by, lasts }).boxed(),
        "broker-late" => (secs(1..=15), lasts()).prop_map(|(by, lasts)| Fault::BrokerLate { by, lasts }).boxed(),
        "call-fails" => Just(Fault::CallFails).boxed(),
        "call-loses-reply" => Just(Fault::CallLosesReply).boxed(),
        "call-repeated" => span(100..=30_000).prop_map(|by| Fault::CallRepeated { by }).boxed(),
        unknown => unreachable!("{unknown} is not the name of a fault"),
    }
}
