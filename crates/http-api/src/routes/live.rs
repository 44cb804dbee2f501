//! One node's picture of the cluster, once and as it changes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use hyper::StatusCode;
use oncegate_coordinator::overview::Overview;
use oncegate_coordinator::timeout::until;
use oncegate_protocol::Mono;
use serde::Serialize;

use crate::answer::{json, text};
use crate::error::{ApiError, ErrorBody};
use crate::routes::signals::page;
use crate::shared::{Board, ON_BOARD, Seat, Shared};
use crate::wire::{History, TermView};

/// How often it is looked whether something has changed.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The picture is told at least this often: who hears nothing for a few of these has lost the connection.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A store that is slow to answer must not keep the picture waiting.
const BOARD_WITHIN: Duration = Duration::from_millis(300);

/// How often the ledger is looked at for each reader; all readers together ask the store no more often.
const BOARD_EVERY: Duration = Duration::from_millis(500);

/// This node's picture of the cluster.
#[utoipa::path(
    get,
    path = "/v1/overview",
    tag = "live",
    responses(
        (status = 200, description = "The picture", body = crate::picture::Overview),
        (status = "default", description = "Refused", body = ErrorBody),
    ),
    security((), ("bearer" = []))
)]
pub(crate) async fn overview(State(shared): State<Arc<Shared>>) -> Response {
    let overview = Arc::clone(&shared.api.overview.borrow());
    json(StatusCode::OK, &*overview)
}

/// The same as it changes, as server-sent events.
///
/// `overview` bears what `GET /v1/overview` answers, at once, whenever it changes and at least every second;
/// `signals` what `GET /v1/signals` answers, and `history` what `GET /coordinator/history` answers, at once and
/// whenever they change.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "live",
    responses(
        (status = 200, description = "The events", body = String, content_type = "text/event-stream"),
        (status = 503, description = "Too many readers", body = ErrorBody),
        (status = "default", description = "Refused", body = ErrorBody),
    ),
    security((), ("bearer" = []))
)]
pub(crate) async fn events(State(shared): State<Arc<Shared>>) -> Result<Response, ApiError> {
    let seat = shared.seat().ok_or_else(|| {
        ApiError::unavailable("too_many_readers", "there are as many readers of events as there may be: try later")
    })?;
    let feed = Feed {
        shared,
        ready: VecDeque::new(),
        overview: None,
        told_at: Mono::ZERO,
        board: None,
        looked_at: None,
        _seat: seat,
    };
    let events = stream::unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        Some((Ok::<_, std::convert::Infallible>(event), feed))
    });
    Ok(text(StatusCode::OK, "text/event-stream", Body::from_stream(events)))
}

/// What one reader was told.
struct Feed {
    shared: Arc<Shared>,
    ready: VecDeque<Bytes>,
    overview: Option<Arc<Overview>>,
    told_at: Mono,
    board: Option<Board>,
    looked_at: Option<Mono>,
    _seat: Seat,
}

impl Feed {
    /// The next event; none when the server ends.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.shared.api.health.is_stopping() {
                return None;
            }
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            self.look_at_overview();
            self.look_at_board().await;
            if self.ready.is_empty() {
                let clock = &self.shared.api.clock;
                clock.sleep_until(clock.now().mono.plus(LOOK_EVERY)).await;
            }
        }
    }

    fn look_at_overview(&mut self) {
        let now = self.shared.api.clock.now().mono;
        let overview = Arc::clone(&self.shared.api.overview.borrow());
        let is_told = self.overview.as_ref().is_some_and(|told| Arc::ptr_eq(told, &overview));
        if !is_told || now.since(self.told_at) >= TELL_EVERY {
            self.ready.push_back(event("overview", &*overview));
            self.overview = Some(overview);
            self.told_at = now;
        }
    }

    async fn look_at_board(&mut self) {
        let clock = Arc::clone(&self.shared.api.clock);
        let now = clock.now().mono;
        if self.looked_at.is_some_and(|at| now.since(at) < BOARD_EVERY) {
            return;
        }
        self.looked_at = Some(now);
        // What can't be read is told by the picture; the reader keeps what it has.
        let Some(Ok(board)) = until(&*clock, now.plus(BOARD_WITHIN), self.shared.board()).await else { return };
        if self.board.as_ref().is_none_or(|told| told.signals != board.signals) {
            let is_last = board.signals.len() < ON_BOARD as usize;
            let next = if is_last { None } else { board.signals.last().map(|entry| entry.record.sequence) };
            self.ready.push_back(event("signals", &page(&self.shared, &board.signals, next)));
        }
        if self.board.as_ref().is_none_or(|told| told.history != board.history) {
            let history = History { history: board.history.iter().map(TermView::of).collect() };
            self.ready.push_back(event("history", &history));
        }
        self.board = Some(board);
    }
}

/// One event in one line of data. Line breaks in JSON stand between tokens only (in strings they are escaped), so
/// a space does as well; signals are shown as they came, and may have some.
fn event(name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_else(|error| {
        tracing::error!(%error, name, "an event could not be written");
        "null".into()
    });
    format!("event: {name}\ndata: {}\n\n", data.replace(['\r', '\n'], " ")).into()
}
