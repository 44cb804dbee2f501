//! Every figure of one node at one moment, as one struct: what `/metrics.json` gives, and what `/metrics` is made of,
//! so that the two can't differ.
//!
//! Durations are seconds, instants seconds since the Unix epoch, as Prometheus wants them. Counters count from the
//! start of the process.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::overview::Alert;

/// The figures of one node: what `get_metrics()` gives.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct MetricsSnapshot {
    /// When it was taken, by this node's wall clock.
    pub at_seconds: f64,
    /// The name of this node.
    pub instance: String,
    /// Of the program.
    pub version: String,
    /// The name of the lease that its nodes compete for.
    pub lease_name: String,
    /// Who leads, and how often that changed.
    pub leadership: LeadershipFigures,
    /// What became of signals.
    pub signals: SignalFigures,
    /// Every call that the node makes to the signal store, whatever for: what the replaced system called a sync. Who
    /// only looks (the watch over the cluster, people) is not counted, unless it is given a measured port too.
    pub store: PortFigures,
    /// Every call to the lease.
    pub lease: PortFigures,
    /// Every order and look-up.
    pub broker: PortFigures,
    /// Orders by how they ended: `accepted`, `rejected`, `not_sent`, `unknown`.
    pub broker_outcomes: BTreeMap<String, u64>,
    /// Look-ups by what was answered: `found`, `not_found`, `unavailable`.
    pub broker_lookups: BTreeMap<String, u64>,
    /// What the last look at the cluster saw.
    pub cluster: ClusterFigures,
    /// Alerts that hold, worst first.
    pub alerts: Vec<Alert>,
}

/// Who leads, and how often that changed.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct LeadershipFigures {
    /// This node's gate is open.
    pub is_leader: bool,
    /// The newest epoch that this node has seen.
    pub epoch: u64,
    /// For how much longer this node may act without hearing from the lease; 0 while it does not lead.
    pub trust_remaining_seconds: f64,
    /// Leaderships of any node, by epochs that were seen to be opened since this process watches.
    pub changes_total: u64,
    /// Of those, within the last hour.
    pub changes_last_hour: u64,
    /// Leaderships that this node took.
    pub acquired_total: u64,
    /// Leaderships that this node lost, by why.
    pub lost_total: BTreeMap<String, u64>,
    /// Leases that this node acquired and let go of without having led.
    pub leases_given_up_total: u64,
    /// Times that lease and store were found to name different leaders.
    pub split_brain_detections_total: u64,
    /// Of those, within the last five minutes.
    pub split_brain_detections_last_5m: u64,
    /// Times that the store was found to have lost epochs.
    pub epoch_went_back_total: u64,
    /// Of those, within the last hour.
    pub epoch_went_back_last_hour: u64,
    /// Times that the store refused this node because a newer epoch is open.
    pub fenced_total: u64,
    /// Of those, claims: orders that a deposed leader would have sent.
    pub fenced_claims_total: u64,
    /// From the last sign of life of the leader before to this node's taking over, by both hosts' wall clocks.
    pub failover: HistogramFigures,
    /// The newest of those.
    pub last_failover_seconds: Option<f64>,
    /// Entries of the leadership history that could not be written.
    pub history_write_failures_total: u64,
    /// Of those, within the last hour.
    pub history_write_failures_last_hour: u64,
}

/// What became of signals.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct SignalFigures {
    /// How many signals stand in each state, in the store.
    pub by_state: BTreeMap<String, u64>,
    /// The age of the oldest that is owed something; none when there is none.
    pub oldest_unhandled_age_seconds: Option<f64>,
    /// Orders that this node was about to send.
    pub sending_total: u64,
    /// Orders that it claimed and provably did not send.
    pub not_sent_total: u64,
    /// Times that it could not tell how an attempt ended.
    pub in_doubt_total: u64,
    /// Signals that it saw come to rest, by where they stand then.
    pub settled_total: BTreeMap<String, u64>,
    /// From stored to sent for the first time, by the wall clocks of the nodes that did so.
    pub received_to_sent: HistogramFigures,
    /// Calls of any port that the machine has told of as failed.
    pub port_failures_total: u64,
}

/// Calls to one port.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct PortFigures {
    /// By kind.
    pub calls: BTreeMap<String, CallFigures>,
    /// What happened lately.
    pub lately: LatelyFigures,
}

/// Calls of one kind.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct CallFigures {
    /// How many were begun.
    pub attempts_total: u64,
    /// How many were answered with an error.
    pub errors_total: u64,
    /// How many were given up, because no answer came in time.
    pub timeouts_total: u64,
    /// How long those took that came to an end, of whatever kind.
    pub duration: HistogramFigures,
}

/// Calls to one port within a rolling window.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct LatelyFigures {
    /// How far back this looks, at least.
    pub window_seconds: f64,
    /// Calls that ended.
    pub ended: u64,
    /// Of those, with an error or without an answer in time.
    pub failed: u64,
    /// `failed / ended`; 0 when nothing ended.
    pub failure_ratio: f64,
    /// How long half of the calls took at most; none when there were none. Two significant digits.
    pub p50_seconds: Option<f64>,
    /// The same of 95 in 100.
    pub p95_seconds: Option<f64>,
    /// The same of 99 in 100.
    pub p99_seconds: Option<f64>,
    /// The longest.
    pub max_seconds: Option<f64>,
}

/// A distribution of durations since the process started.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct HistogramFigures {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub sum_seconds: f64,
    /// How many took at most so long, shortest first; all beyond the last are in `count` alone.
    pub buckets: Vec<BucketFigures>,
}

/// One step of a distribution.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct BucketFigures {
    /// So long, inclusive.
    pub le_seconds: f64,
    /// So many took at most that long.
    pub count: u64,
}

/// What the last look at the cluster saw.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ClusterFigures {
    /// When it looked; none before the first look.
    pub looked_at_seconds: Option<f64>,
    /// The instance that the lease names.
    pub lease_leader: Option<String>,
    /// The instance that the store names.
    pub store_leader: Option<String>,
    /// Lease and store name different leaders for longer than the grace period.
    pub split_brain: bool,
    /// For how much longer the lease runs.
    pub lease_remaining_seconds: Option<f64>,
    /// When the leader last said in the store that it lives, by its own clock.
    pub last_heartbeat_seconds: Option<f64>,
    /// Operators have stopped new orders.
    pub paused: bool,
    /// What could not be read: `lease`, `store`.
    pub unreachable: Vec<String>,
    /// This node and its peers.
    pub nodes: Vec<NodeFigures>,
}

/// A node of the cluster.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct NodeFigures {
    /// Its name.
    pub instance: String,
    /// It answered the last time it was asked.
    pub reachable: bool,
    /// It says that its gate is open.
    pub is_leader: bool,
    /// Its wall clock's distance from this node's, at least; positive when it is ahead.
    pub clock_offset_seconds: Option<f64>,
}
