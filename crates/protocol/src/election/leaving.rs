//! Leaving: authority ends first; then drain, vacate the epoch, release the lease.

use std::time::Duration;

use crate::call::{Call, LeaseCall, StoreCall};
use crate::ids::{CallId, Epoch, Holder};
use crate::notice::{LossReason, Notice};
use crate::outbox::Outbox;
use crate::time::{Mono, Now};

use super::following::Following;
use super::{Election, Phase, STEADY_AFTER_TTLS};

#[derive(Clone, Debug)]
pub(super) struct Leaving {
    pub(super) holder: Holder,
    /// Ours to vacate, or perhaps: an epoch whose opening was asked for and not heard. The store vacates it for its
    /// holder alone, so that a wrong guess changes nothing. None when the store already knows better.
    pub(super) epoch: Option<Epoch>,
    pub(super) reason: String,
    pub(super) hold_off: Duration,
    pub(super) step: LeavingStep,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum LeavingStep {
    Draining { until: Mono },
    Vacating { id: CallId },
    Releasing { id: CallId },
}

impl Election {
    /// Authority ends here, before anything else is done about it.
    pub(super) fn leave(&mut self, now: Now, reason: LossReason, out: &mut Outbox) {
        let graceful = matches!(reason, LossReason::Asked(_));
        let (holder, led, unheard, steady) = match &self.phase {
            Phase::Leading { lease, epoch, since, .. } => {
                let steady = now.mono.since(*since) >= self.timing.ttl * STEADY_AFTER_TTLS;
                (lease.holder.clone(), Some(*epoch), None, steady)
            }
            Phase::Opening { lease, unheard, .. } => (lease.holder.clone(), None, *unheard, false),
            Phase::Following(_) | Phase::Acquiring(_) | Phase::Leaving(_) | Phase::Stopped => return,
        };
        out.notice(match led {
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
            epoch: led.or(unheard).filter(|_| vacates),
            reason: reason.to_string(),
            hold_off,
            step: LeavingStep::Draining {
                until: if led.is_some() { now.mono.plus(self.timing.drain) } else { now.mono },
            },
        });
    }

    pub(super) fn left(&mut self, now: Now) {
        let Phase::Leaving(leaving) = &self.phase else { return };
        let not_before = now.mono.plus(leaving.hold_off);
        self.phase = if self.stopping {
            Phase::Stopped
        } else {
            Phase::Following(Following { try_at: not_before, not_before, tries: 0, unheard: None })
        };
    }
}

impl Leaving {
    pub(super) fn vacate_or_release(&mut self, now: Now, out: &mut Outbox) {
        match self.epoch {
            Some(epoch) => {
                let call =
                    StoreCall::Vacate { epoch, holder: self.holder.clone(), reason: self.reason.clone(), at: now.wall };
                self.step = LeavingStep::Vacating { id: out.call(Call::Store(call)) };
            }
            None => self.release(out),
        }
    }

    pub(super) fn release(&mut self, out: &mut Outbox) {
        let call = LeaseCall::Release { holder: self.holder.clone() };
        self.step = LeavingStep::Releasing { id: out.call(Call::Lease(call)) };
    }
}
