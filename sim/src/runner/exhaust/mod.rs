//! What sweeps sample, enumerated: every fault of a table at every effect boundary of a few short runs.
//!
//! ```text
//! baseline x broker kind --run once--> boundaries x harms --> cells: one run each          all of them
//!                                                             pairs of cells: one run each  as many as are asked for
//! ```
//!
//! The numbers of runs are fixed: single cells first, then pairs, so that `--from` resumes and `--shard` divides.
//! Up to its boundary a cell's run is the baseline's, so that its fault strikes: where one does not, the enumeration
//! is wrong, and that is reported like a broken promise.

pub mod baselines;
pub mod boundaries;
pub mod cells;
pub mod pairs;
pub mod spread;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

pub use baselines::Baseline;
pub use boundaries::Boundary;
pub use cells::{Cell, Harm};
use pairs::Pairs;

use super::{Options, pool, run};
use crate::mutants::Mutant;
use crate::scenario::{BrokerKind, Scenario};

/// What to enumerate, and how much of it to run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Into which runs the faults are put.
    pub baselines: Vec<Baseline>,
    /// With which brokers.
    pub brokers: Vec<BrokerKind>,
    /// How many pairs, beside all single cells.
    pub pairs: u64,
    /// The number of the first run.
    pub from: u64,
    /// Only every so-manieth run: the i-th of n, from 1.
    pub shard: (u64, u64),
    /// Plant this bug.
    pub mutant: Option<Mutant>,
    /// Go on after the first broken promise, and count.
    pub all: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            baselines: Baseline::ALL.to_vec(),
            brokers: BrokerKind::ALL.to_vec(),
            pairs: 0,
            from: 0,
            shard: (1, 1),
            mutant: None,
            all: false,
        }
    }
}

/// One baseline with one kind of broker, and what can be done to it.
#[derive(Clone, Debug)]
pub struct Group {
    /// Which run.
    pub baseline: Baseline,
    /// With which broker.
    pub broker: BrokerKind,
    /// The run itself.
    pub scenario: Scenario,
    /// Where it can be disturbed.
    pub boundaries: boundaries::Boundaries,
    /// How.
    pub cells: Vec<Cell>,
    /// Why not otherwise: one reason for each cell that can't be.
    pub impossible: Vec<&'static str>,
    /// The promises that the run breaks undisturbed.
    pub broken: Vec<&'static str>,
}

/// Everything that can be run, numbered.
#[derive(Clone, Debug)]
pub struct Enumeration {
    /// All baselines with all brokers.
    pub groups: Vec<Group>,
    /// Where each group's single cells begin, and at the end how many there are.
    begins: Vec<u64>,
    pairs: Pairs,
}

/// One run of the enumeration.
#[derive(Clone, Debug)]
pub struct Work<'a> {
    /// Its group's place.
    pub group: usize,
    /// One cell, or two.
    pub cells: Vec<&'a Cell>,
    /// What to run.
    pub scenario: Scenario,
}

impl Enumeration {
    /// Runs every baseline once, and lists what can be done to it.
    pub fn of(plan: &Plan) -> Self {
        let all: Vec<_> = plan.baselines.iter().flat_map(|b| plan.brokers.iter().map(move |k| (*b, *k))).collect();
        let options = Options { keep_story: true, mutant: plan.mutant, ..Options::default() };
        let bar = pool::bar("baselines", all.len() as u64);
        let groups: Vec<Group> = pool::each(all.len() as u64, &bar, |number| {
            let (baseline, broker) = all[usize::try_from(number).unwrap_or(0)];
            let scenario = baseline.scenario(broker);
            let once = run(&scenario, options);
            let boundaries = boundaries::list(&scenario, &once);
            let (cells, impossible) = Cell::all(&boundaries.distinct, broker);
            let broken = oracles_of(&once);
            (Group { baseline, broker, scenario, boundaries, cells, impossible, broken }, false)
        })
        .into_iter()
        .map(|(_, group)| group)
        .collect();
        let counts: Vec<_> = groups.iter().map(|group| group.cells.len() as u64).collect();
        let mut begins = vec![0];
        for count in &counts {
            begins.push(begins.last().copied().unwrap_or(0) + count);
        }
        Self { groups, begins, pairs: Pairs::of(&counts) }
    }

    /// How many single cells there are: N.
    pub fn singles(&self) -> u64 {
        self.begins.last().copied().unwrap_or(0)
    }

    /// How many pairs there are.
    pub fn pairs(&self) -> u64 {
        self.pairs.total()
    }

    /// The run of that number: single cells first, then pairs.
    pub fn get(&self, number: u64) -> Option<Work<'_>> {
        if number >= self.singles() {
            let (group, first, second) = self.pairs.get(number - self.singles())?;
            let of = &self.groups[group];
            let (first, second) = (&of.cells[first], &of.cells[second]);
            let mut scenario = first.put_into(&of.scenario);
            scenario.name = format!("{}-and-{}", scenario.name, second.name);
            scenario.faults.push(second.fault.clone());
            return Some(Work { group, cells: vec![first, second], scenario });
        }
        let group = self.begins.partition_point(|begin| *begin <= number) - 1;
        let of = &self.groups[group];
        let cell = &of.cells[usize::try_from(number - self.begins[group]).ok()?];
        Some(Work { group, cells: vec![cell], scenario: cell.put_into(&of.scenario) })
    }

    /// The numbers that a plan runs, in order.
    pub fn numbers(&self, plan: &Plan) -> Vec<u64> {
        let end = self.singles() + plan.pairs.min(self.pairs());
        let (shard, of) = plan.shard;
        (plan.from..end).filter(|number| number % of.max(1) == shard.saturating_sub(1)).collect()
    }
}

/// How one baseline with one kind of broker fared.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Tally {
    /// Which run.
    pub baseline: Baseline,
    /// With which broker.
    pub broker: BrokerKind,
    /// At how many boundaries.
    pub boundaries: u64,
    /// How many calls repeat another in the same state.
    pub repetitions: u64,
    /// How many cells: boundaries x harms.
    pub cells: u64,
    /// How many of them can be.
    pub possible: u64,
    /// How many of those were run.
    pub run: u64,
    /// In how many every promise held.
    pub held: u64,
}

/// A run that broke a promise.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its number in the enumeration; none for a baseline without any fault put in.
    pub number: Option<u64>,
    /// The run.
    pub scenario: Scenario,
    /// Which promises.
    pub oracles: Vec<&'static str>,
}

/// What an enumeration came to.
#[derive(Clone, Debug, Default)]
pub struct Exhausted {
    /// By baseline and broker.
    pub tallies: Vec<Tally>,
    /// Why cells can't be, and how many.
    pub impossible: BTreeMap<&'static str, u64>,
    /// How many single cells there are.
    pub singles: u64,
    /// How many of them were run.
    pub singles_run: u64,
    /// In how many of those every promise held.
    pub singles_held: u64,
    /// How many pairs there are.
    pub pairs: u64,
    /// How many of them were run.
    pub pairs_run: u64,
    /// In how many of those every promise held.
    pub pairs_held: u64,
    /// In how many of those the first fault kept the second from its boundary.
    pub pairs_halved: u64,
    /// What broke, in order.
    pub failures: Vec<Failure>,
    /// By how many runs each promise was broken.
    pub by_oracle: BTreeMap<&'static str, u64>,
    /// Cells whose fault did not strike, and baselines that are too short: the enumeration is wrong.
    pub errors: Vec<String>,
    /// The number of the next run: where to go on.
    pub next: u64,
    /// How much time passed in all worlds.
    pub simulated: Duration,
    /// How much passed outside.
    pub took: Duration,
}

impl Exhausted {
    /// Whether every promise held in every run, and every fault struck.
    pub fn holds(&self) -> bool {
        self.failures.is_empty() && self.errors.is_empty()
    }
}

struct One {
    oracles: Vec<&'static str>,
    missed: bool,
    simulated: Duration,
}

/// Carries the plan out, on all cores. `tell` hears of each baseline with each broker when all is over.
#[allow(clippy::disallowed_methods)] // How long it takes outside of its worlds is what it reports.
pub fn exhaust(plan: &Plan, mut tell: impl FnMut(&Tally)) -> Exhausted {
    let began = Instant::now();
    let enumeration = Enumeration::of(plan);
    let mut done = Exhausted { singles: enumeration.singles(), pairs: enumeration.pairs(), ..Exhausted::default() };
    for group in &enumeration.groups {
        for reason in &group.impossible {
            *done.impossible.entry(reason).or_default() += 1;
        }
        if group.boundaries.late > 0 {
            let (name, late) = (&group.scenario.name, group.boundaries.late);
            done.errors.push(format!("{name} is too short: {late} boundaries have no room for every fault"));
        }
        if !group.broken.is_empty() {
            let (scenario, oracles) = (group.scenario.clone(), group.broken.clone());
            done.fail(Failure { number: None, scenario, oracles });
        }
    }
    let numbers = enumeration.numbers(plan);
    let enough = AtomicUsize::new(0);
    let results = if done.holds() || plan.all {
        let options = Options { keep_story: false, mutant: plan.mutant, ..Options::default() };
        let bar = pool::bar("exhaust", numbers.len() as u64);
        pool::each(numbers.len() as u64, &bar, |at| {
            let one = try_one(&enumeration, numbers[usize::try_from(at).unwrap_or(0)], options);
            let broken = !one.oracles.is_empty() && enough.fetch_add(1, Ordering::Relaxed) == 0;
            (one, broken && !plan.all)
        })
    } else {
        Vec::new()
    };
    let mut tallies: Vec<_> = enumeration.groups.iter().map(Tally::of).collect();
    done.next = results.len().checked_sub(1).map_or(plan.from, |last| numbers[last] + 1);
    for ((_, one), number) in results.into_iter().zip(numbers) {
        let work = enumeration.get(number).expect("only what is enumerated was run");
        done.simulated += one.simulated;
        let held = u64::from(one.oracles.is_empty());
        if work.cells.len() > 1 {
            done.pairs_run += 1;
            done.pairs_held += held;
            done.pairs_halved += u64::from(one.missed);
        } else {
            done.singles_run += 1;
            done.singles_held += held;
            let tally = &mut tallies[work.group];
            tally.run += 1;
            tally.held += held;
            if one.missed {
                done.errors.push(format!("{}: its fault did not strike", work.scenario.name));
            }
        }
        if !one.oracles.is_empty() {
            done.fail(Failure { number: Some(number), scenario: work.scenario, oracles: one.oracles });
        }
    }
    tallies.iter().for_each(&mut tell);
    done.tallies = tallies;
    done.took = began.elapsed();
    done
}

fn try_one(enumeration: &Enumeration, number: u64, options: Options) -> One {
    let work = enumeration.get(number).expect("only what is enumerated is run");
    let once = run(&work.scenario, options);
    let last = work.cells.last().and_then(|cell| cell.fault.when.as_ref()).map(|anchor| anchor.point);
    let missed = once.unstruck.iter().any(|point| Some(*point) == last);
    One { oracles: oracles_of(&once), missed, simulated: once.simulated }
}

fn oracles_of(run: &super::Run) -> Vec<&'static str> {
    let mut oracles: Vec<_> = run.violations.iter().map(|violation| violation.oracle).collect();
    oracles.sort_unstable();
    oracles.dedup();
    oracles
}

impl Exhausted {
    fn fail(&mut self, failure: Failure) {
        for oracle in &failure.oracles {
            *self.by_oracle.entry(oracle).or_default() += 1;
        }
        self.failures.push(failure);
    }
}

impl Tally {
    fn of(group: &Group) -> Self {
        let possible = group.cells.len() as u64;
        Self {
            baseline: group.baseline,
            broker: group.broker,
            boundaries: group.boundaries.distinct.len() as u64,
            repetitions: group.boundaries.repetitions,
            cells: possible + group.impossible.len() as u64,
            possible,
            run: 0,
            held: 0,
        }
    }
}
