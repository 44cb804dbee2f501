//! Scenarios next to one: what an unrelated change of the code may turn it into.

use crate::scenario::shape::Part;
use crate::scenario::{Scenario, Span};

/// How many each scenario has.
pub(super) const COUNT: usize = 5;

/// The times of the protocol 10 % shorter and longer, another network, the faults 20 % shorter and longer.
pub(super) fn of(scenario: &Scenario) -> [Scenario; COUNT] {
    let elsewhere = Scenario { seed: scenario.seed ^ 0x5eed, ..scenario.clone() };
    [
        with_times(scenario, 90),
        with_times(scenario, 110),
        elsewhere,
        with_faults(scenario, 80),
        with_faults(scenario, 120),
    ]
}

/// All times of the protocol, longer or shorter.
fn with_times(scenario: &Scenario, percent: u32) -> Scenario {
    let mut scenario = scenario.clone();
    scenario.world.timing = scenario.world.timing.scaled_by(percent);
    scenario
}

/// Every fault lasts longer or shorter.
fn with_faults(scenario: &Scenario, percent: i64) -> Scenario {
    let mut scenario = scenario.clone();
    for spec in &mut scenario.faults {
        spec.fault.parts(&mut |part| {
            if let Part::Lasts(span) = part {
                *span = Span::millis(span.as_millis() * percent / 100);
            }
        });
    }
    scenario
}
