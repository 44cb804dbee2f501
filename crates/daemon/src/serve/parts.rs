//! The outside of a node, as the config has it: store, lease, broker, and the store as people read it.

use std::path::PathBuf;
use std::sync::Arc;

use oncegate_coordinator::{Broker, Clock, LeaseStore, Ledger, SignalStore, SystemClock, TcpConnect};
use oncegate_engine_desk::{DeskConfig, EngineDesk};
use oncegate_http_broker::{HttpBroker, PaperBroker};
use oncegate_postgres_store::{PgError, PostgresConfig, PostgresLease, PostgresStore};
use oncegate_redis_lease::RedisLease;
use oncegate_sqlite_store::{Db, DbError, SqliteLease, SqliteLedger, SqliteStore, schema};

use super::Failure;
use super::read_only::LeadershipOnly;
use super::settings::Settings;
use crate::config::read::Origin;
use crate::config::{BrokerKind, Config, LeaseKind};

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

/// Looks at the store. A SQLite store is made when nothing is there; tables in a database are made by `migrate` alone.
pub(super) async fn find(config: &Config, origin: &Origin, settings: &Settings) -> Result<Found, Failure> {
    match &settings.postgres {
        None => find_sqlite(config, origin),
        Some(postgres) => find_postgres(postgres, origin).await,
    }
}

fn of_sqlite(origin: &Origin) -> impl Fn(DbError) -> Failure {
    |error| Failure::Config(origin.wrong("store.sqlite.path", error.to_string()))
}

fn of_postgres(error: PgError) -> Failure {
    Failure::Broken(error.to_string())
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
    let leadership = Arc::new(LeadershipOnly::Sqlite(Arc::clone(&ledger)));
    let why = DbError::OlderVersion { place: path.display().to_string(), found: version, known: schema::NEWEST };
    Ok(Found::Behind { why: why.to_string(), ledger, leadership })
}

async fn find_postgres(postgres: &PostgresConfig, origin: &Origin) -> Result<Found, Failure> {
    let reader = PostgresStore::open_read_only(postgres.clone(), Arc::new(TcpConnect), Arc::new(SystemClock));
    let reader = match reader.await {
        Ok(reader) => Arc::new(reader),
        // Nothing is there yet: that is a step that was left out, and not a fault of the server's.
        Err(PgError::OlderVersion { place, found: 0, .. }) => {
            let what = format!("{place}: nothing is there yet; `oncegate migrate` makes the tables");
            return Err(Failure::Config(origin.wrong("store.postgres", what)));
        }
        Err(error) => return Err(of_postgres(error)),
    };
    let (found, known) = reader.version().await.map_err(of_postgres)?;
    if found == known {
        return Ok(Found::Fit { new: false });
    }
    let why = PgError::OlderVersion { place: postgres.place(), found, known }.to_string();
    let leadership = Arc::new(LeadershipOnly::Postgres(Arc::clone(&reader)));
    Ok(Found::Behind { why, ledger: reader, leadership })
}

/// The lease; each call makes another port to the same one.
pub(super) async fn lease(
    config: &Config,
    origin: &Origin,
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn LeaseStore>, Failure> {
    let clock = Arc::clone(clock);
    match (config.lease.kind(config.store.kind), &settings.redis, &settings.postgres) {
        (LeaseKind::Redis, Some((redis, connect)), _) => {
            Ok(Arc::new(RedisLease::new(redis.clone(), Arc::clone(connect), clock)))
        }
        (LeaseKind::Sqlite, _, _) => {
            let lease = SqliteLease::open_existing(sqlite_path(config, origin), clock);
            Ok(Arc::new(lease.map_err(of_sqlite(origin))?))
        }
        (LeaseKind::Postgres, _, Some(postgres)) => {
            let lease = PostgresLease::open(postgres.clone(), Arc::new(TcpConnect), clock).await;
            Ok(Arc::new(lease.map_err(of_postgres)?))
        }
        (LeaseKind::Redis, None, _) | (LeaseKind::Postgres, _, None) => {
            unreachable!("settings fetch what the lease needs, and the rules refuse a lease apart from its store")
        }
    }
}

/// The store, three times: no use of it stands in another's way.
pub(super) struct Stores {
    /// The loop's own.
    pub(super) of_loop: Arc<dyn SignalStore>,
    /// For the watch over the cluster.
    pub(super) of_watch: Arc<dyn SignalStore>,
    /// As people read it.
    pub(super) ledger: Arc<dyn Ledger>,
    /// How often the loop's own could not write the history of leaderships.
    pub(super) history_failures: Box<dyn Fn() -> u64 + Send + Sync>,
}

/// Opens the store.
pub(super) async fn stores(
    config: &Config,
    origin: &Origin,
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<Stores, Failure> {
    match &settings.postgres {
        None => {
            let path = sqlite_path(config, origin);
            let store = || SqliteStore::open_existing(&path, Arc::clone(clock)).map_err(of_sqlite(origin));
            let ledger = SqliteLedger::open(&path).map_err(of_sqlite(origin))?;
            let of_loop = Arc::new(store()?);
            let counted = Arc::clone(&of_loop);
            let history_failures = Box::new(move || counted.history_failures());
            Ok(Stores { of_loop, of_watch: Arc::new(store()?), ledger: Arc::new(ledger), history_failures })
        }
        Some(postgres) => {
            let store = PostgresStore::open(postgres.clone(), Arc::new(TcpConnect), Arc::clone(clock)).await;
            // It has a connection for each call, and others for people.
            let store = Arc::new(store.map_err(of_postgres)?);
            let counted = Arc::clone(&store);
            let history_failures = Box::new(move || counted.history_failures());
            let (of_loop, of_watch) = (Arc::clone(&store), Arc::clone(&store));
            Ok(Stores { of_loop, of_watch, ledger: store, history_failures })
        }
    }
}

/// Where orders go, and the desk if that is where.
pub(super) struct Orders {
    pub(super) broker: Arc<dyn Broker>,
    pub(super) desk: Option<EngineDesk>,
}

/// Where orders go; an engine's late word goes to `store`.
pub(super) fn orders(
    config: &Config,
    origin: &Origin,
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    boot_nonce: u64,
    store: &Arc<dyn SignalStore>,
) -> Result<Orders, Failure> {
    match (config.broker.kind, &settings.http_broker) {
        (BrokerKind::Paper, _) => Ok(Orders { broker: Arc::new(PaperBroker::new(Arc::clone(clock))), desk: None }),
        (BrokerKind::Http, Some((http, connect))) => {
            let broker = HttpBroker::new(http.clone(), Arc::clone(connect), Arc::clone(clock));
            let broker = broker.map_err(|error| Failure::Config(origin.wrong("broker.http", error.to_string())))?;
            Ok(Orders { broker: Arc::new(broker), desk: None })
        }
        (BrokerKind::Http, None) => unreachable!("settings fetch what an HTTP broker needs"),
        (BrokerKind::Engine, _) => {
            let capabilities = config.broker.capabilities.protocol();
            let desk = DeskConfig::new(capabilities, boot_nonce, &config.timing.protocol());
            let desk = EngineDesk::new(desk, Arc::clone(clock), Arc::clone(store));
            Ok(Orders { broker: Arc::new(desk.clone()), desk: Some(desk) })
        }
    }
}
