//! Taking signals in, reading what is owed, and moving them on without an attempt.

use futures_util::future::{try_join, try_join3, try_join5};
use oncegate_protocol::call::{Resolution, Verdict};
use oncegate_protocol::record::state_after;
use oncegate_protocol::{
    Epoch, Fingerprint, Holder, Leg, Outcome, Signal, SignalRecord, SignalState, StoreReply, Wall,
};

use crate::error::Failure;
use crate::rows::{
    cell, fingerprint_in, pause_in, records, resolution_out, state_in, text_out, unsigned_in, unsigned_out,
};
use crate::session::{Params, Session};
use crate::{leadership, statements};

pub(crate) async fn insert(session: &Session, signal: &Signal, at: Wall) -> Result<StoreReply, Failure> {
    let fingerprint = signal.fingerprint.as_bytes().as_slice();
    let params: Params<'_> = &[
        &fingerprint,
        &signal.body_digest.as_bytes().as_slice(),
        &at.as_millis(),
        &signal.expires_at.map(Wall::as_millis),
        &signal.raw,
        &i64::from(signal.legs),
    ];
    if session.execute(statements::INSERT_SIGNAL, params).await? == 1 {
        return Ok(StoreReply::Stored { new: true, state: SignalState::Received, same_body: true });
    }
    // It is there, committed, and stays.
    let row = session.query_one(statements::READ_STATE_AND_DIGEST, &[&fingerprint]).await?;
    let same_body = fingerprint_in(&row, 1)? == signal.body_digest;
    Ok(StoreReply::Stored { new: false, state: state_in(&row, 0)?, same_body })
}

/// In one snapshot, when there is anything.
pub(crate) async fn pending(session: &Session, limit: u32) -> Result<StoreReply, Failure> {
    if !cell::<bool>(&session.query_one(statements::READ_WHETHER_OWED, &[]).await?, 0)? {
        return Ok(StoreReply::Pending { records: Vec::new(), paused: None });
    }
    const READY: [&str; 4] =
        [statements::READ_OLDEST, statements::READ_NEWEST, statements::READ_ATTEMPTS, statements::READ_PAUSE];
    session.ready(&READY).await?;
    let up_to = i64::from(limit);
    let oldest: [Params<'_>; 3] = [
        &[&SignalState::Executing.name(), &up_to],
        &[&SignalState::InDoubt.name(), &up_to],
        &[&SignalState::Received.name(), &up_to],
    ];
    let newest: [Params<'_>; 2] =
        [&[&SignalState::Quarantined.name(), &i64::MAX, &up_to], &[&SignalState::Partial.name(), &i64::MAX, &up_to]];
    let newest =
        try_join(session.query(statements::READ_NEWEST, newest[0]), session.query(statements::READ_NEWEST, newest[1]));
    let reading = try_join5(
        session.batch(statements::BEGIN_READING),
        session.query(statements::READ_OLDEST, oldest[0]),
        session.query(statements::READ_OLDEST, oldest[1]),
        session.query(statements::READ_OLDEST, oldest[2]),
        newest,
    );
    let (((), executing, in_doubt, received, (quarantined, partial)), paused) =
        try_join(reading, session.query_one(statements::READ_PAUSE, &[])).await?;
    let paused = pause_in(&paused, 0)?;
    let (executing, in_doubt, received, quarantined, partial) = try_join5(
        records(session, &executing),
        records(session, &in_doubt),
        records(session, &received),
        records(session, &quarantined),
        records(session, &partial),
    )
    .await?;
    session.batch(statements::COMMIT).await?;
    let by_arrival = |(record, _): &(SignalRecord, Wall)| record.sequence;
    let mut pending = executing;
    pending.extend(in_doubt);
    pending.sort_by_key(by_arrival);
    pending.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    pending.extend(received);
    pending.extend(quarantined);
    pending.extend(partial);
    pending.sort_by_key(by_arrival);
    let records = pending.into_iter().map(|(record, _)| record).collect();
    Ok(StoreReply::Pending { records, paused })
}

/// One signal with its attempts, in one snapshot.
pub(crate) async fn record(session: &Session, fingerprint: &Fingerprint) -> Result<Option<SignalRecord>, Failure> {
    session.ready(&[statements::READ_SIGNAL, statements::READ_ATTEMPTS]).await?;
    let which = fingerprint.as_bytes().as_slice();
    let ((), rows) =
        try_join(session.batch(statements::BEGIN_READING), session.query(statements::READ_SIGNAL, &[&which])).await?;
    let record = records(session, &rows).await?.pop();
    session.batch(statements::COMMIT).await?;
    Ok(record.map(|(record, _)| record))
}

/// What a verdict needs, what it brings, and how it is told.
fn reading(verdict: &Verdict) -> (SignalState, SignalState, &'static str, &str) {
    match verdict {
        Verdict::Found { id, .. } => (SignalState::InDoubt, SignalState::Executed, "found", id.as_str()),
        Verdict::Quarantine(reason) => (SignalState::InDoubt, SignalState::Quarantined, "quarantine", reason),
        Verdict::Expire => (SignalState::Received, SignalState::Expired, "expire", ""),
    }
}

async fn state(session: &Session, fingerprint: &[u8]) -> Result<Option<SignalState>, Failure> {
    let row = session.query_opt(statements::READ_STATE, &[&fingerprint]).await?;
    row.map(|row| state_in(&row, 0)).transpose()
}

pub(crate) async fn conclude(
    session: &Session,
    fingerprint: &Fingerprint,
    (epoch, holder): (Epoch, &Holder),
    verdict: &Verdict,
    at: Wall,
) -> Result<StoreReply, Failure> {
    session.ready(&[statements::CONCLUDE, statements::RECORD_CONCLUSION]).await?;
    if !says_all(session, fingerprint, verdict).await? {
        return conclude_on_legs(session, fingerprint, (epoch, holder), verdict, at).await;
    }
    let (from, to, kind, detail) = reading(verdict);
    let which = fingerprint.as_bytes().as_slice();
    let (epoch_out, holder_out) = (unsigned_out(epoch.0), holder.as_str());
    let params: Params<'_> = &[&which, &epoch_out, &holder_out, &from.name(), &to.name()];
    let ((), moved) = try_join(session.batch(statements::BEGIN), session.execute(statements::CONCLUDE, params)).await?;
    if moved == 0 {
        session.batch(statements::COMMIT).await?;
        if *verdict == Verdict::Expire {
            return conclude_on_legs(session, fingerprint, (epoch, holder), verdict, at).await;
        }
        return match leadership::fence(session, epoch, holder).await? {
            Some(leadership) => Ok(StoreReply::Fenced(leadership)),
            None => Ok(StoreReply::State(state(session, which).await?)),
        };
    }
    let told: Params<'_> = &[&which, &epoch_out, &holder_out, &kind, &text_out(detail), &at.as_millis()];
    try_join(session.execute(statements::RECORD_CONCLUSION, told), session.batch(statements::COMMIT)).await?;
    Ok(StoreReply::State(Some(to)))
}

/// Whether the verdict alone says how the signal ended: that one of several legs was found does not. How many legs a
/// signal has never changes.
async fn says_all(session: &Session, fingerprint: &Fingerprint, verdict: &Verdict) -> Result<bool, Failure> {
    match verdict {
        Verdict::Found { leg, .. } => {
            let row = session.query_opt(statements::READ_STATE, &[&fingerprint.as_bytes().as_slice()]).await?;
            let legs = row.map(|row| unsigned_in::<u16>(&row, 1)).transpose()?;
            Ok(legs == Some(1) && *leg == Leg(0))
        }
        Verdict::Quarantine(_) | Verdict::Expire => Ok(true),
    }
}

/// A verdict on a signal of several legs, or on one that is not there. The leadership is locked first, then the signal,
/// then what it is decided on is read.
async fn conclude_on_legs(
    session: &Session,
    fingerprint: &Fingerprint,
    (epoch, holder): (Epoch, &Holder),
    verdict: &Verdict,
    at: Wall,
) -> Result<StoreReply, Failure> {
    const READY: [&str; 7] = [
        statements::LOCK_LEADERSHIP,
        statements::LOCK_SIGNAL,
        statements::READ_SIGNAL,
        statements::READ_ATTEMPTS,
        statements::WRITE_FOUND,
        statements::WRITE_STATE,
        statements::RECORD_CONCLUSION,
    ];
    session.ready(&READY).await?;
    let which = fingerprint.as_bytes().as_slice();
    let (epoch_out, holder_out) = (unsigned_out(epoch.0), holder.as_str());
    session.batch(statements::BEGIN).await?;
    if session.query_opt(statements::LOCK_LEADERSHIP, &[&epoch_out, &holder_out]).await?.is_none() {
        session.batch(statements::COMMIT).await?;
        return match leadership::fence(session, epoch, holder).await? {
            Some(leadership) => Ok(StoreReply::Fenced(leadership)),
            // It was opened for this holder between the two looks; nothing was concluded.
            None => Ok(StoreReply::State(state(session, which).await?)),
        };
    }
    session.query_opt(statements::LOCK_SIGNAL, &[&which]).await?;
    let rows = session.query(statements::READ_SIGNAL, &[&which]).await?;
    let Some((mut record, _)) = records(session, &rows).await?.pop() else {
        session.batch(statements::COMMIT).await?;
        return Ok(StoreReply::State(None));
    };
    let unfinished = matches!(record.state, SignalState::Executing | SignalState::InDoubt);
    let to = match verdict {
        Verdict::Found { leg, id } if record.legs > 1 && record.state == SignalState::InDoubt => {
            let found = record.attempt_found(*leg);
            if let Some(found) = found {
                let number = i64::from(record.attempts[found].number);
                let leg = i64::from(leg.0);
                let told: Params<'_> = &[&which, &leg, &number, &text_out(id.as_str()), &at.as_millis()];
                session.execute(statements::WRITE_FOUND, told).await?;
                record.attempts[found].outcome = Some(Outcome::Accepted(id.clone()));
            }
            found.map(|_| state_after(record.state, record.legs, &record.attempts))
        }
        Verdict::Expire if unfinished && record.is_between_legs() => Some(SignalState::Partial),
        Verdict::Found { .. } | Verdict::Quarantine(_) | Verdict::Expire => None,
    };
    let Some(to) = to else {
        session.batch(statements::COMMIT).await?;
        return Ok(StoreReply::State(Some(record.state)));
    };
    let (_, _, kind, detail) = reading(verdict);
    let moved: Params<'_> = &[&which, &to.name()];
    let told: Params<'_> = &[&which, &epoch_out, &holder_out, &kind, &text_out(detail), &at.as_millis()];
    let moving = session.execute(statements::WRITE_STATE, moved);
    let recording = session.execute(statements::RECORD_CONCLUSION, told);
    try_join3(moving, recording, session.batch(statements::COMMIT)).await?;
    Ok(StoreReply::State(Some(to)))
}

/// The signal is locked first, so that its attempts can be counted.
pub(crate) async fn resolve(
    session: &Session,
    fingerprint: &Fingerprint,
    resolution: Resolution,
    attempts: u32,
    reason: &str,
    at: Wall,
) -> Result<StoreReply, Failure> {
    const READY: [&str; 4] =
        [statements::LOCK_SIGNAL, statements::RESOLVE, statements::ANSWER_FOR, statements::RECORD_RESOLUTION];
    session.ready(&READY).await?;
    let to = resolution.state(false);
    let which = fingerprint.as_bytes().as_slice();
    let seen = i64::from(attempts);
    let ((), locked, moved) = try_join3(
        session.batch(statements::BEGIN),
        session.query_opt(statements::LOCK_SIGNAL, &[&which]),
        session.query_opt(statements::RESOLVE, &[&which, &to.name(), &seen]),
    )
    .await?;
    let Some(moved) = moved else {
        session.batch(statements::COMMIT).await?;
        return Ok(StoreReply::State(locked.map(|row| state_in(&row, 0)).transpose()?));
    };
    let to = state_in(&moved, 0)?;
    let told: Params<'_> = &[&which, &resolution_out(resolution), &seen, &text_out(reason), &at.as_millis()];
    let recording = session.execute(statements::RECORD_RESOLUTION, told);
    match resolution {
        Resolution::Resend => {
            let all: Params<'_> = &[&which];
            let answering = session.execute(statements::ANSWER_FOR, all);
            try_join3(answering, recording, session.batch(statements::COMMIT)).await?;
        }
        Resolution::Executed | Resolution::NotExecuted => {
            try_join(recording, session.batch(statements::COMMIT)).await?;
        }
    }
    Ok(StoreReply::State(Some(to)))
}
