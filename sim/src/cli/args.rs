//! What the command line takes.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};
use oncegate_sim::mutants::Mutant;
use oncegate_sim::oracles::ORACLES;
use oncegate_sim::runner::failures::FOLDER;
use oncegate_sim::runner::signoff::DEFAULT_BUDGET;
use oncegate_sim::runner::signoff::progress::Shard;
use oncegate_sim::scenario::{Span, StoreKind};
use oncegate_sim::world::engine::Engine;

/// Runs the production coordinator in a simulated world of partitions, pauses, crashes, skewed clocks and lying
/// stores, and signs it off or hands back a small failing scenario.
///
/// The same scenario always gives the same run, to the last packet; its trace hash shows it.
#[derive(Parser, Debug)]
#[command(name = "sim", bin_name = "cargo sim", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 every promise held; 1 a promise was broken; 2 the input can't be used; 3 two runs of one scenario
differed, so that no verdict means anything.

Start with `cargo signoff`. When it fails, the last line that it prints is the command that shows the failure again.";

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run the scenario of one seed, and tell its story.
    Run {
        /// Which seed.
        #[arg(long)]
        seed: u64,
        /// Plant this bug.
        #[arg(long)]
        mutant: Option<Mutant>,
        /// On which engine; turmoil is the slow reference.
        #[arg(long, default_value = "jumping")]
        engine: Engine,
        /// On which store.
        #[arg(long, default_value = "sqlite")]
        store: StoreKind,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Run many scenarios drawn at random, on all cores, until one breaks a promise.
    ///
    /// A failure is made smaller, written as a scenario file, told as a story, and the last line printed is the
    /// command that replays it.
    Explore {
        /// How many.
        #[arg(long, default_value_t = 2_000)]
        runs: u64,
        /// Run k is drawn from seed + k.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// On which store; on PostgreSQL, its host fails too.
        #[arg(long, default_value = "sqlite")]
        store: StoreKind,
        /// Run each twice and compare the trace hashes.
        #[arg(long)]
        twice: bool,
        /// Plant this bug: the sweep should fail.
        #[arg(long)]
        mutant: Option<Mutant>,
        /// Stop only for a violation that this oracle sees; with --mutant, the one it is planted against.
        #[arg(long, value_parser = PossibleValuesParser::new(ORACLES).map(static_name))]
        oracle: Option<&'static str>,
        /// Where failing scenarios are written.
        #[arg(long, default_value = FOLDER)]
        failures: PathBuf,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Run recorded scenarios, each twice, and tell their stories.
    Replay {
        /// Scenario files (TOML); see scenarios/README.md.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Plant this bug.
        #[arg(long)]
        mutant: Option<Mutant>,
        /// On which engine; turmoil is the slow reference.
        #[arg(long, default_value = "jumping")]
        engine: Engine,
        /// On which store, instead of the scenario's own.
        #[arg(long)]
        store: Option<StoreKind>,
        /// One line each instead of the story.
        #[arg(long, short)]
        quiet: bool,
        /// One JSON object a line, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Make a scenario that fails as small as it can be: fewest faults, nodes and signals, short and round times,
    /// anchors instead of moments.
    ///
    /// The smallest form is written as a scenario file, told as a story, and the last line printed is the command
    /// that replays it.
    Shrink {
        /// A scenario file (TOML).
        file: PathBuf,
        /// Plant this bug.
        #[arg(long)]
        mutant: Option<Mutant>,
        /// Keep the promise of this oracle broken; else of the one that the mutant is planted against, if it is broken;
        /// else of the first that objects.
        #[arg(long, value_parser = PossibleValuesParser::new(ORACLES).map(static_name))]
        oracle: Option<&'static str>,
        /// Where the smallest form is written.
        #[arg(long, default_value = FOLDER)]
        out: PathBuf,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Check everything that must hold before real money meets a release: PASS or FAIL.
    ///
    /// What has an end is done first: determinism, recorded scenarios on both engines, every single fault at every
    /// boundary, planted bugs. Drawn runs take the rest of the budget.
    Signoff {
        /// How long it may take: 2m, 20m, 8h. What does not fit is left out, and said to be.
        #[arg(long, default_value_t = Span::of(DEFAULT_BUDGET))]
        budget: Span,
        /// Exactly so many drawn runs, instead of as many as the budget has room for.
        #[arg(long)]
        runs: Option<u64>,
        /// Which part of it to do, as i/n; `sim merge` joins the state files of all n.
        #[arg(long, default_value = "1/1")]
        shard: Shard,
        /// Where progress is kept: the same command goes on from there.
        #[arg(long)]
        state: Option<PathBuf>,
        /// The seed of the first.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The folder of recorded scenarios.
        #[arg(long, default_value = "scenarios")]
        scenarios: PathBuf,
        /// Where failing scenarios are written.
        #[arg(long, default_value = FOLDER)]
        failures: PathBuf,
        /// Sign this bug off instead of the production code: the verdict should be FAIL.
        #[arg(long)]
        mutant: Option<Mutant>,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Hunt every planted bug, on all cores: which are found, how soon and by which oracle.
    Mutants(super::mutants::MutantsArgs),
    /// Put every fault of a table at every effect boundary of a few short runs, with every kind of broker.
    Exhaust(super::exhaust::ExhaustArgs),
    /// Join the state files of all shards of a sign-off: PASS or FAIL.
    Merge {
        /// What `sim signoff --shard i/n --state FILE` wrote, for every i.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// List the recorded scenarios, oracles, planted bugs, and what scenario files may name.
    List {
        /// The folder of recorded scenarios.
        #[arg(long, default_value = "scenarios")]
        scenarios: PathBuf,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
}

/// The oracle's own name for itself.
#[allow(clippy::needless_pass_by_value)] // The parser hands its value over.
fn static_name(given: String) -> &'static str {
    ORACLES.into_iter().find(|name| *name == given).expect("only names of oracles are let through")
}
