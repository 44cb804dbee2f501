//! The broker port over HTTP/1.1.
//!
//! One connection per order, closed after it: there is no pool, so no order ever goes out on a connection
//! that died unnoticed. The connection is polled by the very future that waits for the answer; dropping that
//! future drops the connection and nothing runs on behind it.
//!
//! ```text
//! connect ---refused, too slow, send_before reached---> NotSent
//!    |
//! first byte ---clock read once more, in the write; or the call ends with none written---> NotSent
//!    |
//! answer ---the table of `answer`---> Accepted | Rejected
//!    |
//!    \---anything else: broken, late, too large, other---> Unknown
//! ```
//!
//! Encryption is the `Connect` port's business: it may hand out a stream that speaks TLS.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use oncegate_coordinator::timeout::until;
use oncegate_coordinator::{BoxFuture, Broker, Clock, Connect, Stream};
use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::{Capabilities, ClientOrderId, Lookup, Mono, Order, Outcome};

use crate::answer;
use crate::config::{ConfigError, HttpBrokerConfig, RequestParts};
use crate::stream::{FirstByte, GuardedStream, HyperIo};
use crate::wire::{FENCING_TOKEN, IDEMPOTENCY_KEY, JSON, ORDERS_PATH, OrderRequest, order_path};

/// The largest body that is read, in bytes; a larger one is no answer.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The largest head that is buffered, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// A broker behind HTTP; see the module's page for what it makes of what it sees.
pub struct HttpBroker {
    config: HttpBrokerConfig,
    parts: RequestParts,
    connect: Arc<dyn Connect>,
    clock: Arc<dyn Clock>,
}

/// A whole answer, not judged yet.
struct Answer {
    status: u16,
    body: Bytes,
}

impl HttpBroker {
    /// A broker that is reached through `connect`, with every wait on `clock`. Connects to nothing yet.
    ///
    /// # Errors
    /// [`ConfigError`] when the configuration can't be used.
    pub fn new(
        config: HttpBrokerConfig,
        connect: Arc<dyn Connect>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let parts = config.check()?;
        Ok(Self { config, parts, connect, clock })
    }

    async fn place_order(&self, order: Order) -> Outcome {
        let started = self.clock.now().mono;
        let deadline = started.plus(order.timeout);
        let peer = &self.config.peer;
        if started >= order.send_before {
            return Outcome::NotSent(format!("the time to send had run out before connecting to {peer}"));
        }
        let request = match self.order_request(&order) {
            Ok(request) => request,
            Err(flaw) => return Outcome::NotSent(flaw),
        };
        let stream = match self.connect_until(deadline.min(order.send_before)).await {
            Ok(stream) => stream,
            Err(failure) => return Outcome::NotSent(failure),
        };
        let (stream, witness) = GuardedStream::new(stream, Arc::clone(&self.clock), order.send_before);
        let answer = until(&*self.clock, deadline, exchange(stream, request)).await;
        // The exchange is over, whole or dropped: what the witness says now is final.
        match (witness.first_byte(), answer) {
            (FirstByte::Held, Some(Err(failure))) => {
                Outcome::NotSent(format!("connected to {peer}, which ended before the first byte: {failure}"))
            }
            (FirstByte::Held, None | Some(Ok(_))) => {
                Outcome::NotSent(format!("connected to {peer}, which took no byte within {:?}", order.timeout))
            }
            (FirstByte::TooLate, _) => {
                Outcome::NotSent(format!("the time to send ran out between connecting to {peer} and the first byte"))
            }
            (FirstByte::Gone, Some(Ok(Answer { status, body }))) => {
                answer::outcome(&order.client_order_id, status, &body)
            }
            (FirstByte::Gone, Some(Err(failure))) => {
                Outcome::Unknown(format!("sent the order to {peer}, then lost the answer: {failure}"))
            }
            (FirstByte::Gone, None) => {
                Outcome::Unknown(format!("sent the order to {peer}, which did not answer within {:?}", order.timeout))
            }
        }
    }

    async fn look_up_order(&self, id: ClientOrderId) -> LookupAnswer {
        let peer = &self.config.peer;
        if self.config.capabilities.lookup == Lookup::None {
            return LookupAnswer::Unavailable(format!("the broker at {peer} is declared to have no look-up"));
        }
        let request = match self.request(Method::GET, &order_path(&id)).body(Full::default()) {
            Ok(request) => request,
            Err(flaw) => return LookupAnswer::Unavailable(format!("{id} makes no HTTP request: {flaw}")),
        };
        let deadline = self.clock.now().mono.plus(self.config.lookup_timeout);
        let stream = match self.connect_until(deadline).await {
            Ok(stream) => stream,
            Err(failure) => return LookupAnswer::Unavailable(failure),
        };
        match until(&*self.clock, deadline, exchange(stream, request)).await {
            Some(Ok(Answer { status, body })) => answer::lookup(&id, status, &body),
            Some(Err(failure)) => LookupAnswer::Unavailable(format!("asking {peer} for {id}: {failure}")),
            None => LookupAnswer::Unavailable(format!(
                "asking {peer} for {id}: no answer within {:?}",
                self.config.lookup_timeout
            )),
        }
    }

    async fn connect_until(&self, deadline: Mono) -> Result<Box<dyn Stream>, String> {
        let peer = &self.config.peer;
        let patience = deadline.since(self.clock.now().mono);
        match until(&*self.clock, deadline, self.connect.connect(peer)).await {
            Some(Ok(stream)) => Ok(stream),
            Some(Err(error)) => Err(format!("connecting to {peer}: {error}")),
            None => Err(format!("connecting to {peer}: no connection within {patience:?}")),
        }
    }

    /// The order as a request, or why it can't be one.
    fn order_request(&self, order: &Order) -> Result<Request<Full<Bytes>>, String> {
        let id = &order.client_order_id;
        let body = OrderRequest::of(order)
            .and_then(|request| serde_json::to_vec(&request))
            .map_err(|e| format!("the signal of {id} is not JSON: {e}"))?;
        self.request(Method::POST, ORDERS_PATH)
            .header(CONTENT_TYPE, JSON)
            .header(IDEMPOTENCY_KEY, id.as_str())
            .header(FENCING_TOKEN, order.epoch.0)
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| format!("{id} makes no HTTP request: {e}"))
    }

    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.config.path_prefix))
            .header(HOST, &self.parts.host)
            .header(CONNECTION, "close");
        match &self.parts.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        }
    }
}

impl Broker for HttpBroker {
    fn capabilities(&self) -> &Capabilities {
        &self.config.capabilities
    }

    fn place(&self, order: Order) -> BoxFuture<'_, Outcome> {
        Box::pin(self.place_order(order))
    }

    fn look_up(&self, id: ClientOrderId) -> BoxFuture<'_, LookupAnswer> {
        Box::pin(self.look_up_order(id))
    }
}

/// One request and its whole answer over one stream, which is closed at the end and when dropped.
async fn exchange(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Answer, String> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .handshake(HyperIo(stream))
        .await
        .map_err(|e| explained(&e))?;
    let answer = async move {
        let response = sender.send_request(request).await.map_err(|e| explained(&e))?;
        let status = response.status().as_u16();
        match Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await {
            Ok(body) => Ok(Answer { status, body: body.to_bytes() }),
            Err(error) if error.is::<LengthLimitError>() => {
                Err(format!("the answer {status} has more than {MAX_ANSWER_BYTES} bytes"))
            }
            Err(error) => Err(format!("the answer {status} broke off: {}", explained(&*error))),
        }
    };
    polled_together(Box::pin(connection), answer).await
}

/// The output of `answer`, which makes progress only while `connection` is polled too.
async fn polled_together<T>(connection: impl Future + Unpin, answer: impl Future<Output = T>) -> T {
    let answer = pin!(answer);
    match select(connection, answer).await {
        // A connection that ended has passed on all it had, or why there is nothing.
        Either::Left((_ended, answer)) => answer.await,
        Either::Right((output, _)) => output,
    }
}

/// The error and everything it was caused by: hyper keeps the telling part in its sources.
fn explained(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text.push_str(": ");
        text.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    text
}
