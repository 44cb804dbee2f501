//! A leader that leaves hands over in order: its orders end first, then it vacates its epoch, then it releases the
//! lease; and nothing of its epoch is sent after that.
//!
//! - No first byte of an order leaves under an epoch that its holder has set out to vacate, or whose lease it has
//!   set out to release.
//! - Whoever vacates has no order under way that is younger than the broker's time-out: the drain is longer.
//! - Whoever releases while the store names it has set out to vacate before, whether or not it heard that its epoch
//!   was opened; that this may have failed is why it releases nevertheless.
//!
//! Judged at the ports and at the bytes, so that nothing that is under way excuses anything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use oncegate_protocol::{Epoch, Fingerprint, Holder};

use super::Violation;
use super::bounds::Bounds;

/// The oracle's name.
pub const NAME: &str = "handover";

/// One process: its host's place, and which life of it.
type Process = (usize, u64);

/// Sees orders handed on and answered, and every step of leaving.
#[derive(Default)]
pub struct Handover {
    under_way: BTreeMap<Process, BTreeMap<Fingerprint, Duration>>,
    holders: BTreeMap<Epoch, Holder>,
    vacated: BTreeMap<Holder, Duration>,
    released: BTreeMap<Holder, Duration>,
    objected: BTreeSet<(Fingerprint, Epoch)>,
    pub(super) violations: Vec<Violation>,
}

impl Handover {
    /// An epoch was opened.
    pub fn opened(&mut self, epoch: Epoch, holder: &Holder) {
        self.holders.insert(epoch, holder.clone());
    }

    /// A process hands an order to its broker port.
    pub fn placing(&mut self, at: Duration, by: Process, fingerprint: Fingerprint) {
        self.under_way.entry(by).or_default().insert(fingerprint, at);
    }

    /// The port has answered.
    pub fn placed(&mut self, by: Process, fingerprint: Fingerprint) {
        self.under_way.entry(by).or_default().remove(&fingerprint);
    }

    /// A process sets out to vacate its epoch.
    pub fn vacates(&mut self, at: Duration, by: Process, holder: &Holder, bounds: &Bounds) {
        self.vacated.entry(holder.clone()).or_insert(at);
        let least = bounds.at_least(bounds.timing.broker_timeout);
        for (fingerprint, since) in self.under_way.get(&by).into_iter().flatten() {
            if at - *since < least {
                let age = (at - *since).as_secs_f64();
                let what = format!("{holder} vacates its epoch, {age:.3}s after it began to send {fingerprint:?}");
                self.violations.push(Violation { oracle: NAME, at, what });
            }
        }
    }

    /// A process sets out to release the lease while the store names `named`.
    pub fn releases(&mut self, at: Duration, holder: &Holder, named: Option<&str>) {
        self.released.entry(holder.clone()).or_insert(at);
        if named == Some(holder.as_str()) && !self.vacated.contains_key(holder) {
            let what = format!("{holder} releases the lease, and has not vacated its epoch");
            self.violations.push(Violation { oracle: NAME, at, what });
        }
    }

    /// An order begins to leave a node.
    pub fn first_byte(&mut self, at: Duration, bytes: &[u8]) {
        if let (Some(fingerprint), Some(epoch)) = (super::sends::fingerprint_in(bytes), epoch_in(bytes)) {
            self.leaves(at, fingerprint, epoch);
        }
    }

    fn leaves(&mut self, at: Duration, fingerprint: Fingerprint, epoch: Epoch) {
        let Some(holder) = self.holders.get(&epoch) else { return };
        let left = [(&self.vacated, "vacated"), (&self.released, "released")];
        for (list, how) in left {
            if let Some(when) = list.get(holder)
                && self.objected.insert((fingerprint, epoch))
            {
                let when = when.as_secs_f64();
                let what = format!("{holder} sends {fingerprint:?} under epoch {epoch}, which it {how} at {when:.3}s");
                self.violations.push(Violation { oracle: NAME, at, what });
            }
        }
    }
}

/// The epoch in an order's request.
fn epoch_in(bytes: &[u8]) -> Option<Epoch> {
    let text = String::from_utf8_lossy(bytes);
    let (_, rest) = text.split_once("\"epoch\":")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok().map(Epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn signal() -> Fingerprint {
        Fingerprint::of_bytes(b"s")
    }

    #[test]
    fn a_drain_that_is_skipped_is_seen() {
        let (mut oracle, bounds, holder) = (Handover::default(), Bounds::default(), Holder::new("a"));
        oracle.placing(SECOND, (0, 1), signal());
        // Another process of the same host knows nothing of it.
        oracle.vacates(SECOND, (0, 2), &holder, &bounds);
        // Given up by then.
        oracle.vacates(6 * SECOND, (0, 1), &holder, &bounds);
        assert_eq!(oracle.violations, []);
        oracle.vacates(2 * SECOND, (0, 1), &holder, &bounds);
        assert_eq!(oracle.violations.len(), 1);
        oracle.placed((0, 1), signal());
        oracle.vacates(2 * SECOND, (0, 1), &holder, &bounds);
        assert_eq!(oracle.violations.len(), 1);
    }

    #[test]
    fn an_order_that_leaves_after_its_epoch_was_vacated_is_seen() {
        let (mut oracle, bounds, holder) = (Handover::default(), Bounds::default(), Holder::new("a"));
        oracle.opened(Epoch(1), &holder);
        oracle.opened(Epoch(2), &Holder::new("b"));
        oracle.leaves(SECOND, signal(), Epoch(1));
        oracle.vacates(SECOND, (0, 1), &holder, &bounds);
        oracle.leaves(SECOND, signal(), Epoch(2));
        assert_eq!(oracle.violations, []);
        oracle.leaves(SECOND, signal(), Epoch(1));
        assert_eq!(oracle.violations.len(), 1);
    }

    #[test]
    fn a_lease_that_is_released_before_the_epoch_is_seen() {
        let (mut oracle, bounds, holder) = (Handover::default(), Bounds::default(), Holder::new("a"));
        oracle.releases(SECOND, &holder, None);
        oracle.releases(SECOND, &holder, Some("b"));
        assert_eq!(oracle.violations, []);
        oracle.releases(SECOND, &holder, Some("a"));
        assert_eq!(oracle.violations.len(), 1);
        oracle.vacates(SECOND, (0, 1), &holder, &bounds);
        oracle.releases(SECOND, &holder, Some("a"));
        assert_eq!(oracle.violations.len(), 1);
    }

    #[test]
    fn the_epoch_is_found_in_the_request() {
        assert_eq!(epoch_in(b"{\"leg\":0,\"epoch\":17,\"signal\":{}}"), Some(Epoch(17)));
        assert_eq!(epoch_in(b"{}"), None);
    }
}
