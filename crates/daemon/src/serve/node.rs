//! A node from its first tick to its last.

use std::sync::Arc;
use std::time::Duration;

use oncegate_coordinator::observe::NoticeLog;
use oncegate_coordinator::timeout::until;
use oncegate_coordinator::{
    AlertConfig, Clock, ClusterWatch, Driver, Handle, Measured, Metrics, Ports, SignalStore, SystemClock, entropy,
    watch_cluster,
};
use oncegate_http_api::{Api, Health, PAGE, alive, serve_until};
use oncegate_protocol::{InstanceId, Node, NodeConfig, Timing};
use tokio::sync::oneshot;

use super::ending::{Asked, Signals, Task, reload};
use super::parts::{Orders, Stores};
use super::peers::HttpPeers;
use super::settings::Settings;
use super::{Door, Failure, parts};
use crate::config::Config;
use crate::config::read::Origin;
use crate::notify::Notifier;

/// Beyond all that an orderly end may take by the protocol's own bounds; who is not done by then is stuck.
const STUCK: Duration = Duration::from_secs(5);

/// Runs a node until a signal ends it.
pub(super) async fn run(
    config: &Config,
    origin: &Origin,
    settings: Settings,
    door: Door,
    notifier: Notifier,
) -> Result<(), Failure> {
    // Before the first moment at which there is something to be let go in order.
    let mut signals = Signals::new()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let timing = config.timing.protocol();
    let version = env!("CARGO_PKG_VERSION");
    let metrics = Metrics::new(Arc::clone(&clock), &settings.instance, version, lease_name(config));

    let boot_nonce = entropy::boot_nonce().map_err(|error| Failure::Broken(format!("no entropy: {error}")))?;
    let Stores { of_loop, of_watch, ledger } = parts::stores(config, origin, &settings, &clock).await?;
    let lease = parts::lease(config, origin, &settings, &clock).await?;
    let store: Arc<dyn SignalStore> = Arc::new(Measured::new(of_loop, metrics.clone()));
    let Orders { broker, desk } = parts::orders(config, origin, &settings, &clock, boot_nonce, &store)?;
    let ports = Ports {
        clock: Arc::clone(&clock),
        lease: Arc::new(Measured::new(lease, metrics.clone())),
        store,
        broker: Arc::new(Measured::new(Arc::clone(&broker), metrics.clone())),
    };
    let node = NodeConfig {
        instance: InstanceId::new(settings.instance.clone()),
        boot_nonce,
        timing: timing.clone(),
        capabilities: broker.capabilities().clone(),
    };
    let node =
        Node::new(node, clock.now()).map_err(|error| Failure::Config(origin.wrong("timing", error.to_string())))?;
    let told = (NoticeLog { instance: settings.instance.clone() }, metrics.clone());
    let (driver, handle) = Driver::new(node, ports, &timing, settings.identity.clone(), Box::new(told));

    if let Some(desk) = &desk {
        desk.follow(handle.clone());
    }
    let (overview, watching) = watch_cluster(ClusterWatch {
        instance: settings.instance.clone(),
        version: version.to_owned(),
        clock: Arc::clone(&clock),
        // Ports of its own: a slow look must not stand in the way of a renewal or a claim.
        lease: parts::lease(config, origin, &settings, &clock).await?,
        store: of_watch,
        ledger: Arc::clone(&ledger),
        peers: Arc::new(HttpPeers::new(settings.peers, Arc::clone(&clock))),
        handle: handle.clone(),
        metrics: metrics.clone(),
        alerts: AlertConfig::default(),
        split_brain_grace: timing.split_brain_grace,
    });
    let health = Arc::new(Health::new());
    let api = Api {
        instance: settings.instance,
        version,
        handle: handle.clone(),
        clock: Arc::clone(&clock),
        ledger,
        overview,
        figures: Arc::new(metrics),
        desk,
        config: settings.api,
        health: Arc::clone(&health),
        page: PAGE,
    };

    let (close, closing) = oneshot::channel::<()>();
    let mut http = Task::start(
        "HTTP API",
        serve_until(door.listen, api, async move {
            // Dropped or told, it is over.
            let _ = closing.await;
        }),
    );
    let mut watch = Task::start("watch over the cluster", watching);
    let mut dog = Task::start("watchdog", pat_the_dog(Arc::clone(&clock), handle.clone(), &notifier));
    let mut looping = Task::start("loop", driver.run());
    notifier.ready("serving");
    let why = loop {
        tokio::select! {
            biased;
            asked = signals.next() => match asked {
                Asked::End(name, _) => break name,
                Asked::Reload => reload(config, origin, door.tls.as_ref()),
            },
            failure = looping.fails() => return Err(failure),
            failure = http.fails() => return Err(failure),
            failure = watch.fails() => return Err(failure),
            failure = dog.fails() => return Err(failure),
        }
    };

    let began = clock.now().mono;
    tracing::info!("{why}: stepping down");
    notifier.stopping();
    health.stop();
    let deadline = began.plus(longest_end(&timing));
    let ending = async {
        handle.shut_down().await;
        until(&*clock, deadline, looping.ended()).await.unwrap_or_else(|| {
            Err(Failure::Broken("the loop did not end in time: the lease, if it is held, runs out by itself".into()))
        })?;
        // Nobody is told "stored" any more; who was is told so to the end.
        let _ = close.send(());
        http.ended().await
    };
    signals.while_ending(ending).await?;
    tracing::info!(took_ms = clock.now().mono.since(began).as_millis() as u64, "ended in order");
    Ok(())
}

/// By what name dashboards know the lease.
fn lease_name(config: &Config) -> &str {
    match config.lease.kind(config.store.kind) {
        crate::config::LeaseKind::Redis => &config.lease.redis.key,
        crate::config::LeaseKind::Sqlite | crate::config::LeaseKind::Postgres => "oncegate",
    }
}

/// Orders under way, then a call each to store and lease, each of which may be tried twice.
fn longest_end(timing: &Timing) -> Duration {
    timing.drain * 2 + timing.store_timeout * 2 + timing.lease_timeout * 2 + STUCK
}

/// Says that all is well for as long as the loop turns; who hears nothing for long enough ends the process.
fn pat_the_dog(
    clock: Arc<dyn Clock>,
    handle: Handle,
    notifier: &Notifier,
) -> impl Future<Output = ()> + Send + 'static {
    let every = notifier.watchdog_every();
    let notifier = notifier.clone();
    async move {
        let Some(every) = every else { return std::future::pending().await };
        loop {
            let next = clock.now().mono.plus(every);
            match alive(&handle, &*clock, every).await {
                Ok(()) => notifier.alive(),
                Err(flaw) => {
                    tracing::error!(severity = "CRITICAL", "the watchdog is not told that all is well: {flaw}")
                }
            }
            clock.sleep_until(next).await;
        }
    }
}
