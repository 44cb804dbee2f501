//! How the protocol's words are written in rows, and read back.
//!
//! A row that can't be read is an error, never a guess.

use std::borrow::Cow;

use futures_util::future::try_join_all;
use oncegate_protocol::call::{Purpose, Resolution};
use oncegate_protocol::{
    Attempt, BrokerOrderId, ClientOrderId, Epoch, Fingerprint, Holder, Leadership, Leg, Outcome, Pause, SignalRecord,
    SignalState, Wall,
};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::error::Failure;
use crate::session::Session;
use crate::statements;

/// PostgreSQL has no unsigned numbers. Epochs are minted here, one at a time, and never get there; one beyond can only
/// come from a caller, and stopping short of it keeps it from matching any row.
pub(crate) fn unsigned_out(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Words of people and brokers, without the one character that PostgreSQL's text can't hold: an outcome must not stay
/// untold because of it.
pub(crate) fn text_out(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

pub(crate) fn cell<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, Failure> {
    row.try_get(column).map_err(Failure::from)
}

/// A number that was unsigned when it was written.
pub(crate) fn unsigned_in<T: TryFrom<i64>>(row: &Row, column: usize) -> Result<T, Failure> {
    let stored: i64 = cell(row, column)?;
    T::try_from(stored).map_err(|_| strange(row, column, &stored))
}

pub(crate) fn epoch_in(row: &Row, column: usize) -> Result<Epoch, Failure> {
    unsigned_in(row, column).map(Epoch)
}

pub(crate) fn fingerprint_in(row: &Row, column: usize) -> Result<Fingerprint, Failure> {
    let bytes: &[u8] = cell(row, column)?;
    let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| strange(row, column, &bytes.len()))?;
    Ok(Fingerprint::from_bytes(bytes))
}

pub(crate) fn holder_in(row: &Row, column: usize) -> Result<Option<Holder>, Failure> {
    Ok(cell::<Option<String>>(row, column)?.map(Holder::new))
}

pub(crate) fn wall_in(row: &Row, column: usize) -> Result<Wall, Failure> {
    cell(row, column).map(Wall::from_millis)
}

pub(crate) fn state_in(row: &Row, column: usize) -> Result<SignalState, Failure> {
    let name: &str = cell(row, column)?;
    SignalState::from_name(name).ok_or_else(|| strange(row, column, &name))
}

pub(crate) fn leadership_in(row: &Row) -> Result<Leadership, Failure> {
    Ok(Leadership {
        epoch: epoch_in(row, 0)?,
        holder: holder_in(row, 1)?,
        heartbeat_at: wall_in(row, 2)?,
        paused: pause_in(row, 3)?,
        pause_words: unsigned_in(row, 5)?,
    })
}

/// From the instant in `column` and the reason after it.
pub(crate) fn pause_in(row: &Row, column: usize) -> Result<Option<Pause>, Failure> {
    let (since, reason): (Option<i64>, Option<String>) = (cell(row, column)?, cell(row, column + 1)?);
    Ok(since.map(Wall::from_millis).zip(reason).map(|(since, reason)| Pause { reason, since }))
}

/// The outcome's kind and its detail.
pub(crate) fn outcome_out(outcome: &Outcome) -> (&'static str, Cow<'_, str>) {
    match outcome {
        Outcome::Accepted(id) => ("accepted", text_out(id.as_str())),
        Outcome::Rejected(reason) => ("rejected", text_out(reason)),
        Outcome::NotSent(reason) => ("not_sent", text_out(reason)),
        Outcome::Unknown(seen) => ("unknown", text_out(seen)),
    }
}

/// From the kind in `column` and the detail after it.
fn outcome_in(row: &Row, column: usize) -> Result<Option<Outcome>, Failure> {
    let Some(kind) = cell::<Option<&str>>(row, column)? else {
        return Ok(None);
    };
    let detail: String = cell(row, column + 1)?;
    match kind {
        "accepted" => Ok(Some(Outcome::Accepted(BrokerOrderId::new(detail)))),
        "rejected" => Ok(Some(Outcome::Rejected(detail))),
        "not_sent" => Ok(Some(Outcome::NotSent(detail))),
        "unknown" => Ok(Some(Outcome::Unknown(detail))),
        _ => Err(strange(row, column, &kind)),
    }
}

pub(crate) const fn purpose_out(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Execute => "execute",
        Purpose::Recover => "recover",
    }
}

pub(crate) const fn resolution_out(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::Executed => "executed",
        Resolution::NotExecuted => "not_executed",
        Resolution::Resend => "resend",
    }
}

/// The attempts that [`statements::READ_ATTEMPTS`] found.
pub(crate) fn attempts_in(rows: &[Row]) -> Result<Vec<Attempt>, Failure> {
    let attempt = |row: &Row| {
        Ok(Attempt {
            leg: Leg(unsigned_in(row, 0)?),
            number: unsigned_in(row, 1)?,
            epoch: epoch_in(row, 2)?,
            owner: Holder::new(cell::<String>(row, 3)?),
            client_order_id: ClientOrderId::new(cell::<String>(row, 4)?),
            claimed_at: wall_in(row, 5)?,
            outcome: outcome_in(row, 6)?,
            answered_for: cell(row, 8)?,
        })
    };
    rows.iter().map(attempt).collect()
}

/// The signals in `rows` with their attempts, and when each was stored; within one snapshot, or they may not fit
/// together. `READ_ATTEMPTS` must be ready.
pub(crate) async fn records(session: &Session, rows: &[Row]) -> Result<Vec<(SignalRecord, Wall)>, Failure> {
    let record = async |row: &Row| {
        let fingerprint = fingerprint_in(row, 0)?;
        let attempts = session.query(statements::READ_ATTEMPTS, &[&fingerprint.as_bytes().as_slice()]).await?;
        let record = SignalRecord {
            fingerprint,
            sequence: unsigned_in(row, 1)?,
            state: state_in(row, 2)?,
            raw: cell(row, 3)?,
            expires_at: cell::<Option<i64>>(row, 4)?.map(Wall::from_millis),
            legs: unsigned_in(row, 6)?,
            attempts: attempts_in(&attempts)?,
        };
        Ok((record, wall_in(row, 5)?))
    };
    // All are asked for before the first is answered.
    try_join_all(rows.iter().map(record)).await
}

fn strange(row: &Row, column: usize, value: &dyn std::fmt::Debug) -> Failure {
    let name = row.columns().get(column).map_or("a column", |column| column.name());
    Failure::Unreadable(format!("{name} is {value:?}, which means nothing here"))
}
