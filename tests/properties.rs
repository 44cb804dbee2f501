//! The promises, as properties over generated fault schedules. A schedule that breaks one is shrunk, written as a
//! scenario file, and named together with the command that replays it.
//!
//! Drawn from fixed seeds, so that a test that passed passes again; `PROPTEST_CASES=1000 cargo test --test properties`
//! looks further, `PROPTEST_RNG_SEED=n` elsewhere, and `cargo signoff` much further.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oncegate_protocol::SignalState;
use oncegate_sim::mutants::Mutant;
use oncegate_sim::oracles::{at_most_once, epochs, fenced_claims, gate_lease, handled, store_agrees};
use oncegate_sim::runner::{Options, Run, failures, run};
use oncegate_sim::scenario::{Scenario, generate, read};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// How many schedules each property is tried on.
const CASES: u32 = 40;
/// Within how many schedules the planted bug must be caught.
const CAUGHT_WITHIN: u32 = 200;
/// How many smaller schedules are tried for one that fails.
const SHRINKS: u32 = 200;

/// What a property says against a run, if anything.
type Objection = Result<(), String>;

/// Runs generated schedules, until one breaks the property: then the smallest that was found, and its file.
fn search(
    property: &str,
    cases: u32,
    mutant: Option<Mutant>,
    judge: impl Fn(&Run) -> Objection,
) -> Option<(Scenario, PathBuf)> {
    let config = Config { cases, max_shrink_iters: SHRINKS, failure_persistence: None, ..Config::default() };
    let mut seed = [0_u8; 32];
    seed[..8].copy_from_slice(&chosen("PROPTEST_RNG_SEED").unwrap_or(0_u64).to_le_bytes());
    for (place, byte) in seed[8..].iter_mut().zip(property.bytes()) {
        *place = byte;
    }
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let options = Options { mutant, ..Options::default() };
    let tried =
        runner.run(&generate::scenario(1..=5), |scenario| judge(&run(&scenario, options)).map_err(TestCaseError::fail));
    match tried {
        Ok(()) => None,
        Err(TestError::Fail(_, smallest)) => {
            let smallest = Scenario { name: property.to_owned(), ..smallest };
            let found = run(&smallest, options);
            let path = failures::keep(Path::new(env!("CARGO_TARGET_TMPDIR")), &smallest, &found, mutant).unwrap();
            Some((smallest, path))
        }
        Err(TestError::Abort(reason)) => panic!("{property} could not be tried: {reason}"),
    }
}

/// What the environment asks for.
fn chosen<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Every schedule keeps the property.
fn holds(property: &str, judge: impl Fn(&Run) -> Objection) {
    if let Some((scenario, path)) = search(property, chosen("PROPTEST_CASES").unwrap_or(CASES), None, &judge) {
        let objection = judge(&run(&scenario, Options::default())).err().unwrap_or_default();
        panic!("{property}: {objection}\n{}", failures::replay_command(&path, None));
    }
}

/// The oracle has nothing to say.
fn silent(run: &Run, oracle: &str) -> Objection {
    match run.violations.iter().find(|violation| violation.oracle == oracle) {
        Some(violation) => Err(format!("{oracle}: {}", violation.what)),
        None => Ok(()),
    }
}

fn executed_at_most_once(run: &Run) -> Objection {
    let mut orders: BTreeMap<_, u32> = BTreeMap::new();
    for booked in &run.book {
        *orders.entry((booked.fingerprint, booked.leg)).or_default() += 1;
    }
    match orders.into_iter().find(|(_, count)| *count > 1) {
        Some(((fingerprint, _), count)) => Err(format!("{count} orders for {fingerprint:?}")),
        None => silent(run, at_most_once::NAME),
    }
}

#[test]
fn no_fingerprint_is_executed_twice() {
    holds("no-fingerprint-is-executed-twice", executed_at_most_once);
}

#[test]
fn every_signal_comes_to_an_end() {
    holds("every-signal-comes-to-an-end", |run| {
        // What is no signal has no end to come to.
        for signal in run.signals.iter().filter(|signal| signal.fingerprint.is_some()) {
            match signal.state {
                Some(state) if state.is_settled() => {}
                Some(_) | None => {
                    return Err(format!("{} ends as {:?}", signal.id, signal.state));
                }
            }
        }
        silent(run, handled::NAME)
    });
}

#[test]
fn the_store_agrees_with_the_broker() {
    holds("the-store-agrees-with-the-broker", |run| {
        for signal in run.signals.iter().filter(|signal| signal.state == Some(SignalState::Executed)) {
            // With the orders of all its legs: that is the oracle's.
            if !run.book.iter().any(|booked| Some(booked.fingerprint) == signal.fingerprint) {
                return Err(format!("{} is executed, and the broker has no order for it", signal.id));
            }
        }
        silent(run, store_agrees::NAME)
    });
}

#[test]
fn claims_are_fenced() {
    holds("claims-are-fenced", |run| silent(run, fenced_claims::NAME));
}

#[test]
fn epochs_rise() {
    holds("epochs-rise", |run| silent(run, epochs::NAME));
}

#[test]
fn open_gates_hold_the_lease() {
    holds("open-gates-hold-the-lease", |run| silent(run, gate_lease::NAME));
}

#[test]
fn every_oracle_holds() {
    holds("every-oracle-holds", |run| match run.violations.first() {
        Some(violation) => Err(format!("{}: {}", violation.oracle, violation.what)),
        None => Ok(()),
    });
}

/// A search that finds nothing is suspect: this one must find the double execution of the replaced system, and
/// what it leaves behind must show it again.
#[test]
fn the_planted_bug_is_caught_and_its_counterexample_replays() {
    let mutant = Some(Mutant::CheckThenAct);
    let options = Options { mutant, ..Options::default() };
    let (smallest, path) =
        search("planted-bug", CAUGHT_WITHIN, mutant, executed_at_most_once).expect("the planted bug is caught");
    let found = run(&smallest, options);
    let kept = read::file(&path).unwrap_or_else(|bad| panic!("{bad}"));
    assert_eq!(Scenario { name: smallest.name.clone(), ..kept.clone() }, smallest);
    let replayed = run(&kept, options);
    assert!(replayed.breaks(Some(at_most_once::NAME)));
    assert_eq!(replayed.violations, found.violations);
    assert_eq!(replayed.hash, found.hash, "{}", failures::replay_command(&path, mutant));
    assert!(executed_at_most_once(&run(&kept, Options::default())).is_ok(), "the production code survives it");
}
