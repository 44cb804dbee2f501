//! Does each fault do what its name says? For every kind a small scenario, and what a probe outside sees of it: when
//! the effect begins and ends, whom it touches, and whom it must leave alone. What they promise is written in the
//! tables of `scenarios/README.md`.
#![allow(clippy::unwrap_used)] // In a test, also outside its functions, to panic is to fail.

mod broker;
mod calls;
mod clocks;
mod network;
mod probe;
mod processes;
mod redis;
mod senders;
mod store;

use std::collections::BTreeSet;

use oncegate_sim::scenario::Fault;

/// A fault's name, and the test of what it does.
type Probe = (&'static str, fn());

#[test]
fn no_kind_of_fault_is_without_its_probe() {
    let families = [
        network::PROBES,
        processes::PROBES,
        clocks::PROBES,
        redis::PROBES,
        store::PROBES,
        broker::PROBES,
        calls::PROBES,
    ];
    let probed: BTreeSet<&str> = families.into_iter().flatten().map(|(name, _)| *name).collect();
    assert_eq!(probed, BTreeSet::from(Fault::NAMES));
}
