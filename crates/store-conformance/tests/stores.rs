//! Every signal store and every lease, and the probes that each of them passes.
//!
//! An [`Arm`] opens one kind of store, and each probe gets a new one. To add a server, add an arm: the probes
//! see nothing but the ports.

#![allow(clippy::unwrap_used)]

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncegate_coordinator::{BoxFuture, Clock, LeaseStore, SignalStore, SystemClock, TcpConnect};
use oncegate_postgres_store::{PostgresConfig, PostgresLease, PostgresStore, schema};
use oncegate_protocol::{Epoch, LeaseCall, LeaseReply, Mono, Now, PortError, StoreCall, StoreReply};
use oncegate_sqlite_store::{Db, SqliteLease, SqliteStore};
use oncegate_store_conformance::PostgresServer;
use oncegate_store_conformance::lease::{Leases, acquire, probe, release, renew};
use oncegate_store_conformance::postgres_server::{DATABASE, USER};
use oncegate_store_conformance::probes::{PROBES, ask, ask_all};
use oncegate_store_conformance::words::{AT, insert};

/// One kind of signal store. What comes second keeps its ground (a folder, a server) until the probe is over.
type Arm = fn() -> (Box<dyn SignalStore>, Box<dyn Any>);

async fn run(arm: Arm) {
    for (claim, probe) in PROBES {
        println!("{claim}");
        let (store, ground) = arm();
        probe(&*store).await;
        drop((store, ground));
    }
}

#[tokio::test]
async fn sqlite_in_a_file_keeps_every_promise() {
    run(|| {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("probe.db"), Arc::new(StoppedClock::default())).unwrap();
        (Box::new(store), Box::new(folder))
    })
    .await;
}

#[tokio::test]
async fn sqlite_in_memory_keeps_every_promise() {
    run(|| (Box::new(InMemory(Mutex::new(Db::open_in_memory().unwrap()))), Box::new(()))).await;
}

/// A schema of that name, all of this version, in which nothing has happened.
async fn postgres_schema(server: &PostgresServer, name: &str) -> PostgresConfig {
    let config = PostgresConfig { schema: name.into(), ..PostgresConfig::new(&server.peer, USER, DATABASE) };
    assert_eq!(schema::migrate(&config, &TcpConnect, &SystemClock).await.unwrap(), 0);
    config
}

async fn postgres_store(config: &PostgresConfig) -> PostgresStore {
    PostgresStore::open(config.clone(), Arc::new(TcpConnect), Arc::new(SystemClock)).await.unwrap()
}

#[tokio::test]
#[ignore = "needs postgresql"]
async fn postgres_keeps_every_promise() {
    let server = PostgresServer::start(&[]).await;
    for (number, (claim, probe)) in PROBES.iter().enumerate() {
        println!("{claim}");
        let config = postgres_schema(&server, &format!("probe_{number}")).await;
        probe(&postgres_store(&config).await).await;
    }
}

/// The store as the simulation runs it.
struct InMemory(Mutex<Db>);

impl SignalStore for InMemory {
    fn call(&self, call: StoreCall) -> BoxFuture<'_, Result<StoreReply, PortError>> {
        Box::pin(async move { self.0.lock().unwrap().apply(&call).map_err(|e| PortError(e.to_string())) })
    }
}

/// A clock that stands until it is moved; whoever sleeps on it gets its turn again at once.
#[derive(Default)]
struct StoppedClock(AtomicU64);

impl StoppedClock {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_nanos()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Now {
        Now { mono: Mono::from_nanos(self.0.load(Ordering::SeqCst)), wall: AT }
    }

    fn sleep_until(&self, _: Mono) -> BoxFuture<'static, ()> {
        Box::pin(tokio::task::yield_now())
    }
}

fn sqlite_leases() -> (Leases, Arc<StoppedClock>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lease.db");
    let clock = Arc::new(StoppedClock::default());
    clock.advance(Duration::from_secs(100));
    let open = || Box::new(SqliteLease::open(&path, Arc::<StoppedClock>::clone(&clock)).unwrap());
    let passing = Arc::clone(&clock);
    let pass = Box::new(move |time| {
        passing.advance(time);
        Box::pin(std::future::ready(())) as BoxFuture<'static, ()>
    });
    (Leases { ours: open(), theirs: open(), pass, slack: Duration::ZERO }, clock, folder)
}

#[tokio::test]
async fn sqlite_lease_keeps_every_promise() {
    let (leases, _clock, _folder) = sqlite_leases();
    probe(&leases).await;
}

/// The server's own clock can't be moved, so the lease is: what time passes is taken off it.
#[tokio::test]
#[ignore = "needs postgresql"]
async fn postgres_lease_keeps_every_promise() {
    let server = PostgresServer::start(&[]).await;
    let config = postgres_schema(&server, "lease").await;
    let open = async || {
        let lease = PostgresLease::open(config.clone(), Arc::new(TcpConnect), Arc::new(SystemClock)).await.unwrap();
        Box::new(lease) as Box<dyn LeaseStore>
    };
    let (host, port) = server.peer.rsplit_once(':').unwrap();
    let mut beneath = tokio_postgres::Config::new();
    beneath.host(host).port(port.parse().unwrap()).user(USER).dbname(DATABASE);
    let (client, connection) = beneath.connect(tokio_postgres::NoTls).await.unwrap();
    let serving = tokio::spawn(connection);
    let client = Arc::new(client);
    let pass = {
        let client = Arc::clone(&client);
        Box::new(move |time: Duration| {
            let (client, micros) = (Arc::clone(&client), time.as_micros());
            Box::pin(async move {
                let passes =
                    format!("UPDATE lease.lease SET expires_at = expires_at - interval '{micros} microseconds'");
                client.batch_execute(&passes).await.unwrap();
            }) as BoxFuture<'static, ()>
        })
    };
    let leases = Leases { ours: open().await, theirs: open().await, pass, slack: Duration::from_secs(3) };
    probe(&leases).await;
    let Leases { ours, theirs, .. } = &leases;
    ours.call(acquire("a")).await.unwrap();
    // Ready once when it has begun to listen.
    theirs.released().await;
    ours.call(release("a")).await.unwrap();
    theirs.released().await;
    assert_eq!(theirs.call(LeaseCall::Read).await.unwrap(), LeaseReply::Free);
    drop(client);
    serving.abort();
}

#[tokio::test]
async fn sqlite_lease_of_an_earlier_boot_has_expired() {
    let (Leases { ours, theirs, .. }, clock, _folder) = sqlite_leases();
    let granted = LeaseReply::Granted { seen: Epoch(0) };
    assert_eq!(ours.call(acquire("a")).await.unwrap(), granted);
    clock.0.store(1, Ordering::SeqCst);
    assert_eq!(theirs.call(LeaseCall::Read).await.unwrap(), LeaseReply::Free);
    assert_eq!(theirs.call(acquire("b")).await.unwrap(), granted);
}

#[tokio::test]
async fn sqlite_lease_tells_who_waits_that_it_was_released() {
    let (Leases { ours, theirs, .. }, _clock, _folder) = sqlite_leases();
    ours.call(acquire("a")).await.unwrap();
    let release = async {
        ours.call(renew("a")).await.unwrap();
        ours.call(release("a")).await.unwrap();
    };
    tokio::join!(theirs.released(), release);
    assert_eq!(theirs.call(LeaseCall::Read).await.unwrap(), LeaseReply::Free);
}

#[tokio::test]
async fn sqlite_store_tells_of_its_own_and_of_others_signals() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.db");
    let store = SqliteStore::open(&path, Arc::new(StoppedClock::default())).unwrap();
    ask_all(&store, [insert(1)]).await;
    store.changed().await;
    let other = SqliteStore::open(&path, Arc::new(StoppedClock::default())).unwrap();
    tokio::join!(store.changed(), ask(&other, insert(2)));
    // Nothing has happened since, and a duplicate is nothing.
    ask_all(&store, [insert(2)]).await;
    let mut quiet = store.changed();
    for _ in 0..100 {
        let polled = std::future::poll_fn(|context| std::task::Poll::Ready(quiet.as_mut().poll(context))).await;
        assert!(polled.is_pending(), "woken for nothing");
        tokio::task::yield_now().await;
    }
}
