//! A run as data: the world, the signals and what goes wrong.
//!
//! A scenario is drawn from a seed ([`generate`]), or written by hand or by a failing run as TOML ([`mod@read`],
//! [`mod@write`]); either way it determines the run completely.

pub mod fault;
pub mod generate;
pub mod read;
pub mod shape;
pub mod span;
pub mod timing;
pub mod write;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use fault::Fault;
pub use span::Span;
pub use timing::TimingSpec;

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
    /// What keeps the signals.
    #[serde(skip_serializing_if = "StoreKind::is_sqlite")]
    pub store: StoreKind,
    /// How long a packet travels at least.
    pub latency_min: Span,
    /// How long a packet travels at most.
    pub latency_max: Span,
    /// The fault phase.
    pub faults_for: Span,
    /// The healed phase, in which progress is owed.
    pub healed_for: Span,
    /// JSON pointers to the members by which signals are told apart; none: the whole body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identity: Vec<String>,
    /// The times that the nodes keep to.
    #[serde(skip_serializing_if = "TimingSpec::is_default")]
    pub timing: TimingSpec,
}

impl Default for WorldSpec {
    fn default() -> Self {
        Self {
            nodes: 3,
            broker: BrokerKind::Deduplicates,
            store: StoreKind::Sqlite,
            latency_min: Span::millis(1),
            latency_max: Span::millis(4),
            faults_for: Span::secs(7 * 60),
            healed_for: Span::secs(3 * 60),
            identity: Vec::new(),
            timing: TimingSpec::default(),
        }
    }
}

/// What keeps the signals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// The production SQL of `oncegate-sqlite-store`; whole calls travel to it.
    #[default]
    Sqlite,
    /// The production store of `oncegate-postgres-store`, by PostgreSQL's protocol to a server on a host of its own.
    Postgres,
}

impl StoreKind {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference.
    const fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite)
    }
}

/// What a broker can do about a repeated or lost order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BrokerKind {
    /// Refuses a repeated client order id, and can be asked.
    Deduplicates,
    /// Answers a repeated client order id as it answered the first, and can be asked.
    Absorbs,
    /// Refuses a repeated client order id for a minute and has forgotten it then; can be asked.
    Forgets,
    /// Refuses a repeated client order id until the order is filled, and places a second one then; so it is
    /// declared not to deduplicate. Can be asked.
    UntilFilled,
    /// Places whatever arrives, and can be asked.
    LooksUp,
    /// Places whatever arrives, and can't be asked.
    Blind,
}

impl BrokerKind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Deduplicates, Self::Absorbs, Self::Forgets, Self::UntilFilled, Self::LooksUp, Self::Blind];

    /// The name as written in scenario files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deduplicates => "deduplicates",
            Self::Absorbs => "absorbs",
            Self::Forgets => "forgets",
            Self::UntilFilled => "until-filled",
            Self::LooksUp => "looks-up",
            Self::Blind => "blind",
        }
    }

    /// Whether a repeated client order id never places a second order.
    pub const fn never_repeats(self) -> bool {
        matches!(self, Self::Deduplicates | Self::Absorbs)
    }
}

/// One signal, or a burst of them, and how it reaches the nodes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SignalSpec {
    /// Its id, unique in the scenario; it is what makes it that signal. Those of a burst are `id-1`, `id-2` ...
    pub id: String,
    /// When its source first sends it.
    pub at: Span,
    /// To which nodes: each is sent it, and retried until it answers 2xx.
    pub to: Vec<String>,
    /// How long after `at` it may be sent to the broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good_for: Option<Span>,
    /// How many orders it asks for; several are its legs.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub legs: u32,
    /// How many signals, all sent at once.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub burst: u32,
    /// How often each recipient is sent it, although it was acknowledged.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub times: u32,
    /// What its bytes are like.
    #[serde(default, skip_serializing_if = "Form::is_well")]
    pub form: Form,
}

/// What a signal's bytes are like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// A JSON object, the same at every recipient.
    #[default]
    Well,
    /// A JSON object that says which recipient it was meant for, so that no two are alike; what it is recognised
    /// by (`identity`) is.
    Addressed,
    /// Cut off in the middle: no JSON.
    Malformed,
    /// JSON in which one key comes twice.
    DuplicateKey,
}

impl Form {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference.
    const fn is_well(&self) -> bool {
        matches!(self, Self::Well)
    }

    /// Whether a node must refuse it.
    pub const fn is_refused(self) -> bool {
        matches!(self, Self::Malformed | Self::DuplicateKey)
    }
}

impl SignalSpec {
    /// The ids of all signals of the burst.
    pub fn ids(&self) -> Vec<String> {
        if self.burst == 1 {
            return vec![self.id.clone()];
        }
        (1..=self.burst).map(|number| format!("{}-{number}", self.id)).collect()
    }
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
