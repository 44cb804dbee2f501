//! `oncegate.toml`: what it may say, and what it says when it says nothing.
//!
//! Reading order: this file is every key with its default; [`example`] writes them out; [`read`] reads a file, and
//! refuses with file, line, key and rule; [`secret`] fetches what must not stand in a file.

pub mod example;
mod place;
pub mod read;
mod rules;
pub mod secret;
pub mod section;
pub mod time;

use std::path::PathBuf;

use oncegate_http_api::config::Limits as ApiLimits;
use oncegate_protocol::{KeyFormat, Timing as ProtocolTiming};
use serde::{Deserialize, Serialize};

use section::section;
pub use time::Time;

section! {
    /// A whole config file.
    pub struct Config {
        [instance: Instance];
        [listen: Listen];
        [api: Api];
        [store: Store];
        [lease: Lease];
        [broker: Broker];
        [identity: Identity];
        [timing: Timing];
        #[serde(rename = "peer")]
        [peers: Vec<Peer>];
        [log: Log];
    }
}

section! {
    /// Who this node is.
    pub struct Instance {
        /// Its name, of its own among all that share a lease; it stands in the history, in logs and in metrics.
        /// Without it: the name of this host.
        name: Option<String> = None => "\"host-a\"";
    }
}

section! {
    /// Where the HTTP API and the dashboard are.
    pub struct Listen {
        /// Host and port; port 0 takes a free one. Anything but loopback needs at least one [[api.token]].
        address: String = crate::DEFAULT_ADDRESS.into();
        /// With both of these it speaks TLS: a PEM file of the certificate and those that vouch for it,
        tls_certificate: Option<PathBuf> = None => "\"tls/oncegate.pem\"";
        /// and a PEM file of its private key, which must not be open to every user of the host.
        tls_key: Option<PathBuf> = None => "\"tls/oncegate.key\"";
    }
}

section! {
    /// Who may do what over HTTP.
    pub struct Api {
        /// Reading needs a token too, of any role. The page itself, /leader, /livez and /readyz never do.
        reads_need_token: bool = false;
        /// Names beside those of loopback by which this API is called while it has no tokens: lower case, without port.
        /// They keep pages on the web from reaching a node on the reader's own machine.
        hosts: Vec<String> = Vec::new();
        [limits: Limits];
        #[serde(rename = "token")]
        [tokens: Vec<Token>];
        #[serde(rename = "webhook")]
        [webhooks: Vec<Webhook>];
    }
}

section! {
    /// How much is taken over HTTP, and how long is waited.
    pub struct Limits {
        /// A signal is answered within this time, with 503 when the store has not answered by then. Less than 500ms.
        submit_within: Time = Time(ApiLimits::default().submit_within);
        /// What people read of the store must come within this time.
        read_within: Time = Time(ApiLimits::default().read_within);
        /// An operator's word is answered within this time.
        operate_within: Time = Time(ApiLimits::default().operate_within);
        /// The loop must come round to the question of /livez within this time.
        ping_within: Time = Time(ApiLimits::default().ping_within);
        /// The head of a request must come within this time.
        head_within: Time = Time(ApiLimits::default().head_within);
        /// The body of a request must come within this time of its head.
        body_within: Time = Time(ApiLimits::default().body_within);
        /// A connection on which nothing is asked is closed after this time.
        idle_for: Time = Time(ApiLimits::default().idle_for);
        /// A peer that takes nothing of its answer for this long is cut off.
        write_within: Time = Time(ApiLimits::default().write_within);
        /// How long answers under way are waited for when the daemon ends.
        drain: Time = Time(ApiLimits::default().drain);
        /// The most bytes of a request's line and headers; at least 8192.
        head_bytes: usize = ApiLimits::default().head_bytes;
        /// The most header lines.
        head_lines: usize = ApiLimits::default().head_lines;
        /// The most connections at a time.
        connections: usize = ApiLimits::default().connections;
        /// The most connections at a time of one address.
        connections_per_peer: usize = ApiLimits::default().connections_per_peer;
        /// The most readers of /v1/events (dashboards) at a time.
        event_streams: usize = ApiLimits::default().event_streams;
        /// How many requests a second each token, or each address without one, may make; 0 for as many as it likes.
        rate_per_second: u32 = ApiLimits::default().rate.map_or(0, |rate| rate.per_second);
        /// How many of them at once.
        rate_burst: u32 = ApiLimits::default().rate.map_or(0, |rate| rate.burst);
    }
}

section! {
    /// One for each who may act. `openssl rand -hex 32 > FILE` makes a secret.
    pub struct Token {
        /// Whose it is; it stands in the log.
        name: String = String::new() => "\"engine\"";
        /// "submit": may post signals and take work. "operate": that, and resolve, pause, resume, step down.
        role: Role = Role::Submit;
        /// The name of the variable that holds the secret, or
        token_env: Option<String> = None => "\"ONCEGATE_ENGINE_TOKEN\"";
        /// the file that holds it, which must not be open to every user of the host.
        token_file: Option<PathBuf> = None => "\"secrets/engine.token\"";
    }
}

/// What a token's bearer may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Post signals and take work.
    Submit,
    /// That, and everything that changes.
    Operate,
}

section! {
    /// One for each sender that can't set an Authorization header; it posts to /v1/webhooks/NAME.
    pub struct Webhook {
        /// Its name, which is the end of its path.
        name: String = String::new() => "\"charts\"";
        /// How it shows who it is. "hmac": a header bears the HMAC-SHA256 of the body. "path": /v1/webhooks/NAME/SECRET.
        /// "query": /v1/webhooks/NAME?KEY=SECRET. "body": a member of the body is the secret; it is not stored.
        check: WebhookCheck = WebhookCheck::Hmac;
        /// For "hmac": which header,
        header: String = "x-signature".into();
        /// what stands in it before the signature, e.g. "sha256=",
        prefix: String = String::new();
        /// and how the signature is written: "hex" or "base64".
        encoding: WebhookEncoding = WebhookEncoding::Hex;
        /// For "query": the name of the parameter.
        key: String = "key".into();
        /// For "body": the JSON pointer of the member.
        pointer: String = "/secret".into();
        /// The name of the variable that holds the secret, or
        secret_env: Option<String> = None => "\"ONCEGATE_CHARTS_SECRET\"";
        /// the file that holds it, which must not be open to every user of the host.
        secret_file: Option<PathBuf> = None => "\"secrets/charts.secret\"";
    }
}

/// How a webhook's sender is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookCheck {
    /// A header bears the HMAC of the body.
    Hmac,
    /// The end of the path is the secret.
    Path,
    /// A parameter of the query is the secret.
    Query,
    /// A member of the body is the secret.
    Body,
}

/// How a signature is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookEncoding {
    /// 64 hex digits.
    Hex,
    /// With padding.
    Base64,
}

section! {
    /// Signals, attempts and epochs: the authority over what may be sent.
    pub struct Store {
        /// "sqlite": a file, for the processes of one host. "postgres": for several hosts.
        kind: StoreKind = StoreKind::Sqlite;
        [sqlite: Sqlite];
        [postgres: Postgres];
    }
}

/// Which store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// One file on one host.
    Sqlite,
    /// A database server.
    Postgres,
}

section! {
    /// For store.kind = "sqlite".
    pub struct Sqlite {
        /// The file, on a local disk and never on a network share. It is made when nothing is there.
        path: PathBuf = PathBuf::from("oncegate.db");
    }
}

section! {
    /// For store.kind = "postgres". Have a synchronous standby, or none: an asynchronous one loses epochs.
    pub struct Postgres {
        /// Host and port of the primary, and of those that may become it, in the order in which they are tried.
        addresses: Vec<String> = vec!["127.0.0.1:5432".into()];
        /// The database.
        database: String = "oncegate".into();
        /// The schema that holds the tables.
        schema: String = "oncegate".into();
        /// The user.
        user: String = "oncegate".into();
        /// Refuse a server that does not wait for a synchronous standby at each commit.
        require_synchronous_standby: bool = false;
        /// The name of the variable that holds the password, or
        password_env: Option<String> = None => "\"ONCEGATE_PG_PASSWORD\"";
        /// the file that holds it. Without either, none is sent.
        password_file: Option<PathBuf> = None => "\"secrets/postgres.password\"";
        /// Speak TLS, and nothing else.
        tls: bool = false;
        /// With TLS: a PEM file of whom to trust. Without it: whom this host trusts.
        ca_file: Option<PathBuf> = None => "\"tls/ca.pem\"";
    }
}

section! {
    /// Who leads is found out here; it is a failure detector, and never the authority.
    pub struct Lease {
        /// "sqlite": in the store's file. "redis": on a Redis server. "postgres": in the store's database.
        /// Without it: where the store is.
        kind: Option<LeaseKind> = None => "\"redis\"";
        [redis: Redis];
    }
}

/// Which lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseKind {
    /// In the store's file.
    Sqlite,
    /// On a Redis server.
    Redis,
    /// In the store's database.
    Postgres,
}

section! {
    /// For lease.kind = "redis": Redis 7.0 or later.
    pub struct Redis {
        /// Host and port of the server.
        address: String = "127.0.0.1:6379".into();
        /// The key of the lease, the same on all nodes. Releases are announced on channel KEY:released; KEY:epoch keeps the highest epoch.
        key: String = "oncegate:leader".into();
        /// The number of the database.
        db: u32 = 0;
        /// The ACL user; only with a password.
        user: Option<String> = None => "\"oncegate\"";
        /// The name of the variable that holds the password, or
        password_env: Option<String> = None => "\"ONCEGATE_REDIS_PASSWORD\"";
        /// the file that holds it.
        password_file: Option<PathBuf> = None => "\"secrets/redis.password\"";
        /// Speak TLS, and nothing else.
        tls: bool = false;
        /// With TLS: a PEM file of whom to trust. Without it: whom this host trusts.
        ca_file: Option<PathBuf> = None => "\"tls/ca.pem\"";
    }
}

section! {
    /// Where orders go.
    pub struct Broker {
        /// "paper": nowhere; every order is taken and none is placed, for trying things out. "http": to a URL.
        /// "engine": to an engine that asks this daemon for work.
        kind: BrokerKind = BrokerKind::Paper;
        [http: HttpBroker];
        [capabilities: Capabilities];
    }
}

/// Which broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrokerKind {
    /// Nothing is placed.
    Paper,
    /// Orders are pushed to a URL.
    Http,
    /// An engine takes orders as work.
    Engine,
}

section! {
    /// For broker.kind = "http".
    pub struct HttpBroker {
        /// http:// or https://, host, port unless it is 80 or 443, and the path before /orders.
        url: Option<String> = None => "\"https://broker.example/v1\"";
        /// The name of the variable that holds the token shown to the broker, or
        token_env: Option<String> = None => "\"ONCEGATE_BROKER_TOKEN\"";
        /// the file that holds it.
        token_file: Option<PathBuf> = None => "\"secrets/broker.token\"";
        /// With https: a PEM file of whom to trust. Without it: whom this host trusts.
        ca_file: Option<PathBuf> = None => "\"tls/ca.pem\"";
    }
}

section! {
    /// For broker.kind = "http" and "engine": what the broker promises. What is not sure must not be declared: recovery
    /// believes it. A broker that neither deduplicates nor can be asked gives at most one order, and a human in doubt.
    pub struct Capabilities {
        /// For how long a client order id that is sent again places no second order: "never", "forever", or a time.
        dedup: Dedup = Dedup::Never;
        /// Orders can be asked for by client order id.
        lookup: bool = false;
        /// With lookup: until so long after a send, "not found" means nothing.
        visible_after: Time = Time::millis(5_000);
        /// The longest time between a send and the broker's acting on it.
        longest_flight: Time = Time::millis(30_000);
        /// Client order ids begin with this.
        id_prefix: String = KeyFormat::default().prefix;
        /// The longest client order id that the broker takes, in characters, prefix included.
        id_max_len: usize = KeyFormat::default().max_len;
    }
}

/// For how long a repeated client order id is harmless.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Dedup {
    /// Never.
    Never,
    /// For ever.
    Forever,
    /// For this long after the first.
    Within(Time),
}

impl From<Dedup> for String {
    fn from(dedup: Dedup) -> Self {
        match dedup {
            Dedup::Never => "never".into(),
            Dedup::Forever => "forever".into(),
            Dedup::Within(time) => time.to_string(),
        }
    }
}

impl TryFrom<String> for Dedup {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "never" => Ok(Self::Never),
            "forever" => Ok(Self::Forever),
            _ => text
                .parse()
                .map(Self::Within)
                .map_err(|_| format!("{text:?} is neither \"never\" nor \"forever\" nor a time such as \"24h\"")),
        }
    }
}

section! {
    /// Which signals are the same signal. The same on all nodes.
    pub struct Identity {
        /// The JSON pointers of the members that make a signal that signal; none for the whole object.
        fields: Vec<String> = Vec::new();
        /// Raise it when the meaning of the members changes: every signal is a new one then.
        schema_version: u32 = 1;
    }
}

section! {
    /// Every time the protocol keeps to. The relations between them are checked, because the promises rest on them.
    pub struct Timing {
        /// How long a lease lasts without renewal; failover after a crash costs about as long.
        ttl: Time = Time(ProtocolTiming::default().ttl);
        /// How often the leader renews, and says in the store that it lives.
        /// 3*renew_every + lease_timeout <= renew_deadline
        renew_every: Time = Time(ProtocolTiming::default().renew_every);
        /// The leader gives up this long after the last renewal that succeeded was sent.
        /// renew_deadline < ttl*(1 - drift) - margin
        renew_deadline: Time = Time(ProtocolTiming::default().renew_deadline);
        /// The longest a call to the lease may take.
        lease_timeout: Time = Time(ProtocolTiming::default().lease_timeout);
        /// The longest a call to the store may take.
        store_timeout: Time = Time(ProtocolTiming::default().store_timeout);
        /// The longest an order or a look-up may take, connecting included.
        /// broker_timeout < ttl/2, and <= ttl*(1 - drift) - margin - renew_every - lease_timeout
        broker_timeout: Time = Time(ProtocolTiming::default().broker_timeout);
        /// By how much this host's monotonic clock may run slower than the lease's, as a fraction from 0 to 0.2.
        drift: f64 = ProtocolTiming::default().drift;
        /// Taken off every lease beside the drift, for pauses between a clock reading and its use.
        margin: Time = Time(ProtocolTiming::default().margin);
        /// The leader compares lease and store at every so many heartbeats.
        compare_every: u32 = ProtocolTiming::default().compare_every;
        /// For how long they may disagree before it is called split brain.
        split_brain_grace: Time = Time(ProtocolTiming::default().split_brain_grace);
        /// A leader whose heartbeat in the store is older than this is no reason to wait.
        /// 2*renew_every + store_timeout <= stale_after
        stale_after: Time = Time(ProtocolTiming::default().stale_after);
        /// The leader gives up when no heartbeat has reached the store for this long.
        /// stale_after < store_deadline
        store_deadline: Time = Time(ProtocolTiming::default().store_deadline);
        /// The shortest pause before something that failed is tried again; it doubles each time,
        retry_least: Time = Time(ProtocolTiming::default().retry.0);
        /// up to this.
        retry_most: Time = Time(ProtocolTiming::default().retry.1);
        /// How long a leader that steps down waits for orders under way.
        /// broker_timeout + store_timeout <= drain
        drain: Time = Time(ProtocolTiming::default().drain);
        /// How many signals are executed at a time; those in doubt don't count.
        in_flight: usize = ProtocolTiming::default().in_flight;
    }
}

section! {
    /// One for each other node of the cluster: the dashboard shows them. Nothing is decided on what they say.
    pub struct Peer {
        /// Its instance.name.
        name: String = String::new() => "\"host-b\"";
        /// Where its API is.
        url: String = String::new() => "\"http://host-b:7411\"";
        /// The name of the variable that holds a token for it, or
        token_env: Option<String> = None => "\"ONCEGATE_PEER_TOKEN\"";
        /// the file that holds it; for peers whose api.reads_need_token is true.
        token_file: Option<PathBuf> = None => "\"secrets/peer.token\"";
        /// With https: a PEM file of whom to trust. Without it: whom this host trusts.
        ca_file: Option<PathBuf> = None => "\"tls/ca.pem\"";
    }
}

section! {
    /// What is said on standard error. Under systemd each line bears its priority for the journal.
    pub struct Log {
        /// "human" or "json".
        format: LogFormat = LogFormat::Human;
        /// The least that is said: "error", "warn", "info", "debug" or "trace".
        level: LogLevel = LogLevel::Info;
    }
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// The least that is said.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Look now.
    Error,
    /// Worth a look in the morning.
    Warn,
    /// The course of things.
    Info,
    /// For who looks for a fault.
    Debug,
    /// Everything.
    Trace,
}

impl Timing {
    /// As the protocol takes it.
    pub fn protocol(&self) -> ProtocolTiming {
        ProtocolTiming {
            ttl: self.ttl.0,
            renew_every: self.renew_every.0,
            renew_deadline: self.renew_deadline.0,
            lease_timeout: self.lease_timeout.0,
            store_timeout: self.store_timeout.0,
            broker_timeout: self.broker_timeout.0,
            drift: self.drift,
            margin: self.margin.0,
            compare_every: self.compare_every,
            split_brain_grace: self.split_brain_grace.0,
            stale_after: self.stale_after.0,
            store_deadline: self.store_deadline.0,
            retry: (self.retry_least.0, self.retry_most.0),
            drain: self.drain.0,
            in_flight: self.in_flight,
        }
    }
}

impl Lease {
    /// Where the lease is, when the file does not say: where the store is.
    pub fn kind(&self, store: StoreKind) -> LeaseKind {
        self.kind.unwrap_or(match store {
            StoreKind::Sqlite => LeaseKind::Sqlite,
            StoreKind::Postgres => LeaseKind::Postgres,
        })
    }
}
