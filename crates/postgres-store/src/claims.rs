//! The intent to place an order, and how it ended: the two commits that every order costs.

use futures_util::future::{try_join, try_join3};
use oncegate_protocol::call::{Claim, Purpose};
use oncegate_protocol::record::{outcome_may_become, state_after};
use oncegate_protocol::{Fingerprint, Holder, Leg, Outcome, SignalState, StoreReply, Wall};

use crate::error::Failure;
use crate::rows::{attempts_in, outcome_out, purpose_out, state_in, unsigned_in, unsigned_out};
use crate::session::{Params, Session};
use crate::{leadership, signals, statements};

/// One statement claims, and is its own commit. Only when it has done nothing is it asked why.
pub(crate) async fn claim(session: &Session, claim: &Claim) -> Result<StoreReply, Failure> {
    let params: Params<'_> = &[
        &claim.fingerprint.as_bytes().as_slice(),
        &i64::from(claim.leg.0),
        &i64::from(claim.number),
        &claim.client_order_id.as_str(),
        &unsigned_out(claim.epoch.0),
        &claim.holder.as_str(),
        &purpose_out(claim.purpose),
        &claim.at.as_millis(),
    ];
    if session.execute(statements::CLAIM, params).await? == 1 {
        return Ok(StoreReply::Claimed { number: claim.number });
    }
    if let Some(leadership) = leadership::fence(session, claim.epoch, &claim.holder).await? {
        return Ok(StoreReply::Fenced(leadership));
    }
    let record = signals::record(session, &claim.fingerprint).await?;
    let fits = record
        .as_ref()
        .is_some_and(|record| record.state == SignalState::Received && record.next_number(claim.leg) == claim.number);
    if claim.purpose == Purpose::Execute && claim.leg == Leg(0) && fits {
        let leadership = leadership::read(session).await?;
        // A claim that fits by now and was refused: it was paused, perhaps no longer is, or something has changed since.
        // Who is told "not claimed" of what it may claim looks again.
        if leadership.paused.is_some() {
            return Ok(StoreReply::Paused(leadership));
        }
    }
    Ok(StoreReply::NotClaimed(record))
}

/// The attempt that an outcome belongs to, and by whose word.
#[derive(Clone, Copy)]
pub(crate) struct AttemptKey<'a> {
    pub(crate) fingerprint: &'a Fingerprint,
    pub(crate) leg: Leg,
    pub(crate) number: u32,
    pub(crate) owner: &'a Holder,
}

/// The signal is locked first, then its attempts are read: what they add up to is decided on what will be committed.
pub(crate) async fn record_outcome(
    session: &Session,
    key: AttemptKey<'_>,
    outcome: &Outcome,
    at: Wall,
) -> Result<StoreReply, Failure> {
    const READY: [&str; 4] =
        [statements::LOCK_SIGNAL, statements::READ_ATTEMPTS, statements::WRITE_OUTCOME, statements::WRITE_STATE];
    session.ready(&READY).await?;
    let AttemptKey { fingerprint, leg, number, owner } = key;
    let fingerprint = fingerprint.as_bytes().as_slice();
    let which: Params<'_> = &[&fingerprint];
    let ((), locked, attempts) = try_join3(
        session.batch(statements::BEGIN),
        session.query_opt(statements::LOCK_SIGNAL, which),
        session.query(statements::READ_ATTEMPTS, which),
    )
    .await?;
    let Some(locked) = locked else {
        session.batch(statements::COMMIT).await?;
        return Ok(StoreReply::State(None));
    };
    let (present, legs) = (state_in(&locked, 0)?, unsigned_in(&locked, 1)?);
    let mut attempts = attempts_in(&attempts)?;
    let own = attempts.iter_mut().find(|a| a.leg == leg && a.number == number && a.owner == *owner);
    let Some(own) = own.filter(|own| outcome_may_become(own.outcome.as_ref(), outcome)) else {
        // Not there, or somebody else's; or nothing is learnt.
        session.batch(statements::COMMIT).await?;
        return Ok(StoreReply::State(Some(present)));
    };
    own.outcome = Some(outcome.clone());
    let next = state_after(present, legs, &attempts);
    let (kind, detail) = outcome_out(outcome);
    let (leg, number) = (i64::from(leg.0), i64::from(number));
    let told: Params<'_> = &[&fingerprint, &leg, &number, &owner.as_str(), &kind, &detail, &at.as_millis()];
    let writing = session.execute(statements::WRITE_OUTCOME, told);
    if next == present {
        try_join(writing, session.batch(statements::COMMIT)).await?;
    } else {
        let moved: Params<'_> = &[&fingerprint, &next.name()];
        let moving = session.execute(statements::WRITE_STATE, moved);
        try_join3(writing, moving, session.batch(statements::COMMIT)).await?;
    }
    Ok(StoreReply::State(Some(next)))
}
