//! A naive model of a store, and calls drawn so that they often, but not always, fit where it stands: whoever keeps the
//! promises of the calls answers any sequence of them as the model does.

use oncegate_protocol::call::{Claim, Purpose, Resolution, Verdict};
use oncegate_protocol::record::{outcome_may_become, state_after};
use oncegate_protocol::{
    Attempt, BrokerOrderId, Epoch, Fingerprint, Holder, KeyFormat, Leadership, Leg, Outcome, Pause, SignalRecord,
    SignalState, StoreCall, StoreReply, Wall,
};
use proptest::prelude::*;

use crate::words::{fingerprint, signal};

/// What the documentation of the calls says, over plain vectors.
pub struct Model {
    /// Who leads.
    pub leadership: Leadership,
    /// In order of arrival.
    signals: Vec<Kept>,
    /// Epoch, holder, and why it ended.
    pub history: Vec<(Epoch, Holder, Option<String>)>,
    /// Every word of operators on new orders that was taken.
    pub words: Vec<(bool, String)>,
}

struct Kept {
    record: SignalRecord,
    digest: Fingerprint,
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

impl Model {
    /// An empty store.
    pub fn new() -> Self {
        let leadership = Leadership {
            epoch: Epoch(0),
            holder: None,
            heartbeat_at: Wall::from_millis(0),
            paused: None,
            pause_words: 0,
        };
        Self { leadership, signals: vec![], history: vec![], words: vec![] }
    }

    /// Every signal, in order of arrival.
    pub fn records(&self) -> Vec<SignalRecord> {
        self.signals.iter().map(|kept| kept.record.clone()).collect()
    }

    fn leads(&self, epoch: Epoch, holder: &Holder) -> bool {
        self.leadership.epoch == epoch && self.leadership.holder.as_ref() == Some(holder)
    }

    fn kept(&mut self, fingerprint: &Fingerprint) -> Option<&mut Kept> {
        self.signals.iter_mut().find(|kept| kept.record.fingerprint == *fingerprint)
    }

    fn close(&mut self, epoch: Epoch, why: String) {
        for past in &mut self.history {
            if past.0 == epoch && past.2.is_none() {
                past.2 = Some(why.clone());
            }
        }
    }

    /// What the store does about `call`, and answers.
    pub fn apply(&mut self, call: &StoreCall) -> StoreReply {
        match call {
            StoreCall::Insert { signal, .. } => {
                if let Some(kept) = self.kept(&signal.fingerprint) {
                    let same_body = kept.digest == signal.body_digest;
                    return StoreReply::Stored { new: false, state: kept.record.state, same_body };
                }
                let record = SignalRecord {
                    fingerprint: signal.fingerprint,
                    sequence: self.signals.len() as u64 + 1,
                    state: SignalState::Received,
                    raw: signal.raw.clone(),
                    expires_at: signal.expires_at,
                    legs: signal.legs,
                    attempts: vec![],
                };
                self.signals.push(Kept { record, digest: signal.body_digest });
                StoreReply::Stored { new: true, state: SignalState::Received, same_body: true }
            }
            StoreCall::ReadLeadership => StoreReply::Leadership(self.leadership.clone()),
            StoreCall::OpenEpoch { expected, holder, at } => {
                if self.leadership.epoch != *expected {
                    return StoreReply::Fenced(self.leadership.clone());
                }
                let epoch = Epoch(expected.0 + 1);
                self.close(*expected, format!("{holder} opened epoch {epoch}"));
                self.history.push((epoch, holder.clone(), None));
                self.leadership =
                    Leadership { epoch, holder: Some(holder.clone()), heartbeat_at: *at, ..self.leadership.clone() };
                for kept in &mut self.signals {
                    if kept.record.state == SignalState::Executing {
                        kept.record.state = SignalState::InDoubt;
                    }
                }
                StoreReply::Opened(epoch)
            }
            StoreCall::Heartbeat { epoch, holder, at } => {
                if !self.leads(*epoch, holder) {
                    return StoreReply::Fenced(self.leadership.clone());
                }
                self.leadership.heartbeat_at = *at;
                StoreReply::Done
            }
            StoreCall::Vacate { epoch, holder, reason, .. } => {
                if !self.leads(*epoch, holder) {
                    return StoreReply::Fenced(self.leadership.clone());
                }
                self.leadership.holder = None;
                self.close(*epoch, reason.clone());
                StoreReply::Done
            }
            StoreCall::ReadPending { limit } => {
                let oldest = |states: &[SignalState]| -> Vec<SignalRecord> {
                    let all = self.signals.iter().map(|kept| kept.record.clone());
                    all.filter(|record| states.contains(&record.state)).take(*limit as usize).collect()
                };
                let mut pending = oldest(&[SignalState::Received]);
                pending.extend(oldest(&[SignalState::Executing, SignalState::InDoubt]));
                let newest = self.signals.iter().rev().map(|kept| kept.record.clone());
                for waiting in [SignalState::Quarantined, SignalState::Partial] {
                    let newest = newest.clone().filter(|record| record.state == waiting);
                    pending.extend(newest.take(*limit as usize));
                }
                pending.sort_by_key(|record| record.sequence);
                StoreReply::Pending { records: pending, paused: self.leadership.paused.clone() }
            }
            StoreCall::ReadSignal { fingerprint } => {
                StoreReply::Signal(self.kept(fingerprint).map(|kept| kept.record.clone()))
            }
            StoreCall::Claim(claim) => self.claim(claim),
            StoreCall::RecordOutcome { fingerprint, leg, number, owner, outcome, .. } => {
                let Some(kept) = self.kept(fingerprint) else { return StoreReply::State(None) };
                for attempt in &mut kept.record.attempts {
                    if (attempt.leg, attempt.number, &attempt.owner) == (*leg, *number, owner)
                        && outcome_may_become(attempt.outcome.as_ref(), outcome)
                    {
                        attempt.outcome = Some(outcome.clone());
                        kept.record.state = state_after(kept.record.state, kept.record.legs, &kept.record.attempts);
                        break;
                    }
                }
                StoreReply::State(Some(kept.record.state))
            }
            StoreCall::Conclude { fingerprint, epoch, holder, verdict, .. } => {
                if !self.leads(*epoch, holder) {
                    return StoreReply::Fenced(self.leadership.clone());
                }
                let Some(kept) = self.kept(fingerprint) else { return StoreReply::State(None) };
                let record = &mut kept.record;
                record.state = match (verdict, record.state) {
                    (Verdict::Found { leg, .. }, SignalState::InDoubt) if record.legs == 1 && leg.0 == 0 => {
                        SignalState::Executed
                    }
                    (Verdict::Found { leg, id }, SignalState::InDoubt) if record.legs > 1 => {
                        if !accepted(&record.attempts, *leg)
                            && let Some(newest) = record.attempts.iter_mut().rfind(|attempt| {
                                let open =
                                    matches!(attempt.outcome, None | Some(Outcome::Unknown(_) | Outcome::Rejected(_)));
                                attempt.leg == *leg && open
                            })
                        {
                            newest.outcome = Some(Outcome::Accepted(id.clone()));
                        }
                        state_after(SignalState::InDoubt, record.legs, &record.attempts)
                    }
                    (Verdict::Quarantine(_), SignalState::InDoubt) => SignalState::Quarantined,
                    (Verdict::Expire, SignalState::Received) => SignalState::Expired,
                    (Verdict::Expire, SignalState::Executing | SignalState::InDoubt) if due(record).is_some() => {
                        SignalState::Partial
                    }
                    (_, other) => other,
                };
                StoreReply::State(Some(record.state))
            }
            StoreCall::SetPause { paused, seen, reason, at } => {
                if self.words.len() as u64 == *seen {
                    self.words.push((*paused, reason.clone()));
                    let since = self.leadership.paused.as_ref().map_or(*at, |pause| pause.since);
                    self.leadership.paused = paused.then(|| Pause { reason: reason.clone(), since });
                    self.leadership.pause_words += 1;
                }
                StoreReply::Leadership(self.leadership.clone())
            }
            StoreCall::Resolve { fingerprint, resolution, attempts, .. } => {
                let Some(kept) = self.kept(fingerprint) else { return StoreReply::State(None) };
                let seen = kept.record.attempts.len() == *attempts as usize;
                let begun = accepted(&kept.record.attempts, Leg(0));
                kept.record.state = match (kept.record.state, resolution) {
                    (other, _) if !seen => other,
                    (SignalState::Quarantined | SignalState::Partial, Resolution::Executed) => SignalState::Executed,
                    (SignalState::Quarantined | SignalState::Partial, Resolution::NotExecuted) => SignalState::Failed,
                    (SignalState::Quarantined, Resolution::Resend) => {
                        for attempt in &mut kept.record.attempts {
                            attempt.answered_for = !matches!(attempt.outcome, Some(Outcome::Accepted(_)));
                        }
                        if begun { SignalState::InDoubt } else { SignalState::Received }
                    }
                    (other, _) => other,
                };
                StoreReply::State(Some(kept.record.state))
            }
        }
    }

    fn claim(&mut self, claim: &Claim) -> StoreReply {
        if !self.leads(claim.epoch, &claim.holder) {
            return StoreReply::Fenced(self.leadership.clone());
        }
        let leadership = self.leadership.clone();
        let Some(kept) = self.kept(&claim.fingerprint) else { return StoreReply::NotClaimed(None) };
        let record = &kept.record;
        let at_leg = || record.attempts.iter().filter(|attempt| attempt.leg == claim.leg);
        let in_doubt = |a: &Attempt| matches!(a.outcome, None | Some(Outcome::Unknown(_))) && !a.answered_for;
        let fits = match (claim.purpose, claim.leg, record.state) {
            (Purpose::Execute, Leg(0), state) => state == SignalState::Received,
            (Purpose::Execute, leg, SignalState::Executing | SignalState::InDoubt) => due(record) == Some(leg),
            (Purpose::Recover, leg, SignalState::InDoubt) => at_leg().any(in_doubt) && !accepted(&record.attempts, leg),
            (Purpose::Execute | Purpose::Recover, ..) => false,
        };
        if claim.leg.0 >= record.legs || !fits || claim.number as usize != 1 + at_leg().count() {
            return StoreReply::NotClaimed(Some(record.clone()));
        }
        if claim.purpose == Purpose::Execute && claim.leg == Leg(0) && leadership.paused.is_some() {
            return StoreReply::Paused(leadership);
        }
        let attempts = &mut kept.record.attempts;
        attempts.push(Attempt {
            leg: claim.leg,
            number: claim.number,
            epoch: claim.epoch,
            owner: claim.holder.clone(),
            client_order_id: claim.client_order_id.clone(),
            claimed_at: claim.at,
            outcome: None,
            answered_for: false,
        });
        if claim.purpose == Purpose::Execute {
            kept.record.state = SignalState::Executing;
        }
        StoreReply::Claimed { number: claim.number }
    }
}

fn accepted(attempts: &[Attempt], leg: Leg) -> bool {
    attempts.iter().any(|attempt| attempt.leg == leg && matches!(attempt.outcome, Some(Outcome::Accepted(_))))
}

/// The leg after those that were accepted, if it is not the first and nothing was sent of it.
fn due(record: &SignalRecord) -> Option<Leg> {
    let next = (1..record.legs).map(Leg).find(|leg| !accepted(&record.attempts, *leg))?;
    let unsent = |a: &Attempt| match &a.outcome {
        Some(Outcome::NotSent(_)) => true,
        Some(Outcome::Accepted(_)) => false,
        None | Some(Outcome::Rejected(_) | Outcome::Unknown(_)) => a.answered_for,
    };
    let unsent = record.attempts.iter().filter(|attempt| attempt.leg == next).all(unsent);
    (accepted(&record.attempts, Leg(next.0 - 1)) && unsent).then_some(next)
}

/// Numbers from which a call is made that often, but not always, fits where the store is.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    kind: u8,
    who: u8,
    which: u8,
    stale: u8,
    what: u8,
    at: u8,
}

/// Any.
pub fn draws() -> impl Strategy<Value = Draw> {
    (0..26_u8, 0..8_u8, 0..3_u8, 0..8_u8, 0..8_u8, 0..4_u8).prop_map(|(kind, who, which, stale, what, at)| Draw {
        kind,
        who,
        which,
        stale,
        what,
        at,
    })
}

/// The call that `draw` makes of where `model` stands.
pub fn call(draw: Draw, model: &Model) -> StoreCall {
    let leadership = &model.leadership;
    let names = ["a:00:1", "b:00:1", "c:00:2"];
    let somebody = Holder::new(names[usize::from(draw.who) % 3]);
    let holder = leadership.holder.clone().filter(|_| draw.who > 2).unwrap_or_else(|| somebody.clone());
    let epoch = match draw.stale {
        0 => Epoch(leadership.epoch.0.saturating_sub(1)),
        1 => leadership.epoch.next(),
        _ => leadership.epoch,
    };
    let fingerprint = fingerprint(u64::from(draw.which));
    let at = Wall::from_millis(i64::from(draw.at));
    let kept = model.signals.iter().find(|kept| kept.record.fingerprint == fingerprint);
    let attempts = kept.map_or(&[][..], |kept| &kept.record.attempts);
    let leg = Leg(kept.map_or(0, |kept| kept.record.current_leg().0) + u16::from(draw.what == 7));
    let seen = |all: usize| match draw.stale {
        2 => u32::try_from(all).unwrap().saturating_sub(1),
        3 => u32::try_from(all).unwrap() + 1,
        _ => u32::try_from(all).unwrap(),
    };
    match draw.kind {
        0..=2 => {
            let mut signal = signal(u64::from(draw.which));
            signal.legs = if draw.which == 0 { 1 } else { 2 };
            if draw.what == 0 {
                signal.body_digest = Fingerprint::of_bytes(b"another body");
            }
            StoreCall::Insert { signal, at }
        }
        3 => StoreCall::ReadLeadership,
        4 | 5 => StoreCall::OpenEpoch { expected: epoch, holder: somebody, at },
        6 => StoreCall::Heartbeat { epoch, holder, at },
        7 => StoreCall::Vacate { epoch, holder, reason: "asked".into(), at },
        8 => StoreCall::ReadPending { limit: u32::from(draw.what % 3) },
        9 => StoreCall::ReadSignal { fingerprint },
        10..=14 => StoreCall::Claim(Claim {
            fingerprint,
            leg,
            epoch,
            holder,
            number: 1 + seen(attempts.iter().filter(|attempt| attempt.leg == leg).count()),
            client_order_id: fingerprint.client_order_id(leg, &KeyFormat::default()),
            purpose: if draw.kind < 13 { Purpose::Execute } else { Purpose::Recover },
            at,
        }),
        15..=19 => {
            let attempt = attempts.get(usize::from(draw.at) % attempts.len().max(1));
            StoreCall::RecordOutcome {
                fingerprint,
                leg: attempt.map_or(leg, |a| a.leg),
                number: attempt.map_or(1, |a| a.number),
                owner: attempt.filter(|_| draw.stale > 0).map_or(somebody, |a| a.owner.clone()),
                outcome: match draw.what {
                    0 => Outcome::Accepted(BrokerOrderId::new("b")),
                    1 | 2 => Outcome::NotSent("n".into()),
                    3 => Outcome::Rejected("r".into()),
                    _ => Outcome::Unknown("u".into()),
                },
                at,
            }
        }
        24 | 25 => StoreCall::SetPause {
            paused: draw.what.is_multiple_of(4),
            seen: u64::from(seen(model.words.len())),
            reason: format!("word {}", draw.what),
            at,
        },
        20 | 21 => StoreCall::Conclude {
            fingerprint,
            epoch,
            holder,
            verdict: match draw.what % 4 {
                0 => Verdict::Found { leg, id: BrokerOrderId::new("b") },
                1 => Verdict::Expire,
                _ => Verdict::Quarantine("blind".into()),
            },
            at,
        },
        _ => StoreCall::Resolve {
            fingerprint,
            resolution: [Resolution::Executed, Resolution::NotExecuted, Resolution::Resend, Resolution::Resend]
                [usize::from(draw.what) % 4],
            attempts: seen(attempts.len()),
            reason: "looked".into(),
            at,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Properties over them say nothing about states that the draws never reach.
    #[test]
    fn the_draws_reach_every_state_and_every_reply() {
        use proptest::strategy::ValueTree as _;
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let (mut states, mut replies) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        for _ in 0..200 {
            let draws = prop::collection::vec(draws(), 80).new_tree(&mut runner).unwrap().current();
            let mut model = Model::new();
            for draw in draws {
                let call = call(draw, &model);
                let reply = format!("{:?}", model.apply(&call));
                replies.insert(reply.split(['(', ' ']).next().unwrap_or_default().to_owned());
                states.extend(model.signals.iter().map(|kept| kept.record.state));
            }
        }
        assert_eq!(states.into_iter().collect::<Vec<_>>(), SignalState::ALL);
        assert_eq!(
            replies.into_iter().collect::<Vec<_>>(),
            [
                "Claimed",
                "Done",
                "Fenced",
                "Leadership",
                "NotClaimed",
                "Opened",
                "Paused",
                "Pending",
                "Signal",
                "State",
                "Stored"
            ]
        );
    }
}
