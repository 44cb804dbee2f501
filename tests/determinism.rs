//! A run is determined by its scenario: the same trace hash again, beside other runs, and in another process; and
//! another one for any other seed.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::process::Command;

use oncegate_sim::runner::{Options, run};
use oncegate_sim::scenario::{Scenario, generate};

/// Names the seeds whose hashes a child process of this test prints.
const SEEDS_ASKED_FOR: &str = "ONCEGATE_HASHES_OF_SEEDS";

fn hash_of(scenario: &Scenario) -> String {
    run(scenario, Options::default()).hash
}

#[test]
fn the_same_scenario_gives_the_same_hash() {
    for seed in 100..106 {
        let scenario = generate::draw(seed);
        assert_eq!(hash_of(&scenario), hash_of(&scenario), "cargo sim explore --twice --runs 1 --seed {seed}");
    }
}

#[test]
fn keeping_the_story_changes_nothing() {
    let scenario = generate::draw(107);
    let with_story = run(&scenario, Options { keep_story: true, mutant: None, ..Options::default() });
    assert!(!with_story.story.is_empty());
    assert_eq!(with_story.hash, hash_of(&scenario));
}

#[test]
fn runs_beside_each_other_do_not_see_each_other() {
    let scenario = generate::draw(108);
    let alone = hash_of(&scenario);
    let beside: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| hash_of(&scenario))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert_eq!(beside, vec![alone; 4]);
}

#[test]
fn another_seed_gives_another_hash() {
    let drawn: BTreeSet<_> = (110..116).map(|seed| hash_of(&generate::draw(seed))).collect();
    assert_eq!(drawn.len(), 6);
    // The same story, with other latencies and nonces.
    let scenario = generate::draw(110);
    assert_ne!(hash_of(&Scenario { seed: 1, ..scenario.clone() }), hash_of(&Scenario { seed: 2, ..scenario }));
}

#[test]
fn another_process_gives_the_same_hash() {
    let printed = || {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "prints_hashes_for_its_parent", "--nocapture", "--test-threads=1"])
            .env(SEEDS_ASKED_FOR, "100 101 102")
            .output()
            .unwrap();
        let text = String::from_utf8(child.stdout).unwrap();
        let hashes: Vec<_> = text.lines().filter_map(|line| line.split("hash ").nth(1)).map(str::to_owned).collect();
        assert_eq!(hashes.len(), 3, "{text}");
        hashes
    };
    let here: Vec<_> = (100..103).map(|seed| hash_of(&generate::draw(seed))).collect();
    assert_eq!(printed(), here);
    assert_eq!(printed(), here);
}

/// No test of its own: what the child process of the test above runs.
#[test]
fn prints_hashes_for_its_parent() {
    let asked_for = std::env::var(SEEDS_ASKED_FOR).unwrap_or_default();
    for seed in asked_for.split_whitespace() {
        println!("\nhash {}", hash_of(&generate::draw(seed.parse().unwrap())));
    }
}
