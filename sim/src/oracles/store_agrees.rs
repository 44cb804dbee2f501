//! P5: what the store says happened agrees with what the broker did. Compares the store's rows with the
//! broker's book at the end of a run.

use std::time::Duration;

use oncegate_protocol::{SignalRecord, SignalState};

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
        match (record.state, booked) {
            (SignalState::Executed, None) => {
                object(format!("{:?} is {state} in the store, and the broker never had it", record.fingerprint));
            }
            (SignalState::Received | SignalState::Failed | SignalState::Expired, Some(booked)) => object(format!(
                "{:?} is {state} in the store, and the broker executed it as {}",
                record.fingerprint, booked.broker_order_id
            )),
            // Unknown stays unknown until proven; a human is told.
            (SignalState::Executing | SignalState::InDoubt | SignalState::Quarantined, _)
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

#[cfg(test)]
mod tests {
    use oncegate_protocol::{BrokerOrderId, ClientOrderId, Epoch, Fingerprint, Leg};

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
}
