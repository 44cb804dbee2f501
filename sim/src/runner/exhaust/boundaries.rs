//! The effect boundaries of a run: each call that a node makes at one of its ports, in order of first occurrence.
//!
//! A call is one boundary with up to three sides: before it, when it is carried out, and after its reply. An order in
//! the broker's book is the middle side of the call that placed it, a commit that of a call to the store.
//!
//! **What repeats for ever.** Renewals, heartbeats, followers' tries for the lease and readings of who leads and what
//! is owed go on as long as the world does. Between two things that happen (a line of the story, or a point of any
//! other call: a signal arrives, is claimed, sent, recorded; leadership is taken, left, lost; a fault begins or ends)
//! the same call of the same node meets the same state again and again. Of each such stretch the first and the last
//! are boundaries of their own: the first meets what has just happened, the last is under way when the next thing
//! happens. Those between are counted as repetitions and left out. After the last thing that happens there is nothing
//! to be under way for, so only the first counts.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cells::LONGEST;
use crate::runner::Run;
use crate::scenario::{Anchor, Scenario};
use crate::world::anchor::Point;
use crate::world::calls::CallName;

/// One call of one node, and how to be there when it is made again.
#[derive(Clone, PartialEq, Debug)]
pub struct Boundary {
    /// Which call.
    pub call: CallName,
    /// By which node.
    pub node: String,
    /// When it was made in the baseline.
    pub at: Duration,
    /// Nothing of it has left the node.
    pub before: Anchor,
    /// The service has carried it out; none when it did not, or only had to answer.
    pub applied: Option<Anchor>,
    /// The node has the reply; none when it never got one.
    pub after: Option<Anchor>,
}

/// What was found in one run.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Boundaries {
    /// The distinct ones, in order.
    pub distinct: Vec<Boundary>,
    /// How many calls of the fault phase repeat another in the same state.
    pub repetitions: u64,
    /// Calls of a signal's life so close to the end of the fault phase that not every fault fits behind them: the
    /// baseline is too short.
    pub late: u64,
}

/// Whether such calls are made for as long as a node runs.
pub const fn repeats_for_ever(call: CallName) -> bool {
    matches!(
        call,
        CallName::Acquire
            | CallName::Renew
            | CallName::ReadLease
            | CallName::ReadLeadership
            | CallName::Heartbeat
            | CallName::ReadPending
    )
}

/// Lists the boundaries of a run whose story was kept.
pub fn list(scenario: &Scenario, run: &Run) -> Boundaries {
    let end = scenario.world.faults_for.get();
    let last = end.saturating_sub(LONGEST.get());
    let mut found = Boundaries::default();
    let changes = changes(run, end);
    let stretch = |at: Duration| changes.partition_point(|change| *change <= at);
    let calls = calls(run);
    // By call, node and stretch: the first and the last.
    let mut ends = BTreeMap::<_, (usize, usize)>::new();
    for (number, boundary) in calls.iter().enumerate().filter(|(_, boundary)| repeats_for_ever(boundary.call)) {
        let key = (boundary.call, boundary.node.as_str(), stretch(boundary.at));
        ends.entry(key).and_modify(|(_, last)| *last = number).or_insert((number, number));
    }
    for (number, boundary) in calls.iter().enumerate().filter(|(_, boundary)| boundary.at < end) {
        if !repeats_for_ever(boundary.call) {
            if boundary.at <= last {
                found.distinct.push(boundary.clone());
            } else {
                found.late += 1;
            }
            continue;
        }
        let within = stretch(boundary.at);
        let (first, final_one) = ends[&(boundary.call, boundary.node.as_str(), within)];
        let distinct = number == first || (number == final_one && within < changes.len());
        if distinct && boundary.at <= last {
            found.distinct.push(boundary.clone());
        } else {
            found.repetitions += 1;
        }
    }
    found
}

/// When anything happened that is no repetition, within the fault phase.
fn changes(run: &Run, end: Duration) -> Vec<Duration> {
    let of_story = run.story.iter().map(|line| line.at);
    let of_points = run.points.iter().filter(|(_, point, _)| match point.call() {
        Some(call) => !repeats_for_ever(call),
        None => *point != Point::LeaseRenewed,
    });
    let mut changes: Vec<_> = of_story.chain(of_points.map(|(at, ..)| *at)).filter(|at| *at < end).collect();
    changes.sort();
    changes.dedup();
    changes
}

/// Every call, with its sides. A side belongs to the last such call that its node has begun and that lacks it: a
/// node makes no call twice at the same time, except for signals that arrive together.
fn calls(run: &Run) -> Vec<Boundary> {
    let mut calls: Vec<Boundary> = Vec::new();
    let mut reached = BTreeMap::<(Point, usize), u32>::new();
    for (at, point, host) in &run.points {
        let nth = reached.entry((*point, *host)).or_default();
        *nth += 1;
        let name = &run.hosts[*host];
        let anchor = Anchor { point: *point, nth: *nth, by: Some(name.clone()) };
        match point {
            Point::Before(call) => calls.push(Boundary {
                call: *call,
                node: name.clone(),
                at: *at,
                before: anchor,
                applied: None,
                after: None,
            }),
            Point::OrderBooked => {
                let open = |boundary: &&mut Boundary| {
                    boundary.call == CallName::Place && boundary.applied.is_none() && boundary.after.is_none()
                };
                if let Some(place) = calls.iter_mut().rev().find(open) {
                    place.applied = Some(anchor);
                }
            }
            Point::Applied(call) => {
                let mine = |boundary: &&mut Boundary| boundary.call == *call && boundary.node == *name;
                if let Some(call) = calls.iter_mut().rev().find(mine).filter(|call| call.applied.is_none()) {
                    call.applied = Some(anchor);
                }
            }
            Point::After(call) => {
                let mine = |boundary: &&mut Boundary| boundary.call == *call && boundary.node == *name;
                if let Some(call) = calls.iter_mut().rev().find(mine).filter(|call| call.after.is_none()) {
                    call.after = Some(anchor);
                }
            }
            _ => {}
        }
    }
    calls
}
