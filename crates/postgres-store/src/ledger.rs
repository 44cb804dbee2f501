//! What people read: on connections of its own, so that no look keeps a signal waiting.

use std::sync::Arc;

use futures_util::future::{try_join, try_join_all};
use oncegate_coordinator::Ledger;
use oncegate_coordinator::ledger::{Decision, Entry, Tally, Term, Wanted};
use oncegate_coordinator::ports::{BoxFuture, Clock, Connect};
use oncegate_protocol::{Fingerprint, Holder, Leadership, PortError, SignalRecord, SignalState, Wall};
use tokio_postgres::Row;

use crate::config::PostgresConfig;
use crate::error::{Failure, PgError};
use crate::leadership;
use crate::link::Access;
use crate::pool::Pool;
use crate::rows::{cell, epoch_in, holder_in, records, state_in, unsigned_in, unsigned_out, wall_in};
use crate::session::{Params, Session};
use crate::store::PostgresStore;
use crate::{schema, statements};

/// How many connections people's looks share.
const CONNECTIONS: usize = 2;

/// Reads a store, also one of an earlier version, and never writes: its sessions can't.
pub struct Reader {
    pool: Pool,
}

impl Reader {
    /// Connects to nothing yet.
    pub(crate) fn new(
        config: PostgresConfig,
        connect: Arc<dyn Connect>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, PgError> {
        let config = PostgresConfig { connections: CONNECTIONS, ..config };
        Ok(Self { pool: Pool::new(config, Access::Reads, connect, clock)? })
    }

    async fn read<T: 'static>(
        &self,
        doing: &'static str,
        act: impl for<'a> FnOnce(&'a Session) -> BoxFuture<'a, Result<T, Failure>>,
    ) -> Result<T, PortError> {
        self.pool.run(doing, act).await.map_err(|error| PortError(error.to_string()))
    }

    /// Which version the tables are of, and which this oncegate writes; while they differ, history and fields that
    /// came later may be missing.
    ///
    /// # Errors
    /// Those of [`schema::version`].
    pub async fn version(&self) -> Result<(i64, i64), PgError> {
        let found = self.pool.run("read the version", schema::read_version(&self.pool.config.schema)).await?;
        Ok((schema::known(found, &self.pool.config)?, schema::NEWEST))
    }

    /// Who leads.
    ///
    /// # Errors
    /// [`PgError::Sql`] and those of [`Reader::version`].
    pub async fn leadership(&self) -> Result<Leadership, PgError> {
        let knows_pauses = self.version().await?.0 >= schema::KNOWS_PAUSES;
        let read = self.pool.run("read the leadership", move |session| {
            Box::pin(async move {
                if knows_pauses { leadership::read(session).await } else { leadership::read_old(session).await }
            })
        });
        read.await
    }
}

impl PostgresStore {
    /// Connects to a store of this version or an earlier one, for looking only: what `oncegate migrate` has still to
    /// change can be read, and nothing can be written.
    ///
    /// # Errors
    /// [`PgError::NewerVersion`], [`PgError::NotOurs`], [`PgError::NotConnected`]; [`PgError::OlderVersion`] when there
    /// is nothing yet.
    pub async fn open_read_only(
        config: PostgresConfig,
        connect: Arc<dyn Connect>,
        clock: Arc<dyn Clock>,
    ) -> Result<Reader, PgError> {
        let reader = Reader::new(config, connect, clock)?;
        match reader.version().await? {
            (0, _) => schema::must_be_newest(Some(0), &reader.pool.config).map(|()| reader),
            _ => Ok(reader),
        }
    }
}

/// The signals in `rows` with all that is known of them.
async fn entries(session: &Session, rows: &[Row]) -> Result<Vec<Entry>, Failure> {
    let decided = |row: &Row| {
        let fingerprint: Result<Vec<u8>, Failure> = cell(row, 0);
        async move {
            let rows = session.query(statements::READ_DECISIONS, &[&fingerprint?]).await?;
            rows.iter().map(decision).collect::<Result<Vec<_>, _>>()
        }
    };
    let (records, decisions) = try_join(records(session, rows), try_join_all(rows.iter().map(decided))).await?;
    let whole =
        |((record, received_at), decisions): ((SignalRecord, Wall), _)| Entry { record, received_at, decisions };
    Ok(records.into_iter().zip(decisions).map(whole).collect())
}

fn decision(row: &Row) -> Result<Decision, Failure> {
    Ok(Decision { at: wall_in(row, 0)?, leader: holder_in(row, 1)?, verdict: cell(row, 2)?, detail: cell(row, 3)? })
}

async fn signals(session: &Session, wanted: &Wanted) -> Result<Vec<Entry>, Failure> {
    session
        .ready(&[
            statements::READ_NEWEST,
            statements::READ_NEWEST_OF_ALL,
            statements::READ_ATTEMPTS,
            statements::READ_DECISIONS,
        ])
        .await?;
    let (before, limit) = (wanted.before.map_or(i64::MAX, unsigned_out), i64::from(wanted.limit));
    let rows = async {
        if wanted.states.is_empty() {
            let params: Params<'_> = &[&before, &limit];
            return session.query(statements::READ_NEWEST_OF_ALL, params).await;
        }
        let mut states = wanted.states.clone();
        states.sort_unstable();
        states.dedup();
        // Each along the index, then the newest of all.
        let of_state = async |state: &SignalState| {
            let params: Params<'_> = &[&state.name(), &before, &limit];
            session.query(statements::READ_NEWEST, params).await
        };
        Ok(try_join_all(states.iter().map(of_state)).await?.into_iter().flatten().collect())
    };
    let ((), rows) = try_join(session.batch(statements::BEGIN_READING), rows).await?;
    let keyed = rows.into_iter().map(|row| Ok((unsigned_in::<u64>(&row, 1)?, row)));
    let mut keyed = keyed.collect::<Result<Vec<_>, Failure>>()?;
    keyed.sort_by_key(|(sequence, _)| std::cmp::Reverse(*sequence));
    keyed.truncate(usize::try_from(wanted.limit).unwrap_or(usize::MAX));
    let rows: Vec<Row> = keyed.into_iter().map(|(_, row)| row).collect();
    let entries = entries(session, &rows).await?;
    session.batch(statements::COMMIT).await?;
    Ok(entries)
}

async fn signal(session: &Session, fingerprint: Fingerprint) -> Result<Option<Entry>, Failure> {
    session.ready(&[statements::READ_SIGNAL, statements::READ_ATTEMPTS, statements::READ_DECISIONS]).await?;
    let which = fingerprint.as_bytes().as_slice();
    let params: Params<'_> = &[&which];
    let ((), rows) =
        try_join(session.batch(statements::BEGIN_READING), session.query(statements::READ_SIGNAL, params)).await?;
    let entry = entries(session, &rows).await?.pop();
    session.batch(statements::COMMIT).await?;
    Ok(entry)
}

async fn tally(session: &Session) -> Result<Vec<Tally>, Failure> {
    let rows = session.query(statements::TALLY, &[]).await?;
    let mut tally = SignalState::ALL.map(|state| Tally { state, count: 0, oldest: None });
    for row in &rows {
        let state = state_in(row, 0)?;
        if let Some(of_state) = tally.iter_mut().find(|of_state| of_state.state == state) {
            *of_state = Tally { state, count: unsigned_in(row, 1)?, oldest: Some(wall_in(row, 2)?) };
        }
    }
    Ok(tally.into())
}

fn term(row: &Row) -> Result<Term, Failure> {
    let closed_at: Option<i64> = cell(row, 3)?;
    let reason: Option<String> = cell(row, 4)?;
    Ok(Term {
        epoch: epoch_in(row, 0)?,
        holder: Holder::new(cell::<String>(row, 1)?),
        opened_at: wall_in(row, 2)?,
        closed: closed_at.map(Wall::from_millis).zip(reason),
    })
}

impl Ledger for Reader {
    fn signals(&self, wanted: Wanted) -> BoxFuture<'_, Result<Vec<Entry>, PortError>> {
        Box::pin(self.read("read signals", move |session| Box::pin(async move { signals(session, &wanted).await })))
    }

    fn signal(&self, fingerprint: Fingerprint) -> BoxFuture<'_, Result<Option<Entry>, PortError>> {
        Box::pin(self.read("read a signal", move |session| Box::pin(signal(session, fingerprint))))
    }

    fn tally(&self) -> BoxFuture<'_, Result<Vec<Tally>, PortError>> {
        Box::pin(self.read("count signals", |session| Box::pin(tally(session))))
    }

    fn history(&self, limit: u32) -> BoxFuture<'_, Result<Vec<Term>, PortError>> {
        Box::pin(self.read("read the history", move |session| {
            Box::pin(async move {
                let rows = session.query(statements::READ_HISTORY, &[&i64::from(limit)]).await?;
                rows.iter().map(term).collect()
            })
        }))
    }
}

impl Ledger for PostgresStore {
    fn signals(&self, wanted: Wanted) -> BoxFuture<'_, Result<Vec<Entry>, PortError>> {
        self.reader.signals(wanted)
    }

    fn signal(&self, fingerprint: Fingerprint) -> BoxFuture<'_, Result<Option<Entry>, PortError>> {
        self.reader.signal(fingerprint)
    }

    fn tally(&self) -> BoxFuture<'_, Result<Vec<Tally>, PortError>> {
        self.reader.tally()
    }

    fn history(&self, limit: u32) -> BoxFuture<'_, Result<Vec<Term>, PortError>> {
        self.reader.history(limit)
    }
}
