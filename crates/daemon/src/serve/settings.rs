//! From what a config says to what the parts take: secrets fetched, files read, nothing connected to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use oncegate_coordinator::{Connect, TcpConnect};
use oncegate_http_api::{ApiConfig, Check, Limits, Rate, Role, Token, Webhook};
use oncegate_http_broker::HttpBrokerConfig;
use oncegate_postgres_store::{PostgresConfig, Tls};
use oncegate_protocol::IdentityRule;
use oncegate_redis_lease::RedisLeaseConfig;

use crate::client::http::Client;
use crate::config::read::{BadConfig, Origin, url};
use crate::config::secret::{Secret, Source};
use crate::config::{self, BrokerKind, Config, LeaseKind, StoreKind, WebhookCheck, WebhookEncoding};
use crate::tls::{TlsConnect, client_config};

/// What the parts take.
pub struct Settings {
    /// The name of this node.
    pub instance: String,
    /// Who may do what over HTTP.
    pub api: ApiConfig,
    /// The certificate chain and the key, in PEM.
    pub tls: Option<(Vec<u8>, Secret)>,
    /// The database, when the store is one.
    pub postgres: Option<PostgresConfig>,
    /// The lease on Redis, and the way there.
    pub redis: Option<(RedisLeaseConfig, Arc<dyn Connect>)>,
    /// The broker behind HTTP, and the way there.
    pub http_broker: Option<(HttpBrokerConfig, Arc<dyn Connect>)>,
    /// Which signals are the same signal.
    pub identity: IdentityRule,
    /// The other nodes: where each is, and the way there.
    pub peers: Vec<(String, Client)>,
}

/// Collects what is wrong, so that all of it is told at once.
struct Reader<'a> {
    origin: &'a Origin,
    wrong: Vec<BadConfig>,
}

impl Reader<'_> {
    /// The value, or none and a complaint about `key`.
    fn good<T>(&mut self, key: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|flaw| self.wrong.push(self.origin.wrong(key, flaw))).ok()
    }

    /// The secret that `{key}_env` or `{key}_file` names; none when neither is there.
    fn secret(&mut self, key: &str, env: Option<&String>, file: Option<&PathBuf>) -> Option<Secret> {
        let (key, source) = match (env, file) {
            (Some(name), _) => (format!("{key}_env"), Source::Env(name)),
            (None, Some(path)) => (format!("{key}_file"), Source::File(path)),
            (None, None) => return None,
        };
        let read = source.read(&self.origin.folder);
        self.good(&key, read)
    }

    /// The way to a server that may want encryption.
    fn connect(&mut self, key: &str, tls: bool, ca_file: Option<&PathBuf>) -> Option<Arc<dyn Connect>> {
        let tcp: Arc<dyn Connect> = Arc::new(TcpConnect);
        if !tls {
            return Some(tcp);
        }
        let ca_file = ca_file.map(|file| self.origin.folder.join(file));
        let connect = TlsConnect::new(tcp, ca_file.as_deref());
        self.good(key, connect).map(|connect| Arc::new(connect) as Arc<dyn Connect>)
    }
}

/// Everything, or everything that is wrong.
///
/// # Errors
/// What is wrong, by key; secrets are not shown.
pub fn settings(config: &Config, origin: &Origin) -> Result<Settings, Vec<BadConfig>> {
    let mut reader = Reader { origin, wrong: Vec::new() };
    let instance = match &config.instance.name {
        Some(name) => Some(name.clone()),
        None => reader.good("instance.name", host_name()),
    };
    let api = api(config, &mut reader);
    let tls = tls(config, &mut reader);
    let postgres = postgres(config, &mut reader);
    let redis = redis(config, &mut reader);
    let http_broker = http_broker(config, &mut reader);
    let peers = peers(config, &mut reader);
    let identity =
        IdentityRule { schema_version: config.identity.schema_version, fields: config.identity.fields.clone() };
    match instance {
        Some(instance) if reader.wrong.is_empty() => {
            Ok(Settings { instance, api, tls, postgres, redis, http_broker, identity, peers })
        }
        Some(_) | None => Err(reader.wrong),
    }
}

fn host_name() -> Result<String, String> {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy().into_owned();
    if name.is_empty() || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("this host has no name that could be used: write one".into());
    }
    Ok(name)
}

fn api(config: &Config, reader: &mut Reader<'_>) -> ApiConfig {
    let mut api = ApiConfig {
        reads_need_token: config.api.reads_need_token,
        hosts: config.api.hosts.clone(),
        limits: limits(&config.api.limits),
        ..ApiConfig::default()
    };
    for (token, number) in config.api.tokens.iter().zip(0..) {
        let key = format!("api.token.{number}");
        let role = match token.role {
            config::Role::Submit => Role::Submit,
            config::Role::Operate => Role::Operate,
        };
        let secret = reader.secret(&format!("{key}.token"), token.token_env.as_ref(), token.token_file.as_ref());
        if let Some(secret) = secret {
            let token = Token::new(&token.name, role, secret.expose()).map_err(|error| error.to_string());
            api.tokens.extend(reader.good(&key, token));
        }
    }
    for (webhook, number) in config.api.webhooks.iter().zip(0..) {
        let key = format!("api.webhook.{number}");
        let secret = reader.secret(&format!("{key}.secret"), webhook.secret_env.as_ref(), webhook.secret_file.as_ref());
        if let Some(secret) = secret {
            let made = Webhook::new(&webhook.name, check(webhook), secret.expose()).map_err(|error| error.to_string());
            api.webhooks.extend(reader.good(&key, made).map(|made| (webhook.name.clone(), made)));
        }
    }
    if reader.wrong.is_empty() {
        // Whether it may be reached from outside is checked when it is known what it listens at.
        let checked = api.check(std::net::IpAddr::from([127, 0, 0, 1])).map_err(|error| error.to_string());
        reader.good("api", checked);
    }
    api
}

fn check(webhook: &config::Webhook) -> Check {
    match webhook.check {
        WebhookCheck::Hmac => Check::Hmac {
            header: webhook.header.clone(),
            prefix: webhook.prefix.clone(),
            encoding: match webhook.encoding {
                WebhookEncoding::Hex => oncegate_http_api::webhook::Encoding::Hex,
                WebhookEncoding::Base64 => oncegate_http_api::webhook::Encoding::Base64,
            },
        },
        WebhookCheck::Path => Check::Path,
        WebhookCheck::Query => Check::Query { key: webhook.key.clone() },
        WebhookCheck::Body => Check::Body { pointer: webhook.pointer.clone() },
    }
}

fn limits(limits: &config::Limits) -> Limits {
    Limits {
        submit_within: limits.submit_within.0,
        read_within: limits.read_within.0,
        operate_within: limits.operate_within.0,
        ping_within: limits.ping_within.0,
        head_within: limits.head_within.0,
        body_within: limits.body_within.0,
        idle_for: limits.idle_for.0,
        write_within: limits.write_within.0,
        drain: limits.drain.0,
        head_bytes: limits.head_bytes,
        head_lines: limits.head_lines,
        connections: limits.connections,
        connections_per_peer: limits.connections_per_peer,
        event_streams: limits.event_streams,
        rate: (limits.rate_per_second > 0)
            .then_some(Rate { per_second: limits.rate_per_second, burst: limits.rate_burst }),
    }
}

fn tls(config: &Config, reader: &mut Reader<'_>) -> Option<(Vec<u8>, Secret)> {
    let (chain, key) = (config.listen.tls_certificate.as_ref()?, config.listen.tls_key.as_ref()?);
    let chain = reader.origin.folder.join(chain);
    let chain = std::fs::read(&chain).map_err(|error| format!("{} can't be read: {error}", chain.display()));
    let chain = reader.good("listen.tls_certificate", chain);
    let key = Source::File(key).read_lines(&reader.origin.folder);
    let key = reader.good("listen.tls_key", key);
    chain.zip(key)
}

fn postgres(config: &Config, reader: &mut Reader<'_>) -> Option<PostgresConfig> {
    if config.store.kind != StoreKind::Postgres {
        return None;
    }
    let said = &config.store.postgres;
    let password = reader.secret("store.postgres.password", said.password_env.as_ref(), said.password_file.as_ref());
    let tls = if said.tls {
        let ca_file = said.ca_file.as_ref().map(|file| reader.origin.folder.join(file));
        Tls::VerifyFull(reader.good("store.postgres.ca_file", client_config(ca_file.as_deref()))?)
    } else {
        Tls::Off
    };
    let store_timeout = config.timing.store_timeout.0;
    let postgres = PostgresConfig {
        peers: said.addresses.clone(),
        password: password.map(|password| password.expose().to_owned()),
        schema: said.schema.clone(),
        tls,
        // What nobody awaits any more must not hold locks; who waits for one is told so before it is given up.
        statement_timeout: store_timeout,
        lock_timeout: store_timeout / 2,
        idle_in_transaction_timeout: store_timeout,
        require_synchronous_standby: said.require_synchronous_standby,
        ..PostgresConfig::new("", &said.user, &said.database)
    };
    let checked = postgres.validate().map_err(|error| error.to_string());
    reader.good("store.postgres", checked).map(|()| postgres)
}

fn redis(config: &Config, reader: &mut Reader<'_>) -> Option<(RedisLeaseConfig, Arc<dyn Connect>)> {
    if config.lease.kind(config.store.kind) != LeaseKind::Redis {
        return None;
    }
    let redis = &config.lease.redis;
    let password = reader.secret("lease.redis.password", redis.password_env.as_ref(), redis.password_file.as_ref());
    let connect = reader.connect("lease.redis.ca_file", redis.tls, redis.ca_file.as_ref())?;
    let lease = RedisLeaseConfig {
        username: redis.user.clone(),
        password: password.map(|password| password.expose().to_owned()),
        db: i64::from(redis.db),
        ..RedisLeaseConfig::new(&redis.address, &redis.key)
    };
    Some((lease, connect))
}

fn http_broker(config: &Config, reader: &mut Reader<'_>) -> Option<(HttpBrokerConfig, Arc<dyn Connect>)> {
    if config.broker.kind != BrokerKind::Http {
        return None;
    }
    let http = &config.broker.http;
    let token = reader.secret("broker.http.token", http.token_env.as_ref(), http.token_file.as_ref());
    let (tls, peer, path_prefix) = reader.good("broker.http.url", url(http.url.as_deref().unwrap_or_default()))?;
    let connect = reader.connect("broker.http.ca_file", tls, http.ca_file.as_ref())?;
    let broker = HttpBrokerConfig {
        peer,
        path_prefix,
        capabilities: config.broker.capabilities.protocol(),
        lookup_timeout: config.timing.broker_timeout.0,
        bearer_token: token.map(|token| oncegate_http_broker::Secret::new(token.expose())),
    };
    Some((broker, connect))
}

fn peers(config: &Config, reader: &mut Reader<'_>) -> Vec<(String, Client)> {
    let mut peers = Vec::new();
    for (peer, number) in config.peers.iter().zip(0..) {
        let key = format!("peer.{number}");
        let token = reader.secret(&format!("{key}.token"), peer.token_env.as_ref(), peer.token_file.as_ref());
        let ca_file = peer.ca_file.as_ref().map(|file| reader.origin.folder.join(file));
        let client = Client::new(&peer.url, token.as_ref(), ca_file.as_deref().map(Path::new));
        peers.extend(reader.good(&format!("{key}.url"), client).map(|client| (peer.url.clone(), client)));
    }
    peers
}
