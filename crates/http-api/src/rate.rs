//! How often each caller may ask: one instant a caller (the generic cell rate algorithm), on any clock.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use oncegate_protocol::Mono;

/// So many a second, and so many at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// In the long run.
    pub per_second: u32,
    /// After a pause.
    pub burst: u32,
}

/// How many callers are told apart. Those beyond share what is left, so that nobody makes this grow by making up names.
const CALLERS: usize = 4_096;

/// Whose turn it is when there are more callers than are told apart.
const THE_OTHERS: &str = "";

/// Keeps every caller to one rate.
#[derive(Debug)]
pub(crate) struct Limiter {
    each: Duration,
    ahead: Duration,
    /// When each caller would have used up what it asked for, had it kept to the rate; who is not there has asked
    /// for nothing of late.
    due: Mutex<BTreeMap<String, Mono>>,
}

impl Limiter {
    pub(crate) fn new(rate: Rate) -> Self {
        let each = Duration::from_secs(1) / rate.per_second.max(1);
        Self { each, ahead: each * rate.burst.saturating_sub(1), due: Mutex::default() }
    }

    /// Counts one request of `caller`.
    ///
    /// # Errors
    /// It asked too often: after how long it may again. That request is not counted.
    pub(crate) fn take(&self, caller: &str, now: Mono) -> Result<(), Duration> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let mut caller = caller;
        if due.len() >= CALLERS && !due.contains_key(caller) {
            due.retain(|_, due| *due > now);
            if due.len() >= CALLERS {
                caller = THE_OTHERS;
            }
        }
        let from = due.get(caller).copied().unwrap_or(now).max(now);
        let early = from.since(now).saturating_sub(self.ahead);
        if !early.is_zero() {
            return Err(early);
        }
        due.insert(caller.to_owned(), from.plus(self.each));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Mono {
        Mono::from_millis(millis)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let limiter = Limiter::new(Rate { per_second: 10, burst: 3 });
        for _ in 0..3 {
            limiter.take("a", at(0)).unwrap();
        }
        assert_eq!(limiter.take("a", at(0)), Err(Duration::from_millis(100)));
        assert_eq!(limiter.take("a", at(60)), Err(Duration::from_millis(40)));
        limiter.take("b", at(60)).unwrap();
        limiter.take("a", at(100)).unwrap();
        assert!(limiter.take("a", at(100)).is_err());
        for _ in 0..3 {
            limiter.take("a", at(10_000)).unwrap();
        }
        assert!(limiter.take("a", at(10_000)).is_err());
    }

    #[test]
    fn made_up_names_neither_grow_it_nor_pass() {
        let limiter = Limiter::new(Rate { per_second: 1, burst: 1 });
        let passed = (0..3 * CALLERS).filter(|n| limiter.take(&n.to_string(), at(0)).is_ok()).count();
        assert_eq!(passed, CALLERS + 1);
        assert_eq!(limiter.due.lock().unwrap().len(), CALLERS + 1);
        limiter.take("new", at(60_000)).unwrap();
        assert_eq!(limiter.due.lock().unwrap().len(), 1);
    }
}
