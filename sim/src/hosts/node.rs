//! A node: the production driver, state machine and adapters, on simulated clock and network.
//!
//! What differs from production: `Connect` and `Clock` are the world's, the boot nonce comes from the seed,
//! store calls go through [`super::store::StoreLink`], which on PostgreSQL hands them to the production store, and the
//! ports are watched at named points.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use oncegate_coordinator::ledger::{Entry, Tally, Term, Wanted};
use oncegate_coordinator::{
    BoxFuture, Broker, Clock, Connect, Driver, Exposition, Handle, LeaseStore, Ledger, Observer, Ports, Stream,
};
use oncegate_http_api::{Api, ApiConfig, Health, Limits};
use oncegate_http_broker::{HttpBroker, HttpBrokerConfig};
use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::{
    Capabilities, ClientOrderId, Command, Event, Fingerprint, IdentityRule, InstanceId, LeaseCall, LeaseReply,
    NodeConfig, Now, Order, Outcome, PortError, Timing,
};
use oncegate_redis_lease::{RedisLease, RedisLeaseConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, watch};

use super::postgres::{Client, PostgresHost};
use super::store::{StoreHost, StoreLink};
use super::{broker, redis};
use crate::mutants::{self, Mutant};
use crate::nemesis::Nemesis;
use crate::world::anchor::Point;
use crate::world::calls::CallName;
use crate::world::clock::SimClock;
use crate::world::host::Life;
use crate::world::rng::Rng;
use crate::world::stream::{LifeListener, SimConnect};
use crate::world::trace::What;
use crate::world::{World, locked};

/// Where a node takes signals.
pub const PORT: u16 = 8080;
/// And at which path.
pub const SIGNALS_PATH: &str = "/v1/signals";

/// What all nodes of a run have in common.
pub struct Setup {
    /// Seeds the boot nonces.
    pub seed: u64,
    /// Times and counts.
    pub timing: Timing,
    /// By what they tell signals apart.
    pub identity: IdentityRule,
    /// What they are told about the broker.
    pub capabilities: Capabilities,
    /// The planted bug, if any.
    pub mutant: Option<Mutant>,
    /// The store.
    pub store: Arc<StoreHost>,
    /// The way to it, where it speaks PostgreSQL's protocol.
    pub postgres: Option<Arc<PostgresHost>>,
    /// Redis, for what an oracle wants to know.
    pub redis: Arc<redis::RedisHost>,
    /// Their handles.
    pub nodes: Arc<Nodes>,
    /// Whose heartbeats stand still.
    pub heartbeats: Arc<Heartbeats>,
    /// Who watches.
    pub nemesis: Arc<Nemesis>,
}

/// The nodes that run, by place in the world.
#[derive(Default)]
pub struct Nodes(Mutex<BTreeMap<usize, (Arc<Life>, Handle)>>);

impl Nodes {
    /// Whether the gate of that node is open, on its own clock.
    pub fn gate_open(&self, world: &World, at: usize) -> bool {
        locked(&self.0).get(&at).is_some_and(|(life, handle)| {
            !life.is_over() && handle.status().gate_open(life.host.clock.read(world.now()).mono)
        })
    }

    /// As whom each node would act, and until when on the world's clock, as each last told the rest of its process.
    pub fn trusts(&self, world: &World) -> Vec<(String, Duration)> {
        let now = world.now();
        let running = locked(&self.0);
        let running = running.values().filter(|(life, _)| !life.is_over());
        let trust = |(life, handle): &(Arc<Life>, Handle)| {
            let authority = handle.status().authority?;
            Some((authority.holder.as_str().to_owned(), life.host.clock.when(authority.trusted_until, now)))
        };
        running.filter_map(trust).collect()
    }

    /// An operator asks that node to step down.
    pub fn step_down(&self, world: &World, at: usize) {
        if let Some((_, handle)) = locked(&self.0).get(&at) {
            let handle = handle.clone();
            world.spawn(async move { handle.step_down("asked by an operator".into()).await });
        }
    }

    /// That node is asked to end.
    pub fn shut_down(&self, world: &World, at: usize) {
        if let Some((_, handle)) = locked(&self.0).get(&at) {
            let handle = handle.clone();
            world.spawn(async move { handle.shut_down().await });
        }
    }

    /// The way to that node, as an operator has it.
    pub fn handle(&self, at: usize) -> Option<Handle> {
        locked(&self.0).get(&at).filter(|(life, _)| !life.is_over()).map(|(_, handle)| handle.clone())
    }

    /// The places of the nodes that ever ran.
    pub fn places(&self) -> Vec<usize> {
        locked(&self.0).keys().copied().collect()
    }
}

/// Whose lease renewals and store heartbeats stand still while all else goes on.
#[derive(Default)]
pub struct Heartbeats {
    paused: Mutex<BTreeMap<usize, u32>>,
    resumed: Notify,
}

impl Heartbeats {
    /// They stand still.
    pub fn pause(&self, node: usize) {
        *locked(&self.paused).entry(node).or_default() += 1;
    }

    /// Undoes one pause.
    pub fn resume(&self, node: usize) {
        if let Some(count) = locked(&self.paused).get_mut(&node) {
            *count = count.saturating_sub(1);
        }
        self.resumed.notify_waiters();
    }

    /// Ready when they move.
    pub async fn moving(&self, node: usize) {
        while locked(&self.paused).get(&node).is_some_and(|count| *count > 0) {
            self.resumed.notified().await;
        }
    }
}

/// One process of a node.
pub async fn process(world: Arc<World>, life: Arc<Life>, setup: Arc<Setup>) {
    let at = life.host.at;
    let instance = InstanceId::new(life.host.name.clone());
    let boot_nonce = Rng::new(setup.seed, &format!("boot nonce of {instance}, life {}", life.number)).next();
    let clock: Arc<dyn Clock> = Arc::new(SimClock { world: Arc::clone(&world), life: Arc::clone(&life) });
    let connect: Arc<dyn Connect> = Arc::new(SimConnect { world: Arc::clone(&world), life: Arc::clone(&life) });

    let lease_config = RedisLeaseConfig::new(format!("redis:{}", redis::PORT), redis::LEASE_KEY);
    let lease = LeaseLink {
        inner: RedisLease::new(lease_config, Arc::clone(&connect), Arc::clone(&clock)),
        life: Arc::clone(&life),
        redis: Arc::clone(&setup.redis),
        nemesis: Arc::clone(&setup.nemesis),
        world: Arc::clone(&world),
        heartbeats: Arc::clone(&setup.heartbeats),
    };
    let broker_config = HttpBrokerConfig {
        peer: format!("broker:{}", broker::PORT),
        path_prefix: String::new(),
        capabilities: setup.capabilities.clone(),
        lookup_timeout: setup.timing.broker_timeout,
        bearer_token: None,
    };
    let watched = WatchedConnect {
        inner: connect,
        world: Arc::clone(&world),
        redis: Arc::clone(&setup.redis),
        nemesis: Arc::clone(&setup.nemesis),
        at,
    };
    let watched: Arc<dyn Connect> = Arc::new(watched);
    let broker = BrokerLink {
        inner: HttpBroker::new(broker_config, watched, Arc::clone(&clock))
            .expect("the world's broker is well described"),
        life: Arc::clone(&life),
        nemesis: Arc::clone(&setup.nemesis),
        world: Arc::clone(&world),
    };
    let postgres = match &setup.postgres {
        Some(postgres) => Some(Client::open(&world, &life, postgres).await),
        None => None,
    };
    let store = StoreLink {
        world: Arc::clone(&world),
        life: Arc::clone(&life),
        store: Arc::clone(&setup.store),
        nemesis: Arc::clone(&setup.nemesis),
        heartbeats: Arc::clone(&setup.heartbeats),
        mutant: setup.mutant,
        seen: Mutex::new(0),
        postgres,
    };
    let ports =
        Ports { clock: Arc::clone(&clock), lease: Arc::new(lease), store: Arc::new(store), broker: Arc::new(broker) };
    let ports = mutants::ports(setup.mutant, ports);
    let config =
        NodeConfig { instance, boot_nonce, timing: setup.timing.clone(), capabilities: setup.capabilities.clone() };
    let machine = mutants::machine(setup.mutant, config, clock.now());
    let watch = Box::new(Watch { world: Arc::clone(&world), at, life: Arc::clone(&life) });
    let (driver, handle) = Driver::new(machine, ports, &setup.timing, setup.identity.clone(), watch);
    locked(&setup.nodes.0).insert(at, (Arc::clone(&life), handle.clone()));
    tokio::select! {
        biased;
        () = driver.run() => {}
        () = take_signals(world, life, clock, handle) => {}
    }
    // The sockets of a process that has ended are its kernel's to close.
}

/// The door for signals: the production API, on the world's sockets and clock.
async fn take_signals(world: Arc<World>, life: Arc<Life>, clock: Arc<dyn Clock>, handle: Handle) {
    let name = life.host.name.clone();
    let Ok(listen) = LifeListener::bind(world, life, PORT).await else { return };
    let (_, overview) = watch::channel(Arc::default());
    // Sources know no tokens, and send as fast as their scenario says.
    let limits = Limits { rate: None, ..Limits::default() };
    let config = ApiConfig { hosts: vec![name.clone()], limits, ..ApiConfig::default() };
    let api = Api {
        instance: name,
        version: env!("CARGO_PKG_VERSION"),
        handle,
        clock,
        ledger: Arc::new(Unread),
        overview,
        figures: Arc::new(Unread),
        desk: None,
        config,
        health: Arc::new(Health::new()),
        page: "",
    };
    oncegate_http_api::serve(Arc::new(listen), api).await;
}

/// Nobody reads in this world: oracles look at the store itself.
struct Unread;

impl Ledger for Unread {
    fn signals(&self, _: Wanted) -> BoxFuture<'_, Result<Vec<Entry>, PortError>> {
        Box::pin(async { Err(unread()) })
    }

    fn signal(&self, _: Fingerprint) -> BoxFuture<'_, Result<Option<Entry>, PortError>> {
        Box::pin(async { Err(unread()) })
    }

    fn tally(&self) -> BoxFuture<'_, Result<Vec<Tally>, PortError>> {
        Box::pin(async { Err(unread()) })
    }

    fn history(&self, _: u32) -> BoxFuture<'_, Result<Vec<Term>, PortError>> {
        Box::pin(async { Err(unread()) })
    }
}

impl Exposition for Unread {
    fn prometheus(&self) -> String {
        unread().0
    }

    fn json(&self) -> serde_json::Value {
        unread().0.into()
    }
}

fn unread() -> PortError {
    PortError("nobody reads the store in this world".into())
}

/// Everything that the node hears and says, for the trace; what people should know, for the story.
struct Watch {
    world: Arc<World>,
    at: usize,
    life: Arc<Life>,
}

impl Observer for Watch {
    fn hears(&mut self, now: Now, event: &Event) {
        let at = self.world.now();
        self.world.trace().mix(at, self.at, &(now, event));
    }

    fn says(&mut self, _now: Now, commands: &[Command]) {
        let at = self.world.now();
        let mut trace = self.world.trace();
        for command in commands {
            match command {
                Command::Notice(notice) => {
                    self.world.judge().told(at, &self.life, notice);
                    trace.tell(at, self.at, What::Notice(notice.clone()));
                }
                Command::Call { .. } | Command::Answer { .. } | Command::Stopped => trace.mix(at, self.at, command),
            }
        }
    }
}

/// The lease port: the production adapter, with renewals that can be made to stand still.
struct LeaseLink {
    inner: RedisLease,
    life: Arc<Life>,
    redis: Arc<redis::RedisHost>,
    nemesis: Arc<Nemesis>,
    world: Arc<World>,
    heartbeats: Arc<Heartbeats>,
}

impl LeaseStore for LeaseLink {
    fn call(&self, call: LeaseCall) -> BoxFuture<'_, Result<LeaseReply, PortError>> {
        Box::pin(async move {
            self.world.judge().lease_asked(self.world.now(), &self.life, &call);
            let (name, at) = (CallName::of_lease(&call), self.life.host.at);
            if name == CallName::Renew {
                self.heartbeats.moving(at).await;
            }
            let fate = self.nemesis.begin_call(name, at);
            self.life.running().await;
            if fate.fails {
                return Err(PortError("redis could not be reached".into()));
            }
            if let Some(by) = fate.repeated {
                let (world, redis, call) = (Arc::clone(&self.world), Arc::clone(&self.redis), call.clone());
                self.world.spawn(async move {
                    world.sleep_until(world.now() + by).await;
                    redis.repeat(&world, &call);
                });
            }
            let answer = self.inner.call(call.clone()).await;
            self.nemesis.reach(Point::After(name), at);
            self.life.running().await;
            if fate.loses_reply {
                return Err(PortError("the connection to redis broke".into()));
            }
            if let Ok(reply) = &answer {
                self.world.judge().lease_answered(self.world.now(), &call, reply);
            }
            answer
        })
    }

    fn released(&self) -> BoxFuture<'_, ()> {
        self.inner.released()
    }
}

/// The broker port: the production adapter, watched.
struct BrokerLink {
    inner: HttpBroker,
    life: Arc<Life>,
    nemesis: Arc<Nemesis>,
    world: Arc<World>,
}

/// The way to the broker, watched: an order is judged when its first byte leaves, because between the port and
/// that byte a host may stand still for as long as it likes.
struct WatchedConnect {
    inner: Arc<dyn Connect>,
    world: Arc<World>,
    redis: Arc<redis::RedisHost>,
    nemesis: Arc<Nemesis>,
    at: usize,
}

impl Connect for WatchedConnect {
    fn connect<'a>(&'a self, peer: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let mut connecting = self.inner.connect(peer);
            let begun = std::future::poll_fn(|cx| Poll::Ready(connecting.as_mut().poll(cx))).await;
            self.nemesis.reach(Point::BrokerConnecting, self.at);
            let inner = match begun {
                Poll::Ready(connected) => connected?,
                Poll::Pending => connecting.await?,
            };
            let (world, redis) = (Arc::clone(&self.world), Arc::clone(&self.redis));
            let nemesis = Arc::clone(&self.nemesis);
            Ok(Box::new(WatchedStream { inner, world, redis, nemesis, at: self.at, begun: false }) as Box<dyn Stream>)
        })
    }
}

struct WatchedStream {
    inner: Box<dyn Stream>,
    world: Arc<World>,
    redis: Arc<redis::RedisHost>,
    nemesis: Arc<Nemesis>,
    at: usize,
    begun: bool,
}

impl AsyncRead for WatchedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        if matches!(written, Poll::Ready(Ok(1..)))
            && !std::mem::replace(&mut self.begun, true)
            && bytes.starts_with(b"POST")
        {
            let leased_to = self.redis.lease(&self.world);
            let leased_to = leased_to.as_ref().map(|(holder, left)| (holder.as_str(), *left));
            let mut judge = self.world.judge();
            let broker_timeout = judge.bounds.timing.broker_timeout;
            judge.gate_lease.sending(&self.world, self.at, leased_to, broker_timeout);
            drop(judge);
            if let Some(fingerprint) = crate::oracles::sends::fingerprint_in(bytes) {
                let judge = &mut *self.world.judge();
                let trust = judge.bounds.timing.ttl;
                judge.truth.sent(fingerprint, self.world.now(), self.at, trust);
                judge.course.sent(fingerprint);
            }
            self.world.judge().sends.first_byte(&self.world, self.at, bytes);
            self.world.judge().handover.first_byte(self.world.now(), bytes);
            self.nemesis.reach(Point::OrderSent, self.at);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Broker for BrokerLink {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn place(&self, order: Order) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let at = self.life.host.at;
            self.world.judge().placing(self.world.now(), &self.life, order.fingerprint);
            self.nemesis.reach(Point::OrderSending, at);
            let fate = self.nemesis.begin_call(CallName::Place, at);
            self.life.running().await;
            if fate.fails {
                let outcome = Outcome::NotSent("the broker could not be reached".into());
                // The port has answered: nothing is under way that a drain would have to wait for.
                self.world.judge().placed(self.world.now(), &self.life, order.fingerprint, &outcome);
                return outcome;
            }
            if let Some(by) = fate.repeated {
                self.nemesis.repeat_order(&order, by);
            }
            let (fingerprint, leg) = (order.fingerprint, order.leg);
            let outcome = self.inner.place(order).await;
            self.nemesis.reach(Point::OrderAnswered, at);
            self.nemesis.reach(Point::After(CallName::Place), at);
            self.life.running().await;
            if fate.loses_reply {
                let lost = Outcome::Unknown("the connection to the broker broke".into());
                self.world.judge().placed(self.world.now(), &self.life, fingerprint, &lost);
                return lost;
            }
            self.world.judge().placed(self.world.now(), &self.life, fingerprint, &outcome);
            if matches!(outcome, Outcome::Accepted(_)) {
                self.world.judge().truth.accepted(fingerprint, leg, Arc::clone(&self.life));
            }
            outcome
        })
    }

    fn look_up(&self, id: ClientOrderId) -> BoxFuture<'_, LookupAnswer> {
        Box::pin(async move {
            let at = self.life.host.at;
            self.nemesis.reach(Point::LookupSending, at);
            let fate = self.nemesis.begin_call(CallName::LookUp, at);
            self.life.running().await;
            if fate.fails {
                return LookupAnswer::Unavailable("the broker could not be reached".into());
            }
            let answer = self.inner.look_up(id).await;
            self.nemesis.reach(Point::After(CallName::LookUp), at);
            self.life.running().await;
            if fate.loses_reply {
                return LookupAnswer::Unavailable("the connection to the broker broke".into());
            }
            answer
        })
    }
}

/// The longest a run's clocks may disagree and still count as within the stated bound, in parts per million.
pub const DRIFT_BOUND_PPM: i64 = 5_000;
