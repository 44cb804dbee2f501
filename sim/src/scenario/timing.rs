//! The times of a run's nodes, as scenario files write them.

use std::time::Duration;

use oncegate_protocol::Timing;
use serde::{Deserialize, Serialize};

use super::Span;

/// [`Timing`], with times as people write them. What is left out is as in production.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TimingSpec {
    /// How long a lease lasts without renewal.
    pub ttl: Span,
    /// How often the leader renews and says in the store that it lives.
    pub renew_every: Span,
    /// The leader gives up this long after the last renewal that succeeded was sent.
    pub renew_deadline: Span,
    /// The longest a call to the lease may take.
    pub lease_timeout: Span,
    /// The longest a call to the store may take.
    pub store_timeout: Span,
    /// The longest an order or a look-up may take.
    pub broker_timeout: Span,
    /// By how much clocks may run slow, as a fraction.
    pub drift: f64,
    /// Taken off every lease beside the drift.
    pub margin: Span,
    /// Lease and store are compared at every so many heartbeats.
    pub compare_every: u32,
    /// For how long they may disagree.
    pub split_brain_grace: Span,
    /// From when on a store holder is no reason to wait.
    pub stale_after: Span,
    /// The leader gives up when no heartbeat has reached the store for this long.
    pub store_deadline: Span,
    /// The shortest pause before something is tried again.
    pub retry_least: Span,
    /// The longest.
    pub retry_most: Span,
    /// How long a leader that steps down waits for orders under way.
    pub drain: Span,
    /// How many signals are executed at a time.
    pub in_flight: usize,
}

impl Default for TimingSpec {
    fn default() -> Self {
        Self::of(&Timing::default())
    }
}

impl TimingSpec {
    /// Those times, to the millisecond.
    pub fn of(timing: &Timing) -> Self {
        let span = |time: Duration| Span::millis(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        Self {
            ttl: span(timing.ttl),
            renew_every: span(timing.renew_every),
            renew_deadline: span(timing.renew_deadline),
            lease_timeout: span(timing.lease_timeout),
            store_timeout: span(timing.store_timeout),
            broker_timeout: span(timing.broker_timeout),
            drift: timing.drift,
            margin: span(timing.margin),
            compare_every: timing.compare_every,
            split_brain_grace: span(timing.split_brain_grace),
            stale_after: span(timing.stale_after),
            store_deadline: span(timing.store_deadline),
            retry_least: span(timing.retry.0),
            retry_most: span(timing.retry.1),
            drain: span(timing.drain),
            in_flight: timing.in_flight,
        }
    }

    /// As the nodes are told.
    pub fn timing(&self) -> Timing {
        Timing {
            ttl: self.ttl.get(),
            renew_every: self.renew_every.get(),
            renew_deadline: self.renew_deadline.get(),
            lease_timeout: self.lease_timeout.get(),
            store_timeout: self.store_timeout.get(),
            broker_timeout: self.broker_timeout.get(),
            drift: self.drift,
            margin: self.margin.get(),
            compare_every: self.compare_every,
            split_brain_grace: self.split_brain_grace.get(),
            stale_after: self.stale_after.get(),
            store_deadline: self.store_deadline.get(),
            retry: (self.retry_least.get(), self.retry_most.get()),
            drain: self.drain.get(),
            in_flight: self.in_flight,
        }
    }

    /// Every time so many percent of production's, counts and drift as they are.
    pub fn scaled(percent: u32) -> Self {
        Self::default().scaled_by(percent)
    }

    /// Every time so many percent of what it is, counts and drift as they are.
    #[must_use]
    pub fn scaled_by(&self, percent: u32) -> Self {
        let default = self.timing();
        let scaled = |time: Duration| time * percent / 100;
        Self::of(&Timing {
            ttl: scaled(default.ttl),
            renew_every: scaled(default.renew_every),
            renew_deadline: scaled(default.renew_deadline),
            lease_timeout: scaled(default.lease_timeout),
            store_timeout: scaled(default.store_timeout),
            broker_timeout: scaled(default.broker_timeout),
            margin: scaled(default.margin),
            split_brain_grace: scaled(default.split_brain_grace),
            stale_after: scaled(default.stale_after),
            store_deadline: scaled(default.store_deadline),
            retry: (scaled(default.retry.0), scaled(default.retry.1)),
            drain: scaled(default.drain),
            ..default
        })
    }

    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_writes_is_as_in_production() {
        assert_eq!(TimingSpec::default().timing(), Timing::default());
        assert_eq!(TimingSpec::scaled(100), TimingSpec::default());
    }

    #[test]
    fn scaled_times_keep_their_relations() {
        for percent in [50, 90, 110, 200] {
            TimingSpec::scaled(percent).timing().check().unwrap();
        }
    }
}
