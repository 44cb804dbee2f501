//! What the thinking hears.

use serde::{Deserialize, Serialize};

use crate::call::{Reply, Resolution};
use crate::fingerprint::Fingerprint;
use crate::ids::{CallId, RequestId};
use crate::signal::Signal;

/// One thing that happened, as [`crate::node::Machine::step`] hears it.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A deadline was reached; also harmless at any other time.
    Tick,
    /// A sender offers a signal.
    Offered {
        /// Bears the answer.
        request: RequestId,
        /// The signal, read.
        signal: Signal,
    },
    /// A call came to its end.
    Replied {
        /// Which.
        id: CallId,
        /// How.
        reply: Reply,
    },
    /// Somebody released the lease: a hint to try at once, nothing more.
    LeaseReleased,
    /// The store may hold something new: a hint to look at once, nothing more.
    StoreChanged,
    /// An operator resolves a quarantined signal.
    Resolve {
        /// Bears the answer.
        request: RequestId,
        /// Which signal.
        fingerprint: Fingerprint,
        /// To what.
        resolution: Resolution,
        /// How many attempts at it the operator saw; with any other number nothing is resolved.
        attempts: u32,
        /// Why.
        reason: String,
    },
    /// Somebody asks who leads, and what operators have said of new orders.
    ReadLeadership {
        /// Bears the answer.
        request: RequestId,
    },
    /// An operator stops new orders on all nodes, or lets them go on.
    SetPause {
        /// Bears the answer.
        request: RequestId,
        /// Stopped, or not.
        paused: bool,
        /// How many words on that the operator has seen; with any other number nothing is said.
        seen: u64,
        /// Why.
        reason: String,
    },
    /// Give up leadership or the attempt at it, if there is one, and let others go first.
    StepDown {
        /// Why, for the history.
        reason: String,
    },
    /// Step down and stay down: the process is about to end.
    Shutdown,
}
