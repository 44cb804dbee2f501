//! The sign-off: everything that must hold before real money meets a release.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::explore::{self, Sweep};
use super::shrink::{self, Limits};
use super::{Options, Run, failures, pool, run};
use crate::mutants::Mutant;
use crate::oracles::coverage;
use crate::oracles::sightings::{Sighting, Sightings};
use crate::scenario::{Scenario, generate, read};

/// How many drawn scenarios run twice.
const TWICE: u64 = 100;
/// Within how many runs the planted bug must be caught.
const CAUGHT_WITHIN: u64 = 50;

/// What to sign off with.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many drawn scenarios.
    pub runs: u64,
    /// The seed of the first.
    pub seed: u64,
    /// The folder of recorded scenarios.
    pub scenarios: PathBuf,
    /// Where failures are kept.
    pub failures: PathBuf,
    /// Sign off this bug instead of the production code: must fail.
    pub mutant: Option<Mutant>,
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

/// Every scenario file of a folder, by name.
///
/// # Errors
/// [`read::BadInput`] for the folder or its first bad file.
pub fn recorded(folder: &Path) -> Result<Vec<(PathBuf, Scenario)>, read::BadInput> {
    let bad = |what: String| read::BadInput { file: folder.display().to_string(), line: None, what };
    let entries = std::fs::read_dir(folder).map_err(|e| {
        bad(format!("can't be read: {e}; run this in the workspace, or name a folder with --scenarios"))
    })?;
    let mut paths: Vec<_> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    if paths.is_empty() {
        return Err(bad("holds no scenario (*.toml); name another folder with --scenarios".into()));
    }
    paths.into_iter().map(|path| read::file(&path).map(|scenario| (path, scenario))).collect()
}

/// Carries the plan out. `tell` hears of each phase when it is over.
///
/// # Errors
/// [`read::BadInput`] when the recorded scenarios can't be used.
pub fn sign_off(plan: &Plan, mut tell: impl FnMut(&Phase)) -> Result<Verdict, read::BadInput> {
    let mut verdict = Verdict { phases: Vec::new(), replay: None, story: None };
    let mut sightings = Sightings::default();
    let mut add = |verdict: &mut Verdict, phase: Phase| {
        tell(&phase);
        verdict.phases.push(phase);
    };

    let phase = replay_recorded(plan, &mut verdict, &mut sightings)?;
    add(&mut verdict, phase);
    add(&mut verdict, check_determinism(plan));
    let swept = sweep(plan, &mut verdict, &mut sightings);
    add(&mut verdict, swept);
    if plan.runs >= coverage::SIGHTINGS_OWED_AFTER {
        add(&mut verdict, check_sightings(&sightings));
    }
    add(&mut verdict, catch_planted_bug(plan));
    Ok(verdict)
}

/// Every recorded scenario, twice: the verdict and the hash.
#[allow(clippy::disallowed_methods)] // How long a phase takes is what it reports.
fn replay_recorded(plan: &Plan, verdict: &mut Verdict, sightings: &mut Sightings) -> Result<Phase, read::BadInput> {
    let began = Instant::now();
    let recorded = recorded(&plan.scenarios)?;
    let options = Options { keep_story: true, mutant: plan.mutant, ..Options::default() };
    let bar = pool::bar("scenarios", recorded.len() as u64);
    let results = pool::each(recorded.len() as u64, &bar, |number| {
        let (_, scenario) = &recorded[usize::try_from(number).unwrap_or(0)];
        let once = run(scenario, options);
        let same = run(scenario, options).hash == once.hash;
        ((once, same), false)
    });
    let mut failed = Vec::new();
    let mut differing = Vec::new();
    for ((_, (once, same)), (path, scenario)) in results.into_iter().zip(&recorded) {
        sightings.add(&once.sightings);
        if !same {
            differing.push(scenario.name.clone());
        }
        if !once.holds() {
            failed.push(scenario.name.clone());
            if verdict.story.is_none() {
                verdict.replay = Some(failures::replay_command(path, plan.mutant));
                verdict.story = Some(once);
            }
        }
    }
    let figure = if !failed.is_empty() {
        format!("{} of {} hold; broken: {}", recorded.len() - failed.len(), recorded.len(), failed.join(", "))
    } else if !differing.is_empty() {
        format!("not deterministic: {}", differing.join(", "))
    } else {
        format!("{0} of {0} hold, each twice with the same hash", recorded.len())
    };
    Ok(Phase {
        name: "scenarios",
        passed: failed.is_empty() && differing.is_empty(),
        figure,
        took: began.elapsed(),
        nondeterministic: !differing.is_empty(),
    })
}

fn check_determinism(plan: &Plan) -> Phase {
    // Other seeds than the sweep's, so that they count as runs too.
    let seed = plan.seed.wrapping_add(plan.runs);
    let runs = TWICE.min(plan.runs);
    let sweep = Sweep { twice: true, ..Sweep::new(runs, seed) };
    let found = explore::sweep(sweep, "determinism");
    let nondeterministic = !found.nondeterministic.is_empty();
    Phase {
        name: "determinism",
        passed: !nondeterministic && found.failed.is_none(),
        figure: match (found.nondeterministic.first(), found.failed) {
            (Some(seed), _) => format!("seed {seed} ran twice with two hashes"),
            (None, Some(seed)) => format!("seed {seed} breaks a promise: cargo sim run --seed {seed}"),
            (None, None) => format!("{} of {runs} hashes agree", found.agreed),
        },
        took: found.took,
        nondeterministic,
    }
}

fn sweep(plan: &Plan, verdict: &mut Verdict, sightings: &mut Sightings) -> Phase {
    let found = explore::sweep(Sweep { mutant: plan.mutant, ..Sweep::new(plan.runs, plan.seed) }, "swarm");
    sightings.add(&found.sightings);
    let figure = match found.failed {
        Some(seed) => {
            if verdict.story.is_none()
                && let Some(shrunk) =
                    shrink::shrink(&generate::draw(seed), plan.mutant, None, Limits::default(), &shrink::bar())
            {
                let kept =
                    failures::keep_shrunk(&plan.failures, &shrunk, plan.mutant, &format!("sign-off, seed {seed}"));
                verdict.replay = Some(match kept {
                    Ok(path) => failures::replay_command(&path, plan.mutant),
                    Err(error) => format!("cargo sim run --seed {seed}  (the scenario can't be written: {error})"),
                });
                verdict.story = Some(shrunk.run);
            }
            format!("seed {seed} breaks a promise after {} runs", found.runs)
        }
        None => {
            #[allow(clippy::cast_precision_loss)] // For people.
            let bound = 300.0 / found.runs.max(1) as f64;
            format!(
                "{} runs, {:.0} simulated hours, {} orders, {:.0} runs/s; at most {bound:.2} % of such runs break a promise (95 %)",
                found.runs,
                found.simulated.as_secs_f64() / 3600.0,
                found.orders,
                found.rate(),
            )
        }
    };
    Phase { name: "swarm", passed: found.failed.is_none(), figure, took: found.took, nondeterministic: false }
}

fn check_sightings(sightings: &Sightings) -> Phase {
    let never = sightings.never();
    let figure = if never.is_empty() {
        format!("{0} of {0} rare things were seen", Sighting::ALL.len())
    } else {
        let names: Vec<_> = never.iter().map(|sighting| sighting.name()).collect();
        format!("never seen, so never tested: {}", names.join(", "))
    };
    Phase { name: "sightings", passed: never.is_empty(), figure, took: Duration::ZERO, nondeterministic: false }
}

/// A harness that finds nothing is suspect: it must find this.
fn catch_planted_bug(plan: &Plan) -> Phase {
    let mutant = Mutant::CheckThenAct;
    let sweep = Sweep::new(CAUGHT_WITHIN, plan.seed).with_mutant(Some(mutant));
    let found = explore::sweep(sweep, "planted bug");
    Phase {
        name: "planted bug",
        passed: found.failed.is_some(),
        figure: match found.failed {
            Some(_) => format!("{} is caught by {} within {} runs", mutant.name(), mutant.against(), found.runs),
            None => format!("{} survives {CAUGHT_WITHIN} runs: this harness can't be trusted", mutant.name()),
        },
        took: found.took,
        nondeterministic: false,
    }
}
