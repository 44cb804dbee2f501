//! What goes wrong with a database that is a host of its own, beside all that goes wrong anyway.

use proptest::prelude::*;

use super::{secs, span};
use crate::scenario::{Anchor, Fault, FaultSpec, Span};
use crate::world::anchor::Point;
use crate::world::calls::CallName;

/// The calls whose commits matter.
const COMMITS: [CallName; 8] = [
    CallName::Insert,
    CallName::OpenEpoch,
    CallName::Heartbeat,
    CallName::Vacate,
    CallName::Claim,
    CallName::RecordOutcome,
    CallName::Conclude,
    CallName::ReadPending,
];

/// Up to two faults of the host, or of a node's connections to it, within the fault phase.
pub fn faults(faults_for: Span) -> impl Strategy<Value = Vec<FaultSpec>> {
    prop::collection::vec((fault(), when(faults_for)), 0..=2).prop_map(move |drawn| {
        let spec = |(fault, (at, when)): (Fault, (Span, Option<Anchor>))| {
            let lasts = i64::try_from(fault.lasts().as_millis()).unwrap_or(i64::MAX);
            let latest = Span::millis((faults_for.as_millis() - lasts).max(0));
            let at = when.is_none().then(|| at.min(latest));
            FaultSpec { at, when, fault }
        };
        drawn.into_iter().map(spec).collect()
    })
}

fn fault() -> impl Strategy<Value = Fault> {
    let host = || "store".to_owned();
    let node = prop_oneof![3 => Just("@leader"), 1 => Just("@follower")];
    prop_oneof![
        secs(1..=30).prop_map(move |down| Fault::Crash { host: host(), down }),
        secs(1..=30).prop_map(move |down| Fault::PowerLoss { host: host(), down }),
        secs(1..=40).prop_map(move |lasts| Fault::Pause { host: host(), lasts }),
        secs(1..=30).prop_map(move |lasts| Fault::Refuse { host: host(), lasts }),
        node.prop_map(move |node| Fault::Reset { between: [node.to_owned(), host()] }),
    ]
}

/// At a time, or just before or at the commit of a call, or when its reply has come.
fn when(faults_for: Span) -> impl Strategy<Value = (Span, Option<Anchor>)> {
    let boundary = (prop::sample::select(&COMMITS[..]), 0..3_u8, 1..=4_u32).prop_map(|(call, place, nth)| {
        let point = match place {
            0 => Point::Before(call),
            1 => Point::Applied(call),
            _ => Point::After(call),
        };
        Some(Anchor { point, nth, by: None })
    });
    let at = span(1_000..=faults_for.as_millis() - 1_000);
    (at, prop_oneof![1 => Just(None), 2 => boundary])
}
