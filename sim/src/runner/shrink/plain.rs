//! What makes a scenario plain without making it shorter: gentler faults, no deadlines, the default world, first
//! seeds and first names.

use super::search::Best;
use super::structure::with_fault;
use crate::scenario::{BrokerKind, Scenario, Span, WorldSpec};

/// Seeds that read better than a drawn one.
const FIRST_SEEDS: u64 = 10;
/// A gentler fault may need longer to do the same.
const LONG_ENOUGH: Span = Span::secs(20);

pub(super) fn gentler_faults(best: &Best) -> Vec<Scenario> {
    let mut gentler = Vec::new();
    for (number, spec) in best.scenario.faults.iter().enumerate() {
        for fault in spec.fault.gentler() {
            let same = with_fault(&best.scenario, number, |spec| spec.fault = fault);
            let mut longer = same.clone();
            longer.faults[number].fault.set_lasts(LONG_ENOUGH);
            let needs = longer.faults[number].at.unwrap_or_default().as_millis() + LONG_ENOUGH.as_millis();
            longer.world.faults_for = longer.world.faults_for.max(Span::millis(needs));
            gentler.extend([same, longer]);
        }
    }
    gentler
}

pub(super) fn no_deadlines(best: &Best) -> Vec<Scenario> {
    let with_deadline = (0..best.scenario.signals.len()).filter(|at| best.scenario.signals[*at].good_for.is_some());
    with_deadline
        .map(|at| {
            let mut other = best.scenario.clone();
            other.signals[at].good_for = None;
            other
        })
        .collect()
}

pub(super) fn plain_world(best: &Best) -> Vec<Scenario> {
    let scenario = &best.scenario;
    let of_broker = |broker| Scenario { world: WorldSpec { broker, ..scenario.world.clone() }, ..scenario.clone() };
    let WorldSpec { latency_min, latency_max, .. } = WorldSpec::default();
    let latency = WorldSpec { latency_min, latency_max, ..scenario.world.clone() };
    vec![
        of_broker(BrokerKind::Deduplicates),
        of_broker(BrokerKind::LooksUp),
        Scenario { world: latency, ..scenario.clone() },
    ]
}

pub(super) fn first_seeds(best: &Best) -> Vec<Scenario> {
    (0..FIRST_SEEDS).map(|seed| Scenario { seed, ..best.scenario.clone() }).collect()
}

/// S1, S2 ... in the order in which they are sent.
pub(super) fn first_names(best: &Best) -> Vec<Scenario> {
    let mut named = best.scenario.clone();
    for (number, signal) in (1..).zip(&mut named.signals) {
        signal.id = format!("S{number}");
    }
    vec![named]
}
