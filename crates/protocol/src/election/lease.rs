//! The lease while it is held: how long it can be trusted, and its renewals.

use crate::call::{Call, LeaseCall, LeaseReply, PortError};
use crate::ids::{CallId, Epoch, Holder};
use crate::notice::LossReason;
use crate::outbox::Outbox;
use crate::time::{Mono, Now};
use crate::timing::Timing;

use super::earliest;

#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) holder: Holder,
    /// When the last grant was asked for; trust runs from before the send.
    pub(super) asked_at: Mono,
    pub(super) renewal: Renewal,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Renewal {
    Due(Mono),
    UnderWay { id: CallId, sent_at: Mono },
}

impl Lease {
    pub(super) fn granted(holder: Holder, asked_at: Mono, timing: &Timing) -> Self {
        Self { holder, asked_at, renewal: Renewal::Due(asked_at.plus(timing.renew_every)) }
    }

    pub(super) fn next_deadline(&self, timing: &Timing) -> Option<Mono> {
        let renewal = match self.renewal {
            Renewal::Due(at) => Some(at),
            Renewal::UnderWay { .. } => None,
        };
        earliest([Some(self.asked_at.plus(timing.renew_deadline)), renewal])
    }

    pub(super) fn renew_if_due(&mut self, now: Now, seen: Epoch, timing: &Timing, out: &mut Outbox) {
        if let Renewal::Due(at) = self.renewal
            && now.mono >= at
        {
            let call = LeaseCall::Renew { holder: self.holder.clone(), ttl: timing.ttl, seen };
            self.renewal = Renewal::UnderWay { id: out.call(Call::Lease(call)), sent_at: now.mono };
        }
    }

    pub(super) fn awaits(&self, awaited: CallId) -> bool {
        matches!(self.renewal, Renewal::UnderWay { id, .. } if id == awaited)
    }

    /// Why the lease is lost, if it is.
    pub(super) fn on_renewal(
        &mut self,
        now: Now,
        reply: &Result<LeaseReply, PortError>,
        timing: &Timing,
        out: &mut Outbox,
    ) -> Option<LossReason> {
        let Renewal::UnderWay { sent_at, .. } = self.renewal else { return None };
        match reply {
            Ok(LeaseReply::Granted { .. }) => {
                self.asked_at = sent_at;
                self.renewal = Renewal::Due(sent_at.plus(timing.renew_every).max(now.mono));
                None
            }
            Ok(LeaseReply::HeldBy { holder, .. }) => Some(LossReason::LeaseTaken(holder.clone())),
            Ok(LeaseReply::Free) => Some(LossReason::LeaseGone),
            Err(error) => {
                out.port_failed("renew the lease", error);
                self.renewal = Renewal::Due(now.mono.plus(timing.backoff(1).min(timing.renew_every)));
                None
            }
        }
    }
}
