//! The peer in the simulated world, run by what runs every host there.

use std::sync::Arc;
use std::time::Duration;

use oncegate_coordinator::{BoxFuture, Clock, Connect};
use oncegate_sim::hosts::supervise;
use oncegate_sim::world::World;
use oncegate_sim::world::clock::SimClock;
use oncegate_sim::world::host::{Host, Life};
use oncegate_sim::world::net::Latency;
use oncegate_sim::world::stream::{SimConnect, serve_each};

use crate::peer::{Memory, serve};
use crate::script::{Arm, Fate, Probe, Seen, play};

const CLIENT: usize = 0;
const PEER: usize = 1;
/// Where the peer listens.
pub(crate) const PORT: u16 = 7000;
/// Time for a process to start and to listen, or to end.
const SETTLED: Duration = Duration::from_millis(5);

/// Plays a probe in a new world; what the client saw there.
pub(crate) fn run(probe: &Probe) -> Vec<Seen> {
    let serve_peer = |world: Arc<World>, life: Arc<Life>| {
        let memory = Arc::new(Memory::default());
        let clock = Arc::new(SimClock { world: Arc::clone(&world), life: Arc::clone(&life) });
        serve_each(world, life, PORT, move |stream| {
            let clock: Arc<dyn Clock> = Arc::<SimClock>::clone(&clock);
            serve(stream, clock, Arc::clone(&memory))
        })
    };
    let probe = probe.clone();
    in_a_new_world(serve_peer, move |arm| Box::pin(async move { play(&probe, arm).await }))
}

/// Does something with a new world of two hosts, on one of which that process is run again and again.
pub(crate) fn in_a_new_world<F, T>(
    process: impl Fn(Arc<World>, Arc<Life>) -> F + Send + 'static,
    act: impl for<'a> FnOnce(&'a mut dyn Arm) -> BoxFuture<'a, T>,
) -> T
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let names = ["client", "peer"].map(str::to_owned);
        let world = World::new(&names, Latency { least_ms: 1, most_ms: 2 }, 1, false);
        let process_of = Arc::clone(&world);
        let process = move |life| process(Arc::clone(&process_of), life);
        tokio::spawn(supervise(Arc::clone(&world), Arc::clone(&world.hosts()[PEER]), process));
        let life = world.hosts()[CLIENT].start();
        let mut arm = Simulated { world: Arc::clone(&world), life, blocked: Vec::new() };
        // A task of its own: a client that connects pokes the network each time it is polled.
        let network = Arc::clone(&world);
        tokio::spawn(async move { network.net.run(&network).await });
        arm.settle().await;
        act(&mut arm).await
    })
}

struct Simulated {
    world: Arc<World>,
    /// The client's.
    life: Arc<Life>,
    blocked: Vec<(usize, usize)>,
}

impl Simulated {
    fn host(&self) -> &Host {
        &self.world.hosts()[PEER]
    }

    async fn settle(&self) {
        self.world.sleep_until(self.world.now() + SETTLED).await;
    }

    fn block(&mut self, from: usize, to: usize) {
        self.world.net.block(from, to);
        self.blocked.push((from, to));
    }
}

impl Arm for Simulated {
    fn peer(&self) -> String {
        format!("peer:{PORT}")
    }

    fn connect(&self) -> Arc<dyn Connect> {
        Arc::new(SimConnect { world: Arc::clone(&self.world), life: Arc::clone(&self.life) })
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SimClock { world: Arc::clone(&self.world), life: Arc::clone(&self.life) })
    }

    fn befall(&mut self, fate: Fate) -> BoxFuture<'_, ()> {
        match fate {
            Fate::Kill => self.host().take_down(),
            Fate::Start => self.host().bring_up(),
            Fate::Stop => self.host().pause(),
            Fate::Resume => self.host().resume(),
            Fate::BlockToPeer => self.block(CLIENT, PEER),
            Fate::BlockToClient => self.block(PEER, CLIENT),
            Fate::Heal => {
                for (from, to) in std::mem::take(&mut self.blocked) {
                    self.world.net.unblock(&self.world, from, to);
                }
            }
            Fate::LosePower => {
                self.world.net.cut(PEER);
                self.host().take_down();
            }
            Fate::RegainPower => {
                self.world.net.mend(PEER);
                self.host().bring_up();
            }
        }
        Box::pin(self.settle())
    }
}
