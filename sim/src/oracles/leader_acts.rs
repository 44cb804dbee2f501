//! A node that the lease has not named for longer than the renewal deadline no longer acts as a leader: it sends
//! no heartbeat and no claim. Rests on no other clock than the node's own rate, and on nothing that Redis keeps.

use std::collections::BTreeMap;
use std::time::Duration;

use oncegate_protocol::Holder;

use super::Violation;

/// The oracle's name.
pub const NAME: &str = "leader-acts";

/// What the slowest clock that is drawn adds to the renewal deadline, and a little.
const SLACK: Duration = Duration::from_secs(1);

/// Sees every grant and renewal, and every act at the moment when a node decides on it.
#[derive(Default)]
pub struct LeaderActs {
    named: BTreeMap<String, Duration>,
    pub(super) violations: Vec<Violation>,
}

impl LeaderActs {
    /// Redis granted or extended the lease for `holder`.
    pub fn named(&mut self, holder: &str, at: Duration) {
        self.named.insert(holder.to_owned(), at);
    }

    /// The clocks of that host stood still for so long: as far as it can know, everything is that much younger.
    pub fn clock_stood_still(&mut self, host: &str, lasted: Duration) {
        let own = self.named.iter_mut().filter(|(holder, _)| holder.split(':').next() == Some(host));
        own.for_each(|(_, last)| *last += lasted);
    }

    /// A node sets out to `act` as `holder`, which may do so for `renew_deadline` after it was last named.
    pub fn acts(&mut self, act: &str, holder: &Holder, at: Duration, renew_deadline: Duration) {
        let last = self.named.get(holder.as_str()).copied();
        let limit = renew_deadline + SLACK;
        if last.is_none_or(|last| at > last + limit) {
            let since = last.map_or("ever".into(), |last| format!("{:.3}s", (at - last).as_secs_f64()));
            let what = format!("{holder} sets out to {act}, and the lease has not been its own for {since}");
            self.violations.push(Violation { oracle: NAME, at, what });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(8);

    #[test]
    fn a_leader_that_acts_on_without_its_lease_is_seen() {
        let mut oracle = LeaderActs::default();
        let holder = Holder::new("a:0:1");
        oracle.acts("claim", &holder, Duration::ZERO, DEADLINE);
        assert_eq!(oracle.violations.len(), 1);
        oracle.named("a:0:1", Duration::ZERO);
        oracle.acts("claim", &holder, Duration::from_secs(9), DEADLINE);
        assert_eq!(oracle.violations.len(), 1);
        oracle.acts("claim", &holder, Duration::from_secs(10), DEADLINE);
        assert_eq!(oracle.violations.len(), 2);
        // A clock that stood still with its machine tells it nothing.
        oracle.clock_stood_still("a", Duration::from_secs(5));
        oracle.acts("claim", &holder, Duration::from_secs(12), DEADLINE);
        assert_eq!(oracle.violations.len(), 2);
    }
}
