//! A leader heeds what it is told: from the moment at which a refusal is in its hands it acts no more. The refusals
//! are a renewal denied and an act fenced by the store; silence of the store for the whole store deadline is one
//! too. The acts are renewals, heartbeats, claims and orders that are handed on.
//!
//! Judged at the ports: what a process was told there it knows, whatever it makes of it. No clock but the
//! deadline's own matters, and no fault excuses anything.

use std::collections::BTreeMap;
use std::time::Duration;

use oncegate_protocol::{LeaseCall, LeaseReply, StoreCall, StoreReply};

use super::Violation;
use super::bounds::Bounds;

/// The oracle's name.
pub const NAME: &str = "heeds";

/// Sees what each leader is told, and each of its acts when it sets out to it.
#[derive(Default)]
pub struct Heeds {
    refused: BTreeMap<String, (Duration, &'static str)>,
    heard: BTreeMap<String, Duration>,
    pub(super) violations: Vec<Violation>,
}

impl Heeds {
    /// The lease's answer to a call has reached who asked.
    pub fn lease_answered(&mut self, at: Duration, call: &LeaseCall, reply: &LeaseReply) {
        match (call, reply) {
            // Until it has led, its time without the store counts from here.
            (LeaseCall::Acquire { holder, .. }, LeaseReply::Granted { .. }) => {
                self.heard.insert(holder.as_str().to_owned(), at);
            }
            (LeaseCall::Renew { holder, .. }, LeaseReply::HeldBy { .. } | LeaseReply::Free) => {
                self.refused.entry(holder.as_str().to_owned()).or_insert((at, "its renewal was denied"));
            }
            _ => {}
        }
    }

    /// The store's answer to a call has reached who asked.
    pub fn store_answered(&mut self, at: Duration, call: &StoreCall, reply: &StoreReply) {
        let holder = match (call, reply) {
            (StoreCall::Heartbeat { holder, .. } | StoreCall::Conclude { holder, .. }, StoreReply::Fenced(_)) => holder,
            (StoreCall::Claim(claim), StoreReply::Fenced(_)) => &claim.holder,
            _ => return,
        };
        self.refused.entry(holder.as_str().to_owned()).or_insert((at, "the store fenced it"));
    }

    /// The store carried a call out: it has heard of the caller, whether or not the caller hears of that.
    pub fn store_heard(&mut self, at: Duration, call: &StoreCall, reply: &StoreReply) {
        if let (StoreCall::Heartbeat { holder, .. } | StoreCall::OpenEpoch { holder, .. }, reply) = (call, reply)
            && matches!(reply, StoreReply::Done | StoreReply::Opened(_))
        {
            self.heard.insert(holder.as_str().to_owned(), at);
        }
    }

    /// The clocks of that host stood still for so long: so much longer may the store have heard nothing of it.
    pub fn clock_stood_still(&mut self, host: &str, lasted: Duration) {
        let own = self.heard.iter_mut().filter(|(holder, _)| holder.split(':').next() == Some(host));
        own.for_each(|(_, heard)| *heard += lasted);
    }

    /// A process says that it leads: perhaps because it has just read in the store that its epoch is open.
    pub fn leads(&mut self, at: Duration, holder: &str) {
        self.heard.insert(holder.to_owned(), at);
    }

    /// A process sets out to `act` as `holder`.
    pub fn acts(&mut self, at: Duration, act: &str, holder: &str, bounds: &Bounds) {
        if let Some((refused, why)) = self.refused.get(holder)
            && at > *refused
        {
            let what = format!("{holder} sets out to {act}, though at {:.3}s {why}", refused.as_secs_f64());
            self.violations.push(Violation { oracle: NAME, at, what });
        }
        if let Some(heard) = self.heard.get(holder)
            && at > *heard + bounds.unheard()
        {
            let silent = (at - *heard).as_secs_f64();
            let what = format!("{holder} sets out to {act}, and the store has not heard of it for {silent:.3}s");
            self.violations.push(Violation { oracle: NAME, at, what });
        }
    }
}

#[cfg(test)]
mod tests {
    use oncegate_protocol::{Epoch, Holder, Leadership, Wall};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn renewal() -> LeaseCall {
        LeaseCall::Renew { holder: Holder::new("a"), ttl: SECOND, seen: Epoch(0) }
    }

    fn heartbeat() -> StoreCall {
        StoreCall::Heartbeat { epoch: Epoch(1), holder: Holder::new("a"), at: Wall::default() }
    }

    #[test]
    fn who_acts_on_after_a_denied_renewal_is_seen() {
        let (mut oracle, bounds) = (Heeds::default(), Bounds::default());
        oracle.lease_answered(SECOND, &renewal(), &LeaseReply::Granted { seen: Epoch(0) });
        oracle.acts(2 * SECOND, "claim", "a", &bounds);
        oracle.lease_answered(2 * SECOND, &renewal(), &LeaseReply::Free);
        oracle.acts(2 * SECOND, "claim", "a", &bounds);
        oracle.acts(3 * SECOND, "claim", "b", &bounds);
        assert_eq!(oracle.violations, []);
        oracle.acts(3 * SECOND, "claim", "a", &bounds);
        assert_eq!(oracle.violations.len(), 1);
    }

    #[test]
    fn who_acts_on_after_it_was_fenced_is_seen() {
        let (mut oracle, bounds) = (Heeds::default(), Bounds::default());
        let row =
            Leadership { epoch: Epoch(2), holder: None, heartbeat_at: Wall::default(), paused: None, pause_words: 0 };
        oracle.store_answered(SECOND, &heartbeat(), &StoreReply::Done);
        oracle.acts(2 * SECOND, "say that it leads", "a", &bounds);
        assert_eq!(oracle.violations, []);
        oracle.store_answered(2 * SECOND, &heartbeat(), &StoreReply::Fenced(row));
        oracle.acts(3 * SECOND, "say that it leads", "a", &bounds);
        assert_eq!(oracle.violations.len(), 1);
    }

    #[test]
    fn who_keeps_the_lease_without_the_store_is_seen() {
        let (mut oracle, bounds) = (Heeds::default(), Bounds::default());
        oracle.store_heard(SECOND, &heartbeat(), &StoreReply::Done);
        oracle.acts(SECOND + bounds.timing.store_deadline, "renew", "a", &bounds);
        assert_eq!(oracle.violations, []);
        oracle.acts(2 * SECOND + bounds.unheard(), "renew", "a", &bounds);
        assert_eq!(oracle.violations.len(), 1);
    }
}
