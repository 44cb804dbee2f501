//! No node trusts its lease for longer than Redis keeps it. Compares until when each node would act (as it tells
//! the rest of its process) with when the lease ends, both in the world's time.
//!
//! `gate-lease` sees what comes of too long a trust only when an order leaves in just that moment; this sees the
//! trust itself, at any time. The same things excuse it: clocks out of bound, and data that Redis lost.

use std::time::Duration;

use super::Violation;

/// The oracle's name.
pub const NAME: &str = "lease-trust";

/// Sees now and then what each node trusts.
#[derive(Default)]
pub struct LeaseTrust {
    /// Whom it has objected to; once is enough.
    objected: Option<String>,
    pub(super) violations: Vec<Violation>,
}

impl LeaseTrust {
    /// The process that acts as `holder` trusts its lease until `until`; the lease names somebody, and ends then.
    pub fn look(&mut self, at: Duration, holder: &str, until: Duration, lease: Option<(&str, Duration)>) {
        let ends = lease.filter(|(named, _)| *named == holder).map_or(at, |(_, ends)| ends);
        if until > at && until > ends && self.objected.as_deref() != Some(holder) {
            self.objected = Some(holder.to_owned());
            let over = (until - ends).as_secs_f64();
            let what = format!("{holder} trusts its lease for {over:.3}s longer than it lasts");
            self.violations.push(Violation { oracle: NAME, at, what });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_that_outlasts_the_lease_is_seen() {
        let mut oracle = LeaseTrust::default();
        let s = Duration::from_secs;
        oracle.look(s(10), "a", s(19), Some(("a", s(20))));
        oracle.look(s(10), "a", s(9), None);
        assert_eq!(oracle.violations, []);
        oracle.look(s(10), "a", s(21), Some(("a", s(20))));
        assert_eq!(oracle.violations.len(), 1);
        oracle.look(s(10), "b", s(11), Some(("a", s(20))));
        assert_eq!(oracle.violations.len(), 2);
        oracle.look(s(10), "c", s(11), None);
        assert_eq!(oracle.violations.len(), 3);
    }
}
