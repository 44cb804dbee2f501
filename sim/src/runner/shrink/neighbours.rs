//! Scenarios next to one: what an unrelated change of the code may turn it into.

use oncegate_protocol::Timing;

use crate::scenario::shape::Part;
use crate::scenario::{Scenario, Span};

/// How many each scenario has.
pub(super) const COUNT: usize = 5;

/// The protocol's own times, in hundredths of what they are.
pub(super) const AS_THEY_ARE: u32 = 100;

/// Each as a scenario and by which times of the protocol it runs.
pub(super) fn of(scenario: &Scenario) -> [(Scenario, u32); COUNT] {
    let elsewhere = Scenario { seed: scenario.seed ^ 0x5eed, ..scenario.clone() };
    [
        (scenario.clone(), 90),
        (scenario.clone(), 110),
        (elsewhere, AS_THEY_ARE),
        (with_faults(scenario, 80), AS_THEY_ARE),
        (with_faults(scenario, 120), AS_THEY_ARE),
    ]
}

/// All times of the protocol, longer or shorter.
pub(super) fn timing(percent: u32) -> Timing {
    let plain = Timing::default();
    let scaled = |duration: std::time::Duration| duration * percent / AS_THEY_ARE;
    Timing {
        ttl: scaled(plain.ttl),
        renew_every: scaled(plain.renew_every),
        renew_deadline: scaled(plain.renew_deadline),
        lease_timeout: scaled(plain.lease_timeout),
        store_timeout: scaled(plain.store_timeout),
        broker_timeout: scaled(plain.broker_timeout),
        margin: scaled(plain.margin),
        split_brain_grace: scaled(plain.split_brain_grace),
        stale_after: scaled(plain.stale_after),
        store_deadline: scaled(plain.store_deadline),
        retry: (scaled(plain.retry.0), scaled(plain.retry.1)),
        drain: scaled(plain.drain),
        drift: plain.drift,
        compare_every: plain.compare_every,
        in_flight: plain.in_flight,
    }
}

/// Every fault lasts longer or shorter.
fn with_faults(scenario: &Scenario, percent: i64) -> Scenario {
    let mut scenario = scenario.clone();
    for spec in &mut scenario.faults {
        spec.fault.parts(&mut |part| {
            if let Part::Lasts(span) = part {
                *span = Span::millis(span.as_millis() * percent / i64::from(AS_THEY_ARE));
            }
        });
    }
    scenario
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_neighbours_keep_the_rules() {
        for percent in [90, AS_THEY_ARE, 110] {
            assert_eq!(timing(percent).check(), Ok(()), "{percent} %");
        }
        assert_eq!(timing(AS_THEY_ARE), Timing::default());
    }
}
