//! Scenarios drawn at random, as proptest strategies: what draws a sweep also draws, and shrinks, properties.

use std::ops::RangeInclusive;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{Anchor, BrokerKind, Expect, Fault, FaultSpec, Form, Scenario, SignalSpec, Span, WorldSpec};
use crate::world::anchor::Point;
use crate::world::rng::Rng;

/// How many signals each run of a sweep has.
const SIGNALS: usize = 5;
/// How many things go wrong at most in one run.
const FAULTS: usize = 8;
/// Anchors at renewals count to this many: most of a fault phase.
const MOST_RENEWALS: u32 = 180;

/// The scenario of `seed`: the same on any machine, for one version of this crate and its dependencies.
pub fn draw(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed, "scenario");
    let mut bytes = [0_u8; 32];
    for chunk in bytes.chunks_exact_mut(8) {
        chunk.copy_from_slice(&rng.next().to_le_bytes());
    }
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let tree = scenario(SIGNALS..=SIGNALS).new_tree(&mut runner).expect("no strategy here rejects anything");
    Scenario { name: format!("seed-{seed}"), seed, ..tree.current() }
}

/// Scenarios of three nodes and ten minutes, with so many signals and up to eight faults.
pub fn scenario(signals: RangeInclusive<usize>) -> impl Strategy<Value = Scenario> {
    let world = WorldSpec::default();
    let faults_end = world.faults_for.as_millis();
    let signals = prop::collection::vec(signal(world.nodes, faults_end), signals);
    let single = fault_spec(world.nodes, faults_end).prop_map(|spec| vec![spec]);
    let story = prop_oneof![9 => single, 1 => stale_trust()];
    let faults = prop::collection::vec(story, 0..=FAULTS).prop_map(|stories| stories.concat());
    (broker(), signals, faults, any::<u32>()).prop_map(move |(broker, mut signals, faults, seed)| {
        signals.sort_by_key(|signal| signal.at);
        for (signal, number) in signals.iter_mut().zip(1..) {
            signal.id = format!("S{number}");
        }
        Scenario {
            name: "drawn".into(),
            seed: u64::from(seed),
            world: WorldSpec { broker, ..world.clone() },
            signals,
            faults,
            expect: Expect::default(),
        }
    })
}

fn broker() -> impl Strategy<Value = BrokerKind> {
    prop_oneof![
        2 => Just(BrokerKind::Deduplicates),
        1 => Just(BrokerKind::LooksUp),
        1 => Just(BrokerKind::Blind),
    ]
}

/// A time in tenths of a second: short to read, fine enough to fall between any two events.
fn span(millis: RangeInclusive<i64>) -> impl Strategy<Value = Span> {
    (millis.start() / 100..=millis.end() / 100).prop_map(|tenths| Span::millis(tenths * 100))
}

fn secs(secs: RangeInclusive<i64>) -> impl Strategy<Value = Span> {
    span(secs.start() * 1_000..=secs.end() * 1_000)
}

fn node_name(nodes: usize) -> impl Strategy<Value = String> {
    (1..=nodes).prop_map(|n| format!("n{n}"))
}

fn signal(nodes: usize, faults_end: i64) -> impl Strategy<Value = SignalSpec> {
    // Two thirds are mirrored to two nodes.
    let to = prop_oneof![
        1 => node_name(nodes).prop_map(|node| vec![node]),
        2 => (1..=nodes, 1..nodes).prop_map(move |(first, step)| {
            let second = (first - 1 + step) % nodes + 1;
            vec![format!("n{first}"), format!("n{second}")]
        }),
    ];
    let good_for = prop::option::weighted(0.3, secs(20..=120));
    (span(10_000..=faults_end - 10_000), to, good_for).prop_map(|(at, to, good_for)| SignalSpec {
        id: String::new(),
        at,
        to,
        good_for,
        burst: 1,
        times: 1,
        form: Form::Well,
    })
}

fn fault_spec(nodes: usize, faults_end: i64) -> impl Strategy<Value = FaultSpec> {
    let timed = (span(5_000..=faults_end - 61_000), fault(nodes, false)).prop_map(|(at, fault)| FaultSpec {
        at: Some(at),
        when: None,
        fault,
    });
    // Between claim and outcome is where an order can be doubled or lost.
    let at_work = prop::sample::select(vec![
        Point::ClaimSending,
        Point::Claimed,
        Point::OrderSending,
        Point::BrokerConnecting,
        Point::OrderBooked,
        Point::OrderAnswered,
        Point::OutcomeSending,
        Point::OutcomeStored,
    ]);
    let point = prop_oneof![3 => at_work, 1 => prop::sample::select(&Point::ALL[..])];
    let fault = prop_oneof![2 => stopping_fault(), 3 => fault(nodes, true)];
    let anchored = (point, 1..=5_u32, 1..=MOST_RENEWALS, fault).prop_map(|(point, nth, renewal, fault)| FaultSpec {
        at: None,
        // What happens every two seconds would else only ever be struck in the first ten.
        when: Some(Anchor { point, nth: if point == Point::LeaseRenewed { renewal } else { nth }, by: None }),
        fault,
    });
    prop_oneof![timed, anchored]
}

/// A leader whose lease runs out while it stands still or can't renew: what its trust is counted from, and how
/// much is taken off it, shows only then.
fn stale_trust() -> impl Strategy<Value = Vec<FaultSpec>> {
    let actor = || "@actor".to_owned();
    let there = (secs(2..=7), secs(15..=40)).prop_map(move |(stands, lasts)| {
        let cut = Fault::OneWay { from: actor(), to: "redis".into(), lasts };
        vec![Fault::Pause { host: actor(), lasts: stands }, cut]
    });
    let apart = secs(12..=30).prop_map(move |stands| {
        let drift = |host: &str, ppm| Fault::ClockDrift { host: host.to_owned(), ppm, lasts: Span::secs(60) };
        vec![drift("redis", 5_000), drift("@actor", -5_000), Fault::Pause { host: actor(), lasts: stands }]
    });
    (1..=MOST_RENEWALS, prop_oneof![there, apart]).prop_map(|(nth, faults)| {
        let when = Some(Anchor { point: Point::LeaseRenewed, nth, by: None });
        faults.into_iter().map(|fault| FaultSpec { at: None, when: when.clone(), fault }).collect()
    })
}

/// What stops a node in the middle of what it does: paused, dead, or parted from whom it talks to, mostly for
/// longer than its lease lasts.
fn stopping_fault() -> impl Strategy<Value = Fault> {
    let actor = || Just("@actor".to_owned());
    let service = prop::sample::select(vec!["redis", "store", "broker"]).prop_map(str::to_owned);
    prop_oneof![
        4 => (actor(), secs(5..=40)).prop_map(|(host, lasts)| Fault::Pause { host, lasts }),
        1 => (actor(), secs(1..=30)).prop_map(|(host, down)| Fault::Crash { host, down }),
        1 => (actor(), secs(1..=30)).prop_map(|(host, down)| Fault::PowerLoss { host, down }),
        1 => (actor(), service, secs(5..=40)).prop_map(|(a, b, lasts)| Fault::Partition { between: [a, b], lasts }),
        1 => (actor(), secs(5..=40)).prop_map(|(host, lasts)| Fault::Isolate { host, lasts }),
    ]
}

fn fault(nodes: usize, anchored: bool) -> impl Strategy<Value = Fault> {
    // The node that matters is the one at work; now and then another.
    let at_work = if anchored { "@actor" } else { "@leader" };
    let node = prop_oneof![3 => Just(at_work.to_owned()), 1 => Just("@follower".to_owned()), 2 => node_name(nodes)];
    let node = node.boxed();
    let process = prop_oneof![5 => node.clone(), 1 => Just("redis".to_owned()), 1 => Just("broker".to_owned())].boxed();
    let service = prop::sample::select(vec!["redis", "store", "broker"]).prop_map(str::to_owned).boxed();
    let whose = prop::option::of(node.clone()).boxed();
    // Up to a few lease times, so that some pass it and some don't.
    let lasts = secs(1..=40).boxed();
    let step = prop_oneof![3 => secs(-60..=60).boxed(), 1 => secs(-7_200..=7_200).boxed()];
    let drift = prop_oneof![3 => -5_000_i64..=5_000, 1 => -60_000_i64..=60_000];
    prop_oneof![
        (node.clone(), service.clone(), lasts.clone())
            .prop_map(|(a, b, lasts)| Fault::Partition { between: [a, b], lasts }),
        (node.clone(), service.clone(), any::<bool>(), lasts.clone()).prop_map(|(a, b, there, lasts)| {
            let (from, to) = if there { (a, b) } else { (b, a) };
            Fault::OneWay { from, to, lasts }
        }),
        (prop_oneof![4 => node.clone(), 1 => service], lasts.clone())
            .prop_map(|(host, lasts)| Fault::Isolate { host, lasts }),
        (process.clone(), secs(1..=30)).prop_map(|(host, down)| Fault::Crash { host, down }),
        (process.clone(), secs(1..=30)).prop_map(|(host, down)| Fault::PowerLoss { host, down }),
        (process, lasts.clone()).prop_map(|(host, lasts)| Fault::Pause { host, lasts }),
        (node.clone(), lasts.clone()).prop_map(|(host, lasts)| Fault::PauseHeartbeats { host, lasts }),
        (prop_oneof![3 => node.clone(), 1 => Just("redis".to_owned())], step)
            .prop_map(|(host, by)| Fault::ClockStep { host, by }),
        (prop_oneof![3 => node, 1 => Just("redis".to_owned())], drift, secs(10..=60))
            .prop_map(|(host, ppm, lasts)| Fault::ClockDrift { host, ppm, lasts }),
        Just(Fault::RedisLosesData),
        (whose.clone(), secs(1..=30)).prop_map(|(host, lasts)| Fault::StoreFails { host, lasts }),
        (whose, secs(1..=15)).prop_map(|(host, lasts)| Fault::StoreLosesReplies { host, lasts }),
        (span(200..=6_000), secs(1..=30)).prop_map(|(by, lasts)| Fault::StoreSlow { by, lasts }),
        secs(5..=40).prop_map(|lasts| Fault::BrokerSilent { lasts }),
        secs(5..=40).prop_map(|lasts| Fault::BrokerOutage { lasts }),
        secs(5..=40).prop_map(|lasts| Fault::BrokerRefuses { lasts }),
        secs(5..=40).prop_map(|lasts| Fault::BrokerConfused { lasts }),
        prop_oneof![3 => Just(at_work.to_owned()), 1 => node_name(nodes)].prop_map(|host| Fault::StepDown { host }),
        (secs(1..=15), secs(5..=40)).prop_map(|(by, lasts)| Fault::BrokerLate { by, lasts }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::read;

    #[test]
    fn a_seed_always_draws_the_same_scenario() {
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn whatever_is_drawn_is_possible() {
        for seed in 0..300 {
            let scenario = draw(seed);
            assert_eq!(read::check(&scenario), Ok(()), "seed {seed}");
        }
    }
}
