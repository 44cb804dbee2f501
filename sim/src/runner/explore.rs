//! A sweep: many scenarios, each drawn from its seed.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Options, pool, run};
use crate::mutants::Mutant;
use crate::oracles::coverage::{self, Coverage};
use crate::oracles::sightings::Sightings;
use crate::scenario::{StoreKind, generate};

/// What to sweep.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    /// How many runs.
    pub runs: u64,
    /// Run `k` is drawn from `seed + k`.
    pub seed: u64,
    /// Run everything twice and compare the hashes.
    pub twice: bool,
    /// Plant this bug.
    pub mutant: Option<Mutant>,
    /// Look only for violations of this oracle's promise.
    pub oracle: Option<&'static str>,
    /// On which store.
    pub store: StoreKind,
}

impl Sweep {
    /// Sweeps the production code for anything.
    pub fn new(runs: u64, seed: u64) -> Self {
        Self { runs, seed, twice: false, mutant: None, oracle: None, store: StoreKind::Sqlite }
    }

    /// Sweeps a planted bug, if any, for the promise that it is planted against.
    #[must_use]
    pub fn with_mutant(self, mutant: Option<Mutant>) -> Self {
        Self { mutant, oracle: mutant.map(Mutant::against), ..self }
    }
}

/// What a sweep found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Found {
    /// How many runs were carried out.
    pub runs: u64,
    /// How much time passed in their worlds.
    pub simulated: Duration,
    /// How much passed outside.
    pub took: Duration,
    /// How many orders were placed.
    pub orders: u64,
    /// How often each rare thing was seen.
    pub sightings: Sightings,
    /// Which fault struck in which phase of a signal's life.
    pub coverage: Coverage,
    /// Seeds that ran twice with two hashes.
    pub nondeterministic: Vec<u64>,
    /// The first seed that broke a promise.
    pub failed: Option<u64>,
    /// How many pairs of hashes agreed.
    pub agreed: u64,
}

impl Found {
    /// Runs per second, over all cores.
    #[allow(clippy::cast_precision_loss)] // For people.
    pub fn rate(&self) -> f64 {
        self.runs as f64 / self.took.as_secs_f64().max(1e-9)
    }

    /// What so many runs should have shown and have not, by name.
    pub fn owed(&self) -> Vec<String> {
        coverage::owed(self.runs, &self.sightings, &self.coverage)
    }
}

struct One {
    simulated: Duration,
    orders: u64,
    sightings: Sightings,
    coverage: Coverage,
    holds: bool,
    agreed: Option<bool>,
}

/// Sweeps until the end or the first broken promise.
#[allow(clippy::disallowed_methods)] // How long a sweep takes outside of its worlds is what it reports.
pub fn sweep(sweep: Sweep, name: &str) -> Found {
    let options = Options { keep_story: false, mutant: sweep.mutant, ..Options::default() };
    let began = Instant::now();
    let bar = pool::bar(name, sweep.runs);
    let results = pool::each(sweep.runs, &bar, |number| {
        let scenario = generate::draw_on(sweep.seed.wrapping_add(number), sweep.store);
        let once = run(&scenario, options);
        let agreed = sweep.twice.then(|| run(&scenario, options).hash == once.hash);
        let one = One {
            simulated: once.simulated,
            orders: once.book.len() as u64,
            holds: !once.breaks(sweep.oracle),
            sightings: once.sightings,
            coverage: once.coverage,
            agreed,
        };
        let stop = !one.holds;
        (one, stop)
    });
    let mut found = Found { took: began.elapsed(), ..Found::default() };
    for (number, one) in results {
        let seed = sweep.seed.wrapping_add(number);
        found.runs += 1;
        found.simulated += one.simulated;
        found.orders += one.orders;
        found.sightings.add(&one.sightings);
        found.coverage.add(&one.coverage);
        match one.agreed {
            Some(true) => found.agreed += 1,
            Some(false) => found.nondeterministic.push(seed),
            None => {}
        }
        if !one.holds && found.failed.is_none() {
            found.failed = Some(seed);
        }
    }
    found
}
