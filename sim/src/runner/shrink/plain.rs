//! What makes a scenario plain without making it shorter: gentler faults, no deadlines, the default world, first
//! seeds and first names.

use super::search::Best;
use super::structure::with_fault;
use crate::scenario::{BrokerKind, Form, Scenario, SignalSpec, Span, TimingSpec, WorldSpec};

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

/// No deadlines, bursts, repeats and odd bodies: all of it, else one thing at one signal.
pub(super) fn plain_signals(best: &Best) -> Vec<Scenario> {
    type Plainer = fn(&mut SignalSpec);
    const WAYS: [Plainer; 7] = [
        |signal| {
            *signal = SignalSpec { good_for: None, legs: 1, burst: 1, times: 1, form: Form::Well, ..signal.clone() }
        },
        |signal| signal.good_for = None,
        |signal| signal.legs = 1,
        |signal| signal.legs = signal.legs.min(2),
        |signal| signal.burst = 1,
        |signal| signal.times = 1,
        |signal| signal.form = Form::Well,
    ];
    let mut plainer = Vec::new();
    for at in 0..best.scenario.signals.len() {
        for way in WAYS {
            let mut other = best.scenario.clone();
            way(&mut other.signals[at]);
            if other != best.scenario {
                plainer.push(other);
            }
        }
    }
    plainer
}

pub(super) fn plain_world(best: &Best) -> Vec<Scenario> {
    let scenario = &best.scenario;
    let of_broker = |broker| Scenario { world: WorldSpec { broker, ..scenario.world.clone() }, ..scenario.clone() };
    let WorldSpec { latency_min, latency_max, .. } = WorldSpec::default();
    let latency = WorldSpec { latency_min, latency_max, ..scenario.world.clone() };
    let production = WorldSpec { timing: TimingSpec::default(), ..scenario.world.clone() };
    let whole_bodies = WorldSpec { identity: Vec::new(), ..scenario.world.clone() };
    // Under longer times of the protocol faults must last longer to do the same.
    let mut longer = Scenario { world: production.clone(), ..scenario.clone() };
    for spec in &mut longer.faults {
        spec.fault.set_lasts(LONG_ENOUGH);
        let ends = Span::millis(spec.at.unwrap_or_default().as_millis() + LONG_ENOUGH.as_millis());
        longer.world.faults_for = longer.world.faults_for.max(ends);
    }
    let brokers = BrokerKind::ALL.into_iter().filter(|kind| *kind != scenario.world.broker).map(of_broker);
    let worlds = [latency, production, whole_bodies].map(|world| Scenario { world, ..scenario.clone() });
    brokers.chain(worlds).chain([longer]).collect()
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
