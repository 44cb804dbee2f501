//! What failures shrink to: small, the same each time, broken by the bug and by nothing else, and still broken when
//! something unrelated changes.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use indicatif::ProgressBar;
use oncegate_sim::mutants::Mutant;
use oncegate_sim::runner::explore::{self, Sweep};
use oncegate_sim::runner::shrink::{Limits, Shrunk, Size, shrink};
use oncegate_sim::runner::{Options, failures, run};
use oncegate_sim::scenario::{Scenario, Span, generate, read};

const MUTANT: Option<Mutant> = Some(Mutant::CheckThenAct);

fn first_failure(seed: u64, oracle: Option<&'static str>) -> Scenario {
    let sweep = Sweep { oracle, ..Sweep::new(200, seed).with_mutant(MUTANT) };
    generate::draw(explore::sweep(sweep, "shrink").failed.expect("the planted bug is caught within 200 runs"))
}

fn shrunk(scenario: &Scenario, oracle: &'static str) -> Shrunk {
    shrink(scenario, MUTANT, Some(oracle), Limits::default(), &ProgressBar::hidden()).expect("it fails")
}

#[test]
fn a_minimal_scenario_survives_changes_that_have_nothing_to_do_with_it() {
    let oracle = "at-most-once";
    let small = shrunk(&first_failure(1, Some(oracle)), oracle);
    assert!(small.size.faults <= 2 && small.size.nodes <= 2 && small.size.signals <= 1, "{}", small.size);
    assert_eq!(small.neighbours, Shrunk::NEIGHBOURS);
    assert!(small.scenario.faults.iter().all(|spec| spec.when.is_some()), "{:?}", small.scenario.faults);
    assert!(small.scenario.faults.iter().all(|spec| spec.fault.hosts().iter().all(|host| !host.starts_with('n'))));

    let options = Options { keep_story: false, mutant: MUTANT, ..Options::default() };
    // The protocol's own times, all of them.
    for percent in [90, 95, 105, 110] {
        let mut scaled = small.scenario.clone();
        scaled.world.timing = scaled.world.timing.scaled_by(percent);
        assert!(run(&scaled, options).breaks(Some(oracle)), "times at {percent} %");
    }
    // Who leads first, and how long each packet travels.
    for seed in [1, 2, 3, 77, 4_711] {
        assert!(run(&Scenario { seed, ..small.scenario.clone() }, options).breaks(Some(oracle)), "network {seed}");
    }
    // A slower network.
    let mut slow = small.scenario.clone();
    (slow.world.latency_min, slow.world.latency_max) = (Span::millis(5), Span::millis(20));
    assert!(run(&slow, options).breaks(Some(oracle)));
    // One node more.
    let mut larger = small.scenario.clone();
    larger.world.nodes += 1;
    assert!(run(&larger, options).breaks(Some(oracle)));
}

/// It is the bug that fails and not the scenario: production code keeps the promise there.
#[test]
fn production_code_holds_in_what_a_mutant_shrinks_to() {
    for oracle in ["at-most-once", "store-agrees"] {
        let small = shrunk(&first_failure(3_000, Some(oracle)), oracle);
        assert_eq!(small.oracle, oracle);
        assert!(small.run.breaks(Some(oracle)));
        let production = run(&small.scenario, Options::default());
        assert_eq!(production.violations, [], "{oracle}");
    }
}

/// A promise that is judged at the end is broken for good, not late.
#[test]
fn what_is_owed_at_the_end_stays_owed() {
    let small = shrunk(&first_failure(1_000, Some("handled")), "handled");
    let mut later = small.scenario.clone();
    assert!(later.world.healed_for >= read::LEAST_HEALED);
    later.world.healed_for = Span::secs(3_600);
    assert!(run(&later, Options { keep_story: false, mutant: MUTANT, ..Options::default() }).breaks(Some("handled")));
}

#[test]
fn a_failure_always_shrinks_to_the_same_scenario() {
    let scenario = first_failure(5_000, Some("at-most-once"));
    let (once, twice) = (shrunk(&scenario, "at-most-once"), shrunk(&scenario, "at-most-once"));
    assert_eq!(once.scenario, twice.scenario);
    assert_eq!((once.tried, once.kept, once.run.hash), (twice.tried, twice.kept, twice.run.hash));
    // And what is small already stays as it is.
    assert_eq!(shrunk(&once.scenario, "at-most-once").scenario, once.scenario);
}

#[test]
fn few_runs_still_give_a_failure() {
    let scenario = first_failure(1, Some("at-most-once"));
    let some = shrink(&scenario, MUTANT, Some("at-most-once"), Limits { runs: 20 }, &ProgressBar::hidden()).unwrap();
    assert!(some.run.breaks(Some("at-most-once")));
    assert!(some.size < Size::of(&scenario), "{}", some.size);
}

#[test]
fn what_holds_cant_be_shrunk() {
    let scenario = generate::draw(5);
    assert!(shrink(&scenario, None, None, Limits::default(), &ProgressBar::hidden()).is_none());
}

/// A story without its part in it would fail of itself.
#[test]
fn a_story_that_is_told_wrongly_stays_whole() {
    let mut scenario = generate::draw(5);
    scenario.expect.orders = Some(1_000);
    let same = shrink(&scenario, None, None, Limits::default(), &ProgressBar::hidden()).unwrap();
    assert_eq!((same.oracle, same.scenario), ("expectations", scenario));
}

#[test]
fn what_is_kept_reads_back_and_ends_with_its_command() {
    let small = shrunk(&first_failure(1, Some("at-most-once")), "at-most-once");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shrunk");
    let path = failures::keep_shrunk(&folder, &small, MUTANT, "a test").unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let story: Vec<_> = text.lines().take_while(|line| line.starts_with('#')).collect();
    assert!(story[0].starts_with("# at-most-once is broken, with the planted bug check-then-act: signal S1 was"));
    assert_eq!(*story.last().unwrap(), format!("# {}", failures::replay_command(&path, MUTANT)));
    let read = read::file(&path).unwrap();
    assert_eq!(Scenario { name: small.scenario.name.clone(), ..read }, small.scenario);
}
