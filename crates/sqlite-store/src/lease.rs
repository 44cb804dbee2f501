//! A lease for the processes of one host that have no Redis: one row of the store's file.
//!
//! It expires by `CLOCK_BOOTTIME`, which all processes of one host read alike as long as they are in one time
//! namespace. A boot starts that clock over: an entry from before can then look acquired in the future,
//! and counts as expired, or acquired lately, and delays the next leader by one ttl at most.
//!
//! Like every lease it is a hint about who lives. It is written through a connection that does not wait for
//! the disk: a power cut ends every holder, and with them the lease.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use oncegate_coordinator::ports::{BoxFuture, Clock, LeaseStore};
use oncegate_protocol::{Epoch, Holder, LeaseCall, LeaseReply, Mono, PortError};
use rusqlite::{Connection, OptionalExtension as _, Result};

use crate::db::{Db, Durability, Older};
use crate::error::DbError;
use crate::rows::unsigned;
use crate::statements;
use crate::store::{POLL_EVERY, Watched, ended};
use crate::worker::Worker;

/// It is lost and restored together with the epochs themselves: what it could keep of them would tell nothing.
const UNTOLD: Epoch = Epoch(0);

/// A [`LeaseStore`] in the store's file, on a connection and a thread of its own: a slow commit of the store
/// must not keep a renewal from being sent.
pub struct SqliteLease {
    worker: Worker<Watched>,
    clock: Arc<dyn Clock>,
    place: String,
}

impl SqliteLease {
    /// Opens the file at `path`, as [`Db::open`] does. `clock` must count alike in all processes that share it.
    ///
    /// # Errors
    /// See [`Db::open`].
    pub fn open(path: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<Self, DbError> {
        Self::serve(Db::open_with(path.as_ref(), Durability::Process, Older::Migrate)?, clock)
    }

    /// Opens the file at `path` without migrating or creating it.
    ///
    /// # Errors
    /// See [`Db::open_existing`].
    pub fn open_existing(path: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<Self, DbError> {
        Self::serve(Db::open_with(path.as_ref(), Durability::Process, Older::Refuse)?, clock)
    }

    fn serve(db: Db, clock: Arc<dyn Clock>) -> Result<Self, DbError> {
        let place = db.place().to_owned();
        let worker = Worker::start("oncegate-lease", Watched::new(db)?)
            .map_err(|source| DbError::Thread { place: place.clone(), source })?;
        Ok(Self { worker, clock, place })
    }
}

impl LeaseStore for SqliteLease {
    fn call(&self, call: LeaseCall) -> BoxFuture<'_, Result<LeaseReply, PortError>> {
        let clock = Arc::clone(&self.clock);
        Box::pin(async move {
            let performed = self.worker.run(move |watched: &mut Watched| {
                // The clock is read under the lock: the ttl runs from when the store acted.
                watched.db.write("perform a lease call", |db| perform(db, &call, clock.now().mono))
            });
            match performed.await {
                Some(reply) => reply.map_err(|e| PortError(e.to_string())),
                None => Err(ended(&self.place)),
            }
        })
    }

    fn released(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            loop {
                self.clock.sleep_until(self.clock.now().mono.plus(POLL_EVERY)).await;
                let clock = Arc::clone(&self.clock);
                let freed = self.worker.run(move |watched: &mut Watched| {
                    // Most foreign commits are not about the lease, and most of those are renewals.
                    Ok(watched.changed()?
                        && watched.db.read("read the lease", |db| entry(db, clock.now().mono))?.is_none())
                });
                if let Some(Ok::<_, DbError>(true)) = freed.await {
                    return;
                }
            }
        })
    }
}

/// A lease that has not expired.
struct Entry {
    holder: Holder,
    remaining: Duration,
}

fn entry(connection: &Connection, now: Mono) -> Result<Option<Entry>> {
    let row = connection
        .prepare_cached(statements::READ_LEASE)?
        .query_row([], |row| {
            let acquired_at = Mono::from_nanos(unsigned(row, 1)?);
            Ok((Holder::new(row.get::<_, String>(0)?), acquired_at, Duration::from_nanos(unsigned(row, 2)?)))
        })
        .optional()?;
    Ok(row.and_then(|(holder, acquired_at, ttl)| {
        let from_an_earlier_boot = acquired_at > now;
        let remaining = ttl.saturating_sub(now.since(acquired_at));
        (!from_an_earlier_boot && !remaining.is_zero()).then_some(Entry { holder, remaining })
    }))
}

fn grant(connection: &Connection, holder: &Holder, ttl: Duration, now: Mono) -> Result<LeaseReply> {
    let stored = |nanos: u128| i64::try_from(nanos).unwrap_or(i64::MAX);
    connection.prepare_cached(statements::WRITE_LEASE)?.execute((
        holder.as_str(),
        stored(now.as_nanos().into()),
        stored(ttl.as_nanos()),
    ))?;
    Ok(LeaseReply::Granted { seen: UNTOLD })
}

fn perform(connection: &Connection, call: &LeaseCall, now: Mono) -> Result<LeaseReply> {
    let entry = entry(connection, now)?;
    let held_by = |Entry { holder, remaining }| LeaseReply::HeldBy { holder, remaining: Some(remaining) };
    match call {
        LeaseCall::Acquire { holder, ttl } => match entry {
            Some(other) if other.holder != *holder => Ok(held_by(other)),
            Some(_) | None => grant(connection, holder, *ttl, now),
        },
        LeaseCall::Renew { holder, ttl, .. } => match entry {
            Some(own) if own.holder == *holder => grant(connection, holder, *ttl, now),
            Some(other) => Ok(held_by(other)),
            None => Ok(LeaseReply::Free),
        },
        LeaseCall::Release { holder } => match entry {
            Some(other) if other.holder != *holder => Ok(held_by(other)),
            Some(_) => {
                connection.prepare_cached(statements::DELETE_LEASE)?.execute([])?;
                Ok(LeaseReply::Free)
            }
            None => Ok(LeaseReply::Free),
        },
        LeaseCall::Read => Ok(entry.map_or(LeaseReply::Free, held_by)),
    }
}
