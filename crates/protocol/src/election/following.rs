//! Following and acquiring: trying for the lease when the present one has run out.

use std::time::Duration;

use crate::call::{Call, LeaseCall, LeaseReply, PortError, StoreCall};
use crate::ids::{CallId, Holder};
use crate::notice::{LossReason, Notice};
use crate::outbox::Outbox;
use crate::time::{Mono, Now};

use super::lease::Lease;
use super::leaving::{Leaving, LeavingStep};
use super::opening::Opening;
use super::{Election, Phase};

#[derive(Clone, Debug)]
pub(super) struct Following {
    pub(super) try_at: Mono,
    /// No hint makes it try earlier than this: others go first after a step-down, and flapping backs off.
    pub(super) not_before: Mono,
    /// How many tries in a row brought no answer.
    pub(super) tries: u32,
    /// The holder value of a try whose reply was lost: trying again under the same value finds a lease that
    /// was granted unheard.
    pub(super) unheard: Option<Holder>,
}

#[derive(Clone, Debug)]
pub(super) struct Acquiring {
    pub(super) id: CallId,
    pub(super) holder: Holder,
    pub(super) sent_at: Mono,
    pub(super) not_before: Mono,
    pub(super) tries: u32,
    /// Why this node was asked to step down meanwhile, if it was. It hears the reply out before it releases: a
    /// release that overtook the request would leave the lease to nobody.
    pub(super) step_down: Option<String>,
    /// Somebody said meanwhile that the lease was released, perhaps after the lease store had refused this request:
    /// a refusal is then no news.
    pub(super) released: bool,
}

impl Election {
    pub(super) fn acquire(&mut self, now: Now, out: &mut Outbox) {
        let Phase::Following(following) = &mut self.phase else { return };
        let (not_before, tries) = (following.not_before, following.tries);
        let holder = following.unheard.take().unwrap_or_else(|| {
            self.acquisitions += 1;
            Holder::of(&self.instance, self.boot_nonce, self.acquisitions)
        });
        let call = LeaseCall::Acquire { holder: holder.clone(), ttl: self.timing.ttl };
        let id = out.call(Call::Lease(call));
        let acquiring =
            Acquiring { id, holder, sent_at: now.mono, not_before, tries, step_down: None, released: false };
        self.phase = Phase::Acquiring(acquiring);
    }

    pub(super) fn on_acquire_reply(
        &mut self,
        now: Now,
        acquiring: Acquiring,
        reply: &Result<LeaseReply, PortError>,
        out: &mut Outbox,
    ) {
        let Acquiring { holder, sent_at, mut not_before, tries, step_down, released, .. } = acquiring;
        let tries = tries + 1;
        if step_down.is_some() {
            not_before = not_before.max(now.mono.plus(self.timing.ttl));
        }
        match reply {
            Ok(LeaseReply::Granted { seen }) => {
                self.highest_seen = self.highest_seen.max(*seen);
                if let Some(reason) = step_down {
                    out.notice(Notice::GaveUpLease { reason: LossReason::Asked(reason.clone()) });
                    self.release_unled(holder, reason, self.timing.ttl, out);
                    return;
                }
                let id = out.call(Call::Store(StoreCall::ReadLeadership));
                self.phase = Phase::Opening {
                    lease: Lease::granted(holder, sent_at, &self.timing),
                    since: now.mono,
                    incumbent: None,
                    told_split: false,
                    unheard: None,
                    step: Opening::Reading { id },
                };
            }
            Ok(LeaseReply::HeldBy { remaining, .. }) => {
                // One millisecond more, because that is how finely the lease counts.
                let runs_out = remaining.unwrap_or(self.timing.ttl).min(self.timing.ttl) + Duration::from_millis(1);
                let wait = if released { Duration::ZERO } else { runs_out };
                let try_at = now.mono.plus(wait).max(not_before);
                self.phase = Phase::Following(Following { try_at, not_before, tries: 0, unheard: None });
            }
            Ok(LeaseReply::Free) | Err(_) => {
                let error = match reply {
                    Err(error) => error.clone(),
                    Ok(_) => PortError("answered neither granted nor held".into()),
                };
                out.port_failed("acquire the lease", &error);
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
    pub(super) fn release_unled(&mut self, holder: Holder, reason: String, hold_off: Duration, out: &mut Outbox) {
        let mut leaving =
            Leaving { holder, epoch: None, reason, hold_off, step: LeavingStep::Draining { until: Mono::ZERO } };
        leaving.release(out);
        self.phase = Phase::Leaving(leaving);
    }
}
