//! Whether somebody is there on the broker's side: an engine in another language that fetches its orders may not be.
//!
//! While nobody is, no claim is made, neither to begin nor to recover, and nothing is asked: each would end as an attempt
//! that was not sent, for as long as nobody is there. What needs no broker goes on: deadlines pass, what can't be found
//! out by anybody is left to a human, and outcomes are recorded.

use crate::notice::Notice;
use crate::outbox::Outbox;
use crate::record::{SignalRecord, SignalState};
use crate::time::Now;

use super::Gate;
use super::task::Stage;

impl Gate {
    /// Somebody is there on the broker's side, or nobody any more.
    pub fn on_broker_ready(&mut self, now: Now, ready: bool, out: &mut Outbox) {
        if self.broker_ready == ready {
            return;
        }
        self.broker_ready = ready;
        out.notice(if ready { Notice::BrokerReady } else { Notice::BrokerNotReady });
        for task in self.tasks.values_mut().filter(|task| ready && task.waits_for_broker) {
            task.waits_for_broker = false;
            if let Stage::Doubtful { at } = &mut task.stage {
                *at = now.mono;
            }
        }
    }

    /// Whether a signal may be begun, or its next leg, for all that is known here.
    pub(super) fn may_begin(&self, record: &SignalRecord) -> bool {
        self.broker_ready && (self.paused.is_none() || record.state != SignalState::Received)
    }
}
