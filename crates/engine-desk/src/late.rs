//! What the desk itself reads from the store and writes to it: whose attempt an order is, and outcomes that must not be
//! lost with this process or that the gate no longer waits for.
//!
//! Two kinds are ever written. An acceptance, always: it is the truth about an order, and overrules everything. A
//! refusal that came late, only when no other send of the order can be on its way, because one that is may yet be
//! accepted. *Not sent* is never written late: once a send may have happened, the store does not unlearn it.

use oncegate_coordinator::timeout::until;
use oncegate_protocol::{Mono, Order, Outcome, PortError, SignalRecord, SignalState, StoreCall, StoreReply};

use crate::desk::EngineDesk;
use crate::error::DeskError;
use crate::id::AttemptKey;

impl EngineDesk {
    /// Which attempt in the store `order` is sent under, and whether its end is the only one that is open; or the
    /// outcome, when the store leaves nothing to send.
    pub(crate) async fn attempt_of(&self, order: &Order, by: Mono) -> Result<(AttemptKey, bool), Outcome> {
        let Order { fingerprint, leg, .. } = *order;
        let record = self.read(StoreCall::ReadSignal { fingerprint }, by).await;
        let record = record.map_err(|e| Outcome::NotSent(format!("not handed out, its claim can't be read: {e}")))?;
        let attempts = record.map_or_else(Vec::new, |record| record.attempts);
        let mut at_leg = attempts.into_iter().filter(|attempt| attempt.leg == leg).collect::<Vec<_>>();
        if let Some(accepted) = at_leg.iter().find_map(|attempt| match &attempt.outcome {
            Some(accepted @ Outcome::Accepted(_)) => Some(accepted.clone()),
            Some(_) | None => None,
        }) {
            return Err(accepted);
        }
        // Of its epoch only this process claims, and an order is sent under the newest attempt of its own.
        let own = at_leg
            .iter()
            .rposition(|attempt| attempt.epoch == order.epoch && attempt.client_order_id == order.client_order_id);
        let Some(own) = own.map(|at| at_leg.remove(at)) else {
            return Err(Outcome::NotSent(format!("the store has no claim of epoch {} for it", order.epoch)));
        };
        match own.outcome {
            None | Some(Outcome::Unknown(_)) => {}
            Some(ended) => return Err(ended),
        }
        let alone = at_leg.iter().all(|other| {
            other.answered_for || matches!(other.outcome, Some(Outcome::NotSent(_) | Outcome::Rejected(_)))
        });
        Ok((AttemptKey { fingerprint, leg, number: own.number, owner: own.owner }, alone))
    }

    /// Writes how an attempt ended; returns where the signal stands once the store has it.
    pub(crate) async fn record(&self, key: &AttemptKey, outcome: Outcome) -> Result<SignalState, DeskError> {
        let now = self.clock().now();
        let by = now.mono.plus(self.config().store_timeout);
        let AttemptKey { fingerprint, leg, number, owner } = key.clone();
        let is_known = |known: &Outcome| match (&outcome, known) {
            (Outcome::Accepted(_) | Outcome::Rejected(_), Outcome::Accepted(_)) => true,
            (Outcome::Rejected(_), Outcome::Rejected(_)) => true,
            (_, _) => false,
        };
        let call = StoreCall::RecordOutcome { fingerprint, leg, number, owner, outcome: outcome.clone(), at: now.wall };
        match self.ask(call, by).await.map_err(|e| DeskError::Unavailable(e.to_string()))? {
            StoreReply::State(Some(_)) => {}
            StoreReply::State(None) => return Err(DeskError::NotTaken(None)),
            other => return Err(DeskError::Unavailable(format!("the store answered something else: {other:?}"))),
        }
        // The answer doesn't say whether it was taken.
        let record = self.read(StoreCall::ReadSignal { fingerprint }, by).await;
        let record = record.map_err(|e| DeskError::Unavailable(e.to_string()))?;
        let Some(record) = record else { return Err(DeskError::NotTaken(None)) };
        let taken = record.attempts.iter().any(|attempt| {
            attempt.leg == key.leg
                && attempt.number == key.number
                && attempt.owner == key.owner
                && attempt.outcome.as_ref().is_some_and(is_known)
        });
        if taken { Ok(record.state) } else { Err(DeskError::NotTaken(Some(record.state))) }
    }

    async fn read(&self, call: StoreCall, by: Mono) -> Result<Option<SignalRecord>, PortError> {
        match self.ask(call, by).await? {
            StoreReply::Signal(record) => Ok(record),
            other => Err(PortError(format!("the store answered something else: {other:?}"))),
        }
    }

    async fn ask(&self, call: StoreCall, by: Mono) -> Result<StoreReply, PortError> {
        let reply = until(self.clock(), by, self.store().call(call)).await;
        reply.unwrap_or_else(|| Err(PortError("the store gave no answer in time".into())))
    }
}
