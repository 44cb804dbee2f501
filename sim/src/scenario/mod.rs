//! A run as data: the world, the signals and what goes wrong.
//!
//! A scenario is drawn from a seed ([`generate`]), or written by hand or by a failing run as TOML ([`mod@read`],
//! [`mod@write`]); either way it determines the run completely.

pub mod generate;
pub mod read;
pub mod span;
pub mod stories;
pub mod write;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use span::Span;

use crate::world::anchor::Point;

/// One run, completely determined.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// A short name; by custom the file's.
    pub name: String,
    /// Seeds everything that the scenario leaves open: latencies, nonces.
    #[serde(default)]
    pub seed: u64,
    /// The hosts and how long they run.
    #[serde(default)]
    pub world: WorldSpec,
    /// What the sources send.
    #[serde(default, rename = "signal")]
    pub signals: Vec<SignalSpec>,
    /// What goes wrong.
    #[serde(default, rename = "fault")]
    pub faults: Vec<FaultSpec>,
    /// What the run must have shown beside breaking no oracle.
    #[serde(default, skip_serializing_if = "Expect::is_empty")]
    pub expect: Expect,
}

/// The hosts, and the two phases of the run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct WorldSpec {
    /// How many nodes there are, named n1, n2 ...
    pub nodes: usize,
    /// What the broker can do about a repeated or lost order.
    pub broker: BrokerKind,
    /// How long a packet travels at least.
    pub latency_min: Span,
    /// How long a packet travels at most.
    pub latency_max: Span,
    /// The fault phase.
    pub faults_for: Span,
    /// The healed phase, in which progress is owed.
    pub healed_for: Span,
}

impl Default for WorldSpec {
    fn default() -> Self {
        Self {
            nodes: 3,
            broker: BrokerKind::Deduplicates,
            latency_min: Span::millis(1),
            latency_max: Span::millis(4),
            faults_for: Span::secs(7 * 60),
            healed_for: Span::secs(3 * 60),
        }
    }
}

/// What a broker can do about a repeated or lost order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BrokerKind {
    /// Refuses a repeated client order id, and can be asked.
    Deduplicates,
    /// Places whatever arrives, and can be asked.
    LooksUp,
    /// Places whatever arrives, and can't be asked.
    Blind,
}

/// One signal, and how it reaches the nodes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SignalSpec {
    /// Its id, unique in the scenario; it is what makes it that signal.
    pub id: String,
    /// When its source first sends it.
    pub at: Span,
    /// To which nodes: each is sent it, and retried until it answers 2xx.
    pub to: Vec<String>,
    /// How long after `at` it may be sent to the broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good_for: Option<Span>,
}

/// One thing that goes wrong, and when.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FaultSpec {
    /// At this time since the run began; or see `when`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Span>,
    /// When the protocol reaches this point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Anchor>,
    /// What.
    #[serde(rename = "do")]
    pub fault: Fault,
}

/// A named point of the protocol, counted.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Anchor {
    /// Which point.
    pub point: Point,
    /// The how-manieth time it is reached, from 1.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub nth: u32,
    /// Counting only those of this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

const fn first() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference.
const fn is_first(nth: &u32) -> bool {
    *nth == 1
}

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
}

/// What a run must have shown, so that a scenario can't pass without having happened.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Expect {
    /// How many orders the broker's book must hold at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orders: Option<usize>,
    /// Signals by id, and the states they must be in at the end.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub states: std::collections::BTreeMap<String, String>,
    /// Points that must have been reached at least so often.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub reached: std::collections::BTreeMap<Point, u64>,
    /// Sightings that must have been made at least so often; `sim list` names them.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub seen: std::collections::BTreeMap<crate::oracles::sightings::Sighting, u64>,
}

impl Expect {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl WorldSpec {
    /// How long the whole run takes.
    pub fn total(&self) -> Duration {
        self.faults_for.get() + self.healed_for.get()
    }

    /// The names of all hosts, in the world's order.
    pub fn host_names(&self) -> Vec<String> {
        let nodes = (1..=self.nodes).map(|n| format!("n{n}"));
        nodes.chain(["redis", "store", "broker", "source"].map(str::to_owned)).collect()
    }
}

impl Fault {
    /// For how long it lasts; zero for what happens at once.
    pub fn lasts(&self) -> Duration {
        match self {
            Self::Partition { lasts, .. }
            | Self::OneWay { lasts, .. }
            | Self::Isolate { lasts, .. }
            | Self::Pause { lasts, .. }
            | Self::PauseHeartbeats { lasts, .. }
            | Self::ClockDrift { lasts, .. }
            | Self::StoreFails { lasts, .. }
            | Self::StoreLosesReplies { lasts, .. }
            | Self::StoreSlow { lasts, .. }
            | Self::BrokerSilent { lasts }
            | Self::BrokerOutage { lasts }
            | Self::BrokerRefuses { lasts }
            | Self::BrokerConfused { lasts }
            | Self::BrokerLate { lasts, .. } => lasts.get(),
            Self::Crash { down, .. } | Self::PowerLoss { down, .. } => down.get(),
            Self::ClockStep { .. } | Self::StepDown { .. } | Self::RedisLosesData => Duration::ZERO,
        }
    }

    /// The hosts that it names.
    pub fn hosts(&self) -> Vec<&str> {
        match self {
            Self::Partition { between: [a, b], .. } => vec![a, b],
            Self::OneWay { from, to, .. } => vec![from, to],
            Self::Isolate { host, .. }
            | Self::Crash { host, .. }
            | Self::PowerLoss { host, .. }
            | Self::Pause { host, .. }
            | Self::PauseHeartbeats { host, .. }
            | Self::ClockStep { host, .. }
            | Self::StepDown { host }
            | Self::ClockDrift { host, .. } => vec![host],
            Self::StoreFails { host, .. } | Self::StoreLosesReplies { host, .. } => {
                host.iter().map(String::as_str).collect()
            }
            Self::RedisLosesData
            | Self::StoreSlow { .. }
            | Self::BrokerSilent { .. }
            | Self::BrokerOutage { .. }
            | Self::BrokerRefuses { .. }
            | Self::BrokerConfused { .. }
            | Self::BrokerLate { .. } => Vec::new(),
        }
    }

    /// The name as written in scenario files.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Partition { .. } => "partition",
            Self::OneWay { .. } => "one-way",
            Self::Isolate { .. } => "isolate",
            Self::Crash { .. } => "crash",
            Self::PowerLoss { .. } => "power-loss",
            Self::Pause { .. } => "pause",
            Self::PauseHeartbeats { .. } => "pause-heartbeats",
            Self::ClockStep { .. } => "clock-step",
            Self::ClockDrift { .. } => "clock-drift",
            Self::RedisLosesData => "redis-loses-data",
            Self::StoreFails { .. } => "store-fails",
            Self::StoreLosesReplies { .. } => "store-loses-replies",
            Self::StoreSlow { .. } => "store-slow",
            Self::BrokerSilent { .. } => "broker-silent",
            Self::BrokerOutage { .. } => "broker-outage",
            Self::BrokerRefuses { .. } => "broker-refuses",
            Self::BrokerConfused { .. } => "broker-confused",
            Self::StepDown { .. } => "step-down",
            Self::BrokerLate { .. } => "broker-late",
        }
    }
}
