//! What can go wrong with a database, by what a caller would do about it.

use tokio_postgres::error::SqlState;

/// The SQLSTATE of the guards in the schema.
const GUARD: &str = "OG001";

/// Why a store could not be opened, or a call could not be performed.
#[derive(Debug, thiserror::Error)]
pub enum PgError {
    /// A field of the configuration breaks this rule.
    #[error("the configuration of PostgreSQL breaks a rule: {0}")]
    Config(&'static str),
    /// The certificates that were configured can't be used.
    #[error("the certificates for PostgreSQL can't be used: {0}")]
    Certificates(String),
    /// A newer oncegate has been here. Stop: what it wrote may mean something that this one can't see.
    #[error(
        "{place} is a store of version {found}, and this oncegate knows versions up to {known}: \
         start the oncegate that wrote it, or a newer one"
    )]
    NewerVersion {
        /// Which database.
        place: String,
        /// The version found in it.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// The tables are of an earlier version, or not there at all (version zero).
    #[error(
        "{place} is a store of version {found}, and this oncegate needs version {known}: \
         make a backup, stop every older oncegate, and run `oncegate migrate`"
    )]
    OlderVersion {
        /// Which database.
        place: String,
        /// The version found in it.
        found: i64,
        /// The version needed here.
        known: i64,
    },
    /// Somebody else's tables; they were left as they are.
    #[error("{place} is not a store of oncegate ({found}): name another schema, which migrating creates")]
    NotOurs {
        /// Which database.
        place: String,
        /// What was found instead.
        found: String,
    },
    /// The server could lose what it has acknowledged.
    #[error("{place} would lose commits: {why}")]
    NotDurable {
        /// Which database.
        place: String,
        /// What is wrong, and what to do about it.
        why: String,
    },
    /// No server could be talked to.
    #[error("could not connect to {place}: {seen}; nothing was asked of it")]
    NotConnected {
        /// Which database.
        place: String,
        /// What was seen at each peer.
        seen: String,
    },
    /// PostgreSQL refused, or the connection broke. Whether a commit that was under way happened is unknown;
    /// anything before it did not.
    #[error("could not {doing} in {place}: {}; {}", told(source), advice(source))]
    Sql {
        /// What was being done.
        doing: &'static str,
        /// To which database.
        place: String,
        /// What was seen.
        source: tokio_postgres::Error,
    },
    /// A row that this version can't read: never guessed at.
    #[error("could not {doing} in {place}: {what}; was it written by a newer oncegate?")]
    Unreadable {
        /// What was being done.
        doing: &'static str,
        /// To which database.
        place: String,
        /// Which row, and what is strange about it.
        what: String,
    },
}

/// What a call on a session can fail with, before it is said where that was.
#[derive(Debug)]
pub(crate) enum Failure {
    Sql(tokio_postgres::Error),
    Unreadable(String),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(source: tokio_postgres::Error) -> Self {
        Self::Sql(source)
    }
}

impl Failure {
    pub(crate) fn at(self, doing: &'static str, place: String) -> PgError {
        match self {
            Self::Sql(source) => PgError::Sql { doing, place, source },
            Self::Unreadable(what) => PgError::Unreadable { doing, place, what },
        }
    }

    /// Whether this one statement was refused and the server is well: other connections to it are good.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Unreadable(_) => true,
            Self::Sql(source) => source.code().is_some_and(|code| {
                // 57P: shut down or starting up. 08: the connection.
                !code.code().starts_with("57P") && !code.code().starts_with("08")
            }),
        }
    }
}

/// The library's own text says only that there was an error.
fn told(source: &tokio_postgres::Error) -> String {
    let mut text = source.to_string();
    let mut inner = std::error::Error::source(source);
    while let Some(cause) = inner {
        text = format!("{text}: {cause}");
        inner = cause.source();
    }
    text
}

/// What a person does next.
fn advice(source: &tokio_postgres::Error) -> &'static str {
    let Some(code) = source.code() else {
        return "look whether the server is up and reachable; what was under way may have happened";
    };
    if code.code() == GUARD {
        return "a guard of the store held: nothing was changed";
    }
    match *code {
        SqlState::LOCK_NOT_AVAILABLE => {
            "another session holds the lock: repeat the call, and look in pg_stat_activity for one that sits in a transaction"
        }
        SqlState::QUERY_CANCELED => {
            "the statement took longer than statement_timeout: look at the server's load and disk"
        }
        SqlState::DISK_FULL => "free space on the server's disk and repeat the call",
        SqlState::READ_ONLY_SQL_TRANSACTION => {
            "this is a standby, or was opened for reading: look which server is the primary"
        }
        SqlState::INSUFFICIENT_PRIVILEGE => {
            "grant the role the rights on the schema that `oncegate migrate` would give its owner"
        }
        SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_COLUMN => {
            "the tables are not of this version: run `oncegate migrate`"
        }
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "check role, password and the server's pg_hba.conf"
        }
        SqlState::INVALID_CATALOG_NAME => "create the database first",
        SqlState::TOO_MANY_CONNECTIONS => "raise max_connections, or lower the connections of each node",
        _ if code.code().starts_with("57P") => "the server is shutting down or starting up: repeat the call",
        _ if code.code().starts_with("23") => "a constraint of the store held: nothing was changed",
        _ => "nothing is known to have been changed",
    }
}

pub(crate) fn connecting(source: &tokio_postgres::Error) -> String {
    format!("{}; {}", told(source), advice(source))
}
