//! What is done at a boundary: each cell of the table boundary x harm is a fault of its own, or has a reason why it
//! can't be.

use serde::Serialize;

use super::boundaries::Boundary;
use crate::scenario::{Anchor, BrokerKind, Fault, FaultSpec, Scenario, Span};
use crate::world::calls::CallName;

/// Past the lease: longer than its ten seconds, and than a follower needs to notice.
pub const PAST_THE_LEASE: Span = Span::secs(13);
/// How long a machine is down.
const DOWN: Span = Span::secs(14);
/// By how much a wall clock steps: past every deadline in the baselines.
const STEP: i64 = 60;
/// No harm lasts longer.
pub const LONGEST: Span = Span::secs(15);

/// What is done at a boundary.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Harm {
    /// The process ends; nothing of the call has left.
    CrashBefore,
    /// The process ends with the reply in its hands.
    CrashAfter,
    /// The machine loses its power when the call is carried out, and the reply with it.
    PowerLossAfter,
    /// The process stands still until its lease is another's, then makes the call.
    PauseBefore,
    /// The process stands still until its lease is another's, then acts on the reply.
    PauseAfter,
    /// The machine is suspended before the call, its clocks with it, until its lease is another's.
    SnapshotBefore,
    /// The call fails; nothing of it has left.
    ErrorBefore,
    /// The call is carried out, its reply is lost.
    ReplyLost,
    /// The call arrives once more, when the lease may be another's.
    LateDuplicate,
    /// No packet passes between the node and whom it calls, until its lease is another's; then what was held
    /// arrives.
    Partition,
    /// The node's wall clock steps forward before the call.
    ClockStepForward,
    /// The node's wall clock steps back before the call.
    ClockStepBack,
}

impl Harm {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::CrashBefore,
        Self::CrashAfter,
        Self::PowerLossAfter,
        Self::PauseBefore,
        Self::PauseAfter,
        Self::SnapshotBefore,
        Self::ErrorBefore,
        Self::ReplyLost,
        Self::LateDuplicate,
        Self::Partition,
        Self::ClockStepForward,
        Self::ClockStepBack,
    ];

    /// A short name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CrashBefore => "crash-before",
            Self::CrashAfter => "crash-after",
            Self::PowerLossAfter => "power-loss-after",
            Self::PauseBefore => "pause-before",
            Self::PauseAfter => "pause-after",
            Self::SnapshotBefore => "snapshot-before",
            Self::ErrorBefore => "error-before",
            Self::ReplyLost => "reply-lost",
            Self::LateDuplicate => "late-duplicate",
            Self::Partition => "partition",
            Self::ClockStepForward => "clock-step-forward",
            Self::ClockStepBack => "clock-step-back",
        }
    }

    /// The fault that does it there, or why there is none.
    ///
    /// # Errors
    /// The reason.
    pub fn at(self, boundary: &Boundary, broker: BrokerKind) -> Result<FaultSpec, &'static str> {
        let host = boundary.node.clone();
        let after = || boundary.after.clone().ok_or("the node got no reply in the baseline: there is no after");
        let before = boundary.before.clone();
        let (when, fault) = match self {
            Self::CrashBefore => (before, Fault::Crash { host, down: DOWN }),
            Self::CrashAfter => (after()?, Fault::Crash { host, down: DOWN }),
            Self::PowerLossAfter => {
                let replied = after()?;
                // What was only asked has no commit to be lost behind.
                (boundary.applied.clone().unwrap_or(replied), Fault::PowerLoss { host, down: DOWN })
            }
            Self::PauseBefore => (before, Fault::Pause { host, lasts: PAST_THE_LEASE }),
            Self::PauseAfter => (after()?, Fault::Pause { host, lasts: PAST_THE_LEASE }),
            Self::SnapshotBefore => (before, Fault::Snapshot { host, lasts: PAST_THE_LEASE }),
            Self::ErrorBefore => (before, Fault::CallFails),
            Self::ReplyLost => (before, Fault::CallLosesReply),
            Self::LateDuplicate if boundary.call.only_reads() => {
                return Err("a question that arrives twice is answered twice, and changes nothing");
            }
            Self::LateDuplicate if boundary.call == CallName::Place && !broker.never_repeats() => {
                return Err(
                    "an order that travels twice is two orders where the broker does not deduplicate for ever: \
                            nothing on this side of the wire can prevent it",
                );
            }
            Self::LateDuplicate => (before, Fault::CallRepeated { by: PAST_THE_LEASE }),
            Self::Partition => {
                (before, Fault::Partition { between: [host, boundary.call.peer().into()], lasts: PAST_THE_LEASE })
            }
            Self::ClockStepForward => (before, Fault::ClockStep { host, by: Span::secs(STEP) }),
            Self::ClockStepBack => (before, Fault::ClockStep { host, by: Span::secs(-STEP) }),
        };
        Ok(FaultSpec { at: None, when: Some(when), fault })
    }
}

/// One harm at one boundary.
#[derive(Clone, PartialEq, Debug)]
pub struct Cell {
    /// Where, among the boundaries of its baseline.
    pub boundary: usize,
    /// What.
    pub harm: Harm,
    /// As a fault.
    pub fault: FaultSpec,
    /// For people and file names: the call, its number, its node, the harm.
    pub name: String,
}

impl Cell {
    /// Every cell that can be, and why the others can't.
    pub fn all(boundaries: &[Boundary], broker: BrokerKind) -> (Vec<Self>, Vec<&'static str>) {
        let (mut cells, mut reasons) = (Vec::new(), Vec::new());
        for (number, boundary) in boundaries.iter().enumerate() {
            for harm in Harm::ALL {
                match harm.at(boundary, broker) {
                    Ok(fault) => {
                        let Anchor { point, nth, .. } = &boundary.before;
                        let name = format!("{}-{nth}-{}-{}", point.name(), boundary.node, harm.name());
                        cells.push(Self { boundary: number, harm, fault, name });
                    }
                    Err(reason) => reasons.push(reason),
                }
            }
        }
        (cells, reasons)
    }

    /// The baseline with this cell's fault.
    pub fn put_into(&self, baseline: &Scenario) -> Scenario {
        let mut scenario = baseline.clone();
        scenario.name = format!("{}-{}", baseline.name, self.name);
        scenario.faults.push(self.fault.clone());
        scenario
    }
}
