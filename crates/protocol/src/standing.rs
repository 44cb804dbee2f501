//! The one rule by which attempts add up to a state.
//!
//! The legs of a signal are sent one after another, each only once the broker is known to have all before it. So at most
//! one leg is open at a time, and a leg that is refused ends the signal: what comes after it is never sent, because half
//! a hedge is worse than none. If the broker has the legs before it, the signal is *partial*, and a human's to complete
//! or to unwind.

use crate::broker::Outcome;
use crate::ids::Leg;
use crate::record::{Attempt, SignalState};

/// The state that follows from the present state and all attempts, after one of them changed.
///
/// Of one leg, while the signal is executing or in doubt:
///
/// | attempts at it | the leg is |
/// |---|---|
/// | any accepted | executed |
/// | newest rejected | failed |
/// | newest without outcome | executing, or in doubt if the signal already was |
/// | any other without outcome, or any unknown | in doubt |
/// | none, or all not sent | received |
/// | rejected and not sent | failed |
///
/// Of the signal, from top to bottom; with one leg it is what that leg is:
///
/// | present state | legs | state |
/// |---|---|---|
/// | any | all executed | executed, whatever was believed before: the broker has the orders |
/// | executed, partial | any | stays |
/// | failed, expired | any executed | partial: the broker has an order of a signal that was given up |
/// | failed, expired | none executed | stays: only a human reopens, and only the truth above overrules |
/// | quarantined | any refused, none open or unknown | failed, or partial if any is executed |
/// | quarantined | anything else | stays |
/// | received | any executed | in doubt, from where whoever leads goes on with the next leg |
/// | received | none executed | stays: a human reopened it and answers for all earlier attempts |
/// | executing, in doubt | any in doubt or executing | that |
/// | executing, in doubt | any failed | failed, or partial if any is executed |
/// | executing, in doubt | some executed, the others received | stays: the next leg is due |
/// | executing, in doubt | all received, after an attempt that counts | received |
///
/// Below "accepted", attempts that an operator has answered for don't count: the human had the signal sent
/// again in full knowledge of them, and a try after that which provably was not sent leaves it just so.
///
/// Quarantined is left only by "accepted" or by a refusal when no attempt is open or unknown: a proof that
/// nothing was sent does not reopen it, because a human may be placing the order by hand right now.
pub fn state_after(present: SignalState, legs: u16, attempts: &[Attempt]) -> SignalState {
    let standings = || (0..legs).map(|leg| of_leg(present, Leg(leg), attempts));
    let is = |state: SignalState| standings().any(|standing| standing == state);
    if legs > 0 && standings().all(|standing| standing == SignalState::Executed) {
        return SignalState::Executed;
    }
    let given_up = if is(SignalState::Executed) { SignalState::Partial } else { SignalState::Failed };
    match present {
        SignalState::Executed | SignalState::Partial => present,
        SignalState::Failed | SignalState::Expired => {
            if is(SignalState::Executed) {
                SignalState::Partial
            } else {
                present
            }
        }
        SignalState::Quarantined => {
            let open = (0..legs).map(Leg).filter(|leg| !has_accepted(attempts, *leg));
            let counting = || open.clone().flat_map(|leg| counting(attempts, leg));
            let unsure = counting().any(|attempt| matches!(attempt.outcome, None | Some(Outcome::Unknown(_))));
            let refused = counting().any(|attempt| matches!(attempt.outcome, Some(Outcome::Rejected(_))));
            if refused && !unsure { given_up } else { present }
        }
        SignalState::Received => {
            if is(SignalState::Executed) {
                SignalState::InDoubt
            } else {
                present
            }
        }
        SignalState::Executing | SignalState::InDoubt => {
            if is(SignalState::InDoubt) {
                SignalState::InDoubt
            } else if is(SignalState::Executing) {
                SignalState::Executing
            } else if is(SignalState::Failed) {
                given_up
            } else if is(SignalState::Executed) || attempts.iter().all(|attempt| attempt.answered_for) {
                present
            } else {
                SignalState::Received
            }
        }
    }
}

/// The first table of [`state_after`]. What a leg is while its signal is settled or received is nobody's question but
/// whether the broker has it.
fn of_leg(present: SignalState, leg: Leg, attempts: &[Attempt]) -> SignalState {
    if has_accepted(attempts, leg) {
        return SignalState::Executed;
    }
    let counting = || counting(attempts, leg);
    let unsure = counting().any(|attempt| matches!(attempt.outcome, None | Some(Outcome::Unknown(_))));
    let refused = counting().any(|attempt| matches!(attempt.outcome, Some(Outcome::Rejected(_))));
    match counting().next_back().map(|newest| &newest.outcome) {
        None => SignalState::Received,
        Some(Some(Outcome::Rejected(_))) => SignalState::Failed,
        Some(None) if present == SignalState::InDoubt => SignalState::InDoubt,
        Some(None) => SignalState::Executing,
        Some(Some(_)) if unsure => SignalState::InDoubt,
        Some(Some(_)) if refused => SignalState::Failed,
        Some(Some(_)) => SignalState::Received,
    }
}

fn at(attempts: &[Attempt], leg: Leg) -> impl DoubleEndedIterator<Item = &Attempt> {
    attempts.iter().filter(move |attempt| attempt.leg == leg)
}

fn counting(attempts: &[Attempt], leg: Leg) -> impl DoubleEndedIterator<Item = &Attempt> {
    at(attempts, leg).filter(|attempt| !attempt.answered_for)
}

fn has_accepted(attempts: &[Attempt], leg: Leg) -> bool {
    at(attempts, leg).any(|attempt| matches!(attempt.outcome, Some(Outcome::Accepted(_))))
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
    use crate::ids::{BrokerOrderId, ClientOrderId, Epoch, Holder};
    use crate::time::Wall;

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
                let next = state_after(present, 1, &attempts(combination));
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
                        state_after(present, 1, &attempts(live))
                    };
                    assert_eq!(state_after(present, 1, &all), expected, "{present:?} {answered:?} {live:?}");
                }
            }
        }
    }

    /// Every present state x every two attempts at each of two legs.
    #[test]
    fn no_leg_hides_what_became_of_another() {
        let mut tries = vec![vec![]];
        for first in outcomes() {
            tries.push(vec![first.clone()]);
            tries.extend(outcomes().map(|second| vec![first.clone(), second]));
        }
        for present in SignalState::ALL {
            for first in &tries {
                for second in &tries {
                    let mut all = attempts(&[first.clone(), second.clone()].concat());
                    for attempt in &mut all[first.len()..] {
                        attempt.leg = Leg(1);
                    }
                    let next = state_after(present, 2, &all);
                    let context = format!("{present:?} {first:?} {second:?} -> {next:?}");
                    let accepted =
                        |tries: &[Option<Outcome>]| tries.iter().any(|o| matches!(o, Some(Outcome::Accepted(_))));
                    let unsure = |tries: &[Option<Outcome>]| {
                        !accepted(tries) && tries.iter().any(|o| matches!(o, None | Some(Outcome::Unknown(_))))
                    };
                    let (some, all) = (accepted(first) || accepted(second), accepted(first) && accepted(second));
                    assert_eq!(next == SignalState::Executed, all || present == SignalState::Executed, "{context}");
                    if some && !all {
                        let gives_up = [SignalState::Failed, SignalState::Expired, SignalState::Received];
                        assert!(!gives_up.contains(&next), "an order nobody hears of: {context}");
                    }
                    if next == SignalState::Partial && present != next {
                        assert!(some, "{context}");
                    }
                    if present.is_settled() {
                        assert!(next.is_settled(), "reopened: {context}");
                    }
                    if next == SignalState::Received && present != next {
                        assert!(!unsure(first) && !unsure(second), "{context}");
                    }
                    if [SignalState::Failed, SignalState::Partial].contains(&next) && !present.is_settled() {
                        let refused = |tries: &[Option<Outcome>]| {
                            !accepted(tries) && tries.iter().any(|o| matches!(o, Some(Outcome::Rejected(_))))
                        };
                        assert!(refused(first) || refused(second), "{context}");
                    }
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
}
