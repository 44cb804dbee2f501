//! How long things may take in a world that is well: every bound that the oracles hold the system to, derived
//! from what the nodes are configured to keep to and from how long packets travel. Nothing here is measured.
//!
//! A *round* is one call in a well world, connecting included. A call that began while something was wrong may
//! take its whole time-out; that is part of [`Bounds::settles`] and of nothing that is owed after it.

use std::time::Duration;

use oncegate_protocol::Timing;

/// By how much the slowest clock that is ever drawn stretches a deadline, for rules that hold under any clock.
const SLOWEST: f64 = 1.07;
/// Packets that one call takes at most, connecting included.
const PACKETS: u32 = 8;
/// How often the world is looked at when nothing happens.
pub const LOOK: Duration = Duration::from_millis(250);
/// A subscriber that lost its link unheard notices and has a new one within this: the check of the link, its
/// time-out, the longest pause, and connecting (`RedisLeaseConfig::new`).
const LISTENER: Duration = Duration::from_secs(15 + 1 + 10 + 2);

/// What a system of such times owes.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// What the nodes keep to.
    pub timing: Timing,
    /// One call in a well world.
    pub round: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self::new(Timing::default(), Duration::from_millis(4))
    }
}

impl Bounds {
    /// For nodes of that timing in a world whose packets travel so long at most.
    pub fn new(timing: Timing, latency_max: Duration) -> Self {
        Self { timing, round: latency_max * PACKETS }
    }

    /// A time on a clock within the stated bound, as it may look from outside.
    fn seen(&self, time: Duration) -> Duration {
        time.mul_f64(1.0 + self.timing.drift) + LOOK
    }

    /// A time on any clock that is ever drawn, as it may look from outside.
    pub fn seen_on_any_clock(&self, time: Duration) -> Duration {
        time.mul_f64(SLOWEST) + LOOK
    }

    /// A time on any clock that is ever drawn is at least so long outside.
    pub fn at_least(&self, time: Duration) -> Duration {
        time.div_f64(SLOWEST)
    }

    /// One try that meets a connection that died unheard, and the pause before the next.
    fn dead_line(&self) -> Duration {
        self.timing.lease_timeout.max(self.timing.store_timeout) + self.timing.backoff(1)
    }

    /// Giving up what can't be kept: the longest deadline, the drain, vacating and releasing.
    fn gives_up(&self) -> Duration {
        let timing = &self.timing;
        timing.renew_deadline.max(timing.store_deadline) + timing.drain + timing.store_timeout + timing.lease_timeout
    }

    /// The longest pause before a follower tries: the rest of a lease, or the longest backoff.
    fn waits(&self) -> Duration {
        self.timing.ttl.max(self.timing.retry.1)
    }

    /// Opening an epoch with the lease in hand: a silent holder is waited out, asked about every first backoff.
    fn opens(&self) -> Duration {
        self.timing.stale_after + self.timing.backoff(1) + self.round * 4
    }

    /// So long after the last fault nothing is left of it: whatever was begun has ended, whoever had to give up
    /// has, and every pause is over.
    pub fn settles(&self) -> Duration {
        self.seen((self.gives_up() + self.waits() + self.dead_line()).max(LISTENER))
    }

    /// A node that is well leads, if nobody else does: it may have to give up an older leadership first, to wait,
    /// to meet a dead connection, and to wait for a silent holder.
    pub fn failover(&self) -> Duration {
        self.seen(self.gives_up() + self.waits() + self.dead_line() + self.opens())
    }

    /// After a leader has died and all others are settled: its lease runs out, and the first follower opens.
    pub fn after_death(&self) -> Duration {
        self.seen(self.timing.ttl + self.round * 2 + self.opens())
    }

    /// After the lease has run out and all others are settled: followers try at the millisecond.
    pub fn after_lapse(&self) -> Duration {
        self.seen(self.round * 2 + self.opens())
    }

    /// After an epoch was vacated and its lease released: the announcement, and three calls.
    pub fn after_release(&self) -> Duration {
        self.seen(self.round * 4)
    }

    /// Lease and store name two: told when the grace has passed, by who holds the lease and asks the store.
    pub fn split_told(&self) -> Duration {
        self.seen(self.timing.split_brain_grace + self.timing.backoff(1) + self.round * 3)
    }

    /// And ended, because the holder of the lease opens the next epoch.
    pub fn split_ends(&self) -> Duration {
        self.seen(self.opens() + self.round)
    }

    /// A leader compares lease and store at every so many heartbeats.
    pub fn compares(&self) -> Duration {
        self.seen((self.timing.renew_every + self.round) * self.timing.compare_every)
    }

    /// A quarantine is read by whoever leads, and told of: a leader reads what is owed twice in a lease time.
    pub fn finds_quarantines(&self) -> Duration {
        self.failover() + self.seen(self.timing.ttl / 2 + self.dead_line() + self.round * 2)
    }

    /// Who was not heard by the store for so long has given up, whatever clock it goes by.
    pub fn unheard(&self) -> Duration {
        self.seen_on_any_clock(self.timing.store_deadline)
    }

    /// Who was deposed has said so, whatever clock it goes by.
    pub fn deposed_tells(&self) -> Duration {
        self.seen_on_any_clock(self.timing.renew_deadline.max(self.timing.store_deadline))
    }

    /// What was heard is written, when the store can be reached: the longest pause, and a call that hangs.
    pub fn records(&self) -> Duration {
        self.seen_on_any_clock(self.timing.retry.1 + self.timing.store_timeout * 2)
    }

    /// A leader that has been well for so long has had an answer to a renewal and to a heartbeat that were asked for
    /// since: nothing of before can cost it its leadership any more.
    pub fn keeps(&self) -> Duration {
        self.seen(self.timing.renew_every + self.dead_line() + self.round * 2)
    }

    /// A holder of the lease that lives and is well renews at least so often.
    pub fn renews(&self) -> Duration {
        self.seen(self.timing.renew_every + self.dead_line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_of_the_default_timing_are_those_of_the_readme() {
        let bounds = Bounds::default();
        let tenths = |time: Duration| time.as_millis() / 100;
        assert_eq!(tenths(bounds.settles()), 345);
        assert_eq!(tenths(bounds.failover()), 412);
        assert_eq!(tenths(bounds.after_death()), 171);
        assert_eq!(tenths(bounds.after_lapse()), 70);
        assert_eq!(tenths(bounds.after_release()), 3);
        assert_eq!(tenths(bounds.split_told()), 59);
        assert_eq!(tenths(bounds.split_ends()), 69);
        assert_eq!(tenths(bounds.compares()), 207);
        assert_eq!(tenths(bounds.keeps()), 48);
        assert_eq!(tenths(bounds.finds_quarantines()), 491);
    }
}
