//! Why the desk refuses something, as an engine's author must tell it apart.

use oncegate_protocol::SignalState;

/// A refusal. None of them means that an order may be sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DeskError {
    /// The request can't be used as it is; repeating it won't help.
    #[error("{detail}")]
    Malformed {
        /// Where, as a JSON pointer; none when it is not about one place.
        pointer: Option<&'static str>,
        /// What is wrong and what to write.
        detail: String,
    },
    /// No name that this desk gives.
    #[error(
        "there is no attempt and no look-up {0:?}: use the attempt_id of POST /v1/attempts or the work_id of a look_up"
    )]
    NoSuchAttempt(String),
    /// The work ended before it was begun, or before this repeat of its begin.
    #[error(
        "this work is over: it was withdrawn, ran out of time, or is of an earlier life of the node; send nothing, ask for work again"
    )]
    WorkOver,
    /// The time to send has passed.
    #[error("the time to send this order has passed; send nothing, ask for work again")]
    TooLate,
    /// The node lost the right to act since it claimed the signal.
    #[error("this node no longer leads; send nothing, ask for work again")]
    NotLeading,
    /// Somebody else began it.
    #[error("this work was begun by somebody else (or by a request with another key); send nothing")]
    Taken,
    /// The attempt is known to have ended otherwise.
    #[error(
        "the attempt was said to have ended as {said}, which {new} can't follow: find out at the broker, and tell an operator"
    )]
    Contradiction {
        /// What was said before.
        said: &'static str,
        /// What is said now.
        new: &'static str,
    },
    /// The store did not take the outcome: it has no such attempt, or knows that it ended otherwise.
    #[error("the store took no such outcome (the signal is {}): find out at the broker, and tell an operator", .0.map_or("not there", SignalState::name))]
    NotTaken(Option<SignalState>),
    /// As many engines wait already as may.
    #[error("too many engines wait for work already")]
    Crowded,
    /// It is not known whether the store has it; the engine must say it again.
    #[error("not recorded: {0}; say it again")]
    Unavailable(String),
}

impl DeskError {
    /// The HTTP status it is told under: 503 is to be repeated, everything else not.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed { .. } => 422,
            Self::NoSuchAttempt(_) => 404,
            Self::WorkOver | Self::TooLate | Self::NotLeading => 410,
            Self::Taken | Self::Contradiction { .. } | Self::NotTaken(_) => 409,
            Self::Crowded | Self::Unavailable(_) => 503,
        }
    }

    /// The name it is told under, in `snake_case`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::NoSuchAttempt(_) => "no_such_attempt",
            Self::WorkOver => "work_over",
            Self::TooLate => "too_late",
            Self::NotLeading => "not_leading",
            Self::Taken => "work_taken",
            Self::Contradiction { .. } => "outcome_contradicts",
            Self::NotTaken(_) => "outcome_not_taken",
            Self::Crowded => "crowded",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// Where in the request it is, as a JSON pointer.
    pub const fn pointer(&self) -> Option<&'static str> {
        match self {
            Self::Malformed { pointer, .. } => *pointer,
            Self::NoSuchAttempt(_)
            | Self::WorkOver
            | Self::TooLate
            | Self::NotLeading
            | Self::Taken
            | Self::Contradiction { .. }
            | Self::NotTaken(_)
            | Self::Crowded
            | Self::Unavailable(_) => None,
        }
    }
}
