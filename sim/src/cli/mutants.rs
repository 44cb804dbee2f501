//! `sim mutants`: what of all that is planted is found, how soon, and by whom.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use oncegate_sim::mutants::Mutant;
use oncegate_sim::runner::power::{self, Hunt, Hunted, Merit, Power};
use oncegate_sim::runner::signoff::recorded;
use oncegate_sim::scenario::read::BadInput;
use serde_json::json;

use super::End;

/// What to hunt.
#[derive(Args, Debug)]
pub(crate) struct MutantsArgs {
    /// In how many runs each must be found.
    #[arg(long, default_value_t = 500)]
    runs: u64,
    /// Run k is drawn from seed + k.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only these, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Mutant>,
    /// The folder of recorded scenarios: what survives every drawn one is put to these.
    #[arg(long, default_value = "scenarios")]
    scenarios: PathBuf,
    /// For machines.
    #[arg(long)]
    json: bool,
}

pub(super) fn hunt(args: MutantsArgs) -> Result<End, BadInput> {
    let all = || oncegate_sim::mutants::CATALOGUE.iter().map(|row| row.mutant).collect();
    let mutants = if args.only.is_empty() { all() } else { args.only };
    let stories = recorded(&args.scenarios)?.into_iter().map(|(_, scenario)| scenario).collect();
    let hunt = Hunt { mutants, runs: args.runs, seed: args.seed, stories, make_small: true };
    if !args.json {
        println!("{:28} {:9} {:>4} {:>10}  {:18} by", "planted bug", "", "runs", "simulated", "smallest");
    }
    let power = power::measure(&hunt, |hunted| {
        if !args.json {
            println!("{}", line(hunted));
            // Rows are to be seen when they are there, into a pipe too.
            let _ = std::io::stdout().flush();
        }
    });
    if args.json {
        println!("{}", report(&power));
    } else {
        tell(&power);
    }
    Ok(if power.survivors().is_empty() { End::Holds } else { End::Violation })
}

fn line(hunted: &Hunted) -> String {
    let (name, runs) = (hunted.mutant.name(), hunted.runs);
    match &hunted.killed {
        None => {
            format!("{name:28} {:9} {runs:>4}", "SURVIVED")
        }
        Some(kill) => {
            let (size, hours) = (kill.smallest, kill.simulated.as_secs_f64() / 3600.0);
            let smallest = format!("{}f {}n {}s", size.faults, size.nodes, size.signals);
            let others: Vec<_> = kill.oracles.iter().copied().filter(|oracle| *oracle != kill.first).collect();
            let others = if others.is_empty() { String::new() } else { format!("; also {}", others.join(", ")) };
            let story = kill.story.as_ref().map(|story| format!("  (only by the story {story})")).unwrap_or_default();
            format!("{name:28} {:9} {runs:>4} {hours:>8.2} h  {smallest:18} {}{others}{story}", "killed", kill.first)
        }
    }
}

fn names(mutants: &[Mutant]) -> String {
    mutants.iter().map(|mutant| mutant.name()).collect::<Vec<_>>().join(", ")
}

fn tell(power: &Power) {
    println!("\nWhat each oracle alone objected to:");
    for Merit { oracle, kills, alone, why } in &power.merits {
        let found = if alone.is_empty() { why.to_string() } else { names(alone) };
        println!("  {oracle:14} {:>2} of {:>2}  {found}", alone.len(), kills.len());
    }
    let median = power.median_runs().map_or("-".to_owned(), |median| median.to_string());
    println!(
        "\n{} of {} planted bugs are found, the median after {median} runs, in {:.1} s",
        power.killed(),
        power.hunted.len(),
        power.took.as_secs_f64(),
    );
    if let Some(size) = power.median_size() {
        println!("their smallest scenarios, medians: {size}");
    }
    let survivors = power.survivors();
    if !survivors.is_empty() {
        println!("SURVIVED: {}", names(&survivors));
    }
}

fn report(power: &Power) -> serde_json::Value {
    let mutants: Vec<_> = power
        .hunted
        .iter()
        .map(|hunted| {
            let row = hunted.mutant.row();
            let mut report = json!({
                "name": row.name,
                "story": row.story,
                "place": row.place,
                "against": row.against,
                "killed": hunted.killed.is_some(),
                "runs": hunted.runs,
            });
            if let Some(kill) = &hunted.killed {
                report["seed"] = kill.seed.into();
                report["scenario"] = json!(kill.story);
                report["first"] = kill.first.into();
                report["oracles"] = json!(kill.oracles);
                report["simulated_seconds"] = kill.simulated.as_secs_f64().into();
                report["smallest"] = json!(kill.smallest);
            }
            report
        })
        .collect();
    json!({
        "verdict": if power.survivors().is_empty() { "all killed" } else { "survivors" },
        "killed": power.killed(),
        "of": power.hunted.len(),
        "survivors": power.survivors(),
        "median_runs": power.median_runs(),
        "median_smallest": power.median_size(),
        "seconds": power.took.as_secs_f64(),
        "mutants": mutants,
        "oracles": power.merits,
    })
}
