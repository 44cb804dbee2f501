//! What must be seen now and then: a sweep in which one of these never happens has tested less than it says.
//!
//! Every transition of a signal's state and of leadership, every row of the broker's policy, every refusal, and what
//! goes wrong at a service. Three transitions are not among them, because the world can't bring them about: the
//! store never loses commits (so no epoch goes back), the operator has an order sent again rather than given up, and
//! only when nothing of it can be under way (so no order is accepted after that).

mod election;

use std::collections::BTreeMap;

use oncegate_protocol::call::Verdict;
use serde::{Deserialize, Serialize};

macro_rules! sightings {
    ($(#[doc = $doc:literal] $variant:ident = $name:literal,)*) => {
        /// Something that only happens when the protocol's harder paths are taken; seen at a service. Those of which
        /// it is said that somebody *said* so are told by a node, which alone can know.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Sighting {
            $(#[doc = $doc] $variant,)*
        }

        impl Sighting {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name as written in scenario files and reports.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

sightings! {
    /// An epoch after the first was opened.
    TakenOver = "taken-over",
    /// The store refused a claim because a newer epoch was open.
    ClaimFenced = "claim-fenced",
    /// The store refused a claim because the signal was not in the state for it, or its number was taken.
    ClaimTaken = "claim-taken",
    /// The store refused a claim on a signal in the right state because its number was taken.
    ClaimOutnumbered = "claim-outnumbered",
    /// The store refused a heartbeat because a newer epoch was open.
    HeartbeatFenced = "heartbeat-fenced",
    /// The store refused to open an epoch because somebody had opened it already.
    EpochRefused = "epoch-refused",
    /// The store refused to vacate an epoch because a newer one was open.
    VacateFenced = "vacate-fenced",
    /// The store refused a leader's verdict because a newer epoch was open.
    ConcludeFenced = "conclude-fenced",
    /// A signal arrived that was stored already.
    SignalRepeated = "signal-repeated",
    /// A source was told to try again.
    IntakeRefused = "intake-refused",
    /// A node refused a signal that was none (400).
    MalformedRefused = "malformed-refused",
    /// A node refused another body of the same identity (409).
    ConflictRefused = "conflict-refused",
    /// The store refused an operator's word: the signal was not as the operator had seen it.
    WordRefused = "word-refused",
    /// A node that leads no more wrote how its own attempt had ended.
    DeposedTruth = "deposed-truth",

    /// Operators stopped new orders.
    OrdersStopped = "orders-stopped",
    /// Operators let new orders go on.
    OrdersGoOn = "orders-go-on",
    /// The store refused a claim because new orders were stopped.
    ClaimPaused = "claim-paused",

    // ---- the signal, as the store commits it

    /// A received signal was claimed.
    Begun = "begun",
    /// A claimed signal was executed, by its claimant's word.
    ExecutedAtOnce = "executed-at-once",
    /// A claimed signal failed, by its claimant's word.
    RefusedAtOnce = "refused-at-once",
    /// A claimed signal was received again: its order had provably not been sent.
    HandedBack = "handed-back",
    /// A claimed signal was put in doubt by its claimant's word.
    Doubted = "doubted",
    /// A claimed signal was put in doubt because a new epoch was opened.
    LeftUnfinished = "left-unfinished",
    /// An order in doubt was claimed, to be placed again.
    PlacedAgain = "placed-again",
    /// A signal in doubt was executed, by the word of who had sent it.
    ExecutedLate = "executed-late",
    /// A signal in doubt failed, by the word of who had sent it.
    RefusedLate = "refused-late",
    /// A signal in doubt was received again: none of its orders had been sent.
    ClearedUp = "cleared-up",
    /// A leader concluded that an order in doubt was executed.
    FoundByLookup = "found-by-lookup",
    /// A leader gave an order in doubt to a human.
    Quarantined = "quarantined",
    /// A leader let a signal expire.
    Expired = "expired",
    /// The next leg of a signal was begun by who had claimed the one before it.
    NextLeg = "next-leg",
    /// The next leg of a signal was begun by another leadership than had claimed the one before it.
    NextLegTakenOver = "next-leg-taken-over",
    /// A signal was executed in part: the broker has some of its legs, and not the others.
    Partial = "partial",
    /// A quarantined signal was executed after all, by the word of who had sent it.
    QuarantineOverruled = "quarantine-overruled",
    /// A quarantined signal failed after all, by the word of who had sent it.
    QuarantineRefused = "quarantine-refused",
    /// An operator's word on a quarantined signal was taken.
    Resolved = "resolved",
    /// An operator said that a quarantined signal was executed.
    ResolvedExecuted = "resolved-executed",
    /// An operator had a quarantined signal sent again.
    ResolvedResend = "resolved-resend",

    // ---- the broker's policy, as the broker and the store see it

    /// A leader asked the broker for an order in doubt.
    LookedUp = "looked-up",
    /// A leader asked again for an order that the broker had not had.
    LookedUpAgain = "looked-up-again",
    /// A leader asked a broker that deduplicates, because the deadline forbade to place again.
    LookedUpPastDeadline = "looked-up-past-deadline",
    /// A leader asked a broker that forgets, because it might not remember the order any more.
    LookedUpForgotten = "looked-up-forgotten",
    /// A leader quarantined an order that the broker did not have.
    QuarantinedUnfound = "quarantined-unfound",
    /// A leader quarantined an order of a broker that can't be asked.
    QuarantinedBlind = "quarantined-blind",

    // ---- the lease, as Redis grants it

    /// Redis granted the lease to a node that did not have it.
    LeaseTaken = "lease-taken",
    /// Redis granted the lease to the very acquisition that had it: an earlier reply was lost.
    LeaseFoundOwn = "lease-found-own",
    /// Redis refused the lease because another had it.
    LeaseDenied = "lease-denied",
    /// Redis extended the lease.
    LeaseRenewed = "lease-renewed",
    /// Redis refused a renewal because another had the lease.
    RenewalDenied = "renewal-denied",
    /// Redis refused a renewal because nobody had the lease any more.
    RenewalTooLate = "renewal-too-late",
    /// Redis let go of the lease for its holder.
    LeaseReleased = "lease-released",
    /// Redis was asked to release a lease that was not the caller's.
    ReleaseRefused = "release-refused",

    // ---- the epochs, as the store opens them

    /// The first epoch was opened.
    OpenedFirst = "opened-first",
    /// An epoch was opened after one that was vacated.
    OpenedVacant = "opened-vacant",
    /// An epoch was opened by the process that had the last one, and had not vacated it.
    OpenedOverItself = "opened-over-itself",
    /// An epoch was opened over that of a process that had ended.
    OpenedOverTheDead = "opened-over-the-dead",
    /// An epoch was opened over that of another process that was still up.
    OpenedOverTheLiving = "opened-over-the-living",
    /// An epoch was vacated.
    Vacated = "vacated",

    // ---- what only a node knows

    /// A node said that it leads.
    TookTheLead = "took-the-lead",
    /// A leader said that it stopped because another had the lease.
    LostLeaseTaken = "lost-lease-taken",
    /// A leader said that it stopped because its lease was gone.
    LostLeaseGone = "lost-lease-gone",
    /// A leader said that it stopped because no renewal succeeded in time.
    LostDeadline = "lost-deadline",
    /// A leader said that it stopped because the store could not be reached.
    LostStore = "lost-store",
    /// A leader said that it stopped because a newer epoch was open.
    LostFenced = "lost-fenced",
    /// A leader said that it stopped because it was asked to.
    SteppedDown = "stepped-down",
    /// A leader said that it stopped because its process was asked to end.
    ShutDown = "shut-down",
    /// A node said that it lost a lease before it led.
    GaveUpLease = "gave-up-lease",
    /// A node said that it let a lease go before it led, because it was asked to.
    GaveUpAsked = "gave-up-asked",
    /// Who had the lease said that the store named another.
    SplitTold = "split-told",
    /// Whom the store named said that the lease named another, or nobody.
    SplitToldByLeader = "split-told-by-leader",
    /// After a split was told, lease and store named the same leader again.
    SplitEnded = "split-ended",

    // ---- what goes wrong at a service

    /// The broker refused a repeated client order id.
    OrderDeduplicated = "order-deduplicated",
    /// The broker did not have an order that was in doubt.
    OrderNotFound = "order-not-found",
    /// The broker placed an order and did not answer.
    BrokerSilent = "broker-silent",
    /// The broker answered 503 to an order.
    BrokerOutage = "broker-outage",
    /// The broker answered 503 to a look-up.
    LookUpRefused = "look-up-refused",
    /// The broker refused an order for good.
    BrokerRefused = "broker-refused",
    /// The broker placed an order and answered 500.
    BrokerConfused = "broker-confused",
    /// The broker placed an order and answered with a status that said otherwise.
    BrokerMisanswered = "broker-misanswered",
    /// The broker took its time.
    BrokerLate = "broker-late",
    /// A call to the store failed.
    StoreFailed = "store-failed",
    /// A call to the store was carried out and its reply lost.
    StoreReplyLost = "store-reply-lost",
    /// A write to the store waited for a lock in vain.
    StoreBusy = "store-busy",
    /// A write to the store failed because its disk was full.
    StoreFull = "store-full",
    /// A command to Redis was carried out and its reply lost.
    RedisReplyLost = "redis-reply-lost",
}

impl Sighting {
    /// What a verdict is seen as.
    pub fn of_verdict(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Found { .. } => Self::FoundByLookup,
            Verdict::Quarantine(_) => Self::Quarantined,
            Verdict::Expire => Self::Expired,
        }
    }
}

/// How often each was seen.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
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
        Sighting::ALL.iter().copied().filter(|sighting| self.count(*sighting) == 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_files_read() {
        for sighting in Sighting::ALL {
            assert_eq!(serde_json::to_value(sighting).unwrap(), sighting.name());
        }
        assert!(Sighting::ALL.len() >= 30);
    }
}
