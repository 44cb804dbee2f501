//! Looks at the cluster once a second, and keeps one node's picture of it.
//!
//! ```text
//!   lease, leadership, tally, newest terms, each peer     all at once, each within its bound
//!        └──────► Overview ──► alerts ──► watch channel (dashboard, SSE), Metrics
//! ```
//!
//! It is a task of its own beside the driver: it only reads, and what it reads decides nothing. It must never hold the
//! driver up, so give it a lease port of its own (a lane that a slow read blocks is not the one that renews), and a
//! [`Ledger`] that does not stand in the store's queue. What does not answer in time keeps its last known value and is
//! named in [`Overview::unreachable`].

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, join5};
use oncegate_protocol::{
    Epoch, Leadership, LeaseCall, LeaseReply, Mono, Now, PortError, SignalState, StoreCall, StoreReply, Wall,
};
use tokio::sync::watch;

use crate::alerts::{AlertConfig, Alerts};
use crate::handle::Handle;
use crate::ledger::{Entry, Ledger, Tally, Term};
use crate::metrics::Metrics;
use crate::overview::{LEASE, Leader, Member, Overview, Paused, STORE};
use crate::peers::{PeerAnswer, Peers};
use crate::ports::{Clock, LeaseStore, SignalStore};
use crate::timeout::until;

/// How often the cluster is looked at. A picture is never older than this and [`LOOK_TIMEOUT`] together.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest that any one answer is waited for: a look is over before the next is due.
pub const LOOK_TIMEOUT: Duration = Duration::from_millis(800);
/// The present leadership and the one before.
const TERMS: u32 = 2;
/// How many sends are looked up at each look. Signals come a few a month.
const SENDS_A_LOOK: usize = 16;

/// What it looks at, and for whom.
pub struct ClusterWatch {
    /// The name of this node.
    pub instance: String,
    /// Of the program.
    pub version: String,
    /// Both clocks.
    pub clock: Arc<dyn Clock>,
    /// Read only. Not the driver's own, where one read can hold up another.
    pub lease: Arc<dyn LeaseStore>,
    /// Read only.
    pub store: Arc<dyn SignalStore>,
    /// What people read of the store.
    pub ledger: Arc<dyn Ledger>,
    /// The other nodes.
    pub peers: Arc<dyn Peers>,
    /// Says whether this node leads.
    pub handle: Handle,
    /// Feeds the alerts, and is fed the picture.
    pub metrics: Metrics,
    /// When alerts are due.
    pub alerts: AlertConfig,
    /// For how long lease and store may name different leaders: `Timing::split_brain_grace`.
    pub split_brain_grace: Duration,
}

/// The picture, and the task that keeps it, to be run beside the driver. The task never ends; dropping it leaves the
/// last picture standing. It also attaches the handle to the metrics.
pub fn watch_cluster(
    config: ClusterWatch,
) -> (watch::Receiver<Arc<Overview>>, impl Future<Output = ()> + Send + 'static) {
    config.metrics.attach(config.handle.clone());
    let first = Overview {
        at_ms: config.clock.now().wall.as_millis(),
        instance: config.instance.clone(),
        version: config.version.clone(),
        leader: Leader { this_instance: config.instance.clone(), ..Leader::default() },
        unreachable: vec![LEASE.to_owned(), STORE.to_owned()],
        ..Overview::default()
    };
    let (tell, told) = watch::channel(Arc::new(first));
    let watcher = Watcher {
        known: Known { peers: vec![None; config.peers.urls().len()], ..Known::default() },
        alerts: Alerts::new(config.alerts.clone()),
        config,
        tell,
    };
    (told, watcher.run())
}

struct Watcher {
    config: ClusterWatch,
    known: Known,
    alerts: Alerts,
    tell: watch::Sender<Arc<Overview>>,
}

/// What was read last, each part by itself.
#[derive(Default)]
struct Known {
    /// Whom the lease names, until when.
    lease: Option<(String, Option<Mono>)>,
    leadership: Option<Leadership>,
    tally: Vec<Tally>,
    terms: Vec<Term>,
    /// By the peers' order: the last answer, and when it came.
    peers: Vec<Option<(PeerAnswer, Wall)>>,
    /// Since when lease and store name different leaders.
    split_since: Option<Mono>,
}

/// What one look brought; none where no answer came in time.
struct Looked {
    lease: Option<LeaseReply>,
    leadership: Option<Leadership>,
    tally: Option<Vec<Tally>>,
    terms: Option<Vec<Term>>,
    peers: Vec<Option<PeerAnswer>>,
}

impl Watcher {
    async fn run(mut self) {
        let clock = Arc::clone(&self.config.clock);
        loop {
            let began = clock.now().mono;
            let looked = self.look(began.plus(LOOK_TIMEOUT)).await;
            let now = clock.now();
            let overview = self.picture(now, &looked);
            self.publish(now, overview);
            let next = began.plus(LOOK_EVERY);
            self.time_what_happened(next).await;
            clock.sleep_until(next).await;
        }
    }

    /// Asks everything at once.
    async fn look(&self, deadline: Mono) -> Looked {
        let ClusterWatch { clock, lease, store, ledger, peers, .. } = &self.config;
        let ask_peers = join_all((0..peers.urls().len()).map(|peer| within(clock, deadline, peers.ask(peer))));
        let (lease, leadership, tally, terms, peers) = join5(
            within(clock, deadline, lease.call(LeaseCall::Read)),
            within(clock, deadline, store.call(StoreCall::ReadLeadership)),
            within(clock, deadline, ledger.tally()),
            within(clock, deadline, ledger.history(TERMS)),
            ask_peers,
        )
        .await;
        let leadership = match leadership {
            Some(StoreReply::Leadership(leadership)) => Some(leadership),
            // No answer, or none to the question.
            Some(_) | None => None,
        };
        Looked { lease, leadership, tally, terms, peers }
    }

    fn picture(&mut self, now: Now, looked: &Looked) -> Overview {
        let known = &mut self.known;
        let mut unreachable = Vec::new();
        match &looked.lease {
            Some(LeaseReply::HeldBy { holder, remaining }) => {
                known.lease = Some((holder.instance().to_owned(), remaining.map(|left| now.mono.plus(left))));
            }
            Some(LeaseReply::Free) => known.lease = None,
            Some(LeaseReply::Granted { .. }) | None => unreachable.push(LEASE.to_owned()),
        }
        if looked.leadership.is_none() || looked.tally.is_none() || looked.terms.is_none() {
            unreachable.push(STORE.to_owned());
        }
        if looked.leadership.is_some() {
            known.leadership.clone_from(&looked.leadership);
        }
        if let Some(tally) = &looked.tally {
            known.tally.clone_from(tally);
        }
        if let Some(terms) = &looked.terms {
            known.terms.clone_from(terms);
        }
        let compared = looked.lease.is_some() && looked.leadership.is_some();
        let leader = self.leader(now, compared);
        let nodes = self.nodes(now, looked, leader.is_leader);
        let count = |state: SignalState| {
            self.known.tally.iter().find(|tally| tally.state == state).map_or(0, |tally| tally.count)
        };
        let paused = self.known.leadership.as_ref().and_then(|leadership| leadership.paused.as_ref());
        let paused = paused.map(|pause| Paused { reason: pause.reason.clone(), since_ms: pause.since.as_millis() });
        let oldest = self.known.tally.iter().filter(|tally| !tally.state.is_settled()).filter_map(|tally| tally.oldest);
        Overview {
            at_ms: now.wall.as_millis(),
            instance: self.config.instance.clone(),
            version: self.config.version.clone(),
            leader,
            paused,
            nodes,
            signals_by_state: SignalState::ALL.iter().map(|state| (state.name().to_owned(), count(*state))).collect(),
            oldest_unhandled_ms: oldest.min().map(|at| millis(now.wall.since(at))),
            alerts: Vec::new(),
            unreachable,
        }
    }

    /// `compared` says that both lease and store were read just now: what is merely known of one may be long past.
    fn leader(&mut self, now: Now, compared: bool) -> Leader {
        let known = &mut self.known;
        let leadership = known.leadership.as_ref();
        let stored = leadership.and_then(|leadership| leadership.holder.as_ref());
        let in_store = stored.map(|holder| holder.instance().to_owned());
        let in_lease = known.lease.as_ref().map(|(name, _)| name.clone());
        if compared {
            let split = matches!((&in_lease, &in_store), (Some(lease), Some(store)) if lease != store);
            known.split_since = split.then(|| known.split_since.unwrap_or(now.mono));
        }
        let epoch = leadership.map_or(Epoch(0), |leadership| leadership.epoch);
        let authority = self.config.handle.status().authority;
        let trust = authority.map(|authority| authority.trusted_until.since(now.mono)).filter(|left| !left.is_zero());
        let term = known.terms.iter().find(|term| stored == Some(&term.holder) && term.epoch == epoch);
        Leader {
            redis_leader: in_lease,
            db_leader: in_store,
            this_instance: self.config.instance.clone(),
            is_leader: trust.is_some(),
            split_brain: known.split_since.is_some_and(|since| now.mono.since(since) >= self.config.split_brain_grace),
            epoch: epoch.0,
            lease_remaining_ms: known.lease.as_ref().and_then(|(_, until)| *until).map(|at| millis(at.since(now.mono))),
            trust_remaining_ms: trust.map(millis),
            led_since_ms: term.map(|term| term.opened_at.as_millis()),
            heartbeat_at_ms: leadership
                // Who has left need not say that it lives.
                .filter(|leadership| leadership.holder.is_some())
                .map(|leadership| leadership.heartbeat_at.as_millis()),
        }
    }

    fn nodes(&mut self, now: Now, looked: &Looked, leads: bool) -> Vec<Member> {
        let own = Member {
            instance: self.config.instance.clone(),
            url: None,
            reachable: true,
            is_leader: leads,
            seen_at_ms: Some(now.wall.as_millis()),
            clock_offset_ms: Some(0),
        };
        let peers = std::iter::zip(self.config.peers.urls(), &looked.peers).zip(&mut self.known.peers);
        let peers = peers.map(|((url, answer), known)| {
            if let Some(answer) = answer {
                *known = Some((answer.clone(), now.wall));
            }
            Member {
                // A peer that never answered has no name yet but where it is.
                instance: known.as_ref().map_or_else(|| url.clone(), |(last, _)| last.instance.clone()),
                url: Some(url.clone()),
                reachable: answer.is_some(),
                is_leader: answer.as_ref().is_some_and(|answer| answer.is_leader),
                seen_at_ms: known.as_ref().map(|(_, at)| at.as_millis()),
                clock_offset_ms: answer.as_ref().and_then(|answer| answer.clock_offset_ms),
            }
        });
        std::iter::once(own).chain(peers).collect()
    }

    /// First the figures, which alerts are computed from; then the alerts, which are part of both.
    fn publish(&mut self, now: Now, mut overview: Overview) {
        // A scrape that comes between the two still sees the alerts of before.
        overview.alerts.clone_from(&self.tell.borrow().alerts);
        self.config.metrics.saw(Arc::new(overview.clone()));
        overview.alerts = self.alerts.look(now, &overview, &self.config.metrics.snapshot());
        let overview = Arc::new(overview);
        self.config.metrics.saw(Arc::clone(&overview));
        // Nobody listening is no reason to stop: the alerts are logged too.
        self.tell.send_replace(overview);
    }

    /// How long failovers and sends took, as far as only the store knows when they began.
    async fn time_what_happened(&self, deadline: Mono) {
        let ClusterWatch { clock, ledger, metrics, .. } = &self.config;
        let terms = &self.known.terms;
        let newest = terms.iter().map(|term| term.epoch).max().unwrap_or_default();
        if let Some(took_over) = metrics.take_took_over(newest) {
            let own = terms.iter().find(|term| term.epoch == took_over.epoch);
            let before = terms.iter().find(|term| term.epoch.next() == took_over.epoch);
            // A leader that left said when. One that did not is closed by its successor, at the moment of that.
            let left = before.and_then(|term| term.closed.as_ref()).map(|(at, _)| *at);
            let left = left.zip(own).filter(|(at, own)| *at < own.opened_at).map(|(at, _)| at);
            metrics.failover_took(took_over.at.since(left.unwrap_or(took_over.last_heartbeat)));
        }
        for _ in 0..SENDS_A_LOOK {
            let Some(sent) = metrics.take_sent() else { break };
            let Some(entry) = within(clock, deadline, ledger.signal(sent.fingerprint)).await else {
                metrics.put_back(sent);
                break;
            };
            // Sent before by another leader, it is not its first send that was seen here.
            let first = |entry: &Entry| entry.record.attempts.iter().all(|attempt| attempt.epoch >= sent.epoch);
            if let Some(entry) = entry.filter(first) {
                metrics.sending_took(sent.at.since(entry.received_at));
            }
        }
    }
}

/// The answer, if it is one and comes in time.
async fn within<T>(
    clock: &Arc<dyn Clock>,
    deadline: Mono,
    answer: impl Future<Output = Result<T, PortError>>,
) -> Option<T> {
    until(&**clock, deadline, answer).await?.ok()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
