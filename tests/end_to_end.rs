//! The production wiring for real: nodes on the operating system's clock and network, with a real Redis, one
//! SQLite file and a paper broker behind HTTP on loopback. What the simulation proves of the parts, this shows of
//! their assembly.
#![allow(clippy::unwrap_used)] // In a test, also outside its functions, to panic is to fail.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use oncegate_coordinator::observe::NoticeLog;
use oncegate_coordinator::{Clock, Driver, Handle, Ports, SystemClock, TcpConnect, entropy};
use oncegate_http_broker::{HttpBroker, HttpBrokerConfig, PaperBroker, serve_paper};
use oncegate_protocol::{Capabilities, IdentityRule, InstanceId, Node, NodeConfig, SignalState, Timing};
use oncegate_redis_lease::{RedisLease, RedisLeaseConfig};
use oncegate_sqlite_store::{Db, SqliteStore};
use support::redis_server::RedisServer;
use tokio::task::JoinHandle;

/// Times short enough for a test, in the relations that the protocol asks for.
fn timing() -> Timing {
    let millis = Duration::from_millis;
    Timing {
        ttl: millis(1_500),
        renew_every: millis(200),
        renew_deadline: millis(900),
        lease_timeout: millis(250),
        store_timeout: millis(500),
        broker_timeout: millis(500),
        margin: millis(100),
        stale_after: millis(1_000),
        store_deadline: millis(1_500),
        retry: (millis(50), millis(500)),
        drain: millis(1_000),
        ..Timing::default()
    }
}

struct Running {
    handle: Handle,
    task: JoinHandle<()>,
}

fn start(name: &str, redis: &str, store: &Path, broker: &str) -> Running {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let capabilities = Capabilities::deduplicating();
    let broker_config = HttpBrokerConfig {
        peer: broker.into(),
        path_prefix: String::new(),
        capabilities: capabilities.clone(),
        lookup_timeout: Duration::from_millis(500),
        bearer_token: None,
    };
    let ports = Ports {
        clock: Arc::clone(&clock),
        lease: Arc::new(RedisLease::new(
            RedisLeaseConfig::new(redis, "oncegate:test"),
            Arc::new(TcpConnect),
            Arc::clone(&clock),
        )),
        store: Arc::new(SqliteStore::open(store, Arc::clone(&clock)).unwrap()),
        broker: Arc::new(HttpBroker::new(broker_config, Arc::new(TcpConnect), Arc::clone(&clock)).unwrap()),
    };
    let config = NodeConfig {
        instance: InstanceId::new(name),
        boot_nonce: entropy::boot_nonce().unwrap(),
        timing: timing(),
        capabilities,
    };
    let node = Node::new(config, clock.now()).unwrap();
    let log = Box::new(NoticeLog { instance: name.into() });
    let (driver, handle) = Driver::new(node, ports, &timing(), IdentityRule::default(), log);
    Running { handle, task: tokio::spawn(driver.run()) }
}

/// Waits for what must come within ten seconds.
async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let clock = SystemClock;
    let deadline = clock.now().mono.plus(Duration::from_secs(10));
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(clock.now().mono < deadline, "{what} did not happen within 10 s");
        clock.sleep_until(clock.now().mono.plus(Duration::from_millis(20))).await;
    }
}

fn leader(nodes: &[Running]) -> Option<usize> {
    nodes.iter().position(|node| !node.task.is_finished() && node.handle.status().gate_open(SystemClock.now().mono))
}

async fn paper_broker() -> (Arc<PaperBroker>, String) {
    let paper = Arc::new(PaperBroker::new(Arc::new(SystemClock)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = Arc::clone(&paper);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_paper(stream, Arc::clone(&serving)));
        }
    });
    (paper, address)
}

fn state_of(store: &Path, raw: &[u8]) -> Option<SignalState> {
    let db = Db::open(store).unwrap();
    db.signals().unwrap().into_iter().find(|record| record.raw == raw).map(|record| record.state)
}

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn signals_are_executed_once_across_a_crash_and_a_graceful_handover() {
    let redis = RedisServer::start().await;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = folder.path().join("signals.db");
    let (paper, broker) = paper_broker().await;
    let mut nodes: Vec<_> = ["a", "b", "c"].iter().map(|name| start(name, &redis.peer, &store, &broker)).collect();

    let first = eventually("the first election", || leader(&nodes)).await;
    // Any node takes a signal; one that is mirrored to two nodes is one signal.
    let signal = br#"{"id":"first"}"#;
    let receipt = nodes[(first + 1) % 3].handle.submit(signal).await.unwrap();
    assert!(receipt.new);
    assert!(!nodes[first].handle.submit(br#" { "id" : "first" } "#).await.unwrap().new);
    eventually("the first execution", || (state_of(&store, signal)? == SignalState::Executed).then_some(())).await;

    // The leader's process dies without a word.
    nodes[first].task.abort();
    let signal = br#"{"id":"second"}"#;
    nodes[(first + 1) % 3].handle.submit(signal).await.unwrap();
    let second = eventually("the takeover", || leader(&nodes)).await;
    assert_ne!(first, second);
    eventually("the second execution", || (state_of(&store, signal)? == SignalState::Executed).then_some(())).await;

    // The next one goes gracefully: its successor need not wait for the lease to run out.
    let left = SystemClock.now().mono;
    nodes[second].handle.shut_down().await;
    let third = eventually("the handover", || leader(&nodes).filter(|node| *node != second)).await;
    let handover = SystemClock.now().mono.since(left);
    assert!(handover < timing().ttl, "a graceful handover took {handover:?}, no faster than a crash");
    let signal = br#"{"id":"third"}"#;
    nodes[third].handle.submit(signal).await.unwrap();
    eventually("the third execution", || (state_of(&store, signal)? == SignalState::Executed).then_some(())).await;
    eventually("the end of the process", || nodes[second].task.is_finished().then_some(())).await;

    let orders = paper.orders();
    assert_eq!(orders.len(), 3, "one order per signal");
    assert!(orders.values().all(|order| order.times_offered == 1), "each was offered once: {orders:?}");
    nodes.drain(..).for_each(|node| node.task.abort());
}
