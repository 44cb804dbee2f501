//! `sim exhaust`: every fault at every effect boundary.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use oncegate_sim::mutants::Mutant;
use oncegate_sim::report::{json, narrative};
use oncegate_sim::runner::exhaust::{self, Baseline, Exhausted, Failure, Plan, Tally};
use oncegate_sim::runner::failures::FOLDER;
use oncegate_sim::runner::shrink::{self, Limits, Shrunk};
use oncegate_sim::scenario::BrokerKind;
use oncegate_sim::scenario::read::BadInput;
use serde_json::json;

use super::End;

/// What to enumerate, and how much of it to run.
#[derive(Args, Debug)]
pub(crate) struct ExhaustArgs {
    /// So many pairs of faults, beside all single ones.
    #[arg(long, default_value_t = 0)]
    pairs: u64,
    /// Go on at the run of this number.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Only a part: i/n is every n-th run, from the i-th.
    #[arg(long, default_value = "1/1", value_parser = shard)]
    shard: (u64, u64),
    /// Only with this kind of broker.
    #[arg(long, value_parser = PossibleValuesParser::new(BrokerKind::ALL.map(BrokerKind::name)).map(broker))]
    broker: Option<BrokerKind>,
    /// Only this baseline.
    #[arg(long)]
    baseline: Option<Baseline>,
    /// Plant this bug, and count in how many runs it shows.
    #[arg(long)]
    mutant: Option<Mutant>,
    /// Go on after the first broken promise, and count; always with --mutant.
    #[arg(long)]
    all: bool,
    /// Where failing scenarios are written.
    #[arg(long, default_value = FOLDER)]
    failures: PathBuf,
    /// For machines.
    #[arg(long)]
    json: bool,
}

#[allow(clippy::needless_pass_by_value)] // The parser hands its value over.
fn broker(name: String) -> BrokerKind {
    BrokerKind::ALL.into_iter().find(|kind| kind.name() == name).expect("only names of kinds are let through")
}

fn shard(text: &str) -> Result<(u64, u64), String> {
    let parsed = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
    match parsed {
        Some((part, of)) if (1..=of).contains(&part) => Ok((part, of)),
        _ => Err("write e.g. 1/4: the first of four parts".into()),
    }
}

pub(super) fn exhaust(args: ExhaustArgs) -> Result<End, BadInput> {
    let plan = Plan {
        baselines: args.baseline.map_or(Baseline::ALL.to_vec(), |one| vec![one]),
        brokers: args.broker.map_or(BrokerKind::ALL.to_vec(), |one| vec![one]),
        pairs: args.pairs,
        from: args.from,
        shard: args.shard,
        mutant: args.mutant,
        all: args.all || args.mutant.is_some(),
    };
    let done = exhaust::exhaust(&plan, |_| {});
    let mut replay = None;
    let mut shown = None;
    let worst = args.mutant.map(Mutant::against);
    let found = done.failures.iter().find(|failure| worst.is_none_or(|oracle| failure.oracles.contains(&oracle)));
    if let Some(failure) = found.or(done.failures.first()) {
        let oracle = worst.filter(|oracle| failure.oracles.contains(oracle));
        if let Some(small) = shrink::shrink(&failure.scenario, plan.mutant, oracle, Limits::default(), &shrink::bar()) {
            replay = Some(super::keep(&args.failures, &small, plan.mutant, &found_by(failure))?);
            shown = Some(small);
        }
    }
    if args.json {
        println!("{}", report(&plan, &done, shown.as_ref(), replay.as_deref()));
    } else {
        tell(&plan, &done, shown.as_ref(), replay.as_deref());
    }
    Ok(if done.holds() { End::Holds } else { End::Violation })
}

fn found_by(failure: &Failure) -> String {
    let number = failure.number.map_or("a baseline".into(), |number| format!("run {number}"));
    format!("the enumeration, {number}: {}", failure.scenario.name)
}

fn tell(plan: &Plan, done: &Exhausted, shown: Option<&Shrunk>, replay: Option<&str>) {
    println!(
        "{:10} {:13} {:>10} {:>8} {:>8} {:>8} {:>8}",
        "baseline", "broker", "boundaries", "cells", "possible", "run", "held"
    );
    for Tally { baseline, broker, boundaries, cells, possible, run, held, .. } in &done.tallies {
        let (baseline, broker) = (baseline.name(), broker.name());
        println!("{baseline:10} {broker:13} {boundaries:>10} {cells:>8} {possible:>8} {run:>8} {held:>8}");
    }
    let repetitions: u64 = done.tallies.iter().map(|tally| tally.repetitions).sum();
    println!("\nleft out: {repetitions} calls that only repeat another in the same state, and of the cells");
    for (reason, count) in &done.impossible {
        println!("  {count:>6}  {reason}");
    }
    if done.pairs_run > 0 || plan.pairs > 0 {
        println!(
            "{} of {} pairs of faults held; {} of all {} were run, in {} the first fault kept the second from its boundary",
            done.pairs_held, done.pairs_run, done.pairs_run, done.pairs, done.pairs_halved,
        );
    } else {
        println!("no pair of faults was run, of {} that there are: --pairs", done.pairs);
    }
    #[allow(clippy::cast_precision_loss)] // For people.
    let rate = (done.singles_run + done.pairs_run) as f64 / done.took.as_secs_f64().max(1e-9);
    println!(
        "{:.1} s, {rate:.0} runs/s, {:.1} simulated hours",
        done.took.as_secs_f64(),
        done.simulated.as_secs_f64() / 3600.0,
    );
    for error in done.errors.iter().take(10) {
        println!("WRONG: {error}");
    }
    if done.singles_run < done.singles {
        println!(
            "{} of {} single faults were run; the next run is --from {}",
            done.singles_run, done.singles, done.next
        );
    }
    for (oracle, count) in &done.by_oracle {
        println!("{oracle} is broken in {count} runs");
    }
    if let Some(small) = shown {
        println!("\n{}\n{}", narrative::tell(&small.run), super::shrink::summary(small));
    }
    println!("{} of {} single faults: every promise held", done.singles_held, done.singles_run);
    if let Some(failure) = done.failures.first() {
        println!("{} is the first of {} that broke a promise", found_by(failure), done.failures.len());
    }
    if let Some(replay) = replay {
        println!("the smallest form found is kept. Replay:\n{replay}");
    }
}

fn report(plan: &Plan, done: &Exhausted, shown: Option<&Shrunk>, replay: Option<&str>) -> serde_json::Value {
    json!({
        "verdict": if done.holds() { "holds" } else { "violation" },
        "singles": done.singles,
        "singles_run": done.singles_run,
        "singles_held": done.singles_held,
        "pairs": done.pairs,
        "pairs_run": done.pairs_run,
        "pairs_held": done.pairs_held,
        "pairs_halved": done.pairs_halved,
        "impossible": done.impossible,
        "from": plan.from,
        "shard": format!("{}/{}", plan.shard.0, plan.shard.1),
        "next": done.next,
        "seconds": done.took.as_secs_f64(),
        "simulated_seconds": done.simulated.as_secs_f64(),
        "table": done.tallies,
        "errors": done.errors,
        "broken": done.failures.len(),
        "by_oracle": done.by_oracle,
        "first": done.failures.first().map(found_by),
        "failure": shown.map(|small| json::run(&small.run)),
        "shrunk": shown.map(super::shrink::figures),
        "replay": replay,
    })
}
