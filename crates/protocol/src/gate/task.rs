//! One signal under way: claim, send, record; one leg at a time.

use std::time::Duration;

use crate::broker::{LookupAnswer, Outcome};
use crate::call::{Call, Claim, Order, Purpose, Reply, StoreCall, StoreReply, Verdict};
use crate::fingerprint::Fingerprint;
use crate::ids::{CallId, ClientOrderId, Epoch, Holder, Leg};
use crate::notice::Notice;
use crate::outbox::Outbox;
use crate::policy;
use crate::record::{Attempt, SignalRecord, SignalState};
use crate::time::{Mono, Now};

use super::{Gate, unexpected};

#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) record: SignalRecord,
    /// Which of its orders is under way; all before it were accepted.
    pub(super) leg: Leg,
    /// The attempt that this process owns, once the store has confirmed it.
    pub(super) own: Option<Own>,
    /// Since when the order is known to be in doubt here.
    pub(super) doubt_since: Option<Mono>,
    /// When the broker, asked this long after `doubt_since` and after the last send, last did not have it.
    pub(super) not_found_after: Option<Duration>,
    pub(super) tries: u32,
    /// In doubt, and nobody is there to ask.
    pub(super) waits_for_broker: bool,
    pub(super) stage: Stage,
}

#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) number: u32,
    pub(super) epoch: Epoch,
    pub(super) owner: Holder,
    pub(super) purpose: Purpose,
    pub(super) sent: Sent,
}

/// Whether an order may have left under an attempt. Once it may have, nothing makes it "not sent" again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sent {
    Never,
    /// The last send that may have left with an unknown end ended at this time, or before.
    Maybe(Mono),
}

#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// Not begun, or between two stages within one step.
    New,
    /// The intent is on its way to the store.
    Claiming { id: CallId, claim: Claim },
    /// The claim's reply was lost: asking the store whether the claim is there.
    Confirming { id: CallId, claim: Claim },
    /// The store did not answer that either; again then.
    ConfirmingLater { at: Mono, claim: Claim },
    /// The order is on its way to the broker.
    Placing { id: CallId },
    /// The outcome is on its way to the store.
    Recording { id: CallId, outcome: Outcome },
    /// The store did not take the outcome; again then, for as long as it takes.
    RecordingLater { at: Mono, outcome: Outcome },
    /// In doubt; the policy is asked then.
    Doubtful { at: Mono },
    /// The broker is being asked whether it has the order.
    Asking { id: CallId, asked_at: Mono },
    /// A verdict without an attempt is on its way to the store.
    Concluding { id: CallId, verdict: Verdict },
}

impl Task {
    pub(super) fn new(record: SignalRecord) -> Self {
        Self {
            leg: record.current_leg(),
            record,
            own: None,
            doubt_since: None,
            not_found_after: None,
            tries: 0,
            waits_for_broker: false,
            stage: Stage::New,
        }
    }

    /// When the last send of this process that may have left ended, or before.
    pub(super) fn last_sent(&self) -> Option<Mono> {
        match self.own.as_ref()?.sent {
            Sent::Never => None,
            Sent::Maybe(at) => Some(at),
        }
    }

    /// What people are told of the order under way; of several, which it is.
    pub(super) fn told(&self, detail: String) -> String {
        match self.record.legs {
            1 => detail,
            legs => format!("leg {} (of 0 to {}): {detail}", self.leg, legs - 1),
        }
    }

    pub(super) fn awaits(&self) -> Option<CallId> {
        match self.stage {
            Stage::Claiming { id, .. }
            | Stage::Confirming { id, .. }
            | Stage::Placing { id }
            | Stage::Recording { id, .. }
            | Stage::Asking { id, .. }
            | Stage::Concluding { id, .. } => Some(id),
            Stage::New | Stage::ConfirmingLater { .. } | Stage::RecordingLater { .. } | Stage::Doubtful { .. } => None,
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Mono> {
        match self.stage {
            Stage::ConfirmingLater { at, .. } | Stage::RecordingLater { at, .. } | Stage::Doubtful { at } => Some(at),
            Stage::New
            | Stage::Claiming { .. }
            | Stage::Confirming { .. }
            | Stage::Placing { .. }
            | Stage::Recording { .. }
            | Stage::Asking { .. }
            | Stage::Concluding { .. } => None,
        }
    }

    /// Whether it concerns an attempt of this process that the store does not know the end of: that must be
    /// finished whoever leads by now.
    pub(super) fn is_own_business(&self) -> bool {
        match self.stage {
            Stage::Claiming { .. }
            | Stage::Confirming { .. }
            | Stage::ConfirmingLater { .. }
            | Stage::Placing { .. }
            | Stage::Recording { .. }
            | Stage::RecordingLater { .. } => true,
            Stage::New | Stage::Doubtful { .. } | Stage::Asking { .. } | Stage::Concluding { .. } => false,
        }
    }

    /// Whether it takes up room: one in doubt does not block the rest.
    pub(super) fn is_in_flight(&self) -> bool {
        let expiring = matches!(self.stage, Stage::Concluding { .. });
        self.doubt_since.is_none() && (expiring || self.is_own_business())
    }

    /// An attempt that was claimed and never sent ends here, so that nobody need wonder about it.
    pub(super) fn on_authority_lost(&mut self) {
        let unsent = self.own.as_ref().is_some_and(|own| own.sent == Sent::Never);
        if unsent && matches!(self.stage, Stage::Doubtful { .. }) {
            self.stage = Stage::RecordingLater {
                at: Mono::ZERO,
                outcome: Outcome::NotSent("leadership was lost before the order was sent".into()),
            };
        }
    }

    /// How long ago the oldest attempt at this order was claimed. Wall clocks step and disagree, so it is never taken to be
    /// younger than the doubt that was waited out here.
    pub(super) fn oldest_attempt_age(&self, now: Now) -> Duration {
        let by_wall =
            self.record.attempts_at(self.leg).next().map_or(Duration::ZERO, |oldest| now.wall.since(oldest.claimed_at));
        by_wall.max(self.doubt_since.map_or(Duration::ZERO, |since| now.mono.since(since)))
    }

    /// Whether somebody else's attempt at this order has an unknown end.
    pub(super) fn has_foreign_doubt(&self) -> bool {
        self.record.attempts_at(self.leg).any(|attempt| {
            let own = self.own.as_ref().is_some_and(|own| own.number == attempt.number);
            !own && matches!(attempt.outcome, None | Some(Outcome::Unknown(_)))
        })
    }
}

impl Gate {
    /// Goes on with a task whose time has come.
    pub(super) fn advance(&mut self, now: Now, fingerprint: Fingerprint, out: &mut Outbox) {
        let Some(task) = self.tasks.get(&fingerprint) else { return };
        match task.stage.clone() {
            Stage::ConfirmingLater { claim, .. } => self.confirm(fingerprint, claim, out),
            Stage::RecordingLater { outcome, .. } => self.record(now, fingerprint, outcome, out),
            Stage::Doubtful { .. } => self.recover(now, fingerprint, out),
            Stage::New
            | Stage::Claiming { .. }
            | Stage::Confirming { .. }
            | Stage::Placing { .. }
            | Stage::Recording { .. }
            | Stage::Asking { .. }
            | Stage::Concluding { .. } => {}
        }
    }

    pub(super) fn on_task_reply(&mut self, now: Now, fingerprint: Fingerprint, reply: Reply, out: &mut Outbox) {
        let Some(task) = self.tasks.get_mut(&fingerprint) else { return };
        match std::mem::replace(&mut task.stage, Stage::New) {
            Stage::Claiming { claim, .. } => self.on_claim_reply(now, claim, reply, out),
            Stage::Confirming { claim, .. } => self.on_confirm_reply(now, claim, reply, out),
            Stage::Placing { .. } => {
                let outcome = match reply {
                    Reply::Place(outcome) => outcome,
                    other => Outcome::Unknown(unexpected(other).0),
                };
                self.on_placed(now, fingerprint, outcome, out);
            }
            Stage::Recording { outcome, .. } => self.on_recorded(now, fingerprint, outcome, reply, out),
            Stage::Asking { asked_at, .. } => {
                let answer = match reply {
                    Reply::LookUp(answer) => answer,
                    other => LookupAnswer::Unavailable(unexpected(other).0),
                };
                self.on_looked_up(now, fingerprint, asked_at, answer, out);
            }
            Stage::Concluding { verdict, .. } => self.on_concluded(now, fingerprint, &verdict, reply, out),
            Stage::New | Stage::ConfirmingLater { .. } | Stage::RecordingLater { .. } | Stage::Doubtful { .. } => {}
        }
    }

    // ---- claim

    pub(super) fn claim(&mut self, now: Now, fingerprint: Fingerprint, purpose: Purpose, out: &mut Outbox) {
        let Some(authority) = &self.authority else { return };
        let Some(task) = self.tasks.get(&fingerprint) else { return };
        let claim = Claim {
            fingerprint,
            leg: task.leg,
            epoch: authority.epoch,
            holder: authority.holder.clone(),
            number: task.record.next_number(task.leg),
            client_order_id: self.order_id(task),
            purpose,
            at: now.wall,
        };
        let call = Call::Store(StoreCall::Claim(claim.clone()));
        self.ask(fingerprint, call, |id| Stage::Claiming { id, claim }, out);
    }

    /// The id of the order: as it was claimed before, and only for the first claim as it is derived here. Nodes
    /// may differ in the format of ids, and a second id would be a second order.
    pub(super) fn order_id(&self, task: &Task) -> ClientOrderId {
        let derived = || task.record.fingerprint.client_order_id(task.leg, &self.capabilities.key_format);
        task.record.client_order_id(task.leg).cloned().unwrap_or_else(derived)
    }

    fn on_claim_reply(&mut self, now: Now, claim: Claim, reply: Reply, out: &mut Outbox) {
        let fingerprint = claim.fingerprint;
        match reply {
            Reply::Store(Ok(StoreReply::Claimed { number })) if number == claim.number => {
                self.on_claimed(now, claim, out);
            }
            Reply::Store(Ok(StoreReply::NotClaimed(record))) => self.on_read_back(now, claim, record.as_ref(), out),
            Reply::Store(Ok(StoreReply::Paused(leadership))) => {
                self.on_paused(leadership.paused, out);
                // It waits where it was; the next look finds it there.
                self.forget(&fingerprint);
            }
            Reply::Store(Ok(StoreReply::Fenced(leadership))) => {
                // A refusal that was long under way may concern an earlier epoch of this process than the present.
                if self.authority.as_ref().is_some_and(|authority| authority.epoch == claim.epoch) {
                    self.fenced_by = self.fenced_by.max(Some(leadership.epoch));
                }
                self.forget(&fingerprint);
            }
            other => {
                out.port_failed("claim a signal", &unexpected(other));
                self.confirm(fingerprint, claim, out);
            }
        }
    }

    fn confirm(&mut self, fingerprint: Fingerprint, claim: Claim, out: &mut Outbox) {
        let call = Call::Store(StoreCall::ReadSignal { fingerprint });
        self.ask(fingerprint, call, |id| Stage::Confirming { id, claim }, out);
    }

    /// The attempt that bears the number and is one's own and open is the claim, however its reply was lost. Not
    /// always the newest: a later leadership may have added its own.
    fn on_read_back(&mut self, now: Now, claim: Claim, record: Option<&SignalRecord>, out: &mut Outbox) {
        let attempts = record.map_or(&[][..], |record| &record.attempts);
        let claimed = attempts.iter().find(|attempt| attempt.leg == claim.leg && attempt.number == claim.number);
        if claimed.is_some_and(|attempt| is_open_of(attempt, claim.epoch, &claim.holder)) {
            self.on_claimed(now, claim, out);
        } else {
            self.rest(now, claim.fingerprint);
        }
    }

    fn on_confirm_reply(&mut self, now: Now, claim: Claim, reply: Reply, out: &mut Outbox) {
        let fingerprint = claim.fingerprint;
        match reply {
            Reply::Store(Ok(StoreReply::Signal(record))) => self.on_read_back(now, claim, record.as_ref(), out),
            other => {
                out.port_failed("read back a claim", &unexpected(other));
                let at = self.again_at(now, fingerprint);
                if let Some(task) = self.tasks.get_mut(&fingerprint) {
                    task.stage = Stage::ConfirmingLater { at, claim };
                }
            }
        }
    }

    fn on_claimed(&mut self, now: Now, claim: Claim, out: &mut Outbox) {
        let Some(task) = self.tasks.get_mut(&claim.fingerprint) else { return };
        task.tries = 0;
        task.own = Some(Own {
            number: claim.number,
            epoch: claim.epoch,
            owner: claim.holder.clone(),
            purpose: claim.purpose,
            sent: Sent::Never,
        });
        task.record.attempts.push(Attempt {
            leg: claim.leg,
            number: claim.number,
            epoch: claim.epoch,
            owner: claim.holder,
            client_order_id: claim.client_order_id,
            claimed_at: claim.at,
            outcome: None,
            answered_for: false,
        });
        self.send(now, claim.fingerprint, out);
    }

    // ---- send

    /// Sends under the attempt that is held, if trust and deadline allow it now; else says so in the store, or
    /// waits where something may have been sent before.
    pub(super) fn send(&mut self, now: Now, fingerprint: Fingerprint, out: &mut Outbox) {
        let Some(task) = self.tasks.get(&fingerprint) else { return };
        let Some(own) = &task.own else { return };
        let order = || task.record.order(task.leg).ok_or_else(|| "the signal as stored has no such leg".to_owned());
        match self.leave_to_send(now, task, own).and_then(|send_before| Ok((send_before, order()?))) {
            Ok((send_before, body)) => {
                let order = Order {
                    fingerprint,
                    leg: task.leg,
                    client_order_id: self.order_id(task),
                    epoch: own.epoch,
                    body,
                    send_before,
                    timeout: self.timing.broker_timeout,
                };
                out.notice(Notice::Sending { fingerprint, leg: task.leg, epoch: own.epoch });
                self.ask(fingerprint, Call::Place(order), |id| Stage::Placing { id }, out);
            }
            Err(reason) => self.on_placed(now, fingerprint, Outcome::NotSent(reason), out),
        }
    }

    fn leave_to_send(&self, now: Now, task: &Task, own: &Own) -> Result<Mono, String> {
        let authority = match &self.authority {
            Some(authority) if authority.epoch == own.epoch && authority.holder == own.owner => authority,
            Some(_) | None => return Err("leadership was lost between claim and send".into()),
        };
        let is_new = own.purpose == Purpose::Execute && own.sent == Sent::Never && task.leg == Leg(0);
        if self.paused.is_some() && is_new {
            return Err("operators have stopped new orders".into());
        }
        if !self.broker_ready {
            return Err("nobody takes orders on the broker's side".into());
        }
        let trust_ends = authority.trusted_until.minus(self.timing.broker_timeout);
        if now.mono >= trust_ends {
            let left = authority.trusted_until.since(now.mono);
            return Err(format!("the lease can be trusted for {left:?} only"));
        }
        let mut send_before = trust_ends;
        if let Some(deadline) = task.record.expires_at {
            if now.wall >= deadline {
                return Err("its deadline has passed".into());
            }
            send_before = send_before.min(now.mono_at(deadline));
        }
        if own.purpose == Purpose::Recover || own.sent != Sent::Never {
            // Time has passed since the policy allowed it: the claim was on its way.
            let left = policy::time_to_repeat(&self.capabilities, task.oldest_attempt_age(now));
            if left.is_zero() {
                return Err("the broker may not remember the first send any more".into());
            }
            send_before = send_before.min(now.mono.plus(left));
        }
        Ok(send_before)
    }

    fn on_placed(&mut self, now: Now, fingerprint: Fingerprint, outcome: Outcome, out: &mut Outbox) {
        let flight = self.capabilities.longest_flight;
        let Some(task) = self.tasks.get_mut(&fingerprint) else { return };
        let doubt_since = task.doubt_since;
        let foreign_doubt = task.has_foreign_doubt();
        let Some(own) = &mut task.own else { return };
        match (&outcome, own.sent) {
            (Outcome::Accepted(_), _) => self.record(now, fingerprint, outcome, out),
            (Outcome::Rejected(reason), sent) => {
                // An earlier send that is still in flight may yet be accepted: a refusal of this one proves
                // nothing before all others have landed.
                let own_doubt = match sent {
                    Sent::Never => None,
                    Sent::Maybe(at) => Some(at),
                };
                let last_doubt = own_doubt.max(doubt_since.filter(|_| foreign_doubt));
                match last_doubt.filter(|at| now.mono < at.plus(flight)) {
                    Some(at) => {
                        let reason = format!("refused ({reason}) while an earlier send may be in flight");
                        out.notice(Notice::InDoubt { fingerprint, reason: reason.clone() });
                        own.sent = Sent::Maybe(at);
                        match sent {
                            // The store hears of it, because an open attempt looks like one that was never sent.
                            Sent::Never => self.record(now, fingerprint, Outcome::Unknown(reason), out),
                            Sent::Maybe(_) => self.doubt_until(now, fingerprint, at.plus(flight)),
                        }
                    }
                    None => self.record(now, fingerprint, outcome, out),
                }
            }
            (Outcome::NotSent(reason), Sent::Never) if own.purpose == Purpose::Execute => {
                out.notice(Notice::NotSent { fingerprint, reason: reason.clone() });
                self.record(now, fingerprint, outcome, out);
            }
            (Outcome::NotSent(reason), _) => {
                out.notice(Notice::NotSent { fingerprint, reason: reason.clone() });
                self.doubt(now, fingerprint);
            }
            (Outcome::Unknown(reason), sent) => {
                own.sent = Sent::Maybe(now.mono);
                task.doubt_since.get_or_insert(now.mono);
                task.not_found_after = None;
                out.notice(Notice::InDoubt { fingerprint, reason: reason.clone() });
                match sent {
                    Sent::Never => self.record(now, fingerprint, outcome, out),
                    // The store knows already.
                    Sent::Maybe(_) => self.doubt(now, fingerprint),
                }
            }
        }
    }

    // ---- record

    pub(super) fn record(&mut self, now: Now, fingerprint: Fingerprint, outcome: Outcome, out: &mut Outbox) {
        let Some(task) = self.tasks.get(&fingerprint) else { return };
        let Some(own) = &task.own else { return };
        let call = Call::Store(StoreCall::RecordOutcome {
            fingerprint,
            leg: task.leg,
            number: own.number,
            owner: own.owner.clone(),
            outcome: outcome.clone(),
            at: now.wall,
        });
        self.ask(fingerprint, call, |id| Stage::Recording { id, outcome }, out);
    }

    fn on_recorded(&mut self, now: Now, fingerprint: Fingerprint, outcome: Outcome, reply: Reply, out: &mut Outbox) {
        match reply {
            Reply::Store(Ok(StoreReply::State(Some(state)))) => match state {
                SignalState::Executed
                | SignalState::Failed
                | SignalState::Partial
                | SignalState::Expired
                | SignalState::Quarantined => {
                    let detail = self.detail_of(&fingerprint, &outcome);
                    self.settle(fingerprint, state, detail, out);
                }
                SignalState::Received => self.rest(now, fingerprint),
                SignalState::Executing | SignalState::InDoubt => self.on_open(now, fingerprint, outcome),
            },
            Reply::Store(Ok(StoreReply::State(None))) => {
                let detail = "the store does not know the signal any more".into();
                out.notice(Notice::PortFailed { doing: "record an outcome".into(), detail });
                self.forget(&fingerprint);
            }
            other => {
                out.port_failed("record an outcome", &unexpected(other));
                let at = self.again_at(now, fingerprint);
                if let Some(task) = self.tasks.get_mut(&fingerprint) {
                    task.stage = Stage::RecordingLater { at, outcome };
                }
            }
        }
    }

    /// The store knows how an attempt ended, and the signal goes on.
    fn on_open(&mut self, now: Now, fingerprint: Fingerprint, outcome: Outcome) {
        let Some(task) = self.tasks.get_mut(&fingerprint) else { return };
        let Some(own) = &task.own else { return };
        let (accepted, not_sent) = (matches!(outcome, Outcome::Accepted(_)), matches!(outcome, Outcome::NotSent(_)));
        let (leg, number) = (task.leg, own.number);
        if let Some(attempt) = task.record.attempts.iter_mut().find(|a| a.leg == leg && a.number == number) {
            attempt.outcome = Some(outcome);
        }
        if not_sent {
            // Closed for good: nothing may be sent under it, and nothing is left to record.
            task.own = None;
        }
        match (accepted, task.record.is_between_legs()) {
            (true, true) => self.go_on(now, fingerprint),
            (false, true) => self.rest(now, fingerprint),
            (_, false) => self.doubt(now, fingerprint),
        }
    }

    /// The broker has the leg. The next one waits in the queue for what every first one waits for, but before them all:
    /// half a hedge is worse than none.
    pub(super) fn go_on(&mut self, now: Now, fingerprint: Fingerprint) {
        let Some(task) = self.tasks.get(&fingerprint) else { return };
        let record = task.record.clone();
        if self.authority.is_some() && record.is_between_legs() {
            self.forget(&fingerprint);
            self.rests.remove(&fingerprint);
            self.queue.insert(record.sequence, record);
        } else {
            self.rest(now, fingerprint);
        }
    }

    /// What was seen, and of which leg if there are several.
    fn detail_of(&self, fingerprint: &Fingerprint, outcome: &Outcome) -> String {
        let detail = match outcome {
            Outcome::Accepted(id) => format!("broker order {id}"),
            Outcome::Rejected(reason) | Outcome::NotSent(reason) | Outcome::Unknown(reason) => reason.clone(),
        };
        match self.tasks.get(fingerprint) {
            Some(task) => task.told(detail),
            None => detail,
        }
    }

    /// When something that failed is tried again; counts the try.
    pub(super) fn again_at(&mut self, now: Now, fingerprint: Fingerprint) -> Mono {
        let tries = self.tasks.get_mut(&fingerprint).map_or(1, |task| {
            task.tries += 1;
            task.tries
        });
        now.mono.plus(self.timing.backoff(tries))
    }
}

/// Whether an attempt is of this leadership and nobody has said yet what became of it.
pub(super) fn is_open_of(attempt: &Attempt, epoch: Epoch, holder: &Holder) -> bool {
    attempt.epoch == epoch && attempt.owner == *holder && attempt.outcome.is_none() && !attempt.answered_for
}
