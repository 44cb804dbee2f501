//! `sim`: runs the production coordinator in a simulated world, and signs it off or shows how it fails.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
