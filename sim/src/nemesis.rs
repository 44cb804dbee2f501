//! Who makes things go wrong, and right again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::hosts::broker::{BrokerFault, BrokerHost};
use crate::hosts::node::{DRIFT_BOUND_PPM, Heartbeats, Nodes};
use crate::hosts::redis::RedisHost;
use crate::hosts::store::{StoreFault, StoreHost};
use crate::scenario::{Fault, Scenario};
use crate::world::anchor::Point;
use crate::world::trace::What;
use crate::world::{World, locked};

/// The faults of one run.
pub struct Nemesis {
    world: Arc<World>,
    store: Arc<StoreHost>,
    broker: Arc<BrokerHost>,
    redis: Arc<RedisHost>,
    heartbeats: Arc<Heartbeats>,
    nodes: usize,
    members: Arc<Nodes>,
    active: Mutex<Active>,
}

#[derive(Default)]
struct Active {
    begun: u64,
    /// What will be undone, by the order in which it began.
    undo: BTreeMap<u64, Undo>,
    over: bool,
}

/// How a fault is undone.
#[derive(Clone, Debug)]
enum Undo {
    Unblock(Vec<(usize, usize)>),
    Start { host: usize, mend: bool },
    Resume(usize),
    ResumeHeartbeats(usize),
    TrueRate(usize),
    Store(StoreFault),
    Broker(BrokerFault),
}

impl Nemesis {
    /// Nothing is wrong yet.
    pub fn new(
        world: Arc<World>,
        store: Arc<StoreHost>,
        broker: Arc<BrokerHost>,
        redis: Arc<RedisHost>,
        heartbeats: Arc<Heartbeats>,
        nodes: usize,
        members: Arc<Nodes>,
    ) -> Arc<Self> {
        Arc::new(Self { world, store, broker, redis, heartbeats, nodes, members, active: Mutex::default() })
    }

    /// Whether the broker has a look-up.
    pub fn broker_can_be_asked(&self) -> bool {
        self.broker.can_be_asked()
    }

    /// Lets every fault of the scenario wait for its time or its point.
    pub fn arm(self: &Arc<Self>, scenario: &Scenario) {
        if scenario.faults.iter().any(|spec| matches!(spec.fault, Fault::ClockDrift { .. })) {
            self.world.hosts().iter().for_each(|host| host.clock.will_drift());
        }
        for spec in &scenario.faults {
            match (&spec.at, &spec.when) {
                (_, Some(anchor)) => {
                    let by = anchor.by.as_deref().and_then(|name| self.world.host(name)).map(|host| host.at);
                    self.world.anchors().wait(anchor.point, anchor.nth, by, spec.fault.clone());
                }
                (Some(at), None) => {
                    let (nemesis, at, fault) = (Arc::clone(self), at.get(), spec.fault.clone());
                    self.world.spawn(async move {
                        nemesis.world.sleep_until(at).await;
                        nemesis.strike(&fault, None);
                    });
                }
                (None, None) => {}
            }
        }
    }

    /// The protocol has reached a named point, by the hand of `host`; what was anchored there strikes now,
    /// before the host does anything else.
    pub fn reach(self: &Arc<Self>, point: Point, host: usize) {
        let at = self.world.now();
        self.world.trace().mix(at, host, &point);
        let due = self.world.anchors().reach(point, host);
        for fault in due {
            self.world.tell(host, What::Reached(point));
            self.strike(&fault, Some(host));
        }
    }

    /// All faults end, and none begins any more.
    pub fn end_all(&self) {
        let undo = {
            let mut active = locked(&self.active);
            active.over = true;
            std::mem::take(&mut active.undo)
        };
        self.world.anchors().drop_waiting();
        for undo in undo.into_values() {
            self.undo(undo);
        }
    }

    fn resolve(&self, name: &str, actor: Option<usize>) -> Option<usize> {
        let leader = || self.store.leader(&self.world).filter(|at| self.world.hosts()[*at].life().is_some());
        match name {
            "@leader" => leader().or(Some(0)),
            "@follower" => {
                let leader = leader();
                (0..self.nodes).find(|at| Some(*at) != leader && self.world.hosts()[*at].life().is_some())
            }
            "@actor" => actor.filter(|at| *at < self.nodes).or_else(leader).or(Some(0)),
            name => self.world.host(name).map(|host| host.at),
        }
    }

    fn strike(self: &Arc<Self>, fault: &Fault, actor: Option<usize>) {
        if locked(&self.active).over {
            return;
        }
        let world = &self.world;
        let host = |name: &str| self.resolve(name, actor);
        let everyone = || 0..world.hosts().len();
        let Some((told, undo)) = (match fault {
            Fault::Partition { between: [a, b], .. } => host(a).zip(host(b)).filter(|(a, b)| a != b).map(|(a, b)| {
                let blocked = vec![(a, b), (b, a)];
                (format!("no packet passes between {} and {}", self.name(a), self.name(b)), Some(self.block(blocked)))
            }),
            Fault::OneWay { from, to, .. } => host(from).zip(host(to)).filter(|(a, b)| a != b).map(|(a, b)| {
                let told = format!("no packet passes from {} to {}", self.name(a), self.name(b));
                (told, Some(self.block(vec![(a, b)])))
            }),
            Fault::Isolate { host: name, .. } => host(name).map(|at| {
                let blocked = everyone().filter(|other| *other != at).flat_map(|other| [(at, other), (other, at)]);
                (format!("{} is cut off from everybody", self.name(at)), Some(self.block(blocked.collect())))
            }),
            Fault::Crash { host: name, .. } => host(name).map(|at| {
                self.lose_redis_data_of(at);
                world.hosts()[at].take_down();
                (format!("{} crashes", self.name(at)), Some(Undo::Start { host: at, mend: false }))
            }),
            Fault::PowerLoss { host: name, .. } => host(name).map(|at| {
                self.lose_redis_data_of(at);
                world.net.cut(at);
                world.hosts()[at].take_down();
                (format!("{} loses its power", self.name(at)), Some(Undo::Start { host: at, mend: true }))
            }),
            Fault::Pause { host: name, .. } => host(name).map(|at| {
                world.hosts()[at].pause();
                (format!("{} stands still", self.name(at)), Some(Undo::Resume(at)))
            }),
            Fault::PauseHeartbeats { host: name, .. } => host(name).map(|at| {
                self.heartbeats.pause(at);
                (format!("the heartbeats of {} stand still", self.name(at)), Some(Undo::ResumeHeartbeats(at)))
            }),
            Fault::ClockStep { host: name, by } => host(name).map(|at| {
                if at == self.redis.at {
                    world.judge().gate_lease.clocks_out_of_bound(world.now());
                }
                world.judge().sends.clock_stepped(at, world.now());
                world.hosts()[at].clock.step_wall(by.as_millis());
                (format!("the wall clock of {} steps by {by}", self.name(at)), None)
            }),
            Fault::ClockDrift { host: name, ppm, .. } => host(name).map(|at| {
                if ppm.abs() > DRIFT_BOUND_PPM {
                    world.judge().gate_lease.clocks_out_of_bound(world.now() + fault.lasts());
                }
                world.hosts()[at].clock.set_rate(world.now(), *ppm);
                (format!("the clock of {} runs {ppm} ppm fast", self.name(at)), Some(Undo::TrueRate(at)))
            }),
            Fault::RedisLosesData => {
                self.lose_redis_data_of(self.redis.at);
                Some(("redis forgets everything".to_owned(), None))
            }
            Fault::StoreFails { host: name, .. } => {
                let whose = name.as_deref().and_then(host);
                Some((format!("the store fails for {}", self.whose(whose)), Some(self.store(StoreFault::Fails(whose)))))
            }
            Fault::StoreLosesReplies { host: name, .. } => {
                let whose = name.as_deref().and_then(host);
                let told = format!("the store's replies to {} are lost", self.whose(whose));
                Some((told, Some(self.store(StoreFault::LosesReplies(whose)))))
            }
            Fault::StoreSlow { by, .. } => {
                Some((format!("the store is slow by {by}"), Some(self.store(StoreFault::Slow(by.get())))))
            }
            Fault::BrokerSilent { .. } => {
                Some(("the broker places orders and does not answer".into(), Some(self.broker(BrokerFault::Silent))))
            }
            Fault::BrokerRefuses { .. } => {
                Some(("the broker refuses new orders".into(), Some(self.broker(BrokerFault::Refuses))))
            }
            Fault::BrokerConfused { .. } => {
                Some(("the broker places orders and answers 500".into(), Some(self.broker(BrokerFault::Confused))))
            }
            Fault::StepDown { host: name } => host(name).filter(|at| *at < self.nodes).map(|at| {
                self.members.step_down(world, at);
                (format!("an operator asks {} to step down", self.name(at)), None)
            }),
            Fault::BrokerOutage { .. } => Some(("the broker is out".into(), Some(self.broker(BrokerFault::Outage)))),
            Fault::BrokerLate { by, .. } => {
                Some((format!("the broker is late by {by}"), Some(self.broker(BrokerFault::Late(by.get())))))
            }
        }) else {
            return;
        };
        let lasts = fault.lasts();
        let teller = actor.unwrap_or(self.redis.at);
        let told = if undo.is_some() { format!("{told}, for {:.1}s", lasts.as_secs_f64()) } else { told };
        world.tell(teller, What::Fault(told));
        if let Some(undo) = undo {
            let number = {
                let mut active = locked(&self.active);
                active.begun += 1;
                let number = active.begun;
                active.undo.insert(number, undo);
                number
            };
            let (nemesis, ends) = (Arc::clone(self), world.now() + lasts);
            world.spawn(async move {
                nemesis.world.sleep_until(ends).await;
                let undo = locked(&nemesis.active).undo.remove(&number);
                if let Some(undo) = undo {
                    nemesis.undo(undo);
                }
            });
        }
    }

    fn undo(&self, undo: Undo) {
        let world = &self.world;
        let (host, told) = match undo {
            Undo::Unblock(directions) => {
                for (from, to) in &directions {
                    world.net.unblock(world, *from, *to);
                }
                let hosts = directions.first().map_or((0, 0), |(from, to)| (*from, *to));
                (hosts.0, format!("the network of {} and {} heals", self.name(hosts.0), self.name(hosts.1)))
            }
            Undo::Start { host, mend } => {
                if mend {
                    world.net.mend(host);
                }
                world.hosts()[host].bring_up();
                (host, format!("{} is up again", self.name(host)))
            }
            Undo::Resume(host) => {
                world.hosts()[host].resume();
                (host, format!("{} goes on", self.name(host)))
            }
            Undo::ResumeHeartbeats(host) => {
                self.heartbeats.resume(host);
                (host, format!("the heartbeats of {} go on", self.name(host)))
            }
            Undo::TrueRate(host) => {
                world.hosts()[host].clock.set_rate(world.now(), 0);
                (host, format!("the clock of {} runs true", self.name(host)))
            }
            Undo::Store(fault) => {
                self.store.end(fault);
                (self.store.at, "the store is well again".into())
            }
            Undo::Broker(fault) => {
                self.broker.end(fault);
                (self.broker.at, "the broker is well again".into())
            }
        };
        world.tell(host, What::Healed(told));
    }

    fn block(&self, directions: Vec<(usize, usize)>) -> Undo {
        for (from, to) in &directions {
            self.world.net.block(*from, *to);
        }
        Undo::Unblock(directions)
    }

    fn store(&self, fault: StoreFault) -> Undo {
        self.store.begin(fault);
        Undo::Store(fault)
    }

    fn broker(&self, fault: BrokerFault) -> Undo {
        self.broker.begin(fault);
        Undo::Broker(fault)
    }

    fn lose_redis_data_of(&self, host: usize) {
        if host == self.redis.at {
            self.redis.lose_data();
            self.world.judge().gate_lease.redis_lost_data(self.world.now());
        }
    }

    fn name(&self, host: usize) -> &str {
        &self.world.hosts()[host].name
    }

    fn whose(&self, host: Option<usize>) -> &str {
        host.map_or("everybody", |at| self.name(at))
    }
}
