//! The Redis host: the simulated server on the simulated network, on a clock of its own. It keeps nothing on
//! disk, so a process that ends takes the lease with it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::node::Nodes;
use crate::nemesis::Nemesis;
use crate::oracles::lease_owner::Lease;
use crate::oracles::watch::look_at_trust;
use crate::redis::{CommandSummary, Disposition, Hook, RedisModel, Reply, serve};
use crate::world::anchor::Point;
use crate::world::host::Life;
use crate::world::stream::serve_each;
use crate::world::trace::What;
use crate::world::{World, locked};

/// The key of the lease.
pub const LEASE_KEY: &str = "oncegate:leader";
/// Where Redis listens.
pub const PORT: u16 = 6379;

/// The Redis machine: its data outlives connections, not processes.
pub struct RedisHost {
    /// Its place in the world.
    pub at: usize,
    model: Arc<Mutex<RedisModel>>,
    /// Whom the lease named after the last command.
    holder: Mutex<Option<String>>,
}

impl RedisHost {
    /// An empty server.
    pub fn new(at: usize) -> Self {
        Self { at, model: Arc::default(), holder: Mutex::default() }
    }

    /// Forgets everything.
    pub fn lose_data(&self) {
        locked(&self.model).lose_data();
    }

    /// Whom the lease names now, by Redis's own clock.
    pub fn holder(&self, world: &World) -> Option<String> {
        let now_ms = wall_ms(world, self.at);
        locked(&self.model).holder(LEASE_KEY, now_ms).map(|(holder, _)| holder)
    }

    /// Whom the lease names now and for how much longer, by Redis's own clock.
    pub fn lease(&self, world: &World) -> Option<(String, Duration)> {
        let now_ms = wall_ms(world, self.at);
        let (holder, left) = locked(&self.model).holder(LEASE_KEY, now_ms)?;
        Some((holder, left.map_or(Duration::MAX, Duration::from_millis)))
    }

    /// The lease's entry when Redis's own clock reads `now_ms`.
    fn entry(&self, now_ms: u64) -> Option<Lease> {
        let (holder, left) = locked(&self.model).holder(LEASE_KEY, now_ms)?;
        Some(Lease { holder, ends_ms: left.map(|left| now_ms + left) })
    }

    /// What was asked of it that it does not implement.
    pub fn unsupported(&self) -> Vec<String> {
        locked(&self.model).unsupported().to_vec()
    }
}

fn wall_ms(world: &World, at: usize) -> u64 {
    let wall = world.hosts()[at].clock.read(world.now()).wall;
    u64::try_from(wall.as_millis()).unwrap_or(0)
}

/// One process of the server.
pub async fn process(
    world: Arc<World>,
    life: Arc<Life>,
    redis: Arc<RedisHost>,
    nodes: Arc<Nodes>,
    nemesis: Arc<Nemesis>,
) {
    redis.lose_data();
    world.judge().lease_owner.forgot();
    let serve_client = |stream| {
        let watch = Watch {
            world: Arc::clone(&world),
            redis: Arc::clone(&redis),
            nodes: Arc::clone(&nodes),
            nemesis: Arc::clone(&nemesis),
        };
        let (clock, at) = (Arc::clone(&world), redis.at);
        serve(stream, Arc::clone(&redis.model), move || wall_ms(&clock, at), watch)
    };
    serve_each(Arc::clone(&world), life, PORT, serve_client).await;
}

/// Watches the lease for the oracles and the anchors.
struct Watch {
    world: Arc<World>,
    redis: Arc<RedisHost>,
    nodes: Arc<Nodes>,
    nemesis: Arc<Nemesis>,
}

impl Hook for Watch {
    fn before(&self, _command: &CommandSummary<'_>) -> Disposition {
        look_at_trust(&self.world, &self.redis, &self.nodes);
        Disposition::Perform
    }

    fn after(&self, command: &CommandSummary<'_>, _result: &Reply) {
        let (at, now_ms) = (self.world.now(), wall_ms(&self.world, self.redis.at));
        self.world.judge().redis_did(at, now_ms, (command.script, command.holder), self.redis.entry(now_ms));
        let Some(script) = command.script else { return };
        let holder = self.redis.holder(&self.world);
        let asked_by = command.holder.and_then(|asked| self.world.host(asked.split(':').next()?));
        let mine = holder.is_some() && holder.as_deref() == command.holder;
        let before = std::mem::replace(&mut *locked(&self.redis.holder), holder.clone());
        if before != holder {
            let named = holder.as_deref().unwrap_or("nobody");
            self.world.tell(self.redis.at, What::Redis(format!("the lease names {named}")));
        }
        if mine
            && let Some(holder) = command.holder
            && matches!(script, "acquire" | "renew")
        {
            self.world.judge().leader_acts.named(holder, self.world.now());
        }
        let Some(node) = asked_by else { return };
        match script {
            "acquire" if mine => {
                let at = self.world.now();
                self.world.judge().gate_lease.granted(&self.world, &self.nodes, node.at, at);
                if before != holder {
                    self.nemesis.reach(Point::LeaseGranted, node.at);
                }
            }
            "renew" if mine => self.nemesis.reach(Point::LeaseRenewed, node.at),
            _ => {}
        }
    }
}
