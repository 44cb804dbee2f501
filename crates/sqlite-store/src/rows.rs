//! How the protocol's words are written in rows, and read back.
//!
//! A row that can't be read is an error, never a guess.

use oncegate_protocol::call::{Purpose, Resolution};
use oncegate_protocol::{
    Attempt, BrokerOrderId, ClientOrderId, Epoch, Fingerprint, Holder, Leg, Outcome, Pause, SignalRecord, SignalState,
    Wall,
};
use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension as _, Params, Result, Row};

use crate::statements;

/// `SQLite` has no unsigned 64-bit numbers. Epochs are minted here, one at a time, and never get there; one
/// beyond can only come from a caller, and stopping short of it keeps it from matching any row.
pub(crate) fn epoch_out(epoch: Epoch) -> i64 {
    i64::try_from(epoch.0).unwrap_or(i64::MAX)
}

pub(crate) fn epoch_in(row: &Row<'_>, column: usize) -> Result<Epoch> {
    unsigned(row, column).map(Epoch)
}

/// A number that was unsigned when it was written.
pub(crate) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64> {
    let stored: i64 = row.get(column)?;
    u64::try_from(stored).map_err(|_| Error::IntegralValueOutOfRange(column, stored))
}

pub(crate) fn fingerprint_in(row: &Row<'_>, column: usize) -> Result<Fingerprint> {
    row.get(column).map(Fingerprint::from_bytes)
}

pub(crate) fn holder_in(row: &Row<'_>, column: usize) -> Result<Option<Holder>> {
    Ok(row.get::<_, Option<String>>(column)?.map(Holder::new))
}

pub(crate) fn wall_in(row: &Row<'_>, column: usize) -> Result<Wall> {
    row.get(column).map(Wall::from_millis)
}

/// From the instant in `column` and the reason after it.
pub(crate) fn pause_in(row: &Row<'_>, column: usize) -> Result<Option<Pause>> {
    let (since, reason) = (row.get::<_, Option<i64>>(column)?, row.get(column + 1)?);
    Ok(since.map(Wall::from_millis).zip(reason).map(|(since, reason)| Pause { reason, since }))
}

pub(crate) fn state_in(row: &Row<'_>, column: usize) -> Result<SignalState> {
    let name: String = row.get(column)?;
    SignalState::from_name(&name).ok_or_else(|| unreadable(column, format!("no state is called {name:?}")))
}

/// The outcome's kind and its detail.
pub(crate) fn outcome_out(outcome: &Outcome) -> (&'static str, &str) {
    match outcome {
        Outcome::Accepted(id) => ("accepted", id.as_str()),
        Outcome::Rejected(reason) => ("rejected", reason),
        Outcome::NotSent(reason) => ("not_sent", reason),
        Outcome::Unknown(seen) => ("unknown", seen),
    }
}

/// From the kind in `column` and the detail after it.
pub(crate) fn outcome_in(row: &Row<'_>, column: usize) -> Result<Option<Outcome>> {
    let Some(kind) = row.get::<_, Option<String>>(column)? else {
        return Ok(None);
    };
    let detail: String = row.get(column + 1)?;
    match kind.as_str() {
        "accepted" => Ok(Some(Outcome::Accepted(BrokerOrderId::new(detail)))),
        "rejected" => Ok(Some(Outcome::Rejected(detail))),
        "not_sent" => Ok(Some(Outcome::NotSent(detail))),
        "unknown" => Ok(Some(Outcome::Unknown(detail))),
        _ => Err(unreadable(column, format!("no outcome is called {kind:?}"))),
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

/// All attempts of one signal, oldest first.
pub(crate) fn attempts(connection: &Connection, fingerprint: &Fingerprint) -> Result<Vec<Attempt>> {
    let mut statement = connection.prepare_cached(statements::READ_ATTEMPTS)?;
    let mut attempts = statement
        .query_map([fingerprint.as_bytes()], |row| {
            let attempt = Attempt {
                leg: Leg(row.get(1)?),
                number: row.get(2)?,
                epoch: epoch_in(row, 3)?,
                owner: Holder::new(row.get::<_, String>(4)?),
                client_order_id: ClientOrderId::new(row.get::<_, String>(5)?),
                claimed_at: wall_in(row, 6)?,
                outcome: outcome_in(row, 7)?,
                answered_for: row.get(9)?,
            };
            Ok((unsigned(row, 0)?, attempt))
        })?
        .collect::<Result<Vec<_>>>()?;
    attempts.sort_by_key(|(ordinal, _)| *ordinal);
    Ok(attempts.into_iter().map(|(_, attempt)| attempt).collect())
}

/// The signals that `sql` selects, with their attempts; within one transaction, or they may not fit together.
pub(crate) fn records(connection: &Connection, sql: &str, params: impl Params) -> Result<Vec<SignalRecord>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut records = statement
        .query_map(params, |row| {
            Ok(SignalRecord {
                fingerprint: fingerprint_in(row, 0)?,
                sequence: unsigned(row, 1)?,
                state: state_in(row, 2)?,
                raw: row.get(3)?,
                expires_at: row.get::<_, Option<i64>>(4)?.map(Wall::from_millis),
                legs: row.get(5)?,
                attempts: Vec::new(),
            })
        })?
        .collect::<Result<Vec<_>>>()?;
    for record in &mut records {
        record.attempts = attempts(connection, &record.fingerprint)?;
    }
    Ok(records)
}

/// Where a signal stands; none when it is not there.
pub(crate) fn state(connection: &Connection, fingerprint: &Fingerprint) -> Result<Option<SignalState>> {
    Ok(state_and_legs(connection, fingerprint)?.map(|(state, _)| state))
}

/// The same, and how many orders it asks for.
pub(crate) fn state_and_legs(connection: &Connection, fingerprint: &Fingerprint) -> Result<Option<(SignalState, u16)>> {
    connection
        .prepare_cached(statements::READ_STATE)?
        .query_row([fingerprint.as_bytes()], |row| Ok((state_in(row, 0)?, row.get(1)?)))
        .optional()
}

fn unreadable(column: usize, why: String) -> Error {
    Error::FromSqlConversionFailure(column, Type::Text, why.into())
}
