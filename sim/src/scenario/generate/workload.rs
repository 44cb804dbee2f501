//! What the sources of a run send.

use proptest::prelude::*;

use super::swarm::Swarm;
use super::{secs, span};
use crate::scenario::{Form, SignalSpec};

/// The most signals in one burst.
const MOST_IN_A_BURST: u32 = 50;

/// So many signals, in order of their times.
pub fn signals(
    swarm: &Swarm,
    count: std::ops::RangeInclusive<usize>,
) -> impl Strategy<Value = Vec<SignalSpec>> + use<> {
    let burst = if swarm.burst { (2..=MOST_IN_A_BURST).boxed() } else { Just(1).boxed() };
    (prop::collection::vec(signal(swarm), count), burst).prop_map(|(mut signals, burst)| {
        signals.sort_by_key(|signal| signal.at);
        for (signal, number) in signals.iter_mut().zip(1..) {
            signal.id = format!("S{number}");
        }
        if let Some(first) = signals.first_mut() {
            first.burst = burst;
        }
        signals
    })
}

fn signal(swarm: &Swarm) -> impl Strategy<Value = SignalSpec> + use<> {
    let nodes = swarm.nodes;
    let faults_end = swarm.faults_for.as_millis();
    let (mirrored, addressed) = (swarm.mirrored, swarm.addressed);
    let to = (0..10_u32, 1..=nodes, 1..nodes).prop_map(move |(chance, first, step)| {
        if chance >= mirrored {
            return vec![format!("n{first}")];
        }
        let second = (first - 1 + step) % nodes + 1;
        vec![format!("n{first}"), format!("n{second}")]
    });
    let good_for = prop::option::weighted((f64::from(swarm.deadlines) / 10.0).max(0.02), secs(5..=120));
    let times = if swarm.repeats { prop_oneof![1 => Just(1_u32), 1 => Just(4)].boxed() } else { Just(1).boxed() };
    let form = if swarm.odd_bodies {
        prop_oneof![4 => Just(Form::Well), 1 => Just(Form::Malformed), 1 => Just(Form::DuplicateKey)].boxed()
    } else {
        Just(Form::Well).boxed()
    };
    let legs = prop_oneof![20 => Just(1_u32), 3 => Just(2), 1 => Just(3)];
    (span(5_000..=faults_end - 5_000), to, good_for, legs, times, form).prop_map(move |drawn| {
        let (at, to, good_for, legs, times, form) = drawn;
        let form = if addressed && form == Form::Well { Form::Addressed } else { form };
        SignalSpec { id: String::new(), at, to, good_for, legs, burst: 1, times, form }
    })
}
