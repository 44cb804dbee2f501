//! What the thinking asks for.

use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::fingerprint::Fingerprint;
use crate::ids::{CallId, RequestId};
use crate::notice::Notice;
use crate::record::{Leadership, SignalState};

/// One thing to do, in the order given.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Call a port; the answer comes back as [`crate::event::Event::Replied`] with the same id.
    Call {
        /// Unique within the process.
        id: CallId,
        /// What to call.
        call: Call,
    },
    /// Answer a question from outside.
    Answer {
        /// Which question.
        request: RequestId,
        /// What to say.
        answer: Answer,
    },
    /// Tell people.
    Notice(Notice),
    /// Nothing is left to do; the process may end.
    Stopped,
}

/// The answer to a question from outside.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The signal is durable; the sender need not repeat it.
    Stored {
        /// Which signal it is.
        fingerprint: Fingerprint,
        /// It was not there before.
        new: bool,
        /// Where it stands.
        state: SignalState,
    },
    /// A different body bears this identity already; the stored one stands.
    Conflict {
        /// Which signal.
        fingerprint: Fingerprint,
    },
    /// Not known to be durable: the sender must repeat it.
    Unavailable {
        /// Why, for people.
        reason: String,
    },
    /// To an operator: the signal now stands so; none when there is no such signal.
    State(Option<SignalState>),
    /// To an operator: who leads, and what was said of new orders, as the store has it now.
    Leadership(Leadership),
}
