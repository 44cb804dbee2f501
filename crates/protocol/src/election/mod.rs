//! Who leads: a lease that detects failure, an epoch that is the authority.
//!
//! What this does **not** promise: that only one node believes it leads. Two may, for as long as clocks and
//! pauses please; the store's epoch decides whose claims count, and nothing else does.
//!
//! ```text
//!                    denied: again when the present lease has run out
//!                  ┌──────────┐
//!                  ▼          │
//!   ┌────────► Following ── Acquiring ──granted──► Opening ──epoch opened──► Leading
//!   │              ▲            │                     │                         │
//!   │              └──error─────┘                     │ lease lost, store       │ lease denied or gone,
//!   │                                                 │ unreachable             │ deadline, fenced, asked
//!   │ backoff; asked to stop: Stopped                 ▼                         ▼
//!   └───────────────────────── Leaving: (drain ─► vacate epoch) ─► release lease
//! ```
//!
//! Asked to step down while acquiring, it hears the reply out and then leaves too, if the lease may be its own.
//!
//! Failure policy: authority ends the moment `Leading` is left, before anything else is done; every wait has
//! a deadline that is a timer of its own, never "when the call returns"; every way out of `Leading` goes
//! through `Leaving`, and every way out of `Leaving` leads back to `Following`, so the elector is never
//! one-shot.

mod following;
mod leading;
mod lease;
mod leaving;
mod opening;

use std::time::Duration;

use crate::call::{Call, LeaseReply, PortError, Reply, StoreCall, StoreReply};
use crate::ids::{CallId, Epoch, Holder, InstanceId};
use crate::notice::{LossReason, Notice};
use crate::outbox::Outbox;
use crate::time::{Mono, Now};
use crate::timing::Timing;
use following::{Acquiring, Following};
use leading::{Beat, BeatStep, Compare};
use lease::Lease;
use leaving::{Leaving, LeavingStep};
use opening::Opening;

/// Whoever has led for this many lease times has proved that it is not flapping.
const STEADY_AFTER_TTLS: u32 = 10;

/// The right to act: valid until it is withdrawn, and for sends only while `trusted_until` is far enough.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authority {
    /// The epoch opened.
    pub epoch: Epoch,
    /// As whom.
    pub holder: Holder,
    /// Until then the lease cannot have passed to another, if clocks keep within the stated drift.
    pub trusted_until: Mono,
}

/// The elector of one process.
#[derive(Clone, Debug)]
pub struct Election {
    timing: Timing,
    instance: InstanceId,
    boot_nonce: u64,
    acquisitions: u64,
    highest_seen: Epoch,
    flaps: u32,
    stopping: bool,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    Following(Following),
    Acquiring(Acquiring),
    /// `unheard` is the epoch that was asked for last, and that may be open for all that is known; `incumbent` the
    /// epoch that the store named last, and since when its holder has been given time.
    Opening {
        lease: Lease,
        since: Mono,
        incumbent: Option<(Epoch, Mono)>,
        told_split: bool,
        unheard: Option<Epoch>,
        step: Opening,
    },
    Leading {
        lease: Lease,
        epoch: Epoch,
        since: Mono,
        beat: Beat,
        compare: Compare,
    },
    Leaving(Leaving),
    Stopped,
}

impl Election {
    /// A node that follows, and tries for the lease at once. `boot_nonce` must differ between any two
    /// processes that ever bear `instance`.
    pub fn new(timing: Timing, instance: InstanceId, boot_nonce: u64, now: Now) -> Self {
        Self {
            timing,
            instance,
            boot_nonce,
            acquisitions: 0,
            highest_seen: Epoch(0),
            flaps: 0,
            stopping: false,
            phase: Phase::Following(Following { try_at: now.mono, not_before: now.mono, tries: 0, unheard: None }),
        }
    }

    /// The right to act, while this node leads.
    pub fn authority(&self) -> Option<Authority> {
        match &self.phase {
            Phase::Leading { lease, epoch, .. } => Some(Authority {
                epoch: *epoch,
                holder: lease.holder.clone(),
                trusted_until: lease.asked_at.plus(self.timing.trust()),
            }),
            Phase::Following(_) | Phase::Acquiring(_) | Phase::Opening { .. } | Phase::Leaving(_) | Phase::Stopped => {
                None
            }
        }
    }

    /// Whether a send that starts at `now` may take its whole time: the leadership check, without a copy.
    pub fn may_send(&self, now: Mono) -> bool {
        match &self.phase {
            Phase::Leading { lease, .. } => {
                now.plus(self.timing.broker_timeout) <= lease.asked_at.plus(self.timing.trust())
            }
            Phase::Following(_) | Phase::Acquiring(_) | Phase::Opening { .. } | Phase::Leaving(_) | Phase::Stopped => {
                false
            }
        }
    }

    /// Whether the elector has come to its end.
    pub fn is_stopped(&self) -> bool {
        matches!(self.phase, Phase::Stopped)
    }

    /// A word for people.
    pub fn phase_name(&self) -> &'static str {
        match self.phase {
            Phase::Following(_) => "following",
            Phase::Acquiring(_) => "acquiring",
            Phase::Opening { .. } => "opening",
            Phase::Leading { .. } => "leading",
            Phase::Leaving(_) => "leaving",
            Phase::Stopped => "stopped",
        }
    }

    /// When [`Election::tick`] has something to do.
    pub fn next_deadline(&self) -> Option<Mono> {
        match &self.phase {
            Phase::Following(following) => Some(following.try_at),
            Phase::Acquiring(_) | Phase::Stopped => None,
            Phase::Opening { lease, since, step, .. } => {
                let step = match step {
                    Opening::Waiting { until } => Some(*until),
                    Opening::Reading { .. } | Opening::Asking { .. } => None,
                };
                earliest([lease.next_deadline(&self.timing), Some(since.plus(self.timing.store_deadline)), step])
            }
            Phase::Leading { lease, beat, compare, .. } => {
                let next_beat = match beat.next {
                    BeatStep::Due(at) => Some(at),
                    BeatStep::UnderWay { .. } => None,
                };
                earliest([
                    lease.next_deadline(&self.timing),
                    Some(beat.last_heard_at.plus(self.timing.store_deadline)),
                    next_beat,
                    compare.again_at,
                ])
            }
            Phase::Leaving(leaving) => match leaving.step {
                LeavingStep::Draining { until } => Some(until),
                LeavingStep::Vacating { .. } | LeavingStep::Releasing { .. } => None,
            },
        }
    }

    /// Does what is due. Comes before any event of the same instant: a late wake-up must find its deadlines
    /// first. `drained` says that the gate has no order under way.
    pub fn tick(&mut self, now: Now, drained: bool, out: &mut Outbox) {
        self.check_deadlines(now, out);
        match &mut self.phase {
            Phase::Following(following) => {
                if now.mono >= following.try_at {
                    self.acquire(now, out);
                }
            }
            Phase::Opening { lease, step, .. } => {
                lease.renew_if_due(now, self.highest_seen, &self.timing, out);
                if let Opening::Waiting { until } = *step
                    && now.mono >= until
                {
                    *step = Opening::Reading { id: out.call(Call::Store(StoreCall::ReadLeadership)) };
                }
            }
            Phase::Leading { lease, epoch, beat, compare, .. } => {
                lease.renew_if_due(now, self.highest_seen, &self.timing, out);
                if let BeatStep::Due(at) = beat.next
                    && now.mono >= at
                {
                    let call = StoreCall::Heartbeat { epoch: *epoch, holder: lease.holder.clone(), at: now.wall };
                    beat.next = BeatStep::UnderWay { id: out.call(Call::Store(call)), sent_at: now.mono };
                }
                if compare.again_at.is_some_and(|at| now.mono >= at) {
                    compare.ask(out);
                }
            }
            Phase::Leaving(leaving) => {
                if let LeavingStep::Draining { until } = leaving.step
                    && (drained || now.mono >= until)
                {
                    leaving.vacate_or_release(now, out);
                }
            }
            Phase::Acquiring(_) | Phase::Stopped => {}
        }
    }

    /// Gives up whatever is past its deadline.
    fn check_deadlines(&mut self, now: Now, out: &mut Outbox) {
        match &self.phase {
            Phase::Opening { lease, since, .. } => {
                if now.mono >= lease.asked_at.plus(self.timing.renew_deadline) {
                    self.leave(now, LossReason::RenewalDeadline, out);
                } else if now.mono >= since.plus(self.timing.store_deadline) {
                    self.leave(now, LossReason::StoreUnreachable(now.mono.since(*since)), out);
                }
            }
            Phase::Leading { lease, beat, .. } => {
                if now.mono >= lease.asked_at.plus(self.timing.renew_deadline) {
                    self.leave(now, LossReason::RenewalDeadline, out);
                } else if now.mono >= beat.last_heard_at.plus(self.timing.store_deadline) {
                    self.leave(now, LossReason::StoreUnreachable(now.mono.since(beat.last_heard_at)), out);
                }
            }
            Phase::Following(_) | Phase::Acquiring(_) | Phase::Leaving(_) | Phase::Stopped => {}
        }
    }

    /// Somebody says that the lease was released: try now, unless others are to go first; or again, if a try is under
    /// way that may have come too early.
    pub fn on_released_hint(&mut self, now: Now) {
        match &mut self.phase {
            Phase::Following(following) => {
                following.try_at = following.try_at.min(now.mono.max(following.not_before));
            }
            Phase::Acquiring(acquiring) => acquiring.released = true,
            Phase::Opening { .. } | Phase::Leading { .. } | Phase::Leaving(_) | Phase::Stopped => {}
        }
    }

    /// Gives up leadership, or the attempt at it, and lets others go first.
    pub fn step_down(&mut self, now: Now, reason: String, out: &mut Outbox) {
        match &mut self.phase {
            Phase::Opening { .. } | Phase::Leading { .. } => self.leave(now, LossReason::Asked(reason), out),
            Phase::Acquiring(acquiring) => acquiring.step_down = Some(reason),
            Phase::Following(following) => {
                if let Some(holder) = following.unheard.take() {
                    self.release_unled(holder, reason, self.timing.ttl, out);
                }
            }
            Phase::Leaving(_) | Phase::Stopped => {}
        }
    }

    /// Steps down and stays down.
    pub fn shut_down(&mut self, now: Now, out: &mut Outbox) {
        self.stopping = true;
        match &self.phase {
            Phase::Following(following) => match following.unheard.clone() {
                Some(holder) => self.release_unled(holder, "shutdown".into(), Duration::ZERO, out),
                None => self.phase = Phase::Stopped,
            },
            Phase::Acquiring(acquiring) => {
                self.release_unled(acquiring.holder.clone(), "shutdown".into(), Duration::ZERO, out);
            }
            Phase::Opening { .. } | Phase::Leading { .. } => {
                self.leave(now, LossReason::Asked("shutdown".into()), out);
            }
            Phase::Leaving(_) | Phase::Stopped => {}
        }
    }

    /// The store refused an act because this node's epoch is not the newest, or not this node's.
    pub fn on_fenced(&mut self, now: Now, newest: Epoch, out: &mut Outbox) {
        self.highest_seen = self.highest_seen.max(newest);
        let Phase::Leading { epoch, .. } = self.phase else { return };
        if newest < epoch {
            out.notice(Notice::EpochWentBack { read: newest, seen: epoch });
            self.leave(now, LossReason::EpochWentBack, out);
        } else {
            out.notice(Notice::Fenced { own: epoch, newest });
            self.leave(now, LossReason::Fenced(newest), out);
        }
    }

    /// A completion. Those that nothing waits for are stale, and change nothing.
    pub fn on_reply(&mut self, now: Now, id: CallId, reply: &Reply, out: &mut Outbox) {
        match reply {
            Reply::Lease(reply) => self.on_lease_reply(now, id, reply, out),
            Reply::Store(reply) => self.on_store_reply(now, id, reply, out),
            Reply::Place(_) | Reply::LookUp(_) => {}
        }
        // A grant that was a long time coming may be over already.
        self.check_deadlines(now, out);
    }

    fn on_lease_reply(&mut self, now: Now, id: CallId, reply: &Result<LeaseReply, PortError>, out: &mut Outbox) {
        match &mut self.phase {
            Phase::Acquiring(acquiring) if acquiring.id == id => {
                let acquiring = acquiring.clone();
                self.on_acquire_reply(now, acquiring, reply, out);
            }
            Phase::Opening { lease, .. } | Phase::Leading { lease, .. } if lease.awaits(id) => {
                if let Some(reason) = lease.on_renewal(now, reply, &self.timing, out) {
                    self.leave(now, reason, out);
                }
            }
            Phase::Leading { compare, .. } => {
                if let Some((awaited, seen)) = &mut compare.lease
                    && *awaited == id
                {
                    *seen = match reply {
                        Ok(LeaseReply::HeldBy { holder, .. }) => Some(Some(holder.clone())),
                        Ok(LeaseReply::Free) => Some(None),
                        Ok(LeaseReply::Granted { .. }) | Err(_) => None,
                    };
                    if seen.is_none() {
                        compare.fail(now, &self.timing);
                    }
                    self.compare(now, out);
                }
            }
            Phase::Leaving(leaving) => {
                if matches!(leaving.step, LeavingStep::Releasing { id: awaited } if awaited == id) {
                    if let Err(error) = reply {
                        out.port_failed("release the lease", error);
                    }
                    self.left(now);
                }
            }
            Phase::Following(_) | Phase::Acquiring(_) | Phase::Opening { .. } | Phase::Stopped => {}
        }
    }

    fn on_store_reply(&mut self, now: Now, id: CallId, reply: &Result<StoreReply, PortError>, out: &mut Outbox) {
        match &mut self.phase {
            Phase::Opening { step, .. } => {
                let sent_at = match *step {
                    Opening::Reading { id: awaited } if awaited == id => now.mono,
                    Opening::Asking { id: awaited, sent_at } if awaited == id => sent_at,
                    Opening::Reading { .. } | Opening::Waiting { .. } | Opening::Asking { .. } => return,
                };
                self.on_opening_reply(now, sent_at, reply, out);
            }
            Phase::Leading { beat, compare, .. } => {
                if let BeatStep::UnderWay { id: awaited, sent_at } = beat.next
                    && awaited == id
                {
                    self.on_beat_reply(now, sent_at, reply, out);
                } else if let Some((awaited, seen)) = &mut compare.store
                    && *awaited == id
                {
                    *seen = match reply {
                        Ok(StoreReply::Leadership(leadership)) => Some(leadership.clone()),
                        Ok(_) | Err(_) => None,
                    };
                    if seen.is_none() {
                        compare.fail(now, &self.timing);
                    }
                    self.compare(now, out);
                }
            }
            Phase::Leaving(leaving) => {
                if matches!(leaving.step, LeavingStep::Vacating { id: awaited } if awaited == id) {
                    if let Err(error) = reply {
                        out.port_failed("vacate the epoch", error);
                    }
                    leaving.release(out);
                }
            }
            Phase::Following(_) | Phase::Acquiring(_) | Phase::Stopped => {}
        }
    }
}

fn earliest<const N: usize>(deadlines: [Option<Mono>; N]) -> Option<Mono> {
    deadlines.into_iter().flatten().min()
}
