//! Makes a failing scenario small: fewest faults, nodes and signals, gentle faults, round and short times, anchors
//! instead of moments.
//!
//! ```text
//! reduce:  what can go, goes                   the same oracle fails, and the production code keeps the promise
//! settle:  anchors, round times, other seeds   ... until it fails with its neighbours, too
//! polish:  everything again                    ... and each step keeps that
//! ```
//!
//! and once more from there, until nothing changes.
//!
//! A step is taken when the same oracle still fails and the scenario costs less ([`cost`]), so that it ends. Two
//! more things are asked of a step, if they were true of the scenario at the beginning, so that what is left is the
//! same failure and no other: with a planted bug, that the production code keeps the promise in the same scenario;
//! and for promises that are judged at the end of a run, that more time would not have helped.

mod anchors;
pub mod cost;
mod neighbours;
mod plain;
mod search;
mod structure;
mod times;

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Run;
use crate::mutants::Mutant;
use crate::oracles::expectations;
use crate::scenario::{Expect, Scenario};
pub use cost::Size;
use search::Search;

/// How much work a scenario is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// At most so many runs; steps already taken are kept.
    pub runs: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { runs: 1_500 }
    }
}

/// What a failure came down to.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest form found.
    pub scenario: Scenario,
    /// Its run, with its story.
    pub run: Run,
    /// Which promise it breaks.
    pub oracle: &'static str,
    /// How large it was.
    pub from: Size,
    /// How large it is.
    pub size: Size,
    /// How many runs it took, not counting those that one core began while another had the answer.
    pub tried: u64,
    /// How many steps were taken.
    pub kept: u64,
    /// In how many of its [`Shrunk::NEIGHBOURS`] neighbours it fails as well: times of the protocol 10 % shorter
    /// and longer, another network, faults 20 % shorter and longer.
    pub neighbours: usize,
    /// How long it took.
    pub took: Duration,
}

impl Shrunk {
    /// How many neighbours each scenario has.
    pub const NEIGHBOURS: usize = neighbours::COUNT;
}

/// Shows what a scenario has come down to: faults, signals and nodes; silent where nobody looks.
pub fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{prefix:>14} {spinner} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_prefix("shrink");
    bar
}

/// One way to make a scenario smaller: what to try, the most promising first.
type Pass = fn(&search::Best) -> Vec<Scenario>;

/// Most descents need no second one, and it is rare that a third finds anything.
const DESCENTS: u32 = 4;

/// What takes parts away; what shortens the run comes first, because it makes all that follows cheaper.
const REDUCE: [Pass; 9] = [
    times::cut_the_end,
    structure::fewer_faults,
    structure::fewer_signals,
    times::earlier,
    structure::fewer_nodes,
    structure::fewer_recipients,
    plain::gentler_faults,
    structure::less_with_another_seed,
    anchors::one_fault_elsewhere,
];

/// What makes the rest plain.
const POLISH: [Pass; 9] = [
    anchors::anchored,
    anchors::fewer_times,
    anchors::roles_for_names,
    plain::plain_signals,
    plain::plain_world,
    times::shorter_faults,
    times::rounder_times,
    plain::first_seeds,
    plain::first_names,
];

/// Makes a scenario that breaks the promise of `oracle` (of the first that objects, if none is named) as small as
/// it can be; none, when that promise is kept.
pub fn shrink(
    scenario: &Scenario,
    mutant: Option<Mutant>,
    oracle: Option<&'static str>,
    limits: Limits,
    progress: &ProgressBar,
) -> Option<Shrunk> {
    let mut least = descend(scenario, mutant, oracle, limits, progress)?;
    // From where one descent ends another may find a way on, because it does not know what the first one settled for.
    // What is handed back is where they end, so that it stays as it is when it is shrunk again.
    for _ in 1..DESCENTS {
        let left = Limits { runs: limits.runs.saturating_sub(least.tried) };
        let Some(next) = descend(&least.scenario, mutant, Some(least.oracle), left, progress) else { break };
        let ended = next.scenario == least.scenario;
        least = Shrunk {
            from: least.from,
            tried: least.tried + next.tried,
            kept: least.kept + next.kept,
            took: least.took + next.took,
            ..next
        };
        if ended || least.tried >= limits.runs {
            break;
        }
    }
    Some(least)
}

/// One way down, as this module's head has it.
#[allow(clippy::disallowed_methods)] // How long it takes outside of its worlds is what it reports.
fn descend(
    scenario: &Scenario,
    mutant: Option<Mutant>,
    oracle: Option<&'static str>,
    limits: Limits,
    progress: &ProgressBar,
) -> Option<Shrunk> {
    let began = Instant::now();
    let mut search = Search::begin(scenario, mutant, oracle, limits, progress)?;
    // A story that lacks a part of itself fails of itself: what a scenario expects can't be made smaller.
    if search.oracle() != expectations::NAME {
        search.improve(vec![Scenario { expect: Expect::default(), ..scenario.clone() }]);
        while REDUCE.into_iter().any(|pass| exhaust(&mut search, pass)) {}
        search.round();
        settle(&mut search);
        while REDUCE.into_iter().chain(POLISH).any(|pass| exhaust(&mut search, pass)) {}
        if settle(&mut search) {
            while REDUCE.into_iter().chain(POLISH).any(|pass| exhaust(&mut search, pass)) {}
        }
        search.replace(times::with_time_for_every_fault(search.best()));
    }
    progress.finish_and_clear();
    Some(search.end(began.elapsed()))
}

/// Repeats one pass for as long as it finds something; whether it ever did.
fn exhaust(search: &mut Search<'_>, pass: Pass) -> bool {
    let mut found = false;
    while search.improve(pass(search.best())) {
        found = true;
    }
    found
}

/// Looks for a form of the same size that does not hang by a thread; whether one was found.
fn settle(search: &mut Search<'_>) -> bool {
    const WAYS: [Pass; 5] = [
        times::longer_faults,
        anchors::anchored,
        anchors::roles_for_names,
        plain::first_seeds,
        anchors::anchored_and_longer,
    ];
    let mut found = false;
    while WAYS.into_iter().any(|way| search.settle(way(search.best()))) {
        found = true;
    }
    found
}
