//! Every time the protocol keeps to, and the relations without which its promises would be empty.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Times and counts. The defaults are those of the system that oncegate replaces where it had one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Timing {
    /// How long a lease lasts without renewal.
    pub ttl: Duration,
    /// How often the leader renews, and how often it says in the store that it lives.
    pub renew_every: Duration,
    /// The leader gives up this long after the send of the last renewal that succeeded.
    pub renew_deadline: Duration,
    /// The longest a call to the lease may take.
    pub lease_timeout: Duration,
    /// The longest a call to the store may take.
    pub store_timeout: Duration,
    /// The longest an order or a look-up may take, connecting included.
    pub broker_timeout: Duration,
    /// By how much a host's monotonic clock may run slower than the lease's, as a fraction.
    pub drift: f64,
    /// Taken off every lease beside the drift, for pauses between a clock reading and its use.
    pub margin: Duration,
    /// The leader compares lease and store at every so many heartbeats.
    pub compare_every: u32,
    /// For how long they may disagree before it is called split brain.
    pub split_brain_grace: Duration,
    /// A store holder whose heartbeat is older than this is no reason to wait with the next epoch.
    pub stale_after: Duration,
    /// The leader gives up when no heartbeat has reached the store for this long.
    pub store_deadline: Duration,
    /// The shortest and longest pause before something that failed is tried again.
    pub retry: (Duration, Duration),
    /// How long a leader that steps down waits for orders under way.
    pub drain: Duration,
    /// How many signals are executed at a time; those in doubt don't count.
    pub in_flight: usize,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(10),
            renew_every: Duration::from_secs(2),
            renew_deadline: Duration::from_secs(8),
            lease_timeout: Duration::from_millis(1_500),
            store_timeout: Duration::from_secs(2),
            broker_timeout: Duration::from_secs(4),
            drift: 0.01,
            margin: Duration::from_millis(500),
            compare_every: 10,
            split_brain_grace: Duration::from_secs(5),
            stale_after: Duration::from_secs(6),
            store_deadline: Duration::from_secs(12),
            retry: (Duration::from_millis(500), Duration::from_secs(10)),
            drain: Duration::from_secs(6),
            in_flight: 1,
        }
    }
}

/// A relation between times that does not hold: its rule, and the values that break it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("timing: {rule} must hold, but {values}")]
pub struct TimingError {
    /// The relation.
    pub rule: &'static str,
    /// The two sides.
    pub values: String,
}

impl Timing {
    /// For how long a lease can be trusted, counted from before the send: `ttl * (1 - drift) - margin`.
    pub fn trust(&self) -> Duration {
        self.ttl.mul_f64(1.0 - self.drift).saturating_sub(self.margin)
    }

    /// Checks every relation that a promise rests on.
    ///
    /// # Errors
    /// The first relation that does not hold, by name and with its values.
    pub fn check(&self) -> Result<(), TimingError> {
        if !(0.0..=0.2).contains(&self.drift) {
            return Err(TimingError { rule: "0 <= drift <= 0.2", values: format!("drift is {}", self.drift) });
        }
        let rule = |holds: bool, rule: &'static str, left: Duration, right: Duration| {
            if holds {
                Ok(())
            } else {
                Err(TimingError { rule, values: format!("the left side is {left:?} and the right side {right:?}") })
            }
        };
        // Three renewals may fail, the third as slowly as it can, before leadership is given up for it.
        let three_tries = self.renew_every * 3 + self.lease_timeout;
        rule(
            three_tries <= self.renew_deadline,
            "3*renew_every + lease_timeout <= renew_deadline",
            three_tries,
            self.renew_deadline,
        )?;
        rule(
            self.renew_deadline < self.trust(),
            "renew_deadline < ttl*(1 - drift) - margin",
            self.renew_deadline,
            self.trust(),
        )?;
        // Otherwise no moment of a lease would be long enough to send in.
        rule(self.broker_timeout < self.ttl / 2, "broker_timeout < ttl/2", self.broker_timeout, self.ttl / 2)?;
        let left_at_renewal = self.trust().saturating_sub(self.renew_every + self.lease_timeout);
        rule(
            self.broker_timeout <= left_at_renewal,
            "broker_timeout <= ttl*(1 - drift) - margin - renew_every - lease_timeout",
            self.broker_timeout,
            left_at_renewal,
        )?;
        let missed_beats = self.renew_every * 2 + self.store_timeout;
        rule(
            missed_beats <= self.stale_after,
            "2*renew_every + store_timeout <= stale_after",
            missed_beats,
            self.stale_after,
        )?;
        rule(
            self.stale_after < self.store_deadline,
            "stale_after < store_deadline",
            self.stale_after,
            self.store_deadline,
        )?;
        let slowest_end = self.broker_timeout + self.store_timeout;
        rule(slowest_end <= self.drain, "broker_timeout + store_timeout <= drain", slowest_end, self.drain)?;
        rule(self.retry.0 <= self.retry.1, "retry.0 <= retry.1", self.retry.0, self.retry.1)?;
        for (positive, name) in [
            (self.renew_every, "0 < renew_every"),
            (self.lease_timeout, "0 < lease_timeout"),
            (self.store_timeout, "0 < store_timeout"),
            (self.broker_timeout, "0 < broker_timeout"),
            (self.retry.0, "0 < retry.0"),
        ] {
            rule(!positive.is_zero(), name, Duration::ZERO, positive)?;
        }
        for (count, name) in [(self.compare_every as usize, "1 <= compare_every"), (self.in_flight, "1 <= in_flight")] {
            if count == 0 {
                return Err(TimingError { rule: name, values: "it is 0".into() });
            }
        }
        Ok(())
    }

    /// The pause before try number `tries` (counting from 1) of something that failed: doubled each time.
    pub fn backoff(&self, tries: u32) -> Duration {
        self.retry.0.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(self.retry.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Break = fn(&mut Timing);

    #[test]
    fn the_defaults_hold() {
        Timing::default().check().unwrap();
    }

    #[test]
    fn every_relation_is_named_when_it_breaks() {
        let s = Duration::from_secs;
        let broken: [(Break, &str); 10] = [
            (|t| t.drift = 0.5, "drift"),
            (|t| t.renew_every = Duration::from_secs(3), "3*renew_every"),
            (|t| t.renew_deadline = Duration::from_millis(9_500), "renew_deadline < ttl"),
            (|t| t.broker_timeout = Duration::from_secs(5), "broker_timeout < ttl/2"),
            (|t| t.stale_after = Duration::from_secs(5), "<= stale_after"),
            (|t| t.store_deadline = Duration::from_secs(6), "stale_after < store_deadline"),
            (|t| t.drain = Duration::from_secs(5), "<= drain"),
            (|t| t.retry = (Duration::from_secs(2), Duration::from_secs(1)), "retry.0 <= retry.1"),
            (|t| t.compare_every = 0, "compare_every"),
            (|t| t.in_flight = 0, "in_flight"),
        ];
        for (breaks, name) in broken {
            let mut timing = Timing::default();
            breaks(&mut timing);
            let error = timing.check().unwrap_err();
            assert!(error.rule.contains(name), "{name}: {error}");
        }
        let slow_lease = Timing { renew_every: Duration::from_millis(500), lease_timeout: s(6), ..Timing::default() };
        assert!(slow_lease.check().unwrap_err().rule.starts_with("broker_timeout <= ttl"));
    }

    #[test]
    fn backoff_doubles_and_stops() {
        let timing = Timing::default();
        let pauses: Vec<_> = (1..8).map(|tries| timing.backoff(tries).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 10000, 10000]);
    }
}
