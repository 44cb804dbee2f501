//! What an order costs on each store, side by side in one run. It only prints: figures of a machine prove nothing.
//!
//! `cargo test --profile sim -p oncegate-store-conformance --test measure -- --ignored --nocapture`

#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use oncegate_coordinator::{Clock as _, SignalStore, SystemClock, TcpConnect};
use oncegate_postgres_store::{PostgresConfig, PostgresStore, schema};
use oncegate_protocol::{StoreCall, StoreReply};
use oncegate_sqlite_store::SqliteStore;
use oncegate_store_conformance::PostgresServer;
use oncegate_store_conformance::postgres_server::{DATABASE, USER};
use oncegate_store_conformance::probes::ask;
use oncegate_store_conformance::words::*;

const ORDERS: u64 = 500;
/// Who take signals in at the same time, and how many each.
const SENDERS: u64 = 16;
const EACH: u64 = 100;

/// How long each took, sorted.
async fn time_each(store: &dyn SignalStore, calls: impl Iterator<Item = StoreCall>) -> Vec<Duration> {
    let mut times = Vec::new();
    for call in calls {
        let asked = SystemClock.now().mono;
        let reply = ask(store, call).await;
        times.push(SystemClock.now().mono.since(asked));
        assert!(!matches!(reply, StoreReply::NotClaimed(_) | StoreReply::Fenced(_)), "{reply:?}");
    }
    times.sort_unstable();
    times
}

fn tell(name: &str, what: &str, times: &[Duration]) {
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3;
    println!("{name:<16} {what:<18} p50 {:7.3} ms   p99 {:7.3} ms", at(50), at(99));
}

async fn measure(name: &str, store: Arc<dyn SignalStore>) {
    ask(&*store, open_epoch(0, "a")).await;
    for (what, calls) in [
        ("intake", (1..=ORDERS).map(insert).collect::<Vec<_>>()),
        ("claim", (1..=ORDERS).map(|n| execute(n, 1, "a")).collect()),
        ("settle", (1..=ORDERS).map(|n| outcome(n, 1, "a", accepted())).collect()),
        ("look, none owed", (1..=ORDERS).map(|_| StoreCall::ReadPending { limit: 100 }).collect()),
    ] {
        tell(name, what, &time_each(&*store, calls.into_iter()).await);
    }
    let begun = SystemClock.now().mono;
    let mut senders = tokio::task::JoinSet::new();
    for sender in 1..=SENDERS {
        let store = Arc::clone(&store);
        senders.spawn(async move {
            for n in 0..EACH {
                ask(&*store, insert(sender * 10_000 + n)).await;
            }
        });
    }
    senders.join_all().await;
    let took = SystemClock.now().mono.since(begun).as_secs_f64();
    println!("{name:<16} {SENDERS} senders          {:7.0} commits/s", (SENDERS * EACH) as f64 / took);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgresql"]
async fn an_order_on_each_store() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = SqliteStore::open(folder.path().join("measure.db"), Arc::new(SystemClock)).unwrap();
    measure("sqlite", Arc::new(sqlite)).await;
    let server = PostgresServer::start(&[]).await;
    let config = PostgresConfig::new(&server.peer, USER, DATABASE);
    schema::migrate(&config, &TcpConnect, &SystemClock).await.unwrap();
    let store = PostgresStore::open(config, Arc::new(TcpConnect), Arc::new(SystemClock)).await.unwrap();
    measure("postgresql", Arc::new(store)).await;
    // What the disk gives: a page and a flush each.
    let mut file = std::fs::File::create(folder.path().join("flushes")).unwrap();
    let mut flushes = Vec::new();
    for _ in 0..ORDERS {
        let begun = SystemClock.now().mono;
        file.write_all(&[7; 8192]).and_then(|()| file.sync_data()).unwrap();
        flushes.push(SystemClock.now().mono.since(begun));
    }
    flushes.sort_unstable();
    tell("the disk", "write and flush", &flushes);
}
