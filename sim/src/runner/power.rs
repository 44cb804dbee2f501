//! The power of the harness: which planted bugs it finds, how soon, by which oracle, and what for each oracle is
//! there. A sign-off is worth what would have failed it.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde::Serialize;

use super::shrink::{self, Limits, Size};
use super::{Options, pool, run};
use crate::mutants::Mutant;
use crate::oracles::{ORACLES, why};
use crate::runner::pool::shared;
use crate::scenario::{Expect, Scenario, generate};

/// What to look for.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// Which bugs.
    pub mutants: Vec<Mutant>,
    /// In how many runs each must be found.
    pub runs: u64,
    /// Run `k` is drawn from `seed + k`.
    pub seed: u64,
    /// Recorded scenarios, to which those are put that survive all drawn ones.
    pub stories: Vec<Scenario>,
    /// Make each failure as small as it can be: that takes longer than to find it.
    pub make_small: bool,
}

/// What became of one bug.
#[derive(Clone, Debug, Serialize)]
pub struct Hunted {
    /// Which.
    pub mutant: Mutant,
    /// After so many drawn runs it was found, or given up.
    pub runs: u64,
    /// How it was found; none when it survived.
    pub killed: Option<Kill>,
}

/// How a bug was found.
#[derive(Clone, Debug, Serialize)]
pub struct Kill {
    /// The seed of the run that found it; none when no drawn one did.
    pub seed: Option<u64>,
    /// The recorded scenario that found it, when no drawn one did.
    pub story: Option<String>,
    /// The oracle that objected first.
    pub first: &'static str,
    /// Every oracle that objected in that run.
    pub oracles: Vec<&'static str>,
    /// How much time had passed in all worlds together, when it was found.
    pub simulated: Duration,
    /// How much is left when everything is left out that the failure does not need.
    pub smallest: Size,
}

/// What one oracle is good for.
#[derive(Clone, Debug, Serialize)]
pub struct Merit {
    /// Which oracle.
    pub oracle: &'static str,
    /// The bugs in whose first failing run it objected.
    pub kills: Vec<Mutant>,
    /// Those of them to which nobody else objected there.
    pub alone: Vec<Mutant>,
    /// What it is there for.
    pub why: &'static str,
}

/// All that was hunted.
#[derive(Clone, Debug, Serialize)]
pub struct Power {
    /// Each bug, in the order asked for.
    pub hunted: Vec<Hunted>,
    /// Each oracle.
    pub merits: Vec<Merit>,
    /// How long it took.
    pub took: Duration,
}

impl Power {
    /// How many were found.
    pub fn killed(&self) -> usize {
        self.hunted.iter().filter(|hunted| hunted.killed.is_some()).count()
    }

    /// Those that were not.
    pub fn survivors(&self) -> Vec<Mutant> {
        self.hunted.iter().filter(|hunted| hunted.killed.is_none()).map(|hunted| hunted.mutant).collect()
    }

    /// The medians of faults, nodes and signals in the smallest scenarios of those that were found.
    pub fn median_size(&self) -> Option<Size> {
        let sizes: Vec<_> = self.hunted.iter().filter_map(|h| h.killed.as_ref()).map(|kill| kill.smallest).collect();
        let median = |member: fn(&Size) -> usize| {
            let mut all: Vec<_> = sizes.iter().map(member).collect();
            all.sort_unstable();
            all.get(all.len() / 2).copied()
        };
        Some(Size { faults: median(|s| s.faults)?, nodes: median(|s| s.nodes)?, signals: median(|s| s.signals)? })
    }

    /// The median of runs to detection, over those that were found; what only a story finds counts as all runs.
    pub fn median_runs(&self) -> Option<u64> {
        let mut runs: Vec<_> = self.hunted.iter().filter(|hunted| hunted.killed.is_some()).map(|h| h.runs).collect();
        runs.sort_unstable();
        runs.get(runs.len() / 2).copied()
    }
}

/// Hunts every bug on all cores, one bug a core. `tell` hears of each when it is done with.
#[allow(clippy::disallowed_methods)] // How long it takes is what it reports.
pub fn measure(hunt: &Hunt, tell: impl Fn(&Hunted) + Sync) -> Power {
    let began = Instant::now();
    let bar = pool::bar("mutants", hunt.mutants.len() as u64);
    let one_at_a_time = std::sync::Mutex::new(());
    let results = pool::each(hunt.mutants.len() as u64, &bar, |number| {
        let mutant = hunt.mutants[usize::try_from(number).unwrap_or(0)];
        let hunted = find(hunt, mutant);
        let _turn = shared(&one_at_a_time);
        bar.suspend(|| tell(&hunted));
        (hunted, false)
    });
    let hunted: Vec<_> = results.into_iter().map(|(_, hunted)| hunted).collect();
    Power { merits: merits(&hunted), hunted, took: began.elapsed() }
}

/// Sweeps one bug until any oracle objects.
pub fn find(hunt: &Hunt, mutant: Mutant) -> Hunted {
    let mut simulated = Duration::ZERO;
    for number in 0..hunt.runs {
        let seed = hunt.seed.wrapping_add(number);
        if let Some(kill) = put_to(hunt, mutant, &generate::draw(seed), &mut simulated) {
            return Hunted { mutant, runs: number + 1, killed: Some(Kill { seed: Some(seed), ..kill }) };
        }
    }
    let killed = hunt.stories.iter().find_map(|story| {
        // What it expects to be shown is no promise of the system's.
        let scenario = Scenario { expect: Expect::default(), ..story.clone() };
        put_to(hunt, mutant, &scenario, &mut simulated).map(|kill| Kill { story: Some(story.name.clone()), ..kill })
    });
    Hunted { mutant, runs: hunt.runs, killed }
}

/// One run of a bug, and what is held against it.
fn put_to(hunt: &Hunt, mutant: Mutant, scenario: &Scenario, simulated: &mut Duration) -> Option<Kill> {
    let run = run(scenario, Options { mutant: Some(mutant), ..Options::default() });
    // Kept to what the oracles say: that the world itself is out of its depth convicts nobody.
    let objections = run.violations.iter().filter(|violation| ORACLES.contains(&violation.oracle));
    let Some(first) = objections.min_by_key(|violation| violation.at) else {
        *simulated += run.simulated;
        return None;
    };
    *simulated += first.at;
    let small =
        || shrink::shrink(scenario, Some(mutant), Some(first.oracle), Limits::default(), &ProgressBar::hidden());
    let smallest = if hunt.make_small { small() } else { None };
    Some(Kill {
        seed: None,
        story: None,
        first: first.oracle,
        oracles: ORACLES.into_iter().filter(|oracle| run.breaks(Some(oracle))).collect(),
        simulated: *simulated,
        smallest: smallest.map_or_else(|| Size::of(scenario), |shrunk| shrunk.size),
    })
}

fn merits(hunted: &[Hunted]) -> Vec<Merit> {
    let of = |oracle: &'static str| {
        let objected = |hunted: &&Hunted| hunted.killed.as_ref().is_some_and(|kill| kill.oracles.contains(&oracle));
        let kills: Vec<_> = hunted.iter().filter(objected).collect();
        let alone = kills.iter().filter(|hunted| hunted.killed.as_ref().is_some_and(|kill| kill.oracles.len() == 1));
        Merit {
            oracle,
            alone: alone.map(|hunted| hunted.mutant).collect(),
            kills: kills.iter().map(|hunted| hunted.mutant).collect(),
            why: why::why(oracle),
        }
    };
    ORACLES.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn killed(mutant: Mutant, runs: u64, oracles: &[&'static str]) -> Hunted {
        let smallest = Size { faults: 1, nodes: 3, signals: 1 };
        let (first, oracles) = (oracles[0], oracles.to_vec());
        let kill = Kill { seed: Some(1), story: None, first, oracles, simulated: Duration::ZERO, smallest };
        Hunted { mutant, runs, killed: Some(kill) }
    }

    #[test]
    fn an_oracle_kills_alone_what_nobody_else_objects_to() {
        let hunted = [
            killed(Mutant::CheckThenAct, 9, &["at-most-once", "fenced-claims"]),
            killed(Mutant::ClaimWithoutEpoch, 3, &["fenced-claims"]),
            Hunted { mutant: Mutant::TwinHosts, runs: 500, killed: None },
        ];
        let merits = merits(&hunted);
        let of = |oracle| merits.iter().find(|merit| merit.oracle == oracle).unwrap();
        assert_eq!(of("fenced-claims").alone, [Mutant::ClaimWithoutEpoch]);
        assert_eq!(of("fenced-claims").kills.len(), 2);
        assert!(of("at-most-once").alone.is_empty());
        let power = Power { merits, hunted: hunted.to_vec(), took: Duration::ZERO };
        assert_eq!((power.killed(), power.median_runs()), (2, Some(9)));
        assert_eq!(power.survivors(), [Mutant::TwinHosts]);
    }
}
