//! What a sign-off has done so far: kept in a file, so that it can be resumed, and mergeable, so that a cluster can
//! share one out.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Plan;
use crate::oracles::coverage::Coverage;
use crate::oracles::sightings::Sightings;
use crate::scenario::read::BadInput;

/// One of so many parts of a sign-off, from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Shard {
    /// Which.
    pub number: u64,
    /// Of how many.
    pub of: u64,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    /// The work item that is this shard's `nth`, counting both from 0.
    pub const fn item(self, nth: u64) -> u64 {
        nth * self.of + self.number - 1
    }

    /// How many of so many items are this shard's.
    pub const fn share(self, items: u64) -> u64 {
        (items + self.of - self.number) / self.of
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err("write i/n, with i from 1 to n: 2/8 is the second of eight".into()),
        }
    }
}

/// What every shard of one sign-off must have in common.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Key {
    /// The version of this program.
    pub version: String,
    /// A hash over the trace hashes of a few runs: another build of the same version that behaves otherwise shows
    /// here.
    pub behaviour: String,
    /// The seed of the first drawn run.
    pub seed: u64,
    /// The planted bug, by name.
    pub mutant: Option<String>,
    /// How many recorded scenarios there are.
    pub scenarios: u64,
}

/// How one phase stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Part {
    /// How many items are done.
    pub done: u64,
    /// Of how many; none when there is no end.
    pub of: Option<u64>,
    /// How long it took.
    pub took: Duration,
    /// How much time passed in its worlds.
    pub simulated: Duration,
    /// How many orders were placed.
    pub orders: u64,
    /// What went wrong, in order.
    pub failures: Vec<Failure>,
    /// After how many runs each planted bug was found.
    pub runs_to_detection: Vec<u64>,
    /// The rare things that were seen.
    pub sightings: Sightings,
    /// What struck when.
    pub coverage: Coverage,
}

/// One thing that fails a sign-off.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// What failed, for people.
    pub what: String,
    /// The command that shows it again.
    pub replay: Option<String>,
    /// Two runs of one scenario differed.
    pub nondeterministic: bool,
}

impl Part {
    /// Whether all that it should do is done.
    pub fn is_complete(&self) -> bool {
        self.of.is_some_and(|of| self.done >= of)
    }

    fn add(&mut self, other: Self) {
        self.done += other.done;
        self.of = self.of.zip(other.of).map(|(a, b)| a + b);
        self.took += other.took;
        self.simulated += other.simulated;
        self.orders += other.orders;
        self.failures.extend(other.failures);
        self.runs_to_detection.extend(other.runs_to_detection);
        self.sightings.add(&other.sightings);
        self.coverage.add(&other.coverage);
    }
}

/// How a sign-off stands: a part for each phase.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Progress {
    /// What it is the sign-off of.
    pub key: Key,
    /// Which parts of it are in here.
    pub shards: Vec<Shard>,
    /// Everything runs twice with the same hash.
    pub determinism: Part,
    /// The recorded scenarios, on both engines.
    pub scenarios: Part,
    /// Every single fault at every boundary.
    pub exhaustive: Part,
    /// Drawn runs.
    pub swarm: Part,
    /// The planted bugs.
    pub mutants: Part,
}

impl Progress {
    /// Nothing is done yet.
    pub fn new(key: Key, shard: Shard) -> Self {
        let part = Part::default;
        Self {
            key,
            shards: vec![shard],
            determinism: part(),
            scenarios: part(),
            exhaustive: part(),
            swarm: part(),
            mutants: part(),
        }
    }

    /// All phases, in order.
    pub fn parts(&self) -> [&Part; 5] {
        [&self.determinism, &self.scenarios, &self.exhaustive, &self.mutants, &self.swarm]
    }

    /// What the plan's file says, if there is one and it is of this sign-off; else a beginning.
    ///
    /// # Errors
    /// [`BadInput`], when the file is there and can't be used.
    pub fn resume(plan: &Plan, key: Key) -> Result<Self, BadInput> {
        let Some(path) = plan.state.as_deref().filter(|path| path.exists()) else {
            return Ok(Self::new(key, plan.shard));
        };
        let progress = read(path)?;
        if progress.key != key || progress.shards != [plan.shard] {
            let what = "this is the state of another sign-off (another build, seed, bug or shard): name another file, \
                        or delete it to begin anew";
            return Err(bad(path, what.into()));
        }
        Ok(progress)
    }

    /// Writes it where the plan wants it.
    ///
    /// # Errors
    /// [`BadInput`] of the file.
    pub fn save(&self, plan: &Plan) -> Result<(), BadInput> {
        let Some(path) = &plan.state else { return Ok(()) };
        let text = serde_json::to_string_pretty(self).expect("progress can be written");
        // Whole or not at all, whenever the power goes.
        let new = path.with_extension("new");
        let written = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, path));
        written.map_err(|error| bad(path, format!("can't be written: {error}; name another file with --state")))
    }
}

/// Reads one.
///
/// # Errors
/// [`BadInput`], when it can't be used.
pub fn read(path: &Path) -> Result<Progress, BadInput> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| bad(path, format!("can't be read: {error}; `sim signoff --state FILE` writes it")))?;
    serde_json::from_str(&text)
        .map_err(|error| bad(path, format!("is no state of a sign-off of this version: {error}")))
}

/// Joins the shards of one sign-off.
///
/// # Errors
/// [`BadInput`], when they don't belong together, or not all are there.
pub fn merge(files: &[impl AsRef<Path>]) -> Result<Progress, BadInput> {
    let mut whole: Option<Progress> = None;
    for file in files {
        let path = file.as_ref();
        let one = read(path)?;
        let Some(whole) = &mut whole else {
            whole = Some(one);
            continue;
        };
        if whole.key != one.key {
            return Err(bad(path, "is of another sign-off than the files before it (build, seed or bug)".into()));
        }
        if let Some(twice) = one.shards.iter().find(|shard| whole.shards.contains(shard)) {
            return Err(bad(path, format!("shard {}/{} is there twice", twice.number, twice.of)));
        }
        let Progress { key: _, shards, determinism, scenarios, exhaustive, swarm, mutants } = one;
        whole.shards.extend(shards);
        whole.determinism.add(determinism);
        whole.scenarios.add(scenarios);
        whole.exhaustive.add(exhaustive);
        whole.swarm.add(swarm);
        whole.mutants.add(mutants);
    }
    let nothing = || BadInput { file: "sim merge".into(), line: None, what: "name the shards' files".into() };
    let mut whole = whole.ok_or_else(nothing)?;
    whole.shards.sort_unstable();
    let of = whole.shards[0].of;
    let missing: Vec<_> = (1..=of)
        .filter(|number| !whole.shards.contains(&Shard { number: *number, of }))
        .map(|number| format!("{number}/{of}"))
        .collect();
    if whole.shards.iter().any(|shard| shard.of != of) || !missing.is_empty() {
        let what = format!("these shards don't make a whole: missing {}", missing.join(", "));
        return Err(BadInput { file: "sim merge".into(), line: None, what });
    }
    Ok(whole)
}

fn bad(path: &Path, what: String) -> BadInput {
    BadInput { file: path.display().to_string(), line: None, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_everything_out_once() {
        for of in 1..=5 {
            for items in 0..20 {
                let shards = (1..=of).map(|number| Shard { number, of });
                let mut all: Vec<_> =
                    shards.flat_map(|shard| (0..shard.share(items)).map(move |nth| shard.item(nth))).collect();
                all.sort_unstable();
                assert_eq!(all, (0..items).collect::<Vec<_>>());
            }
        }
        assert!("0/2".parse::<Shard>().is_err() && "3/2".parse::<Shard>().is_err());
        assert_eq!("2/8".parse(), Ok(Shard { number: 2, of: 8 }));
    }
}
