//! The production store for PostgreSQL in the simulated world: the recorded scenarios end on it as they do on SQLite,
//! its host can fail like any other, and a guard that is missing in what it is sent shows.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use oncegate_sim::mutants::Mutant;
use oncegate_sim::runner::signoff::recorded;
use oncegate_sim::runner::{Options, Run, run};
use oncegate_sim::scenario::{Anchor, Expect, Fault, FaultSpec, Scenario, Span, StoreKind, generate, read};
use oncegate_sim::world::anchor::Point;

/// What this one expects does not come about here, and no oracle may object to it either. Its signal is sent at the
/// first instant of the world, when a node that opens its store over the network does not listen yet; the sender comes
/// back 5 s later, and the outage is over before the broker may have forgotten.
const OTHERWISE: [&str; 1] = ["forgotten-while-it-was-repeated"];

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

fn on_postgres(scenario: Scenario) -> Scenario {
    let mut scenario = scenario;
    scenario.world.store = StoreKind::Postgres;
    scenario
}

fn story(name: &str) -> Scenario {
    on_postgres(read::file(&folder().join(format!("{name}.toml"))).unwrap_or_else(|bad| panic!("{bad}")))
}

fn holds(scenario: &Scenario) -> Run {
    let once = run(scenario, Options::default());
    assert_eq!(once.violations, [], "{}", scenario.name);
    assert_eq!(run(scenario, Options::default()).hash, once.hash, "{} differs from run to run", scenario.name);
    once
}

#[test]
fn the_recorded_scenarios_end_as_they_do_on_sqlite() {
    for (path, scenario) in recorded(&folder()).unwrap_or_else(|bad| panic!("{bad}")) {
        let scenario = on_postgres(scenario);
        let once = run(&scenario, Options::default());
        let otherwise = OTHERWISE.contains(&scenario.name.as_str());
        let broken: Vec<_> = once.violations.iter().filter(|v| !otherwise || v.oracle != "expectations").collect();
        assert!(broken.is_empty(), "cargo sim replay --store postgres {}: {broken:?}", path.display());
        assert_eq!(run(&scenario, Options::default()).hash, once.hash, "{} differs from run to run", path.display());
        if otherwise {
            assert!(!once.violations.is_empty(), "{} ends as on sqlite by now: strike it off", scenario.name);
        }
    }
}

/// The same story, told when the node listens.
#[test]
fn what_ends_otherwise_ends_the_same_a_little_later() {
    let mut scenario = story("regressions/forgotten-while-it-was-repeated");
    scenario.signals[0].at = Span::millis(100);
    holds(&scenario);
}

/// A few of a sweep, in which the database's host is struck as well: `cargo sim explore --store postgres` does more.
#[test]
fn drawn_scenarios_hold_and_are_the_same_twice() {
    let mut database_struck = 0;
    for seed in 1..=30 {
        let scenario = generate::draw_on(seed, StoreKind::Postgres);
        database_struck += usize::from(scenario.faults.iter().any(|spec| spec.fault.hosts().contains(&"store")));
        holds(&scenario);
    }
    assert!(database_struck > 10, "{database_struck}");
}

/// The database's power fails at the instant at which the claim was committed: nobody knows that it was.
#[test]
fn a_commit_whose_reply_is_lost_with_its_host_is_read_back() {
    let quiet = story("claim-reply-lost");
    let lost: FaultSpec = FaultSpec {
        at: None,
        when: Some(Anchor { point: Point::Claimed, nth: 1, by: None }),
        fault: Fault::PowerLoss { host: "store".into(), down: Span::secs(3) },
    };
    let scenario = Scenario { faults: vec![lost], expect: Expect::default(), ..quiet };
    assert_eq!(read::check(&scenario), Ok(()));
    let once = holds(&scenario);
    assert_eq!(once.book.len(), 1, "the claim stands, and its order is sent once");
}

/// The guard taken out of the statement that the server is sent, and out of the trigger behind it.
#[test]
fn a_claim_that_does_not_ask_for_the_epoch_is_caught() {
    for mutant in [Mutant::ClaimWithoutEpoch, Mutant::EpochCheckedBeforeClaim] {
        let scenario = Scenario { expect: Expect::default(), ..story("successor-stands-still") };
        assert!(run(&scenario, Options::default()).holds());
        let broken = run(&scenario, Options { mutant: Some(mutant), ..Options::default() });
        assert!(broken.breaks(Some("fenced-claims")), "{}: {:?}", mutant.name(), broken.violations);
    }
}

/// What can't be planted here does not pass for a coordinator that withstands it.
#[test]
fn a_bug_that_this_store_can_not_have_fails_the_run() {
    let scenario = story("one-signal-to-every-node");
    let run = run(&scenario, Options { mutant: Some(Mutant::VacateResetsEpoch), ..Options::default() });
    assert!(run.breaks(Some("world")));
}

#[test]
fn only_a_database_that_is_a_host_can_be_struck_as_one() {
    let scenario = story("one-signal-to-every-node");
    let crash = FaultSpec {
        at: Some(Span::secs(5)),
        when: None,
        fault: Fault::Crash { host: "store".into(), down: Span::secs(1) },
    };
    let mut struck = Scenario { faults: vec![crash], ..scenario };
    assert_eq!(read::check(&struck), Ok(()));
    struck.world.store = StoreKind::Sqlite;
    assert!(read::check(&struck).is_err());
}
