//! The daemon that runs beside the trading engine, and the operator's commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    oncegate_daemon::run()
}
