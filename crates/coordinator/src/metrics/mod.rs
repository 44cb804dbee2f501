//! The figures of one node: counted as it goes, told as one struct.
//!
//! ```text
//!   driver ──each step──► Metrics (Observer) ─┐
//!   ports  ──each call──► Measured<..>        ├─► book ──► MetricsSnapshot ──► JSON
//!   watch_cluster ──each look──► overview     ─┘                 └──► Prometheus text
//! ```
//!
//! `ring` and `timing` are what numbers are kept in, `book` what is counted, [`Measured`] times the ports,
//! [`snapshot`] is the struct, `text` writes it for Prometheus, `names` says which values labels may have.
//!
//! It must never decide anything, wait for anything but its one lock, or make a series out of what came from outside
//! (but the names of nodes, which an operator gives).

mod book;
mod measured;
mod names;
mod ring;
pub mod snapshot;
mod text;
mod timing;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use oncegate_protocol::{Command, Epoch, Event, Mono, Now, Reply, StoreReply, Wall};

use crate::driver::Observer;
use crate::exposition::Exposition;
use crate::handle::Handle;
use crate::overview::{Overview, STORE};
use crate::ports::Clock;

use book::{Book, Sent, TookOver};
pub use measured::Measured;
pub use snapshot::MetricsSnapshot;
use snapshot::{ClusterFigures, LeadershipFigures, NodeFigures, SignalFigures};

/// How far back alerts look for what is rare.
const HOUR: Duration = Duration::from_secs(3_600);

/// The figures of one node; cheap to clone, all clones are the same figures.
///
/// Give one clone to the driver as its observer, wrap its ports in [`Measured`] with others, one to
/// `watch_cluster`, and one to whoever serves `/metrics`.
#[derive(Clone)]
pub struct Metrics(Arc<Shared>);

struct Shared {
    clock: Arc<dyn Clock>,
    instance: String,
    version: String,
    lease_name: String,
    /// Asked for what changes by the millisecond.
    handle: OnceLock<Handle>,
    /// Asked for what a store counts by itself.
    history_failures: OnceLock<Box<dyn Fn() -> u64 + Send + Sync>>,
    book: Mutex<Book>,
}

impl Metrics {
    /// Nothing counted yet. `instance` is this node's name, `version` the program's, and `lease_name` the name of the
    /// lease, which client-go's dashboards expect as label `name` of `leader_election_master_status`.
    pub fn new(
        clock: Arc<dyn Clock>,
        instance: impl Into<String>,
        version: impl Into<String>,
        lease_name: impl Into<String>,
    ) -> Self {
        Self(Arc::new(Shared {
            clock,
            instance: instance.into(),
            version: version.into(),
            lease_name: lease_name.into(),
            handle: OnceLock::new(),
            history_failures: OnceLock::new(),
            book: Mutex::new(Book::new()),
        }))
    }

    /// Lets the figures say whether the gate is open and for how long: without it, they say that it is not. The
    /// first handle stays.
    pub fn attach(&self, handle: Handle) {
        // A second one would be another driver's.
        let _ = self.0.handle.set(handle);
    }

    /// Lets the figures say how many entries of the leadership history a store could not write: `total` counts since
    /// the store was opened, and is asked at every look at the cluster. The first source stays.
    pub fn count_history_failures(&self, total: impl Fn() -> u64 + Send + Sync + 'static) {
        // A second one would be another store's.
        let _ = self.0.history_failures.set(Box::new(total));
    }

    /// All figures as they are now: `get_metrics()`.
    pub fn snapshot(&self) -> MetricsSnapshot {
        let now = self.now();
        let trust = self.trust(now.mono);
        let shared = &*self.0;
        let book = self.book();
        let overview = book.overview.clone();
        let owned = |counters: &BTreeMap<&'static str, u64>| -> BTreeMap<String, u64> {
            counters.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
        };
        MetricsSnapshot {
            at_seconds: seconds(now.wall.as_millis()),
            instance: shared.instance.clone(),
            version: shared.version.clone(),
            lease_name: shared.lease_name.clone(),
            leadership: LeadershipFigures {
                is_leader: !trust.is_zero(),
                epoch: book.epoch.map_or(0, |epoch| epoch.0),
                trust_remaining_seconds: trust.as_secs_f64(),
                changes_total: book.changes.total,
                changes_last_hour: book.changes.within(HOUR, now.mono),
                acquired_total: book.acquired,
                lost_total: owned(&book.lost),
                leases_given_up_total: book.leases_given_up,
                split_brain_detections_total: book.split_brains.total,
                split_brain_detections_last_5m: book.split_brains.within(HOUR / 12, now.mono),
                epoch_went_back_total: book.epoch_went_back.total,
                epoch_went_back_last_hour: book.epoch_went_back.within(HOUR, now.mono),
                fenced_total: book.fenced,
                fenced_claims_total: book.fenced_claims,
                failover: book.failover.figures(),
                last_failover_seconds: book.last_failover.map(|took| took.as_secs_f64()),
                history_write_failures_total: book.history_write_failures.total,
                history_write_failures_last_hour: book.history_write_failures.within(HOUR, now.mono),
            },
            signals: SignalFigures {
                by_state: overview.as_ref().map(|seen| seen.signals_by_state.clone()).unwrap_or_default(),
                oldest_unhandled_age_seconds: overview.as_ref().and_then(|seen| {
                    // It has grown older since it was looked at.
                    let since = now.wall.since(Wall::from_millis(seen.at_ms));
                    seen.oldest_unhandled_ms.map(|age| (Duration::from_millis(age) + since).as_secs_f64())
                }),
                sending_total: book.sending,
                not_sent_total: book.not_sent,
                in_doubt_total: book.in_doubt,
                settled_total: owned(&book.settled),
                received_to_sent: book.received_to_sent.figures(),
                port_failures_total: book.port_failures,
            },
            store: book.store.figures(now.mono),
            lease: book.lease.figures(now.mono),
            broker: book.broker.figures(now.mono),
            broker_outcomes: owned(&book.outcomes),
            broker_lookups: owned(&book.lookups),
            cluster: overview.as_deref().map(cluster).unwrap_or_default(),
            alerts: overview.map(|seen| seen.alerts.clone()).unwrap_or_default(),
        }
    }

    /// The cluster was looked at.
    pub(crate) fn saw(&self, overview: Arc<Overview>) {
        let now = self.now();
        let untold = self.0.history_failures.get().map(|total| total());
        let mut book = self.book();
        book.history_write_failures.stands_at(now.mono, untold.unwrap_or(0));
        // An epoch that was not read is the last one known, or 0 for none.
        if !overview.unreachable.iter().any(|part| part == STORE) {
            book.epoch_is(now.mono, Epoch(overview.leader.epoch));
        }
        book.overview = Some(overview);
    }

    /// The leadership taken over last, for somebody to time, once; if it is as old as `newest`, which is known.
    pub(crate) fn take_took_over(&self, newest: Epoch) -> Option<TookOver> {
        self.book().took_over.take_if(|took_over| took_over.epoch <= newest)
    }

    /// For so long nobody led.
    pub(crate) fn failover_took(&self, took: Duration) {
        let mut book = self.book();
        book.failover.record(took);
        book.last_failover = Some(took);
    }

    /// A first send, for somebody to time, once; the oldest first.
    pub(crate) fn take_sent(&self) -> Option<Sent> {
        self.book().sent.pop_front()
    }

    /// That send could not be timed yet.
    pub(crate) fn put_back(&self, sent: Sent) {
        self.book().sent.push_front(sent);
    }

    /// From being stored to being sent a signal took so long.
    pub(crate) fn sending_took(&self, took: Duration) {
        self.book().received_to_sent.record(took);
    }

    /// For how much longer this node may act.
    fn trust(&self, now: Mono) -> Duration {
        let authority = self.0.handle.get().and_then(|handle| handle.status().authority);
        authority.map_or(Duration::ZERO, |authority| authority.trusted_until.since(now))
    }

    fn now(&self) -> Now {
        self.0.clock.now()
    }

    /// Nothing panics with it held, and what it guards is whole at all times.
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Metrics {
    fn hears(&mut self, _now: Now, event: &Event) {
        if let Event::Replied { reply: Reply::Store(Ok(reply)), .. } = event
            && let StoreReply::Leadership(leadership) | StoreReply::Fenced(leadership) = reply
        {
            self.book().hears_of(leadership);
        }
    }

    fn says(&mut self, now: Now, commands: &[Command]) {
        for command in commands {
            if let Command::Notice(notice) = command {
                self.book().notes(now, notice);
            }
        }
    }
}

impl Exposition for Metrics {
    fn prometheus(&self) -> String {
        text::write(&self.snapshot())
    }

    fn json(&self) -> serde_json::Value {
        serde_json::to_value(self.snapshot()).expect("figures are numbers and strings under string keys")
    }
}

fn cluster(seen: &Overview) -> ClusterFigures {
    ClusterFigures {
        looked_at_seconds: Some(seconds(seen.at_ms)),
        lease_leader: seen.leader.redis_leader.clone(),
        store_leader: seen.leader.db_leader.clone(),
        split_brain: seen.leader.split_brain,
        lease_remaining_seconds: seen.leader.lease_remaining_ms.map(|ms| Duration::from_millis(ms).as_secs_f64()),
        last_heartbeat_seconds: seen.leader.heartbeat_at_ms.map(seconds),
        paused: seen.paused.is_some(),
        unreachable: seen.unreachable.clone(),
        nodes: seen
            .nodes
            .iter()
            .map(|node| NodeFigures {
                instance: node.instance.clone(),
                reachable: node.reachable,
                is_leader: node.is_leader,
                clock_offset_seconds: node.clock_offset_ms.map(seconds),
            })
            .collect(),
    }
}

#[allow(clippy::cast_precision_loss)] // Exact until the year 287396.
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}
