//! Pairs of faults that belong together. Each fault alone is harmless where the other does not strike, and chance
//! brings the two together about once in a thousand runs; each pair was found by asking why a planted bug survived.

use proptest::prelude::*;

use super::{Anchor, Fault, FaultSpec, Span};
use crate::world::anchor::Point;

fn secs(least: i64, most: i64) -> impl Strategy<Value = Span> {
    (least * 10..=most * 10).prop_map(|tenths| Span::millis(tenths * 100))
}

fn when(point: Point, nth: u32, fault: Fault) -> FaultSpec {
    FaultSpec { at: None, when: Some(Anchor { point, nth, by: None }), fault }
}

fn actor() -> String {
    "@actor".to_owned()
}

/// One of the pairs. The times are such that both outcomes are drawn: the second fault in time, and too late.
pub fn pairs(nodes: usize, faults_end: i64) -> impl Strategy<Value = Vec<FaultSpec>> {
    prop_oneof![successor_stands_still(), one_slow_call(), refused_before_accepted(), late_copy(nodes, faults_end)]
}

/// A claim of the deposed leader arrives when its successor has an epoch, and has done nothing under it yet.
fn successor_stands_still() -> impl Strategy<Value = Vec<FaultSpec>> {
    (1..=3_u32, secs(11, 17), 2..=3_u32, secs(3, 9)).prop_map(|(claim, first, epoch, second)| {
        vec![
            when(Point::ClaimSending, claim, Fault::Pause { host: actor(), lasts: first }),
            when(Point::EpochOpened, epoch, Fault::Pause { host: actor(), lasts: second }),
        ]
    })
}

/// One call to the store is under way for longer than its caller waits; those after it are not.
fn one_slow_call() -> impl Strategy<Value = Vec<FaultSpec>> {
    let point = prop::sample::select(vec![Point::ClaimSending, Point::OutcomeSending]);
    (point, 1..=5_u32, secs(2, 8)).prop_map(|(point, nth, by)| {
        let lasts = Span::millis(1_000);
        vec![when(point, nth, Fault::StoreSlow { by, lasts })]
    })
}

/// The broker takes its time over an order, and refuses the repeat before it has taken the first.
fn refused_before_accepted() -> impl Strategy<Value = Vec<FaultSpec>> {
    (1..=5_u32, secs(5, 15), secs(5, 20)).prop_map(|(nth, by, refuses)| {
        vec![
            when(Point::OrderSending, nth, Fault::BrokerLate { by, lasts: Span::secs(2) }),
            when(Point::OutcomeSending, nth, Fault::BrokerRefuses { lasts: refuses }),
        ]
    })
}

/// The broker dies with the answer to an order, or a source can't reach one node for minutes.
fn late_copy(nodes: usize, faults_end: i64) -> impl Strategy<Value = Vec<FaultSpec>> {
    let dies = (1..=5_u32, secs(1, 5))
        .prop_map(|(nth, down)| vec![when(Point::OrderBooked, nth, Fault::Crash { host: "broker".into(), down })]);
    let last = faults_end / 1_000 - 121;
    let cut_off = (1..=nodes, secs(5, last), secs(60, 120)).prop_map(|(node, at, lasts)| {
        let between = ["source".to_owned(), format!("n{node}")];
        vec![FaultSpec { at: Some(at), when: None, fault: Fault::Partition { between, lasts } }]
    });
    prop_oneof![dies, cut_off]
}

#[cfg(test)]
mod tests {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::*;
    use crate::scenario::{Expect, Scenario, SignalSpec, WorldSpec, read};

    #[test]
    fn every_pair_is_possible() {
        let world = WorldSpec::default();
        let faults_end = world.faults_for.as_millis();
        let signal = SignalSpec { id: "S".into(), at: Span::secs(20), to: vec!["n1".into()], good_for: None };
        let mut runner = TestRunner::deterministic();
        for _ in 0..200 {
            let faults = pairs(world.nodes, faults_end).new_tree(&mut runner).unwrap().current();
            let (world, signals) = (world.clone(), vec![signal.clone()]);
            let scenario = Scenario { name: "pair".into(), seed: 1, world, signals, faults, expect: Expect::default() };
            assert_eq!(read::check(&scenario), Ok(()));
        }
    }
}
