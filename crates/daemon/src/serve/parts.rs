//! The outside of a node, as the config has it: store, lease, broker, and the store as people read it.

use std::path::PathBuf;
use std::sync::Arc;

use oncegate_coordinator::{Broker, Clock, LeaseStore, Ledger, SignalStore};
use oncegate_http_broker::{HttpBroker, PaperBroker};
use oncegate_redis_lease::RedisLease;
use oncegate_sqlite_store::{Db, DbError, SqliteLease, SqliteLedger, SqliteStore, schema};

use super::Failure;
use super::settings::Settings;
use crate::config::read::Origin;
use crate::config::{BrokerKind, Config, LeaseKind, StoreKind};

/// What was found where the store should be.
pub(crate) enum Found {
    /// A store that this program may write to; it was made just now when `new`.
    Fit {
        /// Nothing was there before.
        new: bool,
    },
    /// One that it must not write to, before it is migrated.
    Behind {
        /// What is the matter, and what to do.
        why: String,
        /// What can be read all the same.
        ledger: Arc<dyn Ledger>,
        /// The store's leadership, and nothing else of it.
        leadership: Arc<dyn SignalStore>,
    },
}

/// Where the file of a SQLite store is.
pub(crate) fn sqlite_path(config: &Config, origin: &Origin) -> PathBuf {
    origin.folder.join(&config.store.sqlite.path)
}

/// Looks at the store, and makes it when nothing is there.
pub(super) async fn find(config: &Config, origin: &Origin, _settings: &Settings) -> Result<Found, Failure> {
    match config.store.kind {
        StoreKind::Sqlite => find_sqlite(config, origin),
        StoreKind::Postgres => Err(not_built(origin, "store.kind")),
    }
}

fn not_built(origin: &Origin, key: &str) -> Failure {
    Failure::Config(origin.wrong(key, "this build has no PostgreSQL in it"))
}

fn of_sqlite(origin: &Origin) -> impl Fn(DbError) -> Failure {
    |error| Failure::Config(origin.wrong("store.sqlite.path", error.to_string()))
}

fn find_sqlite(config: &Config, origin: &Origin) -> Result<Found, Failure> {
    let path = sqlite_path(config, origin);
    let failed = of_sqlite(origin);
    let version = Db::version(&path).map_err(&failed)?;
    if version == 0 {
        Db::open(&path).map_err(&failed)?;
        return Ok(Found::Fit { new: true });
    }
    if version == schema::NEWEST {
        return Ok(Found::Fit { new: false });
    }
    let ledger = Arc::new(SqliteLedger::open(&path).map_err(&failed)?);
    let leadership = Arc::new(super::read_only::LeadershipOnly(Arc::clone(&ledger)));
    let why = DbError::OlderVersion { place: path.display().to_string(), found: version, known: schema::NEWEST };
    Ok(Found::Behind { why: why.to_string(), ledger, leadership })
}

/// The lease; each call makes another port to the same one.
pub(super) fn lease(
    config: &Config,
    origin: &Origin,
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn LeaseStore>, Failure> {
    match (config.lease.kind(config.store.kind), &settings.redis) {
        (LeaseKind::Redis, Some((redis, connect))) => {
            Ok(Arc::new(RedisLease::new(redis.clone(), Arc::clone(connect), Arc::clone(clock))))
        }
        (LeaseKind::Redis, None) => unreachable!("settings fetch what a lease on Redis needs"),
        (LeaseKind::Sqlite, _) => {
            let lease = SqliteLease::open_existing(sqlite_path(config, origin), Arc::clone(clock));
            Ok(Arc::new(lease.map_err(of_sqlite(origin))?))
        }
        (LeaseKind::Postgres, _) => Err(not_built(origin, "lease.kind")),
    }
}

/// The store; each call makes another port to the same one.
pub(super) fn store(config: &Config, origin: &Origin, clock: &Arc<dyn Clock>) -> Result<Arc<dyn SignalStore>, Failure> {
    match config.store.kind {
        StoreKind::Sqlite => {
            let store = SqliteStore::open_existing(sqlite_path(config, origin), Arc::clone(clock));
            Ok(Arc::new(store.map_err(of_sqlite(origin))?))
        }
        StoreKind::Postgres => Err(not_built(origin, "store.kind")),
    }
}

/// The store as people read it.
pub(super) fn ledger(config: &Config, origin: &Origin) -> Result<Arc<dyn Ledger>, Failure> {
    match config.store.kind {
        StoreKind::Sqlite => Ok(Arc::new(SqliteLedger::open(sqlite_path(config, origin)).map_err(of_sqlite(origin))?)),
        StoreKind::Postgres => Err(not_built(origin, "store.kind")),
    }
}

/// Where orders go.
pub(super) fn broker(
    config: &Config,
    origin: &Origin,
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Broker>, Failure> {
    match (config.broker.kind, &settings.http_broker) {
        (BrokerKind::Paper, _) => Ok(Arc::new(PaperBroker::new(Arc::clone(clock)))),
        (BrokerKind::Http, Some((http, connect))) => {
            let broker = HttpBroker::new(http.clone(), Arc::clone(connect), Arc::clone(clock));
            Ok(Arc::new(broker.map_err(|error| Failure::Config(origin.wrong("broker.http", error.to_string())))?))
        }
        (BrokerKind::Http, None) => unreachable!("settings fetch what an HTTP broker needs"),
        (BrokerKind::Engine, _) => {
            Err(Failure::Config(origin.wrong("broker.kind", "this build has no desk for engines in it")))
        }
    }
}
