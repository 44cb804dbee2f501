//! Where the simulated network differs from TCP, and why that is bearable. `sim/README.md` lists the same as limits.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use crate::script::{Probe, Seen};

/// One thing that is seen otherwise in the simulation.
struct Deviation {
    /// In which probe.
    claim: &'static str,
    /// At which of the things that the client sees there, from 0.
    at: usize,
    /// What is seen instead.
    seen: fn() -> Seen,
    /// Why it is so, and what it means to what a run proves.
    because: &'static str,
}

const RESET_FIRST: &str = "A reset wins over what came before it and was not read yet: the simulated stack throws that \
    away. Who speaks to it hears less, and must act on less, than over TCP.";

const DEVIATIONS: &[Deviation] = &[
    Deviation {
        claim: "an answer that came before the reset can be read",
        at: 3,
        seen: || Seen::Failed(ErrorKind::ConnectionReset),
        because: RESET_FIRST,
    },
    Deviation {
        claim: "an answer that came before the reset can be read",
        at: 4,
        seen: || Seen::End,
        because: RESET_FIRST,
    },
    Deviation {
        claim: "who writes before it has read the end learns by the write that the connection is broken",
        at: 5,
        seen: || Seen::Failed(ErrorKind::ConnectionReset),
        because: RESET_FIRST,
    },
    Deviation {
        claim: "a stopped process takes no more than its buffers hold, and loses nothing of it",
        at: 4,
        seen: || Seen::Nothing,
        because: "A receiver whose full buffer is emptied by reads of less than half of it never says so, and its \
            writer waits for good. A full buffer is 64 KiB; nothing of this system's sends that much at once.",
    },
    Deviation {
        claim: "who connects to a machine without power is connected when it is back",
        at: 1,
        seen: || Seen::Nothing,
        because: "First packets that a dead wire lost are not sent again: the next life of a process listens on \
            another port. Every client of this system's gives up and tries anew.",
    },
];

/// What a probe must see in the simulation.
pub(crate) fn expected_of_the_simulation(probe: &Probe) -> Vec<Seen> {
    let mut expected = probe.expected();
    for deviation in DEVIATIONS.iter().filter(|deviation| deviation.claim == probe.claim) {
        expected[deviation.at] = (deviation.seen)();
    }
    expected
}

/// Fails if an entry names no step of a probe, names one twice, or says what is expected anyway.
pub(crate) fn check(probes: &[Probe]) {
    let probes: BTreeMap<_, _> = probes.iter().map(|probe| (probe.claim, probe.expected())).collect();
    let mut known = Vec::new();
    for Deviation { claim, at, seen, because } in DEVIATIONS {
        let expected = probes.get(claim).unwrap_or_else(|| panic!("no probe claims that {claim}"));
        assert_ne!(expected.get(*at), None, "{claim} has no step {at}");
        assert_ne!(expected[*at], seen(), "{claim}, step {at}: that is no deviation");
        assert!(!known.contains(&(claim, at)), "{claim}, step {at}: twice");
        assert!(!because.is_empty(), "{claim}, step {at}: why?");
        known.push((claim, at));
    }
}
