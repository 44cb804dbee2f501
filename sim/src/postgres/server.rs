//! What all sessions share: the tables, whose turn it is with them, and who listens.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use oncegate_coordinator::BoxFuture;
use oncegate_protocol::{Leadership, SignalRecord};
use oncegate_sqlite_store::Db;
use rusqlite::ffi::{ErrorCode, SQLITE_CONSTRAINT_TRIGGER};
use rusqlite::params_from_iter;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;

use super::dialect::{self, About, Known, Type};
use crate::mutants::Mutant;
use crate::world::locked;

/// Why a statement is not carried out: a SQLSTATE, and words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Five characters.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl Refused {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// What becomes of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// It is sent.
    Answer,
    /// The connection ends instead.
    HangUp,
}

/// What a world sees of one session's work, and how it may disturb it. No lock is held meanwhile.
pub trait Hook: Send + Sync {
    /// A statement has come and has had no effect: whether, and when, it is carried out.
    fn before(&self, about: About) -> BoxFuture<'_, Result<(), Refused>>;

    /// A statement was carried out; `count` is how many rows it changed or brought, or for a question of yes or no
    /// whether it is yes. It is committed already, unless a transaction is open.
    fn after(&self, about: About, count: u64, open: bool) -> After;

    /// A transaction was committed.
    fn committed(&self) -> After;
}

/// The tables as everybody but the one in the middle of a transaction sees them.
#[derive(Clone)]
pub struct Committed {
    /// Who leads.
    pub leadership: Leadership,
    /// Every signal.
    pub signals: Vec<SignalRecord>,
}

/// The tables, and who waits for what.
pub struct Server {
    pub(super) db: Arc<Mutex<Db>>,
    /// Who works on the tables; others queue in order of arrival.
    pub(super) turn: Arc<Semaphore>,
    /// What was committed when the transaction began that is open now, if it is one that writes.
    committed: Mutex<Option<Committed>>,
    listeners: Mutex<BTreeMap<u64, (String, UnboundedSender<String>)>>,
    unsupported: Mutex<Vec<String>>,
    mutant: Option<Mutant>,
    sessions: AtomicU64,
}

/// What a statement came to.
pub(super) enum Came {
    /// So many rows were changed.
    Changed(usize),
    /// Rows, each as its cells.
    Rows(Vec<Vec<Option<Vec<u8>>>>),
}

impl Server {
    /// A server of those tables.
    pub fn new(db: Arc<Mutex<Db>>, mutant: Option<Mutant>) -> Self {
        Self {
            db,
            turn: Arc::new(Semaphore::new(1)),
            committed: Mutex::default(),
            listeners: Mutex::default(),
            unsupported: Mutex::default(),
            mutant,
            sessions: AtomicU64::new(0),
        }
    }

    /// What was asked of it that it does not implement.
    pub fn unsupported(&self) -> Vec<String> {
        locked(&self.unsupported).clone()
    }

    /// The tables, for whoever judges right after a commit.
    pub fn tables(&self) -> &Mutex<Db> {
        &self.db
    }

    /// What is committed, while a transaction is open; else the tables say it themselves.
    pub fn committed(&self) -> Option<Committed> {
        locked(&self.committed).clone()
    }

    pub(super) fn next_session(&self) -> u64 {
        self.sessions.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn refuse(&self, sql: &str) -> Refused {
        locked(&self.unsupported).push(sql.to_owned());
        Refused::new("0A000", format!("the simulated server knows no such statement: {sql}"))
    }

    pub(super) fn listen(&self, session: u64, channel: String, to: UnboundedSender<String>) {
        locked(&self.listeners).insert(session, (channel, to));
    }

    pub(super) fn forget(&self, session: u64) {
        locked(&self.listeners).remove(&session);
    }

    fn notify(&self, channel: &str) {
        for (of, to) in locked(&self.listeners).values() {
            if of == channel {
                // It may be ending just now.
                let _ = to.send(channel.to_owned());
            }
        }
    }

    /// Begins a transaction that writes, for whose turn it is. One that only reads needs none here: nobody else writes
    /// during its turn.
    pub(super) fn begin(&self) {
        let mut db = locked(&self.db);
        let committed = db.leadership().and_then(|leadership| Ok(Committed { leadership, signals: db.signals()? }));
        *locked(&self.committed) = Some(committed.expect("the tables can be read"));
        db.connection().execute_batch("BEGIN").expect("no transaction is open: it is this session's turn");
    }

    /// Ends the transaction of whose turn it is, if it writes.
    pub(super) fn end(&self, commit: bool) -> Result<(), Refused> {
        if locked(&self.committed).take().is_none() {
            return Ok(());
        }
        let mut db = locked(&self.db);
        let ended = db.connection().execute_batch(if commit { "COMMIT" } else { "ROLLBACK" });
        ended.map_err(|error| refusal(&error))
    }

    pub(super) fn batch(&self, sql: &str) -> Result<(), Refused> {
        locked(&self.db).connection().execute_batch(sql).map_err(|error| refusal(&error))
    }

    /// Carries a statement out, now.
    pub(super) fn perform(&self, known: &Known, parameters: &[Option<Bytes>]) -> Result<Came, Refused> {
        let form = known.form;
        let bad = |what: &str| Refused::new("42P18", format!("{what} in {}", known.sql));
        if form.about == About::Notify {
            let channel = parameters.first().and_then(Option::as_deref).and_then(|text| std::str::from_utf8(text).ok());
            self.notify(channel.ok_or_else(|| bad("no channel"))?);
            return Ok(Came::Rows(vec![vec![Some(Vec::new())]]));
        }
        let bent = self.mutant.and_then(|mutant| mutant.sql(form.about, &known.sql));
        let mut db = locked(&self.db);
        let mut statement =
            db.connection().prepare_cached(bent.as_ref().unwrap_or(&known.sql)).map_err(|error| refusal(&error))?;
        if statement.parameter_count() != form.parameters.len() || statement.column_count() != form.columns.len() {
            drop(statement);
            drop(db);
            return Err(self.refuse(&known.sql));
        }
        let values = parameters.iter().zip(form.parameters);
        let values: Option<Vec<_>> = values.map(|(bytes, of)| dialect::parameter(bytes.as_deref(), *of)).collect();
        let values = values.ok_or_else(|| bad("a parameter of another type"))?;
        if values.len() != form.parameters.len() {
            return Err(bad("another number of parameters"));
        }
        if form.columns.is_empty() {
            let changed = statement.execute(params_from_iter(values)).map_err(|error| refusal(&error))?;
            return Ok(Came::Changed(changed));
        }
        let mut found = statement.query(params_from_iter(values)).map_err(|error| refusal(&error))?;
        let mut rows = Vec::new();
        while let Some(row) = found.next().map_err(|error| refusal(&error))? {
            let cell = |(at, of): (usize, &Type)| dialect::cell(row.get_ref(at).ok()?, *of);
            let cells: Option<Vec<_>> = form.columns.iter().enumerate().map(cell).collect();
            rows.push(cells.ok_or_else(|| bad("a value of another type"))?);
        }
        Ok(Came::Rows(rows))
    }
}

/// As PostgreSQL would say it.
fn refusal(error: &rusqlite::Error) -> Refused {
    let code = match error.sqlite_error() {
        // The guards of the schema.
        Some(error) if error.extended_code == SQLITE_CONSTRAINT_TRIGGER => "OG001",
        Some(error) if error.code == ErrorCode::ConstraintViolation => "23514",
        _ => "XX000",
    };
    Refused::new(code, error.to_string())
}
