//! An order in doubt: what the policy says is done, until the truth or a human is found.

use crate::broker::{LookupAnswer, Outcome};
use crate::call::{Call, Purpose, Reply, StoreCall, StoreReply, Verdict};
use crate::fingerprint::Fingerprint;
use crate::notice::Notice;
use crate::outbox::Outbox;
use crate::policy::{self, Doubt, Recovery};
use crate::record::{SignalRecord, SignalState};
use crate::time::{Mono, Now};

use super::task::{Own, Sent, Stage, Task, is_open_of};
use super::{Gate, unexpected};

impl Gate {
    /// A signal that somebody began: an older leadership, or this one by a claim whose reply came too late.
    pub(super) fn take_up_unfinished(&mut self, now: Now, record: SignalRecord, out: &mut Outbox) {
        let Some(authority) = &self.authority else { return };
        let fingerprint = record.fingerprint;
        let state = record.state;
        let mut task = Task::new(record);
        // All that this process has sent is in `tasks` until the store knows its end, so an open attempt of
        // its own that is not there was never sent.
        if let Some(attempt) = task.record.attempts_at(task.leg).next_back()
            && is_open_of(attempt, authority.epoch, &authority.holder)
        {
            task.own = Some(Own {
                number: attempt.number,
                epoch: attempt.epoch,
                owner: attempt.owner.clone(),
                purpose: if state == SignalState::Executing { Purpose::Execute } else { Purpose::Recover },
                sent: Sent::Never,
            });
        }
        if state == SignalState::Executing && task.own.is_some() {
            if self.has_room() {
                self.tasks.insert(fingerprint, task);
                self.send(now, fingerprint, out);
            }
            return;
        }
        let newest = task.record.attempts_at(task.leg).next_back();
        let reason = match newest {
            Some(attempt) => format!("left unfinished by {} of epoch {}", attempt.owner, attempt.epoch),
            None => "in doubt without an attempt".into(),
        };
        out.notice(Notice::InDoubt { fingerprint, reason: task.told(reason) });
        task.doubt_since = Some(now.mono);
        let rests_until = self.rests.get(&fingerprint).map_or(now.mono, |rest| rest.until.max(now.mono));
        task.stage = Stage::Doubtful { at: rests_until };
        self.tasks.insert(fingerprint, task);
    }

    /// In doubt after a try of one's own: the policy is asked again after a pause, if this node still leads.
    pub(super) fn doubt(&mut self, now: Now, fingerprint: Fingerprint) {
        let at = self.again_at(now, fingerprint);
        self.doubt_until(now, fingerprint, at);
    }

    /// In doubt, and nothing is to be learned before `at`.
    pub(super) fn doubt_until(&mut self, now: Now, fingerprint: Fingerprint, at: Mono) {
        let Some(task) = self.tasks.get_mut(&fingerprint) else { return };
        task.doubt_since.get_or_insert(now.mono);
        task.stage = Stage::Doubtful { at };
        if self.authority.is_none() {
            task.on_authority_lost();
            if !task.is_own_business() {
                self.forget(&fingerprint);
            }
        }
    }

    /// Asks the policy what to do now, and does it.
    pub(super) fn recover(&mut self, now: Now, fingerprint: Fingerprint, out: &mut Outbox) {
        let Some(authority) = &self.authority else { return };
        let Some(task) = self.tasks.get(&fingerprint) else { return };
        let doubt = Doubt {
            deadline_passed: task.record.expires_at.is_some_and(|at| now.wall >= at),
            oldest_attempt_age: task.oldest_attempt_age(now),
            not_found_after: task.not_found_after,
        };
        match policy::recover(&self.capabilities, doubt) {
            Recovery::PlaceAgain | Recovery::LookUp if !self.broker_ready => {
                // The policy is asked now and then all the same: with time its answer may be one that needs no broker.
                self.doubt_until(now, fingerprint, now.mono.plus(self.timing.retry.1));
                if let Some(task) = self.tasks.get_mut(&fingerprint) {
                    task.waits_for_broker = true;
                }
            }
            Recovery::PlaceAgain => {
                let own = task.own.as_ref();
                if own.is_some_and(|own| own.epoch == authority.epoch && own.owner == authority.holder) {
                    self.send(now, fingerprint, out);
                } else {
                    self.claim(now, fingerprint, Purpose::Recover, out);
                }
            }
            Recovery::LookUp => {
                let id = self.order_id(task);
                let asked_at = now.mono;
                self.ask(fingerprint, Call::LookUp(id), |id| Stage::Asking { id, asked_at }, out);
            }
            Recovery::Quarantine => {
                let reason = match task.not_found_after {
                    Some(after) => format!(
                        "the broker does not have it {:.0}s later, and a send that is still under way can't be ruled out",
                        after.as_secs_f64()
                    ),
                    None if doubt.deadline_passed => "its deadline has passed, and the broker can't be asked".into(),
                    None => "the broker neither deduplicates nor can be asked".into(),
                };
                let reason = task.told(reason);
                self.conclude(now, fingerprint, Verdict::Quarantine(reason), out);
            }
        }
    }

    pub(super) fn on_looked_up(
        &mut self,
        now: Now,
        fingerprint: Fingerprint,
        asked_at: Mono,
        answer: LookupAnswer,
        out: &mut Outbox,
    ) {
        match answer {
            LookupAnswer::Found(id) => {
                let Some(leg) = self.tasks.get(&fingerprint).map(|task| task.leg) else { return };
                self.conclude(now, fingerprint, Verdict::Found { leg, id }, out);
            }
            LookupAnswer::NotFound => {
                if let Some(task) = self.tasks.get_mut(&fingerprint) {
                    // Counted from when the doubt began, or from the last send of one's own after that, to when the
                    // question was asked: what was sent again may be under way as long as the first send was.
                    task.not_found_after = task.doubt_since.max(task.last_sent()).map(|since| asked_at.since(since));
                }
                self.doubt(now, fingerprint);
            }
            LookupAnswer::Unavailable(detail) => {
                out.notice(Notice::PortFailed { doing: "look an order up".into(), detail });
                self.doubt(now, fingerprint);
            }
        }
    }

    pub(super) fn conclude(&mut self, now: Now, fingerprint: Fingerprint, verdict: Verdict, out: &mut Outbox) {
        let Some(authority) = &self.authority else { return };
        let call = Call::Store(StoreCall::Conclude {
            fingerprint,
            epoch: authority.epoch,
            holder: authority.holder.clone(),
            verdict: verdict.clone(),
            at: now.wall,
        });
        self.ask(fingerprint, call, |id| Stage::Concluding { id, verdict }, out);
    }

    pub(super) fn on_concluded(
        &mut self,
        now: Now,
        fingerprint: Fingerprint,
        verdict: &Verdict,
        reply: Reply,
        out: &mut Outbox,
    ) {
        match reply {
            Reply::Store(Ok(StoreReply::State(Some(state)))) if state.is_settled() => {
                let detail = match (verdict, self.tasks.get(&fingerprint)) {
                    (Verdict::Found { id, .. }, Some(task)) => task.told(format!("found at the broker as {id}")),
                    (Verdict::Found { id, .. }, None) => format!("found at the broker as {id}"),
                    (Verdict::Quarantine(reason), _) => reason.clone(),
                    (Verdict::Expire, Some(task)) if state == SignalState::Partial => {
                        task.told("its deadline passed before it was sent".into())
                    }
                    (Verdict::Expire, _) => "its deadline passed, and nothing was sent".into(),
                };
                self.settle(fingerprint, state, detail, out);
            }
            Reply::Store(Ok(StoreReply::State(Some(_)))) if matches!(verdict, Verdict::Found { .. }) => {
                self.on_found(now, fingerprint, verdict);
            }
            // Its owner knew better in the meantime.
            Reply::Store(Ok(StoreReply::State(_))) => self.rest(now, fingerprint),
            Reply::Store(Ok(StoreReply::Fenced(leadership))) => {
                self.fenced_by = self.fenced_by.max(Some(leadership.epoch));
                self.forget(&fingerprint);
            }
            other => {
                out.port_failed("conclude on a signal", &unexpected(other));
                match verdict {
                    Verdict::Expire => self.rest(now, fingerprint),
                    Verdict::Found { .. } | Verdict::Quarantine(_) => self.doubt(now, fingerprint),
                }
            }
        }
    }

    /// The broker has one of several legs.
    fn on_found(&mut self, now: Now, fingerprint: Fingerprint, verdict: &Verdict) {
        if let (Verdict::Found { leg, id }, Some(task)) = (verdict, self.tasks.get_mut(&fingerprint))
            && let Some(found) = task.record.attempt_found(*leg)
        {
            task.record.attempts[found].outcome = Some(Outcome::Accepted(id.clone()));
        }
        self.go_on(now, fingerprint);
    }
}
