//! P4: a claim is committed only under the newest epoch, by its holder. Compares each claim that was committed
//! with the leadership row as it stands right after.

use std::time::Duration;

use oncegate_protocol::Leadership;
use oncegate_protocol::call::Claim;

use super::Violation;

/// The oracle's name.
pub const NAME: &str = "fenced-claims";

/// Sees every claim that was committed.
#[derive(Default)]
pub struct FencedClaims {
    pub(super) violations: Vec<Violation>,
}

impl FencedClaims {
    /// A claim was committed, and the leadership is as given.
    pub fn committed(&mut self, at: Duration, claim: &Claim, row: &Leadership) {
        if claim.epoch != row.epoch || row.holder.as_ref() != Some(&claim.holder) {
            let holder = row.holder.as_ref().map_or("nobody", |holder| holder.as_str());
            self.violations.push(Violation {
                oracle: NAME,
                at,
                what: format!(
                    "{} claimed {:?} under epoch {} while epoch {} is held by {holder}",
                    claim.holder, claim.fingerprint, claim.epoch, row.epoch
                ),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use oncegate_protocol::call::Purpose;
    use oncegate_protocol::{ClientOrderId, Epoch, Fingerprint, Holder, Leg, Wall};

    use super::*;

    fn judged(epoch: u64, holder: &str) -> usize {
        let claim = Claim {
            fingerprint: Fingerprint::of_bytes(b"s"),
            leg: Leg(0),
            epoch: Epoch(epoch),
            holder: Holder::new(holder),
            number: 1,
            client_order_id: ClientOrderId::new("id"),
            purpose: Purpose::Execute,
            at: Wall::default(),
        };
        let row = Leadership {
            epoch: Epoch(2),
            holder: Some(Holder::new("b")),
            heartbeat_at: Wall::default(),
            paused: None,
            pause_words: 0,
        };
        let mut oracle = FencedClaims::default();
        oracle.committed(Duration::ZERO, &claim, &row);
        oracle.violations.len()
    }

    #[test]
    fn only_the_holder_of_the_newest_epoch_may_claim() {
        assert_eq!(judged(2, "b"), 0);
        assert_eq!(judged(1, "a"), 1);
        assert_eq!(judged(2, "a"), 1);
    }
}
