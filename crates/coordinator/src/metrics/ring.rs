//! What happened lately: time in slices, of which the newest few are kept.

use std::time::Duration;

use oncegate_protocol::Mono;

/// What one slice of time holds.
pub(crate) trait Slice {
    /// Forgets what it holds.
    fn clear(&mut self);
}

/// The newest slices. They cover at least `slice * kept`, and at most one slice more: the present one has just
/// begun or is nearly over.
#[derive(Debug)]
pub(crate) struct Ring<T> {
    slice: Duration,
    slots: Vec<Slot<T>>,
}

#[derive(Debug)]
struct Slot<T> {
    /// Which slice it holds, counted from the clock's origin; none before its first use.
    number: Option<u64>,
    held: T,
}

impl<T: Slice> Ring<T> {
    /// Slices of `slice` each, of which `kept` whole ones and the present one are held.
    pub(crate) fn new(slice: Duration, kept: usize, fresh: impl Fn() -> T) -> Self {
        Self { slice, slots: (0..=kept).map(|_| Slot { number: None, held: fresh() }).collect() }
    }

    /// For how long back it remembers, at least.
    pub(crate) fn covers(&self) -> Duration {
        self.slice * u32::try_from(self.slots.len() - 1).expect("a ring has few slots")
    }

    /// The slice of `now`.
    pub(crate) fn at(&mut self, now: Mono) -> &mut T {
        let number = self.number(now);
        let slots = self.slots.len() as u64;
        let slot = &mut self.slots[usize::try_from(number % slots).expect("less than the number of slots")];
        if slot.number != Some(number) {
            slot.number = Some(number);
            slot.held.clear();
        }
        &mut slot.held
    }

    /// The slices that are not too old at `now`.
    pub(crate) fn live(&self, now: Mono) -> impl Iterator<Item = &T> {
        let newest = self.number(now);
        let oldest = (newest + 1).saturating_sub(self.slots.len() as u64);
        self.slots
            .iter()
            .filter(move |slot| slot.number.is_some_and(|number| (oldest..=newest).contains(&number)))
            .map(|slot| &slot.held)
    }

    fn number(&self, now: Mono) -> u64 {
        now.as_nanos() / u64::try_from(self.slice.as_nanos()).expect("a slice is not centuries long")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Slice for u64 {
        fn clear(&mut self) {
            *self = 0;
        }
    }

    proptest! {
        #[test]
        fn whatever_is_young_enough_is_held_and_nothing_older_by_a_slice(
            steps in prop::collection::vec(0_u64..40_000, 1..60),
        ) {
            let mut ring = Ring::new(Duration::from_secs(10), 3, || 0_u64);
            let (mut now, mut happened) = (0, Vec::new());
            for step in steps {
                now += step;
                *ring.at(Mono::from_millis(now)) += 1;
                happened.push(now);
                let held: u64 = ring.live(Mono::from_millis(now)).sum();
                let within = |ms: u64| happened.iter().filter(|at| now - **at <= ms).count() as u64;
                prop_assert!(held >= within(ring.covers().as_millis() as u64 - 1), "too few at {now}: {held}");
                prop_assert!(held <= within(ring.covers().as_millis() as u64 + 10_000), "too many at {now}: {held}");
            }
        }
    }

    #[test]
    fn a_long_silence_empties_it() {
        let mut ring = Ring::new(Duration::from_secs(10), 3, || 0_u64);
        *ring.at(Mono::from_millis(5)) = 7;
        assert_eq!(ring.live(Mono::from_millis(39_999)).sum::<u64>(), 7);
        assert_eq!(ring.live(Mono::from_millis(40_000)).sum::<u64>(), 0);
    }
}
