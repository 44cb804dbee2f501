//! The signal store as a port: [`Db`] on a thread of its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oncegate_coordinator::ports::{BoxFuture, Clock, SignalStore};
use oncegate_coordinator::timeout::until;
use oncegate_protocol::{PortError, SignalState, StoreCall, StoreReply};
use tokio::sync::Notify;

use crate::db::{Db, Durability, Older};
use crate::error::DbError;
use crate::worker::Worker;

/// How often another process's commits are looked for.
pub const POLL_EVERY: Duration = Duration::from_millis(250);

/// A [`SignalStore`] in one file, for processes of one host.
pub struct SqliteStore {
    worker: Worker<Watched>,
    added: Arc<Notify>,
    clock: Arc<dyn Clock>,
    place: String,
    history_failures: Arc<AtomicU64>,
}

/// A connection, and the newest foreign commit that it told of.
pub(crate) struct Watched {
    pub(crate) db: Db,
    seen: i64,
}

impl Watched {
    pub(crate) fn new(db: Db) -> Result<Self, DbError> {
        let seen = db.data_version()?;
        Ok(Self { db, seen })
    }

    /// Whether another connection has committed since this was last asked.
    pub(crate) fn changed(&mut self) -> Result<bool, DbError> {
        let version = self.db.data_version()?;
        Ok(std::mem::replace(&mut self.seen, version) != version)
    }
}

impl SqliteStore {
    /// Opens the store at `path` and starts its thread. `clock` paces the look-out for other processes.
    ///
    /// # Errors
    /// See [`Db::open`].
    pub fn open(path: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<Self, DbError> {
        Self::serve(Db::open(path)?, clock)
    }

    /// Opens the store at `path` without migrating or creating it.
    ///
    /// # Errors
    /// See [`Db::open_existing`].
    pub fn open_existing(path: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<Self, DbError> {
        Self::serve(Db::open_with(path.as_ref(), Durability::Full, Older::Refuse)?, clock)
    }

    fn serve(db: Db, clock: Arc<dyn Clock>) -> Result<Self, DbError> {
        let (place, history_failures) = (db.place().to_owned(), db.history_failures());
        let worker = Worker::start("oncegate-store", Watched::new(db)?)
            .map_err(|source| DbError::Thread { place: place.clone(), source })?;
        Ok(Self { worker, added: Arc::default(), clock, place, history_failures })
    }

    /// How often the history of leaderships could not be written since this was opened. Each was logged, and kept
    /// nobody from leading.
    pub fn history_failures(&self) -> u64 {
        self.history_failures.load(Ordering::Relaxed)
    }
}

impl SignalStore for SqliteStore {
    fn call(&self, call: StoreCall) -> BoxFuture<'_, Result<StoreReply, PortError>> {
        let added = Arc::clone(&self.added);
        Box::pin(async move {
            let performed = self.worker.run(move |watched: &mut Watched| {
                let reply = watched.db.apply(&call);
                // Told from here, because the caller may be gone by now, and the signal is there all the same.
                if adds_work(&call, &reply) {
                    added.notify_one();
                }
                reply
            });
            match performed.await {
                Some(reply) => reply.map_err(|e| PortError(e.to_string())),
                None => Err(ended(&self.place)),
            }
        })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            loop {
                let next_look = self.clock.now().mono.plus(POLL_EVERY);
                if until(&*self.clock, next_look, self.added.notified()).await.is_some() {
                    return;
                }
                // A look that failed says nothing; the calls that follow will say what is wrong.
                if let Some(Ok(true)) = self.worker.run(Watched::changed).await {
                    return;
                }
            }
        })
    }
}

/// Not outcomes: who puts a signal back by "not sent" knows it, and would be woken to try again at once.
fn adds_work(call: &StoreCall, reply: &Result<StoreReply, DbError>) -> bool {
    match call {
        StoreCall::Insert { .. } => matches!(reply, Ok(StoreReply::Stored { new: true, .. })),
        StoreCall::Resolve { .. } => matches!(reply, Ok(StoreReply::State(Some(SignalState::Received)))),
        // What waited may go on; and whoever leads is to know at once that it may not.
        StoreCall::SetPause { .. } => reply.is_ok(),
        StoreCall::ReadLeadership
        | StoreCall::OpenEpoch { .. }
        | StoreCall::Heartbeat { .. }
        | StoreCall::Vacate { .. }
        | StoreCall::ReadPending { .. }
        | StoreCall::ReadSignal { .. }
        | StoreCall::Claim(_)
        | StoreCall::RecordOutcome { .. }
        | StoreCall::Conclude { .. } => false,
    }
}

pub(crate) fn ended(place: &str) -> PortError {
    PortError(format!("the thread that serves {place} has ended: look for its panic in the log, and restart"))
}
