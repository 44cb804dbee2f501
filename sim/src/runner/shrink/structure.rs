//! Fewer faults, signals, recipients and nodes.

use std::collections::BTreeSet;

use super::search::Best;
use crate::scenario::{FaultSpec, Scenario};
use crate::world::anchor::Point;

/// Seeds that are tried beside the present one: who leads first, and how long packets travel.
const OTHER_SEEDS: u64 = 4;

/// None; each alone; then all but a half, a quarter ... and all but one.
fn subsets(count: usize) -> Vec<Vec<usize>> {
    let mut subsets = vec![Vec::new()];
    if count > 2 {
        subsets.extend((0..count).map(|one| vec![one]));
    }
    let mut chunk = count / 2;
    while chunk > 0 {
        for begin in (0..count).step_by(chunk) {
            subsets.push((0..count).filter(|at| !(begin..begin + chunk).contains(at)).collect());
        }
        chunk /= 2;
    }
    subsets
}

fn kept<T: Clone>(all: &[T], subset: &[usize]) -> Vec<T> {
    subset.iter().map(|at| all[*at].clone()).collect()
}

pub(super) fn fewer_faults(best: &Best) -> Vec<Scenario> {
    let scenario = &best.scenario;
    if scenario.faults.is_empty() {
        return Vec::new();
    }
    let fewer = subsets(scenario.faults.len()).into_iter();
    fewer.map(|subset| Scenario { faults: kept(&scenario.faults, &subset), ..scenario.clone() }).collect()
}

pub(super) fn fewer_signals(best: &Best) -> Vec<Scenario> {
    let scenario = &best.scenario;
    if scenario.signals.is_empty() {
        return Vec::new();
    }
    let mut fewer = Vec::new();
    for subset in subsets(scenario.signals.len()) {
        let signals = kept(&scenario.signals, &subset);
        let less = Scenario { signals, ..scenario.clone() };
        // With fewer signals, what was anchored to the third claim may belong to the second, or to the first.
        let gone = u32::try_from(scenario.signals.len() - subset.len()).unwrap_or(u32::MAX);
        fewer.push(less.clone());
        fewer.push(with_anchors(&less, |nth| nth.saturating_sub(gone).max(1)));
        fewer.push(with_anchors(&less, |nth| nth.saturating_sub(1).max(1)));
        fewer.push(with_anchors(&less, |_| 1));
        fewer.push(with_anchors(&less, |_| 2));
    }
    fewer
}

/// Counts the points that signals lead to in another way.
fn with_anchors(scenario: &Scenario, count: impl Fn(u32) -> u32) -> Scenario {
    let mut scenario = scenario.clone();
    for anchor in scenario.faults.iter_mut().filter_map(|spec| spec.when.as_mut()) {
        let led_to_by_leading = matches!(anchor.point, Point::LeaseGranted | Point::LeaseRenewed | Point::EpochOpened);
        if !led_to_by_leading {
            anchor.nth = count(anchor.nth);
        }
    }
    scenario
}

pub(super) fn fewer_recipients(best: &Best) -> Vec<Scenario> {
    let mut fewer = Vec::new();
    for (at, signal) in best.scenario.signals.iter().enumerate() {
        if signal.to.len() > 1 {
            for left in &signal.to {
                let mut less = best.scenario.clone();
                less.signals[at].to = vec![left.clone()];
                fewer.push(less);
            }
        }
    }
    fewer
}

/// Without each node, the others called by the names before theirs; what had to do with it goes, or goes to
/// another.
pub(super) fn fewer_nodes(best: &Best) -> Vec<Scenario> {
    let scenario = &best.scenario;
    let mut fewer = Vec::new();
    for gone in 1..=scenario.world.nodes {
        let others = (1..=scenario.world.nodes).filter(|node| *node != gone);
        for heir in std::iter::once(None).chain(others.map(Some)) {
            fewer.push(without_node(scenario, gone, heir));
        }
    }
    fewer
}

fn without_node(scenario: &Scenario, gone: usize, heir: Option<usize>) -> Scenario {
    let after = |node: usize| format!("n{}", if node > gone { node - 1 } else { node });
    let renamed = |name: &str| -> Option<String> {
        let node: usize = name.strip_prefix('n')?.parse().ok()?;
        if node == gone { heir.map(after) } else { Some(after(node)) }
    };
    let is_gone = |name: &str| heir.is_none() && name == format!("n{gone}");
    let mut less = scenario.clone();
    less.world.nodes -= 1;
    for signal in &mut less.signals {
        let mut seen = BTreeSet::new();
        signal.to = signal.to.iter().filter_map(|to| renamed(to)).filter(|to| seen.insert(to.clone())).collect();
        if signal.to.is_empty() {
            signal.to.push("n1".into());
        }
    }
    less.faults.retain(|spec| {
        let by = spec.when.as_ref().and_then(|anchor| anchor.by.as_deref());
        !spec.fault.hosts().into_iter().chain(by).any(is_gone)
    });
    for spec in &mut less.faults {
        spec.fault.rename_hosts(renamed);
        if let Some(by) = spec.when.as_mut().and_then(|anchor| anchor.by.as_mut())
            && let Some(name) = renamed(by)
        {
            *by = name;
        }
    }
    less
}

/// What could not go may go when another node leads first.
pub(super) fn less_with_another_seed(best: &Best) -> Vec<Scenario> {
    let one_less: Vec<Scenario> = [fewer_nodes(best), fewer_faults(best), fewer_signals(best)].concat();
    let reseeded = |seed| one_less.iter().map(move |less| Scenario { seed, ..less.clone() });
    (0..OTHER_SEEDS).flat_map(reseeded).collect()
}

/// All faults but that one, and others in its place.
pub(super) fn with_fault(scenario: &Scenario, at: usize, change: impl FnOnce(&mut FaultSpec)) -> Scenario {
    let mut changed = scenario.clone();
    change(&mut changed.faults[at]);
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{generate, read};

    #[test]
    fn subsets_begin_with_the_smallest_and_end_with_all_but_one() {
        assert_eq!(subsets(1), [Vec::<usize>::new()]);
        assert_eq!(subsets(2), [vec![], vec![1], vec![0]]);
        assert_eq!(subsets(3), [vec![], vec![0], vec![1], vec![2], vec![1, 2], vec![0, 2], vec![0, 1]]);
    }

    #[test]
    fn a_node_goes_with_all_that_names_it() {
        for seed in 0..100 {
            let drawn = generate::draw(seed);
            let nodes = drawn.world.nodes;
            for gone in 1..=nodes {
                for heir in [None, Some(gone % nodes + 1)] {
                    let less = without_node(&drawn, gone, heir);
                    // Who inherits a fault may be in it already, on the other side.
                    let twice_in_one = less.faults.iter().any(|spec| {
                        let hosts = spec.fault.hosts();
                        hosts.iter().collect::<BTreeSet<_>>().len() < hosts.len()
                    });
                    assert!(read::check(&less).is_ok() || twice_in_one, "seed {seed}: {:?}", read::check(&less));
                    assert_eq!(less.world.nodes, nodes - 1);
                }
            }
        }
    }
}
