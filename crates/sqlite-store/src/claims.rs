//! The intent to place an order, and how it ended: the two commits that every order costs.

use oncegate_protocol::call::{Claim, Purpose};
use oncegate_protocol::record::{outcome_may_become, state_after};
use oncegate_protocol::{Fingerprint, Holder, Leg, Outcome, SignalState, StoreReply, Wall};
use rusqlite::{Connection, Result};

use crate::rows::{attempts, epoch_out, outcome_out, purpose_out, records, state_and_legs};
use crate::{leadership, statements};

/// One statement claims. Only when it has done nothing is it asked why, under the same lock.
pub(crate) fn claim(connection: &Connection, claim: &Claim) -> Result<StoreReply> {
    let claimed = connection.prepare_cached(statements::CLAIM)?.execute((
        claim.fingerprint.as_bytes(),
        claim.leg.0,
        claim.number,
        claim.client_order_id.as_str(),
        epoch_out(claim.epoch),
        claim.holder.as_str(),
        purpose_out(claim.purpose),
        claim.at.as_millis(),
    ))?;
    if claimed == 1 {
        return Ok(StoreReply::Claimed { number: claim.number });
    }
    if let Some(leadership) = leadership::fence(connection, claim.epoch, &claim.holder)? {
        return Ok(StoreReply::Fenced(leadership));
    }
    let record = records(connection, statements::READ_SIGNAL, [claim.fingerprint.as_bytes()])?.pop();
    let fits = record
        .as_ref()
        .is_some_and(|record| record.state == SignalState::Received && record.next_number(claim.leg) == claim.number);
    if claim.purpose == Purpose::Execute && claim.leg == Leg(0) && fits {
        return Ok(StoreReply::Paused(leadership::read(connection)?));
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

pub(crate) fn record_outcome(
    connection: &Connection,
    key: AttemptKey<'_>,
    outcome: &Outcome,
    at: Wall,
) -> Result<StoreReply> {
    let AttemptKey { fingerprint, leg, number, owner } = key;
    let Some((present, legs)) = state_and_legs(connection, fingerprint)? else {
        return Ok(StoreReply::State(None));
    };
    let mut attempts = attempts(connection, fingerprint)?;
    let own = attempts.iter_mut().find(|a| a.leg == leg && a.number == number && a.owner == *owner);
    let Some(own) = own.filter(|own| outcome_may_become(own.outcome.as_ref(), outcome)) else {
        // Not there, or somebody else's; or nothing is learnt.
        return Ok(StoreReply::State(Some(present)));
    };
    own.outcome = Some(outcome.clone());
    let next = state_after(present, legs, &attempts);
    let (kind, detail) = outcome_out(outcome);
    connection.prepare_cached(statements::WRITE_OUTCOME)?.execute((
        fingerprint.as_bytes(),
        leg.0,
        number,
        owner.as_str(),
        kind,
        detail,
        at.as_millis(),
    ))?;
    if next != present {
        connection.prepare_cached(statements::WRITE_STATE)?.execute((fingerprint.as_bytes(), next.name()))?;
    }
    Ok(StoreReply::State(Some(next)))
}
