//! What can't be said in the form of a file: rules between keys, each told with the key to change.

use std::net::{IpAddr, SocketAddr};

use hyper::Uri;
use oncegate_protocol::timing::TimingError;

use super::place::is_set;
use super::read::{BadConfig, Origin};
use super::{BrokerKind, Capabilities, Config, Dedup, LeaseKind, StoreKind};

/// Everything that is wrong with `config`.
pub(super) fn check(config: &Config, origin: &Origin) -> Vec<BadConfig> {
    let mut wrong = Vec::new();
    let mut say = |key: &str, what: String| wrong.push(origin.wrong(key, what));
    check_instance(config, &mut say);
    check_listen(config, &mut say);
    check_kinds(config, origin, &mut say);
    check_secrets(config, &mut say);
    check_broker(config, &mut say);
    check_identity(config, &mut say);
    check_peers(config, &mut say);
    if let Err(error) = config.timing.protocol().check() {
        wrong.push(of_timing(&error, origin));
    }
    wrong
}

type Say<'a> = &'a mut dyn FnMut(&str, String);

/// A name that can stand in a log line, a metric's label and a holder.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c))
}

const NAMES: &str = "write 1 to 64 letters, digits, '-', '_', '.' and ':'";

fn check_instance(config: &Config, say: Say<'_>) {
    if let Some(name) = &config.instance.name
        && !is_name(name)
    {
        say("instance.name", format!("{name:?} can't be a name: {NAMES}"));
    }
}

/// The address that is listened at, and its IP address if it is written as one or is `localhost`.
fn host_and_port(address: &str) -> Result<(String, Option<IpAddr>), String> {
    let wrong = || format!("{address:?} is no address: write HOST:PORT, e.g. \"{}\"", crate::DEFAULT_ADDRESS);
    if let Ok(address) = address.parse::<SocketAddr>() {
        return Ok((address.ip().to_string(), Some(address.ip())));
    }
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    if host.is_empty() || port.parse::<u16>().is_err() || host.contains([':', '/', '@', ' ']) {
        return Err(wrong());
    }
    let ip = if host == "localhost" { Some(IpAddr::from([127, 0, 0, 1])) } else { None };
    Ok((host.to_owned(), ip))
}

fn check_listen(config: &Config, say: Say<'_>) {
    match host_and_port(&config.listen.address) {
        Err(flaw) => say("listen.address", flaw),
        Ok((_, ip)) => {
            let loopback = ip.is_some_and(|ip| ip.to_canonical().is_loopback());
            if !loopback && config.api.tokens.is_empty() {
                say(
                    "listen.address",
                    "whoever reaches it could place orders: add an [[api.token]], or listen on 127.0.0.1".into(),
                );
            }
        }
    }
    if config.listen.tls_certificate.is_some() != config.listen.tls_key.is_some() {
        let (there, missing) = match config.listen.tls_key {
            Some(_) => ("listen.tls_key", "tls_certificate"),
            None => ("listen.tls_certificate", "tls_key"),
        };
        say(there, format!("TLS needs both: write {missing} too"));
    }
    let mut names = std::collections::BTreeSet::new();
    for (token, number) in config.api.tokens.iter().zip(0..) {
        if !is_name(&token.name) {
            say(&format!("api.token.{number}.name"), format!("{:?} can't be a name: {NAMES}", token.name));
        } else if !names.insert(&token.name) {
            say(&format!("api.token.{number}.name"), format!("two tokens bear the name {:?}", token.name));
        }
    }
    let mut names = std::collections::BTreeSet::new();
    for (webhook, number) in config.api.webhooks.iter().zip(0..) {
        if !is_name(&webhook.name) {
            say(&format!("api.webhook.{number}.name"), format!("{:?} can't be a name: {NAMES}", webhook.name));
        } else if !names.insert(&webhook.name) {
            say(&format!("api.webhook.{number}.name"), format!("two webhooks bear the name {:?}", webhook.name));
        }
    }
}

/// A table for another kind than the one that is chosen was meant to be used, and would not be.
fn check_kinds(config: &Config, origin: &Origin, say: Say<'_>) {
    let store = config.store.kind;
    let lease = config.lease.kind(store);
    let broker = config.broker.kind;
    for (table, used, key) in [
        ("store.sqlite", store == StoreKind::Sqlite, "store.kind"),
        ("store.postgres", store == StoreKind::Postgres, "store.kind"),
        ("lease.redis", lease == LeaseKind::Redis, "lease.kind"),
        ("broker.http", broker == BrokerKind::Http, "broker.kind"),
        ("broker.capabilities", broker != BrokerKind::Paper, "broker.kind"),
    ] {
        if !used && is_set(origin.text(), table) {
            say(table, format!("nothing here would be used, because {key} says otherwise: remove it, or change {key}"));
        }
    }
    match (lease, store) {
        (LeaseKind::Sqlite, StoreKind::Postgres) => say(
            "lease.kind",
            "a lease in a file is seen by one host alone, and a PostgreSQL store is there for several: \
             write \"postgres\" or \"redis\""
                .into(),
        ),
        (LeaseKind::Postgres, StoreKind::Sqlite) => {
            say(
                "lease.kind",
                "the lease can only be in PostgreSQL if the store is: write store.kind = \"postgres\"".into(),
            );
        }
        (LeaseKind::Sqlite, StoreKind::Sqlite)
        | (LeaseKind::Postgres, StoreKind::Postgres)
        | (LeaseKind::Redis, StoreKind::Sqlite | StoreKind::Postgres) => {}
    }
    if lease == LeaseKind::Redis
        && let Err(flaw) = host_and_port(&config.lease.redis.address)
    {
        say("lease.redis.address", flaw);
    }
    let redis = &config.lease.redis;
    if redis.user.is_some() && redis.password_env.is_none() && redis.password_file.is_none() {
        say("lease.redis.user", "a user needs a password: write password_env or password_file".into());
    }
}

/// One secret comes from one place.
fn check_secrets(config: &Config, say: Say<'_>) {
    let mut places = Vec::new();
    for (token, number) in config.api.tokens.iter().zip(0..) {
        let given = (token.token_env.is_some(), token.token_file.is_some());
        places.push((format!("api.token.{number}"), "token", given, true));
    }
    for (webhook, number) in config.api.webhooks.iter().zip(0..) {
        let given = (webhook.secret_env.is_some(), webhook.secret_file.is_some());
        places.push((format!("api.webhook.{number}"), "secret", given, true));
    }
    for (peer, number) in config.peers.iter().zip(0..) {
        places.push((format!("peer.{number}"), "token", (peer.token_env.is_some(), peer.token_file.is_some()), false));
    }
    let (postgres, redis, http) = (&config.store.postgres, &config.lease.redis, &config.broker.http);
    let given = (postgres.password_env.is_some(), postgres.password_file.is_some());
    places.push(("store.postgres".into(), "password", given, false));
    let given = (redis.password_env.is_some(), redis.password_file.is_some());
    places.push(("lease.redis".into(), "password", given, false));
    places.push(("broker.http".into(), "token", (http.token_env.is_some(), http.token_file.is_some()), false));
    for (table, name, given, needed) in places {
        match given {
            (true, true) => {
                say(&format!("{table}.{name}_file"), format!("it comes from one place: {name}_env or {name}_file"));
            }
            (false, false) if needed => {
                say(&table, format!("its secret is missing: write {name}_env or {name}_file"));
            }
            (true, false) | (false, true) | (false, false) => {}
        }
    }
}

/// A URL's parts: whether it is `https`, `host:port`, and the path without a slash at its end.
///
/// # Errors
/// What is wrong with it.
pub fn url(text: &str) -> Result<(bool, String, String), String> {
    let wrong = || format!("{text:?} is no URL that can be used here: write e.g. \"https://host:443/path\"");
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        Some(_) | None => return Err(wrong()),
    };
    let authority = uri.authority().ok_or_else(wrong)?;
    if authority.as_str().contains('@') {
        // Not shown: it may be a password.
        return Err("a URL here has no user and no password in it".into());
    }
    if uri.query().is_some() || text.contains('#') || authority.host().is_empty() {
        return Err(wrong());
    }
    let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
    Ok((tls, format!("{}:{port}", authority.host()), uri.path().trim_end_matches('/').to_owned()))
}

fn check_broker(config: &Config, say: Say<'_>) {
    if config.broker.kind == BrokerKind::Http {
        match &config.broker.http.url {
            None => say("broker.http.url", "it is missing: an HTTP broker is somewhere".into()),
            Some(text) => {
                if let Err(flaw) = url(text) {
                    say("broker.http.url", flaw);
                }
            }
        }
    }
    if let Err(flaw) = config.broker.capabilities.protocol().key_format.check() {
        say("broker.capabilities.id_max_len", flaw);
    }
}

impl Capabilities {
    /// As the protocol takes them.
    pub fn protocol(&self) -> oncegate_protocol::Capabilities {
        oncegate_protocol::Capabilities {
            dedup: match self.dedup {
                Dedup::Never => oncegate_protocol::DedupScope::Never,
                Dedup::Forever => oncegate_protocol::DedupScope::Forever,
                Dedup::Within(time) => oncegate_protocol::DedupScope::Within(time.0),
            },
            lookup: if self.lookup {
                oncegate_protocol::Lookup::ByClientOrderId { visible_after: self.visible_after.0 }
            } else {
                oncegate_protocol::Lookup::None
            },
            longest_flight: self.longest_flight.0,
            key_format: oncegate_protocol::KeyFormat { prefix: self.id_prefix.clone(), max_len: self.id_max_len },
        }
    }
}

fn check_identity(config: &Config, say: Say<'_>) {
    for (pointer, number) in config.identity.fields.iter().zip(0..) {
        if !pointer.starts_with('/') {
            let key = format!("identity.fields.{number}");
            say(&key, format!("{pointer:?} is no JSON pointer: it starts with a slash, e.g. \"/id\""));
        }
    }
}

fn check_peers(config: &Config, say: Say<'_>) {
    let mut names = std::collections::BTreeSet::new();
    for (peer, number) in config.peers.iter().zip(0..) {
        if !is_name(&peer.name) {
            say(&format!("peer.{number}.name"), format!("{:?} can't be a name: {NAMES}", peer.name));
        } else if !names.insert(&peer.name) || config.instance.name.as_ref() == Some(&peer.name) {
            let what = format!("{:?} is another node's name already: a [[peer]] for each other node", peer.name);
            say(&format!("peer.{number}.name"), what);
        }
        if let Err(flaw) = url(&peer.url) {
            say(&format!("peer.{number}.url"), flaw);
        }
    }
}

/// A relation between times names keys; the first of them that the file sets is the one to look at.
fn of_timing(error: &TimingError, origin: &Origin) -> BadConfig {
    let rule = error.rule.replace("retry.0", "retry_least").replace("retry.1", "retry_most");
    let words = rule.split(|c: char| c != '_' && !c.is_ascii_lowercase());
    let mut keys: Vec<String> = Vec::new();
    for word in words.filter(|word| super::Timing::FIELDS.iter().any(|field| field.key == *word)) {
        let key = format!("timing.{word}");
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let (set, left): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| is_set(origin.text(), key));
    let mut what = format!("{rule} must hold, but {}", error.values);
    let others: Vec<String> = set
        .iter()
        .skip(1)
        .filter_map(|key| Some(format!("{key} on line {}", super::place::line_of(origin.text(), key)?)))
        .chain(left.iter().map(|key| format!("{key} by default")))
        .collect();
    if !others.is_empty() {
        what.push_str(&format!("; with {}", others.join(", ")));
    }
    origin.wrong(set.first().map_or("timing", |key| key.as_str()), what)
}
