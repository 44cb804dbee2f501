//! Both engines come to the same verdict on every recorded scenario: on the production code, and on the planted bug.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use oncegate_sim::mutants::Mutant;
use oncegate_sim::runner::engines::{Agreement, compare};
use oncegate_sim::runner::signoff::recorded;
use oncegate_sim::runner::{Options, pool, run};
use oncegate_sim::scenario::Scenario;
use oncegate_sim::world::engine::Engine;

fn corpus() -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    recorded(&folder).unwrap_or_else(|bad| panic!("{bad}")).into_iter().map(|(_, scenario)| scenario).collect()
}

/// Every scenario of the corpus on both engines, on all cores.
fn compared(mutant: Option<Mutant>) -> Vec<Agreement> {
    let corpus = corpus();
    let bar = pool::bar("engines", corpus.len() as u64);
    let each = pool::each(corpus.len() as u64, &bar, |number| {
        (compare(&corpus[usize::try_from(number).unwrap()], mutant), false)
    });
    each.into_iter().map(|(_, agreement)| agreement).collect()
}

#[test]
fn the_corpus_holds_on_both_engines_and_ends_alike() {
    let differing: Vec<_> = compared(None)
        .into_iter()
        .filter(|both| !both.holds() || !both.agrees())
        .map(|both| both.to_string())
        .collect();
    assert!(differing.is_empty(), "a bug in one of the two:\n{}", differing.join("\n"));
}

#[test]
fn the_planted_bug_breaks_the_same_promises_on_both_engines() {
    let compared = compared(Some(Mutant::CheckThenAct));
    let differing: Vec<_> = compared.iter().filter(|both| !both.agrees()).map(ToString::to_string).collect();
    assert!(differing.is_empty(), "a bug in one of the two:\n{}", differing.join("\n"));
    let doubled = compared.iter().filter(|both| both.breaks(Mutant::CheckThenAct.against()) == (true, true)).count();
    assert!(doubled >= 2, "the corpus shows how the replaced system executes a signal twice");
}

#[test]
fn the_reference_is_deterministic_too() {
    let options = Options { keep_story: true, engine: Engine::Turmoil, ..Options::default() };
    let scenario = &corpus()[0];
    assert_eq!(run(scenario, options).hash, run(scenario, options).hash);
}
