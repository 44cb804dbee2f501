//! The Redis host: the simulated server on the simulated network, on a clock of its own. It keeps nothing on
//! disk, so a process that ends takes the lease with it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncegate_protocol::LeaseCall;

use super::node::Nodes;
use crate::nemesis::Nemesis;
use crate::oracles::lease_owner::Lease;
use crate::oracles::sightings::Sighting;
use crate::oracles::watch::look_at_trust;
use crate::redis::{CommandSummary, Disposition, Hook, RedisModel, Reply, Snapshot, repeat, serve};
use crate::world::anchor::Point;
use crate::world::calls::CallName;
use crate::world::host::Life;
use crate::world::stream::{LifeStream, serve_each};
use crate::world::trace::What;
use crate::world::{World, locked};

/// The key of the lease.
pub const LEASE_KEY: &str = "oncegate:leader";
/// Where Redis listens.
pub const PORT: u16 = 6379;
/// How far back a replica may be behind.
pub const FURTHEST_BEHIND: Duration = Duration::from_secs(60);

/// The Redis machine: its data outlives connections, not processes.
pub struct RedisHost {
    /// Its place in the world.
    pub at: usize,
    model: Arc<Mutex<RedisModel>>,
    /// Whom the lease named after the last command, at the first master and at the second.
    holders: Mutex<[Option<String>; 2]>,
    second: Mutex<Option<Second>>,
    /// What it knew when, while somebody may want it back.
    past: Mutex<Option<VecDeque<(Duration, Snapshot)>>>,
    faults: Mutex<Faults>,
}

/// A second master, and whom it serves.
struct Second {
    model: Arc<Mutex<RedisModel>>,
    serves: BTreeSet<usize>,
}

#[derive(Default)]
struct Faults {
    loses_replies: BTreeMap<Option<usize>, u32>,
    slow: Vec<Duration>,
}

/// What is wrong with Redis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RedisFault {
    /// Commands are carried out and their replies are lost: one node's, or everybody's.
    LosesReplies(Option<usize>),
    /// Commands take this much longer.
    Slow(Duration),
}

impl RedisHost {
    /// An empty server.
    pub fn new(at: usize) -> Self {
        Self {
            at,
            model: Arc::default(),
            holders: Mutex::default(),
            second: Mutex::default(),
            past: Mutex::default(),
            faults: Mutex::default(),
        }
    }

    /// Lets something go wrong.
    pub fn begin(&self, fault: RedisFault) {
        let mut faults = locked(&self.faults);
        match fault {
            RedisFault::LosesReplies(whose) => *faults.loses_replies.entry(whose).or_default() += 1,
            RedisFault::Slow(by) => faults.slow.push(by),
        }
    }

    /// Undoes one [`RedisHost::begin`].
    pub fn end(&self, fault: RedisFault) {
        let mut faults = locked(&self.faults);
        match fault {
            RedisFault::LosesReplies(whose) => {
                let count = faults.loses_replies.entry(whose).or_default();
                *count = count.saturating_sub(1);
            }
            RedisFault::Slow(by) => {
                if let Some(at) = faults.slow.iter().position(|slow| *slow == by) {
                    faults.slow.remove(at);
                }
            }
        }
    }

    /// Forgets everything.
    pub fn lose_data(&self) {
        locked(&self.model).lose_data();
    }

    /// Forgets the lease; whether there was one.
    pub fn evict(&self) -> bool {
        locked(&self.model).evict(LEASE_KEY)
    }

    /// From now on it is remembered what was known when.
    pub fn remember(&self) {
        *locked(&self.past) = Some(VecDeque::new());
    }

    /// A replica takes over that knows only what was so at `then`.
    pub fn fail_over(&self, then: Duration) {
        let snapshot = locked(&self.past).as_mut().and_then(|past| {
            past.retain(|(at, _)| *at <= then);
            past.back().map(|(_, snapshot)| snapshot.clone())
        });
        locked(&self.model).restore(snapshot.unwrap_or_default());
    }

    /// A copy of this server serves those hosts from now on.
    pub fn split(&self, serves: BTreeSet<usize>) {
        let mut copy = RedisModel::new();
        copy.restore(locked(&self.model).snapshot());
        *locked(&self.second) = Some(Second { model: Arc::new(Mutex::new(copy)), serves });
    }

    /// The copy is gone, with all it was told; whom it served.
    pub fn join(&self) -> BTreeSet<usize> {
        locked(&self.second).take().map(|second| second.serves).unwrap_or_default()
    }

    /// A copy of a command that was sent before arrives again.
    pub fn repeat(&self, world: &World, call: &LeaseCall) {
        let now_ms = wall_ms(world, self.at);
        repeat(&mut locked(&self.model), LEASE_KEY, call, now_ms);
        let (script, by) = match call {
            LeaseCall::Acquire { holder, .. } => ("acquire", Some(holder.as_str())),
            LeaseCall::Renew { holder, .. } => ("renew", Some(holder.as_str())),
            LeaseCall::Release { holder } => ("release", Some(holder.as_str())),
            LeaseCall::Read => ("read", None),
        };
        world.judge().redis_did(world.now(), now_ms, (Some(script), by), self.entry(now_ms));
    }

    /// Whom the lease names now, by Redis's own clock.
    pub fn holder(&self, world: &World) -> Option<String> {
        self.lease(world).map(|(holder, _)| holder)
    }

    /// Whom the lease names now and for how much longer, by Redis's own clock.
    pub fn lease(&self, world: &World) -> Option<(String, Duration)> {
        lease_at(&self.model, wall_ms(world, self.at))
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

    /// The master that serves a host, and whether it is the first.
    fn master_of(&self, host: usize) -> (Arc<Mutex<RedisModel>>, bool) {
        match &*locked(&self.second) {
            Some(second) if second.serves.contains(&host) => (Arc::clone(&second.model), false),
            _ => (Arc::clone(&self.model), true),
        }
    }

    fn note(&self, at: Duration) {
        if let Some(past) = &mut *locked(&self.past) {
            past.push_back((at, locked(&self.model).snapshot()));
            while past.len() > 1 && past[1].0 + FURTHEST_BEHIND < at {
                past.pop_front();
            }
        }
    }
}

fn lease_at(model: &Mutex<RedisModel>, now_ms: u64) -> Option<(String, Duration)> {
    let (holder, left) = locked(model).holder(LEASE_KEY, now_ms)?;
    Some((holder, left.map_or(Duration::MAX, Duration::from_millis)))
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
    let serve_client = |stream: LifeStream| {
        let (model, first) = redis.master_of(stream.peer());
        let watch = Watch {
            world: Arc::clone(&world),
            redis: Arc::clone(&redis),
            model: Arc::clone(&model),
            first,
            peer: stream.peer(),
            nodes: Arc::clone(&nodes),
            nemesis: Arc::clone(&nemesis),
        };
        let (clock, at) = (Arc::clone(&world), redis.at);
        serve(stream, model, move || wall_ms(&clock, at), watch)
    };
    serve_each(Arc::clone(&world), life, PORT, serve_client).await;
}

/// Watches the lease for the oracles and the anchors, and does to one client's commands what is wrong now.
struct Watch {
    world: Arc<World>,
    redis: Arc<RedisHost>,
    model: Arc<Mutex<RedisModel>>,
    first: bool,
    peer: usize,
    nodes: Arc<Nodes>,
    nemesis: Arc<Nemesis>,
}

impl Hook for Watch {
    fn before(&self, command: &CommandSummary<'_>) -> Disposition {
        look_at_trust(&self.world, &self.redis, &self.nodes);
        if command.script.is_none() {
            return Disposition::Perform;
        }
        let faults = locked(&self.redis.faults);
        let loses = |whose| faults.loses_replies.get(&whose).is_some_and(|count| *count > 0);
        if loses(None) || loses(Some(self.peer)) {
            self.world.judge().sightings.saw(Sighting::RedisReplyLost);
            return Disposition::PerformButDropReply;
        }
        match faults.slow.iter().max().copied() {
            Some(by) => {
                let world = Arc::clone(&self.world);
                Disposition::PerformAfter(Box::pin(async move { world.sleep_until(world.now() + by).await }))
            }
            None => Disposition::Perform,
        }
    }

    fn after(&self, command: &CommandSummary<'_>, _result: &Reply) {
        let (at, now_ms) = (self.world.now(), wall_ms(&self.world, self.redis.at));
        if self.first {
            self.world.judge().redis_did(at, now_ms, (command.script, command.holder), self.redis.entry(now_ms));
        }
        let Some(script) = command.script else { return };
        let now = self.world.now();
        if self.first {
            self.redis.note(now);
        }
        let holder = lease_at(&self.model, wall_ms(&self.world, self.redis.at)).map(|(holder, _)| holder);
        let asked_by = command.holder.and_then(|asked| self.world.host(asked.split(':').next()?));
        let mine = holder.is_some() && holder.as_deref() == command.holder;
        let which = usize::from(!self.first);
        let before = std::mem::replace(&mut locked(&self.redis.holders)[which], holder.clone());
        if before != holder {
            let named = holder.as_deref().unwrap_or("nobody");
            let whose = if self.first { "the lease" } else { "the second master's lease" };
            self.world.tell(self.redis.at, What::Redis(format!("{whose} names {named}")));
        }
        if let Some(sighting) = Sighting::of_lease(script, command.holder, before.as_deref(), holder.as_deref()) {
            self.world.judge().sightings.saw(sighting);
        }
        if mine
            && let Some(holder) = command.holder
            && matches!(script, "acquire" | "renew")
        {
            self.world.judge().leader_acts.named(holder, now);
        }
        let call = match script {
            "acquire" => CallName::Acquire,
            "renew" => CallName::Renew,
            "release" => CallName::Release,
            _ => CallName::ReadLease,
        };
        if let Some(node) = asked_by {
            match call {
                CallName::Acquire if mine => {
                    self.world.judge().gate_lease.granted(&self.world, &self.nodes, node.at, now);
                    if before != holder {
                        self.nemesis.reach(Point::LeaseGranted, node.at);
                    }
                }
                CallName::Renew if mine => self.nemesis.reach(Point::LeaseRenewed, node.at),
                _ => {}
            }
        }
        self.nemesis.reach(Point::Applied(call), self.peer);
    }
}
