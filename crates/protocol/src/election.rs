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

use std::time::Duration;

use crate::call::{Call, LeaseCall, LeaseReply, PortError, Reply, StoreCall, StoreReply};
use crate::ids::{CallId, Epoch, Holder, InstanceId};
use crate::notice::{LossReason, Notice};
use crate::outbox::Outbox;
use crate::record::Leadership;
use crate::time::{Mono, Now};
use crate::timing::Timing;

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
    Opening { lease: Lease, since: Mono, told_split: bool, step: Opening },
    Leading { lease: Lease, epoch: Epoch, since: Mono, beat: Beat, compare: Compare },
    Leaving(Leaving),
    Stopped,
}

#[derive(Clone, Debug)]
struct Following {
    try_at: Mono,
    /// No hint makes it try earlier than this: others go first after a step-down, and flapping backs off.
    not_before: Mono,
    /// How many tries in a row brought no answer.
    tries: u32,
    /// The holder value of a try whose reply was lost: trying again under the same value finds a lease that
    /// was granted unheard.
    unheard: Option<Holder>,
}

#[derive(Clone, Debug)]
struct Acquiring {
    id: CallId,
    holder: Holder,
    sent_at: Mono,
    not_before: Mono,
    tries: u32,
    /// Why this node was asked to step down meanwhile, if it was. It hears the reply out before it releases: a
    /// release that overtook the request would leave the lease to nobody.
    step_down: Option<String>,
}

#[derive(Clone, Debug)]
struct Lease {
    holder: Holder,
    /// When the last grant was asked for; trust runs from before the send.
    asked_at: Mono,
    renewal: Renewal,
}

#[derive(Clone, Copy, Debug)]
enum Renewal {
    Due(Mono),
    UnderWay { id: CallId, sent_at: Mono },
}

#[derive(Clone, Copy, Debug)]
enum Opening {
    Reading { id: CallId },
    Waiting { until: Mono },
    Asking { id: CallId, sent_at: Mono },
}

#[derive(Clone, Copy, Debug)]
struct Beat {
    count: u32,
    last_heard_at: Mono,
    next: BeatStep,
}

#[derive(Clone, Copy, Debug)]
enum BeatStep {
    Due(Mono),
    UnderWay { id: CallId, sent_at: Mono },
}

#[derive(Clone, Debug, Default)]
struct Compare {
    lease: Option<(CallId, Option<Option<Holder>>)>,
    store: Option<(CallId, Option<Leadership>)>,
    disagree_since: Option<Mono>,
    again_at: Option<Mono>,
    told: bool,
}

#[derive(Clone, Debug)]
struct Leaving {
    holder: Holder,
    /// Ours to vacate; none when the store already knows better.
    epoch: Option<Epoch>,
    reason: String,
    hold_off: Duration,
    step: LeavingStep,
}

#[derive(Clone, Copy, Debug)]
enum LeavingStep {
    Draining { until: Mono },
    Vacating { id: CallId },
    Releasing { id: CallId },
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
                lease.renew_if_due(now, &self.timing, out);
                if let Opening::Waiting { until } = *step
                    && now.mono >= until
                {
                    *step = Opening::Reading { id: out.call(Call::Store(StoreCall::ReadLeadership)) };
                }
            }
            Phase::Leading { lease, epoch, beat, compare, .. } => {
                lease.renew_if_due(now, &self.timing, out);
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

    /// Somebody says that the lease was released: try now, unless others are to go first.
    pub fn on_released_hint(&mut self, now: Now) {
        if let Phase::Following(following) = &mut self.phase {
            following.try_at = following.try_at.min(now.mono.max(following.not_before));
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
                        Ok(LeaseReply::Granted) | Err(_) => None,
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
                        port_failed("release the lease", error, out);
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
                        port_failed("vacate the epoch", error, out);
                    }
                    leaving.release(out);
                }
            }
            Phase::Following(_) | Phase::Acquiring(_) | Phase::Stopped => {}
        }
    }

    // ---- Following, Acquiring

    fn acquire(&mut self, now: Now, out: &mut Outbox) {
        let Phase::Following(following) = &mut self.phase else { return };
        let (not_before, tries) = (following.not_before, following.tries);
        let holder = following.unheard.take().unwrap_or_else(|| {
            self.acquisitions += 1;
            Holder::of(&self.instance, self.boot_nonce, self.acquisitions)
        });
        let call = LeaseCall::Acquire { holder: holder.clone(), ttl: self.timing.ttl };
        let id = out.call(Call::Lease(call));
        let acquiring = Acquiring { id, holder, sent_at: now.mono, not_before, tries, step_down: None };
        self.phase = Phase::Acquiring(acquiring);
    }

    fn on_acquire_reply(
        &mut self,
        now: Now,
        acquiring: Acquiring,
        reply: &Result<LeaseReply, PortError>,
        out: &mut Outbox,
    ) {
        let Acquiring { holder, sent_at, mut not_before, tries, step_down, .. } = acquiring;
        let tries = tries + 1;
        if step_down.is_some() {
            not_before = not_before.max(now.mono.plus(self.timing.ttl));
        }
        match reply {
            Ok(LeaseReply::Granted) => {
                if let Some(reason) = step_down {
                    out.notice(Notice::GaveUpLease { reason: LossReason::Asked(reason.clone()) });
                    self.release_unled(holder, reason, self.timing.ttl, out);
                    return;
                }
                let id = out.call(Call::Store(StoreCall::ReadLeadership));
                self.phase = Phase::Opening {
                    lease: Lease::granted(holder, sent_at, &self.timing),
                    since: now.mono,
                    told_split: false,
                    step: Opening::Reading { id },
                };
            }
            Ok(LeaseReply::HeldBy { remaining, .. }) => {
                // One millisecond more, because that is how finely the lease counts.
                let wait = remaining.unwrap_or(self.timing.ttl).min(self.timing.ttl) + Duration::from_millis(1);
                let try_at = now.mono.plus(wait).max(not_before);
                self.phase = Phase::Following(Following { try_at, not_before, tries: 0, unheard: None });
            }
            Ok(LeaseReply::Free) | Err(_) => {
                let error = match reply {
                    Err(error) => error.clone(),
                    Ok(_) => PortError("answered neither granted nor held".into()),
                };
                port_failed("acquire the lease", &error, out);
                if let Some(reason) = step_down {
                    self.release_unled(holder, reason, self.timing.ttl, out);
                    return;
                }
                let try_at = now.mono.plus(self.timing.backoff(tries)).max(not_before);
                self.phase = Phase::Following(Following { try_at, not_before, tries, unheard: Some(holder) });
            }
        }
    }

    /// Lets go of a lease that was granted, or may have been, before anything came of it.
    fn release_unled(&mut self, holder: Holder, reason: String, hold_off: Duration, out: &mut Outbox) {
        let mut leaving =
            Leaving { holder, epoch: None, reason, hold_off, step: LeavingStep::Draining { until: Mono::ZERO } };
        leaving.release(out);
        self.phase = Phase::Leaving(leaving);
    }

    // ---- Opening

    fn on_opening_reply(&mut self, now: Now, sent_at: Mono, reply: &Result<StoreReply, PortError>, out: &mut Outbox) {
        match reply {
            Ok(StoreReply::Opened(epoch)) => self.lead(now, *epoch, sent_at, out),
            Ok(StoreReply::Leadership(leadership) | StoreReply::Fenced(leadership)) => {
                self.open_or_wait(now, leadership, out);
            }
            Ok(_) | Err(_) => {
                let error = match reply {
                    Err(error) => error.clone(),
                    Ok(_) => PortError("answered something else".into()),
                };
                port_failed("open an epoch", &error, out);
                self.wait_and_read(now);
            }
        }
    }

    fn wait_and_read(&mut self, now: Now) {
        let until = now.mono.plus(self.timing.backoff(1));
        if let Phase::Opening { step, .. } = &mut self.phase {
            *step = Opening::Waiting { until };
        }
    }

    /// The lease is ours; the store says who opened the newest epoch. A holder that still beats is given time
    /// to notice that its lease is gone, so that its orders end under its own epoch and none is put in doubt;
    /// one that is silent, vacated or out of time is passed over.
    fn open_or_wait(&mut self, now: Now, leadership: &Leadership, out: &mut Outbox) {
        if leadership.epoch < self.highest_seen {
            out.notice(Notice::EpochWentBack { read: leadership.epoch, seen: self.highest_seen });
            self.leave(now, LossReason::EpochWentBack, out);
            return;
        }
        self.highest_seen = leadership.epoch;
        let own_prefix = Holder::of(&self.instance, self.boot_nonce, 0);
        let Phase::Opening { lease, since, told_split, step } = &mut self.phase else { return };
        let waited = now.mono.since(*since);
        let may_open = match &leadership.holder {
            None => true,
            Some(holder) if *holder == lease.holder => {
                // Our own opening, whose reply was lost: the holder value is of this acquisition alone.
                let epoch = leadership.epoch;
                self.lead(now, epoch, now.mono, out);
                return;
            }
            Some(holder) => {
                // An earlier acquisition of this very process is over for certain.
                same_process(holder, &own_prefix)
                    || now.wall.since(leadership.heartbeat_at) >= self.timing.stale_after
                    || waited >= self.timing.stale_after
            }
        };
        if may_open {
            let call = StoreCall::OpenEpoch { expected: leadership.epoch, holder: lease.holder.clone(), at: now.wall };
            *step = Opening::Asking { id: out.call(Call::Store(call)), sent_at: now.mono };
            return;
        }
        if waited >= self.timing.split_brain_grace && !*told_split {
            *told_split = true;
            out.notice(Notice::SplitBrain { lease: Some(lease.holder.clone()), store: leadership.holder.clone() });
        }
        self.wait_and_read(now);
    }

    fn lead(&mut self, now: Now, epoch: Epoch, heard_at: Mono, out: &mut Outbox) {
        let Phase::Opening { lease, .. } = &self.phase else { return };
        let lease = lease.clone();
        self.highest_seen = self.highest_seen.max(epoch);
        out.notice(Notice::BecameLeader { epoch, holder: lease.holder.clone() });
        self.phase = Phase::Leading {
            lease,
            epoch,
            since: now.mono,
            beat: Beat {
                count: 0,
                last_heard_at: heard_at,
                next: BeatStep::Due(now.mono.plus(self.timing.renew_every)),
            },
            compare: Compare::default(),
        };
    }

    // ---- Leading

    fn on_beat_reply(&mut self, now: Now, sent_at: Mono, reply: &Result<StoreReply, PortError>, out: &mut Outbox) {
        let Phase::Leading { beat, compare, .. } = &mut self.phase else { return };
        match reply {
            Ok(StoreReply::Fenced(leadership)) => {
                let newest = leadership.epoch;
                self.on_fenced(now, newest, out);
            }
            Ok(_) => {
                beat.last_heard_at = sent_at;
                beat.count += 1;
                beat.next = BeatStep::Due(sent_at.plus(self.timing.renew_every).max(now.mono));
                if beat.count.is_multiple_of(self.timing.compare_every) {
                    compare.ask(out);
                }
            }
            Err(error) => {
                port_failed("say in the store that this node lives", error, out);
                beat.next = BeatStep::Due(now.mono.plus(self.timing.backoff(1)));
            }
        }
    }

    /// Lease and store should both name this node. When the store names another the epoch is over; when only
    /// the lease does, the next renewal will say so, and it is told if it lasts.
    fn compare(&mut self, now: Now, out: &mut Outbox) {
        let Phase::Leading { lease, epoch, compare, .. } = &mut self.phase else { return };
        let (Some((_, Some(leased_to))), Some((_, Some(stored)))) = (&compare.lease, &compare.store) else { return };
        let (leased_to, stored) = (leased_to.clone(), stored.clone());
        compare.lease = None;
        compare.store = None;
        if stored.epoch < *epoch {
            out.notice(Notice::EpochWentBack { read: stored.epoch, seen: *epoch });
            self.leave(now, LossReason::EpochWentBack, out);
        } else if stored.holder.as_ref() != Some(&lease.holder) {
            out.notice(Notice::SplitBrain { lease: leased_to, store: stored.holder.clone() });
            self.on_fenced(now, stored.epoch, out);
        } else if leased_to.as_ref() == Some(&lease.holder) {
            compare.disagree_since = None;
            compare.told = false;
        } else {
            let since = *compare.disagree_since.get_or_insert(now.mono);
            if now.mono.since(since) >= self.timing.split_brain_grace {
                if !compare.told {
                    compare.told = true;
                    out.notice(Notice::SplitBrain { lease: leased_to, store: stored.holder });
                }
            } else {
                compare.again_at = Some(since.plus(self.timing.split_brain_grace));
            }
        }
    }

    // ---- Leaving

    /// Authority ends here, before anything else is done about it.
    fn leave(&mut self, now: Now, reason: LossReason, out: &mut Outbox) {
        let graceful = matches!(reason, LossReason::Asked(_));
        let (holder, epoch, steady) = match &self.phase {
            Phase::Leading { lease, epoch, since, .. } => {
                let steady = now.mono.since(*since) >= self.timing.ttl * STEADY_AFTER_TTLS;
                (lease.holder.clone(), Some(*epoch), steady)
            }
            Phase::Opening { lease, .. } => (lease.holder.clone(), None, false),
            Phase::Following(_) | Phase::Acquiring(_) | Phase::Leaving(_) | Phase::Stopped => return,
        };
        out.notice(match epoch {
            Some(epoch) => Notice::LostLeadership { epoch, reason: reason.clone() },
            None => Notice::GaveUpLease { reason: reason.clone() },
        });
        self.flaps = if steady || graceful { 0 } else { self.flaps + 1 };
        let hold_off = if graceful {
            self.timing.ttl
        } else if reason == LossReason::EpochWentBack {
            self.timing.retry.1
        } else {
            self.timing.backoff(self.flaps)
        };
        let vacates = !matches!(reason, LossReason::Fenced(_) | LossReason::EpochWentBack);
        self.phase = Phase::Leaving(Leaving {
            holder,
            epoch: epoch.filter(|_| vacates),
            reason: reason.to_string(),
            hold_off,
            step: LeavingStep::Draining {
                until: if epoch.is_some() { now.mono.plus(self.timing.drain) } else { now.mono },
            },
        });
    }

    fn left(&mut self, now: Now) {
        let Phase::Leaving(leaving) = &self.phase else { return };
        let not_before = now.mono.plus(leaving.hold_off);
        self.phase = if self.stopping {
            Phase::Stopped
        } else {
            Phase::Following(Following { try_at: not_before, not_before, tries: 0, unheard: None })
        };
    }
}

impl Lease {
    fn granted(holder: Holder, asked_at: Mono, timing: &Timing) -> Self {
        Self { holder, asked_at, renewal: Renewal::Due(asked_at.plus(timing.renew_every)) }
    }

    fn next_deadline(&self, timing: &Timing) -> Option<Mono> {
        let renewal = match self.renewal {
            Renewal::Due(at) => Some(at),
            Renewal::UnderWay { .. } => None,
        };
        earliest([Some(self.asked_at.plus(timing.renew_deadline)), renewal])
    }

    fn renew_if_due(&mut self, now: Now, timing: &Timing, out: &mut Outbox) {
        if let Renewal::Due(at) = self.renewal
            && now.mono >= at
        {
            let call = LeaseCall::Renew { holder: self.holder.clone(), ttl: timing.ttl };
            self.renewal = Renewal::UnderWay { id: out.call(Call::Lease(call)), sent_at: now.mono };
        }
    }

    fn awaits(&self, awaited: CallId) -> bool {
        matches!(self.renewal, Renewal::UnderWay { id, .. } if id == awaited)
    }

    /// Why the lease is lost, if it is.
    fn on_renewal(
        &mut self,
        now: Now,
        reply: &Result<LeaseReply, PortError>,
        timing: &Timing,
        out: &mut Outbox,
    ) -> Option<LossReason> {
        let Renewal::UnderWay { sent_at, .. } = self.renewal else { return None };
        match reply {
            Ok(LeaseReply::Granted) => {
                self.asked_at = sent_at;
                self.renewal = Renewal::Due(sent_at.plus(timing.renew_every).max(now.mono));
                None
            }
            Ok(LeaseReply::HeldBy { holder, .. }) => Some(LossReason::LeaseTaken(holder.clone())),
            Ok(LeaseReply::Free) => Some(LossReason::LeaseGone),
            Err(error) => {
                port_failed("renew the lease", error, out);
                self.renewal = Renewal::Due(now.mono.plus(timing.backoff(1).min(timing.renew_every)));
                None
            }
        }
    }
}

impl Compare {
    fn ask(&mut self, out: &mut Outbox) {
        self.again_at = None;
        self.lease = Some((out.call(Call::Lease(LeaseCall::Read)), None));
        self.store = Some((out.call(Call::Store(StoreCall::ReadLeadership)), None));
    }

    /// One side did not answer. Where they disagreed before, the next comparison is not left to chance.
    fn fail(&mut self, now: Now, timing: &Timing) {
        self.lease = None;
        self.store = None;
        self.again_at = self.disagree_since.map(|_| now.mono.plus(timing.backoff(1)));
    }
}

impl Leaving {
    fn vacate_or_release(&mut self, now: Now, out: &mut Outbox) {
        match self.epoch {
            Some(epoch) => {
                let call =
                    StoreCall::Vacate { epoch, holder: self.holder.clone(), reason: self.reason.clone(), at: now.wall };
                self.step = LeavingStep::Vacating { id: out.call(Call::Store(call)) };
            }
            None => self.release(out),
        }
    }

    fn release(&mut self, out: &mut Outbox) {
        let call = LeaseCall::Release { holder: self.holder.clone() };
        self.step = LeavingStep::Releasing { id: out.call(Call::Lease(call)) };
    }
}

fn same_process(holder: &Holder, own: &Holder) -> bool {
    let process = |holder: &Holder| holder.as_str().rsplit_once(':').map(|(process, _)| process.to_owned());
    process(holder) == process(own)
}

fn earliest<const N: usize>(deadlines: [Option<Mono>; N]) -> Option<Mono> {
    deadlines.into_iter().flatten().min()
}

fn port_failed(doing: &str, error: &PortError, out: &mut Outbox) {
    out.notice(Notice::PortFailed { doing: doing.into(), detail: error.to_string() });
}
