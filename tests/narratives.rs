//! The stories that people read when something broke, as they read them. `cargo insta review` after a change that
//! is meant; the trace hash is left out, because it changes with every word of the protocol.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use oncegate_sim::mutants::Mutant;
use oncegate_sim::report::narrative;
use oncegate_sim::runner::explore::{self, Sweep};
use oncegate_sim::runner::{Options, run, shrink};
use oncegate_sim::scenario::{generate, read};

fn told(name: &str, mutant: Option<Mutant>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(format!("{name}.toml"));
    let scenario = read::file(&path).unwrap_or_else(|bad| panic!("{bad}"));
    let run = run(&scenario, Options { keep_story: true, mutant, ..Options::default() });
    narrative::tell(&run).replace(&run.hash, "[hash]")
}

#[test]
fn two_leaders_and_one_order() {
    insta::assert_snapshot!(told("two-leaders-at-once", None));
}

#[test]
fn two_leaders_and_two_orders_in_the_replaced_system() {
    insta::assert_snapshot!(told("two-leaders-at-once", Some(Mutant::CheckThenAct)));
}

#[test]
fn a_crash_between_order_and_outcome() {
    insta::assert_snapshot!(told("crashed-after-the-order", None));
}

/// What the README quotes is what its command prints; the trace hash and the first processes aside.
#[test]
fn the_readme_shows_what_its_command_prints() {
    let mutant = Mutant::CheckThenAct;
    let found = explore::sweep(Sweep::new(50, 1_000).with_mutant(Some(mutant)), "readme");
    let seed = found.failed.expect("the planted bug is caught within 50 runs");
    let limits = shrink::Limits::default();
    let small = shrink::shrink(&generate::draw(seed), Some(mutant), Some(mutant.against()), limits, &shrink::bar());
    let run = small.expect("what a sweep found fails again").run;
    let readme = include_str!("../README.md");
    for line in narrative::tell(&run).lines() {
        let left_out = line.starts_with("trace hash") || line.ends_with("process 1 starts");
        assert!(left_out || readme.contains(line.trim_end()), "README.md lacks: {line}");
    }
}
