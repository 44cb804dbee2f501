//! A clock that stands still until everybody waits, and ports that say what they are told to.
#![allow(dead_code)] // Each test binary uses what it needs of it.
#![allow(clippy::disallowed_methods)] // The clock is the port.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncegate_coordinator::ledger::{Entry, Tally, Term, Wanted};
use oncegate_coordinator::overview::Overview;
use oncegate_coordinator::{
    AlertConfig, BoxFuture, Broker, Clock, ClusterWatch, Driver, Handle, LeaseStore, Ledger, Metrics, PeerAnswer,
    Peers, Ports, SignalStore, watch_cluster,
};
use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::election::Authority;
use oncegate_protocol::{
    Attempt, Capabilities, ClientOrderId, Command, Epoch, Event, Fingerprint, Holder, IdentityRule, InstanceId,
    Leadership, LeaseCall, LeaseReply, Leg, Machine, Mono, Notice, Now, Order, Outcome, PortError, SignalRecord,
    SignalState, StoreCall, StoreReply, Timing, Wall,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// What the wall clock reads when the test begins, in milliseconds.
pub(crate) const START_MS: i64 = 1_700_000_000_000;

/// Tokio's clock, which a paused runtime moves on when everybody waits.
#[derive(Clone, Copy)]
pub(crate) struct PausedClock(Instant);

impl PausedClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Now {
        let passed = self.0.elapsed();
        Now {
            mono: Mono::ZERO.plus(Duration::from_secs(1_000) + passed),
            wall: Wall::from_millis(START_MS).plus(passed),
        }
    }

    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        let at = self.0 + deadline.since(Mono::ZERO.plus(Duration::from_secs(1_000)));
        Box::pin(sleep_until(at))
    }
}

/// What a port does when it is called.
#[derive(Clone, Debug)]
pub(crate) enum Port<T> {
    Says(T),
    Fails,
    Hangs,
}

impl<T: Clone> Port<T> {
    async fn answer(&self) -> Result<T, PortError> {
        match self {
            Self::Says(answer) => Ok(answer.clone()),
            Self::Fails => Err(PortError("out of order".into())),
            Self::Hangs => std::future::pending().await,
        }
    }
}

/// Everything outside of a node, as the test wants it.
#[derive(Clone)]
pub(crate) struct Outside(pub(crate) Arc<Mutex<Told>>);

pub(crate) struct Told {
    pub(crate) lease: Port<LeaseReply>,
    pub(crate) store: Port<StoreReply>,
    pub(crate) tally: Port<Vec<Tally>>,
    pub(crate) terms: Port<Vec<Term>>,
    pub(crate) entries: Port<BTreeMap<Fingerprint, Entry>>,
    pub(crate) peer: Port<PeerAnswer>,
    pub(crate) outcome: Port<Outcome>,
    pub(crate) lookup: LookupAnswer,
    pub(crate) authority: Option<Authority>,
    /// Told at the next steps.
    pub(crate) commands: Vec<Command>,
}

pub(crate) fn holder(instance: &str) -> Holder {
    Holder::of(&InstanceId::new(instance), 7, 1)
}

pub(crate) fn leadership(epoch: u64, who: Option<&str>, heartbeat_ms: i64) -> Leadership {
    Leadership {
        epoch: Epoch(epoch),
        holder: who.map(holder),
        heartbeat_at: Wall::from_millis(heartbeat_ms),
        paused: None,
        pause_words: 0,
    }
}

pub(crate) fn leased(who: &str) -> LeaseReply {
    LeaseReply::HeldBy { holder: holder(who), remaining: Some(Duration::from_secs(9)) }
}

pub(crate) fn term(epoch: u64, who: &str, opened_ms: i64, closed: Option<(i64, &str)>) -> Term {
    Term {
        epoch: Epoch(epoch),
        holder: holder(who),
        opened_at: Wall::from_millis(opened_ms),
        closed: closed.map(|(at, reason)| (Wall::from_millis(at), reason.to_owned())),
    }
}

pub(crate) fn tally(state: SignalState, count: u64, oldest_ms: i64) -> Tally {
    Tally { state, count, oldest: (count > 0).then_some(Wall::from_millis(oldest_ms)) }
}

/// A signal that was received then and has attempts of these epochs.
pub(crate) fn entry(fingerprint: Fingerprint, received_ms: i64, epochs: &[u64]) -> Entry {
    let attempt = |epoch: &u64| Attempt {
        leg: Leg(0),
        number: 1,
        epoch: Epoch(*epoch),
        owner: holder("a"),
        client_order_id: ClientOrderId::new("og-1"),
        claimed_at: Wall::from_millis(received_ms),
        outcome: None,
        answered_for: false,
    };
    let record = SignalRecord {
        fingerprint,
        sequence: 1,
        state: SignalState::Executing,
        raw: b"{}".to_vec(),
        expires_at: None,
        legs: 1,
        attempts: epochs.iter().map(attempt).collect(),
    };
    Entry { record, received_at: Wall::from_millis(received_ms), decisions: vec![] }
}

impl Outside {
    /// Node `a` leads in epoch 3, `b` answers, nothing is owed.
    pub(crate) fn well() -> Self {
        Self(Arc::new(Mutex::new(Told {
            lease: Port::Says(leased("a")),
            store: Port::Says(StoreReply::Leadership(leadership(3, Some("a"), START_MS))),
            tally: Port::Says(SignalState::ALL.into_iter().map(|state| tally(state, 0, 0)).collect()),
            terms: Port::Says(vec![term(3, "a", START_MS - 60_000, None)]),
            entries: Port::Says(BTreeMap::new()),
            peer: Port::Says(PeerAnswer { instance: "b".into(), is_leader: false, clock_offset_ms: Some(-250) }),
            outcome: Port::Says(Outcome::Unknown("nothing seen".into())),
            lookup: LookupAnswer::NotFound,
            authority: None,
            commands: vec![],
        })))
    }

    pub(crate) fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.0.lock().unwrap());
    }

    /// Has the node tell this at its next step.
    pub(crate) fn notice(&self, notice: Notice) {
        self.tell(|told| told.commands.push(Command::Notice(notice)));
    }

    fn get<T>(&self, part: impl FnOnce(&Told) -> T) -> T {
        part(&self.0.lock().unwrap())
    }
}

impl LeaseStore for Outside {
    fn call(&self, _: LeaseCall) -> BoxFuture<'_, Result<LeaseReply, PortError>> {
        let port = self.get(|told| told.lease.clone());
        Box::pin(async move { port.answer().await })
    }
}

impl SignalStore for Outside {
    fn call(&self, _: StoreCall) -> BoxFuture<'_, Result<StoreReply, PortError>> {
        let port = self.get(|told| told.store.clone());
        Box::pin(async move { port.answer().await })
    }
}

impl Broker for Outside {
    fn capabilities(&self) -> &Capabilities {
        static BLIND: std::sync::LazyLock<Capabilities> = std::sync::LazyLock::new(Capabilities::blind);
        &BLIND
    }

    fn place(&self, _: Order) -> BoxFuture<'_, Outcome> {
        let port = self.get(|told| told.outcome.clone());
        Box::pin(async move { port.answer().await.unwrap_or_else(|error| Outcome::Unknown(error.0)) })
    }

    /// Gone whenever it was believed to be there.
    fn readiness(&self, was: bool) -> BoxFuture<'_, bool> {
        Box::pin(async move { if was { false } else { std::future::pending().await } })
    }

    fn look_up(&self, _: ClientOrderId) -> BoxFuture<'_, LookupAnswer> {
        let answer = self.get(|told| told.lookup.clone());
        Box::pin(async move { answer })
    }
}

impl Ledger for Outside {
    fn signals(&self, _: Wanted) -> BoxFuture<'_, Result<Vec<Entry>, PortError>> {
        Box::pin(async { Ok(vec![]) })
    }

    fn signal(&self, fingerprint: Fingerprint) -> BoxFuture<'_, Result<Option<Entry>, PortError>> {
        let port = self.get(|told| told.entries.clone());
        Box::pin(async move { Ok(port.answer().await?.get(&fingerprint).cloned()) })
    }

    fn tally(&self) -> BoxFuture<'_, Result<Vec<Tally>, PortError>> {
        let port = self.get(|told| told.tally.clone());
        Box::pin(async move { port.answer().await })
    }

    fn history(&self, limit: u32) -> BoxFuture<'_, Result<Vec<Term>, PortError>> {
        let port = self.get(|told| told.terms.clone());
        Box::pin(async move {
            let mut terms = port.answer().await?;
            terms.truncate(limit as usize);
            Ok(terms)
        })
    }
}

/// One peer, `b`.
pub(crate) struct OnePeer(Outside, Vec<String>);

impl Peers for OnePeer {
    fn urls(&self) -> &[String] {
        &self.1
    }

    fn ask(&self, _: usize) -> BoxFuture<'_, Result<PeerAnswer, PortError>> {
        let port = self.0.get(|told| told.peer.clone());
        Box::pin(async move { port.answer().await })
    }
}

/// A state machine that steps every 50 ms and says what the test told it to.
struct Puppet(Outside, Option<Mono>);

impl Machine for Puppet {
    fn step(&mut self, now: Now, _: Event) -> Vec<Command> {
        self.1 = Some(now.mono.plus(Duration::from_millis(50)));
        std::mem::take(&mut self.0.0.lock().unwrap().commands)
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.1
    }

    fn authority(&self) -> Option<Authority> {
        self.0.get(|told| told.authority.clone())
    }
}

/// A node `a` and its picture of the cluster, running.
pub(crate) struct Running {
    pub(crate) clock: PausedClock,
    pub(crate) outside: Outside,
    pub(crate) metrics: Metrics,
    pub(crate) overview: watch::Receiver<Arc<Overview>>,
    pub(crate) handle: Handle,
}

pub(crate) fn run() -> Running {
    let clock = PausedClock::new();
    let outside = Outside::well();
    let metrics = Metrics::new(Arc::new(clock), "a", "1.2.3", "oncegate:leader");
    let port = Arc::new(outside.clone());
    let ports = Ports { clock: Arc::new(clock), lease: port.clone(), store: port.clone(), broker: port.clone() };
    let puppet = Puppet(outside.clone(), None);
    let (driver, handle) =
        Driver::new(puppet, ports, &Timing::default(), IdentityRule::default(), Box::new(metrics.clone()));
    tokio::spawn(driver.run());
    let (overview, watching) = watch_cluster(ClusterWatch {
        instance: "a".into(),
        version: "1.2.3".into(),
        clock: Arc::new(clock),
        lease: port.clone(),
        store: port.clone(),
        ledger: port,
        peers: Arc::new(OnePeer(outside.clone(), vec!["http://b:7411".into()])),
        handle: handle.clone(),
        metrics: metrics.clone(),
        alerts: AlertConfig::default(),
        split_brain_grace: Timing::default().split_brain_grace,
    });
    tokio::spawn(watching);
    Running { clock, outside, metrics, overview, handle }
}

impl Running {
    /// Lets `seconds` pass and everybody come to rest.
    pub(crate) async fn pass(&self, seconds: f64) {
        self.clock.sleep_until(self.clock.now().mono.plus(Duration::from_secs_f64(seconds))).await;
    }

    pub(crate) fn seen(&self) -> Arc<Overview> {
        self.overview.borrow().clone()
    }

    pub(crate) fn alerts(&self) -> Vec<(String, String)> {
        self.seen().alerts.iter().map(|alert| (alert.name.clone(), alert.severity.clone())).collect()
    }

    pub(crate) fn leads_until(&self, epoch: u64, seconds: u64) {
        let trusted_until = self.clock.now().mono.plus(Duration::from_secs(seconds));
        let authority = Authority { epoch: Epoch(epoch), holder: holder("a"), trusted_until };
        self.outside.tell(|told| told.authority = Some(authority));
    }
}
