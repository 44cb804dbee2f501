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
                let quarantined = newest.filter(|record| record.state == SignalState::Quarantined);
                pending.extend(quarantined.take(*limit as usize));
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
                        kept.record.state = state_after(kept.record.state, &kept.record.attempts.clone());
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
                kept.record.state = match (verdict, kept.record.state) {
                    (Verdict::Found(_), SignalState::InDoubt) => SignalState::Executed,
                    (Verdict::Quarantine(_), SignalState::InDoubt) => SignalState::Quarantined,
                    (Verdict::Expire, SignalState::Received) => SignalState::Expired,
                    (_, other) => other,
                };
                StoreReply::State(Some(kept.record.state))
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
                if kept.record.state == SignalState::Quarantined && seen {
                    kept.record.state = resolution.state();
                    for attempt in &mut kept.record.attempts {
                        attempt.answered_for = *resolution == Resolution::Resend;
                    }
                }
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
        let needed = match claim.purpose {
            Purpose::Execute => SignalState::Received,
            Purpose::Recover => SignalState::InDoubt,
        };
        let attempts = &mut kept.record.attempts;
        let number = 1 + attempts.iter().filter(|attempt| attempt.leg == claim.leg).count();
        if kept.record.state != needed || claim.number as usize != number {
            return StoreReply::NotClaimed(Some(kept.record.clone()));
        }
        if claim.purpose == Purpose::Execute && leadership.paused.is_some() {
            return StoreReply::Paused(leadership);
        }
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
    let leg = Leg(u16::from(draw.what == 7));
    let at = Wall::from_millis(i64::from(draw.at));
    let attempts = model.signals.iter().find(|kept| kept.record.fingerprint == fingerprint);
    let attempts = attempts.map_or(&[][..], |kept| &kept.record.attempts);
    let seen = |all: usize| match draw.stale {
        2 => u32::try_from(all).unwrap().saturating_sub(1),
        3 => u32::try_from(all).unwrap() + 1,
        _ => u32::try_from(all).unwrap(),
    };
    match draw.kind {
        0..=2 => {
            let mut signal = signal(u64::from(draw.which));
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
                0 => Verdict::Found(BrokerOrderId::new("b")),
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
