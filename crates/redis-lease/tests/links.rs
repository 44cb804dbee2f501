//! What goes over the wire, when links are opened and closed, and that no call can harm the next.
#![allow(clippy::unwrap_used)] // In a test, also outside its functions, to panic is to fail.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use oncegate_coordinator::ports::{BoxFuture, Clock, Connect, LeaseStore, Stream};
use oncegate_protocol::{Epoch, Holder, LeaseCall, LeaseReply, Mono, Now, Wall};
use oncegate_redis_lease::{RedisLease, RedisLeaseConfig, scripts};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

const TTL: Duration = Duration::from_secs(10);
const GRANTED: &str = "*3\r\n$5\r\na:1:1\r\n:10000\r\n$1\r\n7\r\n";
const RENEWED: &str = "*2\r\n$5\r\na:1:1\r\n:10000\r\n";
const HELD: &str = "*3\r\n$5\r\nb:1:1\r\n:41\r\n$1\r\n7\r\n";
const READ: &str = "*2\r\n$5\r\nb:1:1\r\n:41\r\n";

/// The runtime's paused clock.
struct PausedClock(Instant);

impl Clock for PausedClock {
    fn now(&self) -> Now {
        Now { mono: Mono::ZERO.plus(self.0.elapsed()), wall: Wall::default() }
    }

    #[allow(clippy::disallowed_methods)] // This is the port.
    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep_until(self.0 + deadline.since(Mono::ZERO)))
    }
}

/// Hands the far end of every link to the test.
struct Far {
    links: mpsc::UnboundedSender<DuplexStream>,
    reachable: Mutex<bool>,
}

impl Connect for Far {
    fn connect<'a>(&'a self, peer: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        assert_eq!(peer, "redis:6379");
        if !*self.reachable.lock().unwrap() {
            return Box::pin(std::future::pending());
        }
        let (near, far) = tokio::io::duplex(4096);
        self.links.send(far).unwrap();
        Box::pin(async { Ok(Box::new(near) as Box<dyn Stream>) })
    }
}

struct Server {
    far: Arc<Far>,
    links: mpsc::UnboundedReceiver<DuplexStream>,
}

impl Server {
    async fn accept(&mut self) -> DuplexStream {
        self.links.recv().await.unwrap()
    }

    fn nobody_came(&mut self) -> bool {
        self.links.try_recv().is_err()
    }
}

fn lease_and_server(configure: impl FnOnce(&mut RedisLeaseConfig)) -> (RedisLease, Server, Arc<PausedClock>) {
    let mut config = RedisLeaseConfig::new("redis:6379", "lease");
    configure(&mut config);
    let (sender, links) = mpsc::unbounded_channel();
    let far = Arc::new(Far { links: sender, reachable: Mutex::new(true) });
    #[allow(clippy::disallowed_methods)] // The origin of the paused clock.
    let clock = Arc::new(PausedClock(Instant::now()));
    (RedisLease::new(config, far.clone(), clock.clone()), Server { far, links }, clock)
}

fn acquire() -> LeaseCall {
    LeaseCall::Acquire { holder: Holder::new("a:1:1"), ttl: TTL }
}

fn renew() -> LeaseCall {
    LeaseCall::Renew { holder: Holder::new("a:1:1"), ttl: TTL, seen: Epoch(1) }
}

/// The words of a command as they go over the wire.
fn wire(words: &[&str]) -> String {
    let words: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{words}", words.matches('$').count())
}

fn eval(script: &str, words: &[&str]) -> String {
    let mut all = vec!["EVAL", script, "2", "lease", "lease:epoch"];
    all.extend(words);
    let words: String = all.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{words}", all.len())
}

/// One read: what was written at once arrives at once.
async fn arrived(link: &mut DuplexStream) -> String {
    let mut bytes = vec![0; 4096];
    let count = link.read(&mut bytes).await.unwrap();
    String::from_utf8(bytes[..count].to_vec()).unwrap()
}

async fn answer(link: &mut DuplexStream, expected: &str, reply: &str) {
    assert_eq!(arrived(link).await, expected);
    link.write_all(reply.as_bytes()).await.unwrap();
}

fn closed(link: &mut DuplexStream) -> bool {
    matches!(link.read(&mut [0]).now_or_never(), Some(Ok(0)))
}

#[tokio::test(start_paused = true)]
async fn a_call_is_one_write_and_a_link_needs_no_setting_up() {
    let (lease, mut server, _) = lease_and_server(|_| {});
    let acquires = eval(scripts::ACQUIRE, &["a:1:1", "10000"]);
    let served = async {
        let mut link = server.accept().await;
        answer(&mut link, &acquires, HELD).await;
        answer(&mut link, &acquires, GRANTED).await;
        assert!(server.nobody_came());
        link
    };
    let called = async {
        let held = LeaseReply::HeldBy { holder: Holder::new("b:1:1"), remaining: Some(Duration::from_millis(42)) };
        assert_eq!(lease.call(acquire()).await, Ok(held));
        assert_eq!(lease.call(acquire()).await, Ok(LeaseReply::Granted { seen: Epoch(7) }));
    };
    tokio::join!(served, called);
}

#[tokio::test(start_paused = true)]
async fn authentication_and_database_are_sent_at_once() {
    let (lease, mut server, _) = lease_and_server(|config| {
        config.username = Some("engine".into());
        config.password = Some("secret".into());
        config.db = 3;
    });
    let served = async {
        let mut link = server.accept().await;
        let setup = wire(&["AUTH", "engine", "secret"]) + &wire(&["SELECT", "3"]);
        answer(&mut link, &setup, "+OK\r\n+OK\r\n").await;
        answer(&mut link, &eval(scripts::RENEW, &["a:1:1", "10000", "1"]), "*2\r\n$-1\r\n:-2\r\n").await;
        link
    };
    let (_link, reply) = tokio::join!(served, lease.call(renew()));
    assert_eq!(reply, Ok(LeaseReply::Free));
}

#[tokio::test(start_paused = true)]
async fn a_refused_password_is_said_and_not_shown() {
    let config = |config: &mut RedisLeaseConfig| config.password = Some("secret".into());
    let (lease, mut server, _) = lease_and_server(config);
    let served = async {
        let mut link = server.accept().await;
        answer(&mut link, &wire(&["AUTH", "secret"]), "-WRONGPASS invalid username-password pair\r\n").await;
    };
    let ((), reply) = tokio::join!(served, lease.call(renew()));
    let error = reply.unwrap_err().to_string();
    assert!(error.starts_with("renewing the lease \"lease\" at Redis redis:6379: not set up: "), "{error}");
    assert!(!error.contains("secret"), "{error}");
    let mut shown = RedisLeaseConfig::new("redis:6379", "lease");
    config(&mut shown);
    assert!(!format!("{shown:?}").contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn a_stuck_call_delays_neither_a_renewal_nor_the_next_call() {
    let (lease, mut server, clock) = lease_and_server(|_| {});
    let mut stuck = lease.call(acquire());
    assert!((&mut stuck).now_or_never().is_none());
    let mut first = server.accept().await;
    arrived(&mut first).await;

    for (call, reply) in [(renew(), RENEWED), (LeaseCall::Read, READ)] {
        let served = async {
            let mut link = server.accept().await;
            arrived(&mut link).await;
            link.write_all(reply.as_bytes()).await.unwrap();
            link
        };
        let (_link, reply) = tokio::join!(served, lease.call(call));
        reply.unwrap();
    }
    assert_eq!(clock.now().mono, Mono::ZERO);
    first.write_all(GRANTED.as_bytes()).await.unwrap();
    assert_eq!(stuck.await, Ok(LeaseReply::Granted { seen: Epoch(7) }));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_takes_its_link_with_it() {
    let (lease, mut server, _) = lease_and_server(|_| {});
    let mut dropped = lease.call(acquire());
    assert!((&mut dropped).now_or_never().is_none());
    let mut first = server.accept().await;
    drop(dropped);
    // The late answer can reach nobody: least of all the next call.
    arrived(&mut first).await;
    assert!(closed(&mut first));

    let served = async {
        let mut link = server.accept().await;
        arrived(&mut link).await;
        link.write_all(HELD.as_bytes()).await.unwrap();
        link
    };
    let (_link, reply) = tokio::join!(served, lease.call(acquire()));
    assert!(matches!(reply, Ok(LeaseReply::HeldBy { .. })), "{reply:?}");
}

#[tokio::test(start_paused = true)]
async fn after_an_error_the_link_is_replaced() {
    let wrong = [
        "-READONLY You can't write against a read only replica.\r\n",
        "*1\r\n:1\r\n",
        "$-1\r\n",
        "garbage\r\n",
        "*2\r\n$5\r\na:1",
    ];
    for wrong in wrong {
        let (lease, mut server, clock) = lease_and_server(|_| {});
        let served = async {
            let mut link = server.accept().await;
            arrived(&mut link).await;
            link.write_all(wrong.as_bytes()).await.unwrap();
            if wrong.ends_with('1') {
                link.shutdown().await.unwrap();
            }
            link
        };
        let (mut link, reply) = tokio::join!(served, lease.call(renew()));
        let error = reply.unwrap_err().to_string();
        assert!(error.starts_with("renewing the lease \"lease\" at Redis redis:6379: "), "{error}");
        assert!(closed(&mut link), "{wrong:?}");
        assert!((&mut lease.call(renew())).now_or_never().is_none());
        server.accept().await;
        assert_eq!(clock.now().mono, Mono::ZERO, "{wrong:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_was_closed_while_idle_costs_no_call() {
    let (lease, mut server, _) = lease_and_server(|_| {});
    for _ in 0..3 {
        let served = async {
            let mut link = server.accept().await;
            arrived(&mut link).await;
            link.write_all(GRANTED.as_bytes()).await.unwrap();
        };
        let ((), reply) = tokio::join!(served, lease.call(renew()));
        assert_eq!(reply, Ok(LeaseReply::Granted { seen: Epoch(7) }));
    }
}

#[tokio::test(start_paused = true)]
async fn connecting_is_bounded() {
    let (lease, server, clock) = lease_and_server(|_| {});
    *server.far.reachable.lock().unwrap() = false;
    let error = lease.call(LeaseCall::Read).await.unwrap_err().to_string();
    assert_eq!(error, "reading the lease \"lease\" at Redis redis:6379: not connected within 1s");
    assert_eq!(clock.now().mono, Mono::from_millis(1_000));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_lease_closes_every_link_at_once() {
    let (lease, mut server, _) = lease_and_server(|_| {});
    let mut links = Vec::new();
    for call in [acquire(), renew()] {
        let served = async {
            let mut link = server.accept().await;
            arrived(&mut link).await;
            link.write_all(GRANTED.as_bytes()).await.unwrap();
            link
        };
        let (link, reply) = tokio::join!(served, lease.call(call));
        reply.unwrap();
        links.push(link);
    }
    let mut released = lease.released();
    assert!((&mut released).now_or_never().is_none());
    let mut listening = server.accept().await;
    arrived(&mut listening).await;
    links.push(listening);
    drop(released);
    assert!(links.iter_mut().all(|link| !closed(link)));
    drop(lease);
    assert!(links.iter_mut().all(closed));
}

const HELLO: &str = "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n";
const HELLOED: &str = "%1\r\n$5\r\nproto\r\n:3\r\n";
const SUBSCRIBE: &str = "*2\r\n$9\r\nSUBSCRIBE\r\n$14\r\nlease:released\r\n";
const SUBSCRIBED: &str = ">3\r\n$9\r\nsubscribe\r\n$14\r\nlease:released\r\n:1\r\n";
const RELEASED: &str = ">3\r\n$7\r\nmessage\r\n$14\r\nlease:released\r\n$5\r\nb:1:1\r\n";
const PING: &str = "*1\r\n$4\r\nPING\r\n";

async fn subscribed(server: &mut Server) -> DuplexStream {
    let mut link = server.accept().await;
    answer(&mut link, HELLO, HELLOED).await;
    answer(&mut link, SUBSCRIBE, SUBSCRIBED).await;
    link
}

#[tokio::test(start_paused = true)]
async fn a_release_is_heard_once_also_between_two_waits() {
    let (lease, mut server, _) = lease_and_server(|_| {});
    let served = async {
        let mut link = subscribed(&mut server).await;
        link.write_all(RELEASED.as_bytes()).await.unwrap();
        link
    };
    let (mut link, ()) = tokio::join!(served, lease.released());

    assert!(lease.released().now_or_never().is_none(), "one message is one hint");
    link.write_all(RELEASED.as_bytes()).await.unwrap();
    // The link outlives a wait that was dropped.
    lease.released().await;
    assert!(server.nobody_came());
}

#[tokio::test(start_paused = true)]
async fn a_listener_comes_back_with_growing_pauses() {
    let (lease, mut server, clock) = lease_and_server(|_| {});
    let served = async {
        let mut came_at = Vec::new();
        for _ in 0..8 {
            drop(server.accept().await);
            came_at.push(clock.now().mono.since(Mono::ZERO).as_millis());
        }
        assert_eq!(came_at, [0, 500, 1_500, 3_500, 7_500, 15_500, 25_500, 35_500]);
        let mut link = subscribed(&mut server).await;
        link.write_all(RELEASED.as_bytes()).await.unwrap();
        link
    };
    tokio::join!(served, lease.released());
}

#[tokio::test(start_paused = true)]
async fn a_listener_leaves_a_link_that_has_gone_silent() {
    let (lease, mut server, clock) = lease_and_server(|_| {});
    let served = async {
        let mut silent = subscribed(&mut server).await;
        answer(&mut silent, PING, "+PONG\r\n").await;
        assert_eq!(clock.now().mono, Mono::from_millis(15_000));
        assert_eq!(arrived(&mut silent).await, PING);
        assert_eq!(clock.now().mono, Mono::from_millis(30_000));
        let mut link = subscribed(&mut server).await;
        assert_eq!(clock.now().mono, Mono::from_millis(31_500), "the bound on the check, and a pause");
        assert!(closed(&mut silent));
        // A release that arrives together with the answer to a check is not lost.
        assert_eq!(arrived(&mut link).await, PING);
        link.write_all(format!("{RELEASED}+PONG\r\n").as_bytes()).await.unwrap();
        link
    };
    tokio::join!(served, lease.released());
}
