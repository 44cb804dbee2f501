//! Epochs only rise, one at a time, and each has one holder for ever. Reads the leadership row after every
//! commit that may have changed it.

use std::collections::BTreeMap;
use std::time::Duration;

use oncegate_protocol::{Epoch, Holder, Leadership};

use super::Violation;

/// The oracle's name.
pub const NAME: &str = "epochs";

/// Sees every state of the leadership row.
#[derive(Default)]
pub struct Epochs {
    newest: Epoch,
    holders: BTreeMap<Epoch, Holder>,
    pub(super) violations: Vec<Violation>,
}

impl Epochs {
    /// An epoch was opened by who had last seen `expected`.
    pub fn opened(&mut self, at: Duration, expected: Epoch, epoch: Epoch) {
        if expected.next() != epoch {
            let what = format!("epoch {epoch} was opened by who had last seen {expected}");
            self.violations.push(Violation { oracle: NAME, at, what });
        }
    }

    /// The row after a commit.
    pub fn committed(&mut self, at: Duration, row: &Leadership) {
        let mut object = |what: String| self.violations.push(Violation { oracle: NAME, at, what });
        if row.epoch < self.newest {
            object(format!("the epoch fell from {} to {}", self.newest, row.epoch));
        } else if row.epoch > self.newest.next() {
            object(format!("the epoch leapt from {} to {}", self.newest, row.epoch));
        }
        self.newest = self.newest.max(row.epoch);
        if let Some(holder) = &row.holder {
            let first = self.holders.entry(row.epoch).or_insert_with(|| holder.clone());
            if first != holder {
                object(format!("epoch {} belonged to {first} and now to {holder}", row.epoch));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use oncegate_protocol::Wall;

    use super::*;

    fn row(epoch: u64, holder: Option<&str>) -> Leadership {
        Leadership {
            epoch: Epoch(epoch),
            holder: holder.map(Holder::new),
            heartbeat_at: Wall::default(),
            paused: None,
            pause_words: 0,
        }
    }

    fn judged(rows: &[Leadership]) -> usize {
        let mut oracle = Epochs::default();
        for row in rows {
            oracle.committed(Duration::ZERO, row);
        }
        oracle.violations.len()
    }

    #[test]
    fn rising_epochs_with_a_vacancy_are_fine() {
        assert_eq!(judged(&[row(1, Some("a")), row(1, None), row(2, Some("b"))]), 0);
    }

    #[test]
    fn falling_leaping_and_shared_epochs_are_seen() {
        assert_eq!(judged(&[row(1, Some("a")), row(2, Some("b")), row(1, Some("a"))]), 1);
        assert_eq!(judged(&[row(1, Some("a")), row(3, Some("b"))]), 1);
        assert_eq!(judged(&[row(1, Some("a")), row(1, Some("b"))]), 1);
    }
}
