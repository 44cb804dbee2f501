//! `oncegate`: the daemon that runs beside the trading engine, and the commands that talk to it.
//!
//! It decides nothing: it reads the config, puts the ports together, runs the loop, and ends it in order. This is the
//! outermost layer, the only one that knows of signals, environment, files of configuration and standard output.
//!
//! Reading order: [`cli`] is what can be typed; [`config`] what a file may say; [`serve`] the daemon; [`client`] the
//! commands that ask one over HTTP; [`migrate`] brings an old store up to date; [`log`], [`notify`] and [`tls`] are how
//! it speaks to people, to the service manager and to servers that want encryption.

mod calendar;
pub mod cli;
pub mod client;
pub mod config;
pub mod log;
pub mod migrate;
pub mod notify;
pub mod serve;
pub mod tls;

use std::process::ExitCode;

use clap::Parser as _;

/// Where the daemon listens, and where the commands look for it, when nobody says otherwise.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:7411";

/// What the process tells whoever called it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Refused, not taken, or the daemon failed.
    Refused = 1,
    /// The command line or the config can't be used.
    Usage = 2,
    /// The daemon could not be reached, or did not answer.
    Unreachable = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Does what the command line says.
pub fn run() -> ExitCode {
    cli::run(cli::Args::parse()).into()
}
