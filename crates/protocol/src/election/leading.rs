//! Leading: heartbeats to the store, and the comparison of whom the lease and the store name.

use crate::call::{Call, LeaseCall, PortError, StoreCall, StoreReply};
use crate::ids::{CallId, Holder};
use crate::notice::{LossReason, Notice};
use crate::outbox::Outbox;
use crate::record::Leadership;
use crate::time::{Mono, Now};
use crate::timing::Timing;

use super::{Election, Phase};

#[derive(Clone, Copy, Debug)]
pub(super) struct Beat {
    pub(super) count: u32,
    pub(super) last_heard_at: Mono,
    pub(super) next: BeatStep,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum BeatStep {
    Due(Mono),
    UnderWay { id: CallId, sent_at: Mono },
}

#[derive(Clone, Debug, Default)]
pub(super) struct Compare {
    pub(super) lease: Option<(CallId, Option<Option<Holder>>)>,
    pub(super) store: Option<(CallId, Option<Leadership>)>,
    pub(super) disagree_since: Option<Mono>,
    pub(super) again_at: Option<Mono>,
    pub(super) told: bool,
}

impl Election {
    pub(super) fn on_beat_reply(
        &mut self,
        now: Now,
        sent_at: Mono,
        reply: &Result<StoreReply, PortError>,
        out: &mut Outbox,
    ) {
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
                out.port_failed("say in the store that this node lives", error);
                beat.next = BeatStep::Due(now.mono.plus(self.timing.backoff(1)));
            }
        }
    }

    /// Lease and store should both name this node. When the store names another the epoch is over; when only
    /// the lease does, the next renewal will say so, and it is told if it lasts.
    pub(super) fn compare(&mut self, now: Now, out: &mut Outbox) {
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
}

impl Compare {
    pub(super) fn ask(&mut self, out: &mut Outbox) {
        self.again_at = None;
        self.lease = Some((out.call(Call::Lease(LeaseCall::Read)), None));
        self.store = Some((out.call(Call::Store(StoreCall::ReadLeadership)), None));
    }

    /// One side did not answer. Where they disagreed before, the next comparison is not left to chance.
    pub(super) fn fail(&mut self, now: Now, timing: &Timing) {
        self.lease = None;
        self.store = None;
        self.again_at = self.disagree_since.map(|_| now.mono.plus(timing.backoff(1)));
    }
}
