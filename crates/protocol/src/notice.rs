//! What an operator should know: the one source of logs, metrics, history and simulation trace.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprint;
use crate::ids::{Epoch, Holder, Leg};
use crate::record::SignalState;
use crate::time::Wall;

/// How loudly a notice is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The course of things.
    Info,
    /// Worth a look in the morning.
    Warning,
    /// Worth a look now.
    Error,
    /// Wake somebody.
    Critical,
}

/// One thing that an operator should know.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// This node leads.
    BecameLeader {
        /// The epoch opened.
        epoch: Epoch,
        /// As whom.
        holder: Holder,
    },
    /// This node no longer leads; its gate is closed already.
    LostLeadership {
        /// The epoch it led.
        epoch: Epoch,
        /// Why.
        reason: LossReason,
    },
    /// An acquired lease was let go without having led.
    GaveUpLease {
        /// Why.
        reason: LossReason,
    },
    /// Lease and store name different leaders for longer than the grace period.
    SplitBrain {
        /// Whom the lease names.
        lease: Option<Holder>,
        /// Whom the store names.
        store: Option<Holder>,
    },
    /// The store refused an act because a newer epoch is open.
    Fenced {
        /// This node's epoch.
        own: Epoch,
        /// The newest.
        newest: Epoch,
    },
    /// The store's newest epoch is below one that was seen before: it has lost commits. This node will not
    /// lead until the store has caught up.
    EpochWentBack {
        /// What the store says.
        read: Epoch,
        /// What was seen.
        seen: Epoch,
    },
    /// A port answered with an error or not at all.
    PortFailed {
        /// What was being done.
        doing: String,
        /// What was seen.
        detail: String,
    },
    /// An order is about to be sent.
    Sending {
        /// Which signal.
        fingerprint: Fingerprint,
        /// Which of its orders.
        leg: Leg,
        /// The fencing token.
        epoch: Epoch,
    },
    /// An order that was claimed is not sent after all; provably.
    NotSent {
        /// Which signal.
        fingerprint: Fingerprint,
        /// Why.
        reason: String,
    },
    /// Nobody knows how an attempt ended.
    InDoubt {
        /// Which signal.
        fingerprint: Fingerprint,
        /// What was seen.
        reason: String,
    },
    /// A signal reached a state in which nothing more is owed to it.
    Settled {
        /// Which signal.
        fingerprint: Fingerprint,
        /// Where it stands.
        state: SignalState,
        /// What was seen.
        detail: String,
    },
    /// Operators have stopped new orders; told by each process that leads when it learns of it.
    Paused {
        /// Why, in their words.
        reason: String,
        /// Since when, by the clock of the node that was told.
        since: Wall,
    },
    /// Operators let new orders go on.
    Resumed,
    /// Nobody is there on the broker's side of this node: while it leads, nothing is begun and nothing is asked.
    BrokerNotReady,
    /// Somebody is there again.
    BrokerReady,
}

/// Why leadership or lease was given up.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossReason {
    /// The lease names somebody else.
    LeaseTaken(Holder),
    /// The lease is gone: it expired or its store lost data.
    LeaseGone,
    /// No renewal succeeded before the renewal deadline.
    RenewalDeadline,
    /// No heartbeat reached the store for this long.
    StoreUnreachable(Duration),
    /// The store has a newer epoch.
    Fenced(Epoch),
    /// The store's epoch is below one seen before.
    EpochWentBack,
    /// An operator, or the process itself, said so.
    Asked(String),
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeaseTaken(holder) => write!(f, "the lease is held by {holder}"),
            Self::LeaseGone => f.write_str("the lease is gone"),
            Self::RenewalDeadline => f.write_str("no renewal succeeded before the deadline"),
            Self::StoreUnreachable(time) => write!(f, "no heartbeat reached the store for {:.1}s", time.as_secs_f64()),
            Self::Fenced(epoch) => write!(f, "epoch {epoch} is open"),
            Self::EpochWentBack => f.write_str("the store has lost epochs"),
            Self::Asked(reason) => f.write_str(reason),
        }
    }
}

impl Notice {
    /// How loudly it should be told.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Sending { .. } | Self::Resumed | Self::BrokerReady => Severity::Info,
            Self::Settled { state, .. } => match state {
                SignalState::Quarantined | SignalState::Partial => Severity::Critical,
                SignalState::Failed | SignalState::Expired => Severity::Error,
                SignalState::Received | SignalState::Executing | SignalState::InDoubt | SignalState::Executed => {
                    Severity::Info
                }
            },
            Self::PortFailed { .. } | Self::NotSent { .. } | Self::GaveUpLease { .. } | Self::BrokerNotReady => {
                Severity::Warning
            }
            Self::BecameLeader { .. } | Self::InDoubt { .. } | Self::Fenced { .. } | Self::SplitBrain { .. } => {
                Severity::Error
            }
            // Nothing is wrong, and nothing is traded: who forgets to resume misses the trade of the quarter.
            Self::Paused { .. } => Severity::Error,
            Self::LostLeadership { reason, .. } => match reason {
                LossReason::Asked(_) => Severity::Error,
                LossReason::LeaseTaken(_)
                | LossReason::LeaseGone
                | LossReason::RenewalDeadline
                | LossReason::StoreUnreachable(_)
                | LossReason::Fenced(_)
                | LossReason::EpochWentBack => Severity::Critical,
            },
            Self::EpochWentBack { .. } => Severity::Critical,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = |holder: &Option<Holder>| holder.as_ref().map_or_else(|| "nobody".to_owned(), Holder::to_string);
        match self {
            Self::BecameLeader { epoch, .. } => write!(f, "leads, epoch {epoch}"),
            Self::LostLeadership { epoch, reason } => write!(f, "no longer leads (epoch {epoch}): {reason}"),
            Self::GaveUpLease { reason } => write!(f, "gave the lease up without leading: {reason}"),
            Self::SplitBrain { lease, store } => {
                write!(f, "split brain: the lease names {}, the store names {}", who(lease), who(store))
            }
            Self::Fenced { own, newest } => write!(f, "fenced: epoch {own} is over, {newest} is open"),
            Self::EpochWentBack { read, seen } => {
                write!(f, "the store says epoch {read}, but {seen} was seen: it has lost commits")
            }
            Self::PortFailed { doing, detail } => write!(f, "could not {doing}: {detail}"),
            Self::Sending { fingerprint, leg: Leg(0), epoch } => write!(f, "sends {fingerprint:?} under epoch {epoch}"),
            Self::Sending { fingerprint, leg, epoch } => {
                write!(f, "sends leg {leg} of {fingerprint:?} under epoch {epoch}")
            }
            Self::NotSent { fingerprint, reason } => write!(f, "did not send {fingerprint:?}: {reason}"),
            Self::InDoubt { fingerprint, reason } => write!(f, "{fingerprint:?} is in doubt: {reason}"),
            Self::Settled { fingerprint, state, detail } => {
                write!(f, "{fingerprint:?} is {}", state.name())?;
                if detail.is_empty() { Ok(()) } else { write!(f, ": {detail}") }
            }
            Self::Paused { reason, .. } => write!(f, "new orders are stopped: {reason}"),
            Self::Resumed => f.write_str("new orders go on"),
            Self::BrokerNotReady => f.write_str("nobody takes orders on the broker's side: nothing is begun"),
            Self::BrokerReady => f.write_str("the broker's side takes orders"),
        }
    }
}
