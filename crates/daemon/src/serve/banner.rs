//! What was done, and what to do next: the first thing that somebody who tries it out sees.

use std::fmt::Write as _;
use std::io::Write as _;

use super::parts::{self, Found};
use super::settings::Settings;
use super::{CONFIG_HERE, Door};
use crate::config::read::Origin;
use crate::config::{BrokerKind, Config, LeaseKind, StoreKind};

/// To standard output; who has closed it does not want to know.
pub(super) fn print(config: &Config, origin: &Origin, settings: &Settings, door: &Door, found: &Found) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text(config, origin, settings, door, found).as_bytes()).and_then(|()| out.flush());
}

fn text(config: &Config, origin: &Origin, settings: &Settings, door: &Door, found: &Found) -> String {
    let mut text = String::new();
    let url = door.url();
    let _ = writeln!(text, "oncegate {}, node {}", env!("CARGO_PKG_VERSION"), settings.instance);
    let mut line = |name: &str, what: &str| {
        let _ = writeln!(text, "  {name:<10} {what}");
    };
    match &origin.file {
        Some(file) if file.as_os_str() == CONFIG_HERE => line("config", "oncegate.toml, found here"),
        Some(file) => line("config", &file.display().to_string()),
        None => line("config", "none: the defaults hold; `oncegate config example` prints them"),
    }
    let state = match found {
        Found::Fit { new: true } => ", made just now",
        Found::Fit { new: false } => "",
        Found::Behind { .. } => ", TOO OLD: it is shown and nothing else",
    };
    match config.store.kind {
        StoreKind::Sqlite => {
            let path = parts::sqlite_path(config, origin);
            let path = std::fs::canonicalize(&path).unwrap_or(path);
            line("store", &format!("SQLite, {}{state}", path.display()));
        }
        StoreKind::Postgres => {
            let postgres = &config.store.postgres;
            line("store", &format!("PostgreSQL, {} at {}{state}", postgres.database, postgres.addresses.join(", ")));
        }
    }
    match config.lease.kind(config.store.kind) {
        LeaseKind::Sqlite | LeaseKind::Postgres => line("lease", "in the store"),
        LeaseKind::Redis => {
            line("lease", &format!("Redis, {} at {}", config.lease.redis.key, config.lease.redis.address))
        }
    }
    match config.broker.kind {
        BrokerKind::Paper => line("broker", "paper: every order is taken, and none is placed anywhere"),
        BrokerKind::Http => line("broker", &format!("HTTP, {}", config.broker.http.url.as_deref().unwrap_or_default())),
        BrokerKind::Engine => line("broker", "an engine, which asks here for work"),
    }
    match found {
        Found::Behind { why, .. } => line("to do", why),
        Found::Fit { .. } if settings.api.tokens.is_empty() => {
            line("try", &format!("curl --json '{{\"id\":\"demo-1\",\"side\":\"buy\"}}' {url}/v1/signals"));
            let elsewhere = if config.listen.address == crate::DEFAULT_ADDRESS {
                String::new()
            } else {
                format!(" --url {url}")
            };
            line("", &format!("oncegate status{elsewhere}"));
        }
        Found::Fit { .. } => {}
    }
    line("dashboard", &format!("{url}/"));
    text
}
