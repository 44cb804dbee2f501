//! An order in which any beginning of a long row meets all parts of it: fixed, so that numbers keep their meaning.

/// So many numbers, in an order that leaves no large gap anywhere, however few are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spread {
    total: u64,
    stride: u64,
}

impl Spread {
    /// Of the numbers below `total`.
    pub fn new(total: u64) -> Self {
        // The golden ratio's steps fall into the largest gap each time.
        let mut stride = (u128::from(total) * 618_034 / 1_000_000).max(1);
        while gcd(stride, u128::from(total.max(1))) != 1 {
            stride += 1;
        }
        Self { total, stride: u64::try_from(stride).unwrap_or(1) }
    }

    /// How many there are.
    pub const fn total(self) -> u64 {
        self.total
    }

    /// The one that comes `nth`, from 0; none past the last.
    pub fn get(self, nth: u64) -> Option<u64> {
        if nth >= self.total {
            return None;
        }
        u64::try_from(u128::from(nth) * u128::from(self.stride) % u128::from(self.total)).ok()
    }
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_come_once() {
        for total in 0..100 {
            let spread = Spread::new(total);
            let all: BTreeSet<_> = (0..total).filter_map(|nth| spread.get(nth)).collect();
            assert_eq!(all.len() as u64, total);
            assert_eq!(spread.get(total), None);
        }
    }

    #[test]
    fn few_are_taken_everywhere() {
        let spread = Spread::new(10_000);
        let tenths: BTreeSet<_> = (0..20).filter_map(|nth| spread.get(nth)).map(|number| number / 1_000).collect();
        assert_eq!(tenths.len(), 10);
    }
}
