//! A clock on tokio's paused time, and a network of one scripted peer.
#![allow(dead_code)] // Each test binary uses its own part.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use oncegate_coordinator::{BoxFuture, Clock, Connect, Stream};
use oncegate_http_broker::{HttpBroker, HttpBrokerConfig};
use oncegate_protocol::{Capabilities, ClientOrderId, Epoch, Fingerprint, Leg, Mono, Now, Order, Wall};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::time::Instant;

/// What the clock reads when a test starts.
pub(crate) const START: Mono = Mono::from_millis(1_000_000);

/// Both clocks of a host that started long before the test did.
pub(crate) struct TestClock {
    origin: Instant,
}

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        #[allow(clippy::disallowed_methods)] // This is the port, and time is paused.
        let origin = Instant::now();
        Arc::new(Self { origin })
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let mono = START.plus(self.origin.elapsed());
        Now { mono, wall: Wall::from_millis(0) }
    }

    #[allow(clippy::disallowed_methods)] // This is the port, and time is paused.
    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        let left = deadline.since(self.now().mono);
        Box::pin(tokio::time::sleep(left))
    }
}

/// A pause on the test's paused time.
#[allow(clippy::disallowed_methods)]
pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// What the peer does with the one connection that a test makes.
#[derive(Clone)]
pub(crate) enum Peer {
    /// Refuses it.
    Refuses,
    /// Never answers the connecting.
    Silent,
    /// Takes it after the delay; each connection's other end is handed to the test.
    Takes { after: Duration, faults: Faults },
}

/// What goes wrong on the client's end of the stream.
#[derive(Clone, Copy, Default)]
pub(crate) struct Faults {
    /// No write is ever taken.
    pub(crate) writes_hang: bool,
    /// Every write fails.
    pub(crate) writes_fail: bool,
    /// The peer hangs up before anything is said.
    pub(crate) hangs_up: bool,
    /// Where the peer's end is gone, reading fails like a reset instead of ending.
    pub(crate) resets: bool,
}

/// Connects to a [`Peer`].
pub(crate) struct TestConnect {
    peer: Peer,
    taken: Mutex<Vec<DuplexStream>>,
    pub(crate) asked_for: Mutex<Vec<String>>,
}

impl TestConnect {
    pub(crate) fn new(peer: Peer) -> Arc<Self> {
        Arc::new(Self { peer, taken: Mutex::default(), asked_for: Mutex::default() })
    }

    /// The peer's end of the oldest connection not asked for yet; waits until there is one.
    pub(crate) async fn accept(&self) -> DuplexStream {
        loop {
            if let Some(stream) = self.taken.lock().unwrap().pop() {
                return stream;
            }
            pause(Duration::from_millis(1)).await;
        }
    }
}

impl Connect for TestConnect {
    fn connect<'a>(&'a self, peer: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        self.asked_for.lock().unwrap().push(peer.to_owned());
        Box::pin(async move {
            match self.peer {
                Peer::Refuses => Err(io::ErrorKind::ConnectionRefused.into()),
                Peer::Silent => std::future::pending().await,
                Peer::Takes { after, faults } => {
                    pause(after).await;
                    let (ours, theirs) = tokio::io::duplex(1 << 20);
                    if !faults.hangs_up {
                        self.taken.lock().unwrap().push(theirs);
                    }
                    Ok(Box::new(Faulty { inner: ours, faults }) as Box<dyn Stream>)
                }
            }
        })
    }
}

struct Faulty {
    inner: DuplexStream,
    faults: Faults,
}

impl AsyncRead for Faulty {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        std::task::ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        if self.faults.resets && buf.filled().len() == before {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.faults.writes_hang {
            return Poll::Pending;
        }
        if self.faults.writes_fail {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

pub(crate) const SIGNAL: &str = r#"{ "symbol":"NIFTY" , "qty": 50.0}"#;

pub(crate) fn order(clock: &TestClock) -> Order {
    Order {
        fingerprint: Fingerprint::of_bytes(b"signal"),
        leg: Leg(0),
        client_order_id: ClientOrderId::new("og-1"),
        epoch: Epoch(7),
        body: SIGNAL.into(),
        send_before: clock.now().mono.plus(Duration::from_secs(2)),
        timeout: Duration::from_secs(4),
    }
}

pub(crate) fn config() -> HttpBrokerConfig {
    HttpBrokerConfig {
        peer: "broker:8080".into(),
        path_prefix: String::new(),
        capabilities: Capabilities::deduplicating(),
        lookup_timeout: Duration::from_secs(3),
        bearer_token: None,
    }
}

pub(crate) fn broker(connect: &Arc<TestConnect>, clock: &Arc<TestClock>) -> HttpBroker {
    HttpBroker::new(config(), connect.clone(), clock.clone()).unwrap()
}

pub(crate) fn takes() -> Peer {
    Peer::Takes { after: Duration::from_millis(5), faults: Faults::default() }
}

/// Reads one whole request, head and body, as its bytes.
pub(crate) async fn read_request(stream: &mut DuplexStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8(bytes.clone()).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "the client ended early: {text}");
    }
}

/// An answer with its length.
pub(crate) fn http(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Whatever\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Takes one connection, reads one request, answers these bytes, and closes.
pub(crate) async fn answer_with(connect: &TestConnect, bytes: &[u8]) -> String {
    let mut stream = connect.accept().await;
    let request = read_request(&mut stream).await;
    // The client may have hung up on an answer it will not take; then writing the rest fails.
    let _ = stream.write_all(bytes).await;
    request
}
