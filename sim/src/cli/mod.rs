//! The command line.

mod args;
mod exhaust;
mod list;
mod mutants;
mod shrink;
mod signoff;

use std::path::Path;
use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser;
use oncegate_sim::mutants::Mutant;
use oncegate_sim::report::{json, narrative};
use oncegate_sim::runner::explore::{self, Sweep};
use oncegate_sim::runner::shrink::{Limits, Shrunk, bar};
use oncegate_sim::runner::signoff::Plan;
use oncegate_sim::runner::{self, Options, Run, failures, run};
use oncegate_sim::scenario::{StoreKind, generate, read, write};
use serde_json::json;

/// How a command ends: what a script may branch on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum End {
    /// Every promise held.
    Holds = 0,
    /// A promise was broken.
    Violation = 1,
    /// The input can't be used.
    BadInput = 2,
    /// Two runs of one scenario differed: no verdict means anything.
    NotDeterministic = 3,
}

pub(crate) fn main() -> ExitCode {
    let args = Args::parse();
    let end = match args.command {
        Command::Run { seed, mutant, engine, store, json } => {
            run_seed(seed, store, Options { keep_story: true, mutant, engine }, json)
        }
        Command::Explore { runs, seed, store, twice, mutant, oracle, failures, json } => {
            let planted = Sweep::new(runs, seed).with_mutant(mutant);
            explore_seeds(Sweep { store, twice, oracle: oracle.or(planted.oracle), ..planted }, &failures, json)
        }
        Command::Replay { files, mutant, engine, store, quiet, json } => {
            Ok(replay(&files, store, Options { keep_story: true, mutant, engine }, quiet, json))
        }
        Command::Shrink { file, mutant, oracle, out, json } => shrink::shrink(&file, mutant, oracle, &out, json),
        Command::Signoff { budget, runs, shard, state, seed, scenarios, failures, mutant, json } => {
            let plan = Plan { budget: budget.get(), runs, seed, scenarios, failures, mutant, shard, state };
            signoff::signoff(&plan, json)
        }
        Command::Merge { files, json } => signoff::merge(&files, json),
        Command::Mutants(args) => mutants::hunt(args),
        Command::Exhaust(args) => exhaust::exhaust(args),
        Command::List { scenarios, json } => list::list(&scenarios, json),
    };
    let end = end.unwrap_or_else(|bad| {
        eprintln!("{bad}");
        End::BadInput
    });
    ExitCode::from(end as u8)
}

fn end_of(run: &Run) -> End {
    if run.holds() { End::Holds } else { End::Violation }
}

fn run_seed(seed: u64, store: StoreKind, options: Options, as_json: bool) -> Result<End, read::BadInput> {
    let scenario = generate::draw_on(seed, store);
    let run = run(&scenario, options);
    if as_json {
        println!("{}", json::run(&run));
    } else {
        let drawn = format!("Drawn from seed {seed}:\n{}", generate::swarm_of(seed));
        println!("{}", write::to_text(&scenario, &drawn));
        print!("{}", narrative::tell(&run));
    }
    Ok(end_of(&run))
}

fn explore_seeds(sweep: Sweep, folder: &Path, as_json: bool) -> Result<End, read::BadInput> {
    let found = explore::sweep(sweep, "explore");
    let end = if !found.nondeterministic.is_empty() {
        End::NotDeterministic
    } else if found.failed.is_some() {
        End::Violation
    } else {
        End::Holds
    };
    let mut replay = None;
    let mut shown = None;
    if let Some(seed) = found.failed {
        let limits = Limits::default();
        let drawn = generate::draw_on(seed, sweep.store);
        if let Some(small) = runner::shrink::shrink(&drawn, sweep.mutant, sweep.oracle, limits, &bar()) {
            replay = Some(keep(folder, &small, sweep.mutant, &format!("a sweep, seed {seed}"))?);
            shown = Some(small);
        }
    }
    if as_json {
        let report = json!({
            "verdict": match end {
                End::Holds => "holds",
                End::Violation | End::BadInput => "violation",
                End::NotDeterministic => "not deterministic",
            },
            "runs": found.runs,
            "seconds": found.took.as_secs_f64(),
            "runs_per_second": found.rate(),
            "simulated_seconds": found.simulated.as_secs_f64(),
            "orders": found.orders,
            "hashes_agree": found.agreed,
            "nondeterministic_seeds": found.nondeterministic,
            "failed_seed": found.failed,
            "failure": shown.as_ref().map(|small| json::run(&small.run)),
            "shrunk": shown.as_ref().map(shrink::figures),
            "replay": replay,
            "seen": json::sightings(&found.sightings),
            "coverage": found.coverage,
            "owed": found.owed(),
        });
        println!("{report}");
        return Ok(end);
    }
    if let Some(small) = &shown {
        println!("{}\n{}", narrative::tell(&small.run), shrink::summary(small));
    }
    #[allow(clippy::cast_precision_loss)] // For people.
    let per_core = found.rate() / oncegate_sim::runner::pool::cores() as f64;
    println!(
        "{} runs in {:.1} s ({:.0} runs/s, {per_core:.0} per core), {:.1} simulated hours, {} orders",
        found.runs,
        found.took.as_secs_f64(),
        found.rate(),
        found.simulated.as_secs_f64() / 3600.0,
        found.orders,
    );
    if sweep.mutant.is_none() {
        println!("{}", found.coverage);
        for missing in found.owed() {
            println!("so many runs owe this, and it did not happen: {missing}");
        }
    }
    if sweep.twice {
        println!("{} of {} hashes agree", found.agreed, found.runs);
        for seed in &found.nondeterministic {
            println!("seed {seed} ran twice with two hashes");
        }
    }
    match (found.failed, replay) {
        (Some(seed), Some(replay)) => {
            println!("seed {seed} breaks a promise; the smallest form found is kept. Replay:\n{replay}")
        }
        _ => println!("every promise held in every run"),
    }
    Ok(end)
}

fn keep(folder: &Path, shrunk: &Shrunk, mutant: Option<Mutant>, found: &str) -> Result<String, read::BadInput> {
    let path = failures::keep_shrunk(folder, shrunk, mutant, found).map_err(|error| read::BadInput {
        file: folder.display().to_string(),
        line: None,
        what: format!("the failing scenario can't be written: {error}; name another folder"),
    })?;
    Ok(failures::replay_command(&path, mutant))
}

fn replay(files: &[std::path::PathBuf], store: Option<StoreKind>, options: Options, quiet: bool, as_json: bool) -> End {
    let mut worst = End::Holds;
    for path in files {
        let mut scenario = match read::file(path) {
            Ok(scenario) => scenario,
            Err(bad) => {
                eprintln!("{bad}");
                worst = worst.max(End::BadInput);
                continue;
            }
        };
        scenario.world.store = store.unwrap_or(scenario.world.store);
        let once = run(&scenario, options);
        let same = run(&scenario, options).hash == once.hash;
        let end = if same { end_of(&once) } else { End::NotDeterministic };
        worst = worst.max(end);
        if as_json {
            let mut report = json::run(&once);
            report["deterministic"] = same.into();
            println!("{report}");
        } else if quiet {
            let verdict = match end {
                End::Holds => "holds",
                End::Violation | End::BadInput => "BROKEN",
                End::NotDeterministic => "NOT DETERMINISTIC",
            };
            println!("{verdict:8} {} {}", once.hash.get(..16).unwrap_or_default(), path.display());
        } else {
            print!("{}", narrative::tell(&once));
            if !same {
                println!("NOT DETERMINISTIC: a second run of {} gave another hash", path.display());
            }
        }
    }
    worst
}
