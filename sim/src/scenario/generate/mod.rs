//! Scenarios drawn at random, as proptest strategies: what draws a sweep also draws, and shrinks, properties.
//!
//! First the [`swarm`], then what the sources send and what goes wrong within it. A sweep draws each of the three
//! from a substream of its own, so that one more signal moves no fault.

pub mod database;
pub mod faults;
pub mod meetings;
pub mod stories;
pub mod swarm;
pub mod workload;

use std::ops::RangeInclusive;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{Expect, FaultSpec, Scenario, SignalSpec, Span, StoreKind};
use crate::world::rng::Rng;
use swarm::Swarm;

/// How many signals each run of a sweep has.
const SIGNALS: usize = 5;

/// The scenario of `seed`: the same on any machine, for one version of this crate and its dependencies.
pub fn draw(seed: u64) -> Scenario {
    let swarm = swarm_of(seed);
    let signals = pick(seed, "workload", &workload::signals(&swarm, SIGNALS..=SIGNALS));
    let faults = pick(seed, "faults", &faults::faults(&swarm));
    assemble(format!("seed-{seed}"), seed, &swarm, signals, faults)
}

/// The longest time that a packet travels where a call of the store takes several round trips. A call takes up to
/// seven of them on a new connection, and bursts queue: from a tenth of a second on that may be longer than the nodes'
/// timeouts in a world that is well.
const NOT_FAR: Span = Span::millis(40);

/// The same on that store: a database on a host of its own fails too.
pub fn draw_on(seed: u64, store: StoreKind) -> Scenario {
    let mut scenario = draw(seed);
    scenario.world.store = store;
    if store == StoreKind::Postgres {
        scenario.world.latency_max = scenario.world.latency_max.min(NOT_FAR);
        scenario.faults.extend(pick(seed, "database", &database::faults(scenario.world.faults_for)));
    }
    scenario
}

/// The configuration of the run of `seed`.
pub fn swarm_of(seed: u64) -> Swarm {
    pick(seed, "swarm", &swarm::swarm())
}

/// Any scenario with so many signals, for properties.
pub fn scenario(signals: RangeInclusive<usize>) -> impl Strategy<Value = Scenario> {
    let within = move |swarm: Swarm| {
        let drawn = (workload::signals(&swarm, signals.clone()), faults::faults(&swarm), any::<u32>());
        drawn.prop_map(move |(signals, faults, seed)| assemble("drawn".into(), seed.into(), &swarm, signals, faults))
    };
    swarm::swarm().prop_flat_map(within)
}

fn assemble(name: String, seed: u64, swarm: &Swarm, signals: Vec<SignalSpec>, faults: Vec<FaultSpec>) -> Scenario {
    Scenario { name, seed, world: swarm.world(), signals, faults, expect: Expect::default() }
}

/// What a strategy draws from one named substream of a seed.
fn pick<S: Strategy>(seed: u64, substream: &str, strategy: &S) -> S::Value {
    let mut rng = Rng::new(seed, substream);
    let mut bytes = [0_u8; 32];
    for chunk in bytes.chunks_exact_mut(8) {
        chunk.copy_from_slice(&rng.next().to_le_bytes());
    }
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    strategy.new_tree(&mut runner).expect("no strategy here rejects anything").current()
}

/// A time in tenths of a second: short to read, fine enough to fall between any two events.
fn span(millis: RangeInclusive<i64>) -> impl Strategy<Value = Span> + use<> {
    (millis.start() / 100..=millis.end() / 100).prop_map(|tenths| Span::millis(tenths * 100))
}

fn secs(secs: RangeInclusive<i64>) -> impl Strategy<Value = Span> + use<> {
    span(secs.start() * 1_000..=secs.end() * 1_000)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::scenario::{Fault, read};

    #[test]
    fn a_seed_always_draws_the_same_scenario() {
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn whatever_is_drawn_is_possible() {
        for seed in 0..500 {
            let scenario = draw(seed);
            assert_eq!(read::check(&scenario), Ok(()), "seed {seed}");
        }
    }

    #[test]
    fn another_store_changes_nothing_else_and_stays_possible() {
        let mut struck = 0;
        for seed in 0..200 {
            let (plain, served) = (draw(seed), draw_on(seed, StoreKind::Postgres));
            assert_eq!(read::check(&served), Ok(()), "seed {seed}");
            assert_eq!(served.faults[..plain.faults.len()], plain.faults);
            struck += served.faults.len() - plain.faults.len();
            assert_eq!(draw_on(seed, StoreKind::Sqlite), plain);
        }
        assert!(struck > 100, "{struck}");
    }

    #[test]
    fn every_kind_is_drawn_and_only_within_its_swarm() {
        let mut drawn = BTreeSet::new();
        for seed in 0..2_000 {
            drawn.extend(draw(seed).faults.iter().map(|spec| spec.fault.name()));
        }
        assert_eq!(drawn, BTreeSet::from(Fault::NAMES));
    }
}
