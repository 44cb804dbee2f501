//! A signal store in memory that does what [`StoreCall`] says, no more: every call is atomic.

use std::collections::BTreeMap;

use oncegate_protocol::call::{Claim, Purpose, Resolution, Verdict};
use oncegate_protocol::record::{outcome_may_become, state_after};
use oncegate_protocol::{
    Attempt, Epoch, Fingerprint, Holder, Leadership, Leg, Outcome, Pause, SignalRecord, SignalState, StoreCall,
    StoreReply, Wall,
};

pub(crate) struct Store {
    pub(crate) leadership: Leadership,
    pub(crate) signals: BTreeMap<Fingerprint, SignalRecord>,
    bodies: BTreeMap<Fingerprint, Fingerprint>,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            leadership: Leadership {
                epoch: Epoch(0),
                holder: None,
                heartbeat_at: Wall::default(),
                paused: None,
                pause_words: 0,
            },
            signals: BTreeMap::new(),
            bodies: BTreeMap::new(),
        }
    }

    pub(crate) fn leads(&self, epoch: Epoch, holder: &Holder) -> bool {
        self.leadership.epoch == epoch && self.leadership.holder.as_ref() == Some(holder)
    }

    fn fenced(&self) -> StoreReply {
        StoreReply::Fenced(self.leadership.clone())
    }

    pub(crate) fn apply(&mut self, call: &StoreCall) -> StoreReply {
        match call {
            StoreCall::Insert { signal, .. } => {
                let sequence = self.signals.len() as u64;
                let new = !self.signals.contains_key(&signal.fingerprint);
                let body = *self.bodies.entry(signal.fingerprint).or_insert(signal.body_digest);
                let record = self.signals.entry(signal.fingerprint).or_insert_with(|| SignalRecord {
                    fingerprint: signal.fingerprint,
                    sequence,
                    state: SignalState::Received,
                    raw: signal.raw.clone(),
                    expires_at: signal.expires_at,
                    legs: signal.legs,
                    attempts: vec![],
                });
                StoreReply::Stored { new, state: record.state, same_body: body == signal.body_digest }
            }
            StoreCall::ReadLeadership => StoreReply::Leadership(self.leadership.clone()),
            StoreCall::OpenEpoch { expected, holder, at } => {
                if self.leadership.epoch != *expected {
                    return self.fenced();
                }
                let epoch = expected.next();
                self.leadership =
                    Leadership { epoch, holder: Some(holder.clone()), heartbeat_at: *at, ..self.leadership.clone() };
                for record in self.signals.values_mut().filter(|record| record.state == SignalState::Executing) {
                    record.state = SignalState::InDoubt;
                }
                StoreReply::Opened(epoch)
            }
            StoreCall::Heartbeat { epoch, holder, at } => {
                if !self.leads(*epoch, holder) {
                    return self.fenced();
                }
                self.leadership.heartbeat_at = *at;
                StoreReply::Done
            }
            StoreCall::Vacate { epoch, holder, .. } => {
                if !self.leads(*epoch, holder) {
                    return self.fenced();
                }
                self.leadership.holder = None;
                StoreReply::Done
            }
            StoreCall::ReadPending { limit } => {
                let limit = usize::try_from(*limit).expect("a count fits");
                let received = self.in_order(|state| state == SignalState::Received).take(limit);
                let unfinished =
                    self.in_order(|state| matches!(state, SignalState::Executing | SignalState::InDoubt)).take(limit);
                let mut pending: Vec<_> = received.chain(unfinished).cloned().collect();
                for waiting in [SignalState::Quarantined, SignalState::Partial] {
                    let all: Vec<_> = self.in_order(|state| state == waiting).cloned().collect();
                    pending.extend(all.into_iter().rev().take(limit));
                }
                pending.sort_by_key(|record| record.sequence);
                StoreReply::Pending { records: pending, paused: self.leadership.paused.clone() }
            }
            StoreCall::ReadSignal { fingerprint } => StoreReply::Signal(self.signals.get(fingerprint).cloned()),
            StoreCall::Claim(claim) => self.claim(claim),
            StoreCall::RecordOutcome { fingerprint, leg, number, owner, outcome, .. } => {
                let Some(record) = self.signals.get_mut(fingerprint) else { return StoreReply::State(None) };
                let is_it = |a: &&mut Attempt| (a.leg, a.number, &a.owner) == (*leg, *number, owner);
                let attempt = record.attempts.iter_mut().find(is_it);
                if let Some(attempt) = attempt
                    && outcome_may_become(attempt.outcome.as_ref(), outcome)
                {
                    attempt.outcome = Some(outcome.clone());
                    record.state = state_after(record.state, record.legs, &record.attempts);
                }
                StoreReply::State(Some(record.state))
            }
            StoreCall::Conclude { fingerprint, epoch, holder, verdict, .. } => {
                if !self.leads(*epoch, holder) {
                    return self.fenced();
                }
                let Some(record) = self.signals.get_mut(fingerprint) else { return StoreReply::State(None) };
                record.state = match (verdict, record.state) {
                    (Verdict::Found { leg: Leg(0), .. }, SignalState::InDoubt) if record.legs == 1 => {
                        SignalState::Executed
                    }
                    (Verdict::Found { leg, id }, SignalState::InDoubt) if record.legs > 1 => {
                        if let Some(found) = record.attempt_found(*leg) {
                            record.attempts[found].outcome = Some(Outcome::Accepted(id.clone()));
                        }
                        state_after(record.state, record.legs, &record.attempts)
                    }
                    (Verdict::Quarantine(_), SignalState::InDoubt) => SignalState::Quarantined,
                    (Verdict::Expire, SignalState::Received) => SignalState::Expired,
                    (Verdict::Expire, SignalState::Executing | SignalState::InDoubt) if record.is_between_legs() => {
                        SignalState::Partial
                    }
                    (Verdict::Found { .. } | Verdict::Quarantine(_) | Verdict::Expire, present) => present,
                };
                StoreReply::State(Some(record.state))
            }
            StoreCall::SetPause { paused, seen, reason, at } => {
                if self.leadership.pause_words == *seen {
                    self.leadership.pause_words += 1;
                    let since = self.leadership.paused.as_ref().map_or(*at, |pause| pause.since);
                    self.leadership.paused = paused.then(|| Pause { reason: reason.clone(), since });
                }
                StoreReply::Leadership(self.leadership.clone())
            }
            StoreCall::Resolve { fingerprint, resolution, attempts, .. } => {
                let Some(record) = self.signals.get_mut(fingerprint) else { return StoreReply::State(None) };
                if resolution.fits(record.state) && record.attempts.len() == *attempts as usize {
                    record.state = resolution.state(record.has_accepted(Leg(0)));
                    for attempt in &mut record.attempts {
                        let accepted = matches!(attempt.outcome, Some(Outcome::Accepted(_)));
                        attempt.answered_for |= *resolution == Resolution::Resend && !accepted;
                    }
                }
                StoreReply::State(Some(record.state))
            }
        }
    }

    fn in_order(&self, wanted: impl Fn(SignalState) -> bool) -> impl Iterator<Item = &SignalRecord> {
        let mut records: Vec<_> = self.signals.values().filter(|record| wanted(record.state)).collect();
        records.sort_by_key(|record| record.sequence);
        records.into_iter()
    }

    fn claim(&mut self, claim: &Claim) -> StoreReply {
        if !self.leads(claim.epoch, &claim.holder) {
            return self.fenced();
        }
        let Some(record) = self.signals.get_mut(&claim.fingerprint) else { return StoreReply::NotClaimed(None) };
        let next = 1 + record.attempts_at(claim.leg).count();
        let first = claim.leg == Leg(0);
        let is_due = record.is_between_legs() && record.current_leg() == claim.leg;
        let is_open =
            record.current_leg() == claim.leg && !record.attempts_at(claim.leg).all(Attempt::leaves_nothing_sent);
        record.state = match (claim.purpose, record.state) {
            _ if claim.number as usize != next => return StoreReply::NotClaimed(Some(record.clone())),
            (Purpose::Execute, SignalState::Executing | SignalState::InDoubt) if is_due => SignalState::Executing,
            (Purpose::Execute, SignalState::Received) if first && self.leadership.paused.is_some() => {
                return StoreReply::Paused(self.leadership.clone());
            }
            (Purpose::Execute, SignalState::Received) if first => SignalState::Executing,
            (Purpose::Recover, SignalState::InDoubt) if is_open => SignalState::InDoubt,
            (Purpose::Execute | Purpose::Recover, _) => return StoreReply::NotClaimed(Some(record.clone())),
        };
        record.attempts.push(Attempt {
            leg: claim.leg,
            number: claim.number,
            epoch: claim.epoch,
            owner: claim.holder.clone(),
            client_order_id: claim.client_order_id.clone(),
            claimed_at: claim.at,
            outcome: None,
            answered_for: false,
        });
        StoreReply::Claimed { number: claim.number }
    }
}
