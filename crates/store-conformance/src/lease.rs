//! What the calls of a lease promise, over nothing but the port and a way to let its time pass.

use std::time::Duration;

use oncegate_coordinator::{BoxFuture, LeaseStore};
use oncegate_protocol::{Epoch, LeaseCall, LeaseReply};

use crate::words::holder;

/// For how long leases are taken here.
pub const TTL: Duration = Duration::from_secs(10);

/// Lets time pass for a lease.
pub type Pass = Box<dyn Fn(Duration) -> BoxFuture<'static, ()>>;

/// Two clients of one lease that nobody holds.
pub struct Leases {
    /// One.
    pub ours: Box<dyn LeaseStore>,
    /// The other.
    pub theirs: Box<dyn LeaseStore>,
    /// Lets time pass for both.
    pub pass: Pass,
    /// By how much less may be left than the steps say, because real time passes too.
    pub slack: Duration,
}

/// That instance takes the lease.
pub fn acquire(name: &str) -> LeaseCall {
    LeaseCall::Acquire { holder: holder(name), ttl: TTL }
}

/// That instance extends it.
pub fn renew(name: &str) -> LeaseCall {
    LeaseCall::Renew { holder: holder(name), ttl: TTL, seen: Epoch(0) }
}

/// That instance lets it go.
pub fn release(name: &str) -> LeaseCall {
    LeaseCall::Release { holder: holder(name) }
}

fn held_by(name: &str, remaining: u64) -> LeaseReply {
    LeaseReply::HeldBy { holder: holder(name), remaining: Some(Duration::from_secs(remaining)) }
}

const GRANTED: LeaseReply = LeaseReply::Granted { seen: Epoch(0) };

/// Every lease passes these; the steps are (seconds that pass, ours or theirs, call, answer).
///
/// # Panics
/// When it does not.
pub async fn probe(leases: &Leases) {
    let Leases { ours, theirs, pass, slack } = leases;
    let steps = [
        (0, ours, LeaseCall::Read, LeaseReply::Free),
        (0, ours, renew("a"), LeaseReply::Free),
        (0, ours, release("a"), LeaseReply::Free),
        (0, ours, acquire("a"), GRANTED),
        (4, theirs, acquire("b"), held_by("a", 6)),
        (0, theirs, renew("b"), held_by("a", 6)),
        (0, theirs, release("b"), held_by("a", 6)),
        (0, theirs, LeaseCall::Read, held_by("a", 6)),
        (0, ours, acquire("a"), GRANTED),
        (4, ours, renew("a"), GRANTED),
        (4, theirs, LeaseCall::Read, held_by("a", 6)),
        (6, theirs, LeaseCall::Read, LeaseReply::Free),
        (0, ours, renew("a"), LeaseReply::Free),
        (0, theirs, acquire("b"), GRANTED),
        (0, ours, release("a"), held_by("b", 10)),
        (0, theirs, release("b"), LeaseReply::Free),
        (0, theirs, release("b"), LeaseReply::Free),
        (0, ours, acquire("a"), GRANTED),
    ];
    for (seconds, lease, call, answer) in steps {
        pass(Duration::from_secs(seconds)).await;
        let told = lease.call(call.clone()).await.unwrap();
        let close = match (&told, &answer) {
            (
                LeaseReply::HeldBy { holder: told, remaining: Some(left) },
                LeaseReply::HeldBy { holder, remaining: Some(most) },
            ) => told == holder && left <= most && *left + *slack >= *most,
            _ => told == answer,
        };
        assert!(close, "{call:?}: {told:?}, not {answer:?}");
    }
}
