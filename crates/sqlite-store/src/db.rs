//! One connection to one store, and the calls performed on it: synchronous, and the same everywhere.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oncegate_protocol::{Leadership, SignalRecord, StoreCall, StoreReply};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::claims::AttemptKey;
use crate::error::DbError;
use crate::leadership::{HistoryEntry, PauseWord, Told};
use crate::{claims, leadership, rows, schema, signals, statements};

/// For how long a call waits for another process's commit. A commit takes milliseconds; whoever holds the
/// lock longer is stuck, and the caller has timeouts of its own.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// More than there are statements: none is ever prepared twice.
const STATEMENTS_KEPT: usize = 64;

/// Memory for pages of the file, taken as needed. With a million signals the inner pages of the trees are some
/// 2 MiB, `SQLite`'s default, and would push one another out.
const PAGE_CACHE_KIB: u32 = 16 * 1024;

/// Whether a commit waits for the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Durability {
    /// A commit survives a power cut before it is answered.
    Full,
    /// A commit survives the process, and a power cut only once somebody's full commit follows it.
    Process,
}

/// What happens to a store of an older version, or one that is not there yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Older {
    /// It becomes one of the newest version.
    Migrate,
    /// It is left as it is, and not opened.
    Refuse,
}

/// A connection to a store.
#[derive(Debug)]
pub struct Db {
    connection: Connection,
    place: String,
    history_failures: Arc<AtomicU64>,
}

impl Db {
    /// Opens the store at `path`, creating it if nothing is there and migrating it if it is older.
    ///
    /// # Errors
    /// [`DbError::NewerVersion`] and [`DbError::NotOurs`] leave the file untouched.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DbError> {
        Self::open_with(path.as_ref(), Durability::Full, Older::Migrate)
    }

    /// Opens the store at `path` if it is there and of the version that this program writes.
    ///
    /// # Errors
    /// As [`Db::open`], and [`DbError::OlderVersion`]: all of them leave the file untouched.
    pub fn open_existing(path: impl AsRef<Path>) -> Result<Self, DbError> {
        Self::open_with(path.as_ref(), Durability::Full, Older::Refuse)
    }

    /// The version of the store at `path`, zero when nothing is there. Writes and creates nothing.
    ///
    /// # Errors
    /// [`DbError::NewerVersion`] and [`DbError::NotOurs`].
    pub fn version(path: impl AsRef<Path>) -> Result<i64, DbError> {
        let path = path.as_ref();
        if !path.exists() {
            return Ok(0);
        }
        let place = path.display().to_string();
        schema::version(&open_read_only(path, &place)?, &place)
    }

    /// Writes a whole copy of the store, as it is now, to a file that is not there yet.
    ///
    /// # Errors
    /// [`DbError::Sqlite`]: the copy is there already, or there is no room for it.
    pub fn copy_to(path: impl AsRef<Path>, copy: impl AsRef<Path>) -> Result<(), DbError> {
        let place = path.as_ref().display().to_string();
        let connection = open_read_only(path.as_ref(), &place)?;
        let copied = connection.execute("VACUUM INTO ?1", [copy.as_ref().display().to_string()]);
        copied.map(drop).map_err(|e| DbError::sqlite("copy the store", &place, e))
    }

    pub(crate) fn open_with(path: &Path, durability: Durability, older: Older) -> Result<Self, DbError> {
        let place = path.display().to_string();
        let failed = |e| DbError::sqlite("open the store", &place, e);
        let create = match older {
            Older::Migrate => OpenFlags::SQLITE_OPEN_CREATE,
            Older::Refuse => OpenFlags::empty(),
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | create;
        let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        // Before anything is written: this may be somebody else's file.
        let found = schema::version(&connection, &place)?;
        if older == Older::Refuse && found < schema::NEWEST {
            return Err(DbError::OlderVersion { place, found, known: schema::NEWEST });
        }
        let mode = switch_to_wal(&mut connection).map_err(failed)?;
        if mode != "wal" {
            return Err(DbError::NoWal { place, mode });
        }
        let synchronous = match durability {
            Durability::Full => "FULL",
            Durability::Process => "NORMAL",
        };
        connection.execute_batch(&format!("PRAGMA synchronous = {synchronous}")).map_err(failed)?;
        configure(&connection).map_err(failed)?;
        schema::migrate(&mut connection, &place)?;
        Ok(Self { connection, place, history_failures: Arc::default() })
    }

    /// A new store that lives as long as this value.
    ///
    /// # Errors
    /// None that is known; `SQLite` reports them all alike.
    pub fn open_in_memory() -> Result<Self, DbError> {
        let place = "memory".to_owned();
        let failed = |e| DbError::sqlite("open the store", &place, e);
        let mut connection = Connection::open_in_memory().map_err(failed)?;
        configure(&connection).map_err(failed)?;
        schema::migrate(&mut connection, &place)?;
        Ok(Self { connection, place, history_failures: Arc::default() })
    }

    /// Performs `call` in one commit, on the disk before this returns, or not at all. What one statement can do
    /// is done without a transaction around it: a statement is atomic by itself, and most calls are such.
    ///
    /// # Errors
    /// [`DbError::Sqlite`]: nothing is known of whether the call had its effect; it may be repeated.
    pub fn apply(&mut self, call: &StoreCall) -> Result<StoreReply, DbError> {
        match call {
            StoreCall::Insert { signal, at } => {
                let stored = signals::already_stored(&self.connection, signal);
                match stored.map_err(|e| self.failed("look for a signal", e))? {
                    Some(stored) => Ok(stored),
                    None => self.write("store a signal", |db| signals::insert(db, signal, *at)),
                }
            }
            StoreCall::ReadLeadership => self.leadership().map(StoreReply::Leadership),
            StoreCall::OpenEpoch { expected, holder, at } => {
                let told = self.write("open an epoch", |db| leadership::open(db, *expected, holder, *at))?;
                Ok(self.count_untold(told))
            }
            StoreCall::Heartbeat { epoch, holder, at } => {
                const DOING: &str = "write a heartbeat";
                let beat = leadership::beat(&self.connection, *epoch, holder, *at);
                if beat.map_err(|e| self.failed(DOING, e))? {
                    return Ok(StoreReply::Done);
                }
                self.write(DOING, |db| leadership::heartbeat(db, *epoch, holder, *at))
            }
            StoreCall::Vacate { epoch, holder, reason, at } => {
                let told =
                    self.write("vacate the leadership", |db| leadership::vacate(db, *epoch, holder, reason, *at))?;
                Ok(self.count_untold(told))
            }
            StoreCall::ReadPending { limit } => {
                const DOING: &str = "read what is owed";
                if signals::is_anything_owed(&self.connection).map_err(|e| self.failed(DOING, e))? {
                    self.read(DOING, |db| signals::pending(db, *limit))
                } else {
                    Ok(StoreReply::Pending { records: Vec::new(), paused: None })
                }
            }
            StoreCall::ReadSignal { fingerprint } => self.read("read a signal", |db| signals::read(db, fingerprint)),
            StoreCall::Claim(claim) => self.write("claim a signal", |db| claims::claim(db, claim)),
            StoreCall::RecordOutcome { fingerprint, leg, number, owner, outcome, at } => {
                let key = AttemptKey { fingerprint, leg: *leg, number: *number, owner };
                self.write("record an outcome", |db| claims::record_outcome(db, key, outcome, *at))
            }
            StoreCall::Conclude { fingerprint, epoch, holder, verdict, at } => {
                let leader = (*epoch, holder);
                self.write("conclude on a signal", |db| signals::conclude(db, fingerprint, leader, verdict, *at))
            }
            StoreCall::SetPause { paused, seen, reason, at } => self.write("stop new orders or let them go on", |db| {
                leadership::set_pause(db, *paused, *seen, reason, *at)
            }),
            StoreCall::Resolve { fingerprint, resolution, attempts, reason, at } => self
                .write("resolve a signal", |db| signals::resolve(db, fingerprint, *resolution, *attempts, reason, *at)),
        }
    }

    /// How often the history of leaderships could not be written through this connection. Each was logged, and kept
    /// nobody from leading. The counter may be kept where the connection can't be reached.
    pub fn history_failures(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.history_failures)
    }

    fn count_untold(&self, (reply, untold): Told) -> StoreReply {
        if let Some(seen) = untold {
            self.history_failures.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(place = self.place, "the history of leaderships could not be written: {seen}");
        }
        reply
    }

    /// Who leads, for judges.
    ///
    /// # Errors
    /// [`DbError::Sqlite`].
    pub fn leadership(&self) -> Result<Leadership, DbError> {
        leadership::read(&self.connection).map_err(|e| self.failed("read the leadership", e))
    }

    /// Every signal ever stored, in order of arrival, for judges.
    ///
    /// # Errors
    /// [`DbError::Sqlite`].
    pub fn signals(&self) -> Result<Vec<SignalRecord>, DbError> {
        const ALL: &str = "SELECT fingerprint, sequence, state, raw, expires_at, legs FROM signals ORDER BY sequence";
        self.read("read all signals", |db| rows::records(db, ALL, []))
    }

    /// Every leadership that ever was, oldest first, for judges.
    ///
    /// # Errors
    /// [`DbError::Sqlite`].
    pub fn history(&self) -> Result<Vec<HistoryEntry>, DbError> {
        leadership::history(&self.connection).map_err(|e| self.failed("read the history", e))
    }

    /// Every word of operators on new orders that was taken, oldest first, for people.
    ///
    /// # Errors
    /// [`DbError::Sqlite`].
    pub fn pauses(&self) -> Result<Vec<PauseWord>, DbError> {
        leadership::pauses(&self.connection).map_err(|e| self.failed("read the pauses", e))
    }

    /// The connection itself, for tests and planted bugs: nothing written through it is checked by more than
    /// the triggers.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Where it is, for people.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// A number that changes when another connection has committed, and never on commits of this one.
    pub(crate) fn data_version(&self) -> Result<i64, DbError> {
        let version = self
            .connection
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut pragma| pragma.query_row([], |row| row.get(0)));
        version.map_err(|e| self.failed("look for changes", e))
    }

    /// Several reads of one snapshot.
    pub(crate) fn read<T>(
        &self,
        doing: &'static str,
        act: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DbError> {
        transact(&self.connection, statements::BEGIN, act).map_err(|e| self.failed(doing, e))
    }

    /// One commit. The write lock is taken first: nothing is decided on what may change meanwhile. An error or
    /// a panic in `act` rolls back.
    pub(crate) fn write<T>(
        &mut self,
        doing: &'static str,
        act: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DbError> {
        transact(&self.connection, statements::BEGIN_WRITE, act).map_err(|e| self.failed(doing, e))
    }

    fn failed(&self, doing: &'static str, e: rusqlite::Error) -> DbError {
        DbError::sqlite(doing, &self.place, e)
    }
}

/// A connection that can write nothing, to a file that is there.
pub(crate) fn open_read_only(path: &Path, place: &str) -> Result<Connection, DbError> {
    let failed = |e| DbError::sqlite("open the store for reading", place, e);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(failed)?;
    Ok(connection)
}

/// Like `rusqlite`'s transactions, but nothing is prepared anew: with a fast disk that shows.
pub(crate) fn transact<T>(
    connection: &Connection,
    begin: &str,
    act: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.prepare_cached(begin)?.execute([])?;
    let open = Open(connection);
    let value = act(open.0)?;
    open.0.prepare_cached(statements::COMMIT)?.execute([])?;
    Ok(value)
}

/// A transaction that rolls back, unless it has ended, when it is dropped.
struct Open<'a>(&'a Connection);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            // One that fails leaves the transaction open, and the next BEGIN says so.
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }
}

/// The journal mode in force. `SQLite` does not wait its turn for this switch when others open the new file at
/// the same time; taking the write lock does wait, and the turn after it is ours or the switch is made.
fn switch_to_wal(connection: &mut Connection) -> rusqlite::Result<String> {
    const TURNS: usize = 100;
    let mut turn = 0;
    loop {
        match connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)) {
            Err(e) if turn < TURNS && e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => turn += 1,
            switched => return switched,
        }
        connection.transaction_with_behavior(TransactionBehavior::Immediate)?.rollback()?;
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // One plan for a statement, whatever values it is given: the plan that a test has looked at. Without this
    // `SQLite` prepares some statements again at every call, which costs more than the call.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch(&format!("PRAGMA foreign_keys = ON; PRAGMA cache_size = -{PAGE_CACHE_KIB}"))
}
