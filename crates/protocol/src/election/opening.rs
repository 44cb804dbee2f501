//! Opening: the lease is held, the epoch is not open yet.

use crate::call::{Call, PortError, StoreCall, StoreReply};
use crate::ids::{CallId, Epoch, Holder};
use crate::notice::{LossReason, Notice};
use crate::outbox::Outbox;
use crate::record::Leadership;
use crate::time::{Mono, Now};

use super::leading::{Beat, BeatStep, Compare};
use super::{Election, Phase};

#[derive(Clone, Copy, Debug)]
pub(super) enum Opening {
    Reading { id: CallId },
    Waiting { until: Mono },
    Asking { id: CallId, sent_at: Mono },
}

impl Election {
    pub(super) fn on_opening_reply(
        &mut self,
        now: Now,
        sent_at: Mono,
        reply: &Result<StoreReply, PortError>,
        out: &mut Outbox,
    ) {
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
                out.port_failed("open an epoch", &error);
                self.wait_and_read(now);
            }
        }
    }

    pub(super) fn wait_and_read(&mut self, now: Now) {
        let until = now.mono.plus(self.timing.backoff(1));
        if let Phase::Opening { step, .. } = &mut self.phase {
            *step = Opening::Waiting { until };
        }
    }

    /// The lease is ours; the store says who opened the newest epoch. A holder that still beats is given time
    /// to notice that its lease is gone, so that its orders end under its own epoch and none is put in doubt;
    /// one that is silent, vacated or out of time is passed over. Who opened an epoch since the lease was granted
    /// must have got the lease later, while this process stood still, perhaps its clocks with it. The newcomer's time
    /// starts anew, and long before it is over a renewal tells who has the lease.
    pub(super) fn open_or_wait(&mut self, now: Now, leadership: &Leadership, out: &mut Outbox) {
        if leadership.epoch < self.highest_seen {
            out.notice(Notice::EpochWentBack { read: leadership.epoch, seen: self.highest_seen });
            self.leave(now, LossReason::EpochWentBack, out);
            return;
        }
        self.highest_seen = leadership.epoch;
        let own_prefix = Holder::of(&self.instance, self.boot_nonce, 0);
        let Phase::Opening { lease, since, incumbent, told_split, unheard, step } = &mut self.phase else { return };
        // What was asked for can't be open any more, nor be opened by a late copy, once the store is past it.
        *unheard = unheard.filter(|epoch| leadership.epoch < *epoch);
        let patient_since = match *incumbent {
            None => *since,
            Some((epoch, since)) if epoch == leadership.epoch => since,
            Some(_) => now.mono,
        };
        *incumbent = Some((leadership.epoch, patient_since));
        let waited = now.mono.since(patient_since);
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
            // Should its answer not be heard, this is the epoch to vacate.
            *unheard = Some(Epoch(leadership.epoch.0 + 1));
            *step = Opening::Asking { id: out.call(Call::Store(call)), sent_at: now.mono };
            return;
        }
        if waited >= self.timing.split_brain_grace && !*told_split {
            *told_split = true;
            out.notice(Notice::SplitBrain { lease: Some(lease.holder.clone()), store: leadership.holder.clone() });
        }
        self.wait_and_read(now);
    }

    pub(super) fn lead(&mut self, now: Now, epoch: Epoch, heard_at: Mono, out: &mut Outbox) {
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
}

fn same_process(holder: &Holder, own: &Holder) -> bool {
    let process = |holder: &Holder| holder.as_str().rsplit_once(':').map(|(process, _)| process.to_owned());
    process(holder) == process(own)
}
