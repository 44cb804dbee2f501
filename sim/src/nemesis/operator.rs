//! The operator, who finds out what became of what was left to a human.

use std::sync::Arc;
use std::time::Duration;

use oncegate_protocol::SignalState;
use oncegate_protocol::call::Resolution;

use super::Nemesis;
use crate::hosts::broker::LONGEST_FLIGHT;
use crate::world::trace::What;

/// How long after the last send an operator waits before an order counts as not placed.
const OPERATOR_WAITS: Duration = Duration::from_secs(10);

impl Nemesis {
    /// What an operator does who finds signals quarantined: looks each up in the broker's own book, and says so.
    pub(super) fn resolve_quarantined(self: &Arc<Self>, node: usize) {
        let Some(handle) = self.members.handle(node) else { return };
        let book = self.broker.book();
        let sent = self.world.judge().truth.last_sent();
        for record in self.store.signals().expect("the store can be read") {
            if record.state != SignalState::Quarantined {
                continue;
            }
            let placed = book.iter().any(|booked| booked.fingerprint == record.fingerprint);
            let settled = sent
                .get(&record.fingerprint)
                .is_none_or(|sent| self.world.now() > *sent + LONGEST_FLIGHT + OPERATOR_WAITS);
            // Who claimed it last may stand still with the order in hand: nobody repeats it before that host is seen.
            let claimant = record.attempts.last().and_then(|attempt| self.world.host(attempt.owner.instance()));
            let settled = settled && claimant.is_none_or(|host| !host.is_paused());
            let resolution = match (placed, settled) {
                (true, _) => Resolution::Executed,
                (false, true) => Resolution::Resend,
                (false, false) => continue,
            };
            let attempts = u32::try_from(record.attempts.len()).unwrap_or(u32::MAX);
            let (handle, reason) = (handle.clone(), "seen in the broker's book".to_owned());
            self.world.tell(node, What::Fault(format!("an operator says of {:?}: {resolution:?}", record.fingerprint)));
            self.world.spawn(async move {
                // Taken or not, the store shows it.
                let _ = handle.resolve(record.fingerprint, resolution, attempts, reason).await;
            });
        }
    }
}
