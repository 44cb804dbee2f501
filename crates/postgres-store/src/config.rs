//! Where the database is, how to get there, and for how long anything may take.

use std::fmt;
use std::time::Duration;

use crate::error::PgError;
use crate::tls::Tls;

/// How many databases may be listed; each costs up to one `connect_timeout` while it does not answer.
const MOST_PEERS: usize = 8;

/// How to reach a database. [`PostgresConfig::new`] fills in what most leave as it is.
#[derive(Clone)]
pub struct PostgresConfig {
    /// The servers, each `host:port`: the primary and those that may become it, tried in turn, the one
    /// that answered last first. Servers that are in recovery are passed over.
    pub peers: Vec<String>,
    /// The role.
    pub user: String,
    /// Its password, if the server asks for one (SCRAM-SHA-256, or MD5 where the server still has it).
    pub password: Option<String>,
    /// The database.
    pub database: String,
    /// The schema that holds the tables: lower-case letters, digits and underscores. Notifications are sent on
    /// channels `<schema>_signals` and `<schema>_lease`.
    pub schema: String,
    /// How connections are protected.
    pub tls: Tls,
    /// What the server shows for these connections in `pg_stat_activity`.
    pub application_name: String,
    /// The most connections that calls use at a time; more calls wait. One more listens.
    pub connections: usize,
    /// The longest that opening a connection to one peer may take, sign-in included; also the longest that each check
    /// of the listening connection may take. A call is further bounded by its caller.
    pub connect_timeout: Duration,
    /// The server's `statement_timeout`: what it does not finish in this time it gives up. Should be about the
    /// caller's own bound: a statement of which nobody awaits the answer only holds locks.
    pub statement_timeout: Duration,
    /// The server's `lock_timeout`: for how long one statement waits for another's lock. Less than
    /// `statement_timeout`, so that errors say which it was.
    pub lock_timeout: Duration,
    /// The server's `idle_in_transaction_session_timeout`: after how long the locks of a client that was cut off in
    /// the middle of a transaction are let go.
    pub idle_in_transaction_timeout: Duration,
    /// An idle connection is not used again after this long: what stands between may have forgotten it.
    pub idle_timeout: Duration,
    /// Insist that the server waits for a synchronous standby at each commit (`synchronous_standby_names`).
    pub require_synchronous_standby: bool,
    /// How often the listening connection is checked for being alive.
    pub listen_check_every: Duration,
    /// The shortest and longest pause before listening is tried again. Calls don't pause: each makes at most one
    /// attempt to connect to each peer, and its caller decides about the next.
    pub listen_retry: (Duration, Duration),
}

impl PostgresConfig {
    /// The database of that name at `peer` (`host:port`), schema `oncegate`, without TLS or password.
    pub fn new(peer: impl Into<String>, user: impl Into<String>, database: impl Into<String>) -> Self {
        Self {
            peers: vec![peer.into()],
            user: user.into(),
            password: None,
            database: database.into(),
            schema: "oncegate".into(),
            tls: Tls::Off,
            application_name: "oncegate".into(),
            connections: 8,
            connect_timeout: Duration::from_secs(1),
            statement_timeout: Duration::from_secs(2),
            lock_timeout: Duration::from_secs(1),
            idle_in_transaction_timeout: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(60),
            require_synchronous_standby: false,
            listen_check_every: Duration::from_secs(15),
            listen_retry: (Duration::from_millis(500), Duration::from_secs(10)),
        }
    }

    /// Checks what can be checked without a server.
    ///
    /// # Errors
    /// [`PgError::Config`], which names the field and the rule.
    pub fn validate(&self) -> Result<(), PgError> {
        let rule = |holds: bool, rule: &'static str| if holds { Ok(()) } else { Err(PgError::Config(rule)) };
        let letter = |c: char| c.is_ascii_lowercase() || c == '_';
        rule(!self.peers.is_empty() && self.peers.len() <= MOST_PEERS, "peers: from one to eight, each host:port")?;
        rule(self.peers.iter().all(|peer| host(peer).is_some()), "peers: each is written host:port")?;
        rule(!self.user.is_empty() && !self.database.is_empty(), "user and database: neither may be empty")?;
        rule(
            self.schema.starts_with(letter)
                && self.schema.len() <= 48
                && self.schema.chars().all(|c| letter(c) || c.is_ascii_digit())
                && !self.schema.starts_with("pg_"),
            "schema: a lower-case letter or underscore, then those or digits, at most 48, not beginning with pg_",
        )?;
        rule(self.connections > 0, "connections: at least one")?;
        let millis = Duration::from_millis(1)..=Duration::from_secs(3600);
        rule(
            [self.connect_timeout, self.statement_timeout, self.lock_timeout, self.idle_in_transaction_timeout]
                .iter()
                .all(|timeout| millis.contains(timeout)),
            "connect, statement, lock and idle-in-transaction timeouts: from a millisecond to an hour",
        )?;
        rule(self.lock_timeout <= self.statement_timeout, "lock_timeout <= statement_timeout")?;
        rule(self.listen_retry.0 <= self.listen_retry.1, "listen_retry: the shortest pause first")
    }

    /// Where it is, for people; nothing secret.
    pub fn place(&self) -> String {
        format!("{} at {}", self.database, self.peers.join(", "))
    }

    /// For how long opening a store may take: as many servers that don't answer, and two short statements.
    pub(crate) fn opening_timeout(&self) -> Duration {
        let peers = u32::try_from(self.peers.len()).unwrap_or(u32::MAX);
        self.connect_timeout.saturating_mul(peers).saturating_add(self.statement_timeout.saturating_mul(2))
    }

    pub(crate) fn signals_channel(&self) -> String {
        format!("{}_signals", self.schema)
    }

    pub(crate) fn lease_channel(&self) -> String {
        format!("{}_lease", self.schema)
    }

    /// As the client library wants it.
    pub(crate) fn library(&self, reads_only: bool) -> tokio_postgres::Config {
        let millis = |timeout: Duration| timeout.as_millis().max(1);
        let mut config = tokio_postgres::Config::new();
        config.user(&self.user).dbname(&self.database).application_name(&self.application_name);
        if let Some(password) = &self.password {
            config.password(password);
        }
        config.ssl_mode(match self.tls {
            Tls::Off => tokio_postgres::config::SslMode::Disable,
            Tls::VerifyFull(_) => tokio_postgres::config::SslMode::Require,
        });
        let mut options = format!(
            "-c search_path=\"{}\" -c statement_timeout={} -c lock_timeout={} -c idle_in_transaction_session_timeout={}",
            self.schema,
            millis(self.statement_timeout),
            millis(self.lock_timeout),
            millis(self.idle_in_transaction_timeout),
        );
        // Whatever the role or the database is set to: the guards are written for this level.
        options.push_str(" -c default_transaction_isolation=read\\ committed");
        if reads_only {
            options.push_str(" -c default_transaction_read_only=on");
        }
        config.options(options);
        config
    }
}

/// The host of a peer.
pub(crate) fn host(peer: &str) -> Option<&str> {
    let (host, port) = peer.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty() && port.parse::<u16>().is_ok()).then_some(host)
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("peers", &self.peers)
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "<redacted>"))
            .field("database", &self.database)
            .field("schema", &self.schema)
            .field("tls", &self.tls)
            .field("connections", &self.connections)
            .field("connect_timeout", &self.connect_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .field("lock_timeout", &self.lock_timeout)
            .field("idle_in_transaction_timeout", &self.idle_in_transaction_timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_rule_is_named() {
        let good = PostgresConfig::new("db.example:5432", "oncegate", "trading");
        good.validate().unwrap();
        let bad = |change: fn(&mut PostgresConfig)| {
            let mut config = good.clone();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(bad(|c| c.peers = vec!["db.example".into()]).contains("host:port"));
        assert!(bad(|c| c.peers.clear()).contains("from one to eight"));
        assert!(bad(|c| c.schema = "x; DROP TABLE signals".into()).contains("schema"));
        assert!(bad(|c| c.schema = "pg_catalog".into()).contains("schema"));
        assert!(bad(|c| c.lock_timeout = Duration::from_secs(9)).contains("lock_timeout <= statement_timeout"));
        assert!(bad(|c| c.connections = 0).contains("connections"));
    }

    #[test]
    fn a_password_is_never_printed() {
        let mut config = PostgresConfig::new("[::1]:5432", "oncegate", "trading");
        config.password = Some("hunter2".into());
        config.validate().unwrap();
        assert!(!format!("{config:?} {}", config.place()).contains("hunter2"));
        assert_eq!(host(&config.peers[0]), Some("::1"));
    }
}
