//! One line for each phase: whether it passed, and the figure that it rests on.

use std::time::Duration;

use super::Phase;
use super::progress::{Part, Progress};
use crate::oracles::coverage::{self, Coverage};
use crate::oracles::sightings::{Sighting, Sightings};

fn phase(name: &'static str, part: &Part, figure: String) -> Phase {
    let failed: Vec<_> = part.failures.iter().map(|failure| failure.what.as_str()).collect();
    Phase {
        name,
        passed: failed.is_empty(),
        figure: if failed.is_empty() { figure } else { format!("{} ({} were done)", failed.join("; "), part.done) },
        took: part.took,
        nondeterministic: part.failures.iter().any(|failure| failure.nondeterministic),
    }
}

/// "7 of 9", and why not 9.
fn of(part: &Part) -> String {
    let of = part.of.unwrap_or(part.done);
    let left_out = if part.done < of { " (the budget has no room for the rest)" } else { "" };
    format!("{} of {of}{left_out}", part.done)
}

pub(super) fn determinism(part: &Part) -> Phase {
    phase("determinism", part, format!("{} drawn runs gave the same hash twice", of(part)))
}

pub(super) fn scenarios(part: &Part) -> Phase {
    phase("scenarios", part, format!("{} hold, with the same verdict on both engines", of(part)))
}

pub(super) fn exhaustive(part: &Part) -> Phase {
    phase("exhaustive", part, format!("{} single faults at every boundary break nothing", of(part)))
}

pub(super) fn mutants(part: &Part) -> Phase {
    let mut runs = part.runs_to_detection.clone();
    runs.sort_unstable();
    let median = runs.get(runs.len() / 2).copied().unwrap_or(0);
    phase("mutants", part, format!("{} planted bugs are found, the median after {median} runs", of(part)))
}

#[allow(clippy::cast_precision_loss)] // For people.
pub(super) fn swarm(part: &Part) -> Phase {
    let runs = part.done.max(1) as f64;
    let figure = format!(
        "{} runs, {:.0} simulated hours, {} orders, {:.0} runs/s; at most {:.3} % of such runs break a promise (95 %)",
        part.done,
        part.simulated.as_secs_f64() / 3600.0,
        part.orders,
        runs / part.took.as_secs_f64().max(1e-9),
        300.0 / runs,
    );
    phase("swarm", part, figure)
}

/// Nothing rare was missed, if enough was done to owe it.
pub(super) fn sometimes(progress: &Progress) -> Phase {
    let (mut sightings, mut met) = (Sightings::default(), Coverage::default());
    for part in progress.parts() {
        sightings.add(&part.sightings);
        met.add(&part.coverage);
    }
    let owed = coverage::owed(progress.swarm.done, &sightings, &met);
    let figure = if owed.is_empty() {
        format!(
            "{} of {} rare things were seen; {} cells of fault and phase, {} of them empty and not owed yet",
            Sighting::ALL.len() - sightings.never().len(),
            Sighting::ALL.len(),
            Coverage::cells(),
            met.gaps().len(),
        )
    } else {
        format!("never happened, so never tested: {}", owed.join(", "))
    };
    Phase { name: "sometimes", passed: owed.is_empty(), figure, took: Duration::ZERO, nondeterministic: false }
}
