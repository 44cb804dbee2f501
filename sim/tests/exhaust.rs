//! The enumeration: what is in it, that it is the same each time, that it is carried out whole, and that it finds
//! what it should.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use oncegate_sim::mutants::Mutant;
use oncegate_sim::runner::exhaust::{Baseline, Cell, Enumeration, Harm, Plan, exhaust};
use oncegate_sim::runner::{Options, run};
use oncegate_sim::scenario::{BrokerKind, read};
use oncegate_sim::world::calls::CallName;

#[test]
fn the_enumeration_is_the_same_each_time_and_large_enough() {
    let plan = Plan::default();
    let (once, again) = (Enumeration::of(&plan), Enumeration::of(&plan));
    assert!(once.singles() >= 3_000, "{} single faults", once.singles());
    assert_eq!((once.singles(), once.pairs()), (again.singles(), again.pairs()));
    let mut names = BTreeSet::new();
    for number in 0..once.singles() + 200 {
        let (one, other) = (once.get(number).unwrap(), again.get(number).unwrap());
        assert_eq!(one.scenario, other.scenario);
        assert_eq!(read::check(&one.scenario), Ok(()), "{}", one.scenario.name);
        assert!(names.insert(one.scenario.name.clone()), "{} comes twice", one.scenario.name);
    }
    for group in &once.groups {
        assert_eq!(group.broken, [""; 0], "{} breaks promises undisturbed", group.scenario.name);
        assert_eq!(group.boundaries.late, 0, "{} is too short", group.scenario.name);
    }
}

/// Each call that a node can make is in it, and all its sides.
#[test]
fn no_boundary_of_a_signals_life_is_missing() {
    let mut wrong = Vec::new();
    for broker in BrokerKind::ALL {
        let all = Enumeration::of(&Plan { brokers: vec![broker], ..Plan::default() });
        let boundaries = || all.groups.iter().flat_map(|group| &group.boundaries.distinct);
        for call in CallName::ALL {
            let met = match call {
                // Only an order in doubt that can't be placed again is asked for (a broker that forgets after a minute
                // has not forgotten when the next leader comes); only where nobody can know, an operator says.
                CallName::LookUp => matches!(broker, BrokerKind::UntilFilled | BrokerKind::LooksUp),
                CallName::ResolveSignal => broker == BrokerKind::Blind,
                _ => true,
            };
            let mine: Vec<_> = boundaries().filter(|boundary| boundary.call == call).collect();
            let answered = mine.iter().any(|boundary| boundary.after.is_some());
            let carried_out = mine.iter().any(|boundary| boundary.applied.is_some()) || call == CallName::LookUp;
            if mine.is_empty() == met || (met && !(answered && carried_out)) {
                wrong.push((broker.name(), call, mine.len(), answered, carried_out));
            }
        }
        for harm in Harm::ALL {
            assert!(all.groups.iter().all(|group| group.cells.iter().any(|cell| cell.harm == harm)), "{harm:?}");
        }
    }
    assert_eq!(wrong, [], "broker, call, how many, answered, carried out");
}

/// A part of everything, thin.
#[test]
fn a_slice_runs_clean() {
    let done = exhaust(&Plan { shard: (7, 150), pairs: 0, ..Plan::default() }, |_| {});
    assert!(done.holds(), "{:?} {:?}", done.failures.first(), done.errors);
    assert!(done.singles_run > 20 && done.singles_held == done.singles_run);
}

#[test]
fn a_planted_bug_is_caught_in_a_slice() {
    let plan = Plan {
        baselines: vec![Baseline::Takeover],
        brokers: vec![BrokerKind::Blind],
        shard: (1, 10),
        mutant: Some(Mutant::CheckThenAct),
        all: true,
        ..Plan::default()
    };
    let done = exhaust(&plan, |_| {});
    assert!(done.by_oracle.contains_key("at-most-once"), "{:?}", done.by_oracle);
}

#[test]
fn shards_are_the_whole() {
    let plan = |part, of| Plan { shard: (part, of), pairs: 10, from: 5, ..Plan::default() };
    let all = Enumeration::of(&plan(1, 1));
    let mut parts = all.numbers(&plan(1, 2));
    parts.extend(all.numbers(&plan(2, 2)));
    parts.sort_unstable();
    assert_eq!(parts, all.numbers(&plan(1, 1)));
    assert_eq!((parts[0], *parts.last().unwrap()), (5, all.singles() + 9));
}

/// Found by the enumeration: the judge of handovers was not told that the port had answered, and took an order that
/// never left for one under way when its leader left.
#[test]
fn an_order_that_never_left_keeps_no_leader_from_leaving() {
    let plan = Plan { baselines: vec![Baseline::StepDown], brokers: vec![BrokerKind::LooksUp], ..Plan::default() };
    let all = Enumeration::of(&plan);
    let group = &all.groups[0];
    let of_the_order = |cell: &&Cell| {
        group.boundaries.distinct[cell.boundary].call == CallName::Place && cell.harm == Harm::ErrorBefore
    };
    let cell = group.cells.iter().find(of_the_order).unwrap();
    let once = run(&cell.put_into(&group.scenario), Options::default());
    assert_eq!((once.violations, once.unstruck), (vec![], vec![]));
}
