//! The sign-off: everything that must hold before real money meets a release.
//!
//! ```text
//! determinism   drawn runs, each twice: the same hash
//! scenarios     every recorded scenario, on both engines: the same verdict, and every promise kept
//! exhaustive    every single fault at every boundary of every baseline
//! mutants       every planted bug is found: what the rest is worth
//! swarm         drawn runs, for as long as the budget lasts
//! sometimes     everything rare was seen, every fault met every phase of a signal's life
//! ```
//!
//! What is done is kept in a state file, if one is named: the same command goes on from there. Every phase is a row
//! of numbered items, so that shard i of n is every nth of them, and shards add up ([`progress::merge`]).

pub mod progress;

mod figures;
mod phases;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::exhaust::spread::Spread;
use super::exhaust::{self, Enumeration};
use super::{Options, Run, run};
use crate::mutants::{CATALOGUE, Mutant};
use crate::runner::pool::shared;
use crate::scenario::{Scenario, generate, read};
use phases::Work;
use progress::{Key, Progress, Shard};

/// Long enough on two cores for all that has an end, and for a swarm that owes everything rare.
pub const DEFAULT_BUDGET: Duration = Duration::from_secs(280);
/// At most this share of a budget goes to the single faults, and to the planted bugs.
const SHARE: (u32, u32) = (3, 5);
/// A swarm of fewer runs would say nothing.
const LEAST_RUNS: u64 = 200;
/// The folder, within that of the scenarios, of those that a bug of ours left behind.
const REGRESSIONS: &str = "regressions";
/// Seeds whose hashes tell one build from another.
const TELLING_SEEDS: u64 = 3;

/// What to sign off with.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How long it may take. What has an end is done first; drawn runs take the rest.
    pub budget: Duration,
    /// Exactly so many drawn runs instead.
    pub runs: Option<u64>,
    /// The seed of the first.
    pub seed: u64,
    /// The folder of recorded scenarios.
    pub scenarios: PathBuf,
    /// Where failures are kept.
    pub failures: PathBuf,
    /// Sign off this bug instead of the production code: must fail.
    pub mutant: Option<Mutant>,
    /// Which part of it to do.
    pub shard: Shard,
    /// Where progress is kept; none: nowhere.
    pub state: Option<PathBuf>,
}

/// One phase and its figure.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// What was checked.
    pub name: &'static str,
    /// Whether it passed.
    pub passed: bool,
    /// What was found, in one line.
    pub figure: String,
    /// How long it took.
    pub took: Duration,
    /// Whether what failed is that two runs of one scenario differed.
    pub nondeterministic: bool,
}

/// The verdict, and what it rests on.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// All phases, in order.
    pub phases: Vec<Phase>,
    /// How to see what failed, if anything did.
    pub replay: Option<String>,
    /// The story of what failed.
    #[serde(skip)]
    pub story: Option<Run>,
}

impl Verdict {
    /// Whether everything passed.
    pub fn passed(&self) -> bool {
        self.phases.iter().all(|phase| phase.passed)
    }

    /// Whether two runs of one scenario differed.
    pub fn nondeterministic(&self) -> bool {
        self.phases.iter().any(|phase| phase.nondeterministic)
    }
}

/// Every scenario file of a folder, by name; then those of its folder of regressions, if there is one.
///
/// # Errors
/// [`read::BadInput`] for the folder or its first bad file.
pub fn recorded(folder: &Path) -> Result<Vec<(PathBuf, Scenario)>, read::BadInput> {
    let bad = |what: String| read::BadInput { file: folder.display().to_string(), line: None, what };
    let scenarios_in = |folder: &Path| -> std::io::Result<Vec<PathBuf>> {
        let paths = std::fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.path());
        let mut paths: Vec<_> =
            paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
        paths.sort();
        Ok(paths)
    };
    let mut paths = scenarios_in(folder).map_err(|e| {
        bad(format!("can't be read: {e}; run this in the workspace, or name a folder with --scenarios"))
    })?;
    match scenarios_in(&folder.join(REGRESSIONS)) {
        Ok(regressions) => paths.extend(regressions),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(bad(format!("{REGRESSIONS} can't be read: {e}"))),
    }
    if paths.is_empty() {
        return Err(bad("holds no scenario (*.toml); name another folder with --scenarios".into()));
    }
    paths.into_iter().map(|path| read::file(&path).map(|scenario| (path, scenario))).collect()
}

/// Carries the plan out, from where it stands. `tell` hears of each phase when it is over.
///
/// # Errors
/// [`read::BadInput`] when the recorded scenarios or the state can't be used.
#[allow(clippy::disallowed_methods)] // A budget is of the time outside of the worlds.
pub fn sign_off(plan: &Plan, mut tell: impl FnMut(&Phase)) -> Result<Verdict, read::BadInput> {
    let began = Instant::now();
    let work = Work { plan, recorded: recorded(&plan.scenarios)?, story: Mutex::default() };
    let scenarios = work.recorded.len() as u64;
    let mut progress = Progress::resume(plan, key(plan, scenarios))?;
    let mut phases = Vec::new();
    let mut over = |phase: Phase| {
        tell(&phase);
        phases.push(phase);
    };
    // Each a share of its own, from when it begins: what has an end is whole within the default budget.
    let share = || Some(Instant::now() + plan.budget * SHARE.0 / SHARE.1);

    work.drive(&mut progress, "determinism", Some(phases::TWICE), None, |p| &mut p.determinism, |n| work.twice(n))?;
    over(figures::determinism(&progress.determinism));
    work.drive(&mut progress, "scenarios", Some(scenarios), None, |p| &mut p.scenarios, |n| work.recorded(n))?;
    over(figures::scenarios(&progress.scenarios));
    let cells = Enumeration::of(&exhaust::Plan { mutant: plan.mutant, ..exhaust::Plan::default() });
    // Spread, so that what a small budget has room for is of every kind.
    let order = Spread::new(cells.singles());
    let cell = |nth| work.cell(&cells, order.get(nth).expect("no more items than cells"));
    work.drive(&mut progress, "exhaustive", Some(order.total()), share(), |p| &mut p.exhaustive, cell)?;
    over(figures::exhaustive(&progress.exhaustive));
    let of = CATALOGUE.len() as u64;
    work.drive(&mut progress, "mutants", Some(of), share(), |p| &mut p.mutants, |n| work.planted(n))?;
    over(figures::mutants(&progress.mutants));
    match plan.runs {
        Some(runs) => work.drive(&mut progress, "swarm", Some(runs), None, |p| &mut p.swarm, |n| work.swarm(n))?,
        None => {
            let least = plan.shard.share(LEAST_RUNS);
            if progress.swarm.done < least {
                work.drive(&mut progress, "swarm", Some(LEAST_RUNS), None, |p| &mut p.swarm, |n| work.swarm(n))?;
            }
            let until = Some(began + plan.budget);
            work.drive(&mut progress, "swarm", None, until, |p| &mut p.swarm, |n| work.swarm(n))?;
        }
    }
    over(figures::swarm(&progress.swarm));
    if plan.shard == Shard::WHOLE {
        over(figures::sometimes(&progress));
    }
    Ok(Verdict { replay: first_replay(&progress), phases, story: shared(&work.story).take().map(|story| *story) })
}

/// The verdict of a sign-off that was shared out.
pub fn judge(progress: &Progress) -> Verdict {
    let phases = vec![
        figures::determinism(&progress.determinism),
        figures::scenarios(&progress.scenarios),
        figures::exhaustive(&progress.exhaustive),
        figures::mutants(&progress.mutants),
        figures::swarm(&progress.swarm),
        figures::sometimes(progress),
    ];
    Verdict { phases, replay: first_replay(progress), story: None }
}

fn first_replay(progress: &Progress) -> Option<String> {
    progress.parts().into_iter().flat_map(|part| &part.failures).find_map(|failure| failure.replay.clone())
}

/// What tells this sign-off from others.
fn key(plan: &Plan, scenarios: u64) -> Key {
    let mut digest = Sha256::new();
    for seed in 0..TELLING_SEEDS {
        digest.update(run(&generate::draw(seed), Options::default()).hash);
    }
    let behaviour = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Key {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        behaviour,
        seed: plan.seed,
        mutant: plan.mutant.map(|mutant| mutant.name().to_owned()),
        scenarios,
    }
}
