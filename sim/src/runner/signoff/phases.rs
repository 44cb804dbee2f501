//! The phases of a sign-off: what the items of each are, and what becomes of one.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::Plan;
use super::progress::{Failure, Part, Progress};
use crate::mutants::CATALOGUE;
use crate::oracles::coverage::Coverage;
use crate::oracles::sightings::Sightings;
use crate::runner::exhaust::Enumeration;
use crate::runner::pool::shared;
use crate::runner::power::{self, Hunt};
use crate::runner::shrink::{self, Limits, shrink};
use crate::runner::{Options, Run, engines, failures, pool, run};
use crate::scenario::read::BadInput;
use crate::scenario::{Scenario, generate};

/// How many drawn scenarios run twice.
pub(super) const TWICE: u64 = 100;
/// How far from the swarm's their seeds are.
const TWICE_FROM: u64 = 1 << 40;
/// Within how many runs a planted bug must be found.
pub(super) const FOUND_WITHIN: u64 = 500;
/// So many items are done between two looks at the clock and two writes of the state, on each core.
const CHUNK: u64 = 25;

/// What became of one item.
#[derive(Default)]
pub(super) struct Done {
    pub(super) simulated: Duration,
    pub(super) orders: u64,
    pub(super) sightings: Sightings,
    pub(super) coverage: Coverage,
    pub(super) failed: Option<Failed>,
    pub(super) runs_to_detection: Option<u64>,
}

/// An item that fails the sign-off.
pub(super) struct Failed {
    pub(super) what: String,
    pub(super) replay: Option<String>,
    pub(super) nondeterministic: bool,
    /// To be made small and kept, once it is known to be the first.
    pub(super) scenario: Option<Scenario>,
    pub(super) story: Option<Box<Run>>,
}

impl Done {
    pub(super) fn of(run: &Run) -> Self {
        Self {
            simulated: run.simulated,
            orders: run.book.len() as u64,
            sightings: run.sightings.clone(),
            coverage: run.coverage.clone(),
            ..Self::default()
        }
    }
}

/// One sign-off at work.
pub(super) struct Work<'a> {
    pub(super) plan: &'a Plan,
    pub(super) recorded: Vec<(PathBuf, Scenario)>,
    /// The story of the first failure.
    pub(super) story: Mutex<Option<Box<Run>>>,
}

impl Work<'_> {
    /// Does what is left of one phase: this shard's share of `items` (for ever, if none), until `until`, the first
    /// failure or the end.
    #[allow(clippy::disallowed_methods)] // How long a phase takes is what it reports, and what a budget limits.
    pub(super) fn drive(
        &self,
        progress: &mut Progress,
        name: &'static str,
        items: Option<u64>,
        until: Option<Instant>,
        phase: impl Fn(&mut Progress) -> &mut Part,
        item: impl Fn(u64) -> Done + Sync,
    ) -> Result<(), BadInput> {
        let shard = self.plan.shard;
        let of = items.map(|items| shard.share(items));
        phase(progress).of = of;
        let bar = pool::bar(name, of.unwrap_or(phase(progress).done));
        bar.set_position(phase(progress).done);
        loop {
            let part = phase(progress);
            let over = until.is_some_and(|until| Instant::now() >= until);
            if part.is_complete() || over || !part.failures.is_empty() {
                break;
            }
            let left = of.map_or(u64::MAX, |of| of - part.done);
            let (begin, count) = (part.done, left.min(CHUNK * pool::cores() as u64));
            if of.is_none() {
                bar.set_length(begin + count);
            }
            let began = Instant::now();
            let late = |began: Instant| until.is_some_and(|until| Instant::now() >= until && began < until);
            let results = pool::part(count, &bar, |nth| {
                let done = item(shard.item(begin + nth));
                let stop = done.failed.is_some() || late(began);
                (done, stop)
            });
            let took = began.elapsed();
            let mut failed = None;
            let part = phase(progress);
            part.took += took;
            for (_, done) in results {
                part.done += 1;
                part.simulated += done.simulated;
                part.orders += done.orders;
                part.sightings.add(&done.sightings);
                part.coverage.add(&done.coverage);
                part.runs_to_detection.extend(done.runs_to_detection);
                failed = failed.or(done.failed);
            }
            if let Some(failed) = failed {
                let failure = self.keep(failed, &bar);
                phase(progress).failures.push(failure);
            }
            progress.save(self.plan)?;
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Makes a failure small, and keeps it.
    fn keep(&self, failed: Failed, bar: &ProgressBar) -> Failure {
        let Failed { what, mut replay, nondeterministic, scenario, mut story } = failed;
        if let Some(scenario) = scenario {
            bar.set_message("a failure: making it small");
            let mutant = self.plan.mutant;
            match shrink(&scenario, mutant, None, Limits::default(), &shrink::bar()) {
                Some(shrunk) => {
                    let kept = failures::keep_shrunk(&self.plan.failures, &shrunk, mutant, "the sign-off");
                    replay = Some(match kept {
                        Ok(path) => failures::replay_command(&path, mutant),
                        Err(error) => {
                            format!("{}  (the scenario can't be written: {error})", replay.unwrap_or_default())
                        }
                    });
                    story = Some(Box::new(shrunk.run));
                }
                None => replay = replay.or_else(|| Some("it did not fail again: not deterministic".into())),
            }
        }
        if let Some(story) = story {
            shared(&self.story).get_or_insert(story);
        }
        Failure { what, replay, nondeterministic }
    }

    fn options(&self, keep_story: bool) -> Options {
        Options { keep_story, mutant: self.plan.mutant, ..Options::default() }
    }

    /// Drawn run `nth` from the plan's seed on: must keep every promise.
    fn drawn(&self, seed: u64, once: &Run, scenario: Scenario) -> Option<Failed> {
        let first = once.violations.first()?;
        let planted = self.plan.mutant.map(|mutant| format!(" --mutant {}", mutant.name())).unwrap_or_default();
        Some(Failed {
            what: format!("seed {seed} breaks {}", first.oracle),
            replay: Some(format!("cargo sim run --seed {seed}{planted}")),
            nondeterministic: false,
            scenario: Some(scenario),
            story: None,
        })
    }

    /// One drawn scenario, twice.
    pub(super) fn twice(&self, nth: u64) -> Done {
        // Far from the swarm's seeds, so that they count as runs too.
        let seed = self.plan.seed.wrapping_add(TWICE_FROM + nth);
        let scenario = generate::draw(seed);
        let once = run(&scenario, self.options(false));
        let mut done = Done::of(&once);
        done.failed = if run(&scenario, self.options(false)).hash == once.hash {
            self.drawn(seed, &once, scenario)
        } else {
            Some(Failed {
                what: format!("seed {seed} ran twice with two hashes"),
                replay: Some(format!("cargo sim explore --runs 1 --twice --seed {seed}")),
                nondeterministic: true,
                scenario: None,
                story: None,
            })
        };
        done
    }

    /// One recorded scenario: twice on the first engine, once on the second.
    pub(super) fn recorded(&self, nth: u64) -> Done {
        let (path, scenario) = &self.recorded[usize::try_from(nth).unwrap_or(0)];
        let replay = Some(failures::replay_command(path, self.plan.mutant));
        let agreement = engines::compare(scenario, self.plan.mutant);
        let [(_, once), (_, elsewhere)] = &agreement.runs;
        let mut done = Done::of(once);
        let same = run(scenario, self.options(false)).hash == once.hash;
        let failed = |what: String, nondeterministic, story: &Run| {
            Some(Failed {
                what,
                replay: replay.clone(),
                nondeterministic,
                scenario: None,
                story: Some(Box::new(story.clone())),
            })
        };
        let name = &scenario.name;
        done.failed = if !same {
            failed(format!("{name} ran twice with two hashes"), true, once)
        } else if let Some(first) = once.violations.first() {
            failed(format!("{name} breaks {}", first.oracle), false, once)
        } else if !agreement.agrees() {
            failed(format!("the engines disagree: {agreement}"), false, elsewhere)
        } else {
            None
        };
        done
    }

    /// One fault at one boundary: must strike, and break nothing.
    pub(super) fn cell(&self, cells: &Enumeration, nth: u64) -> Done {
        let work = cells.get(nth).expect("only what is enumerated is run");
        let group = &cells.groups[work.group];
        let once = run(&work.scenario, self.options(false));
        let mut done = Done::of(&once);
        let planted = self.plan.mutant.map(|mutant| format!(" --mutant {}", mutant.name())).unwrap_or_default();
        let replay = format!("cargo sim exhaust --from {nth}{planted}");
        let failed = |what: String, scenario: Option<&Scenario>| {
            let (replay, scenario) = (Some(replay.clone()), scenario.cloned());
            Some(Failed { what, replay, nondeterministic: false, scenario, story: None })
        };
        let name = &work.scenario.name;
        done.failed = if let Some(oracle) = group.broken.first() {
            failed(format!("{} breaks {oracle} undisturbed", group.scenario.name), Some(&group.scenario))
        } else if let Some(first) = once.violations.first() {
            failed(format!("{name} breaks {}", first.oracle), Some(&work.scenario))
        } else if !once.unstruck.is_empty() {
            failed(format!("the fault of {name} did not strike: the enumeration is wrong"), None)
        } else {
            None
        };
        done
    }

    /// One drawn scenario.
    pub(super) fn swarm(&self, nth: u64) -> Done {
        let seed = self.plan.seed.wrapping_add(nth);
        let scenario = generate::draw(seed);
        let once = run(&scenario, self.options(false));
        Done { failed: self.drawn(seed, &once, scenario), ..Done::of(&once) }
    }

    /// One planted bug: must be found.
    pub(super) fn planted(&self, nth: u64) -> Done {
        let mutant = CATALOGUE[usize::try_from(nth).unwrap_or(0)].mutant;
        let stories = self.recorded.iter().map(|(_, scenario)| scenario.clone()).collect();
        let hunt = Hunt { mutants: vec![mutant], runs: FOUND_WITHIN, seed: self.plan.seed, stories, make_small: false };
        let hunted = power::find(&hunt, mutant);
        let survives = hunted.killed.is_none().then(|| Failed {
            what: format!(
                "{} survives {FOUND_WITHIN} runs and every story: this harness can't be trusted",
                mutant.name()
            ),
            replay: Some(format!("cargo sim mutants --only {}", mutant.name())),
            nondeterministic: false,
            scenario: None,
            story: None,
        });
        let simulated = hunted.killed.as_ref().map(|kill| kill.simulated).unwrap_or_default();
        Done { simulated, failed: survives, runs_to_detection: Some(hunted.runs), ..Done::default() }
    }
}
