//! How fast a peer must be, measured on the `Clock` port, and the stream through which it is measured.
//!
//! ```text
//!   Quiet ──first byte──► Head ──request complete──► Answering ──last byte of the answer made──► Quiet
//! ```
//!
//! The time of a body is its reader's to measure; that of an answer, whoever makes it. What is measured here is what
//! nobody else would: heads that trickle, peers that say nothing, and peers that take nothing.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::rt::ReadBufCursor;
use oncegate_coordinator::{Clock, Stream};
use oncegate_protocol::Mono;
use tokio::io::ReadBuf;

use crate::config::Limits;

/// How often a connection looks at the clock: by so much may a time be overrun.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How much is read at a time.
const READ_CHUNK: usize = 8 * 1024;

/// What a peer did not do in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Overdue {
    /// It asked nothing.
    Quiet,
    /// It began to ask and did not come to an end.
    Head,
    /// It took nothing of its answer.
    Write,
}

#[derive(Clone, Copy)]
enum Phase {
    Quiet { since: Mono, asked_before: bool },
    Head { since: Mono },
    Answering,
}

struct State {
    phase: Phase,
    stalled_since: Option<Mono>,
}

/// Where one connection stands.
pub(crate) struct Pace {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl Pace {
    /// Of a connection that begins now.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let phase = Phase::Quiet { since: clock.now().mono, asked_before: false };
        Arc::new(Self { clock, state: Mutex::new(State { phase, stalled_since: None }) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A whole head has come.
    pub(crate) fn answering(&self) {
        self.state().phase = Phase::Answering;
    }

    /// The answer is made; sending it may still take time.
    fn answered(&self) {
        self.state().phase = Phase::Quiet { since: self.clock.now().mono, asked_before: true };
    }

    fn heard(&self) {
        let mut state = self.state();
        if matches!(state.phase, Phase::Quiet { .. }) {
            state.phase = Phase::Head { since: self.clock.now().mono };
        }
    }

    fn wrote(&self, stalled: bool) {
        let mut state = self.state();
        if !stalled {
            state.stalled_since = None;
        } else if state.stalled_since.is_none() {
            state.stalled_since = Some(self.clock.now().mono);
        }
    }

    fn overdue_at(&self, limits: &Limits, now: Mono) -> Option<Overdue> {
        let state = self.state();
        if state.stalled_since.is_some_and(|since| now >= since.plus(limits.write_within)) {
            return Some(Overdue::Write);
        }
        match state.phase {
            Phase::Quiet { since, asked_before } => {
                let patience = if asked_before { limits.idle_for } else { limits.head_within };
                (now >= since.plus(patience)).then_some(Overdue::Quiet)
            }
            Phase::Head { since } => (now >= since.plus(limits.head_within)).then_some(Overdue::Head),
            Phase::Answering => None,
        }
    }

    /// Ready when the peer is overdue. Dropping it leaves nothing.
    pub(crate) async fn overdue(&self, limits: &Limits) -> Overdue {
        loop {
            self.clock.sleep_until(self.clock.now().mono.plus(LOOK_EVERY)).await;
            if let Some(overdue) = self.overdue_at(limits, self.clock.now().mono) {
                return overdue;
            }
        }
    }
}

/// A stream that tells its [`Pace`] what comes and goes, as hyper wants it.
pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    pace: Arc<Pace>,
    /// What is written in place of the bytes at hand, and how much of it is.
    instead: Option<(Vec<u8>, usize)>,
}

impl Wire {
    pub(crate) fn new(stream: Box<dyn Stream>, pace: Arc<Pace>) -> Self {
        Self { stream, pace, instead: None }
    }

    /// The stream itself, when HTTP is over.
    pub(crate) fn stream(&mut self) -> &mut dyn Stream {
        &mut *self.stream
    }
}

impl hyper::rt::Read for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut chunk = [0; READ_CHUNK];
        let room = buf.remaining().min(READ_CHUNK);
        let mut chunk = ReadBuf::new(&mut chunk[..room]);
        ready!(Pin::new(&mut *self.stream).poll_read(cx, &mut chunk))?;
        if !chunk.filled().is_empty() {
            self.pace.heard();
        }
        buf.put_slice(chunk.filled());
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.instead.is_none() {
            this.instead = said_without_a_reason(bytes).map(|said| (said, 0));
        }
        let written = match &mut this.instead {
            None => Pin::new(&mut *this.stream).poll_write(cx, bytes),
            Some((said, done)) => loop {
                match Pin::new(&mut *this.stream).poll_write(cx, &said[*done..]) {
                    Poll::Ready(Ok(more @ 1..)) => *done += more,
                    Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    other => break other,
                }
                if *done == said.len() {
                    break Poll::Ready(Ok(bytes.len()));
                }
            },
        };
        if written.is_ready() {
            this.instead = None;
        }
        this.pace.wrote(written.is_pending());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut *self.stream).poll_flush(cx);
        if flushed.is_pending() {
            self.pace.wrote(true);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(cx)
    }
}

/// What hyper cannot read it refuses with an empty answer, before any route hears of it. All answers of ours from 400
/// on have a body, so an empty one is hyper's: this is the same with its reason.
fn said_without_a_reason(bytes: &[u8]) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(bytes).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?;
    if !head.ends_with("content-length: 0\r\n\r\n") {
        return None;
    }
    match status {
        "400" => Some(refusal("400 Bad Request", "bad_http", "this is not HTTP/1.1 as it can be read here")),
        "414" => Some(refusal("414 URI Too Long", "uri_too_long", "the path is too long")),
        "431" => {
            let flaw = "the headers are too many or too long";
            Some(refusal("431 Request Header Fields Too Large", "head_too_large", flaw))
        }
        _ => None,
    }
}

/// A refusal in full, for when no route was reached: the connection closes behind it.
pub(crate) fn refusal(status: &str, code: &str, message: &str) -> Vec<u8> {
    let body = format!(r#"{{"error":{{"code":"{code}","message":"{message}","pointer":null}}}}"#);
    let again = if status.starts_with("503") { "retry-after: 1\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nx-content-type-options: nosniff\r\n\
         cache-control: no-store\r\n{again}connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// An answer's body; when it is dropped, the answer is made.
pub(crate) struct Answered {
    body: Body,
    pace: Arc<Pace>,
}

impl Answered {
    pub(crate) fn new(body: Body, pace: Arc<Pace>) -> Self {
        Self { body, pace }
    }
}

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.pace.answered();
    }
}
