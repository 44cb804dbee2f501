//! A store that is older than this program: it is shown, and nothing is done to it.

use std::sync::Arc;

use oncegate_coordinator::{
    AlertConfig, BoxFuture, Clock, ClusterWatch, Handle, LeaseStore, Ledger, Metrics, SignalStore, SystemClock,
    watch_cluster,
};
use oncegate_http_api::{Api, Health, PAGE, serve_until};
use oncegate_postgres_store::Reader;
use oncegate_protocol::{LeaseCall, LeaseReply, PortError, StoreCall, StoreReply};
use oncegate_sqlite_store::SqliteLedger;
use tokio::sync::oneshot;

use super::ending::{Asked, Signals, Task, reload};
use super::peers::HttpPeers;
use super::settings::Settings;
use super::{Door, Failure, parts};
use crate::config::read::Origin;
use crate::config::{Config, LeaseKind};
use crate::notify::Notifier;

/// What can be shown of an old store, and why no more.
pub(super) struct Old {
    /// What is the matter, and what to do.
    pub(super) why: String,
    /// Signals and history.
    pub(super) ledger: Arc<dyn Ledger>,
    /// Who leads.
    pub(super) leadership: Arc<dyn SignalStore>,
}

/// A store that answers who leads, and refuses everything else.
pub(super) enum LeadershipOnly {
    /// In a file.
    Sqlite(Arc<SqliteLedger>),
    /// In a database.
    Postgres(Arc<Reader>),
}

impl SignalStore for LeadershipOnly {
    fn call(&self, call: StoreCall) -> BoxFuture<'_, Result<StoreReply, PortError>> {
        Box::pin(async move {
            if call != StoreCall::ReadLeadership {
                return Err(PortError("this store is only read, until it is migrated".into()));
            }
            let leadership = match self {
                Self::Sqlite(ledger) => ledger.leadership().await?,
                Self::Postgres(reader) => reader.leadership().await.map_err(|error| PortError(error.to_string()))?,
            };
            Ok(StoreReply::Leadership(leadership))
        })
    }
}

/// A lease in the store itself, which this program can't read before it is migrated.
struct NoLease;

impl LeaseStore for NoLease {
    fn call(&self, _call: LeaseCall) -> BoxFuture<'_, Result<LeaseReply, PortError>> {
        Box::pin(async { Err(PortError("the lease is in a store that is not migrated yet".into())) })
    }
}

/// Shows `old` until a signal ends it. There is no loop: it never leads and takes no signals.
pub(super) async fn run(
    config: &Config,
    origin: &Origin,
    settings: Settings,
    door: Door,
    notifier: Notifier,
    old: Old,
) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let version = env!("CARGO_PKG_VERSION");
    tracing::error!(instance = settings.instance, "read-only: {}", old.why);
    let metrics = Metrics::new(Arc::clone(&clock), &settings.instance, version, "oncegate");
    let handle = Handle::to_nobody(settings.identity.clone());
    let lease: Arc<dyn LeaseStore> = match config.lease.kind(config.store.kind) {
        LeaseKind::Redis => parts::lease(config, origin, &settings, &clock).await?,
        LeaseKind::Sqlite | LeaseKind::Postgres => Arc::new(NoLease),
    };
    let (overview, watching) = watch_cluster(ClusterWatch {
        instance: settings.instance.clone(),
        version: version.to_owned(),
        clock: Arc::clone(&clock),
        lease,
        store: old.leadership,
        ledger: Arc::clone(&old.ledger),
        peers: Arc::new(HttpPeers::new(settings.peers, Arc::clone(&clock))),
        handle: handle.clone(),
        metrics: metrics.clone(),
        alerts: AlertConfig::default(),
        split_brain_grace: config.timing.split_brain_grace.0,
    });
    let health = Arc::new(Health::read_only(old.why));
    let api = Api {
        instance: settings.instance,
        version,
        handle,
        clock: Arc::clone(&clock),
        ledger: old.ledger,
        overview,
        figures: Arc::new(metrics),
        desk: None,
        config: settings.api,
        health: Arc::clone(&health),
        page: PAGE,
    };
    let (close, closing) = oneshot::channel::<()>();
    let mut http = Task::start(
        "HTTP API",
        serve_until(door.listen, api, async move {
            let _ = closing.await;
        }),
    );
    let mut watch = Task::start("watch over the cluster", watching);
    let mut dog = Task::start("watchdog", pat_the_dog(Arc::clone(&clock), notifier.clone()));
    notifier.ready("read-only: the store is to be migrated");
    loop {
        tokio::select! {
            biased;
            asked = signals.next() => match asked {
                Asked::End(name, _) => {
                    tracing::info!("{name}: ending");
                    break;
                }
                Asked::Reload => reload(config, origin, door.tls.as_ref()),
            },
            failure = http.fails() => return Err(failure),
            failure = watch.fails() => return Err(failure),
            failure = dog.fails() => return Err(failure),
        }
    }
    notifier.stopping();
    health.stop();
    let _ = close.send(());
    signals.while_ending(http.ended()).await
}

/// There is no loop that could be stuck: that this runs is all there is to say.
async fn pat_the_dog(clock: Arc<dyn Clock>, notifier: Notifier) {
    let Some(every) = notifier.watchdog_every() else { return std::future::pending().await };
    loop {
        notifier.alive();
        clock.sleep_until(clock.now().mono.plus(every)).await;
    }
}
