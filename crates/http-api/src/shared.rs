//! What the routes of one server share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::HeaderMap;
use oncegate_coordinator::BoxFuture;
use oncegate_coordinator::ledger::{Entry, Term, Wanted};
use oncegate_coordinator::timeout::until;
use oncegate_protocol::{Mono, PortError};
use tokio::sync::Mutex;

use crate::Api;
use crate::error::ApiError;
use crate::rate::Limiter;

/// What was read of the ledger for one reader does for all others for so long.
const BOARD_LASTS: Duration = Duration::from_millis(500);

/// A board that can't be read now is looked for again after this long.
const BOARD_RESTS: Duration = Duration::from_secs(1);

/// How many signals and leaderships are on the board.
pub(crate) const ON_BOARD: u32 = 50;

/// What the routes share.
pub(crate) struct Shared {
    pub(crate) api: Api,
    pub(crate) limiter: Option<Limiter>,
    /// The security policy of the page, by its own scripts.
    pub(crate) page_policy: String,
    requests: AtomicU64,
    begun_at_ms: i64,
    streams: AtomicUsize,
    board: Mutex<Option<(Mono, Result<Board, PortError>)>>,
}

/// What everybody who looks is shown of the ledger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Board {
    pub(crate) signals: Arc<Vec<Entry>>,
    pub(crate) history: Arc<Vec<Term>>,
}

impl Shared {
    pub(crate) fn new(api: Api) -> Self {
        Self {
            limiter: api.config.limits.rate.map(Limiter::new),
            page_policy: crate::page::policy(api.page),
            requests: AtomicU64::new(0),
            begun_at_ms: api.clock.now().wall.as_millis(),
            streams: AtomicUsize::new(0),
            board: Mutex::new(None),
            api,
        }
    }

    /// A name for one request: the caller's own if it is short and plain, else one that no other request of this
    /// node has.
    pub(crate) fn request_id(&self, headers: &HeaderMap) -> String {
        let fits = |id: &&str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            !id.is_empty() && id.len() <= 64 && id.bytes().all(plain)
        };
        let given = headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(fits);
        given.map_or_else(
            || {
                let number = self.requests.fetch_add(1, Ordering::Relaxed);
                format!("{:x}-{number:x}", self.begun_at_ms)
            },
            str::to_owned,
        )
    }

    /// What `read` says, in time.
    ///
    /// # Errors
    /// 503, with what is wrong with the store.
    pub(crate) async fn read<T>(&self, read: BoxFuture<'_, Result<T, PortError>>) -> Result<T, ApiError> {
        let clock = &*self.api.clock;
        let within = self.api.config.limits.read_within;
        match until(clock, clock.now().mono.plus(within), read).await {
            Some(Ok(read)) => Ok(read),
            Some(Err(error)) => Err(ApiError::unavailable("store_unavailable", error.to_string())),
            None => {
                Err(ApiError::unavailable("store_unavailable", format!("the store has not answered within {within:?}")))
            }
        }
    }

    /// The newest signals and leaderships, at most half a second old. Dropping it leaves nothing.
    pub(crate) async fn board(&self) -> Result<Board, PortError> {
        let mut kept = self.board.lock().await;
        let now = self.api.clock.now().mono;
        if let Some((at, board)) = &*kept
            && now.since(*at) < if board.is_ok() { BOARD_LASTS } else { BOARD_RESTS }
        {
            return board.clone();
        }
        let ledger = &self.api.ledger;
        let read = async {
            let signals = ledger.signals(Wanted { states: Vec::new(), before: None, limit: ON_BOARD }).await?;
            let history = ledger.history(ON_BOARD).await?;
            Ok(Board { signals: Arc::new(signals), history: Arc::new(history) })
        };
        let board = until(&*self.api.clock, now.plus(self.api.config.limits.read_within), read)
            .await
            .unwrap_or_else(|| Err(PortError("the store has not answered in time".into())));
        *kept = Some((self.api.clock.now().mono, board.clone()));
        board
    }

    /// A place among those who read events; none when all are taken.
    pub(crate) fn seat(self: &Arc<Self>) -> Option<Seat> {
        let most = self.api.config.limits.event_streams;
        let taken = self.streams.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < most).then_some(n + 1));
        taken.ok().map(|_| Seat(Arc::clone(self)))
    }
}

/// A reader of events; its place is free when this is dropped.
pub(crate) struct Seat(Arc<Shared>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::AcqRel);
    }
}
