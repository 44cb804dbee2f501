//! What of the election is seen at Redis, and what only the nodes themselves can tell.

use oncegate_protocol::Notice;
use oncegate_protocol::notice::LossReason;

use super::Sighting;

impl Sighting {
    /// What a command to Redis is seen as: which script, by whom, whom the lease named before and names now.
    pub fn of_lease(script: &str, by: Option<&str>, before: Option<&str>, now: Option<&str>) -> Option<Self> {
        let (had, has) = (by.is_some() && before == by, by.is_some() && now == by);
        Some(match script {
            "acquire" if has && had => Self::LeaseFoundOwn,
            "acquire" if has => Self::LeaseTaken,
            "acquire" => Self::LeaseDenied,
            "renew" if has => Self::LeaseRenewed,
            "renew" if now.is_some() => Self::RenewalDenied,
            "renew" => Self::RenewalTooLate,
            "release" if had && now.is_none() => Self::LeaseReleased,
            "release" => Self::ReleaseRefused,
            _ => return None,
        })
    }

    /// What is read from what a node tells its operators.
    pub fn of_notice(node: &str, notice: &Notice) -> Option<Self> {
        Some(match notice {
            Notice::BecameLeader { .. } => Self::TookTheLead,
            Notice::LostLeadership { reason, .. } => match reason {
                LossReason::LeaseTaken(_) => Self::LostLeaseTaken,
                LossReason::LeaseGone => Self::LostLeaseGone,
                LossReason::RenewalDeadline => Self::LostDeadline,
                LossReason::StoreUnreachable(_) => Self::LostStore,
                LossReason::Fenced(_) => Self::LostFenced,
                // The election's own word; an operator's is the nemesis's.
                LossReason::Asked(why) if why == "shutdown" => Self::ShutDown,
                LossReason::Asked(_) => Self::SteppedDown,
                LossReason::EpochWentBack => return None,
            },
            Notice::GaveUpLease { reason: LossReason::Asked(_) } => Self::GaveUpAsked,
            Notice::GaveUpLease { .. } => Self::GaveUpLease,
            Notice::SplitBrain { store: Some(store), .. } if store.instance() == node => Self::SplitToldByLeader,
            Notice::SplitBrain { .. } => Self::SplitTold,
            Notice::Fenced { .. }
            | Notice::Paused { .. }
            | Notice::Resumed
            | Notice::EpochWentBack { .. }
            | Notice::PortFailed { .. }
            | Notice::Sending { .. }
            | Notice::NotSent { .. }
            | Notice::InDoubt { .. }
            | Notice::Settled { .. } => return None,
        })
    }
}
