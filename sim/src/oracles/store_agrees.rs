//! P5: what the store says happened agrees with what the broker did. Compares the store's rows with the
//! broker's book at the end of a run.

use std::time::Duration;

use oncegate_protocol::{Leg, SignalRecord, SignalState};

use super::Violation;
use crate::hosts::broker::Booked;

/// The oracle's name.
pub const NAME: &str = "store-agrees";

/// Judges the end of a run.
pub fn judge(at: Duration, book: &[Booked], stored: &[SignalRecord]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut object = |what: String| violations.push(Violation { oracle: NAME, at, what });
    for record in stored {
        let booked = book.iter().find(|booked| booked.fingerprint == record.fingerprint);
        let state = record.state.name();
        let has = |leg: u16| book.iter().any(|b| (b.fingerprint, b.leg) == (record.fingerprint, Leg(leg)));
        let by_leg: Vec<_> = (0..record.legs).map(has).collect();
        if by_leg.is_sorted_by(|before, after| before >= after) {
            legs_agree(record, &by_leg, &mut object);
        } else {
            object(format!("the broker has the legs {by_leg:?} of {:?}: one was left out", record.fingerprint));
        }
        match (record.state, booked) {
            (SignalState::Executed, None) => {
                object(format!("{:?} is {state} in the store, and the broker never had it", record.fingerprint));
            }
            (SignalState::Received | SignalState::Failed | SignalState::Expired, Some(booked)) => object(format!(
                "{:?} is {state} in the store, and the broker executed it as {}",
                record.fingerprint, booked.broker_order_id
            )),
            // Unknown stays unknown until proven; a human is told.
            (SignalState::Executing | SignalState::InDoubt | SignalState::Quarantined | SignalState::Partial, _)
            | (SignalState::Executed, Some(_))
            | (SignalState::Received | SignalState::Failed | SignalState::Expired, None) => {}
        }
    }
    for booked in book {
        if !stored.iter().any(|record| record.fingerprint == booked.fingerprint) {
            object(format!("the broker executed {:?}, which the store does not know", booked.fingerprint));
        }
    }
    violations
}

/// Of several legs, what the store says of each.
fn legs_agree(record: &SignalRecord, by_leg: &[bool], object: &mut impl FnMut(String)) {
    if record.legs == 1 {
        return;
    }
    let (fingerprint, state) = (record.fingerprint, record.state.name());
    let (some, all) = (by_leg.contains(&true), !by_leg.contains(&false));
    if record.state == SignalState::Executed && some && !all || record.state == SignalState::Partial && (all || !some) {
        object(format!("{fingerprint:?} is {state} in the store, and the broker has the legs {by_leg:?}"));
    }
    for (leg, booked) in (0..record.legs).zip(by_leg) {
        if record.has_accepted(Leg(leg)) && !booked {
            object(format!("leg {leg} of {fingerprint:?} is accepted in the store, and the broker never had it"));
        }
    }
}

#[cfg(test)]
mod tests {
    use oncegate_protocol::{Attempt, BrokerOrderId, ClientOrderId, Epoch, Fingerprint, Holder, Outcome, Wall};

    use super::*;
    use crate::oracles::fixture::stored;

    fn booked() -> Booked {
        Booked {
            at: Duration::ZERO,
            fingerprint: Fingerprint::of_bytes(b"s"),
            leg: Leg(0),
            client_order_id: ClientOrderId::new("id"),
            broker_order_id: BrokerOrderId::new("B1"),
            epoch: Epoch(1),
        }
    }

    /// Every state, with and without an order in the book.
    #[test]
    fn a_store_that_lies_either_way_is_seen() {
        use SignalState::{Executed, Executing, Expired, Failed, InDoubt, Quarantined, Received};
        let judged = |state, book: &[Booked]| judge(Duration::ZERO, book, &[stored(state)]).len();
        for state in [Received, Failed, Expired] {
            assert_eq!((judged(state, &[]), judged(state, &[booked()])), (0, 1), "{state:?}");
        }
        for state in [Executing, InDoubt, Quarantined] {
            assert_eq!((judged(state, &[]), judged(state, &[booked()])), (0, 0), "{state:?}");
        }
        assert_eq!((judged(Executed, &[]), judged(Executed, &[booked()])), (1, 0));
        assert_eq!(judge(Duration::ZERO, &[booked()], &[]).len(), 1);
    }

    /// Every state that says something of the legs, with every set of two in the book.
    #[test]
    fn a_store_that_lies_about_legs_is_seen() {
        use SignalState::{Executed, Executing, Failed, Partial, Quarantined};
        let leg = |leg| Booked { leg: Leg(leg), ..booked() };
        let of_two = |state| SignalRecord { legs: 2, ..stored(state) };
        let judged = |state, book: &[Booked]| judge(Duration::ZERO, book, &[of_two(state)]).len();
        for (state, none, first, both) in
            [(Executed, 1, 1, 0), (Partial, 1, 0, 1), (Failed, 0, 1, 1), (Executing, 0, 0, 0), (Quarantined, 0, 0, 0)]
        {
            let found = (judged(state, &[]), judged(state, &[leg(0)]), judged(state, &[leg(0), leg(1)]));
            assert_eq!(found, (none, first, both), "{state:?}");
            assert_ne!(judged(state, &[leg(1)]), 0, "{state:?}: the first was left out");
        }
        let attempt = Attempt {
            leg: Leg(1),
            number: 1,
            epoch: Epoch(1),
            owner: Holder::new("a"),
            client_order_id: ClientOrderId::new("id"),
            claimed_at: Wall::default(),
            outcome: Some(Outcome::Accepted(BrokerOrderId::new("B2"))),
            answered_for: false,
        };
        let claimed = SignalRecord { attempts: vec![attempt], ..of_two(Executing) };
        assert_eq!(judge(Duration::ZERO, &[leg(0)], &[claimed]).len(), 1);
    }
}
