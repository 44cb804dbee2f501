//! What the store keeps of a signal, and the one rule by which attempts add up to a state.

use serde::{Deserialize, Serialize};

use crate::broker::Outcome;
use crate::fingerprint::Fingerprint;
use crate::ids::{ClientOrderId, Epoch, Holder, Leg};
use crate::time::Wall;

/// Where a signal stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalState {
    /// Stored, not claimed.
    Received,
    /// Claimed under the current epoch; an order may be on its way.
    Executing,
    /// An attempt was made or interrupted, and nobody knows yet how it ended.
    InDoubt,
    /// The broker has the order.
    Executed,
    /// The broker refused the order for good, or an operator said that it never was.
    Failed,
    /// Its deadline passed, and provably nothing was sent.
    Expired,
    /// Nothing here can find out how it ended: a human must.
    Quarantined,
}

impl SignalState {
    /// All states, in the order of a signal's life.
    pub const ALL: [Self; 7] = [
        Self::Received,
        Self::Executing,
        Self::InDoubt,
        Self::Executed,
        Self::Failed,
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
            Self::Expired => "expired",
            Self::Quarantined => "quarantined",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing more is owed to the signal; quarantined ends here too, with an alert.
    pub const fn is_settled(self) -> bool {
        match self {
            Self::Received | Self::Executing | Self::InDoubt => false,
            Self::Executed | Self::Failed | Self::Expired | Self::Quarantined => true,
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

    fn attempts_at(&self, leg: Leg) -> impl Iterator<Item = &Attempt> {
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

/// The state that follows from the present state and all attempts, after one of them changed.
///
/// | attempts | state |
/// |---|---|
/// | any accepted | executed, whatever was believed before: the broker has the order |
/// | present state settled otherwise | stays: only a human reopens, and only the truth above overrules |
/// | present state received | stays: a human reopened it and answers for all earlier attempts |
/// | newest rejected | failed |
/// | newest without outcome | executing, or in doubt if it already was |
/// | any other without outcome, or any unknown | in doubt |
/// | all not sent | received |
/// | rejected and not sent | failed |
///
/// Below the first row, attempts that an operator has answered for don't count: the human had the signal sent
/// again in full knowledge of them, and a try after that which provably was not sent leaves it just so.
///
/// Quarantined is left only by "accepted" or by a refusal when no attempt is open or unknown: a proof that
/// nothing was sent does not reopen it, because a human may be placing the order by hand right now.
pub fn state_after(present: SignalState, attempts: &[Attempt]) -> SignalState {
    if attempts.iter().any(|attempt| matches!(attempt.outcome, Some(Outcome::Accepted(_)))) {
        return SignalState::Executed;
    }
    let counting = || attempts.iter().filter(|attempt| !attempt.answered_for);
    let unsure = counting().any(|attempt| matches!(attempt.outcome, None | Some(Outcome::Unknown(_))));
    let refused = counting().any(|attempt| matches!(attempt.outcome, Some(Outcome::Rejected(_))));
    match present {
        SignalState::Executed | SignalState::Failed | SignalState::Expired => return present,
        SignalState::Quarantined => {
            return if refused && !unsure { SignalState::Failed } else { present };
        }
        SignalState::Received => return present,
        SignalState::Executing | SignalState::InDoubt => {}
    }
    match counting().next_back().map(|newest| &newest.outcome) {
        None => present,
        Some(Some(Outcome::Rejected(_))) => SignalState::Failed,
        Some(None) if present == SignalState::InDoubt => SignalState::InDoubt,
        Some(None) => SignalState::Executing,
        Some(Some(_)) if unsure => SignalState::InDoubt,
        Some(Some(_)) if refused => SignalState::Failed,
        Some(Some(_)) => SignalState::Received,
    }
}

/// Whether `new` may replace `old` as the outcome of an attempt: knowledge only grows.
pub fn outcome_may_become(old: Option<&Outcome>, new: &Outcome) -> bool {
    match (old, new) {
        (None, _) => true,
        (Some(Outcome::Unknown(_)), Outcome::Accepted(_) | Outcome::Rejected(_)) => true,
        // Once a send may have happened, "not sent" can only be a mistake.
        (Some(Outcome::Unknown(_)), Outcome::NotSent(_) | Outcome::Unknown(_)) => false,
        // A refused order that is then found working: the worse news wins.
        (Some(Outcome::Rejected(_)), Outcome::Accepted(_)) => true,
        (Some(Outcome::Rejected(_)), _) => false,
        (Some(Outcome::Accepted(_) | Outcome::NotSent(_)), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::BrokerOrderId;

    fn outcomes() -> [Option<Outcome>; 5] {
        [
            None,
            Some(Outcome::Accepted(BrokerOrderId::new("b"))),
            Some(Outcome::Rejected("r".into())),
            Some(Outcome::NotSent("n".into())),
            Some(Outcome::Unknown("u".into())),
        ]
    }

    fn attempts(outcomes: &[Option<Outcome>]) -> Vec<Attempt> {
        outcomes
            .iter()
            .zip(1..)
            .map(|(outcome, number)| Attempt {
                leg: Leg(0),
                number,
                epoch: Epoch(u64::from(number)),
                owner: Holder::new("n:0:1"),
                client_order_id: ClientOrderId::new("id"),
                claimed_at: Wall::default(),
                outcome: outcome.clone(),
                answered_for: false,
            })
            .collect()
    }

    /// Every present state x every combination of up to three attempts.
    #[test]
    fn no_combination_of_attempts_hides_an_order_or_invents_a_leave_to_send() {
        let mut combinations = vec![vec![]];
        for length in 0..3 {
            for shorter in combinations.clone().into_iter().filter(|c: &Vec<_>| c.len() == length) {
                for outcome in outcomes() {
                    let mut longer = shorter.clone();
                    longer.push(outcome);
                    combinations.push(longer);
                }
            }
        }
        assert_eq!(combinations.len(), 1 + 5 + 25 + 125);
        for present in SignalState::ALL {
            for combination in &combinations {
                let next = state_after(present, &attempts(combination));
                let context = format!("{present:?} {combination:?} -> {next:?}");
                let any = |test: fn(&Option<Outcome>) -> bool| combination.iter().any(test);
                let accepted = any(|o| matches!(o, Some(Outcome::Accepted(_))));
                let unsure = any(|o| matches!(o, None | Some(Outcome::Unknown(_))));
                if accepted {
                    assert_eq!(next, SignalState::Executed, "{context}");
                } else {
                    assert!(next != SignalState::Executed || present == next, "{context}");
                }
                if next == SignalState::Received && present != next {
                    assert!(!unsure && !present.is_settled(), "{context}");
                }
                if present == SignalState::Received && !accepted {
                    assert_eq!(next, present, "{context}");
                }
                if present.is_settled() && present != SignalState::Quarantined && !accepted {
                    assert_eq!(next, present, "{context}");
                }
                if present == SignalState::Quarantined && !accepted && next != present {
                    assert!(next == SignalState::Failed && !unsure, "{context}");
                }
            }
        }
    }

    /// Every combination, behind every way in which up to two attempts that were answered for may yet end.
    #[test]
    fn attempts_that_an_operator_answered_for_say_nothing_but_accepted() {
        let mut before = vec![vec![]];
        for first in outcomes() {
            before.push(vec![first.clone()]);
            before.extend(outcomes().map(|second| vec![first.clone(), second]));
        }
        for present in SignalState::ALL {
            for answered in &before {
                for live in &before {
                    let mut all = attempts(&[answered.clone(), live.clone()].concat());
                    for attempt in &mut all[..answered.len()] {
                        attempt.answered_for = true;
                    }
                    let expected = if answered.iter().any(|outcome| matches!(outcome, Some(Outcome::Accepted(_)))) {
                        SignalState::Executed
                    } else {
                        state_after(present, &attempts(live))
                    };
                    assert_eq!(state_after(present, &all), expected, "{present:?} {answered:?} {live:?}");
                }
            }
        }
    }

    /// Every pair: what is known is never unlearned, and nothing sent becomes "not sent".
    #[test]
    fn knowledge_of_an_outcome_only_grows() {
        for old in outcomes() {
            for new in outcomes().into_iter().flatten() {
                let may = outcome_may_become(old.as_ref(), &new);
                let expected = matches!(
                    (&old, &new),
                    (None, _)
                        | (Some(Outcome::Unknown(_)), Outcome::Accepted(_) | Outcome::Rejected(_))
                        | (Some(Outcome::Rejected(_)), Outcome::Accepted(_))
                );
                assert_eq!(may, expected, "{old:?} -> {new:?}");
            }
        }
    }

    #[test]
    fn state_names_read_back() {
        for state in SignalState::ALL {
            assert_eq!(SignalState::from_name(state.name()), Some(state));
        }
    }
}
