//! The store host as a PostgreSQL server, and the way of each node to it: the production store (`PostgresStore`) over
//! the simulated network.
//!
//! Oracles and anchors are told of calls, and a server sees statements. So each call of a node's store is at hand while
//! it is polled, which is when its connection moves, and the connection remembers the last call that wrote to it; no
//! other call uses it before that one has all its answers. At the commit that decides about a call the host looks at
//! its own tables and says what came of it. No node is asked.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use oncegate_coordinator::{BoxFuture, Clock, Connect, SignalStore, Stream};
use oncegate_postgres_store::{PostgresConfig, PostgresStore};
use oncegate_protocol::call::{Purpose, Verdict};
use oncegate_protocol::{Leg, PortError, SignalState, StoreCall, StoreReply};
use oncegate_sqlite_store::Db;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, duplex};

use super::store::StoreHost;
use crate::nemesis::Nemesis;
use crate::oracles::sightings::Sighting;
use crate::postgres::names::Names;
use crate::postgres::{About, After, Hook, Refused, Server, serve};
use crate::world::clock::SimClock;
use crate::world::host::Life;
use crate::world::stream::{LifeStream, SimConnect, serve_each};
use crate::world::{World, locked};

/// Where it listens.
pub const PORT: u16 = 5432;
/// How long a statement waits for another's lock: what [`PostgresConfig::new`] asks of the server.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// How soon a node that could not open its store is started again, as its service manager would.
const OPEN_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// What a connection without a network holds.
const IN_MEMORY: usize = 64 * 1024;

/// One call of one node.
struct Tag {
    number: u64,
    node: usize,
    call: StoreCall,
}

/// The call that last wrote to a connection.
type Slot = Mutex<Option<Arc<Tag>>>;

/// The PostgreSQL machine. Its commits survive everything.
pub struct PostgresHost {
    store: Arc<StoreHost>,
    server: Arc<Server>,
    /// What is carried by which connection, by the client's host and port.
    slots: Mutex<BTreeMap<(usize, u16), Arc<Slot>>>,
    calls: AtomicU64,
}

impl PostgresHost {
    /// Serves the tables of that store.
    pub fn new(store: Arc<StoreHost>, server: Arc<Server>) -> Self {
        Self { store, server, slots: Mutex::default(), calls: AtomicU64::new(0) }
    }

    fn tag(&self, node: usize, call: StoreCall) -> Arc<Tag> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        Arc::new(Tag { number, node, call })
    }
}

/// One process of the server.
pub async fn process(world: Arc<World>, life: Arc<Life>, host: Arc<PostgresHost>, nemesis: Arc<Nemesis>) {
    let clock: Arc<dyn Clock> = Arc::new(SimClock { world: Arc::clone(&world), life: Arc::clone(&life) });
    let serve_client = |stream: LifeStream| {
        let wire = Carries::Wire(stream.peer(), stream.ports().map_or(0, |(_, there)| there));
        let watch = Watch::new(&world, &host, &nemesis, wire);
        serve(stream, Arc::clone(&host.server), Arc::new(watch), Arc::clone(&clock))
    };
    serve_each(Arc::clone(&world), life, PORT, serve_client).await;
}

/// Where a session's calls come from.
enum Carries {
    /// A connection from that host and port.
    Wire(usize, u16),
    /// Only this one.
    Copy(Arc<Slot>),
}

/// Watches one session for the oracles and the anchors, and does to it what is wrong now.
struct Watch {
    world: Arc<World>,
    host: Arc<PostgresHost>,
    nemesis: Arc<Nemesis>,
    carries: Carries,
    progress: Mutex<Progress>,
}

/// How far the call at hand has come.
#[derive(Clone, Copy, Default)]
struct Progress {
    number: u64,
    /// What the statement that decides came to.
    decided: Option<u64>,
    judged: bool,
}

/// The statement that decides what a call comes to, and whether it does so at the commit of its transaction.
const fn decides(call: &StoreCall) -> (About, bool) {
    match call {
        StoreCall::Insert { .. } => (About::Insert, false),
        StoreCall::ReadLeadership => (About::Leadership, false),
        StoreCall::OpenEpoch { .. } => (About::OpenEpoch, true),
        StoreCall::Heartbeat { .. } => (About::Heartbeat, false),
        StoreCall::Vacate { .. } => (About::Vacate, true),
        StoreCall::ReadPending { .. } => (About::Oldest, true),
        StoreCall::ReadSignal { .. } => (About::Signal, true),
        StoreCall::Claim(_) => (About::Claim, false),
        StoreCall::RecordOutcome { .. } => (About::LockSignal, true),
        StoreCall::Conclude { .. } => (About::Conclude, true),
        StoreCall::SetPause { .. } => (About::SetPause, false),
        StoreCall::Resolve { .. } => (About::Resolve, true),
    }
}

/// What is not expired as received is looked at again: it may be between two legs.
const fn may_be_between_legs(call: &StoreCall) -> bool {
    matches!(call, StoreCall::Conclude { verdict: Verdict::Expire, .. })
}

impl Watch {
    fn new(world: &Arc<World>, host: &Arc<PostgresHost>, nemesis: &Arc<Nemesis>, carries: Carries) -> Self {
        let (world, host, nemesis) = (Arc::clone(world), Arc::clone(host), Arc::clone(nemesis));
        Self { world, host, nemesis, carries, progress: Mutex::default() }
    }

    fn tag(&self) -> Option<Arc<Tag>> {
        let slot = match &self.carries {
            Carries::Wire(host, port) => Arc::clone(locked(&self.host.slots).get(&(*host, *port))?),
            Carries::Copy(slot) => Arc::clone(slot),
        };
        locked(&slot).clone()
    }

    /// Says what came of a call, and what becomes of the answer.
    fn judge(&self, tag: &Tag, count: u64) -> After {
        let store = &self.host.store;
        let mut db = locked(self.host.server.tables());
        let Some(reply) = came_of(&mut db, &tag.call, count) else { return After::Answer };
        store.committed(&self.world, &self.nemesis, tag.node, &tag.call, &reply, db);
        if store.suffers(|faults| &faults.loses_replies, tag.node) {
            self.world.judge().sightings.saw(Sighting::StoreReplyLost);
            return After::HangUp;
        }
        After::Answer
    }
}

/// What a store would have to answer to a call that was just committed, by its tables.
fn came_of(db: &mut Db, call: &StoreCall, count: u64) -> Option<StoreReply> {
    let taken = count == 1;
    let state = |db: &mut Db, fingerprint| match db.apply(&StoreCall::ReadSignal { fingerprint }) {
        Ok(StoreReply::Signal(record)) => Some(record),
        _ => None,
    };
    let row = db.leadership().ok()?;
    Some(match call {
        StoreCall::Insert { .. } if taken => {
            StoreReply::Stored { new: true, state: SignalState::Received, same_body: true }
        }
        // Only reads: the signal is there.
        StoreCall::Insert { .. }
        | StoreCall::ReadLeadership
        | StoreCall::ReadPending { .. }
        | StoreCall::ReadSignal { .. } => db.apply(call).ok()?,
        StoreCall::OpenEpoch { .. } if taken => StoreReply::Opened(row.epoch),
        StoreCall::Heartbeat { .. } | StoreCall::Vacate { .. } if taken => StoreReply::Done,
        StoreCall::OpenEpoch { .. } | StoreCall::Heartbeat { .. } | StoreCall::Vacate { .. } => StoreReply::Fenced(row),
        StoreCall::Claim(claim) if taken => StoreReply::Claimed { number: claim.number },
        StoreCall::Claim(claim) => {
            let record = state(db, claim.fingerprint)?;
            let received = |record: &oncegate_protocol::SignalRecord| {
                record.state == SignalState::Received && record.next_number(claim.leg) == claim.number
            };
            if row.epoch != claim.epoch || row.holder.as_ref() != Some(&claim.holder) {
                StoreReply::Fenced(row)
            } else if claim.purpose == Purpose::Execute
                && claim.leg == Leg(0)
                && record.as_ref().is_some_and(received)
                && row.paused.is_some()
            {
                StoreReply::Paused(row)
            } else {
                StoreReply::NotClaimed(record)
            }
        }
        StoreCall::Conclude { epoch, holder, .. }
            if !taken && (row.epoch != *epoch || row.holder.as_ref() != Some(holder)) =>
        {
            StoreReply::Fenced(row)
        }
        StoreCall::RecordOutcome { fingerprint, .. }
        | StoreCall::Conclude { fingerprint, .. }
        | StoreCall::Resolve { fingerprint, .. } => {
            StoreReply::State(state(db, *fingerprint)?.map(|record| record.state))
        }
        StoreCall::SetPause { .. } => StoreReply::Leadership(row),
    })
}

impl Hook for Watch {
    fn before(&self, about: About) -> BoxFuture<'_, Result<(), Refused>> {
        Box::pin(async move {
            let Some(tag) = self.tag() else { return Ok(()) };
            let (world, store) = (&self.world, &self.host.store);
            let first = {
                let mut progress = locked(&self.progress);
                let first = progress.number != tag.number;
                if first {
                    *progress = Progress { number: tag.number, ..Progress::default() };
                }
                first
            };
            let slowness = store.slowness();
            if first && !slowness.is_zero() {
                world.sleep_until(world.now() + slowness).await;
            }
            if about == About::Notify {
                return Ok(());
            }
            if about.writes() && store.suffers(|faults| &faults.busy, tag.node) {
                world.sleep_until(world.now() + LOCK_TIMEOUT).await;
            }
            let Some((sighting, error)) = store.obstacle(world, about.writes(), tag.node) else { return Ok(()) };
            let code = match sighting {
                Sighting::StoreBusy => "55P03",
                Sighting::StoreFull => "53100",
                _ => "58030",
            };
            Err(Refused { code, message: error.into() })
        })
    }

    fn after(&self, about: About, count: u64, open: bool) -> After {
        let Some(tag) = self.tag() else { return After::Answer };
        let (deciding, at_commit) = decides(&tag.call);
        let nothing_owed = about == About::WhetherOwed && count == 0;
        // A verdict on one of several legs is decided under this lock.
        let on_legs = about == About::LockLeadership && matches!(tag.call, StoreCall::Conclude { .. });
        let now = {
            let mut progress = locked(&self.progress);
            if (about == deciding && !(count == 0 && may_be_between_legs(&tag.call))) || on_legs || nothing_owed {
                progress.decided.get_or_insert(count);
            }
            let due = (about == deciding && !at_commit) || nothing_owed;
            due && !open && !std::mem::replace(&mut progress.judged, true)
        };
        if now { self.judge(&tag, count) } else { After::Answer }
    }

    fn committed(&self) -> After {
        let Some(tag) = self.tag() else { return After::Answer };
        let due = {
            let mut progress = locked(&self.progress);
            let due = progress.decided.filter(|_| decides(&tag.call).1 && !progress.judged);
            progress.judged |= due.is_some();
            due
        };
        due.map_or(After::Answer, |count| self.judge(&tag, count))
    }
}

/// The call that is being polled.
type AtHand = Mutex<Option<Arc<Tag>>>;

/// The production store of one life of one node.
pub struct Client {
    host: Arc<PostgresHost>,
    store: PostgresStore,
    at_hand: Arc<AtHand>,
}

impl Client {
    /// Opens the store, as often as it takes.
    pub async fn open(world: &Arc<World>, life: &Arc<Life>, host: &Arc<PostgresHost>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SimClock { world: Arc::clone(world), life: Arc::clone(life) });
        let at_hand: Arc<AtHand> = Arc::default();
        let inner = SimConnect { world: Arc::clone(world), life: Arc::clone(life) };
        let connect = Arc::new(Tagged { inner, host: Arc::clone(host), at_hand: Arc::clone(&at_hand) });
        loop {
            let opening = PostgresStore::open(config(), Arc::clone(&connect) as Arc<dyn Connect>, Arc::clone(&clock));
            if let Ok(store) = opening.await {
                return Self { host: Arc::clone(host), store, at_hand };
            }
            clock.sleep_until(clock.now().mono.plus(OPEN_AGAIN_AFTER)).await;
        }
    }

    /// Asks the store.
    pub async fn call(&self, node: usize, call: StoreCall) -> Result<StoreReply, PortError> {
        let tag = self.host.tag(node, call.clone());
        let mut calling = self.store.call(call);
        poll_fn(|cx| {
            *locked(&self.at_hand) = Some(Arc::clone(&tag));
            let polled = calling.as_mut().poll(cx);
            *locked(&self.at_hand) = None;
            polled
        })
        .await
    }

    /// Something may have been added.
    pub fn changed(&self) -> BoxFuture<'_, ()> {
        self.store.changed()
    }

    /// A copy of a call arrives later, whatever has become of its author, on a connection that is nobody's.
    pub fn repeat(&self, world: &Arc<World>, nemesis: &Arc<Nemesis>, node: usize, call: StoreCall, by: Duration) {
        let (world, nemesis, host) = (Arc::clone(world), Arc::clone(nemesis), Arc::clone(&self.host));
        let on = Arc::clone(&world);
        on.spawn(async move {
            world.sleep_until(world.now() + by).await;
            let Some(life) = world.hosts()[host.store.at].life() else { return };
            let slot: Arc<Slot> = Arc::default();
            let clock: Arc<dyn Clock> = Arc::new(SimClock { world: Arc::clone(&world), life });
            let connect = Beside {
                world: Arc::clone(&world),
                host: Arc::clone(&host),
                nemesis,
                slot: Arc::clone(&slot),
                clock: Arc::clone(&clock),
            };
            let Ok(store) = PostgresStore::open(config(), Arc::new(connect), clock).await else { return };
            *locked(&slot) = Some(host.tag(node, call.clone()));
            // Nobody waits for the answer.
            let _ = store.call(call).await;
        });
    }
}

fn config() -> PostgresConfig {
    PostgresConfig::new(format!("store:{PORT}"), "oncegate", "oncegate")
}

/// Connects without a network.
struct Beside {
    world: Arc<World>,
    host: Arc<PostgresHost>,
    nemesis: Arc<Nemesis>,
    slot: Arc<Slot>,
    clock: Arc<dyn Clock>,
}

impl Connect for Beside {
    fn connect<'a>(&'a self, _peer: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let (near, far) = duplex(IN_MEMORY);
            let watch = Watch::new(&self.world, &self.host, &self.nemesis, Carries::Copy(Arc::clone(&self.slot)));
            self.world.spawn(serve(far, Arc::clone(&self.host.server), Arc::new(watch), Arc::clone(&self.clock)));
            Ok(Box::new(near) as Box<dyn Stream>)
        })
    }
}

/// Connections that know which call writes to them.
struct Tagged {
    inner: SimConnect,
    host: Arc<PostgresHost>,
    at_hand: Arc<AtHand>,
}

impl Connect for Tagged {
    fn connect<'a>(&'a self, peer: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let inner = self.inner.open(peer).await?;
            let slot: Arc<Slot> = Arc::default();
            if let Some((here, _)) = inner.ports() {
                locked(&self.host.slots).insert((self.inner.life.host.at, here), Arc::clone(&slot));
            }
            let at_hand = Arc::clone(&self.at_hand);
            let stream = TaggedStream { inner, slot, at_hand, names: Names::default(), out: BytesMut::new() };
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

struct TaggedStream {
    inner: LifeStream,
    slot: Arc<Slot>,
    at_hand: Arc<AtHand>,
    names: Names,
    /// What leaves in place of what was written.
    out: BytesMut,
}

impl TaggedStream {
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.out))?;
            self.out.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for TaggedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for TaggedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if let Some(tag) = &*locked(&this.at_hand) {
            *locked(&this.slot) = Some(Arc::clone(tag));
        }
        ready!(this.poll_out(cx))?;
        this.names.pass(bytes, &mut this.out);
        // What does not leave now leaves with the next write, or the flush.
        match this.poll_out(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
