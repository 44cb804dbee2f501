//! A gate is open only while its node has the lease: no other node is granted the lease while a gate is open,
//! and no order is sent but by the node that the lease names.
//!
//! This promise rests on clocks and on Redis, so it is judged only while both keep to what is asked of them:
//! rates within the stated drift, Redis's own clock without steps, its data kept. (At-most-once rests on
//! neither, and is judged always.)

use std::time::Duration;

use oncegate_protocol::Timing;

use super::Violation;
use crate::hosts::node::Nodes;
use crate::world::World;

/// The oracle's name.
pub const NAME: &str = "gate-lease";

/// After one and a half times the ttl every lease from before is over on every clock, and the promise is owed
/// again.
fn leases_over(timing: &Timing) -> Duration {
    timing.ttl * 3 / 2
}

/// Sees every grant of the lease and every send.
#[derive(Default)]
pub struct GateLease {
    excused_until: Duration,
    pub(super) violations: Vec<Violation>,
}

impl GateLease {
    /// A clock runs outside of its bound until then, or Redis's steps.
    pub fn clocks_out_of_bound(&mut self, until: Duration, timing: &Timing) {
        self.excused_until = self.excused_until.max(until + leases_over(timing));
    }

    /// Redis forgot the lease.
    pub fn redis_lost_data(&mut self, at: Duration, timing: &Timing) {
        self.excused_until = self.excused_until.max(at + leases_over(timing));
    }

    /// Whether the promise is owed now: clocks and Redis keep to what is asked of them.
    pub fn owed(&self, at: Duration) -> bool {
        at >= self.excused_until
    }

    /// The lease was granted to the node at `to`.
    pub fn granted(&mut self, world: &World, nodes: &Nodes, to: usize, at: Duration) {
        let open: Vec<_> =
            nodes.places().into_iter().filter(|node| *node != to && nodes.gate_open(world, *node)).collect();
        self.judge_grant(
            &world.hosts()[to].name,
            &open.iter().map(|n| world.hosts()[*n].name.clone()).collect::<Vec<_>>(),
            at,
        );
    }

    /// The first byte of an order leaves the node at `by` while the lease names somebody for so much longer.
    pub fn sending(&mut self, world: &World, by: usize, lease: Option<(&str, Duration)>, broker_timeout: Duration) {
        let (by, at) = (&world.hosts()[by].name, world.now());
        self.judge_send(by, lease.map(|(holder, _)| holder), at);
        if let Some((holder, left)) = lease
            && at >= self.excused_until
            && holder.split(':').next() == Some(by)
            && left < broker_timeout
        {
            let what =
                format!("{by} sends an order while its lease lasts {left:?} only, less than the broker's time-out");
            self.violations.push(Violation { oracle: NAME, at, what });
        }
    }

    fn judge_grant(&mut self, to: &str, open: &[String], at: Duration) {
        if at < self.excused_until {
            return;
        }
        for other in open {
            let what = format!("the lease was granted to {to} while the gate of {other} was open");
            self.violations.push(Violation { oracle: NAME, at, what });
        }
    }

    fn judge_send(&mut self, by: &str, leased_to: Option<&str>, at: Duration) {
        let named = leased_to.and_then(|holder| holder.split(':').next());
        if at >= self.excused_until && named != Some(by) {
            let named = named.unwrap_or("nobody");
            let what = format!("{by} sends an order while the lease names {named}");
            self.violations.push(Violation { oracle: NAME, at, what });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_left_open_past_its_lease_is_seen() {
        let mut oracle = GateLease::default();
        oracle.judge_grant("n2", &["n1".into()], Duration::ZERO);
        oracle.judge_send("n1", Some("n2:00:1"), Duration::ZERO);
        oracle.judge_send("n1", None, Duration::ZERO);
        assert_eq!(oracle.violations.len(), 3);
    }

    #[test]
    fn a_held_lease_is_fine_and_a_lost_one_is_excused() {
        let mut oracle = GateLease::default();
        oracle.judge_grant("n2", &[], Duration::ZERO);
        oracle.judge_send("n1", Some("n1:00:1"), Duration::ZERO);
        oracle.redis_lost_data(Duration::ZERO, &Timing::default());
        oracle.judge_send("n1", Some("n2:00:1"), Duration::ZERO);
        assert_eq!(oracle.violations, []);
    }
}
