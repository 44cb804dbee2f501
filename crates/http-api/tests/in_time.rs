//! Answers in time, on a clock that jumps: what a busy machine adds is not in these figures.

#![allow(clippy::unwrap_used)] // Clippy knows tests by their attribute, and helpers bear none.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use oncegate_coordinator::ledger::{Entry, Ledger, Tally, Term, Wanted};
use oncegate_coordinator::observe::NoticeLog;
use oncegate_coordinator::{BoxFuture, Clock, Driver, Exposition, LeaseStore, Listen, Ports, SignalStore, Stream};
use oncegate_http_api::{Api, ApiConfig, Health, serve};
use oncegate_http_broker::PaperBroker;
use oncegate_protocol::{
    Capabilities, Fingerprint, IdentityRule, InstanceId, LeaseCall, LeaseReply, Mono, Node, NodeConfig, Now, PortError,
    StoreCall, StoreReply, Timing, Wall,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{Mutex, mpsc, watch};

/// The runtime's own clock, which jumps when nothing is left to do.
#[derive(Clone, Copy)]
struct Jumping(tokio::time::Instant);

#[allow(clippy::disallowed_methods)] // This is the port.
impl Clock for Jumping {
    fn now(&self) -> Now {
        let millis = u64::try_from(self.0.elapsed().as_millis()).unwrap();
        Now { mono: Mono::from_millis(1_000_000 + millis), wall: Wall::from_millis(1_700_000_000_000) }
    }

    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        let at = self.0 + deadline.since(Mono::from_millis(1_000_000));
        Box::pin(tokio::time::sleep_until(at))
    }
}

/// Nothing ever comes back from it.
struct Silent;

impl LeaseStore for Silent {
    fn call(&self, _: LeaseCall) -> BoxFuture<'_, Result<LeaseReply, PortError>> {
        Box::pin(std::future::pending())
    }
}

impl SignalStore for Silent {
    fn call(&self, _: StoreCall) -> BoxFuture<'_, Result<StoreReply, PortError>> {
        Box::pin(std::future::pending())
    }
}

impl Ledger for Silent {
    fn signals(&self, _: Wanted) -> BoxFuture<'_, Result<Vec<Entry>, PortError>> {
        Box::pin(std::future::pending())
    }

    fn signal(&self, _: Fingerprint) -> BoxFuture<'_, Result<Option<Entry>, PortError>> {
        Box::pin(std::future::pending())
    }

    fn tally(&self) -> BoxFuture<'_, Result<Vec<Tally>, PortError>> {
        Box::pin(std::future::pending())
    }

    fn history(&self, _: u32) -> BoxFuture<'_, Result<Vec<Term>, PortError>> {
        Box::pin(std::future::pending())
    }
}

impl Exposition for Silent {
    fn prometheus(&self) -> String {
        String::new()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}

/// Streams within the process.
struct Door(Mutex<mpsc::Receiver<DuplexStream>>);

impl Listen for Door {
    fn accept(&self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, String)>> {
        Box::pin(async {
            match self.0.lock().await.recv().await {
                Some(stream) => Ok((Box::new(stream) as Box<dyn Stream>, "here:1".into())),
                None => std::future::pending().await,
            }
        })
    }
}

/// What is answered to `request` by a node whose lease and store are silent, and after how long.
async fn answered(request: &str) -> (String, Duration) {
    #[allow(clippy::disallowed_methods)] // Of a clock that only this test moves.
    let clock = Arc::new(Jumping(tokio::time::Instant::now()));
    let ports = Ports {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        lease: Arc::new(Silent),
        store: Arc::new(Silent),
        broker: Arc::new(PaperBroker::new(Arc::clone(&clock) as Arc<dyn Clock>)),
    };
    let config = NodeConfig {
        instance: InstanceId::new("a"),
        boot_nonce: 1,
        timing: Timing::default(),
        capabilities: Capabilities::deduplicating(),
    };
    let node = Node::new(config, clock.now()).unwrap();
    let log = Box::new(NoticeLog { instance: "a".into() });
    let (driver, handle) = Driver::new(node, ports, &Timing::default(), IdentityRule::default(), log);
    let api = Api {
        instance: "a".into(),
        version: "0",
        handle,
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        ledger: Arc::new(Silent),
        overview: watch::channel(Arc::default()).1,
        figures: Arc::new(Silent),
        desk: None,
        config: ApiConfig::default(),
        health: Arc::new(Health::new()),
        page: "",
    };
    let (enter, door) = mpsc::channel(1);
    let (mut ours, theirs) = tokio::io::duplex(1 << 16);
    enter.send(theirs).await.unwrap();
    let begun = clock.now().mono;
    let asking = async {
        ours.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        ours.read_to_string(&mut answer).await.unwrap();
        (answer, clock.now().mono.since(begun))
    };
    tokio::select! {
        answered = asking => answered,
        () = serve(Arc::new(Door(Mutex::new(door))), api) => unreachable!("it serves for ever"),
        () = driver.run() => unreachable!("nobody ends it"),
    }
}

fn millis(from: u64, to: u64) -> std::ops::RangeInclusive<Duration> {
    Duration::from_millis(from)..=Duration::from_millis(to)
}

const HEAD: &str = "HTTP/1.1\r\nhost: localhost\r\nconnection: close";

#[tokio::test(start_paused = true)]
async fn a_signal_is_answered_in_less_than_half_a_second_when_the_store_is_silent() {
    let body = "content-type: application/json\r\ncontent-length: 8\r\n\r\n{\"id\":1}";
    let (answer, took) = answered(&format!("POST /v1/signals {HEAD}\r\n{body}")).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("not_durable_yet"), "{answer}");
    assert!(millis(450, 499).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn readers_and_probes_are_answered_in_time_when_the_store_is_silent() {
    for (path, status, from, to) in [
        ("/v1/signals", "503", 2_000, 2_000),
        ("/coordinator/history", "503", 2_000, 2_000),
        ("/readyz", "503", 2_000, 2_000),
        ("/livez", "200", 0, 0),
        ("/leader", "503", 0, 0),
        ("/coordinator/leader", "200", 0, 0),
    ] {
        let (answer, took) = answered(&format!("GET {path} {HEAD}\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
        assert!(millis(from, to).contains(&took), "{path}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_slow_is_told_or_cut_off_in_time() {
    let half_head = "POST /v1/signals HTTP/1.1\r\nhost: loc";
    let half_body = format!("POST /v1/signals {HEAD}\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n{{");
    let kept = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for (request, says, from, to) in [
        (half_head, "HTTP/1.1 408", 5_000, 5_500),
        (&*half_body, "HTTP/1.1 408", 5_000, 5_500),
        ("", "", 5_000, 5_500),
        (kept, "HTTP/1.1 200", 15_000, 15_500),
    ] {
        let (answer, took) = answered(request).await;
        assert!(answer.starts_with(says), "{request:?}: {answer}");
        assert!(millis(from, to).contains(&took), "{request:?}: {took:?}");
    }
}
