//! What can be typed.

mod config;

use std::path::PathBuf;
use std::str::FromStr;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use oncegate_http_broker::PaperKind;
use oncegate_protocol::SignalState;

use crate::{Exit, client, migrate, paper, serve};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused, or not taken: the daemon said no, or nothing was there to be done
  2  the command line or the config can't be used; nothing was done
  3  the daemon could not be reached, or did not answer

Start with `oncegate serve`: without a config it runs one node on SQLite with a paper broker, which places nothing
anywhere, and says what to try. `oncegate config example` prints every setting with its default.";

/// Lets each trading signal through to the broker once.
///
/// `oncegate serve` is the daemon that runs beside the trading engine; all other commands ask a daemon that is running.
#[derive(Parser, Debug)]
#[command(name = "oncegate", version, after_help = EXIT_CODES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the daemon.
    ///
    /// Without a config it runs one node on ./oncegate.db with a paper broker, at http://127.0.0.1:7411/. With one it is
    /// read strictly: see `oncegate config`. A config named oncegate.toml in the folder where it is started is found by
    /// itself.
    ///
    /// SIGTERM and SIGINT end it in order: the gate closes, orders under way are waited for (timing.drain), the epoch is
    /// vacated, the lease released, HTTP answers under way are finished. A second signal ends it at once, as a crash
    /// does: nothing is lost, but a successor waits for the lease to run out.
    ///
    /// A store that is older than this program is not touched: the daemon shows what there is, takes no signals, and
    /// says to run `oncegate migrate`.
    #[command(after_long_help = "\
Examples:
  oncegate serve
  oncegate serve --config /etc/oncegate/oncegate.toml
  curl --json '{\"id\":\"demo-1\",\"side\":\"buy\"}' http://127.0.0.1:7411/v1/signals")]
    Serve {
        #[command(flatten)]
        config: ConfigFile,
        /// Listen here, whatever the config says; port 0 takes a free one.
        #[arg(long, value_name = "HOST:PORT")]
        listen: Option<String>,
    },
    /// Show or check settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Bring the store of a config up to the version that this program needs.
    ///
    /// Of a SQLite store a whole copy is kept beside it first. Stop the daemons of that store before, and start the new
    /// ones after it: each would refuse a store of a version that it does not know.
    #[command(after_long_help = "\
Examples:
  oncegate migrate --config /etc/oncegate/oncegate.toml --dry-run
  oncegate migrate --config /etc/oncegate/oncegate.toml")]
    Migrate {
        #[command(flatten)]
        config: ConfigFile,
        /// Say what would be done, and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Play a broker in a process of its own, for drills and for trying the http broker. It places nothing anywhere.
    ///
    /// It keeps its orders in memory, and writes each that it executes as a line of JSON to a book that you can judge by:
    /// two lines with one fingerprint and leg are an order executed twice.
    #[command(after_long_help = "\
Kinds:
  deduplicates  a repeated client order id is absorbed, and orders can be looked up
  looks-up      a repeated id is a second order; orders can be looked up
  blind         a repeated id is a second order, and nothing can be looked up

Example:
  oncegate paper-broker --listen 127.0.0.1:7421 --kind looks-up --book orders.jsonl")]
    PaperBroker {
        /// Where.
        #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7421")]
        listen: String,
        /// How well it behaves.
        #[arg(long, default_value = "deduplicates", value_parser = paper_kind)]
        kind: PaperKind,
        /// Write what it executes to this file, after what is there.
        #[arg(long, value_name = "FILE")]
        book: Option<PathBuf>,
    },
    /// Print what makes a shell complete these commands.
    #[command(after_long_help = "\
Examples:
  oncegate completions bash > /etc/bash_completion.d/oncegate
  oncegate completions fish > ~/.config/fish/completions/oncegate.fish")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    #[command(flatten)]
    Ask(Remotely),
}

fn paper_kind(name: &str) -> Result<PaperKind, String> {
    let known = || PaperKind::ALL.map(PaperKind::name).join(", ");
    PaperKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| format!("it is one of {}", known()))
}

/// Which config.
#[derive(clap::Args, Debug)]
pub struct ConfigFile {
    /// The config; without it ./oncegate.toml if that is there, else the defaults.
    #[arg(long, value_name = "FILE", env = "ONCEGATE_CONFIG")]
    pub config: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    /// Print a config file with every key, its unit and its default, all commented out.
    #[command(after_long_help = "Example:\n  oncegate config example > oncegate.toml")]
    Example,
    /// Read a config as `serve` would, its secrets included, and connect to nothing.
    ///
    /// Each mistake is told with file, line, key and the rule that it breaks.
    #[command(after_long_help = "Example:\n  oncegate config check /etc/oncegate/oncegate.toml")]
    Check {
        /// Which file.
        file: PathBuf,
        /// Don't fetch secrets: for checking a file where its secrets are not.
        #[arg(long)]
        without_secrets: bool,
    },
}

/// A command that asks a running daemon.
#[derive(Subcommand, Debug)]
enum Remotely {
    /// Show the cluster as one node sees it: who leads, which nodes answer, how many signals stand where, what is wrong.
    Status(Remote),
    /// Show who leads, by the lease and by the store.
    Leader(Remote),
    /// List signals, newest first.
    #[command(after_long_help = "\
Examples:
  oncegate signals --in-doubt
  oncegate signals --state failed --state expired --limit 20
  oncegate signals --json | jq '.signals[].fingerprint'")]
    Signals {
        /// Only those that may wait for a human: in doubt, quarantined and partial.
        #[arg(long)]
        in_doubt: bool,
        /// Only those in this state; may be given several times.
        #[arg(long, value_name = "STATE")]
        state: Vec<State>,
        /// How many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
        /// Those that arrived before this one: the number that ends the page before.
        #[arg(long, value_name = "NUMBER")]
        before: Option<u64>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show one signal with its attempts and with what was decided about it.
    Show {
        /// Its fingerprint, or at least the first 8 digits of it.
        fingerprint: Digits,
        #[command(flatten)]
        remote: Remote,
    },
    /// Say what became of a quarantined signal, or of one that was executed in part.
    ///
    /// Nothing could find out whether the broker has this order: look there first, under the client order id that `show`
    /// tells. The signal is shown, and the word is said once it is confirmed. It is not taken when the signal was tried
    /// again since it was shown.
    #[command(after_long_help = "\
Words:
  executed      the broker has the order; nothing is sent
  not-executed  the broker does not have it, and it shall not be sent any more
  resend        the broker does not have it, and it shall be sent again. If it does have it, the order is doubled

Examples:
  oncegate signals --in-doubt
  oncegate resolve 3f2a9c01 executed --reason 'order 4711 in the broker book, seen by AK'
  oncegate resolve 3f2a9c01 resend --reason 'not in the book after close' --yes")]
    Resolve {
        /// Its fingerprint, or at least the first 8 digits of it.
        fingerprint: Digits,
        /// What became of it.
        word: Word,
        /// How you know; it is kept with the signal for ever.
        #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
        reason: String,
        /// Don't ask for confirmation.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Stop new orders, on all nodes, until `resume`. Signals are still taken in.
    #[command(after_long_help = "Example:\n  oncegate pause --reason 'broker maintenance until 18:00'")]
    Pause(Reasoned),
    /// Let new orders through again.
    Resume(Reasoned),
    /// Ask the node to give up leadership, if it has it, and to let others go first.
    #[command(after_long_help = "Example:\n  oncegate step-down --reason 'failover drill'")]
    StepDown(Reasoned),
    /// Show who led when, and why it ended, newest first.
    History {
        /// How many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
        #[command(flatten)]
        remote: Remote,
    },
}

/// A word with a reason.
#[derive(clap::Args, Debug)]
struct Reasoned {
    /// Why; it is kept.
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reason: String,
    #[command(flatten)]
    remote: Remote,
}

/// Which daemon, and as whom.
#[derive(clap::Args, Clone, Debug)]
pub struct Remote {
    /// Where the daemon is.
    #[arg(long, env = "ONCEGATE_URL", default_value_t = format!("http://{}", crate::DEFAULT_ADDRESS))]
    pub url: String,
    /// The name of the variable that holds the token to show; it goes before a file.
    #[arg(long, value_name = "VARIABLE")]
    pub token_env: Option<String>,
    /// The file that holds the token to show; not open to every user of the host.
    #[arg(long, value_name = "FILE", env = "ONCEGATE_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// With https: a PEM file of whom to trust, and nobody else.
    #[arg(long, value_name = "FILE", env = "ONCEGATE_CA_FILE")]
    pub ca_file: Option<PathBuf>,
    /// What the daemon says, as it says it, for programs.
    #[arg(long)]
    pub json: bool,
}

/// What a daemon is asked.
#[derive(Debug)]
pub enum Ask {
    /// The overview.
    Status,
    /// Who leads.
    Leader,
    /// A list.
    Signals {
        /// In doubt, quarantined and partial.
        in_doubt: bool,
        /// In these states.
        state: Vec<State>,
        /// At most so many.
        limit: u32,
        /// The next page.
        before: Option<u64>,
    },
    /// One signal.
    Show {
        /// Which.
        fingerprint: Digits,
    },
    /// An operator's word on one.
    Resolve {
        /// Which.
        fingerprint: Digits,
        /// Which word.
        word: Word,
        /// Why.
        reason: String,
        /// Without asking.
        yes: bool,
    },
    /// No new orders.
    Pause {
        /// Why.
        reason: String,
    },
    /// New orders.
    Resume {
        /// Why.
        reason: String,
    },
    /// Let others lead.
    StepDown {
        /// Why.
        reason: String,
    },
    /// Who led.
    History {
        /// At most so many.
        limit: u32,
    },
}

impl Remotely {
    fn split(self) -> (Ask, Remote) {
        match self {
            Self::Status(remote) => (Ask::Status, remote),
            Self::Leader(remote) => (Ask::Leader, remote),
            Self::Signals { in_doubt, state, limit, before, remote } => {
                (Ask::Signals { in_doubt, state, limit, before }, remote)
            }
            Self::Show { fingerprint, remote } => (Ask::Show { fingerprint }, remote),
            Self::Resolve { fingerprint, word, reason, yes, remote } => {
                (Ask::Resolve { fingerprint, word, reason, yes }, remote)
            }
            Self::Pause(Reasoned { reason, remote }) => (Ask::Pause { reason }, remote),
            Self::Resume(Reasoned { reason, remote }) => (Ask::Resume { reason }, remote),
            Self::StepDown(Reasoned { reason, remote }) => (Ask::StepDown { reason }, remote),
            Self::History { limit, remote } => (Ask::History { limit }, remote),
        }
    }
}

/// An operator's word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Word {
    /// The broker has the order.
    Executed,
    /// The broker does not have it, and it shall not be sent.
    NotExecuted,
    /// The broker does not have it, and it shall be sent again.
    Resend,
}

impl Word {
    /// As the API has it.
    pub const fn wire(self) -> &'static str {
        match self {
            Self::Executed => "executed",
            Self::NotExecuted => "not_executed",
            Self::Resend => "resend",
        }
    }

    /// What it does, for who is about to say it.
    pub const fn means(self) -> &'static str {
        match self {
            Self::Executed => "You say that the broker HAS this order. Nothing will be sent.",
            Self::NotExecuted => "You say that the broker does NOT have this order. It will never be sent.",
            Self::Resend => {
                "You say that the broker does NOT have this order. It WILL BE SENT: if the broker has it, it is doubled."
            }
        }
    }
}

/// A signal's state, by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State(pub SignalState);

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names: Vec<_> = SignalState::ALL.map(SignalState::name).into();
        SignalState::from_name(&text.replace('-', "_"))
            .map(Self)
            .ok_or_else(|| format!("there is no such state; there are {}", names.join(", ")))
    }
}

/// A fingerprint, or the beginning of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Digits(pub String);

impl FromStr for Digits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !(8..=64).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("a fingerprint is 64 hex digits, of which the first 8 may be enough".into());
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

/// Does what was typed.
pub fn run(args: Args) -> Exit {
    match args.command {
        Command::Serve { config, listen } => serve::run(&config, listen),
        Command::Config(ConfigCommand::Example) => config::example(),
        Command::Config(ConfigCommand::Check { file, without_secrets }) => config::check(&file, !without_secrets),
        Command::Migrate { config, dry_run } => migrate::run(&config, dry_run),
        Command::PaperBroker { listen, kind, book } => paper::run(&listen, kind, book.as_deref()),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "oncegate", &mut std::io::stdout());
            Exit::Done
        }
        Command::Ask(remotely) => {
            let (ask, remote) = remotely.split();
            client::run(&ask, &remote)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
