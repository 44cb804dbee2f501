//! Faults that belong together. Each alone is harmless where the others do not strike, and chance brings them
//! together about once in a thousand runs; each story was found by asking why a planted bug survived. The times are
//! such that both outcomes are drawn: the second fault in time, and too late.

use proptest::prelude::*;

use super::swarm::Swarm;
use super::{secs, span};
use crate::scenario::{Anchor, Fault, FaultSpec, Span};
use crate::world::anchor::Point;
use crate::world::calls::CallName;

pub(super) fn when(point: Point, nth: u32, fault: Fault) -> FaultSpec {
    FaultSpec { at: None, when: Some(Anchor { point, nth, by: None }), fault }
}

fn actor() -> String {
    "@actor".to_owned()
}

/// Anchors at what happens all the time count to this many: most of a fault phase.
pub(super) const MOST_RENEWALS: u32 = 180;

/// The stories of whose faults the swarm has every kind.
pub fn stories(swarm: &Swarm) -> Vec<BoxedStrategy<Vec<FaultSpec>>> {
    let all: [(&[&str], BoxedStrategy<Vec<FaultSpec>>); 19] = [
        (&["pause"], successor_stands_still().boxed()),
        (&["store-slow"], one_slow_call().boxed()),
        (&["broker-late", "broker-refuses"], refused_before_accepted().boxed()),
        (&["crash"], broker_dies_with_the_answer().boxed()),
        (&["partition"], source_cut_off(swarm.nodes, swarm.faults_for.as_millis()).boxed()),
        (&["pause", "one-way"], stands_and_is_cut_off().boxed()),
        (&["latency-spike", "one-way"], last_reply_is_slow().boxed()),
        (&["clock-drift", "pause"], clocks_apart().boxed()),
        (&["crash", "partition"], started_without_redis().boxed()),
        (&["redis-evicts", "pause-heartbeats"], two_leaders(swarm.has("store-slow")).boxed()),
        (&["crash", "resolve"], two_operators(swarm.faults_for.as_millis()).boxed()),
        (&["pause"], epoch_asked_for_too_late().boxed()),
        (&["crash", "pause"], verdict_too_late().boxed()),
        (&["refuse", "call-repeated"], claim_lands_between_two_others().boxed()),
        (&["broker-outage", "broker-refuses"], refused_when_all_have_landed().boxed()),
        (&["broker-refuses", "pause"], refusal_told_after_the_quarantine().boxed()),
        (&["broker-outage"], order_forgotten().boxed()),
        (&["redis-evicts", "pause-heartbeats"], leader_compares_and_finds_nobody().boxed()),
        (&["stop-orders"], stopped_as_a_signal_comes().boxed()),
    ];
    all.into_iter().filter(|(kinds, _)| kinds.iter().all(|kind| swarm.has(kind))).map(|(_, story)| story).collect()
}

/// A claim of the deposed leader arrives when its successor has an epoch, and has done nothing under it yet.
fn successor_stands_still() -> impl Strategy<Value = Vec<FaultSpec>> {
    (1..=3_u32, secs(11..=17), 2..=3_u32, secs(3..=9)).prop_map(|(claim, first, epoch, second)| {
        vec![
            when(Point::ClaimSending, claim, Fault::Pause { host: actor(), lasts: first }),
            when(Point::EpochOpened, epoch, Fault::Pause { host: actor(), lasts: second }),
        ]
    })
}

/// One call to the store is under way for longer than its caller waits; those after it are not.
fn one_slow_call() -> impl Strategy<Value = Vec<FaultSpec>> {
    let point = prop::sample::select(vec![Point::ClaimSending, Point::OutcomeSending]);
    (point, 1..=5_u32, secs(2..=8)).prop_map(|(point, nth, by)| {
        let lasts = Span::millis(1_000);
        vec![when(point, nth, Fault::StoreSlow { by, lasts })]
    })
}

/// The broker takes its time over an order, and refuses the repeat before it has taken the first.
fn refused_before_accepted() -> impl Strategy<Value = Vec<FaultSpec>> {
    (1..=5_u32, secs(5..=15), secs(5..=20)).prop_map(|(nth, by, refuses)| {
        vec![
            when(Point::OrderSending, nth, Fault::BrokerLate { by, lasts: Span::secs(2) }),
            when(Point::OutcomeSending, nth, Fault::BrokerRefuses { lasts: refuses }),
        ]
    })
}

/// The broker dies with the answer to an order.
fn broker_dies_with_the_answer() -> impl Strategy<Value = Vec<FaultSpec>> {
    (1..=5_u32, secs(1..=5))
        .prop_map(|(nth, down)| vec![when(Point::OrderBooked, nth, Fault::Crash { host: "broker".into(), down })])
}

/// A source can't reach one node for a minute or two, and its copy comes late.
fn source_cut_off(nodes: usize, faults_end: i64) -> impl Strategy<Value = Vec<FaultSpec>> {
    let last = faults_end / 1_000 - 121;
    (1..=nodes, secs(5..=last), secs(60..=120)).prop_map(|(node, at, lasts)| {
        let between = ["source".to_owned(), format!("n{node}")];
        vec![FaultSpec { at: Some(at), when: None, fault: Fault::Partition { between, lasts } }]
    })
}

/// A process starts and can't reach Redis, while somebody else leads.
fn started_without_redis() -> impl Strategy<Value = Vec<FaultSpec>> {
    (1..=4_u32, secs(1..=5), secs(20..=60)).prop_map(|(nth, down, lasts)| {
        let point = Point::SignalStored;
        let apart = Fault::Partition { between: ["@follower".to_owned(), "redis".to_owned()], lasts };
        vec![when(point, nth, apart), when(point, nth, Fault::Crash { host: "@follower".into(), down })]
    })
}

/// A node dies with an order in hand, on its way or booked; when a human may have been asked, two operators look.
fn two_operators(faults_end: i64) -> impl Strategy<Value = Vec<FaultSpec>> {
    let point = prop::sample::select(vec![Point::OrderSending, Point::OrderSent, Point::OrderBooked]);
    let resolve = |at| FaultSpec { at: Some(at), when: None, fault: Fault::Resolve { host: "@follower".into() } };
    (point, 1..=2_u32, secs(1..=10), secs(60..=faults_end / 1_000 - 1)).prop_map(move |(point, nth, down, at)| {
        let dies = Fault::Crash { host: "@leader".into(), down };
        vec![when(point, nth, dies), resolve(at), resolve(at)]
    })
}

/// A leader stands still for a while, and can't renew after it.
fn stands_and_is_cut_off() -> impl Strategy<Value = Vec<FaultSpec>> {
    anchored_together((secs(2..=7), secs(15..=40)).prop_map(|(stands, lasts)| {
        vec![Fault::Pause { host: actor(), lasts: stands }, Fault::OneWay { from: actor(), to: "redis".into(), lasts }]
    }))
}

/// The reply to the last renewal that succeeds is slow: what counts from it counts too long.
fn last_reply_is_slow() -> impl Strategy<Value = Vec<FaultSpec>> {
    anchored_together((span(500..=1_400), secs(15..=40)).prop_map(|(by, lasts)| {
        let cut = Fault::OneWay { from: actor(), to: "redis".into(), lasts };
        vec![Fault::LatencySpike { host: "redis".into(), by, lasts: Span::secs(3) }, cut]
    }))
}

/// A leader's clock and Redis's drift apart as far as they may, and it stands still.
fn clocks_apart() -> impl Strategy<Value = Vec<FaultSpec>> {
    anchored_together(secs(12..=30).prop_map(|stands| {
        let drift = |host: &str, ppm| Fault::ClockDrift { host: host.to_owned(), ppm, lasts: Span::secs(60) };
        vec![drift("redis", 5_000), drift("@actor", -5_000), Fault::Pause { host: actor(), lasts: stands }]
    }))
}

/// Everything that should prevent a second leader fails together.
fn two_leaders(slowly: bool) -> impl Strategy<Value = Vec<FaultSpec>> {
    let faults = (secs(15..=40), prop::bool::ANY).prop_map(move |(lasts, slow)| {
        let mut faults = vec![Fault::PauseHeartbeats { host: "@actor".into(), lasts }, Fault::RedisEvicts];
        if slow && slowly {
            faults.push(Fault::StoreSlow { by: Span::millis(400), lasts });
        }
        faults
    });
    anchored_together(faults)
}

/// A node stands still with a lease and without an epoch, until another has both.
fn epoch_asked_for_too_late() -> impl Strategy<Value = Vec<FaultSpec>> {
    (1..=2_u32, secs(11..=25)).prop_map(|(nth, lasts)| {
        vec![when(Point::Before(CallName::OpenEpoch), nth, Fault::Pause { host: actor(), lasts })]
    })
}

/// A leader that has made up its mind about an order in doubt stands still until it leads no more.
fn verdict_too_late() -> impl Strategy<Value = Vec<FaultSpec>> {
    (1..=2_u32, secs(1..=10), secs(11..=25)).prop_map(|(nth, down, lasts)| {
        vec![
            when(Point::OrderSending, nth, Fault::Crash { host: actor(), down }),
            when(Point::Before(CallName::Conclude), 1, Fault::Pause { host: actor(), lasts }),
        ]
    })
}

/// Order after order provably does not leave, and a copy of the first claim lands between two others.
fn claim_lands_between_two_others() -> impl Strategy<Value = Vec<FaultSpec>> {
    (1..=4_u32, secs(10..=30), span(500..=9_000)).prop_map(|(nth, lasts, by)| {
        let point = Point::Before(CallName::Claim);
        let refuses = Fault::Refuse { host: "broker".into(), lasts };
        vec![when(point, nth, refuses), when(point, nth, Fault::CallRepeated { by })]
    })
}

/// The broker is out when an order comes, and refuses it until the first send can't be under way any more.
fn refused_when_all_have_landed() -> impl Strategy<Value = Vec<FaultSpec>> {
    (1..=4_u32, secs(1..=3), secs(25..=40)).prop_map(|(nth, out, refuses)| {
        vec![
            when(Point::OrderSending, nth, Fault::BrokerOutage { lasts: out }),
            when(Point::OrderAnswered, nth, Fault::BrokerRefuses { lasts: refuses }),
        ]
    })
}

/// A leader stands still with a refusal in hand until its successor has given the order to a human.
fn refusal_told_after_the_quarantine() -> impl Strategy<Value = Vec<FaultSpec>> {
    (1..=4_u32, secs(15..=60)).prop_map(|(nth, lasts)| {
        vec![
            when(Point::OrderSending, nth, Fault::BrokerRefuses { lasts: Span::secs(2) }),
            when(Point::OrderAnswered, nth, Fault::Pause { host: actor(), lasts }),
        ]
    })
}

/// The broker is out for so long that the order in doubt may be too late, or forgotten by a broker that forgets.
fn order_forgotten() -> impl Strategy<Value = Vec<FaultSpec>> {
    (1..=4_u32, secs(45..=80))
        .prop_map(|(nth, lasts)| vec![when(Point::OrderSending, nth, Fault::BrokerOutage { lasts })])
}

/// The lease goes just before a leader looks whom it names, and it is not told by its renewals.
fn leader_compares_and_finds_nobody() -> impl Strategy<Value = Vec<FaultSpec>> {
    (1..=6_u32, secs(10..=20)).prop_map(|(nth, lasts)| {
        let point = Point::Before(CallName::ReadLease);
        vec![when(point, nth, Fault::PauseHeartbeats { host: actor(), lasts }), when(point, nth, Fault::RedisEvicts)]
    })
}

/// New orders are stopped just as a signal is stored: its leader may have looked before, and claims after it.
fn stopped_as_a_signal_comes() -> impl Strategy<Value = Vec<FaultSpec>> {
    (1..=4_u32, secs(5..=60)).prop_map(|(nth, lasts)| {
        vec![when(Point::SignalStored, nth, Fault::StopOrders { host: "@follower".into(), lasts })]
    })
}

fn anchored_together(faults: impl Strategy<Value = Vec<Fault>>) -> impl Strategy<Value = Vec<FaultSpec>> {
    (1..=MOST_RENEWALS / 2, faults).prop_map(|(nth, faults)| {
        let when = Some(Anchor { point: Point::LeaseRenewed, nth, by: None });
        faults.into_iter().map(|fault| FaultSpec { at: None, when: when.clone(), fault }).collect()
    })
}

#[cfg(test)]
mod tests {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::*;
    use crate::scenario::{Expect, Scenario, generate, read};

    #[test]
    fn every_story_is_possible_and_told_within_its_swarm() {
        let mut runner = TestRunner::deterministic();
        let mut told = 0;
        for seed in 0..100 {
            let swarm = generate::swarm_of(seed);
            for story in stories(&swarm) {
                let faults = story.new_tree(&mut runner).unwrap().current();
                assert!(faults.iter().all(|spec| swarm.has(spec.fault.name())));
                let scenario = Scenario { faults, expect: Expect::default(), ..generate::draw(seed) };
                assert_eq!(read::check(&scenario), Ok(()));
                told += 1;
            }
        }
        assert!(told > 100);
    }
}
