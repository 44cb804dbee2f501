//! The store host: the production SQL on an in-memory database, behind a link that can be slow, broken or lie.
//!
//! Calls travel like requests to a database server: they are under way on their own, arrive although their
//! sender has died or has stopped waiting, and are held by a partition.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use oncegate_coordinator::{BoxFuture, SignalStore};
use oncegate_protocol::call::Verdict;
use oncegate_protocol::{Outcome, PortError, SignalRecord, StoreCall, StoreReply};
use oncegate_sqlite_store::Db;
use tokio::sync::{Notify, oneshot};

use super::node::Heartbeats;
use super::postgres::Client;
use crate::mutants::Mutant;
use crate::nemesis::{Fate, Nemesis};
use crate::oracles::sightings::Sighting;
use crate::postgres::Server;
use crate::world::anchor::Point;
use crate::world::calls::CallName;
use crate::world::host::Life;
use crate::world::trace::What;
use crate::world::{World, locked};

/// The store machine. Its commits survive everything.
pub struct StoreHost {
    /// Its place in the world.
    pub at: usize,
    db: Arc<Mutex<Db>>,
    faults: Mutex<StoreFaults>,
    /// How often something changed that a leader should look at. (Not a `watch` channel: that wakes its
    /// receivers in an order drawn at random.)
    version: Mutex<u64>,
    changed: Notify,
    /// What serves the tables to whoever speaks PostgreSQL's protocol, if anything does.
    postgres: OnceLock<Arc<Server>>,
}

/// What is wrong with the store now; counted, because faults overlap. A key of none means every node.
#[derive(Default)]
pub struct StoreFaults {
    fails: BTreeMap<Option<usize>, u32>,
    pub(super) loses_replies: BTreeMap<Option<usize>, u32>,
    pub(super) busy: BTreeMap<Option<usize>, u32>,
    full: BTreeMap<Option<usize>, u32>,
    slow: Vec<Duration>,
}

/// How long a write waits for another's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Which calls of whom go wrong in which way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreFault {
    /// They fail before they have any effect.
    Fails(Option<usize>),
    /// They are carried out and the reply is lost.
    LosesReplies(Option<usize>),
    /// Those that write wait for a lock in vain, and fail.
    Busy(Option<usize>),
    /// Those that write fail: the disk is full.
    Full,
    /// They take longer.
    Slow(Duration),
}

impl StoreHost {
    /// An empty store.
    ///
    /// # Errors
    /// SQLite's.
    pub fn new(at: usize) -> Result<Self, oncegate_sqlite_store::DbError> {
        let db = Arc::new(Mutex::new(Db::open_in_memory()?));
        Ok(Self {
            at,
            db,
            faults: Mutex::default(),
            version: Mutex::default(),
            changed: Notify::new(),
            postgres: OnceLock::new(),
        })
    }

    /// Plants the store's part of a bug, if there is one, while the store is empty.
    pub fn plant(&self, mutant: Option<Mutant>) {
        mutant.into_iter().for_each(|mutant| mutant.schema(&mut locked(&self.db)));
    }

    /// Lets something go wrong.
    pub fn begin(&self, fault: StoreFault) {
        let mut faults = locked(&self.faults);
        match fault {
            StoreFault::Fails(whose) => *faults.fails.entry(whose).or_default() += 1,
            StoreFault::LosesReplies(whose) => *faults.loses_replies.entry(whose).or_default() += 1,
            StoreFault::Busy(whose) => *faults.busy.entry(whose).or_default() += 1,
            StoreFault::Full => *faults.full.entry(None).or_default() += 1,
            StoreFault::Slow(by) => faults.slow.push(by),
        }
    }

    /// Undoes one [`StoreHost::begin`].
    pub fn end(&self, fault: StoreFault) {
        let mut faults = locked(&self.faults);
        let less = |counts: &mut BTreeMap<Option<usize>, u32>, whose| {
            let count = counts.entry(whose).or_default();
            *count = count.saturating_sub(1);
        };
        match fault {
            StoreFault::Fails(whose) => less(&mut faults.fails, whose),
            StoreFault::LosesReplies(whose) => less(&mut faults.loses_replies, whose),
            StoreFault::Busy(whose) => less(&mut faults.busy, whose),
            StoreFault::Full => less(&mut faults.full, None),
            StoreFault::Slow(by) => {
                if let Some(at) = faults.slow.iter().position(|slow| *slow == by) {
                    faults.slow.remove(at);
                }
            }
        }
    }

    /// From now on the tables are served to whoever speaks PostgreSQL's protocol.
    pub fn serve_postgres(&self, mutant: Option<Mutant>) -> Arc<Server> {
        Arc::clone(self.postgres.get_or_init(|| Arc::new(Server::new(Arc::clone(&self.db), mutant))))
    }

    /// What was asked of it that it does not implement.
    pub fn unsupported(&self) -> Vec<String> {
        self.postgres.get().map(|server| server.unsupported()).unwrap_or_default()
    }

    pub(super) fn suffers(&self, fault: fn(&StoreFaults) -> &BTreeMap<Option<usize>, u32>, node: usize) -> bool {
        let faults = locked(&self.faults);
        [None, Some(node)].iter().any(|whose| fault(&faults).get(whose).is_some_and(|count| *count > 0))
    }

    fn change(&self) {
        *locked(&self.version) += 1;
        self.changed.notify_waiters();
    }

    pub(super) fn slowness(&self) -> Duration {
        locked(&self.faults).slow.iter().max().copied().unwrap_or_default()
    }

    /// What keeps a call of that node from having its effect, if anything does.
    pub(super) fn obstacle(&self, world: &World, writes: bool, node: usize) -> Option<(Sighting, &'static str)> {
        let (sighting, error) = if self.suffers(|faults| &faults.fails, node) {
            (Sighting::StoreFailed, "the store failed: disk I/O error")
        } else if writes && self.suffers(|faults| &faults.busy, node) {
            (Sighting::StoreBusy, "the store is busy: database is locked")
        } else if writes && self.suffers(|faults| &faults.full, node) {
            (Sighting::StoreFull, "the store's disk is full: database or disk is full")
        } else {
            return None;
        };
        world.judge().sightings.saw(sighting);
        Some((sighting, error))
    }

    /// Every signal, as stored. For oracles.
    ///
    /// # Errors
    /// SQLite's.
    pub fn signals(&self) -> Result<Vec<SignalRecord>, oncegate_sqlite_store::DbError> {
        match self.postgres.get().and_then(|server| server.committed()) {
            Some(committed) => Ok(committed.signals),
            None => locked(&self.db).signals(),
        }
    }

    /// Which node the store names as leader.
    pub fn leader(&self, world: &World) -> Option<usize> {
        let committed = self.postgres.get().and_then(|server| server.committed());
        let row = committed.map(|c| c.leadership).or_else(|| locked(&self.db).leadership().ok())?;
        let holder = row.holder?;
        world.host(holder.instance()).map(|host| host.at)
    }

    /// Carries a call out, and shows the oracles what was committed.
    fn commit(
        &self,
        world: &World,
        nemesis: &Arc<Nemesis>,
        node: usize,
        call: &StoreCall,
        mutant: Option<Mutant>,
    ) -> Result<StoreReply, PortError> {
        let mut db = locked(&self.db);
        let reply = match mutant.and_then(|mutant| mutant.store_call(&mut db, call)) {
            Some(reply) => reply,
            None => db.apply(call),
        };
        let reply = reply.map_err(|error| PortError(error.to_string()))?;
        self.committed(world, nemesis, node, call, &reply, db);
        Ok(reply)
    }

    /// Shows the oracles what was committed, by whichever way it came.
    pub(super) fn committed(
        &self,
        world: &World,
        nemesis: &Arc<Nemesis>,
        node: usize,
        call: &StoreCall,
        reply: &StoreReply,
        mut db: MutexGuard<'_, Db>,
    ) {
        let at = world.now();
        world.trace().mix(at, self.at, &(node, call, reply));
        let led = matches!(call, StoreCall::OpenEpoch { .. } | StoreCall::Vacate { .. });
        let row = led.then(|| db.leadership().ok()).flatten();
        world.judge().store_did(at, node, call, reply, row.as_ref());
        world.judge().store_showed(at, call, reply, |name| world.lives(name));
        let mut reached = None;
        match (call, reply) {
            (StoreCall::Insert { signal, .. }, StoreReply::Stored { new, .. }) => {
                if *new {
                    world.tell(
                        self.at,
                        What::Store(format!(
                            "stores {:?}, received by {}",
                            signal.fingerprint,
                            world.hosts()[node].name
                        )),
                    );
                    reached = Some(Point::SignalStored);
                    self.change();
                } else {
                    world.judge().sightings.saw(Sighting::SignalRepeated);
                }
            }
            (StoreCall::OpenEpoch { .. } | StoreCall::Vacate { .. }, _) => {
                if let Ok(row) = db.leadership() {
                    world.judge().epochs.committed(at, &row);
                }
                if let StoreReply::Opened(epoch) = reply {
                    if let StoreCall::OpenEpoch { expected, .. } = call {
                        world.judge().epochs.opened(at, *expected, *epoch);
                    }
                    world.tell(self.at, What::Store(format!("opens epoch {epoch} for {}", world.hosts()[node].name)));
                    reached = Some(Point::EpochOpened);
                    if epoch.0 > 1 {
                        world.judge().sightings.saw(Sighting::TakenOver);
                    }
                }
            }
            (StoreCall::Claim(claim), StoreReply::Claimed { number }) => {
                world.tell(
                    self.at,
                    What::Store(format!(
                        "claim {number} on {:?} by {}, epoch {}",
                        claim.fingerprint,
                        world.hosts()[node].name,
                        claim.epoch
                    )),
                );
                if let Ok(row) = db.leadership() {
                    world.judge().fenced_claims.committed(at, claim, &row);
                    world.judge().claims.begun(at, claim, row.paused.as_ref());
                }
                let read = StoreCall::ReadSignal { fingerprint: claim.fingerprint };
                if let Ok(StoreReply::Signal(Some(record))) = db.apply(&read) {
                    world.judge().claimed(at, claim, &record);
                }
                reached = Some(Point::Claimed);
            }
            (StoreCall::Claim(claim), StoreReply::Fenced(row)) => {
                world.judge().sightings.saw(Sighting::ClaimFenced);
                world.tell(
                    self.at,
                    What::Store(format!(
                        "REFUSES the claim on {:?} by {}: epoch {} is over, {} is open",
                        claim.fingerprint,
                        world.hosts()[node].name,
                        claim.epoch,
                        row.epoch
                    )),
                );
            }
            (StoreCall::Claim(claim), StoreReply::Paused(_)) => {
                world.judge().sightings.saw(Sighting::ClaimPaused);
                world.tell(
                    self.at,
                    What::Store(format!(
                        "REFUSES the claim on {:?} by {}: new orders are stopped",
                        claim.fingerprint,
                        world.hosts()[node].name
                    )),
                );
            }
            (StoreCall::SetPause { paused, seen, .. }, StoreReply::Leadership(row)) => {
                let taken = row.pause_words == seen.saturating_add(1) && row.paused.is_some() == *paused;
                if taken {
                    let told = if *paused { "new orders are stopped" } else { "new orders go on" };
                    world.tell(self.at, What::Store(format!("{told}, by the word of {}", world.hosts()[node].name)));
                    let sighting = if *paused { Sighting::OrdersStopped } else { Sighting::OrdersGoOn };
                    world.judge().sightings.saw(sighting);
                    self.change();
                }
            }
            (StoreCall::Claim(_), StoreReply::NotClaimed(_)) => world.judge().sightings.saw(Sighting::ClaimTaken),
            (StoreCall::Heartbeat { .. }, StoreReply::Fenced(_)) => {
                world.judge().sightings.saw(Sighting::HeartbeatFenced)
            }
            (StoreCall::RecordOutcome { fingerprint, outcome, .. }, StoreReply::State(state)) => {
                let state = state.map_or("unknown", oncegate_protocol::SignalState::name);
                world.tell(
                    self.at,
                    What::Store(format!(
                        "{fingerprint:?} is {state} by the word of {} ({})",
                        world.hosts()[node].name,
                        brief(outcome)
                    )),
                );
                if let Ok(row) = db.leadership()
                    && let StoreCall::RecordOutcome { owner, .. } = call
                    && row.holder.as_ref() != Some(owner)
                {
                    world.judge().sightings.saw(Sighting::DeposedTruth);
                }
                reached = Some(Point::OutcomeStored);
                self.change();
            }
            (StoreCall::Conclude { fingerprint, verdict, .. }, StoreReply::State(state)) => {
                let state = state.map_or("unknown", oncegate_protocol::SignalState::name);
                world.tell(
                    self.at,
                    What::Store(format!(
                        "{fingerprint:?} is {state}: {}, says {}",
                        reading(verdict),
                        world.hosts()[node].name
                    )),
                );
                world.judge().sightings.saw(Sighting::of_verdict(verdict));
                if *reply == StoreReply::State(Some(oncegate_protocol::SignalState::Quarantined))
                    && nemesis.broker_can_be_asked()
                {
                    let mut judge = world.judge();
                    let head_start = judge.bounds.timing.broker_timeout + judge.bounds.timing.store_timeout;
                    judge.truth.given_up(*fingerprint, at, head_start);
                }
            }
            (StoreCall::Resolve { resolution, .. }, StoreReply::State(state))
                if *state == Some(resolution.state(false)) =>
            {
                world.judge().sightings.saw(Sighting::Resolved);
                self.change();
            }
            _ => {}
        }
        drop(db);
        if let Some(point) = reached {
            nemesis.reach(point, node);
        }
        nemesis.reach(Point::Applied(CallName::of_store(call)), node);
    }
}

fn brief(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Accepted(id) => format!("accepted as {id}"),
        Outcome::Rejected(reason) => format!("rejected: {reason}"),
        Outcome::NotSent(reason) => format!("not sent: {reason}"),
        Outcome::Unknown(reason) => format!("unknown: {reason}"),
    }
}

/// The store port of one life of one node.
pub struct StoreLink {
    /// Where the store is.
    pub world: Arc<World>,
    /// Who calls.
    pub life: Arc<Life>,
    /// Whom.
    pub store: Arc<StoreHost>,
    /// Who watches.
    pub nemesis: Arc<Nemesis>,
    /// Whose heartbeats stand still.
    pub heartbeats: Arc<Heartbeats>,
    /// The planted bug, if any.
    pub mutant: Option<Mutant>,
    /// The version last seen, for [`SignalStore::changed`].
    pub seen: Mutex<u64>,
    /// The production store, where calls go by PostgreSQL's protocol.
    pub postgres: Option<Client>,
}

impl StoreLink {
    /// The port has an answer to what was asked then.
    async fn answered(
        &self,
        fate: Fate,
        asked: Duration,
        call: &StoreCall,
        answer: Result<StoreReply, PortError>,
    ) -> Result<StoreReply, PortError> {
        self.life.running().await;
        self.nemesis.reach(Point::After(CallName::of_store(call)), self.life.host.at);
        self.life.running().await;
        if fate.loses_reply {
            return Err(PortError("the connection to the store broke".into()));
        }
        if let Ok(reply) = &answer {
            self.world.judge().store_answered(self.world.now(), asked, &self.life, call, reply);
        }
        answer
    }

    /// The call's own way, whatever becomes of its caller.
    async fn travel(
        world: Arc<World>,
        store: Arc<StoreHost>,
        nemesis: Arc<Nemesis>,
        node: usize,
        call: StoreCall,
        mutant: Option<Mutant>,
        reply: oneshot::Sender<Result<StoreReply, PortError>>,
    ) {
        world.net.travel(&world, node, store.at).await;
        let slowness = store.slowness();
        if !slowness.is_zero() {
            world.sleep_until(world.now() + slowness).await;
        }
        if !CallName::of_store(&call).only_reads() && store.suffers(|faults| &faults.busy, node) {
            world.sleep_until(world.now() + BUSY_TIMEOUT).await;
        }
        let writes = !CallName::of_store(&call).only_reads();
        let answer = if let Some((_, error)) = store.obstacle(&world, writes, node) {
            Err(PortError(error.into()))
        } else {
            let answer = store.commit(&world, &nemesis, node, &call, mutant);
            if store.suffers(|faults| &faults.loses_replies, node) {
                world.judge().sightings.saw(Sighting::StoreReplyLost);
                Err(PortError("the connection to the store broke".into()))
            } else {
                answer
            }
        };
        world.net.travel(&world, store.at, node).await;
        // Nobody may be waiting any more.
        let _ = reply.send(answer);
    }
}

impl SignalStore for StoreLink {
    fn call(&self, call: StoreCall) -> BoxFuture<'_, Result<StoreReply, PortError>> {
        Box::pin(async move {
            let node = self.life.host.at;
            let (asked, what) = (self.world.now(), call.clone());
            self.world.judge().store_asked(asked, &self.life, &call);
            let act = match &call {
                StoreCall::Claim(claim) => Some(("claim", &claim.holder)),
                StoreCall::Heartbeat { holder, .. } => Some(("say that it leads", holder)),
                _ => None,
            };
            if let Some((act, holder)) = act {
                let mut judge = self.world.judge();
                let deadline = judge.bounds.timing.renew_deadline;
                judge.leader_acts.acts(act, holder, self.world.now(), deadline);
            }
            let name = CallName::of_store(&call);
            match &call {
                StoreCall::Claim(_) => self.nemesis.reach(Point::ClaimSending, node),
                StoreCall::RecordOutcome { .. } => self.nemesis.reach(Point::OutcomeSending, node),
                StoreCall::Heartbeat { .. } => self.heartbeats.moving(node).await,
                _ => {}
            }
            let fate = self.nemesis.begin_call(name, node);
            self.life.running().await;
            if fate.fails {
                return Err(PortError("the store could not be reached".into()));
            }
            if let Some(postgres) = &self.postgres {
                if let Some(by) = fate.repeated {
                    postgres.repeat(&self.world, &self.nemesis, node, call.clone(), by);
                }
                let answer = postgres.call(node, call).await;
                return self.answered(fate, asked, &what, answer).await;
            }
            let set_out = |call, reply| {
                let (world, store, nemesis) =
                    (Arc::clone(&self.world), Arc::clone(&self.store), Arc::clone(&self.nemesis));
                Self::travel(world, store, nemesis, node, call, self.mutant, reply)
            };
            if let Some(by) = fate.repeated {
                let (world, (nobody, _)) = (Arc::clone(&self.world), oneshot::channel());
                let copy = set_out(call.clone(), nobody);
                self.world.spawn(async move {
                    world.sleep_until(world.now() + by).await;
                    copy.await;
                });
            }
            let (send, answered) = oneshot::channel();
            self.world.spawn(set_out(call, send));
            let answer = answered.await;
            let answer = answer.unwrap_or_else(|_| Err(PortError("the store's answer was lost".into())));
            self.answered(fate, asked, &what, answer).await
        })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        if let Some(postgres) = &self.postgres {
            return postgres.changed();
        }
        Box::pin(async move {
            loop {
                let changed = self.store.changed.notified();
                let version = *locked(&self.store.version);
                if version > std::mem::replace(&mut *locked(&self.seen), version) {
                    break;
                }
                changed.await;
            }
            self.world.net.travel(&self.world, self.store.at, self.life.host.at).await;
            self.life.running().await;
        })
    }
}

/// A verdict, for people.
fn reading(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Found { leg, id } => format!("leg {} is at the broker as {id}", leg.0 + 1),
        Verdict::Quarantine(why) => format!("quarantined, {why}"),
        Verdict::Expire => "its deadline has passed".to_owned(),
    }
}
