//! `oncegate serve`: the ports put together, the loop run, and all of it ended in order.
//!
//! ```text
//!   config ─► settings ─► parts: store, lease, broker ─► Driver ─┐
//!                          └─► ledger, watch_cluster, metrics ───┼─► HTTP API
//!                                     signals, service manager ──┘
//! ```
//!
//! Reading order: [`settings`] fetches what the config only names; `parts` opens what they are about; `node` runs a
//! node to its end, `read_only` shows a store that this program must not write to; `banner` says what was done.
//!
//! It must never outlive its loop: whatever ends otherwise than it should, a panic in any thread included, ends the
//! process with the reason, so that no lease is kept by who does nothing with it.

mod banner;
mod ending;
mod node;
pub(crate) mod parts;
mod peers;
mod read_only;
pub mod settings;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use oncegate_coordinator::{Listen, TcpListen};
use oncegate_http_api::TlsListen;

use crate::Exit;
use crate::cli::ConfigFile;
use crate::config::read::{self, BadConfig, Origin};
use crate::config::{Config, LogFormat};
use crate::log;
use crate::notify::Notifier;
use parts::Found;
use settings::Settings;

/// The config that is found by itself where the daemon is started.
pub const CONFIG_HERE: &str = "oncegate.toml";

/// Threads of the runtime: the loop and the API get by with little, and a slow answer must not hold up the loop.
const THREADS: usize = 2;

/// Runs the daemon to its end, listening at `listen` if that is given.
pub fn run(file: &ConfigFile, listen: Option<String>) -> Exit {
    let read = config(file).and_then(|(mut config, origin)| {
        if let Some(listen) = listen {
            config.listen.address = listen;
        }
        let settings = settings::settings(&config, &origin)?;
        Ok((config, origin, settings))
    });
    let (config, origin, settings) = match read {
        Ok(read) => read,
        Err(wrong) => return tell(&wrong),
    };
    if let Err(error) = log::begin(&config.log) {
        eprintln!("error: the log can't be begun: {error}");
        return Exit::Refused;
    }
    ending::panics_end_the_process();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("oncegate")
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(serve(&config, &origin, settings)),
        Err(error) => Err(Failure::Broken(format!("the runtime can't be started: {error}"))),
    };
    match ended {
        Ok(()) => Exit::Done,
        Err(Failure::Config(wrong)) => tell(&[wrong]),
        Err(Failure::Broken(what)) => {
            tracing::error!(severity = "CRITICAL", "the daemon ends: {what}");
            Exit::Refused
        }
    }
}

/// Why the daemon could not start, or ended.
pub(crate) enum Failure {
    /// The config asks for what can't be.
    Config(BadConfig),
    /// Anything else, for people.
    Broken(String),
}

/// The config that is asked for, the one that is found, or the defaults.
///
/// # Errors
/// What is wrong with it.
pub fn config(file: &ConfigFile) -> Result<(Config, Origin), Vec<BadConfig>> {
    match &file.config {
        Some(path) => read::file(path),
        None if Path::new(CONFIG_HERE).exists() => read::file(&PathBuf::from(CONFIG_HERE)),
        None => Ok((Config::default(), Origin::none())),
    }
}

fn tell(wrong: &[BadConfig]) -> Exit {
    for wrong in wrong {
        eprintln!("error: {wrong}");
    }
    Exit::Usage
}

async fn serve(config: &Config, origin: &Origin, settings: Settings) -> Result<(), Failure> {
    let notifier = Notifier::from_environment();
    let address = &config.listen.address;
    // First of all: whoever is there already is told of before any file is touched.
    let tcp = TcpListen::bind(address).await.map_err(|error| {
        let form = if error.kind() == std::io::ErrorKind::InvalidInput { "; write HOST:PORT" } else { "" };
        Failure::Config(origin.wrong("listen.address", format!("can't listen at {address}: {error}{form}")))
    })?;
    let at = tcp.local_address().map_err(|error| Failure::Broken(format!("where it listens is unknown: {error}")))?;
    settings.api.check(at.ip()).map_err(|error| Failure::Config(origin.wrong("listen.address", error.to_string())))?;
    let tcp: Arc<dyn Listen> = Arc::new(tcp);
    let tls = match &settings.tls {
        None => None,
        Some((chain, key)) => {
            let tls = TlsListen::new(Arc::clone(&tcp), chain, key.expose().as_bytes());
            Some(Arc::new(
                tls.map_err(|error| Failure::Config(origin.wrong("listen.tls_certificate", error.to_string())))?,
            ))
        }
    };
    let door = Door { listen: tls.clone().map_or(tcp, |tls| tls as Arc<dyn Listen>), tls, at };
    let found = parts::find(config, origin, &settings).await?;
    if config.log.format == LogFormat::Human {
        banner::print(config, origin, &settings, &door, &found);
    }
    match found {
        Found::Fit { .. } => node::run(config, origin, settings, door, notifier).await,
        Found::Behind { why, ledger, leadership } => {
            read_only::run(config, origin, settings, door, notifier, read_only::Old { why, ledger, leadership }).await
        }
    }
}

/// Where callers come in.
pub(crate) struct Door {
    /// What accepts them.
    listen: Arc<dyn Listen>,
    /// The same, when it speaks TLS: it may be given another certificate.
    tls: Option<Arc<TlsListen>>,
    /// Where.
    at: std::net::SocketAddr,
}

impl Door {
    /// The URL of the dashboard, as seen from this host.
    fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut at = self.at;
        if at.ip().is_unspecified() {
            at.set_ip(match at.ip() {
                std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("{scheme}://{at}")
    }
}
