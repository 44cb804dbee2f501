//! The operator, who finds out what became of what was left to a human, and stops new orders.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncegate_protocol::call::Resolution;
use oncegate_protocol::{Leg, SignalState};
use tokio::sync::Notify;

use super::Nemesis;
use crate::hosts::broker::LONGEST_FLIGHT;
use crate::hosts::node::Nodes;
use crate::world::trace::What;
use crate::world::{World, locked};

/// How long after the last send an operator waits before an order counts as not placed.
const OPERATOR_WAITS: Duration = Duration::from_secs(10);

/// How long an operator waits for a node to confirm a word.
const OPERATOR_PATIENCE: Duration = Duration::from_secs(3);
/// And how long before it is said at the next one.
const OPERATOR_TURNS: Duration = Duration::from_secs(1);

/// Who stops new orders and lets them go on, for as many reasons as there are at a time.
pub(super) struct Operator {
    world: Arc<World>,
    members: Arc<Nodes>,
    nodes: usize,
    mind: Mutex<Mind>,
    changed: Notify,
}

#[derive(Default)]
struct Mind {
    /// How many reasons there are to have new orders stopped.
    reasons: u32,
    /// How often the operator has had another mind.
    turns: u64,
}

impl Operator {
    pub(super) fn new(world: Arc<World>, members: Arc<Nodes>, nodes: usize) -> Self {
        Self { world, members, nodes, mind: Mutex::default(), changed: Notify::new() }
    }

    /// One more reason to have them stopped.
    pub(super) fn stops_orders(self: &Arc<Self>, at: usize) {
        locked(&self.mind).reasons += 1;
        self.say(at, true);
    }

    /// One reason less; with the last one they go on.
    pub(super) fn lets_orders_go_on(self: &Arc<Self>, at: usize) {
        let reasons = {
            let mind = &mut *locked(&self.mind);
            mind.reasons = mind.reasons.saturating_sub(1);
            mind.reasons
        };
        if reasons == 0 {
            self.say(at, false);
        }
    }

    /// Says it at one node after the other until one confirms it, or the operator has another mind: what was said
    /// before is then not waited for any more.
    fn say(self: &Arc<Self>, first: usize, paused: bool) {
        let turn = {
            let mind = &mut *locked(&self.mind);
            mind.turns += 1;
            mind.turns
        };
        self.changed.notify_waiters();
        let operator = Arc::clone(self);
        self.world.spawn(async move {
            let changed = operator.changed.notified();
            if locked(&operator.mind).turns != turn {
                return;
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = operator.insist(first, paused) => {}
            }
        });
    }

    async fn insist(&self, first: usize, paused: bool) {
        let mut node = first;
        loop {
            if let Some(handle) = self.members.handle(node) {
                let reason = "as the operator's book has it".to_owned();
                let said = async { if paused { handle.pause(reason).await } else { handle.resume(reason).await } };
                tokio::select! {
                    biased;
                    answer = said => if answer.is_ok() { return },
                    () = self.world.sleep_until(self.world.now() + OPERATOR_PATIENCE) => {}
                }
            }
            node = (node + 1) % self.nodes;
            self.world.sleep_until(self.world.now() + OPERATOR_TURNS).await;
        }
    }
}

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
            let has = |leg| book.iter().any(|booked| (booked.fingerprint, booked.leg) == (record.fingerprint, leg));
            let placed = (0..record.legs).map(Leg).all(has);
            if !placed && has(record.current_leg()) {
                // Half of it: that is unwound or completed by hand, and not today.
                continue;
            }
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
