//! The chores of the workspace: `cargo xtask test` and `cargo xtask ci`.
//!
//! [`step`] runs commands one after the other and tells how long each took; [`tools`] finds, and where it
//! may, installs, what the tests need beside Rust; [`testing`] and [`ci`] are the two chores.

mod ci;
mod step;
mod testing;
mod tools;

use std::path::Path;
use std::process::ExitCode;

const HELP: &str = "\
The chores of the oncegate workspace.

cargo xtask test [CARGO TEST ARGUMENTS] [-- TEST ARGUMENTS]
    Runs every test, also those that are ignored because they need a real server: finds redis-server and a
    C compiler (and installs them where this runs as root on Debian or Ubuntu), then runs
        cargo test --workspace [CARGO TEST ARGUMENTS] -- --include-ignored [TEST ARGUMENTS]
    Naming packages (-p NAME) replaces --workspace. The tests start private servers of their own, and leave
    alone any that are running already.

        cargo xtask test -p oncegate-redis-lease
        cargo xtask test -- --nocapture a_name

cargo xtask ci
    Everything that a change must pass, cheapest first: format, lints, docs, tests, a short sign-off. Stops
    at the first step that fails, and says with which command to run that step alone.

cargo xtask help
    This page.

Exit codes: 0 all is well; 1 a step failed; 2 it could not start: wrong arguments, or a tool is missing.
";

/// Nothing was checked, because it could not start.
const CANNOT_START: u8 = 2;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let chore = args.next();
    let rest: Vec<String> = args.collect();
    let wants_help = rest.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--help" || arg == "-h");
    match chore.as_deref() {
        Some("help" | "--help" | "-h") => help(),
        Some("test" | "ci") if wants_help => help(),
        Some("test") => testing::run(&rest),
        Some("ci") if rest.is_empty() => ci::run(),
        Some("ci") => cannot_start("`cargo xtask ci` takes no arguments."),
        Some(other) => cannot_start(&format!("There is no chore {other:?}; see `cargo xtask help`.")),
        None => cannot_start(HELP.trim_end()),
    }
}

fn help() -> ExitCode {
    print!("{HELP}");
    ExitCode::SUCCESS
}

fn cannot_start(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::from(CANNOT_START)
}

/// The folder of the workspace: every command runs there, wherever the chore was called.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}
