//! The server: connections side by side in one future, none of them able to hold up another.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use oncegate_coordinator::timeout::until;
use oncegate_coordinator::{BoxFuture, Clock, Listen, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tower_service::Service;

use crate::Api;
use crate::config::Limits;
use crate::error::ApiError;
use crate::pace::{Answered, Overdue, Pace, Wire, refusal};

/// After an error of the listening socket: enough for whatever it was short of to come back.
const REST: Duration = Duration::from_millis(100);

/// How many peers too many are told so at a time; the others are just cut off.
const TOLD: usize = 64;

/// For telling a peer that there is no room, or that it was too slow.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How much is read of a peer that still talks behind its last answer, so that it gets to read that: a socket that is
/// closed on unread bytes takes the answer with it.
const LINGER_BYTES: usize = 1 << 20;

/// Who is at the other end, as the listening socket says: `host:port`, or whatever it calls its peers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Peer(pub(crate) String);

impl Peer {
    /// Without the port: what tells two peers apart.
    pub(crate) fn host(&self) -> &str {
        self.0.rsplit_once(':').map_or(&self.0, |(host, _)| host)
    }
}

/// Serves `api` to whoever connects, for ever. Dropping it cuts all connections; a request that has reached the loop
/// may have its effect all the same.
pub async fn serve(listen: Arc<dyn Listen>, api: Api) {
    serve_until(listen, api, std::future::pending()).await;
}

/// The same until `stop`: then nobody new is let in, and answers under way are waited for, at most for
/// [`Limits::drain`].
pub async fn serve_until(listen: Arc<dyn Listen>, api: Api, stop: impl Future<Output = ()>) {
    let (clock, limits) = (Arc::clone(&api.clock), Arc::new(api.config.limits.clone()));
    let router = crate::router::router(api);
    let closing = Arc::new(Closing::default());
    let mut open = FuturesUnordered::<BoxFuture<'static, Over>>::new();
    let mut room = Room { limits: Arc::clone(&limits), by_host: BTreeMap::new(), open: 0, told: 0 };
    let mut rests_until = None;
    let mut stop = pin!(stop);
    loop {
        let next = async {
            if let Some(at) = rests_until {
                clock.sleep_until(at).await;
            }
            listen.accept().await
        };
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(over) = open.next() => room.leave(&over),
            accepted = next => {
                rests_until = None;
                match accepted {
                    Ok((stream, peer)) => {
                        let peer = Peer(peer);
                        let clock = Arc::clone(&clock);
                        match room.enter(&peer) {
                            Entry::Served => {
                                let over = Over::Served(peer.host().to_owned());
                                let serving =
                                    converse(stream, peer, router.clone(), clock, Arc::clone(&limits), Arc::clone(&closing));
                                open.push(Box::pin(serving.map(|()| over)));
                            }
                            Entry::Told => open.push(Box::pin(turn_away(stream, clock).map(|()| Over::Told))),
                            Entry::Cut => {}
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be taken");
                        rests_until = Some(clock.now().mono.plus(REST));
                    }
                }
            }
        }
    }
    closing.close();
    let rest = async { while open.next().await.is_some() {} };
    until(&*clock, clock.now().mono.plus(limits.drain), rest).await;
}

/// A connection that has ended: whose, or one that was only told that there is no room.
enum Over {
    Served(String),
    Told,
}

enum Entry {
    Served,
    Told,
    Cut,
}

/// Who is in.
struct Room {
    limits: Arc<Limits>,
    by_host: BTreeMap<String, usize>,
    open: usize,
    told: usize,
}

impl Room {
    fn enter(&mut self, peer: &Peer) -> Entry {
        let of_host = self.by_host.get(peer.host()).copied().unwrap_or(0);
        if self.open < self.limits.connections && of_host < self.limits.connections_per_peer {
            self.open += 1;
            self.by_host.insert(peer.host().to_owned(), of_host + 1);
            Entry::Served
        } else if self.told < TOLD {
            self.told += 1;
            tracing::warn!(peer = peer.0, open = self.open, of_host, "a connection is turned away: there are too many");
            Entry::Told
        } else {
            Entry::Cut
        }
    }

    fn leave(&mut self, over: &Over) {
        match over {
            Over::Served(host) => {
                self.open -= 1;
                match self.by_host.get_mut(host) {
                    Some(count) if *count > 1 => *count -= 1,
                    Some(_) | None => {
                        self.by_host.remove(host);
                    }
                }
            }
            Over::Told => self.told -= 1,
        }
    }
}

/// Tells all connections to come to an end.
#[derive(Default)]
struct Closing {
    begun: AtomicBool,
    told: Notify,
}

impl Closing {
    fn close(&self) {
        self.begun.store(true, Ordering::Release);
        self.told.notify_waiters();
    }

    async fn closed(&self) {
        // Enlisted before the look, so that nothing is missed between the two.
        let mut told = pin!(self.told.notified());
        told.as_mut().enable();
        if !self.begun.load(Ordering::Acquire) {
            told.await;
        }
    }
}

/// One connection, to its end.
async fn converse(
    stream: Box<dyn Stream>,
    peer: Peer,
    router: Router,
    clock: Arc<dyn Clock>,
    limits: Arc<Limits>,
    closing: Arc<Closing>,
) {
    let pace = Pace::new(Arc::clone(&clock));
    let mut wire = Wire::new(stream, Arc::clone(&pace));
    let overdue = {
        let service = service_fn(|request: Request<Incoming>| {
            pace.answering();
            let answered = Arc::clone(&pace);
            let answering = answer(router.clone(), peer.clone(), request);
            async move { Ok::<_, Infallible>(answering.await.map(|body| Answered::new(body, answered))) }
        });
        let connection = http1::Builder::new()
            // The one thing in an answer that would differ from run to run.
            .auto_date_header(false)
            // Heads are timed by `Pace`, on the clock of this host.
            .header_read_timeout(None)
            .max_buf_size(limits.head_bytes)
            .max_headers(limits.head_lines)
            .serve_connection(&mut wire, service);
        let mut connection = pin!(connection);
        let mut overdue = pin!(pace.overdue(&limits));
        let mut closing_begins = pin!(closing.closed());
        let mut is_closing = false;
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(peer = peer.0, %error, "a connection ended early");
                    }
                    break None;
                }
                () = &mut closing_begins, if !is_closing => {
                    is_closing = true;
                    connection.as_mut().graceful_shutdown();
                }
                overdue = &mut overdue => break Some(overdue),
            }
        }
    };
    let by = clock.now().mono.plus(LAST_WORDS);
    until(&*clock, by, part(&mut wire, overdue)).await;
}

/// Last words, and an ear for what the peer still says.
async fn part(wire: &mut Wire, overdue: Option<Overdue>) {
    match overdue {
        None => {}
        Some(Overdue::Head) => {
            let words = refusal("408 Request Timeout", "too_slow", "the head of the request did not come in time");
            if wire.stream().write_all(&words).await.is_err() {
                return;
            }
        }
        // Nobody listens.
        Some(Overdue::Quiet | Overdue::Write) => return,
    }
    if wire.stream().shutdown().await.is_err() {
        return;
    }
    let mut heard = 0;
    let mut chunk = [0; 4 * 1024];
    while let Ok(more @ 1..) = wire.stream().read(&mut chunk).await {
        heard += more;
        if heard > LINGER_BYTES {
            return;
        }
    }
}

/// A connection too many.
async fn turn_away(mut stream: Box<dyn Stream>, clock: Arc<dyn Clock>) {
    let words = refusal("503 Service Unavailable", "too_many_connections", "there are too many connections: try again");
    let telling = async {
        if stream.write_all(&words).await.is_ok() {
            // Who does not take even this is cut off.
            let _ = stream.shutdown().await;
        }
    };
    until(&*clock, clock.now().mono.plus(LAST_WORDS), telling).await;
}

/// One request. A panic in a route is a bug and is told; it ends that request, and not the loop's process.
async fn answer(mut router: Router, peer: Peer, request: Request<Incoming>) -> axum::response::Response {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    match AssertUnwindSafe(router.call(request)).catch_unwind().await {
        Ok(answered) => answered.unwrap_or_else(|never: Infallible| match never {}),
        Err(_) => {
            tracing::error!("a route has panicked: this is a bug, please report it with the message above");
            let message = "a bug: the log has it. What was asked for may have happened";
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message).into_response()
        }
    }
}
