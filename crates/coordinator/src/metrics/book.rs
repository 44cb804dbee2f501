//! The running account: what was counted since the process started. One lock guards it, held for as long as it takes
//! to add to a number.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use oncegate_protocol::notice::LossReason;
use oncegate_protocol::{Epoch, Fingerprint, Leadership, Mono, Notice, Now, SignalState, Wall};

use super::names;
use super::snapshot::{CallFigures, PortFigures};
use super::timing::{CALL_BOUNDS, Distribution, FAILOVER_BOUNDS, Lately, SENT_BOUNDS};
use crate::overview::Overview;

/// A node that opens an epoch may read its own before it hears that it is open.
const EPOCHS_KEPT: usize = 4;
/// How many sends may wait for somebody to look up when their signals came; more are not timed.
const SENDS_KEPT: usize = 1_024;
/// How many events of a kind are remembered by their instant. Far more than any alert asks for.
const INSTANTS_KEPT: usize = 1_024;

/// The first send of a signal by this process, not yet timed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sent {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) epoch: Epoch,
    pub(crate) at: Wall,
}

/// A leadership that this node took over, not yet timed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TookOver {
    pub(crate) epoch: Epoch,
    pub(crate) at: Wall,
    /// When the leader before was last heard of.
    pub(crate) last_heartbeat: Wall,
}

/// Calls to one port.
#[derive(Debug)]
pub(super) struct Port {
    calls: BTreeMap<&'static str, Calls>,
    lately: Lately,
}

#[derive(Debug)]
struct Calls {
    attempts: u64,
    errors: u64,
    timeouts: u64,
    duration: Distribution,
}

impl Default for Calls {
    fn default() -> Self {
        Self { attempts: 0, errors: 0, timeouts: 0, duration: Distribution::new(CALL_BOUNDS) }
    }
}

/// How a call ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Answered,
    Failed,
    /// Whoever asked has given it up.
    TimedOut,
}

impl Port {
    fn new(kinds: &[&'static str]) -> Self {
        Self { calls: kinds.iter().map(|kind| (*kind, Calls::default())).collect(), lately: Lately::new() }
    }

    pub(super) fn begins(&mut self, kind: &'static str) {
        self.calls.entry(kind).or_default().attempts += 1;
    }

    pub(super) fn ends(&mut self, kind: &'static str, now: Mono, took: Duration, end: End) {
        let calls = self.calls.entry(kind).or_default();
        calls.errors += u64::from(end == End::Failed);
        calls.timeouts += u64::from(end == End::TimedOut);
        calls.duration.record(took);
        self.lately.record(now, took, end != End::Answered);
    }

    pub(super) fn figures(&self, now: Mono) -> PortFigures {
        let calls = self.calls.iter().map(|(kind, calls)| {
            let figures = CallFigures {
                attempts_total: calls.attempts,
                errors_total: calls.errors,
                timeouts_total: calls.timeouts,
                duration: calls.duration.figures(),
            };
            ((*kind).to_owned(), figures)
        });
        PortFigures { calls: calls.collect(), lately: self.lately.figures(now) }
    }
}

/// Rare events: how many there were, and when the newest were.
#[derive(Default, Debug)]
pub(super) struct Rare {
    pub(super) total: u64,
    newest: VecDeque<Mono>,
}

impl Rare {
    fn happened(&mut self, now: Mono, times: u64) {
        self.total += times;
        for _ in 0..times.min(INSTANTS_KEPT as u64) {
            self.newest.push_back(now);
        }
        let beyond = self.newest.len().saturating_sub(INSTANTS_KEPT);
        self.newest.drain(..beyond);
    }

    /// There were so many by now; those that are new happened about now.
    pub(super) fn stands_at(&mut self, now: Mono, total: u64) {
        self.happened(now, total.saturating_sub(self.total));
    }

    /// How many there were less than `window` before `now`; at most as many as are remembered.
    pub(super) fn within(&self, window: Duration, now: Mono) -> u64 {
        self.newest.iter().rev().take_while(|at| now.since(**at) < window).count() as u64
    }
}

/// A counter by name. All names are there from the start: a series that appears with its first event hides it from
/// `increase()`.
pub(super) type Counters = BTreeMap<&'static str, u64>;

fn zero(names: &[&'static str]) -> Counters {
    names.iter().map(|name| (*name, 0)).collect()
}

/// The account.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) store: Port,
    pub(super) lease: Port,
    pub(super) broker: Port,
    pub(super) outcomes: Counters,
    pub(super) lookups: Counters,
    pub(super) acquired: u64,
    pub(super) lost: Counters,
    pub(super) leases_given_up: u64,
    pub(super) split_brains: Rare,
    pub(super) epoch_went_back: Rare,
    pub(super) fenced: u64,
    pub(super) fenced_claims: u64,
    pub(super) history_write_failures: Rare,
    pub(super) port_failures: u64,
    pub(super) sending: u64,
    pub(super) not_sent: u64,
    pub(super) in_doubt: u64,
    pub(super) settled: Counters,
    pub(super) failover: Distribution,
    pub(super) last_failover: Option<Duration>,
    pub(super) received_to_sent: Distribution,
    pub(super) changes: Rare,
    pub(super) epoch: Option<Epoch>,
    /// When the leader of each of the newest epochs was last heard of, as the store has told.
    heard: BTreeMap<Epoch, Wall>,
    pub(super) took_over: Option<TookOver>,
    pub(super) sent: VecDeque<Sent>,
    sent_before: BTreeSet<Fingerprint>,
    sent_order: VecDeque<Fingerprint>,
    pub(super) overview: Option<Arc<Overview>>,
}

impl Book {
    pub(super) fn new() -> Self {
        let settled: Vec<_> =
            SignalState::ALL.into_iter().filter(|state| state.is_settled()).map(SignalState::name).collect();
        Self {
            store: Port::new(&names::STORE_CALLS),
            lease: Port::new(&names::LEASE_CALLS),
            broker: Port::new(&names::BROKER_CALLS),
            outcomes: zero(&names::OUTCOMES),
            lookups: zero(&names::LOOKUPS),
            acquired: 0,
            lost: zero(&names::LOSSES),
            leases_given_up: 0,
            split_brains: Rare::default(),
            epoch_went_back: Rare::default(),
            fenced: 0,
            fenced_claims: 0,
            history_write_failures: Rare::default(),
            port_failures: 0,
            sending: 0,
            not_sent: 0,
            in_doubt: 0,
            settled: zero(&settled),
            failover: Distribution::new(FAILOVER_BOUNDS),
            last_failover: None,
            received_to_sent: Distribution::new(SENT_BOUNDS),
            changes: Rare::default(),
            epoch: None,
            heard: BTreeMap::new(),
            took_over: None,
            sent: VecDeque::new(),
            sent_before: BTreeSet::new(),
            sent_order: VecDeque::new(),
            overview: None,
        }
    }

    /// The store has told who leads.
    pub(super) fn hears_of(&mut self, leadership: &Leadership) {
        self.heard.insert(leadership.epoch, leadership.heartbeat_at);
        if self.heard.len() > EPOCHS_KEPT {
            self.heard.pop_first();
        }
    }

    /// The newest epoch is this, as of `now`. What the first look finds was there before, and is no change.
    pub(super) fn epoch_is(&mut self, now: Mono, epoch: Epoch) {
        if let Some(before) = self.epoch {
            self.changes.happened(now, epoch.0.saturating_sub(before.0));
        }
        self.epoch = Some(self.epoch.map_or(epoch, |before| before.max(epoch)));
    }

    pub(super) fn notes(&mut self, now: Now, notice: &Notice) {
        match notice {
            Notice::BecameLeader { epoch, .. } => {
                self.acquired += 1;
                let before =
                    self.heard.range(Epoch(1)..*epoch).next_back().filter(|(before, _)| before.next() == *epoch);
                self.took_over = before.map(|(_, at)| TookOver { epoch: *epoch, at: now.wall, last_heartbeat: *at });
            }
            Notice::LostLeadership { reason, .. } => self.lost_by(reason),
            Notice::GaveUpLease { .. } => self.leases_given_up += 1,
            Notice::SplitBrain { .. } => self.split_brains.happened(now.mono, 1),
            Notice::Fenced { .. } => self.fenced += 1,
            Notice::EpochWentBack { .. } => self.epoch_went_back.happened(now.mono, 1),
            Notice::PortFailed { .. } => self.port_failures += 1,
            Notice::Sending { fingerprint, epoch, .. } => {
                self.sending += 1;
                self.sends(Sent { fingerprint: *fingerprint, epoch: *epoch, at: now.wall });
            }
            Notice::NotSent { .. } => self.not_sent += 1,
            Notice::InDoubt { .. } => self.in_doubt += 1,
            // The store says whether orders are stopped now; how often is of no interest.
            Notice::Paused { .. } | Notice::Resumed => {}
            Notice::Settled { state, .. } => *self.settled.entry(state.name()).or_default() += 1,
        }
    }

    fn lost_by(&mut self, reason: &LossReason) {
        *self.lost.entry(names::loss(reason)).or_default() += 1;
    }

    fn sends(&mut self, sent: Sent) {
        if !self.sent_before.insert(sent.fingerprint) {
            return;
        }
        self.sent_order.push_back(sent.fingerprint);
        if self.sent_order.len() > SENDS_KEPT
            && let Some(oldest) = self.sent_order.pop_front()
        {
            self.sent_before.remove(&oldest);
        }
        if self.sent.len() < SENDS_KEPT {
            self.sent.push_back(sent);
        }
    }
}
