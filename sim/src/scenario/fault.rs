//! What can go wrong, as data. What each does is in [`crate::nemesis`]; how it is written, in `scenarios/README.md`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Span;

/// What can go wrong. Hosts are named `n1`..., `redis`, `store`, `broker`, `source`; `@leader` is the node that
/// the store names when the fault strikes, `@follower` the first other node that is up, `@actor` the node that
/// reached the point.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Fault {
    /// No packet passes between two hosts; packets are held until it heals.
    Partition {
        /// The two.
        between: [String; 2],
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// No packet passes from one host to another; the other direction works.
    OneWay {
        /// Whose packets are held.
        from: String,
        /// To whom.
        to: String,
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// No packet passes between a host and all others.
    Isolate {
        /// Which.
        host: String,
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// The process ends; its kernel closes its connections. It is started again.
    Crash {
        /// Which.
        host: String,
        /// After how long it is started again.
        down: Span,
    },
    /// The machine loses its power: no connection is closed, whatever was under way is lost.
    PowerLoss {
        /// Which.
        host: String,
        /// After how long it is started again.
        down: Span,
    },
    /// The process stands still, as by SIGSTOP: clocks run on, its kernel acknowledges what arrives.
    Pause {
        /// Which.
        host: String,
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// Only a node's lease renewals and heartbeats stand still.
    PauseHeartbeats {
        /// Which.
        host: String,
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// The wall clock steps; forward, or back with a minus sign.
    ClockStep {
        /// Whose.
        host: String,
        /// By how much.
        by: Span,
    },
    /// The clocks run fast, or slow with a minus sign.
    ClockDrift {
        /// Whose.
        host: String,
        /// By how many parts per million.
        ppm: i64,
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// Redis forgets everything.
    RedisLosesData,
    /// Calls to the store fail before they have any effect.
    StoreFails {
        /// Only those of this node.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// Calls to the store are carried out, and their replies are lost.
    StoreLosesReplies {
        /// Only those of this node.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// Calls to the store take longer.
    StoreSlow {
        /// By how much.
        by: Span,
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// The broker places orders and does not answer.
    BrokerSilent {
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// The broker answers 503 and places nothing.
    BrokerOutage {
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// The broker refuses every new order for good.
    BrokerRefuses {
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// The broker places orders and answers 500.
    BrokerConfused {
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// An operator asks a node to step down.
    StepDown {
        /// Which.
        host: String,
    },
    /// The broker takes orders into its book late, whether or not the sender still waits.
    BrokerLate {
        /// By how much.
        by: Span,
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// The hosts fall apart into groups: no packet passes between two of different groups. Hosts that no group
    /// names reach everybody.
    Split {
        /// Who is with whom.
        groups: Vec<Vec<String>>,
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// No packet passes between two hosts; when it heals new connections work at once, and what was held on old
    /// ones arrives later still, as by TCP's growing pauses between retransmissions.
    LateRelease {
        /// The two.
        between: [String; 2],
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
        /// How long after that the held packets arrive.
        late: Span,
    },
    /// Every packet to and from a host takes longer.
    LatencySpike {
        /// Which.
        host: String,
        /// By how much.
        by: Span,
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// Every connection between two hosts is reset, on both sides; what was under way on it is lost.
    Reset {
        /// The two.
        between: [String; 2],
    },
    /// Nothing listens at a host: new connections are refused, those that stand go on.
    Refuse {
        /// Which.
        host: String,
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// The virtual machine is suspended to a snapshot and resumed: its clocks stand still with it, and stay
    /// behind.
    Snapshot {
        /// Which.
        host: String,
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// A node is asked to end; it steps down, drains, ends, and is started again.
    Shutdown {
        /// Which.
        host: String,
        /// After how long it is started again, counted from the asking.
        down: Span,
    },
    /// An operator looks up every quarantined signal in the broker's own book and tells a node: executed, or,
    /// when nothing of it can still be under way, send it again.
    Resolve {
        /// The node that is told.
        host: String,
    },
    /// An operator has new orders stopped on all nodes, and lets them go on later; says each again, at one node after the
    /// other, until it is confirmed.
    StopOrders {
        /// The node that is told first.
        host: String,
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// Redis fails over to a replica that was behind: every connection breaks, and the last writes are gone.
    RedisFailsOver {
        /// How far the replica was behind.
        loses: Span,
    },
    /// Redis evicts the key of the lease.
    RedisEvicts,
    /// A second master, a copy of the first, serves some nodes; at the end it is dropped with all it was told.
    RedisTwoMasters {
        /// Whom it serves.
        hosts: Vec<String>,
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// Commands to Redis are carried out, and their replies are lost.
    RedisLosesReplies {
        /// Only those of this node.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// Commands to Redis take longer.
    RedisSlow {
        /// By how much.
        by: Span,
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// Somebody else holds the store's write lock: writes wait for it in vain, and fail; reads go on.
    StoreBusy {
        /// Only those of this node.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// The store's disk is full: writes fail, reads go on.
    StoreFull {
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// The broker places orders and answers with a status that says otherwise.
    BrokerMisanswers {
        /// Which, 400 to 599.
        status: u16,
        /// For how long.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// The broker's look-up does not see an order until so long after it was placed.
    BrokerHides {
        /// How long.
        by: Span,
        /// For how long this goes on.
        #[serde(rename = "for")]
        lasts: Span,
    },
    /// The call that is about to be made fails, and nothing of it leaves the node. Only `when` a point `before-...`
    /// is reached.
    CallFails,
    /// The call that is about to be made is carried out, and its reply is lost. Only `when` a point `before-...`
    /// is reached.
    CallLosesReply,
    /// The call that is about to be made is made again later, by nobody's wish. Only `when` a point `before-...`
    /// is reached; an order only where the broker deduplicates.
    CallRepeated {
        /// How much later.
        by: Span,
    },
}

impl Fault {
    /// For how long it lasts; zero for what happens at once.
    pub fn lasts(&self) -> Duration {
        match self {
            Self::Partition { lasts, .. }
            | Self::OneWay { lasts, .. }
            | Self::Isolate { lasts, .. }
            | Self::Split { lasts, .. }
            | Self::LateRelease { lasts, .. }
            | Self::LatencySpike { lasts, .. }
            | Self::Refuse { lasts, .. }
            | Self::Pause { lasts, .. }
            | Self::Snapshot { lasts, .. }
            | Self::PauseHeartbeats { lasts, .. }
            | Self::StopOrders { lasts, .. }
            | Self::ClockDrift { lasts, .. }
            | Self::RedisTwoMasters { lasts, .. }
            | Self::RedisLosesReplies { lasts, .. }
            | Self::RedisSlow { lasts, .. }
            | Self::StoreFails { lasts, .. }
            | Self::StoreLosesReplies { lasts, .. }
            | Self::StoreSlow { lasts, .. }
            | Self::StoreBusy { lasts, .. }
            | Self::StoreFull { lasts }
            | Self::BrokerSilent { lasts }
            | Self::BrokerOutage { lasts }
            | Self::BrokerRefuses { lasts }
            | Self::BrokerConfused { lasts }
            | Self::BrokerMisanswers { lasts, .. }
            | Self::BrokerHides { lasts, .. }
            | Self::BrokerLate { lasts, .. } => lasts.get(),
            Self::Crash { down, .. } | Self::PowerLoss { down, .. } | Self::Shutdown { down, .. } => down.get(),
            Self::ClockStep { .. }
            | Self::StepDown { .. }
            | Self::Resolve { .. }
            | Self::Reset { .. }
            | Self::RedisLosesData
            | Self::RedisEvicts
            | Self::RedisFailsOver { .. }
            | Self::CallFails
            | Self::CallLosesReply
            | Self::CallRepeated { .. } => Duration::ZERO,
        }
    }

    /// Whether it happens at once and needs no end.
    pub const fn is_instant(&self) -> bool {
        matches!(
            self,
            Self::ClockStep { .. }
                | Self::StepDown { .. }
                | Self::Resolve { .. }
                | Self::Reset { .. }
                | Self::RedisLosesData
                | Self::RedisEvicts
                | Self::RedisFailsOver { .. }
                | Self::CallFails
                | Self::CallLosesReply
                | Self::CallRepeated { .. }
        )
    }

    /// Whether it is done to the very call that is about to be made.
    pub const fn is_of_a_call(&self) -> bool {
        matches!(self, Self::CallFails | Self::CallLosesReply | Self::CallRepeated { .. })
    }

    /// The hosts that it names.
    pub fn hosts(&self) -> Vec<&str> {
        match self {
            Self::Partition { between: [a, b], .. }
            | Self::LateRelease { between: [a, b], .. }
            | Self::Reset { between: [a, b] } => vec![a, b],
            Self::OneWay { from, to, .. } => vec![from, to],
            Self::Split { groups, .. } => groups.iter().flatten().map(String::as_str).collect(),
            Self::RedisTwoMasters { hosts, .. } => hosts.iter().map(String::as_str).collect(),
            Self::Isolate { host, .. }
            | Self::LatencySpike { host, .. }
            | Self::Refuse { host, .. }
            | Self::Crash { host, .. }
            | Self::PowerLoss { host, .. }
            | Self::Shutdown { host, .. }
            | Self::Pause { host, .. }
            | Self::Snapshot { host, .. }
            | Self::PauseHeartbeats { host, .. }
            | Self::StopOrders { host, .. }
            | Self::ClockStep { host, .. }
            | Self::StepDown { host }
            | Self::Resolve { host }
            | Self::ClockDrift { host, .. } => vec![host],
            Self::StoreFails { host, .. }
            | Self::StoreLosesReplies { host, .. }
            | Self::StoreBusy { host, .. }
            | Self::RedisLosesReplies { host, .. } => host.iter().map(String::as_str).collect(),
            Self::RedisLosesData
            | Self::RedisEvicts
            | Self::RedisFailsOver { .. }
            | Self::RedisSlow { .. }
            | Self::StoreSlow { .. }
            | Self::StoreFull { .. }
            | Self::BrokerSilent { .. }
            | Self::BrokerOutage { .. }
            | Self::BrokerRefuses { .. }
            | Self::BrokerConfused { .. }
            | Self::BrokerMisanswers { .. }
            | Self::BrokerHides { .. }
            | Self::BrokerLate { .. }
            | Self::CallFails
            | Self::CallLosesReply
            | Self::CallRepeated { .. } => Vec::new(),
        }
    }

    /// The name as written in scenario files.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Partition { .. } => "partition",
            Self::OneWay { .. } => "one-way",
            Self::Isolate { .. } => "isolate",
            Self::Split { .. } => "split",
            Self::LateRelease { .. } => "late-release",
            Self::LatencySpike { .. } => "latency-spike",
            Self::Reset { .. } => "reset",
            Self::Refuse { .. } => "refuse",
            Self::Crash { .. } => "crash",
            Self::PowerLoss { .. } => "power-loss",
            Self::Shutdown { .. } => "shutdown",
            Self::Pause { .. } => "pause",
            Self::Snapshot { .. } => "snapshot",
            Self::PauseHeartbeats { .. } => "pause-heartbeats",
            Self::StepDown { .. } => "step-down",
            Self::Resolve { .. } => "resolve",
            Self::StopOrders { .. } => "stop-orders",
            Self::ClockStep { .. } => "clock-step",
            Self::ClockDrift { .. } => "clock-drift",
            Self::RedisLosesData => "redis-loses-data",
            Self::RedisFailsOver { .. } => "redis-fails-over",
            Self::RedisEvicts => "redis-evicts",
            Self::RedisTwoMasters { .. } => "redis-two-masters",
            Self::RedisLosesReplies { .. } => "redis-loses-replies",
            Self::RedisSlow { .. } => "redis-slow",
            Self::StoreFails { .. } => "store-fails",
            Self::StoreLosesReplies { .. } => "store-loses-replies",
            Self::StoreSlow { .. } => "store-slow",
            Self::StoreBusy { .. } => "store-busy",
            Self::StoreFull { .. } => "store-full",
            Self::BrokerSilent { .. } => "broker-silent",
            Self::BrokerOutage { .. } => "broker-outage",
            Self::BrokerRefuses { .. } => "broker-refuses",
            Self::BrokerConfused { .. } => "broker-confused",
            Self::BrokerMisanswers { .. } => "broker-misanswers",
            Self::BrokerHides { .. } => "broker-hides",
            Self::BrokerLate { .. } => "broker-late",
            Self::CallFails => "call-fails",
            Self::CallLosesReply => "call-loses-reply",
            Self::CallRepeated { .. } => "call-repeated",
        }
    }

    /// The names of all kinds, in the order in which `scenarios/README.md` tells of them.
    pub const NAMES: [&'static str; 40] = [
        "partition",
        "one-way",
        "isolate",
        "split",
        "late-release",
        "latency-spike",
        "reset",
        "refuse",
        "crash",
        "power-loss",
        "shutdown",
        "pause",
        "snapshot",
        "pause-heartbeats",
        "step-down",
        "resolve",
        "stop-orders",
        "clock-step",
        "clock-drift",
        "redis-loses-data",
        "redis-fails-over",
        "redis-evicts",
        "redis-two-masters",
        "redis-loses-replies",
        "redis-slow",
        "store-fails",
        "store-loses-replies",
        "store-slow",
        "store-busy",
        "store-full",
        "broker-silent",
        "broker-outage",
        "broker-refuses",
        "broker-confused",
        "broker-misanswers",
        "broker-hides",
        "broker-late",
        "call-fails",
        "call-loses-reply",
        "call-repeated",
    ];
}
