//! The hunt for planted bugs: those that are quick to find are found by the oracle that they are planted against,
//! the same way every time; those that chance rarely finds are found by the story that was recorded for them.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use oncegate_sim::mutants::Mutant;
use oncegate_sim::runner::power::{Hunt, find};
use oncegate_sim::runner::{Options, run};
use oncegate_sim::scenario::{Expect, Scenario, read};

/// From this seed on each of [`QUICK`] is found soon.
const SEED: u64 = 80;
/// Within so many runs.
const SOON: u64 = 30;

/// At least one from each room of the catalogue, and one for each oracle that is quick.
const QUICK: [Mutant; 8] = [
    Mutant::FollowerDropsSignal,
    Mutant::TwinHosts,
    Mutant::ReleaseWithoutOwner,
    Mutant::LeakedHeartbeat,
    Mutant::VacateResetsEpoch,
    Mutant::OrderIdChanges,
    Mutant::SentIsAccepted,
    Mutant::FailsFast,
];

/// What needs two things to go wrong at the right moments, and the story in which they do.
const RARE: [(Mutant, &str); 10] = [
    (Mutant::ClaimWithoutEpoch, "successor-stands-still"),
    (Mutant::EpochCheckedBeforeClaim, "successor-stands-still"),
    (Mutant::ClaimWithoutState, "claim-lands-again-later"),
    (Mutant::DedupWindow, "mirrored-copy-a-minute-late"),
    (Mutant::RefusalBelieved, "refused-before-accepted"),
    (Mutant::BrokenIsNotSent, "broker-dies-with-the-answer"),
    (Mutant::LeaseFromReply, "late-renewal-reply"),
    (Mutant::CheckThenAct, "paused-before-the-claim"),
    (Mutant::OutcomeNotRetried, "outcome-write-lost"),
    (Mutant::ClaimWithoutPause, "stopped-across-a-failover"),
];

fn recorded(name: &str) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../scenarios/{name}.toml"));
    read::file(&path).unwrap_or_else(|bad| panic!("{bad}"))
}

#[test]
fn quick_bugs_are_found_soon_by_the_oracle_they_are_planted_against() {
    let hunt = Hunt { mutants: Vec::new(), runs: SOON, seed: SEED, stories: Vec::new(), make_small: true };
    for mutant in QUICK {
        let hunted = find(&hunt, mutant);
        let kill = hunted.killed.unwrap_or_else(|| panic!("{} survives {SOON} runs", mutant.name()));
        assert!(kill.oracles.contains(&mutant.against()), "{} is found by {:?}", mutant.name(), kill.oracles);
        assert!(kill.smallest.faults <= 1 && kill.smallest.signals <= 1, "{}: {:?}", mutant.name(), kill.smallest);
    }
}

#[test]
fn a_hunt_ends_the_same_way_every_time() {
    let hunt = Hunt { mutants: Vec::new(), runs: SOON, seed: SEED, stories: Vec::new(), make_small: false };
    let told = || serde_json::to_string(&find(&hunt, Mutant::OneShotElector)).unwrap();
    assert_eq!(told(), told());
}

#[test]
fn rare_bugs_break_their_promise_in_the_story_recorded_for_them() {
    for (mutant, story) in RARE {
        let scenario = Scenario { expect: Expect::default(), ..recorded(story) };
        assert!(run(&scenario, Options::default()).holds(), "{story}");
        let broken = run(&scenario, Options { mutant: Some(mutant), ..Options::default() });
        assert!(broken.breaks(Some(mutant.against())), "{} in {story}: {:?}", mutant.name(), broken.violations);
    }
}

#[test]
fn what_survives_every_drawn_run_is_put_to_the_stories() {
    let story = recorded("refused-before-accepted");
    let hunt = Hunt { mutants: Vec::new(), runs: 1, seed: SEED, stories: vec![story], make_small: false };
    let kill = find(&hunt, Mutant::RefusalBelieved).killed.unwrap();
    assert_eq!((kill.first, kill.story.as_deref()), ("store-agrees", Some("refused-before-accepted")));
    assert!(find(&hunt, Mutant::DedupWindow).killed.is_none());
}
