//! Runs candidates, remembers how each ended, and keeps the best.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::ProgressBar;

use super::cost::{Cost, Size};
use super::neighbours;
use super::{Limits, Shrunk};
use crate::mutants::Mutant;
use crate::oracles::{Violation, expectations};
use crate::runner::pool::shared;
use crate::runner::{Options, Run, pool, run};
use crate::scenario::{Scenario, Span, read};

/// If a promise is still broken after so much more time, it is not merely kept late.
const PATIENCE: Span = Span::secs(300);

/// The smallest form so far.
pub(super) struct Best {
    pub(super) scenario: Scenario,
    pub(super) run: Run,
    /// When the promise was broken.
    pub(super) broken_at: Duration,
}

impl Best {
    /// Whether it was seen when it happened, and not at the end of the run.
    pub(super) fn seen_at_once(&self) -> bool {
        self.broken_at < self.run.simulated
    }
}

/// What is asked of a step beside that the same oracle fails.
#[derive(Clone, Copy, Default)]
struct Demands {
    /// The production code keeps the promise.
    production_holds: bool,
    /// More time does not help.
    stays_broken: bool,
    /// At least so many neighbours fail.
    neighbours: usize,
}

/// One way to run a scenario.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    scenario: String,
    planted: bool,
}

/// What became of one candidate, and which runs that took.
struct Tried {
    keys: Vec<Key>,
    good: Option<(Run, usize)>,
}

pub(super) struct Search<'a> {
    mutant: Option<Mutant>,
    oracle: &'static str,
    limits: Limits,
    progress: &'a ProgressBar,
    best: Best,
    from: Size,
    demands: Demands,
    rounding: bool,
    fails: Mutex<BTreeMap<Key, bool>>,
    counted: BTreeSet<Key>,
    kept: u64,
}

impl<'a> Search<'a> {
    /// Begins with a scenario that fails; none, if it does not.
    pub(super) fn begin(
        scenario: &Scenario,
        mutant: Option<Mutant>,
        oracle: Option<&'static str>,
        limits: Limits,
        progress: &'a ProgressBar,
    ) -> Option<Self> {
        let run = run(scenario, Options { keep_story: true, mutant, ..Options::default() });
        let objects = |violation: &&Violation| oracle.is_none_or(|oracle| violation.oracle == oracle);
        let first =
            run.violations.iter().find(|violation| violation.oracle != expectations::NAME && objects(violation));
        let oracle = first.or_else(|| run.violations.iter().find(objects))?.oracle;
        let broken_at = broken_at(&run, oracle)?;
        let mut search = Self {
            mutant,
            oracle,
            limits,
            progress,
            best: Best { scenario: scenario.clone(), run, broken_at },
            from: Size::of(scenario),
            demands: Demands::default(),
            rounding: false,
            fails: Mutex::default(),
            counted: BTreeSet::new(),
            kept: 0,
        };
        let mut keys = Vec::new();
        search.demands.production_holds = mutant.is_some() && !search.fails_in_production(scenario, &mut keys);
        search.demands.stays_broken = !search.best.seen_at_once() && search.fails(&later(scenario), true, &mut keys);
        search.counted.extend(keys);
        search.tell();
        Some(search)
    }

    pub(super) fn oracle(&self) -> &'static str {
        self.oracle
    }

    pub(super) fn best(&self) -> &Best {
        &self.best
    }

    /// From now on round values are worth longer times.
    pub(super) fn round(&mut self) {
        self.rounding = true;
    }

    /// Takes the first candidate that is smaller and fails as demanded; whether there was one.
    pub(super) fn improve(&mut self, candidates: Vec<Scenario>) -> bool {
        let cost = Cost::of(&self.best.scenario, self.rounding);
        let candidates = self.possible(candidates, |candidate| Cost::of(candidate, self.rounding) < cost);
        self.take_first(candidates)
    }

    /// Takes the first candidate that fails as demanded, smaller or not; whether there was one.
    pub(super) fn replace(&mut self, candidates: Vec<Scenario>) -> bool {
        let candidates = self.possible(candidates, |_| true);
        self.take_first(candidates)
    }

    fn take_first(&mut self, candidates: Vec<Scenario>) -> bool {
        let tried = pool::until_good(candidates.len(), |number| {
            let tried = self.judge(&candidates[number], self.demands);
            let good = tried.good.is_some();
            (tried, good)
        });
        self.take(candidates, tried, |_| true)
    }

    /// Takes the candidate of at most this size that fails in most neighbours, if those are more than at present.
    pub(super) fn settle(&mut self, candidates: Vec<Scenario>) -> bool {
        if self.demands.neighbours == 0 {
            let present = self.judge(&self.best.scenario, Demands::default());
            self.demands.neighbours = present.good.map_or(0, |(_, neighbours)| neighbours);
            self.counted.extend(present.keys);
        }
        if self.demands.neighbours == neighbours::COUNT {
            return false;
        }
        let size = Size::of(&self.best.scenario);
        let candidates = self.possible(candidates, |candidate| Size::of(candidate) <= size);
        let demands = Demands { neighbours: self.demands.neighbours + 1, ..self.demands };
        let tried = pool::until_good(candidates.len(), |number| {
            let tried = self.judge(&candidates[number], demands);
            let good = tried.good.as_ref().is_some_and(|(_, neighbours)| *neighbours == neighbours::COUNT);
            (tried, good)
        });
        let most = tried.iter().filter_map(|tried| tried.good.as_ref()).map(|(_, neighbours)| *neighbours).max();
        self.take(candidates, tried, |neighbours| Some(neighbours) == most)
    }

    /// What is left of the work that the scenario is worth, in candidates that can happen, each once.
    fn possible(&self, candidates: Vec<Scenario>, wanted: impl Fn(&Scenario) -> bool) -> Vec<Scenario> {
        let mut seen = BTreeSet::new();
        let left = self.limits.runs.saturating_sub(self.counted.len() as u64);
        candidates
            .into_iter()
            .filter(|candidate| wanted(candidate) && read::check(candidate).is_ok())
            .filter(|candidate| seen.insert(text(candidate)))
            .take(usize::try_from(left).unwrap_or(usize::MAX))
            .collect()
    }

    fn take(&mut self, candidates: Vec<Scenario>, tried: Vec<Tried>, choose: impl Fn(usize) -> bool) -> bool {
        let mut taken = false;
        for (candidate, tried) in candidates.into_iter().zip(tried) {
            self.counted.extend(tried.keys);
            if let Some((run, neighbours)) = tried.good
                && !taken
                && choose(neighbours)
                && let Some(broken_at) = broken_at(&run, self.oracle)
            {
                taken = true;
                self.demands.neighbours = self.demands.neighbours.max(neighbours);
                self.best = Best { scenario: candidate, run, broken_at };
                self.kept += 1;
            }
        }
        self.tell();
        taken
    }

    /// Runs what it takes to know whether a candidate will do: the cheapest question first.
    fn judge(&self, candidate: &Scenario, demands: Demands) -> Tried {
        let mut keys = Vec::new();
        let key = Key { scenario: text(candidate), planted: true };
        let known = shared(&self.fails).get(&key).copied();
        keys.push(key.clone());
        if known == Some(false) {
            return Tried { keys, good: None };
        }
        let run = run(candidate, Options { keep_story: true, mutant: self.mutant, ..Options::default() });
        let fails = run.breaks(Some(self.oracle));
        shared(&self.fails).insert(key, fails);
        if !fails
            || (demands.production_holds && self.fails_in_production(candidate, &mut keys))
            || (demands.stays_broken && !self.fails(&later(candidate), true, &mut keys))
        {
            return Tried { keys, good: None };
        }
        let mut neighbours = 0;
        if self.rounding {
            for (left, neighbour) in (0..neighbours::COUNT).rev().zip(neighbours::of(candidate)) {
                neighbours += usize::from(self.fails(&neighbour, true, &mut keys));
                if neighbours + left < demands.neighbours {
                    return Tried { keys, good: None };
                }
            }
        }
        Tried { keys, good: Some((run, neighbours)) }
    }

    fn fails_in_production(&self, scenario: &Scenario, keys: &mut Vec<Key>) -> bool {
        self.fails(scenario, false, keys)
    }

    fn fails(&self, scenario: &Scenario, planted: bool, keys: &mut Vec<Key>) -> bool {
        let key = Key { scenario: text(scenario), planted };
        keys.push(key.clone());
        if let Some(fails) = shared(&self.fails).get(&key) {
            return *fails;
        }
        let mutant = self.mutant.filter(|_| planted);
        let fails =
            run(scenario, Options { keep_story: false, mutant, ..Options::default() }).breaks(Some(self.oracle));
        shared(&self.fails).insert(key, fails);
        fails
    }

    fn tell(&self) {
        let Size { faults, nodes, signals } = Size::of(&self.best.scenario);
        let runs = self.counted.len();
        self.progress.set_message(format!("{} -> {faults}/{signals}/{nodes}, {runs} runs", self.from));
        self.progress.tick();
    }

    /// What it came down to.
    pub(super) fn end(self, took: Duration) -> Shrunk {
        Shrunk {
            oracle: self.oracle,
            from: self.from,
            size: Size::of(&self.best.scenario),
            scenario: self.best.scenario,
            run: self.best.run,
            tried: self.counted.len() as u64 + 1,
            kept: self.kept,
            neighbours: self.demands.neighbours,
            took,
        }
    }
}

fn broken_at(run: &Run, oracle: &str) -> Option<Duration> {
    run.violations.iter().filter(|violation| violation.oracle == oracle).map(|violation| violation.at).min()
}

/// The same with much more time at the end.
fn later(scenario: &Scenario) -> Scenario {
    let mut later = scenario.clone();
    later.world.healed_for = Span::millis(later.world.healed_for.as_millis() + PATIENCE.as_millis());
    later
}

/// All that determines the run, as text.
fn text(scenario: &Scenario) -> String {
    let nameless = Scenario { name: String::new(), ..scenario.clone() };
    serde_json::to_string(&nameless).expect("a scenario can be written")
}
