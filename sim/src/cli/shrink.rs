//! `sim shrink`: a scenario file that fails, as small as it can be.

use std::path::Path;

use oncegate_sim::mutants::Mutant;
use oncegate_sim::report::{json, narrative};
use oncegate_sim::runner::shrink::{self, Limits, Shrunk};
use oncegate_sim::scenario::read::{self, BadInput};
use serde_json::{Value, json};

use super::End;

pub(super) fn shrink(
    file: &Path,
    mutant: Option<Mutant>,
    oracle: Option<&'static str>,
    out: &Path,
    as_json: bool,
) -> Result<End, BadInput> {
    let scenario = read::file(file)?;
    let shrunk = |oracle| shrink::shrink(&scenario, mutant, oracle, Limits::default(), &shrink::bar());
    let planted = mutant.map(Mutant::against).filter(|_| oracle.is_none());
    let Some(small) = planted.and_then(|against| shrunk(Some(against))).or_else(|| shrunk(oracle)) else {
        let promise = oracle.map_or("every promise".into(), |oracle| format!("the promise of {oracle}"));
        if as_json {
            println!("{}", json!({ "scenario": scenario.name, "verdict": "holds" }));
        } else {
            println!("{}: {promise} is kept: there is nothing to shrink", scenario.name);
        }
        return Ok(End::Holds);
    };
    let replay = super::keep(out, &small, mutant, &format!("shrinking {}", file.display()))?;
    if as_json {
        println!(
            "{}",
            json!({
                "scenario": scenario.name,
                "verdict": "violation",
                "shrunk": figures(&small),
                "failure": json::run(&small.run),
                "replay": replay,
            })
        );
    } else {
        print!("{}", narrative::tell(&small.run));
        println!("\n{}\nReplay:\n{replay}", summary(&small));
    }
    Ok(End::Violation)
}

/// How small it got, in a line.
pub(super) fn summary(small: &Shrunk) -> String {
    format!(
        "shrunk from {} to {} in {} steps, {} runs, {:.1} s; fails in {} of {} neighbours",
        small.from,
        small.size,
        small.kept,
        small.tried,
        small.took.as_secs_f64(),
        small.neighbours,
        Shrunk::NEIGHBOURS
    )
}

/// The same for machines.
pub(super) fn figures(small: &Shrunk) -> Value {
    json!({
        "oracle": small.oracle,
        "from": small.from,
        "to": small.size,
        "steps": small.kept,
        "runs": small.tried,
        "seconds": small.took.as_secs_f64(),
        "neighbours": small.neighbours,
        "all_neighbours": Shrunk::NEIGHBOURS,
    })
}
