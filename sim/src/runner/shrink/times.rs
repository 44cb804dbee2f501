//! Shorter runs, earlier events, shorter faults, rounder times.

use std::time::Duration;

use super::anchors::strikes_at;
use super::cost::is_round;
use super::search::Best;
use super::structure::with_fault;
use crate::scenario::read::LEAST_HEALED;
use crate::scenario::shape::Part;
use crate::scenario::{Scenario, Span};

/// What a time may become, in milliseconds: steps of 1, 2, 5, and two that people like.
const STEPS: [i64; 17] = [
    100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000, 120_000, 180_000, 300_000,
    420_000, 600_000,
];
/// What a part that counts in another unit may become.
const NUMBERS: [i64; 12] = [1, 10, 100, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 150_000, 200_000];
/// How long before the first event the nodes need to agree on a leader, and more than that.
const BEGINNINGS: [Span; 4] = [Span::secs(5), Span::secs(10), Span::secs(20), Span::secs(60)];

fn span(time: Duration) -> Span {
    Span::millis(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

/// With such a fault phase, and nothing that it has no room for.
fn with_fault_phase(scenario: &Scenario, faults_for: Span) -> Scenario {
    let mut cut = scenario.clone();
    cut.world.faults_for = faults_for;
    cut.signals.retain(|signal| signal.at < faults_for);
    cut.faults.retain(|spec| spec.at.is_none_or(|at| at < faults_for));
    for spec in &mut cut.faults {
        let room = Span::millis(faults_for.as_millis() - spec.at.unwrap_or_default().as_millis());
        if span(spec.fault.lasts()) > room {
            spec.fault.set_lasts(room);
        }
    }
    cut
}

/// The fault phase to just after the violation, or shorter by halves; the healed phase to what progress may take.
pub(super) fn cut_the_end(best: &Best) -> Vec<Scenario> {
    let world = &best.scenario.world;
    let mut healed = best.scenario.clone();
    healed.world.healed_for = LEAST_HEALED;
    let mut shorter = vec![world.faults_for.as_millis() / 4, world.faults_for.as_millis() / 2];
    if best.seen_at_once() {
        let broken = span(best.broken_at).as_millis() / 1_000 * 1_000;
        shorter.extend([1_000, 2_000, 5_000, 10_000].map(|after| broken + after));
        shorter.extend(STEPS.into_iter().filter(|step| *step > broken));
    }
    shorter.extend(STEPS.map(|step| step / 1_000 * 1_000));
    shorter.extend([world.faults_for.as_millis() - 10_000, world.faults_for.as_millis() - 1_000]);
    shorter.retain(|faults_for| *faults_for < world.faults_for.as_millis() && *faults_for >= 1_000);
    shorter.sort_unstable();
    let both = shorter.iter().map(|faults_for| with_fault_phase(&healed, Span::millis(*faults_for)));
    let cut = shorter.iter().map(|faults_for| with_fault_phase(&best.scenario, Span::millis(*faults_for)));
    both.chain([healed.clone()]).chain(cut).collect()
}

/// A fault phase in which every fault comes to its own end: a fault that is cut off seems to last longer than it
/// does.
pub(super) fn with_time_for_every_fault(best: &Best) -> Vec<Scenario> {
    let strikes = best.scenario.faults.iter().filter_map(|spec| Some((strikes_at(spec, best)?, spec.fault.lasts())));
    let faults_for = best.scenario.world.faults_for;
    let Some(ends) = strikes.map(|(at, lasts)| span(at + lasts)).max().filter(|ends| *ends > faults_for) else {
        return Vec::new();
    };
    let longer = STEPS.into_iter().map(Span::millis).filter(|step| *step > ends);
    longer.take(2).map(|step| with_fault_phase(&best.scenario, step)).collect()
}

/// Everything earlier by as much: signals, faults, what anchors count, the end.
pub(super) fn earlier(best: &Best) -> Vec<Scenario> {
    let scenario = &best.scenario;
    let strikes: Vec<_> = scenario.faults.iter().map(|spec| strikes_at(spec, best)).collect();
    let signals = scenario.signals.iter().map(|signal| signal.at);
    let Some(first) = signals.chain(strikes.iter().flatten().map(|at| span(*at))).min() else { return Vec::new() };
    let mut earlier = Vec::new();
    for beginning in BEGINNINGS.into_iter().chain([Span::millis(first.as_millis() / 2)]) {
        let by = (first.as_millis() - beginning.as_millis()) / 100 * 100;
        if by <= 0 {
            continue;
        }
        let mut moved = scenario.clone();
        let back = |at: Span| Span::millis(at.as_millis() - by);
        moved.signals.iter_mut().for_each(|signal| signal.at = back(signal.at));
        moved.world.faults_for = back(moved.world.faults_for);
        for spec in &mut moved.faults {
            if let Some(at) = &mut spec.at {
                *at = back(*at);
            }
            if let Some(anchor) = &mut spec.when {
                let before = best
                    .run
                    .points
                    .iter()
                    .filter(|(at, point, _)| *point == anchor.point && span(*at).as_millis() < by);
                let before = u32::try_from(before.count()).unwrap_or(u32::MAX);
                anchor.nth = anchor.nth.saturating_sub(before).max(1);
            }
        }
        earlier.push(with_fault_phase(&moved, moved.world.faults_for));
    }
    earlier
}

/// Every value of every fault shorter or less, the least first.
pub(super) fn shorter_faults(best: &Best) -> Vec<Scenario> {
    each_value(best, |value, step| step < value.abs() || !is_round(Span::millis(value)))
}

/// Every value of every fault longer: what lasts longer than it must is struck less easily by chance.
pub(super) fn longer_faults(best: &Best) -> Vec<Scenario> {
    each_value(best, |value, step| step > value.abs() && step <= value.abs().saturating_mul(5).max(60_000))
}

fn each_value(best: &Best, wanted: impl Fn(i64, i64) -> bool) -> Vec<Scenario> {
    let mut changed = Vec::new();
    for at in 0..best.scenario.faults.len() {
        let mut parts = 0;
        best.scenario.faults[at].fault.clone().parts(&mut |_| parts += 1);
        for number in 0..parts {
            for (step, count) in STEPS.into_iter().zip(NUMBERS.into_iter().chain(std::iter::repeat(0))) {
                let mut differs = false;
                let other = with_fault(&best.scenario, at, |spec| {
                    let mut part_number = 0;
                    spec.fault.parts(&mut |part| {
                        if part_number == number {
                            differs = set(part, step, count, &wanted);
                        }
                        part_number += 1;
                    });
                });
                if differs {
                    let room = Span::millis(
                        span(other.faults[at].fault.lasts()).as_millis()
                            + other.faults[at].at.unwrap_or_default().as_millis(),
                    );
                    let mut roomy = other.clone();
                    roomy.world.faults_for = roomy.world.faults_for.max(rounded_up(room));
                    changed.push(roomy);
                }
            }
        }
    }
    changed
}

fn rounded_up(least: Span) -> Span {
    STEPS.into_iter().map(Span::millis).find(|step| *step >= least).unwrap_or(least)
}

fn set(part: Part<'_>, step: i64, count: i64, wanted: &impl Fn(i64, i64) -> bool) -> bool {
    match part {
        Part::Lasts(span) | Part::By(span) if wanted(span.as_millis(), step) => {
            *span = Span::millis(step * span.as_millis().signum());
            true
        }
        Part::Number(number) if count > 0 && wanted(*number, count) => {
            *number = count * number.signum();
            true
        }
        Part::Host(_) | Part::Lasts(_) | Part::By(_) | Part::Number(_) => false,
    }
}

/// Signals, timed faults and the end of the fault phase at round times.
pub(super) fn rounder_times(best: &Best) -> Vec<Scenario> {
    let scenario = &best.scenario;
    let steps = |time: Span| {
        let near = [60_000, 10_000, 1_000].map(|unit| time.as_millis() / unit * unit);
        STEPS.into_iter().chain(near).map(Span::millis).filter(move |step| *step < time || !is_round(time))
    };
    let mut rounder = Vec::new();
    for at in 0..scenario.signals.len() {
        for step in steps(scenario.signals[at].at) {
            let mut other = scenario.clone();
            other.signals[at].at = step;
            rounder.push(other);
        }
        for step in scenario.signals[at].good_for.into_iter().flat_map(steps) {
            let mut other = scenario.clone();
            other.signals[at].good_for = Some(step);
            rounder.push(other);
        }
    }
    for (number, spec) in scenario.faults.iter().enumerate() {
        for step in spec.at.into_iter().flat_map(steps) {
            rounder.push(with_fault(scenario, number, |spec| spec.at = Some(step)));
        }
    }
    let ends = steps(scenario.world.faults_for).filter(|step| *step >= Span::secs(1));
    rounder.extend(ends.map(|step| with_fault_phase(scenario, step)));
    rounder
}
