//! A run as JSON, for machines.

use serde_json::{Value, json};

use crate::oracles::sightings::{Sighting, Sightings};
use crate::runner::Run;

/// The run, without its story.
pub fn run(run: &Run) -> Value {
    json!({
        "scenario": run.name,
        "verdict": if run.holds() { "holds" } else { "violation" },
        "violations": run.violations.iter().map(|violation| json!({
            "oracle": violation.oracle,
            "at_seconds": violation.at.as_secs_f64(),
            "what": violation.what,
        })).collect::<Vec<_>>(),
        "trace_hash": run.hash,
        "simulated_seconds": run.simulated.as_secs_f64(),
        "orders": run.book.len(),
        "signals": run.signals.iter().map(|signal| {
            (signal.id.clone(), Value::from(signal.state.map_or("not stored", oncegate_protocol::SignalState::name)))
        }).collect::<serde_json::Map<_, _>>(),
        "seen": sightings(&run.sightings),
        "reached": run.reached.iter().map(|(point, count)| {
            (point.name().to_owned(), Value::from(*count))
        }).collect::<serde_json::Map<_, _>>(),
    })
}

/// How often each rare thing was seen.
pub fn sightings(sightings: &Sightings) -> Value {
    let counts = Sighting::ALL.iter().map(|sighting| (sighting.name().to_owned(), sightings.count(*sighting).into()));
    Value::Object(counts.collect())
}
