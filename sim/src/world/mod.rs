//! The simulated world: one thread, one paused tokio clock, one network, and every host on it.
//!
//! What determinism rests on:
//! - each run has a fresh OS thread and a current-thread runtime with paused time, so that nothing is
//!   scheduled by the machine, and time jumps from event to event;
//! - [`net`] delivers packets in the order of their arrival times and, at one instant, of their sending;
//! - chance comes from [`rng`], a named substream per component, so that one more draw here shifts nothing
//!   there;
//! - what can be ordered is kept in ordered containers, and `select!` is biased;
//! - [`trace`] hashes every packet, step, commit and fault, so that a leak shows as another hash.

pub mod anchor;
pub mod calls;
pub mod clock;
pub mod engine;
pub mod host;
pub mod net;
pub mod resets;
pub mod rng;
pub mod stream;
pub mod trace;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use crate::hosts::{Judge, supervise};
use anchor::Anchors;
use engine::{Drive, Engine};
use host::{Host, Life};
use net::Net;
use trace::Trace;

/// The wall clock at the beginning of every run: 2026-11-23 09:15 in Mumbai, when the market opens.
pub const WALL_ORIGIN_MS: i64 = 1_795_405_500_000;

/// What every host and service shares. All of it belongs to one thread; the locks are for the type system.
pub struct World {
    drive: Drive,
    /// The network between the hosts.
    pub net: Net,
    /// The connections that can be reset.
    pub resets: resets::Resets,
    hosts: Vec<Arc<Host>>,
    trace: Mutex<Trace>,
    anchors: Mutex<Anchors>,
    judge: Mutex<Judge>,
}

impl World {
    /// A world of the named hosts, in this order, on the first engine, beginning now. Must be called inside the
    /// run's runtime.
    pub fn new(names: &[String], latency: net::Latency, seed: u64, keep_story: bool) -> Arc<Self> {
        Self::on(Engine::Jumping, names, latency, seed, keep_story)
    }

    /// The same on an engine of one's choice.
    #[allow(clippy::disallowed_methods)] // The world is where time comes from.
    pub fn on(engine: Engine, names: &[String], latency: net::Latency, seed: u64, keep_story: bool) -> Arc<Self> {
        let (net, ids) = Net::new(engine, names.len(), latency, seed);
        let host = |(at, name): (usize, &String)| Host::new(at, name, ids.get(at).copied());
        let hosts = names.iter().enumerate().map(host).collect();
        let drive = match engine {
            Engine::Jumping => Drive::Jumping(tokio::time::Instant::now()),
            Engine::Turmoil => Drive::Ticking(engine::turmoil::Ticking::default()),
        };
        Arc::new(Self {
            drive,
            net,
            resets: resets::Resets::default(),
            hosts,
            trace: Mutex::new(Trace::new(keep_story)),
            anchors: Mutex::new(Anchors::default()),
            judge: Mutex::new(Judge::default()),
        })
    }

    /// What moves it.
    pub const fn engine(&self) -> Engine {
        self.drive.engine()
    }

    /// Time since the world began.
    pub fn now(&self) -> Duration {
        self.drive.now()
    }

    /// The true wall clock, in milliseconds since the Unix epoch.
    pub fn wall_ms(&self) -> i64 {
        WALL_ORIGIN_MS + i64::try_from(self.now().as_millis()).unwrap_or(i64::MAX)
    }

    /// Sleeps until `at` since the world began.
    #[allow(clippy::disallowed_methods)] // The world is where time comes from.
    pub async fn sleep_until(&self, at: Duration) {
        tokio::time::sleep_until(self.instant(at)).await;
    }

    /// The instant at `at` since the world began, on the clock of the runtime that asks.
    pub fn instant(&self, at: Duration) -> tokio::time::Instant {
        self.drive.instant(at)
    }

    /// Runs `task` in no process: nothing that happens to a host ends it.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.drive.spawn(task);
    }

    /// Lets one process after another live on the host at `at`.
    pub fn inhabit<F>(self: &Arc<Self>, at: usize, process: impl Fn(Arc<Life>) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        match &self.drive {
            Drive::Jumping(_) => {
                drop(tokio::spawn(supervise(Arc::clone(self), Arc::clone(&self.hosts[at]), process)));
            }
            Drive::Ticking(ticking) => ticking.inhabit(at, Arc::new(move |life| Box::pin(process(life)))),
        }
    }

    /// Ready when whoever runs that process should drop it.
    pub async fn ends(&self, life: &Life) {
        self.drive.ends(life).await;
    }

    fn ticking(&self) -> &engine::turmoil::Ticking {
        match &self.drive {
            Drive::Ticking(ticking) => ticking,
            Drive::Jumping(_) => unreachable!("asked by the second engine alone, of the worlds that it moves"),
        }
    }

    /// All hosts.
    pub fn hosts(&self) -> &[Arc<Host>] {
        &self.hosts
    }

    /// The host of that name.
    pub fn host(&self, name: &str) -> Option<&Arc<Host>> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// Whether the host of that name has a process.
    pub fn lives(&self, name: &str) -> bool {
        self.host(name).is_some_and(|host| host.life().is_some())
    }

    /// What happened so far.
    pub fn trace(&self) -> MutexGuard<'_, Trace> {
        locked(&self.trace)
    }

    /// What waits for named points of the protocol.
    pub fn anchors(&self) -> MutexGuard<'_, Anchors> {
        locked(&self.anchors)
    }

    /// What the oracles have seen.
    pub fn judge(&self) -> MutexGuard<'_, Judge> {
        locked(&self.judge)
    }

    /// Notes something worth telling, at the present time.
    pub fn tell(&self, host: usize, what: trace::What) {
        let at = self.now();
        self.trace().tell(at, host, what);
    }
}

/// The address of the host at that place in the world's list.
pub fn address(host: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(host + 1).expect("a world has few hosts")))
}

/// The host at that address.
pub fn host_at(address: IpAddr) -> Option<usize> {
    match address {
        IpAddr::V4(v4) => usize::from(v4.octets()[3]).checked_sub(1),
        IpAddr::V6(_) => None,
    }
}

/// A lock of a single-threaded world: poisoned only by a run that has failed anyway, and never contended. Who finds
/// it taken has taken it himself and would wait for ever, so that is a panic which names the place.
#[track_caller]
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.try_lock() {
        Ok(guard) => guard,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => panic!("a part of the world is locked twice by its one thread"),
    }
}
