//! Faults at points of the protocol instead of moments, that count less far, and that strike roles instead of
//! names: what keeps its meaning when times change.

use std::collections::BTreeSet;
use std::time::Duration;

use super::search::Best;
use super::structure::with_fault;
use crate::scenario::{Anchor, FaultSpec, Scenario, Span};
use crate::world::anchor::Point;

/// How far from its moment a fault may be anchored.
const NEAR: Duration = Duration::from_secs(30);
/// How many points are tried for each fault.
const POINTS: usize = 16;
/// Longer than a lease and all that is waited for after it.
const LONG: Span = Span::secs(20);
/// An anchor that counts further says no more than a moment does.
const COUNTS: u32 = 20;

/// When the fault struck in that run; none, if it never did.
pub(super) fn strikes_at(spec: &FaultSpec, best: &Best) -> Option<Duration> {
    let Some(anchor) = &spec.when else { return spec.at.map(Span::get) };
    let host = anchor.by.as_ref().and_then(|by| best.run.hosts.iter().position(|host| host == by));
    let reached =
        best.run.points.iter().filter(|(_, point, by)| *point == anchor.point && host.is_none_or(|host| *by == host));
    reached.map(|(at, ..)| *at).nth(anchor.nth.checked_sub(1)? as usize)
}

/// Whether a fault may be moved to it. What is about to be called has a name of its own in a signal's story, and
/// else is reached when the reply before it was.
const fn tells(point: Point) -> bool {
    !matches!(point, Point::Before(_))
}

/// The points around that moment, the nearest first, by their count.
fn points_near(best: &Best, moment: Duration) -> Vec<Anchor> {
    let mut seen = BTreeSet::new();
    let mut counts = std::collections::BTreeMap::<Point, u32>::new();
    let mut near = Vec::new();
    for (at, point, _) in best.run.points.iter().filter(|(_, point, _)| tells(*point)) {
        let nth = counts.entry(*point).or_default();
        *nth += 1;
        if at.abs_diff(moment) <= NEAR && *nth <= COUNTS {
            near.push((at.abs_diff(moment), *point, *nth));
        }
    }
    near.sort();
    let per_point = near.into_iter().filter(|(_, point, nth)| seen.insert((*point, *nth)));
    per_point.take(POINTS).map(|(_, point, nth)| Anchor { point, nth, by: None }).collect()
}

/// Timed faults anchored, their nodes by name or as who reaches the point.
pub(super) fn anchored(best: &Best) -> Vec<Scenario> {
    let mut anchored = Vec::new();
    for (number, spec) in best.scenario.faults.iter().enumerate() {
        let Some(moment) = spec.at else { continue };
        for anchor in points_near(best, moment.get()) {
            let there = |spec: &mut FaultSpec| {
                spec.at = None;
                spec.when = Some(anchor.clone());
            };
            anchored.push(with_fault(&best.scenario, number, |spec| {
                there(spec);
                spec.fault.rename_hosts(|host| is_node(host).then(|| "@actor".into()));
            }));
            anchored.push(with_fault(&best.scenario, number, there));
        }
    }
    anchored
}

/// The same, with faults that last long enough to reach where they reached before.
pub(super) fn anchored_and_longer(best: &Best) -> Vec<Scenario> {
    let longer = [Span::secs(20), Span::secs(40)];
    let mut anchored = anchored(best);
    for number in 0..best.scenario.faults.len() {
        let same_fault = anchored.clone();
        let changed = same_fault.iter().filter(|other| other.faults[number].at != best.scenario.faults[number].at);
        for other in changed {
            for lasts in longer {
                let mut other = other.clone();
                other.faults[number].fault.set_lasts(lasts);
                other.world.faults_for = other.world.faults_for.max(Span::secs(60));
                anchored.push(other);
            }
        }
    }
    anchored
}

/// One fault of several alone, at the first time that each point is reached: at the right place it may need no
/// help from the others.
pub(super) fn one_fault_elsewhere(best: &Best) -> Vec<Scenario> {
    let scenario = &best.scenario;
    if scenario.faults.len() < 2 {
        return Vec::new();
    }
    let points: BTreeSet<Point> =
        best.run.points.iter().map(|(_, point, _)| *point).filter(|point| tells(*point)).collect();
    let mut alone = Vec::new();
    for spec in &scenario.faults {
        for point in &points {
            let when = Some(Anchor { point: *point, nth: 1, by: None });
            let mut there = FaultSpec { at: None, when, fault: spec.fault.clone() };
            alone.push(Scenario { faults: vec![there.clone()], ..scenario.clone() });
            there.fault.rename_hosts(|host| is_node(host).then(|| "@actor".into()));
            there.fault.set_lasts(LONG);
            let mut longer = Scenario { faults: vec![there], ..scenario.clone() };
            longer.world.faults_for = longer.world.faults_for.max(LONG);
            alone.push(longer);
        }
    }
    alone
}

/// Anchors that count less far, at any node.
pub(super) fn fewer_times(best: &Best) -> Vec<Scenario> {
    let mut fewer = Vec::new();
    for (number, spec) in best.scenario.faults.iter().enumerate() {
        let Some(anchor) = &spec.when else { continue };
        let mut counts = vec![1, 2, anchor.nth / 4, anchor.nth / 2, anchor.nth - anchor.nth / 4, anchor.nth - 1];
        counts.retain(|nth| (1..anchor.nth).contains(nth));
        let other = |nth: u32, by: Option<String>| Anchor { point: anchor.point, nth, by };
        let anchors = counts.into_iter().map(|nth| other(nth, anchor.by.clone()));
        let by_anybody = anchor.by.as_ref().map(|_| other(anchor.nth, None));
        for anchor in anchors.chain(by_anybody) {
            fewer.push(with_fault(&best.scenario, number, |spec| spec.when = Some(anchor)));
        }
    }
    fewer
}

fn is_node(host: &str) -> bool {
    host.starts_with('@') || super::cost::is_node_name(host)
}

/// Nodes by the parts that they play.
pub(super) fn roles_for_names(best: &Best) -> Vec<Scenario> {
    let mut roles = Vec::new();
    for (number, spec) in best.scenario.faults.iter().enumerate() {
        for name in spec.fault.hosts().into_iter().filter(|host| super::cost::is_node_name(host)) {
            for role in ["@actor", "@leader", "@follower"] {
                roles.push(with_fault(&best.scenario, number, |spec| {
                    spec.fault.rename_hosts(|host| (host == name).then(|| role.to_owned()));
                }));
            }
        }
    }
    roles
}
