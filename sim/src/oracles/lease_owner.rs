//! The lease belongs to whom it names: only its holder's own renewal lengthens it, only its holder's own release
//! ends it early, nobody revives it once it is over, and no grant makes it last longer than one lease time. Reads
//! Redis's data around every command, in Redis's own time, so that no clock excuses anything.
//!
//! The one right of others: an acquisition may cut a lease that would last longer than one lease time, which only
//! a stepping clock brings about.

use std::time::Duration;

use super::Violation;

/// The oracle's name.
pub const NAME: &str = "lease-owner";

/// Sees every command that Redis carried out.
#[derive(Default)]
pub struct LeaseOwner {
    /// The lease after the last command; none when Redis forgot, or was changed from outside, since then.
    known: Option<Option<Lease>>,
    pub(super) violations: Vec<Violation>,
}

/// The entry: whom it names, and when it ends on Redis's wall clock; none: never.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// Whom it names.
    pub holder: String,
    /// In milliseconds.
    pub ends_ms: Option<u64>,
}

impl LeaseOwner {
    /// Redis's data was changed by the world, not by a command.
    pub fn forgot(&mut self) {
        self.known = None;
    }

    /// A command was carried out when Redis's clock read `now_ms`, and the lease is as given: one of the scripts,
    /// by the holder that it bears, or anything else.
    pub fn carried_out(
        &mut self,
        at: Duration,
        ttl: Duration,
        now_ms: u64,
        (script, by): (Option<&str>, Option<&str>),
        after: Option<Lease>,
    ) {
        let before = self.known.replace(after.clone());
        let Some(before) = before else { return };
        // As Redis has it: the last millisecond is the lease's own.
        let before = before.filter(|lease| lease.ends_ms.is_none_or(|ends| now_ms <= ends));
        let full = now_ms + u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let own = |lease: &Option<Lease>| lease.as_ref().is_some_and(|lease| Some(lease.holder.as_str()) == by);
        let granted = |lease: &Option<Lease>| {
            own(lease) && lease.as_ref().is_some_and(|lease| lease.ends_ms.is_some_and(|ends| ends <= full))
        };
        let allowed = match script {
            Some("acquire") if before.is_none() || own(&before) => granted(&after),
            Some("acquire") => after == before || cut(before.as_ref(), after.as_ref(), full),
            Some("renew") if own(&before) => granted(&after),
            Some("release") if own(&before) => after.is_none(),
            _ => after == before,
        };
        if !allowed {
            let what = format!(
                "{} by {} turned the lease from {} into {}",
                script.unwrap_or("a command"),
                by.unwrap_or("nobody known"),
                told(before.as_ref(), now_ms),
                told(after.as_ref(), now_ms)
            );
            self.violations.push(Violation { oracle: NAME, at, what });
        }
    }
}

/// Whether a lease that would have lasted longer than one lease time now lasts just that.
fn cut(before: Option<&Lease>, after: Option<&Lease>, full: u64) -> bool {
    before.zip(after).is_some_and(|(before, after)| {
        before.holder == after.holder && before.ends_ms.is_none_or(|ends| ends > full) && after.ends_ms == Some(full)
    })
}

fn told(lease: Option<&Lease>, now_ms: u64) -> String {
    match lease {
        None => "nobody's".into(),
        Some(Lease { holder, ends_ms: None }) => format!("{holder}'s for ever"),
        Some(Lease { holder, ends_ms: Some(ends) }) => format!("{holder}'s for {} ms", ends.saturating_sub(now_ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, ends_ms: u64) -> Option<Lease> {
        Some(Lease { holder: holder.into(), ends_ms: Some(ends_ms) })
    }

    /// How often it objects to one command at 1000 ms that finds `before`, under a lease time of 100 ms.
    fn judged(before: Option<Lease>, script: &'static str, by: &str, after: Option<Lease>) -> usize {
        let mut oracle = LeaseOwner { known: Some(before), ..LeaseOwner::default() };
        let script = Some(script).filter(|script| *script != "del");
        let by = script.map(|_| by);
        oracle.carried_out(Duration::ZERO, Duration::from_millis(100), 1_000, (script, by), after);
        oracle.violations.len()
    }

    #[test]
    fn holders_do_with_their_lease_what_they_like() {
        assert_eq!(judged(None, "acquire", "a", lease("a", 1_100)), 0);
        assert_eq!(judged(lease("b", 999), "acquire", "a", lease("a", 1_100)), 0);
        assert_eq!(judged(lease("b", 1_000), "acquire", "a", lease("b", 1_000)), 0);
        assert_eq!(judged(lease("b", 1_050), "acquire", "a", lease("b", 1_050)), 0);
        assert_eq!(judged(lease("b", 9_999), "acquire", "a", lease("b", 1_100)), 0);
        assert_eq!(judged(lease("a", 1_050), "renew", "a", lease("a", 1_100)), 0);
        assert_eq!(judged(lease("a", 1_050), "release", "a", None), 0);
        assert_eq!(judged(None, "renew", "a", None), 0);
    }

    #[test]
    fn whatever_somebody_else_does_to_a_lease_is_seen() {
        assert_eq!(judged(lease("b", 1_050), "release", "a", None), 1);
        assert_eq!(judged(lease("b", 1_050), "renew", "a", lease("b", 1_100)), 1);
        assert_eq!(judged(lease("b", 1_050), "renew", "a", lease("a", 1_100)), 1);
        assert_eq!(judged(lease("b", 1_050), "acquire", "a", lease("a", 1_100)), 1);
        assert_eq!(judged(lease("b", 1_050), "acquire", "a", lease("b", 1_100)), 1);
        assert_eq!(judged(lease("b", 1_050), "del", "", None), 1);
    }

    #[test]
    fn a_revived_and_an_overlong_lease_are_seen() {
        assert_eq!(judged(None, "renew", "a", lease("a", 1_100)), 1);
        assert_eq!(judged(lease("a", 999), "renew", "a", lease("a", 1_100)), 1);
        assert_eq!(judged(None, "acquire", "a", lease("a", 1_101)), 1);
        assert_eq!(judged(None, "acquire", "a", Some(Lease { holder: "a".into(), ends_ms: None })), 1);
        assert_eq!(judged(lease("a", 1_050), "release", "a", lease("a", 1_050)), 1);
    }

    #[test]
    fn what_the_world_did_to_redis_is_nobodys_doing() {
        let mut oracle = LeaseOwner { known: Some(lease("b", 1_050)), ..LeaseOwner::default() };
        oracle.forgot();
        oracle.carried_out(Duration::ZERO, Duration::from_millis(100), 1_000, (Some("read"), None), None);
        assert_eq!(oracle.violations, []);
    }
}
