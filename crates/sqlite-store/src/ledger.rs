//! The store as people read it: on a connection that can write nothing and a thread of its own, so that no reader
//! waits behind a commit and no commit behind a reader.
//!
//! Each method is one short transaction, bounded by its limit and not by how much there is: a long one would keep
//! the write-ahead log from being taken back into the file.

use std::borrow::Cow;
use std::path::Path;

use oncegate_coordinator::ledger::{Decision, Entry, Ledger, Tally, Term, Wanted};
use oncegate_coordinator::ports::BoxFuture;
use oncegate_protocol::{Fingerprint, Holder, Leadership, PortError, SignalRecord, SignalState, Wall};
use rusqlite::{Connection, OptionalExtension as _, Params, Result, Row};

use crate::db::{open_read_only, transact};
use crate::error::DbError;
use crate::rows::{attempts, epoch_in, fingerprint_in, holder_in, state_in, unsigned, wall_in};
use crate::store::ended;
use crate::worker::Worker;
use crate::{leadership, schema, statements};

/// The most that is read at a time, whatever is asked for.
pub const MOST: u32 = 1_000;

/// The version from which on a store knows of pauses.
const TELLS_OF_PAUSES: i64 = 4;

/// The version from which on a store knows of several legs.
const TELLS_OF_LEGS: i64 = 6;

/// A [`Ledger`] on a store's file, also on one that is some migrations behind.
pub struct SqliteLedger {
    worker: Worker<Connection>,
    place: String,
    /// Found in the file when it was opened; whoever migrates it meanwhile takes nothing away.
    version: i64,
}

impl SqliteLedger {
    /// Opens the store at `path`, which must be there, and starts its thread.
    ///
    /// # Errors
    /// [`DbError::NewerVersion`], [`DbError::NotOurs`], [`DbError::OlderVersion`] when nothing is there.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DbError> {
        let path = path.as_ref();
        let place = path.display().to_string();
        let connection = open_read_only(path, &place)?;
        let found = schema::version(&connection, &place)?;
        if found == 0 {
            return Err(DbError::OlderVersion { place, found, known: schema::NEWEST });
        }
        let worker = Worker::start("oncegate-ledger", connection)
            .map_err(|source| DbError::Thread { place: place.clone(), source })?;
        Ok(Self { worker, place, version: found })
    }

    /// Who leads, by the store.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn leadership(&self) -> Result<Leadership, PortError> {
        let tells_of_pauses = self.version >= TELLS_OF_PAUSES;
        self.read("read the leadership", move |connection| {
            if tells_of_pauses {
                return leadership::read(connection);
            }
            connection.prepare_cached(statements::READ_WHO_LEADS)?.query_row([], |row| {
                Ok(Leadership {
                    epoch: epoch_in(row, 0)?,
                    holder: holder_in(row, 1)?,
                    heartbeat_at: wall_in(row, 2)?,
                    paused: None,
                    pause_words: 0,
                })
            })
        })
        .await
    }

    /// One transaction, hence one snapshot.
    async fn read<T: Send + 'static>(
        &self,
        doing: &'static str,
        act: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T, PortError> {
        match self.worker.run(move |connection| transact(connection, statements::BEGIN, act)).await {
            Some(read) => read.map_err(|e| PortError(DbError::sqlite(doing, &self.place, e).to_string())),
            None => Err(ended(&self.place)),
        }
    }
}

impl Ledger for SqliteLedger {
    fn signals(&self, wanted: Wanted) -> BoxFuture<'_, Result<Vec<Entry>, PortError>> {
        let version = self.version;
        Box::pin(self.read("list signals", move |connection| signals(connection, version, &wanted)))
    }

    fn signal(&self, fingerprint: Fingerprint) -> BoxFuture<'_, Result<Option<Entry>, PortError>> {
        let version = self.version;
        Box::pin(self.read("show a signal", move |connection| {
            let entry = as_of(version, statements::READ_ENTRY);
            Ok(entries(connection, &entry, [fingerprint.as_bytes()])?.pop())
        }))
    }

    fn tally(&self) -> BoxFuture<'_, Result<Vec<Tally>, PortError>> {
        Box::pin(self.read("count signals", tally))
    }

    fn history(&self, limit: u32) -> BoxFuture<'_, Result<Vec<Term>, PortError>> {
        Box::pin(self.read("read the history", move |connection| history(connection, limit.min(MOST))))
    }
}

/// The statement that lists those in one state.
const fn newest_in(state: SignalState) -> &'static str {
    match state {
        SignalState::Received => statements::NEWEST_RECEIVED,
        SignalState::Executing => statements::NEWEST_EXECUTING,
        SignalState::InDoubt => statements::NEWEST_IN_DOUBT,
        SignalState::Executed => statements::NEWEST_EXECUTED,
        SignalState::Failed => statements::NEWEST_FAILED,
        SignalState::Expired => statements::NEWEST_EXPIRED,
        SignalState::Partial => statements::NEWEST_PARTIAL,
        SignalState::Quarantined => statements::NEWEST_QUARANTINED,
    }
}

/// The statement as a store of that version understands it: until there were several legs every signal had one.
fn as_of(version: i64, sql: &'static str) -> Cow<'static, str> {
    if version >= TELLS_OF_LEGS {
        Cow::Borrowed(sql)
    } else {
        Cow::Owned(sql.replacen(", legs FROM", ", 1 FROM", 1))
    }
}

fn signals(connection: &Connection, version: i64, wanted: &Wanted) -> Result<Vec<Entry>> {
    let before = wanted.before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
    let limit = wanted.limit.min(MOST);
    let mut states = wanted.states.clone();
    states.sort_unstable();
    states.dedup();
    if states.is_empty() || states.len() == SignalState::ALL.len() {
        return entries(connection, &as_of(version, statements::NEWEST_OF_ALL), (before, limit));
    }
    let mut found = Vec::new();
    for state in states {
        found.extend(bare(connection, &as_of(version, newest_in(state)), (before, limit))?);
    }
    found.sort_unstable_by_key(|(record, _)| std::cmp::Reverse(record.sequence));
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    whole(connection, found)
}

fn entries(connection: &Connection, sql: &str, params: impl Params) -> Result<Vec<Entry>> {
    whole(connection, bare(connection, sql, params)?)
}

/// Signals and when each was stored, without their attempts.
fn bare(connection: &Connection, sql: &str, params: impl Params) -> Result<Vec<(SignalRecord, Wall)>> {
    let read = |row: &Row<'_>| {
        let record = SignalRecord {
            fingerprint: fingerprint_in(row, 0)?,
            sequence: unsigned(row, 1)?,
            state: state_in(row, 2)?,
            raw: row.get(3)?,
            expires_at: row.get::<_, Option<i64>>(4)?.map(Wall::from_millis),
            legs: row.get(6)?,
            attempts: Vec::new(),
        };
        Ok((record, wall_in(row, 5)?))
    };
    connection.prepare_cached(sql)?.query_map(params, read)?.collect()
}

fn whole(connection: &Connection, found: Vec<(SignalRecord, Wall)>) -> Result<Vec<Entry>> {
    let whole = |(mut record, received_at): (SignalRecord, Wall)| {
        record.attempts = attempts(connection, &record.fingerprint)?;
        let decisions = decisions(connection, &record.fingerprint)?;
        Ok(Entry { record, received_at, decisions })
    };
    found.into_iter().map(whole).collect()
}

/// By their writers' clocks; of one clock's instant, leaders' before operators'.
fn decisions(connection: &Connection, fingerprint: &Fingerprint) -> Result<Vec<Decision>> {
    let concluded = |row: &Row<'_>| {
        Ok(Decision {
            at: wall_in(row, 0)?,
            leader: Some(Holder::new(row.get::<_, String>(1)?)),
            verdict: row.get(2)?,
            detail: row.get(3)?,
        })
    };
    let resolved =
        |row: &Row<'_>| Ok(Decision { at: wall_in(row, 0)?, leader: None, verdict: row.get(1)?, detail: row.get(2)? });
    let mut decisions = connection
        .prepare_cached(statements::READ_CONCLUSIONS)?
        .query_map([fingerprint.as_bytes()], concluded)?
        .collect::<Result<Vec<_>>>()?;
    let mut statement = connection.prepare_cached(statements::READ_RESOLUTIONS)?;
    for decision in statement.query_map([fingerprint.as_bytes()], resolved)? {
        decisions.push(decision?);
    }
    decisions.sort_by_key(|decision| decision.at);
    Ok(decisions)
}

fn tally(connection: &Connection) -> Result<Vec<Tally>> {
    let mut others = 0;
    let mut tallies = Vec::with_capacity(SignalState::ALL.len());
    for state in SignalState::ALL {
        let sql = match state {
            SignalState::Received => statements::TALLY_RECEIVED,
            SignalState::Executing => statements::TALLY_EXECUTING,
            SignalState::InDoubt => statements::TALLY_IN_DOUBT,
            SignalState::Failed => statements::TALLY_FAILED,
            SignalState::Expired => statements::TALLY_EXPIRED,
            SignalState::Partial => statements::TALLY_PARTIAL,
            SignalState::Quarantined => statements::TALLY_QUARANTINED,
            SignalState::Executed => {
                // Filled in below: all that are nothing else.
                tallies.push(Tally { state, count: 0, oldest: None });
                continue;
            }
        };
        let (count, oldest) = connection
            .prepare_cached(sql)?
            .query_row([], |row| Ok((unsigned(row, 0)?, row.get::<_, Option<i64>>(1)?.map(Wall::from_millis))))?;
        others += count;
        tallies.push(Tally { state, count, oldest });
    }
    let all = connection.prepare_cached(statements::COUNT_SIGNALS)?.query_row([], |row| unsigned(row, 0))?;
    let executed = all.saturating_sub(others);
    if let Some(tally) = tallies.iter_mut().find(|tally| tally.state == SignalState::Executed && executed > 0) {
        tally.count = executed;
        let mut oldest = connection.prepare_cached(statements::OLDEST_EXECUTED)?;
        tally.oldest = oldest.query_row([], |row| wall_in(row, 0)).optional()?;
    }
    Ok(tallies)
}

fn history(connection: &Connection, limit: u32) -> Result<Vec<Term>> {
    let read = |row: &Row<'_>| {
        let closed_at: Option<i64> = row.get(3)?;
        let reason: Option<String> = row.get(4)?;
        Ok(Term {
            epoch: epoch_in(row, 0)?,
            holder: Holder::new(row.get::<_, String>(1)?),
            opened_at: wall_in(row, 2)?,
            closed: closed_at.map(Wall::from_millis).zip(reason),
        })
    };
    connection.prepare_cached(statements::NEWEST_HISTORY)?.query_map([limit], read)?.collect()
}
