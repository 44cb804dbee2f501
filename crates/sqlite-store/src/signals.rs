//! Taking signals in, reading what is owed, and moving them on without an attempt.

use oncegate_protocol::call::{Resolution, Verdict};
use oncegate_protocol::record::state_after;
use oncegate_protocol::{
    Epoch, Fingerprint, Holder, Leg, Outcome, Signal, SignalRecord, SignalState, StoreReply, Wall,
};
use rusqlite::{Connection, OptionalExtension as _, Result};

use crate::rows::{epoch_out, fingerprint_in, pause_in, records, resolution_out, state, state_and_legs, state_in};
use crate::{leadership, rows, statements};

/// The answer to a repeat, which needs no lock: a signal that is there stays there. None when it is not.
pub(crate) fn already_stored(connection: &Connection, signal: &Signal) -> Result<Option<StoreReply>> {
    connection
        .prepare_cached(statements::READ_STATE_AND_DIGEST)?
        .query_row([signal.fingerprint.as_bytes()], |row| {
            Ok(StoreReply::Stored {
                new: false,
                state: state_in(row, 0)?,
                same_body: fingerprint_in(row, 1)? == signal.body_digest,
            })
        })
        .optional()
}

/// For when [`already_stored`] said no; another may have come first since.
pub(crate) fn insert(connection: &Connection, signal: &Signal, at: Wall) -> Result<StoreReply> {
    if let Some(stored) = already_stored(connection, signal)? {
        return Ok(stored);
    }
    connection.prepare_cached(statements::INSERT_SIGNAL)?.execute((
        signal.fingerprint.as_bytes(),
        signal.body_digest.as_bytes(),
        at.as_millis(),
        signal.expires_at.map(Wall::as_millis),
        &signal.raw,
        signal.legs,
    ))?;
    Ok(StoreReply::Stored { new: true, state: SignalState::Received, same_body: true })
}

/// Whether [`pending`] has anything to read. One statement, so one snapshot.
pub(crate) fn is_anything_owed(connection: &Connection) -> Result<bool> {
    connection.prepare_cached(statements::READ_WHETHER_OWED)?.query_row([], |row| row.get(0))
}

pub(crate) fn pending(connection: &Connection, limit: u32) -> Result<StoreReply> {
    let up_to_limit = |sql| records(connection, sql, [limit]);
    let by_arrival = |record: &SignalRecord| record.sequence;
    let mut pending = up_to_limit(statements::READ_EXECUTING)?;
    pending.extend(up_to_limit(statements::READ_IN_DOUBT)?);
    pending.sort_by_key(by_arrival);
    pending.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    pending.extend(up_to_limit(statements::READ_RECEIVED)?);
    pending.extend(up_to_limit(statements::READ_QUARANTINED)?);
    pending.extend(up_to_limit(statements::READ_PARTIAL)?);
    pending.sort_by_key(by_arrival);
    let mut pause = connection.prepare_cached(statements::READ_PAUSE)?;
    let paused = pause.query_row([], |row| pause_in(row, 0))?;
    Ok(StoreReply::Pending { records: pending, paused })
}

pub(crate) fn read(connection: &Connection, fingerprint: &Fingerprint) -> Result<StoreReply> {
    Ok(StoreReply::Signal(records(connection, statements::READ_SIGNAL, [fingerprint.as_bytes()])?.pop()))
}

/// What a verdict needs, what it brings, and how it is told.
fn reading(verdict: &Verdict) -> (SignalState, SignalState, &'static str, &str) {
    match verdict {
        Verdict::Found { id, .. } => (SignalState::InDoubt, SignalState::Executed, "found", id.as_str()),
        Verdict::Quarantine(reason) => (SignalState::InDoubt, SignalState::Quarantined, "quarantine", reason),
        Verdict::Expire => (SignalState::Received, SignalState::Expired, "expire", ""),
    }
}

pub(crate) fn conclude(
    connection: &Connection,
    fingerprint: &Fingerprint,
    (epoch, holder): (Epoch, &Holder),
    verdict: &Verdict,
    at: Wall,
) -> Result<StoreReply> {
    let (from, to, kind, detail) = reading(verdict);
    let moved = if says_all(connection, fingerprint, verdict)? {
        connection.prepare_cached(statements::CONCLUDE)?.execute((
            fingerprint.as_bytes(),
            epoch_out(epoch),
            holder.as_str(),
            from.name(),
            to.name(),
        ))?
    } else {
        0
    };
    let to = if moved == 1 {
        to
    } else if let Some(leadership) = leadership::fence(connection, epoch, holder)? {
        return Ok(StoreReply::Fenced(leadership));
    } else if let Some(to) = conclude_on_legs(connection, fingerprint, verdict, at)? {
        to
    } else {
        return Ok(StoreReply::State(state(connection, fingerprint)?));
    };
    connection.prepare_cached(statements::RECORD_CONCLUSION)?.execute((
        fingerprint.as_bytes(),
        epoch_out(epoch),
        holder.as_str(),
        kind,
        detail,
        at.as_millis(),
    ))?;
    Ok(StoreReply::State(Some(to)))
}

/// Whether the verdict alone says how the signal ended: that one of several legs was found does not.
fn says_all(connection: &Connection, fingerprint: &Fingerprint, verdict: &Verdict) -> Result<bool> {
    match verdict {
        Verdict::Found { leg, .. } => {
            let legs = state_and_legs(connection, fingerprint)?.map(|(_, legs)| legs);
            Ok(legs == Some(1) && *leg == Leg(0))
        }
        Verdict::Quarantine(_) | Verdict::Expire => Ok(true),
    }
}

/// Where a signal of several legs then stands; none when the verdict changes nothing. Its leader is the newest.
fn conclude_on_legs(
    connection: &Connection,
    fingerprint: &Fingerprint,
    verdict: &Verdict,
    at: Wall,
) -> Result<Option<SignalState>> {
    let Some(mut record) = records(connection, statements::READ_SIGNAL, [fingerprint.as_bytes()])?.pop() else {
        return Ok(None);
    };
    let unfinished = matches!(record.state, SignalState::Executing | SignalState::InDoubt);
    let to = match verdict {
        Verdict::Found { leg, id } if record.legs > 1 && record.state == SignalState::InDoubt => {
            let Some(found) = record.attempt_found(*leg) else { return Ok(None) };
            let attempt = &mut record.attempts[found];
            attempt.outcome = Some(Outcome::Accepted(id.clone()));
            connection.prepare_cached(statements::WRITE_FOUND)?.execute((
                fingerprint.as_bytes(),
                leg.0,
                attempt.number,
                id.as_str(),
                at.as_millis(),
            ))?;
            state_after(record.state, record.legs, &record.attempts)
        }
        Verdict::Expire if unfinished && record.is_between_legs() => SignalState::Partial,
        Verdict::Found { .. } | Verdict::Quarantine(_) | Verdict::Expire => return Ok(None),
    };
    connection.prepare_cached(statements::WRITE_STATE)?.execute((fingerprint.as_bytes(), to.name()))?;
    Ok(Some(to))
}

pub(crate) fn resolve(
    connection: &Connection,
    fingerprint: &Fingerprint,
    resolution: Resolution,
    attempts: u32,
    reason: &str,
    at: Wall,
) -> Result<StoreReply> {
    let has_some = rows::attempts(connection, fingerprint)?
        .iter()
        .any(|attempt| matches!(attempt.outcome, Some(Outcome::Accepted(_))));
    let to = resolution.state(has_some);
    let moved = connection.prepare_cached(statements::RESOLVE)?.execute((
        fingerprint.as_bytes(),
        to.name(),
        attempts,
        resolution.fits(SignalState::Partial),
    ))?;
    if moved == 0 {
        return Ok(StoreReply::State(state(connection, fingerprint)?));
    }
    match resolution {
        Resolution::Resend => {
            connection.prepare_cached(statements::ANSWER_FOR)?.execute([fingerprint.as_bytes()])?;
        }
        Resolution::Executed | Resolution::NotExecuted => {}
    }
    connection.prepare_cached(statements::RECORD_RESOLUTION)?.execute((
        fingerprint.as_bytes(),
        resolution_out(resolution),
        attempts,
        reason,
        at.as_millis(),
    ))?;
    Ok(StoreReply::State(Some(to)))
}
