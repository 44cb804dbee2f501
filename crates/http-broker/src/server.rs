//! The other end of the order API: reads requests strictly and leaves the answers to a handler.
//!
//! For whoever plays the broker: the paper broker, examples, the simulated world. It keeps no state and has
//! no clock; requests it does not know it refuses loudly.

use std::future::Future;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use oncegate_protocol::ClientOrderId;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::stream::HyperIo;
use crate::wire::{FENCING_TOKEN, IDEMPOTENCY_KEY, JSON, ORDERS_PATH, OrderAnswer, OrderRequest, id_in_path};

/// The largest request body that is read, in bytes: the largest signal and ample room for what is around it.
const MAX_REQUEST_BYTES: usize = 128 * 1024;

/// What a client asks.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Place this order.
    Place(OrderRequest),
    /// Do you have this order?
    LookUp(ClientOrderId),
}

/// What it is told: any status and any bytes, so that a broker out of its mind can be played too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body, sent as JSON whatever it is.
    pub body: Bytes,
}

impl Reply {
    /// `answer` under `status`.
    pub fn new(status: u16, answer: &OrderAnswer) -> Self {
        Self { status, body: answer.to_json() }
    }
}

/// Serves requests from one stream until the client closes it. The handler may take its time, and may answer
/// nothing: then the connection is cut.
///
/// Dropping the future cuts the connection; a request that reached the handler may have had its effect.
///
/// # Errors
/// When the connection breaks, or is cut by the handler.
pub async fn serve<S, H, F>(stream: S, handler: H) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(Ask) -> F,
    F: Future<Output = Option<Reply>>,
{
    let handler = &handler;
    let service = service_fn(move |request| async move {
        match read(request).await {
            Ok(ask) => handler(ask).await.map(respond).ok_or(Cut),
            Err((status, flaw)) => Ok(refuse(status, &flaw)),
        }
    });
    // No Date header: it is the one thing in an answer that would differ from run to run.
    http1::Builder::new().auto_date_header(false).serve_connection(HyperIo(stream), service).await
}

/// The handler chose to answer nothing.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut without an answer")]
struct Cut;

/// The request as a question, or the status and text of its refusal.
async fn read(request: Request<Incoming>) -> Result<Ask, (StatusCode, String)> {
    let bad = |flaw: String| (StatusCode::BAD_REQUEST, flaw);
    let path = request.uri().path().to_owned();
    match (request.method(), &*path) {
        (&Method::POST, ORDERS_PATH) => {
            let (head, body) = request.into_parts();
            let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let body = Limited::new(body, MAX_REQUEST_BYTES).collect().await;
            let body = body.map_err(|e| bad(format!("the body can't be read: {e}")))?.to_bytes();
            let order: OrderRequest =
                serde_json::from_slice(&body).map_err(|e| bad(format!("the body is no order: {e}")))?;
            if header(CONTENT_TYPE.as_str()) != JSON {
                Err(bad(format!("the content-type must be {JSON}")))
            } else if header(IDEMPOTENCY_KEY) != order.client_order_id.as_str() {
                Err(bad(format!("{IDEMPOTENCY_KEY} must be the client order id of the body")))
            } else if header(FENCING_TOKEN) != order.epoch.to_string() {
                Err(bad(format!("{FENCING_TOKEN} must be the epoch of the body")))
            } else {
                Ok(Ask::Place(order))
            }
        }
        (&Method::GET, _) => match id_in_path(&path) {
            Some(id) => Ok(Ask::LookUp(id)),
            None => Err((StatusCode::NOT_FOUND, format!("there is no {path} here"))),
        },
        (method, _) => Err((StatusCode::NOT_IMPLEMENTED, format!("{method} {path} is not part of the order API"))),
    }
}

fn respond(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body));
    // A number that is no status can only be the handler's mistake; a client must take a 500 for unknown.
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(JSON));
    response
}

fn refuse(status: StatusCode, flaw: &str) -> Response<Full<Bytes>> {
    let body = serde_json::json!({ "error": flaw }).to_string();
    respond(Reply { status: status.as_u16(), body: body.into() })
}
