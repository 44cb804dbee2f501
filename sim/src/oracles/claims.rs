//! An intent is added only where it may be: to execute where provably nothing was sent, to recover where the end
//! of an earlier attempt is unknown; always under the order id of the attempts before it; and to execute only while
//! operators have not stopped new orders. Reads the signal's row, and the leadership's, right after each claim.

use std::time::Duration;

use oncegate_protocol::call::{Claim, Purpose};
use oncegate_protocol::{Attempt, Leg, Outcome, Pause, SignalRecord, SignalState};

use super::Violation;

/// The oracle's name.
pub const NAME: &str = "claims";

/// Sees every claim that was committed.
#[derive(Default)]
pub struct Claims {
    pub(super) violations: Vec<Violation>,
}

impl Claims {
    /// A claim was committed, and operators have said so of new orders.
    pub fn begun(&mut self, at: Duration, claim: &Claim, paused: Option<&Pause>) {
        // Of what was begun before the other legs follow.
        if let (Purpose::Execute, Leg(0), Some(Pause { reason, .. })) = (claim.purpose, claim.leg, paused) {
            let what = format!(
                "{} claimed {:?} to execute it, and new orders are stopped: {reason}",
                claim.holder, claim.fingerprint
            );
            self.violations.push(Violation { oracle: NAME, at, what });
        }
    }

    /// A claim was committed, and the signal is as given.
    pub fn committed(&mut self, at: Duration, claim: &Claim, record: &SignalRecord) {
        let mut object = |what: String| {
            let what = format!("{} claimed {:?} {what}", claim.holder, claim.fingerprint);
            self.violations.push(Violation { oracle: NAME, at, what });
        };
        let earlier = |attempt: &&Attempt| attempt.leg == claim.leg && attempt.number != claim.number;
        let settled = |attempt: &Attempt| attempt.answered_for || matches!(attempt.outcome, Some(Outcome::NotSent(_)));
        let (purpose, state) = match claim.purpose {
            Purpose::Execute => ("to execute it", SignalState::Executing),
            Purpose::Recover => ("to recover it", SignalState::InDoubt),
        };
        if record.state != state {
            object(format!("{purpose}, and it is {}", record.state.name()));
        }
        if claim.leg.0 >= record.legs {
            object(format!("{purpose}, leg {} of {}", claim.leg, record.legs));
        }
        if let Some(before) = (0..claim.leg.0).find(|before| !record.has_accepted(Leg(*before))) {
            object(format!("{purpose}, leg {}, and leg {before} was not accepted", claim.leg));
        }
        for attempt in record.attempts.iter().filter(earlier) {
            let number = attempt.number;
            if claim.purpose == Purpose::Execute && !settled(attempt) {
                object(format!("{purpose} although attempt {number} may have been sent: {:?}", attempt.outcome));
            }
            if matches!(attempt.outcome, Some(Outcome::Accepted(_))) {
                object(format!("{purpose} although attempt {number} was accepted"));
            }
            if attempt.client_order_id != claim.client_order_id {
                object(format!("{purpose} under another order id than attempt {number}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use oncegate_protocol::{BrokerOrderId, ClientOrderId, Epoch, Holder, Wall};

    use super::*;
    use crate::oracles::fixture::stored;

    fn attempt(number: u32, id: &str, outcome: Option<Outcome>) -> Attempt {
        Attempt {
            leg: Leg(0),
            number,
            epoch: Epoch(1),
            owner: Holder::new("a"),
            client_order_id: ClientOrderId::new(id),
            claimed_at: Wall::default(),
            outcome,
            answered_for: false,
        }
    }

    fn claim(purpose: Purpose, id: &str) -> Claim {
        Claim {
            fingerprint: stored(SignalState::Received).fingerprint,
            leg: Leg(0),
            epoch: Epoch(1),
            holder: Holder::new("a"),
            number: 2,
            client_order_id: ClientOrderId::new(id),
            purpose,
            at: Wall::default(),
        }
    }

    /// How often it objects to a second attempt after a first that ended so.
    fn judged(purpose: Purpose, state: SignalState, first: Option<Outcome>, id: &str) -> usize {
        let record = SignalRecord { attempts: vec![attempt(1, "id", first), attempt(2, id, None)], ..stored(state) };
        let claim = claim(purpose, id);
        let mut oracle = Claims::default();
        oracle.committed(Duration::ZERO, &claim, &record);
        oracle.violations.len()
    }

    #[test]
    fn what_is_begun_while_new_orders_are_stopped_is_seen() {
        let pause = Pause { reason: String::new(), since: Wall::default() };
        for (purpose, paused, objections) in
            [(Purpose::Execute, None, 0), (Purpose::Execute, Some(&pause), 1), (Purpose::Recover, Some(&pause), 0)]
        {
            let claim = claim(purpose, "id");
            let mut oracle = Claims::default();
            oracle.begun(Duration::ZERO, &claim, paused);
            assert_eq!(oracle.violations.len(), objections, "{purpose:?} {paused:?}");
        }
    }

    #[test]
    fn claims_where_they_belong_are_fine() {
        let not_sent = Some(Outcome::NotSent(String::new()));
        assert_eq!(judged(Purpose::Execute, SignalState::Executing, not_sent, "id"), 0);
        assert_eq!(judged(Purpose::Recover, SignalState::InDoubt, None, "id"), 0);
    }

    #[test]
    fn a_leg_out_of_turn_is_seen() {
        let accepted = Some(Outcome::Accepted(BrokerOrderId::new("B1")));
        let next = Attempt { leg: Leg(1), ..attempt(1, "id1", None) };
        let claim = Claim { leg: Leg(1), number: 1, ..claim(Purpose::Execute, "id1") };
        for (legs, first, objections) in [(2, accepted.clone(), 0), (2, None, 1), (1, accepted, 1)] {
            let attempts = vec![attempt(1, "id", first.clone()), next.clone()];
            let record = SignalRecord { legs, attempts, ..stored(SignalState::Executing) };
            let mut oracle = Claims::default();
            oracle.committed(Duration::ZERO, &claim, &record);
            assert_eq!(oracle.violations.len(), objections, "{legs} {first:?}");
        }
    }

    #[test]
    fn claims_without_a_guard_are_seen() {
        let accepted = || Some(Outcome::Accepted(BrokerOrderId::new("B1")));
        assert_eq!(judged(Purpose::Execute, SignalState::Executing, None, "id"), 1);
        assert_eq!(judged(Purpose::Execute, SignalState::Executed, accepted(), "id"), 3);
        assert_eq!(judged(Purpose::Recover, SignalState::Executed, accepted(), "id"), 2);
        assert_eq!(judged(Purpose::Recover, SignalState::Quarantined, None, "id"), 1);
        assert_eq!(judged(Purpose::Recover, SignalState::InDoubt, None, "other"), 1);
    }
}
