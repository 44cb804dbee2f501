//! What a process has learned is kept: an acceptance that it heard of is in the store by the end, if it lived on,
//! whoever led by then. And nobody gives an order up that may still be found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use oncegate_protocol::{Fingerprint, Leg, SignalRecord, SignalState};

use super::Violation;
use crate::hosts::broker::LONGEST_FLIGHT;
use crate::world::host::Life;

/// The oracle's name.
pub const NAME: &str = "truth";

/// Sees what nodes send and hear, and what they give up.
#[derive(Default)]
pub struct Truth {
    accepted: BTreeMap<(Fingerprint, Leg), Vec<Arc<Life>>>,
    sent: BTreeMap<Fingerprint, Duration>,
    /// When the clocks of each host last went on after standing still.
    thawed: BTreeMap<usize, Duration>,
    /// Orders that such a host sent on a trust that had stood still with its clocks: later than anybody can know.
    stale: BTreeSet<Fingerprint>,
    pub(super) violations: Vec<Violation>,
}

impl Truth {
    /// A node hands an order to its connection.
    pub fn sent(&mut self, fingerprint: Fingerprint, at: Duration, by: usize, trust: Duration) {
        if self.thawed.get(&by).is_some_and(|thawed| at < *thawed + trust) {
            self.stale.insert(fingerprint);
        }
        self.sent.insert(fingerprint, at);
    }

    /// The clocks of that host stood still, and go on now.
    pub fn clock_stood_still(&mut self, host: usize, at: Duration) {
        self.thawed.insert(host, at);
    }

    /// A process has heard that the broker has the order.
    pub fn accepted(&mut self, fingerprint: Fingerprint, leg: Leg, by: Arc<Life>) {
        self.accepted.entry((fingerprint, leg)).or_default().push(by);
    }

    /// When the last order of each signal was sent.
    pub fn last_sent(&self) -> BTreeMap<Fingerprint, Duration> {
        self.sent.clone()
    }

    /// An order was given to a human, on a broker that can be asked. The doubt may have begun `head_start` before
    /// the last send of a deposed leader.
    pub fn given_up(&mut self, fingerprint: Fingerprint, at: Duration, head_start: Duration) {
        if !self.stale.contains(&fingerprint)
            && let Some(sent) = self.sent.get(&fingerprint)
            && at + head_start < *sent + LONGEST_FLIGHT
        {
            let what = format!("{fingerprint:?} is given up {:.3}s after it was sent", (at - *sent).as_secs_f64());
            self.violations.push(Violation { oracle: NAME, at, what });
        }
    }

    /// Judges the end of a run.
    pub fn judge(&self, at: Duration, stored: &[SignalRecord]) -> Vec<Violation> {
        let mut violations = Vec::new();
        for ((fingerprint, leg), lives) in &self.accepted {
            let Some(life) = lives.iter().find(|life| !life.is_over()) else { continue };
            let record = stored.iter().find(|record| record.fingerprint == *fingerprint);
            let state = record.map(|record| record.state);
            // Of several legs each is known by its own; with one the signal is.
            let known = record.is_some_and(|record| record.legs > 1 && record.has_accepted(*leg));
            if state != Some(SignalState::Executed) && !known {
                let state = state.map_or("not stored", SignalState::name);
                let what = format!("{} heard that {fingerprint:?} was accepted, and it is {state}", life.host.name);
                violations.push(Violation { oracle: NAME, at, what });
            }
        }
        violations
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracles::fixture::stored;
    use crate::world::host::Host;

    #[test]
    fn an_acceptance_that_was_heard_and_forgotten_is_seen() {
        let host = Host::new(0, "n1", turmoil_net::Net::new().add_host("10.0.0.1"));
        let mut oracle = Truth::default();
        oracle.accepted(Fingerprint::of_bytes(b"s"), Leg(0), host.start());
        assert_eq!(oracle.judge(Duration::ZERO, &[stored(SignalState::Executed)]), []);
        assert_eq!(oracle.judge(Duration::ZERO, &[stored(SignalState::Quarantined)]).len(), 1);
        assert_eq!(oracle.judge(Duration::ZERO, &[]).len(), 1);
        let of_two = SignalRecord { legs: 2, ..stored(SignalState::Partial) };
        assert_eq!(oracle.judge(Duration::ZERO, &[of_two]).len(), 1);
        // What died with its process can't be held against it.
        host.take_down();
        assert_eq!(oracle.judge(Duration::ZERO, &[stored(SignalState::Quarantined)]), []);
    }

    #[test]
    fn an_order_that_is_given_up_too_soon_is_seen() {
        let mut oracle = Truth::default();
        oracle.sent(Fingerprint::of_bytes(b"s"), Duration::from_secs(10), 0, Duration::from_secs(10));
        oracle.given_up(Fingerprint::of_bytes(b"s"), Duration::from_secs(30), Duration::from_secs(6));
        assert_eq!(oracle.violations, []);
        oracle.given_up(Fingerprint::of_bytes(b"s"), Duration::from_secs(11), Duration::from_secs(6));
        assert_eq!(oracle.violations.len(), 1);
        // A host that was suspended sends when it goes on, and nobody else can know when.
        oracle.clock_stood_still(1, Duration::from_secs(60));
        oracle.sent(Fingerprint::of_bytes(b"t"), Duration::from_secs(61), 1, Duration::from_secs(10));
        oracle.given_up(Fingerprint::of_bytes(b"t"), Duration::from_secs(62), Duration::from_secs(6));
        assert_eq!(oracle.violations.len(), 1);
    }
}
