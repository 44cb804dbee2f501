//! The values that labels may have: a closed list each, so that no input can make a series.

use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::notice::LossReason;
use oncegate_protocol::{LeaseCall, Outcome, StoreCall};

/// Kinds of calls to the store.
pub(super) const STORE_CALLS: [&str; 12] = [
    "insert",
    "read_leadership",
    "open_epoch",
    "heartbeat",
    "vacate",
    "read_pending",
    "read_signal",
    "claim",
    "record_outcome",
    "conclude",
    "resolve",
    "set_pause",
];
/// Kinds of calls to the lease.
pub(super) const LEASE_CALLS: [&str; 4] = ["acquire", "renew", "release", "read"];
/// Kinds of calls to the broker.
pub(super) const BROKER_CALLS: [&str; 2] = ["place", "look_up"];
/// What can be known of an order after an attempt.
pub(super) const OUTCOMES: [&str; 4] = ["accepted", "rejected", "not_sent", "unknown"];
/// What is known of an order that was given up.
pub(super) const UNKNOWN: &str = OUTCOMES[3];
/// What a look-up can bring.
pub(super) const LOOKUPS: [&str; 3] = ["found", "not_found", "unavailable"];
/// Why leadership ends.
pub(super) const LOSSES: [&str; 7] =
    ["asked", "epoch_went_back", "fenced", "lease_gone", "lease_taken", "renewal_deadline", "store_unreachable"];

pub(super) const fn store_call(call: &StoreCall) -> &'static str {
    match call {
        StoreCall::Insert { .. } => "insert",
        StoreCall::ReadLeadership => "read_leadership",
        StoreCall::OpenEpoch { .. } => "open_epoch",
        StoreCall::Heartbeat { .. } => "heartbeat",
        StoreCall::Vacate { .. } => "vacate",
        StoreCall::ReadPending { .. } => "read_pending",
        StoreCall::ReadSignal { .. } => "read_signal",
        StoreCall::Claim(_) => "claim",
        StoreCall::RecordOutcome { .. } => "record_outcome",
        StoreCall::Conclude { .. } => "conclude",
        StoreCall::Resolve { .. } => "resolve",
        StoreCall::SetPause { .. } => "set_pause",
    }
}

pub(super) const fn lease_call(call: &LeaseCall) -> &'static str {
    match call {
        LeaseCall::Acquire { .. } => "acquire",
        LeaseCall::Renew { .. } => "renew",
        LeaseCall::Release { .. } => "release",
        LeaseCall::Read => "read",
    }
}

pub(super) const fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted(_) => "accepted",
        Outcome::Rejected(_) => "rejected",
        Outcome::NotSent(_) => "not_sent",
        Outcome::Unknown(_) => "unknown",
    }
}

pub(super) const fn lookup(answer: &LookupAnswer) -> &'static str {
    match answer {
        LookupAnswer::Found(_) => "found",
        LookupAnswer::NotFound => "not_found",
        LookupAnswer::Unavailable(_) => "unavailable",
    }
}

pub(super) const fn loss(reason: &LossReason) -> &'static str {
    match reason {
        LossReason::LeaseTaken(_) => "lease_taken",
        LossReason::LeaseGone => "lease_gone",
        LossReason::RenewalDeadline => "renewal_deadline",
        LossReason::StoreUnreachable(_) => "store_unreachable",
        LossReason::Fenced(_) => "fenced",
        LossReason::EpochWentBack => "epoch_went_back",
        LossReason::Asked(_) => "asked",
    }
}
