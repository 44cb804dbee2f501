//! The signal store as a port.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use oncegate_coordinator::ports::{BoxFuture, Clock, Connect, SignalStore};
use oncegate_coordinator::timeout::until;
use oncegate_protocol::{PortError, SignalState, StoreCall, StoreReply};

use crate::claims::AttemptKey;
use crate::config::PostgresConfig;
use crate::error::{Failure, PgError};
use crate::leadership::Told;
use crate::ledger::Reader;
use crate::link::Access;
use crate::listener::Hints;
use crate::pool::Pool;
use crate::session::Session;
use crate::{claims, leadership, schema, signals, statements};

/// A [`SignalStore`] and a [`Ledger`](oncegate_coordinator::Ledger) in one schema of one database.
///
/// Calls use up to [`PostgresConfig::connections`] connections, what people read uses two of its own, and one more
/// listens for new signals while [`SignalStore::changed`] is awaited.
pub struct PostgresStore {
    pool: Arc<Pool>,
    pub(crate) reader: Reader,
    added: Hints,
    history_failures: AtomicU64,
}

impl PostgresStore {
    /// Connects, and makes sure that the tables are of this version. They are made or changed by
    /// [`schema::migrate`], never here.
    ///
    /// # Errors
    /// [`PgError::OlderVersion`] (also when there is nothing yet), [`PgError::NewerVersion`] and [`PgError::NotOurs`];
    /// [`PgError::NotDurable`] when the server is set to lose commits; [`PgError::NotConnected`], also when a server
    /// that could be connected to then falls silent.
    pub async fn open(
        config: PostgresConfig,
        connect: Arc<dyn Connect>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, PgError> {
        let pool = Pool::new(config.clone(), Access::Writes, Arc::clone(&connect), Arc::clone(&clock))?;
        let opening = async {
            let version = pool.run("read the version", schema::read_version(&config.schema)).await?;
            schema::must_be_newest(version, &config)?;
            pool.prepares(&statements::TRADING).await
        };
        let patience = config.opening_timeout();
        until(&*clock, clock.now().mono.plus(patience), opening).await.unwrap_or_else(|| {
            Err(PgError::NotConnected { place: config.place(), seen: format!("no answer within {patience:?}") })
        })?;
        let reader = Reader::new(config.clone(), connect, clock)?;
        let pool = Arc::new(pool);
        let added = Hints::new(Arc::clone(&pool), config.signals_channel());
        Ok(Self { pool, reader, added, history_failures: AtomicU64::new(0) })
    }

    /// How often the history of leaderships could not be written since this was opened. Each was logged, and kept
    /// nobody from leading.
    pub fn history_failures(&self) -> u64 {
        self.history_failures.load(Ordering::Relaxed)
    }
}

impl SignalStore for PostgresStore {
    /// Dropped halfway it closes the connection that it used; the next call opens another.
    fn call(&self, call: StoreCall) -> BoxFuture<'_, Result<StoreReply, PortError>> {
        Box::pin(async move {
            let channel = self.pool.config.signals_channel();
            let performed = self.pool.run(doing(&call), move |session| {
                Box::pin(async move {
                    let (reply, untold) = perform(session, &call).await?;
                    if adds_work(&call, &reply) {
                        // The commit is done, whether or not anybody hears of it.
                        let _ = session.query(statements::NOTIFY, &[&channel]).await;
                    }
                    Ok((reply, untold))
                })
            });
            let (reply, untold) = performed.await.map_err(|error| PortError(error.to_string()))?;
            if let Some(seen) = untold {
                self.history_failures.fetch_add(1, Ordering::Relaxed);
                let place = self.pool.config.place();
                tracing::warn!(place, "the history of leaderships could not be written: {seen}");
            }
            Ok(reply)
        })
    }

    /// Listens only while it is awaited, by one waiter at a time. Also ready once after each time that listening
    /// began, because something may have been added before.
    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(poll_fn(|cx| self.added.poll(cx)))
    }
}

/// Performs `call` in one commit, or not at all. What one statement can do is done without a transaction around it.
async fn perform(session: &Session, call: &StoreCall) -> Result<Told, Failure> {
    let reply = match call {
        StoreCall::Insert { signal, at } => signals::insert(session, signal, *at).await?,
        StoreCall::ReadLeadership => StoreReply::Leadership(leadership::read(session).await?),
        StoreCall::OpenEpoch { expected, holder, at } => {
            return leadership::open(session, *expected, holder, *at).await;
        }
        StoreCall::Heartbeat { epoch, holder, at } => leadership::heartbeat(session, *epoch, holder, *at).await?,
        StoreCall::Vacate { epoch, holder, reason, at } => {
            return leadership::vacate(session, *epoch, holder, reason, *at).await;
        }
        StoreCall::ReadPending { limit } => signals::pending(session, *limit).await?,
        StoreCall::ReadSignal { fingerprint } => StoreReply::Signal(signals::record(session, fingerprint).await?),
        StoreCall::Claim(claim) => claims::claim(session, claim).await?,
        StoreCall::RecordOutcome { fingerprint, leg, number, owner, outcome, at } => {
            let key = AttemptKey { fingerprint, leg: *leg, number: *number, owner };
            claims::record_outcome(session, key, outcome, *at).await?
        }
        StoreCall::Conclude { fingerprint, epoch, holder, verdict, at } => {
            signals::conclude(session, fingerprint, (*epoch, holder), verdict, *at).await?
        }
        StoreCall::SetPause { paused, seen, reason, at } => {
            leadership::set_pause(session, *paused, *seen, reason, *at).await?
        }
        StoreCall::Resolve { fingerprint, resolution, attempts, reason, at } => {
            signals::resolve(session, fingerprint, *resolution, *attempts, reason, *at).await?
        }
    };
    Ok((reply, None))
}

const fn doing(call: &StoreCall) -> &'static str {
    match call {
        StoreCall::Insert { .. } => "store a signal",
        StoreCall::ReadLeadership => "read the leadership",
        StoreCall::OpenEpoch { .. } => "open an epoch",
        StoreCall::Heartbeat { .. } => "write a heartbeat",
        StoreCall::Vacate { .. } => "vacate the leadership",
        StoreCall::ReadPending { .. } => "read what is owed",
        StoreCall::ReadSignal { .. } => "read a signal",
        StoreCall::Claim(_) => "claim a signal",
        StoreCall::RecordOutcome { .. } => "record an outcome",
        StoreCall::Conclude { .. } => "conclude on a signal",
        StoreCall::Resolve { .. } => "resolve a signal",
        StoreCall::SetPause { .. } => "stop new orders or let them go on",
    }
}

/// Not outcomes: who puts a signal back by "not sent" knows it, and would be woken to try again at once.
const fn adds_work(call: &StoreCall, reply: &StoreReply) -> bool {
    match call {
        StoreCall::Insert { .. } => matches!(reply, StoreReply::Stored { new: true, .. }),
        StoreCall::Resolve { .. } => matches!(reply, StoreReply::State(Some(SignalState::Received))),
        // What waited may go on; and whoever leads is to know at once that it may not.
        StoreCall::SetPause { .. } => true,
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
