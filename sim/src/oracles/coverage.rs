//! Which fault has struck in which phase of a signal's life: an empty cell is a combination that a sweep has not
//! tested, however many runs it made.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::sightings::Sightings;
use crate::scenario::Fault;

/// A phase of a signal's life, or of the world, judged from outside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The store names nobody who is up.
    Leaderless,
    /// No signal is owed anything: none has come yet, or all are settled.
    Idle,
    /// A source sends it, and it is not stored.
    Offered,
    /// Stored, not claimed.
    Received,
    /// Claimed, and nothing of its order has left.
    Claimed,
    /// The first byte of its order has left, and the broker has not booked it.
    Sent,
    /// The broker has booked it, and the store does not know.
    Booked,
    /// In doubt.
    InDoubt,
    /// A human's to settle.
    Quarantined,
}

impl Phase {
    /// All of them, in the order of a signal's life.
    pub const ALL: [Self; 9] = [
        Self::Leaderless,
        Self::Idle,
        Self::Offered,
        Self::Received,
        Self::Claimed,
        Self::Sent,
        Self::Booked,
        Self::InDoubt,
        Self::Quarantined,
    ];

    /// The name as shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leaderless => "leaderless",
            Self::Idle => "idle",
            Self::Offered => "offered",
            Self::Received => "received",
            Self::Claimed => "claimed",
            Self::Sent => "sent",
            Self::Booked => "booked",
            Self::InDoubt => "in-doubt",
            Self::Quarantined => "quarantined",
        }
    }
}

/// Cells that nothing can fill: which fault, in which phase, and why. One that is filled all the same is as wrong as
/// an empty one.
const UNREACHABLE: &[(&str, Phase, &str)] = &[];

/// Whether a fault of that kind can strike in that phase.
///
/// # Errors
/// Why not.
pub fn reachable(fault: &str, phase: Phase) -> Result<(), &'static str> {
    let unreachable = UNREACHABLE.iter().find(|(kind, when, _)| *kind == fault && *when == phase);
    unreachable.map_or(Ok(()), |(_, _, why)| Err(why))
}

/// How often each kind of fault struck in each phase. A fault counts in every phase that some signal is in.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Coverage(BTreeMap<String, BTreeMap<Phase, u64>>);

impl Coverage {
    /// A fault of that kind struck when the world was so.
    pub fn struck(&mut self, fault: &str, phases: &BTreeSet<Phase>) {
        for phase in phases {
            *self.0.entry(fault.to_owned()).or_default().entry(*phase).or_default() += 1;
        }
    }

    /// How often that kind struck in that phase.
    pub fn count(&self, fault: &str, phase: Phase) -> u64 {
        self.0.get(fault).and_then(|row| row.get(&phase)).copied().unwrap_or(0)
    }

    /// Adds another run's, or another sweep's.
    pub fn add(&mut self, other: &Self) {
        for (fault, row) in &other.0 {
            for (phase, count) in row {
                *self.0.entry(fault.clone()).or_default().entry(*phase).or_default() += count;
            }
        }
    }

    /// How many cells there are to fill.
    pub fn cells() -> usize {
        Fault::NAMES.len() * Phase::ALL.len() - UNREACHABLE.len()
    }

    /// The cells that are empty and should not be, and those that are filled and should not be, by name.
    pub fn gaps(&self) -> Vec<String> {
        let cells = Fault::NAMES.iter().flat_map(|fault| Phase::ALL.map(|phase| (*fault, phase)));
        let gap = |(fault, phase): (&str, Phase)| match (reachable(fault, phase), self.count(fault, phase)) {
            (Ok(()), 0) => Some(format!("{fault} x {}", phase.name())),
            (Err(why), 1..) => Some(format!("{fault} x {}, which was taken to be impossible: {why}", phase.name())),
            (Ok(()), 1..) | (Err(_), 0) => None,
        };
        cells.filter_map(gap).collect()
    }
}

/// One row a fault, one column a phase; `.` where nothing can be, `EMPTY` where something should be.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:20}", "fault x phase")?;
        Phase::ALL.iter().try_for_each(|phase| write!(f, "{:>12}", phase.name()))?;
        for fault in Fault::NAMES {
            write!(f, "\n{fault:20}")?;
            for phase in Phase::ALL {
                match (reachable(fault, phase), self.count(fault, phase)) {
                    (Err(_), 0) => write!(f, "{:>12}", ".")?,
                    (Ok(()), 0) => write!(f, "{:>12}", "EMPTY")?,
                    (_, count) => write!(f, "{count:>12}")?,
                }
            }
        }
        Ok(())
    }
}

/// After so many runs a sweep owes every sighting.
pub const SIGHTINGS_OWED_AFTER: u64 = 2_000;

/// And after so many every reachable cell: there are several hundred of them, and those of the shortest phases are
/// filled two or three times in two thousand runs, so that after these an empty one is no accident.
pub const CELLS_OWED_AFTER: u64 = 6_000;

/// What so many runs should have shown and have not, by name; nothing when they are too few to owe it.
pub fn owed(runs: u64, sightings: &Sightings, coverage: &Coverage) -> Vec<String> {
    let mut owed = Vec::new();
    if runs >= SIGHTINGS_OWED_AFTER {
        owed.extend(sightings.never().into_iter().map(|sighting| sighting.name().to_owned()));
    }
    if runs >= CELLS_OWED_AFTER {
        owed.extend(coverage.gaps());
    }
    owed
}

#[cfg(test)]
mod tests {
    use super::super::sightings::Sighting;
    use super::*;

    fn all() -> Coverage {
        let mut coverage = Coverage::default();
        for fault in Fault::NAMES {
            let phases = Phase::ALL.into_iter().filter(|phase| reachable(fault, *phase).is_ok()).collect();
            coverage.struck(fault, &phases);
        }
        coverage
    }

    #[test]
    fn sweeps_add_up_and_survive_a_file() {
        let mut here = Coverage::default();
        here.struck("pause", &BTreeSet::from([Phase::Idle, Phase::Leaderless]));
        let mut there = Coverage::default();
        there.struck("pause", &BTreeSet::from([Phase::Idle]));
        there.struck("crash", &BTreeSet::from([Phase::Sent]));
        let read = serde_json::from_str(&serde_json::to_string(&there).unwrap()).unwrap();
        here.add(&read);
        let counts = [("pause", Phase::Idle), ("pause", Phase::Leaderless), ("crash", Phase::Sent)];
        assert_eq!(counts.map(|(fault, phase)| here.count(fault, phase)), [2, 1, 1]);
    }

    #[test]
    fn an_empty_cell_and_a_filled_impossible_one_are_both_gaps() {
        assert_eq!(all().gaps(), Vec::<String>::new());
        let mut but_one = all();
        but_one.0.get_mut("pause").unwrap().remove(&Phase::Sent);
        assert_eq!(but_one.gaps(), ["pause x sent"]);
        assert!(but_one.to_string().contains("EMPTY"));
        for (fault, phase, _) in UNREACHABLE {
            let mut more = all();
            more.struck(fault, &BTreeSet::from([*phase]));
            assert_eq!(more.gaps().len(), 1);
        }
    }

    #[test]
    fn every_impossible_cell_is_a_real_one_and_has_a_reason() {
        for (fault, _, why) in UNREACHABLE {
            assert!(Fault::NAMES.contains(fault) && why.ends_with('.'), "{fault}: {why}");
        }
    }

    #[test]
    fn too_few_runs_owe_nothing_and_enough_owe_everything() {
        let mut seen = Sightings::default();
        Sighting::ALL.iter().for_each(|sighting| seen.saw(*sighting));
        let none = (Sightings::default(), Coverage::default());
        assert!(owed(SIGHTINGS_OWED_AFTER - 1, &none.0, &none.1).is_empty());
        assert!(owed(CELLS_OWED_AFTER, &seen, &all()).is_empty());
        let nothing = owed(CELLS_OWED_AFTER, &none.0, &none.1);
        assert_eq!(nothing.len(), Sighting::ALL.len() + Coverage::cells());
    }
}
