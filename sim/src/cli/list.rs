//! `sim list`: what there is to run, and what scenario files may name.

use std::path::Path;

use clap::ValueEnum;
use oncegate_sim::mutants::Mutant;
use oncegate_sim::oracles::ORACLES;
use oncegate_sim::oracles::coverage::Phase;
use oncegate_sim::oracles::sightings::Sighting;
use oncegate_sim::runner::signoff::recorded;
use oncegate_sim::scenario::read::BadInput;
use oncegate_sim::world::anchor::Point;
use serde_json::json;

use super::End;

/// The first sentence of the comment at a scenario file's head.
fn headline(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let first = text.lines().find_map(|line| line.strip_prefix('#')).unwrap_or_default();
    first.trim().to_owned()
}

pub(super) fn list(folder: &Path, as_json: bool) -> Result<End, BadInput> {
    let scenarios = recorded(folder)?;
    let points: Vec<_> = Point::ALL.into_iter().map(Point::name).collect();
    let sightings: Vec<_> = Sighting::ALL.iter().map(|sighting| sighting.name()).collect();
    let phases = Phase::ALL.map(Phase::name);
    let mutants: Vec<_> = Mutant::value_variants().iter().map(|mutant| mutant.name()).collect();
    if as_json {
        let scenarios: Vec<_> = scenarios
            .iter()
            .map(|(path, scenario)| json!({ "name": scenario.name, "file": path, "story": headline(path) }))
            .collect();
        println!(
            "{}",
            json!({
                "scenarios": scenarios,
                "oracles": ORACLES,
                "mutants": mutants,
                "points": points,
                "sightings": sightings,
                "phases": phases,
            })
        );
        return Ok(End::Holds);
    }
    println!("Recorded scenarios (cargo sim replay FILE):");
    for (path, _) in &scenarios {
        println!("  {}\n      {}", path.display(), headline(path));
    }
    println!("\nOracles:       {}", ORACLES.join(", "));
    println!("Planted bugs:  {}  (--mutant NAME)", mutants.join(", "));
    println!("Points:        {}  (when = {{ point = \"NAME\" }})", points.join(", "));
    println!("Sightings:     {}  (seen = {{ NAME = 1 }})", sightings.join(", "));
    println!("Phases:        {}  (columns of the coverage matrix of cargo sim explore)", phases.join(", "));
    Ok(End::Holds)
}
