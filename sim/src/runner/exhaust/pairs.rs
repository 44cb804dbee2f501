//! Two cells of one baseline, the second at the same boundary as the first or later: in an order that is fixed, so
//! that what was done can be named by a number, and spread, so that a small part meets every kind.

use super::spread::Spread;

/// How all pairs of all groups are ordered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pairs {
    /// Where each group's pairs begin, and at the end how many there are.
    begins: Vec<u64>,
    order: Spread,
}

impl Pairs {
    /// Of groups with so many cells.
    pub fn of(cells: &[u64]) -> Self {
        let mut begins = vec![0];
        for count in cells {
            let so_far = begins.last().copied().unwrap_or(0);
            begins.push(so_far + count * count.saturating_sub(1) / 2);
        }
        let total = begins.last().copied().unwrap_or(0);
        Self { begins, order: Spread::new(total) }
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.order.total()
    }

    /// The one with that number: its group, its first cell and its second; none past the last.
    pub fn get(&self, number: u64) -> Option<(usize, usize, usize)> {
        let spread = self.order.get(number)?;
        let group = self.begins.partition_point(|begin| *begin <= spread) - 1;
        let within = spread - self.begins[group];
        // The second cell b has b pairs, with each cell before it: b * (b - 1) / 2 come before those of b.
        let mut second = (1 + 8 * within).isqrt().div_ceil(2);
        while second * (second - 1) / 2 > within {
            second -= 1;
        }
        let first = within - second * (second - 1) / 2;
        Some((group, usize::try_from(first).ok()?, usize::try_from(second).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_pair_comes_once() {
        let cells = [7, 0, 1, 12, 2];
        let pairs = Pairs::of(&cells);
        assert_eq!(pairs.total(), 21 + 66 + 1);
        let all: BTreeSet<_> = (0..pairs.total()).map(|number| pairs.get(number).unwrap()).collect();
        assert_eq!(all.len() as u64, pairs.total());
        for (group, first, second) in all {
            assert!(first < second && (second as u64) < cells[group]);
        }
        assert_eq!(pairs.get(pairs.total()), None);
        assert_eq!(Pairs::of(&[]).get(0), None);
    }

    #[test]
    fn a_few_pairs_come_from_everywhere() {
        let pairs = Pairs::of(&[400; 30]);
        let groups: BTreeSet<_> = (0..100).map(|number| pairs.get(number).unwrap().0).collect();
        assert_eq!(groups.len(), 30);
    }
}
