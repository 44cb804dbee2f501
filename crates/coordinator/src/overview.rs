//! One node's picture of the cluster, as one struct: what the dashboard shows, what `/metrics.json` gives, what alerts
//! are computed from.
//!
//! Every field is either this node's own or was read from lease, store or peer at `at_ms`; none is an authority.
//! Instants are milliseconds since the Unix epoch by this node's wall clock, durations milliseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The lease, as [`Overview::unreachable`] names it.
pub const LEASE: &str = "lease";
/// The store, as [`Overview::unreachable`] names it.
pub const STORE: &str = "store";

/// The picture.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Overview {
    /// When it was put together.
    pub at_ms: i64,
    /// The name of this node.
    pub instance: String,
    /// Of the program.
    pub version: String,
    /// Who leads.
    pub leader: Leader,
    /// Whether operators have stopped new orders, and why.
    pub paused: Option<Paused>,
    /// This node and those that it was told of, by name.
    pub nodes: Vec<Member>,
    /// How many signals stand in each state, by its name; every state is there.
    pub signals_by_state: BTreeMap<String, u64>,
    /// The age of the oldest signal that is owed something (received, executing, in doubt).
    pub oldest_unhandled_ms: Option<u64>,
    /// What is wrong, worst first.
    pub alerts: Vec<Alert>,
    /// What could not be read this time: `lease`, `store`; then the fields from there are the last known.
    pub unreachable: Vec<String>,
}

/// Who leads, as asked in three places. The first five fields are what the replaced system answered.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Leader {
    /// The instance that the lease names.
    pub redis_leader: Option<String>,
    /// The instance that the store names.
    pub db_leader: Option<String>,
    /// This node's name.
    pub this_instance: String,
    /// Whether this node's gate is open.
    pub is_leader: bool,
    /// Lease and store name different leaders for longer than the grace period.
    pub split_brain: bool,
    /// The newest epoch.
    pub epoch: u64,
    /// For how much longer the lease runs.
    pub lease_remaining_ms: Option<u64>,
    /// For how much longer this node may act without hearing from the lease; none while it does not lead.
    pub trust_remaining_ms: Option<u64>,
    /// Since when the present leader leads, by its own clock.
    pub led_since_ms: Option<i64>,
    /// When the leader that the store names last said there that it lives, by its own clock.
    pub heartbeat_at_ms: Option<i64>,
}

/// Operators have stopped new orders.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Paused {
    /// Why, in their words.
    pub reason: String,
    /// Since when.
    pub since_ms: i64,
}

/// A node of the cluster.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub instance: String,
    /// Where it is asked; none for this node itself.
    pub url: Option<String>,
    /// It answered the last time it was asked.
    pub reachable: bool,
    /// It says that its gate is open.
    pub is_leader: bool,
    /// When it last answered.
    pub seen_at_ms: Option<i64>,
    /// Its wall clock's distance from this node's, as far as the answer's way lets one tell.
    pub clock_offset_ms: Option<i64>,
}

/// Something that somebody should look at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Alert {
    /// The name it bears in the Prometheus rules too, e.g. `OncegateNoLeader`.
    pub name: String,
    /// `warning` or `critical`.
    pub severity: String,
    /// Since when it holds.
    pub since_ms: i64,
    /// What is wrong, with its figures, for people.
    pub message: String,
}
