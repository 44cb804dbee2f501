//! How long things took: a distribution since the start for Prometheus, percentiles of late for people.

use std::time::Duration;

use hdrhistogram::Histogram;
use oncegate_protocol::Mono;

use super::ring::{Ring, Slice};
use super::snapshot::{BucketFigures, HistogramFigures, LatelyFigures};

/// Bounds for calls that should take milliseconds, in seconds.
pub(crate) const CALL_BOUNDS: &[f64] =
    &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bounds for what takes lease times, in seconds.
pub(crate) const FAILOVER_BOUNDS: &[f64] = &[0.25, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0, 60.0];
/// Bounds from "at once" to "after the week-end", in seconds.
pub(crate) const SENT_BOUNDS: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0];

/// The rolling window of failure ratios.
const RATIO_SLICE: Duration = Duration::from_secs(10);
const RATIO_SLICES: usize = 30;
/// The rolling window of percentiles; coarser slices, because each is some kilobytes.
const LATENCY_SLICE: Duration = Duration::from_secs(60);
const LATENCY_SLICES: usize = 5;
/// What percentiles can tell apart: microseconds, up to a minute, in two significant digits.
const SHORTEST_US: u64 = 1;
const LONGEST_US: u64 = 60_000_000;
const DIGITS: u8 = 2;

/// A distribution since the start.
#[derive(Debug)]
pub(crate) struct Distribution {
    bounds: &'static [f64],
    /// One more than bounds: the last is for what is beyond them all.
    counts: Vec<u64>,
    sum_seconds: f64,
}

impl Distribution {
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum_seconds: 0.0 }
    }

    pub(crate) fn record(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.counts[self.bounds.partition_point(|bound| *bound < seconds)] += 1;
        self.sum_seconds += seconds;
    }

    pub(crate) fn figures(&self) -> HistogramFigures {
        let mut count = 0;
        let buckets = std::iter::zip(self.bounds, &self.counts)
            .map(|(le_seconds, here)| {
                count += here;
                BucketFigures { le_seconds: *le_seconds, count }
            })
            .collect();
        HistogramFigures { count: self.counts.iter().sum(), sum_seconds: self.sum_seconds, buckets }
    }
}

/// Calls of late: how many failed, and how long they took.
#[derive(Debug)]
pub(crate) struct Lately {
    ends: Ring<Ends>,
    latency: Ring<Histogram<u32>>,
}

#[derive(Default, Debug)]
struct Ends {
    all: u64,
    failed: u64,
}

impl Slice for Ends {
    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Slice for Histogram<u32> {
    fn clear(&mut self) {
        self.reset();
    }
}

fn latencies() -> Histogram<u32> {
    Histogram::new_with_bounds(SHORTEST_US, LONGEST_US, DIGITS).expect("the bounds are constants that it takes")
}

impl Lately {
    pub(crate) fn new() -> Self {
        Self {
            ends: Ring::new(RATIO_SLICE, RATIO_SLICES, Ends::default),
            latency: Ring::new(LATENCY_SLICE, LATENCY_SLICES, latencies),
        }
    }

    pub(crate) fn record(&mut self, now: Mono, took: Duration, failed: bool) {
        let ends = self.ends.at(now);
        ends.all += 1;
        ends.failed += u64::from(failed);
        self.latency.at(now).saturating_record(u64::try_from(took.as_micros()).unwrap_or(LONGEST_US));
    }

    #[allow(clippy::cast_precision_loss)] // Counts of five minutes, and microseconds of a minute.
    pub(crate) fn figures(&self, now: Mono) -> LatelyFigures {
        let (mut ended, mut failed) = (0, 0);
        for slice in self.ends.live(now) {
            ended += slice.all;
            failed += slice.failed;
        }
        let mut latency = latencies();
        for slice in self.latency.live(now) {
            latency.add(slice).expect("both have the same bounds");
        }
        let seconds = |micros: u64| (!latency.is_empty()).then_some(micros as f64 / 1e6);
        LatelyFigures {
            window_seconds: self.ends.covers().as_secs_f64(),
            ended,
            failed,
            failure_ratio: if ended == 0 { 0.0 } else { failed as f64 / ended as f64 },
            p50_seconds: seconds(latency.value_at_quantile(0.50)),
            p95_seconds: seconds(latency.value_at_quantile(0.95)),
            p99_seconds: seconds(latency.value_at_quantile(0.99)),
            max_seconds: seconds(latency.max()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_counts_what_it_equals() {
        let mut distribution = Distribution::new(&[0.001, 0.002]);
        for micros in [1_000, 1_001, 2_000, 3_000] {
            distribution.record(Duration::from_micros(micros));
        }
        let figures = distribution.figures();
        assert_eq!(figures.buckets.iter().map(|bucket| bucket.count).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(figures.count, 4);
        assert!((figures.sum_seconds - 0.007_001).abs() < 1e-9);
    }

    #[test]
    fn percentiles_are_those_of_late_and_to_two_digits() {
        let mut lately = Lately::new();
        let at = |seconds: u64| Mono::from_millis(seconds * 1_000);
        lately.record(at(0), Duration::from_secs(9), true);
        for ms in 1..=100 {
            lately.record(at(400), Duration::from_millis(ms), ms > 90);
        }
        let figures = lately.figures(at(401));
        assert_eq!((figures.ended, figures.failed), (100, 10));
        for (seen, due) in [
            (figures.p50_seconds, 0.050),
            (figures.p95_seconds, 0.095),
            (figures.p99_seconds, 0.099),
            (figures.max_seconds, 0.100),
        ] {
            let seen = seen.unwrap();
            assert!((seen - due).abs() / due < 0.01, "{seen} for {due}");
        }
        assert_eq!(lately.figures(at(4_000)).p99_seconds, None);
        assert!(lately.figures(at(4_000)).failure_ratio.abs() < f64::EPSILON);
    }

    #[test]
    fn what_takes_for_ever_counts_as_a_minute() {
        let mut lately = Lately::new();
        lately.record(Mono::ZERO, Duration::MAX, true);
        assert!(lately.figures(Mono::ZERO).p50_seconds.unwrap() >= 60.0);
    }
}
