//! The calls that a node makes at its ports, by name: each is a boundary between thinking and doing, at which
//! anything may go wrong.

use oncegate_protocol::{LeaseCall, StoreCall};

/// One kind of call at one port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CallName {
    /// To Redis: take the lease.
    Acquire,
    /// To Redis: extend it.
    Renew,
    /// To Redis: let it go.
    Release,
    /// To Redis: who has it?
    ReadLease,
    /// To the store: keep this signal.
    Insert,
    /// To the store: who leads?
    ReadLeadership,
    /// To the store: open the next epoch.
    OpenEpoch,
    /// To the store: the leader lives.
    Heartbeat,
    /// To the store: the leader leaves.
    Vacate,
    /// To the store: what is owed?
    ReadPending,
    /// To the store: how does this signal stand?
    ReadSignal,
    /// To the store: this order is mine to send.
    Claim,
    /// To the store: this is how it ended.
    RecordOutcome,
    /// To the store: this is what became of it.
    Conclude,
    /// To the store: an operator says so.
    ResolveSignal,
    /// To the store: new orders are stopped, or go on.
    SetPause,
    /// To the broker: place this order.
    Place,
    /// To the broker: do you have this order?
    LookUp,
}

impl CallName {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Acquire,
        Self::Renew,
        Self::Release,
        Self::ReadLease,
        Self::Insert,
        Self::ReadLeadership,
        Self::OpenEpoch,
        Self::Heartbeat,
        Self::Vacate,
        Self::ReadPending,
        Self::ReadSignal,
        Self::Claim,
        Self::RecordOutcome,
        Self::Conclude,
        Self::ResolveSignal,
        Self::SetPause,
        Self::Place,
        Self::LookUp,
    ];

    /// Which call to Redis that is.
    pub const fn of_lease(call: &LeaseCall) -> Self {
        match call {
            LeaseCall::Acquire { .. } => Self::Acquire,
            LeaseCall::Renew { .. } => Self::Renew,
            LeaseCall::Release { .. } => Self::Release,
            LeaseCall::Read => Self::ReadLease,
        }
    }

    /// Which call to the store that is.
    pub const fn of_store(call: &StoreCall) -> Self {
        match call {
            StoreCall::Insert { .. } => Self::Insert,
            StoreCall::ReadLeadership => Self::ReadLeadership,
            StoreCall::OpenEpoch { .. } => Self::OpenEpoch,
            StoreCall::Heartbeat { .. } => Self::Heartbeat,
            StoreCall::Vacate { .. } => Self::Vacate,
            StoreCall::ReadPending { .. } => Self::ReadPending,
            StoreCall::ReadSignal { .. } => Self::ReadSignal,
            StoreCall::Claim(_) => Self::Claim,
            StoreCall::RecordOutcome { .. } => Self::RecordOutcome,
            StoreCall::Conclude { .. } => Self::Conclude,
            StoreCall::Resolve { .. } => Self::ResolveSignal,
            StoreCall::SetPause { .. } => Self::SetPause,
        }
    }

    /// The host that it goes to.
    pub const fn peer(self) -> &'static str {
        match self {
            Self::Acquire | Self::Renew | Self::Release | Self::ReadLease => "redis",
            Self::Place | Self::LookUp => "broker",
            Self::Insert
            | Self::ReadLeadership
            | Self::OpenEpoch
            | Self::Heartbeat
            | Self::Vacate
            | Self::ReadPending
            | Self::ReadSignal
            | Self::Claim
            | Self::RecordOutcome
            | Self::Conclude
            | Self::ResolveSignal
            | Self::SetPause => "store",
        }
    }

    /// Whether it only asks.
    pub const fn only_reads(self) -> bool {
        matches!(self, Self::ReadLease | Self::ReadLeadership | Self::ReadPending | Self::ReadSignal | Self::LookUp)
    }

    /// Before it, after its commit at the service, and after its reply: the names of the three points.
    pub(super) const fn points(self) -> [&'static str; 3] {
        macro_rules! points {
            ($name:literal) => {
                [concat!("before-", $name), concat!("applied-", $name), concat!("after-", $name)]
            };
        }
        match self {
            Self::Acquire => points!("acquire"),
            Self::Renew => points!("renew"),
            Self::Release => points!("release"),
            Self::ReadLease => points!("read-lease"),
            Self::Insert => points!("insert"),
            Self::ReadLeadership => points!("read-leadership"),
            Self::OpenEpoch => points!("open-epoch"),
            Self::Heartbeat => points!("heartbeat"),
            Self::Vacate => points!("vacate"),
            Self::ReadPending => points!("read-pending"),
            Self::ReadSignal => points!("read-signal"),
            Self::Claim => points!("claim"),
            Self::RecordOutcome => points!("record-outcome"),
            Self::Conclude => points!("conclude"),
            Self::ResolveSignal => points!("resolve"),
            Self::SetPause => points!("set-pause"),
            Self::Place => points!("place"),
            Self::LookUp => points!("look-up"),
        }
    }
}
