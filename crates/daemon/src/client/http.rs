//! One request, one connection, one whole answer, within one time.

use std::fmt;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request};
use oncegate_coordinator::timeout::until;
use oncegate_coordinator::{Clock, Connect, SystemClock, TcpConnect};
use oncegate_http_broker::stream::HyperIo;
use serde_json::Value;

use crate::config::secret::Secret;
use crate::tls::TlsConnect;

/// A command waits so long for its answer, connecting included; an operator's word may take several store calls.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest answer that is read, in bytes: a page of signals, each with the largest body.
const LARGEST: usize = 128 * 1024 * 1024;

/// The way to one daemon.
pub struct Client {
    connect: Arc<dyn Connect>,
    clock: Arc<dyn Clock>,
    /// As it was given, for people.
    url: String,
    peer: String,
    prefix: String,
    authorization: Option<HeaderValue>,
}

/// An answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, null when there is none.
    pub body: Value,
    /// The same as it came: no number is spelled anew, no key has moved.
    pub text: String,
}

/// There was no answer that could be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoAnswer {
    /// What was seen, for people.
    pub what: String,
    /// The request was on its way: what it asks for may have happened.
    pub may_have_happened: bool,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if self.may_have_happened {
            f.write_str("; what was asked may have happened all the same: look before you repeat it")?;
        }
        Ok(())
    }
}

impl Client {
    /// To the daemon at `url`, showing `token`, trusting whom `ca_file` names.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(url: &str, token: Option<&Secret>, ca_file: Option<&Path>) -> Result<Self, String> {
        let (tls, peer, prefix) = crate::config::read::url(url)?;
        let tcp: Arc<dyn Connect> = Arc::new(TcpConnect);
        let connect = if tls { Arc::new(TlsConnect::new(tcp, ca_file)?) } else { tcp };
        let authorization = match token {
            None => None,
            Some(token) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                    .map_err(|_| "the token has characters that no HTTP header can carry".to_owned())?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self { connect, clock: Arc::new(SystemClock), url: url.to_owned(), peer, prefix, authorization })
    }

    /// Where it asks, for people.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks for `path`.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn get(&self, path: &str) -> Result<Answer, NoAnswer> {
        self.ask(Method::GET, path, None).await
    }

    /// Sends `body` as JSON to `path`.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, NoAnswer> {
        self.ask(Method::POST, path, Some(body)).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, NoAnswer> {
        let no = |what: String, may_have_happened| NoAnswer { what, may_have_happened };
        let changes = method != Method::GET;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.prefix))
            .header(HOST, &self.peer)
            .header(ACCEPT, "application/json")
            .header(CONNECTION, "close");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let request = request.body(Full::new(body)).map_err(|error| no(format!("{path}: {error}"), false))?;

        let deadline = self.clock.now().mono.plus(PATIENCE);
        let stream = match until(&*self.clock, deadline, self.connect.connect(&self.peer)).await {
            Some(Ok(stream)) => stream,
            Some(Err(error)) => {
                let what = format!("no daemon can be reached at {}: {error}; does it run, and there?", self.url);
                return Err(no(what, false));
            }
            None => return Err(no(format!("no daemon answers at {} within {PATIENCE:?}", self.url), false)),
        };
        let exchange = async {
            let (mut sender, connection) = http1::handshake(HyperIo(stream)).await?;
            let answer = async move {
                let response = sender.send_request(request).await?;
                let status = response.status().as_u16();
                let body = Limited::new(response.into_body(), LARGEST).collect().await;
                Ok::<_, hyper::Error>((status, body.map(|body| body.to_bytes())))
            };
            match select(pin!(answer), pin!(connection)).await {
                Either::Left((answer, _)) => answer,
                // The connection has ended; the answer is here already, or never comes.
                Either::Right((_, answer)) => answer.await,
            }
        };
        match until(&*self.clock, deadline, exchange).await {
            Some(Ok((status, Ok(body)))) => {
                let not_json = |error: &dyn fmt::Display| {
                    no(format!("{} answered {status} with something else than JSON: {error}", self.url), changes)
                };
                let text = String::from_utf8(body.into()).map_err(|error| not_json(&error))?;
                let body = if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text) };
                Ok(Answer { status, body: body.map_err(|error| not_json(&error))?, text })
            }
            Some(Ok((_, Err(error)))) => Err(no(format!("the answer of {} broke off: {error}", self.url), changes)),
            Some(Err(error)) => Err(no(format!("{} did not answer: {error}", self.url), changes)),
            None => Err(no(format!("{} did not answer within {PATIENCE:?}", self.url), changes)),
        }
    }
}
