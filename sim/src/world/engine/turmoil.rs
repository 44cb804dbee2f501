//! The second engine: the same world on `turmoil::Sim`.
//!
//! Each host has a runtime and a paused clock of its own, and its turn in every tick; the nemesis, the store calls
//! under way and the two phases of a run live on one more, `world`, which nothing ends. A process that ends is
//! killed by [`turmoil::Sim::bounce`]: its tasks and sockets go with its runtime, and the machine lives on, so that
//! who knocks is refused. What [`super::super::net`] says of a direction is carried out on turmoil's links between
//! two ticks: what a machine without power sends meets its `partition_oneway`, what is sent to it, as what is sent
//! where the way is blocked, its `hold`.
//!
//! What turmoil can't do, and how that is bridged:
//! - *hold one direction*, or some connections: a link is held as a whole, and what may pass is delivered by hand;
//! - *pause*: streams, timers and store calls ask their [`super::super::host::Life`], as in the first engine;
//! - *a kernel under a process that stands still*, and *answers to a SYN that travel*: see [`super::wire`].

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use turmoil::{Builder, Sim};

use crate::hosts::supervise;
use crate::world::host::Life;
use crate::world::net::{Late, Way};
use crate::world::{World, address, host_at, locked};

/// How long each host's turn lasts.
const TICK: Duration = Duration::from_millis(1);
/// How many segments a direction, and how many connections a backlog, may hold: more than any scenario needs, as
/// turmoil panics when a backlog is full.
const CAPACITY: usize = 4096;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
type Process = Arc<dyn Fn(Arc<Life>) -> Task + Send + Sync>;

/// What the hosts of one `Sim` share.
#[derive(Default)]
pub(in crate::world) struct Ticking {
    /// The latest time that anybody has read, in nanoseconds. Hosts take their turns at a tick one after another:
    /// without this, the world's time would step back between them.
    read: AtomicU64,
    /// Where the world's own tasks run, once it does.
    own: OnceLock<Handle>,
    /// Tasks from before that.
    early: Mutex<Vec<Task>>,
    /// Who lives where, until the run begins.
    inhabitants: Mutex<Vec<(usize, Process)>>,
    /// Hosts whose process has ended since the last tick.
    ended: Mutex<BTreeSet<usize>>,
}

impl Ticking {
    /// What this host's clock says; none between the turns.
    fn local() -> Option<Duration> {
        // A socket that is dropped with its runtime has no clock to read.
        Handle::try_current().ok().and_then(|_| turmoil::sim_elapsed())
    }

    pub(super) fn now(&self) -> Duration {
        let local = Self::local().map_or(0, |local| u64::try_from(local.as_nanos()).unwrap_or(u64::MAX));
        Duration::from_nanos(self.read.fetch_max(local, Ordering::Relaxed).max(local))
    }

    #[allow(clippy::disallowed_methods)] // The world is where time comes from.
    pub(super) fn instant(&self, at: Duration) -> tokio::time::Instant {
        let local = Self::local().unwrap_or_else(|| self.now());
        tokio::time::Instant::now() + at.saturating_sub(local)
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match self.own.get() {
            Some(own) => drop(own.spawn(task)),
            None => locked(&self.early).push(Box::pin(task)),
        }
    }

    /// Has the host's present process killed after this tick, with all that it still holds.
    pub(super) async fn bury(&self, at: usize) {
        locked(&self.ended).insert(at);
        std::future::pending().await
    }

    pub(in crate::world) fn inhabit(&self, at: usize, process: Process) {
        locked(&self.inhabitants).push((at, process));
    }
}

/// Carries `phases` out in a world that was made for this engine, and everything that lives there with them.
///
/// # Panics
/// When turmoil gives up: that is a bug of the harness, not a verdict.
pub fn run(world: &Arc<World>, seed: u64, lasts: Duration, phases: impl Future<Output = ()> + 'static) {
    let ticking = world.ticking();
    let latency = world.net.latency();
    let (least, most) = (Duration::from_millis(latency.least_ms), Duration::from_millis(latency.most_ms));
    let mut sim = Builder::new()
        .rng_seed(seed)
        .epoch(SystemTime::UNIX_EPOCH)
        .tick_duration(TICK)
        // What arrives within the tick in which it was sent could not be held any more.
        .min_message_latency(least.max(TICK))
        .max_message_latency(most.max(TICK))
        .tcp_capacity(CAPACITY)
        .simulation_duration(lasts * 2)
        .build();
    let own = Arc::clone(world);
    sim.client(address(world.hosts().len()), async move {
        let ticking = own.ticking();
        let early = std::mem::take(&mut *locked(&ticking.early));
        early.into_iter().for_each(|task| drop(tokio::spawn(task)));
        let _ = ticking.own.set(Handle::current());
        phases.await;
        Ok(())
    });
    let mut links = Links {
        hosts: Vec::new(),
        most: most.max(TICK),
        troubled: BTreeMap::new(),
        slow: BTreeMap::new(),
        late: BTreeMap::new(),
    };
    for (at, process) in std::mem::take(&mut *locked(&ticking.inhabitants)) {
        links.hosts.push(at);
        let (world, host) = (Arc::clone(world), Arc::clone(&world.hosts()[at]));
        sim.host(address(at), move || {
            let (world, host, process) = (Arc::clone(&world), Arc::clone(&host), Arc::clone(&process));
            async move {
                supervise(world, host, move |life| process(life)).await;
                Ok(())
            }
        });
    }
    // As turmoil names a link: the lower address first.
    links.hosts.sort_unstable();
    while !sim.step().expect("no software of this world ends or fails") {
        for at in std::mem::take(&mut *locked(&ticking.ended)) {
            sim.bounce(address(at));
        }
        links.follow(world, &sim);
    }
}

/// Turmoil's links.
struct Links {
    /// Who has any, by place. The store is no host of turmoil's: calls to it travel without its sockets.
    hosts: Vec<usize>,
    /// The longest that a packet travels when all is well.
    most: Duration,
    /// Those that are not open both ways, and how they are instead, there and back.
    troubled: BTreeMap<(usize, usize), [Way; 2]>,
    /// Those that are slow, and by how much.
    slow: BTreeMap<(usize, usize), Duration>,
    /// Directions that have healed and keep what they held for a while.
    late: BTreeMap<(usize, usize), Late>,
}

impl Links {
    /// Makes every link what the world's network says that it is.
    fn follow(&mut self, world: &World, sim: &Sim<'_>) {
        let well = self.troubled.is_empty() && self.slow.is_empty();
        if well && !world.net.is_troubled() {
            return;
        }
        let hosts = self.hosts.clone();
        for (nth, &a) in hosts.iter().enumerate() {
            for &b in &hosts[nth + 1..] {
                let (at_a, at_b) = (address(a), address(b));
                let slow = world.net.slowness(a, b);
                if self.slow.get(&(a, b)).copied().unwrap_or_default() != slow {
                    sim.set_link_latency(at_a, at_b, self.most + slow);
                    if slow.is_zero() {
                        self.slow.remove(&(a, b))
                    } else {
                        self.slow.insert((a, b), slow)
                    };
                }
                let mut link = [Way::Open; 2];
                for (way, (from, to)) in link.iter_mut().zip([(a, b), (b, a)]) {
                    *way = world.net.way(from, to);
                    if self.keeps_late(world, sim, (from, to)) {
                        *way = Way::Held.max(*way);
                    }
                }
                if self.troubled.get(&(a, b)).copied().unwrap_or_default() == link {
                    continue;
                }
                if link == [Way::Open; 2] {
                    self.troubled.remove(&(a, b));
                    sim.release(at_a, at_b);
                    continue;
                }
                self.troubled.insert((a, b), link);
                sim.hold(at_a, at_b);
                for (way, from, to) in [(link[0], at_a, at_b), (link[1], at_b, at_a)] {
                    if way == Way::Dead {
                        sim.partition_oneway(from, to);
                    }
                }
            }
        }
        self.deliver_by_hand(world, sim);
    }

    /// Whether a direction has healed, and keeps for a while what it held.
    fn keeps_late(&mut self, world: &World, sim: &Sim<'_>, direction: (usize, usize)) -> bool {
        let until = world.net.late_until(direction.0, direction.1).filter(|until| *until > sim.elapsed());
        match until {
            Some(until) => {
                let late = self.late.entry(direction).or_default();
                if late.0 != until {
                    *late = (until, on_the_way(sim, direction));
                }
            }
            None => drop(self.late.remove(&direction)),
        }
        until.is_some()
    }

    /// On links that are held for the sake of one direction or of some connections, all else moves.
    fn deliver_by_hand(&self, world: &World, sim: &Sim<'_>) {
        sim.links(|links| {
            for link in links {
                if !places(link.pair()).is_some_and(|pair| self.troubled.contains_key(&pair)) {
                    continue;
                }
                for sent in link {
                    let (from, to) = sent.pair();
                    let Some(direction) = places((from.ip(), to.ip())) else { continue };
                    let late =
                        self.late.get(&direction).is_some_and(|(_, late)| late.contains(&(from.port(), to.port())));
                    if !late && world.net.way(direction.0, direction.1) == Way::Open {
                        sent.deliver();
                    }
                }
            }
        });
    }
}

/// The connections that have something under way in that direction.
fn on_the_way(sim: &Sim<'_>, direction: (usize, usize)) -> BTreeSet<(u16, u16)> {
    let mut connections = BTreeSet::new();
    sim.links(|links| {
        for (from, to) in links.flatten().map(|sent| sent.pair()) {
            if places((from.ip(), to.ip())) == Some(direction) {
                connections.insert((from.port(), to.port()));
            }
        }
    });
    connections
}

fn places((a, b): (IpAddr, IpAddr)) -> Option<(usize, usize)> {
    host_at(a).zip(host_at(b))
}
