//! New orders, stopped by operators: what the gate knows of it.
//!
//! The store is what refuses, inside the claim; the gate knows of it so that it does not ask in vain, and so that
//! people are told. It learns from every look at what is owed, and from a claim that is refused.
//!
//! **What is in doubt goes on.** An order in doubt was let out before; it may be working at the exchange, and whoever
//! has stopped trading wants to know that more than anything. Asking the broker is harmless; and placing it again is
//! done only under the same id, where the broker deduplicates, and before the signal's deadline: there it *is* the
//! question whether the broker has it. At worst the one order that was let out arrives now instead of then. Leaving it
//! in doubt would be worse: after a long pause the broker may have forgotten its id, and a human would have to settle
//! what could have been settled at once. An order that was claimed and provably not sent is no such order: it is handed
//! back, and waits like the others.
//!
//! **The legs after the first go on too.** The order that operators stop is the signal's; once its first leg was let out,
//! to stop would leave half a hedge in the market for as long as the pause lasts.

use crate::notice::Notice;
use crate::outbox::Outbox;
use crate::record::Pause;

use super::Gate;

impl Gate {
    /// Takes note of what operators say, and tells it if it is news here.
    pub(super) fn learn_pause(&mut self, paused: Option<Pause>, out: &mut Outbox) {
        if self.paused == paused {
            return;
        }
        self.paused = paused;
        out.notice(match &self.paused {
            Some(Pause { reason, since }) => Notice::Paused { reason: reason.clone(), since: *since },
            None => Notice::Resumed,
        });
    }

    /// A claim was refused for it. A picture of the store that is on its way may be of before.
    pub(super) fn on_paused(&mut self, paused: Option<Pause>, out: &mut Outbox) {
        self.reading.old_pause = self.reading.under_way.is_some();
        self.learn_pause(paused, out);
    }
}
