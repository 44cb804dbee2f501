//! What the store keeps of a signal.

use serde::{Deserialize, Serialize};

use crate::broker::Outcome;
use crate::fingerprint::Fingerprint;
use crate::ids::{BrokerOrderId, ClientOrderId, Epoch, Holder, Leg};
pub use crate::standing::{outcome_may_become, state_after};
use crate::time::Wall;

/// Where a signal stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalState {
    /// Stored, not claimed.
    Received,
    /// Claimed under the current epoch; an order may be on its way, or the next leg is about to be.
    Executing,
    /// An attempt was made or interrupted, and nobody knows yet how it ended; or an older leader left it between two
    /// legs.
    InDoubt,
    /// The broker has the order: of several legs, all.
    Executed,
    /// The broker refused the order for good, or an operator said that it never was. Of several legs, the broker has
    /// none.
    Failed,
    /// The broker has the orders of some legs, and is known not to have those of the others, which are not sent any
    /// more: a human must complete or unwind it.
    Partial,
    /// Its deadline passed, and provably nothing was sent.
    Expired,
    /// Nothing here can find out how it ended: a human must.
    Quarantined,
}

impl SignalState {
    /// All states, in the order of a signal's life.
    pub const ALL: [Self; 8] = [
        Self::Received,
        Self::Executing,
        Self::InDoubt,
        Self::Executed,
        Self::Failed,
        Self::Partial,
        Self::Expired,
        Self::Quarantined,
    ];

    /// The name as stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Executing => "executing",
            Self::InDoubt => "in_doubt",
            Self::Executed => "executed",
            Self::Failed => "failed",
            Self::Partial => "partial",
            Self::Expired => "expired",
            Self::Quarantined => "quarantined",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing more is owed to the signal; what waits for an operator ends here too, with an alert.
    pub const fn is_settled(self) -> bool {
        match self {
            Self::Received | Self::Executing | Self::InDoubt => false,
            Self::Executed | Self::Failed | Self::Partial | Self::Expired | Self::Quarantined => true,
        }
    }

    /// Whether it waits for the word of an operator, who is told of it by whoever leads.
    pub const fn awaits_operator(self) -> bool {
        match self {
            Self::Quarantined | Self::Partial => true,
            Self::Received | Self::Executing | Self::InDoubt | Self::Executed | Self::Failed | Self::Expired => false,
        }
    }
}

/// One attempt at one order: the durable intent, and what is known of how it ended.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// Which order of the signal.
    pub leg: Leg,
    /// Counts from 1 within the signal and leg.
    pub number: u32,
    /// Under which epoch it was claimed.
    pub epoch: Epoch,
    /// By which leadership; only this holder may write the outcome.
    pub owner: Holder,
    /// The id that the order was or is placed under, the same for all attempts of a leg.
    pub client_order_id: ClientOrderId,
    /// When, by the claimant's wall clock.
    pub claimed_at: Wall,
    /// How it ended; none while nothing was recorded.
    pub outcome: Option<Outcome>,
    /// An operator said that the broker does not have it, and had the signal sent again. How it ended is still
    /// its owner's to tell, and "accepted" still overrules everything; but it leaves nobody in doubt any more.
    pub answered_for: bool,
}

impl Attempt {
    /// Whether it provably sent nothing, or an operator has answered for it and the broker is not known to have it.
    pub fn leaves_nothing_sent(&self) -> bool {
        match self.outcome {
            Some(Outcome::NotSent(_)) => true,
            Some(Outcome::Accepted(_)) => false,
            None | Some(Outcome::Rejected(_) | Outcome::Unknown(_)) => self.answered_for,
        }
    }
}

/// A signal as stored.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub struct SignalRecord {
    /// Which signal.
    pub fingerprint: Fingerprint,
    /// Its place in the order of arrival.
    pub sequence: u64,
    /// Where it stands.
    pub state: SignalState,
    /// The bytes as they came.
    pub raw: Vec<u8>,
    /// After this it must not be sent for the first time.
    pub expires_at: Option<Wall>,
    /// How many orders it asks for ([`crate::legs`]).
    #[serde(default = "crate::signal::one")]
    pub legs: u16,
    /// All attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

impl SignalRecord {
    /// The number of the next attempt at one order.
    pub fn next_number(&self, leg: Leg) -> u32 {
        1 + self.attempts_at(leg).map(|attempt| attempt.number).max().unwrap_or(0)
    }

    /// The id under which an order was or may have been placed before; none when nobody has claimed it yet.
    pub fn client_order_id(&self, leg: Leg) -> Option<&ClientOrderId> {
        self.attempts_at(leg).map(|attempt| &attempt.client_order_id).next()
    }

    /// The place of the attempt that was accepted, when the broker is found to have the order of one of several legs: the
    /// newest at that leg of which nothing else is known. None when one was accepted already, or there is none.
    pub fn attempt_found(&self, leg: Leg) -> Option<usize> {
        let found = Outcome::Accepted(BrokerOrderId::new(""));
        let may = |attempt: &Attempt| attempt.leg == leg && outcome_may_become(attempt.outcome.as_ref(), &found);
        if self.has_accepted(leg) { None } else { self.attempts.iter().rposition(may) }
    }

    /// What the broker gets for one leg; none when the signal has no such leg.
    pub fn order(&self, leg: Leg) -> Option<Vec<u8>> {
        crate::legs::order(&self.raw, self.legs, leg)
    }

    /// The leg that is due or under way: the first that the broker is not known to have; the last when it has all.
    pub fn current_leg(&self) -> Leg {
        let open = (0..self.legs).map(Leg).find(|leg| !self.has_accepted(*leg));
        open.unwrap_or(Leg(self.legs.saturating_sub(1)))
    }

    /// Whether an attempt at this leg was accepted.
    pub fn has_accepted(&self, leg: Leg) -> bool {
        self.attempts_at(leg).any(|attempt| matches!(attempt.outcome, Some(Outcome::Accepted(_))))
    }

    /// Whether the broker has the orders of some legs, and the next has provably not been sent: then that leg is due.
    pub fn is_between_legs(&self) -> bool {
        let leg = self.current_leg();
        let begun = (0..leg.0).map(Leg).any(|earlier| self.has_accepted(earlier));
        begun && self.attempts_at(leg).all(Attempt::leaves_nothing_sent)
    }

    /// All attempts at one leg, oldest first.
    pub fn attempts_at(&self, leg: Leg) -> impl DoubleEndedIterator<Item = &Attempt> {
        self.attempts.iter().filter(move |attempt| attempt.leg == leg)
    }
}

/// The leadership row: never deleted, only vacated.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub struct Leadership {
    /// The newest epoch ever opened; zero before the first.
    pub epoch: Epoch,
    /// Who opened it; none when it was vacated.
    pub holder: Option<Holder>,
    /// When the holder last said that it lives, by its own wall clock.
    pub heartbeat_at: Wall,
    /// Operators have stopped new orders; it outlasts every leadership.
    #[serde(default)]
    pub paused: Option<Pause>,
    /// How many words of operators on that were taken: whoever says the next one says how many it has seen.
    #[serde(default)]
    pub pause_words: u64,
}

/// New orders are stopped, by the word of an operator.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub struct Pause {
    /// Why, in the words of who said so last.
    pub reason: String,
    /// Since when, by the wall clock of the node that was told.
    pub since: Wall,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_names_read_back() {
        for state in SignalState::ALL {
            assert_eq!(SignalState::from_name(state.name()), Some(state));
        }
    }
}
