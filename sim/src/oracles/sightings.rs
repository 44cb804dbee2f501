//! What must be seen now and then: a sweep in which one of these never happens has tested less than it says.

use std::collections::BTreeMap;

use oncegate_protocol::call::Verdict;
use serde::{Deserialize, Serialize};

/// Something that only happens when the protocol's harder paths are taken; seen at a service, never told by a
/// node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sighting {
    /// An epoch after the first was opened.
    TakenOver,
    /// The store refused a claim because a newer epoch was open.
    ClaimFenced,
    /// The store refused a claim because the signal was not in the state for it.
    ClaimTaken,
    /// The store refused a heartbeat because a newer epoch was open.
    HeartbeatFenced,
    /// A signal arrived that was stored already.
    SignalRepeated,
    /// A source was told to try again.
    IntakeRefused,
    /// A node that leads no more wrote how its own attempt had ended.
    DeposedTruth,
    /// The broker refused a repeated client order id.
    OrderDeduplicated,
    /// The broker did not have an order that was in doubt.
    OrderNotFound,
    /// A leader concluded that an order in doubt was executed.
    FoundByLookup,
    /// A leader gave an order in doubt to a human.
    Quarantined,
    /// A leader let a signal expire.
    Expired,
    /// A call to the store failed.
    StoreFailed,
    /// A call to the store was carried out and its reply lost.
    StoreReplyLost,
    /// The broker placed an order and did not answer.
    BrokerSilent,
    /// The broker answered 503.
    BrokerOutage,
    /// The broker refused an order for good.
    BrokerRefused,
    /// The broker placed an order and answered 500.
    BrokerConfused,
    /// The broker took its time.
    BrokerLate,
    /// A write to the store waited for a lock in vain.
    StoreBusy,
    /// A write to the store failed because its disk was full.
    StoreFull,
    /// A command to Redis was carried out and its reply lost.
    RedisReplyLost,
    /// The broker placed an order and answered with a status that said otherwise.
    BrokerMisanswered,
    /// A node refused a signal that was none (400).
    MalformedRefused,
    /// A node refused another body of the same identity (409).
    ConflictRefused,
    /// An operator's word on a quarantined signal was taken.
    Resolved,
}

impl Sighting {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::TakenOver,
        Self::ClaimFenced,
        Self::ClaimTaken,
        Self::HeartbeatFenced,
        Self::SignalRepeated,
        Self::IntakeRefused,
        Self::DeposedTruth,
        Self::OrderDeduplicated,
        Self::OrderNotFound,
        Self::FoundByLookup,
        Self::Quarantined,
        Self::Expired,
        Self::StoreFailed,
        Self::StoreReplyLost,
        Self::BrokerSilent,
        Self::BrokerOutage,
        Self::BrokerRefused,
        Self::BrokerConfused,
        Self::BrokerLate,
        Self::StoreBusy,
        Self::StoreFull,
        Self::RedisReplyLost,
        Self::BrokerMisanswered,
        Self::MalformedRefused,
        Self::ConflictRefused,
        Self::Resolved,
    ];

    /// What a verdict is seen as.
    pub fn of_verdict(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Found(_) => Self::FoundByLookup,
            Verdict::Quarantine(_) => Self::Quarantined,
            Verdict::Expire => Self::Expired,
        }
    }

    /// The name as written in scenario files and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TakenOver => "taken-over",
            Self::ClaimFenced => "claim-fenced",
            Self::ClaimTaken => "claim-taken",
            Self::HeartbeatFenced => "heartbeat-fenced",
            Self::SignalRepeated => "signal-repeated",
            Self::IntakeRefused => "intake-refused",
            Self::DeposedTruth => "deposed-truth",
            Self::OrderDeduplicated => "order-deduplicated",
            Self::OrderNotFound => "order-not-found",
            Self::FoundByLookup => "found-by-lookup",
            Self::Quarantined => "quarantined",
            Self::Expired => "expired",
            Self::StoreFailed => "store-failed",
            Self::StoreReplyLost => "store-reply-lost",
            Self::BrokerSilent => "broker-silent",
            Self::BrokerOutage => "broker-outage",
            Self::BrokerRefused => "broker-refused",
            Self::BrokerConfused => "broker-confused",
            Self::BrokerLate => "broker-late",
            Self::StoreBusy => "store-busy",
            Self::StoreFull => "store-full",
            Self::RedisReplyLost => "redis-reply-lost",
            Self::BrokerMisanswered => "broker-misanswered",
            Self::MalformedRefused => "malformed-refused",
            Self::ConflictRefused => "conflict-refused",
            Self::Resolved => "resolved",
        }
    }
}

/// How often each was seen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sightings(BTreeMap<Sighting, u64>);

impl Sightings {
    /// It was seen once more.
    pub fn saw(&mut self, sighting: Sighting) {
        *self.0.entry(sighting).or_default() += 1;
    }

    /// How often it was seen.
    pub fn count(&self, sighting: Sighting) -> u64 {
        self.0.get(&sighting).copied().unwrap_or(0)
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        for (sighting, count) in &other.0 {
            *self.0.entry(*sighting).or_default() += count;
        }
    }

    /// What was never seen.
    pub fn never(&self) -> Vec<Sighting> {
        Sighting::ALL.into_iter().filter(|sighting| self.count(*sighting) == 0).collect()
    }
}
