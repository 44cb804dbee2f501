//! Short ways to say a call. Holders are named by one word, signals by a number.

use oncegate_protocol::call::{Claim, Purpose, Resolution, Verdict};
use oncegate_protocol::{
    BrokerOrderId, Epoch, Fingerprint, Holder, KeyFormat, Leg, Outcome, Signal, StoreCall, StoreReply, Wall,
};

/// When everything happens, unless that matters.
pub const AT: Wall = Wall::from_millis(1_000);

/// The holder value of the instance of that name.
pub fn holder(name: &str) -> Holder {
    Holder::new(format!("{name}:0000000000000000:1"))
}

/// The fingerprint of signal `n`.
pub fn fingerprint(n: u64) -> Fingerprint {
    Fingerprint::of_bytes(&n.to_le_bytes())
}

/// Signal `n`; every second one has a deadline.
pub fn signal(n: u64) -> Signal {
    Signal {
        fingerprint: fingerprint(n),
        body_digest: fingerprint(n),
        raw: format!("{{\"n\":{n}}}").into_bytes(),
        expires_at: n.is_multiple_of(2).then_some(Wall::from_millis(9_000)),
        legs: 1,
    }
}

/// Signal `n` arrives.
pub fn insert(n: u64) -> StoreCall {
    StoreCall::Insert { signal: signal(n), at: AT }
}

/// That instance opens the epoch after `expected`.
pub fn open_epoch(expected: u64, name: &str) -> StoreCall {
    StoreCall::OpenEpoch { expected: Epoch(expected), holder: holder(name), at: AT }
}

/// The first attempt at an order, or a recovery as the second.
pub fn claim_for(n: u64, epoch: u64, name: &str, purpose: Purpose) -> Claim {
    Claim {
        fingerprint: fingerprint(n),
        leg: Leg(0),
        epoch: Epoch(epoch),
        holder: holder(name),
        number: match purpose {
            Purpose::Execute => 1,
            Purpose::Recover => 2,
        },
        client_order_id: fingerprint(n).client_order_id(Leg(0), &KeyFormat::default()),
        purpose,
        at: AT,
    }
}

/// The first attempt at signal `n`.
pub fn execute(n: u64, epoch: u64, name: &str) -> StoreCall {
    StoreCall::Claim(claim_for(n, epoch, name, Purpose::Execute))
}

/// The second attempt at signal `n`, which is in doubt.
pub fn recover(n: u64, epoch: u64, name: &str) -> StoreCall {
    StoreCall::Claim(claim_for(n, epoch, name, Purpose::Recover))
}

/// Any attempt.
pub fn nth(number: u32, n: u64, epoch: u64, name: &str, purpose: Purpose) -> StoreCall {
    StoreCall::Claim(Claim { number, ..claim_for(n, epoch, name, purpose) })
}

/// Signal `n`, of so many legs, arrives.
pub fn insert_legs(n: u64, legs: u16) -> StoreCall {
    StoreCall::Insert { signal: Signal { legs, ..signal(n) }, at: AT }
}

/// The first attempt at one leg of signal `n`.
pub fn leg_claim(n: u64, leg: u16, epoch: u64, name: &str, purpose: Purpose) -> Claim {
    let client_order_id = fingerprint(n).client_order_id(Leg(leg), &KeyFormat::default());
    Claim { leg: Leg(leg), client_order_id, ..claim_for(n, epoch, name, purpose) }
}

/// Attempt `number` at one leg of signal `n`, of which nothing was sent.
pub fn claim_leg(n: u64, leg: u16, number: u32, epoch: u64, name: &str) -> StoreCall {
    StoreCall::Claim(Claim { number, ..leg_claim(n, leg, epoch, name, Purpose::Execute) })
}

/// How attempt `number` at one leg of signal `n` ended.
pub fn leg_outcome(n: u64, leg: u16, number: u32, name: &str, outcome: Outcome) -> StoreCall {
    let owner = holder(name);
    StoreCall::RecordOutcome { fingerprint: fingerprint(n), leg: Leg(leg), number, owner, outcome, at: AT }
}

/// How attempt `number` at signal `n` ended.
pub fn outcome(n: u64, number: u32, name: &str, outcome: Outcome) -> StoreCall {
    StoreCall::RecordOutcome { fingerprint: fingerprint(n), leg: Leg(0), number, owner: holder(name), outcome, at: AT }
}

/// What a leader concludes about signal `n`.
pub fn conclude(n: u64, epoch: u64, name: &str, verdict: Verdict) -> StoreCall {
    StoreCall::Conclude { fingerprint: fingerprint(n), epoch: Epoch(epoch), holder: holder(name), verdict, at: AT }
}

/// What an operator says who saw so many attempts.
pub fn resolve(n: u64, attempts: u32, resolution: Resolution) -> StoreCall {
    StoreCall::Resolve { fingerprint: fingerprint(n), resolution, attempts, reason: "looked".into(), at: AT }
}

/// An operator's word on new orders, who has seen so many words before it; its reason is its number.
pub fn set_pause(paused: bool, seen: u64) -> StoreCall {
    StoreCall::SetPause { paused, seen, reason: format!("word {}", seen.wrapping_add(1)), at: AT }
}

/// The broker has the order.
pub fn accepted() -> Outcome {
    Outcome::Accepted(BrokerOrderId::new("b1"))
}

/// Nobody knows.
pub fn unknown() -> Outcome {
    Outcome::Unknown("timed out".into())
}

/// Whether a call was refused because of who leads.
pub fn is_fenced(reply: &StoreReply) -> bool {
    matches!(reply, StoreReply::Fenced(_))
}
