//! Who makes things go wrong, and right again.

mod calls;
mod operator;
mod strike;
mod undo;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::hosts::broker::BrokerHost;
use crate::hosts::node::{Heartbeats, Nodes};
use crate::hosts::redis::RedisHost;
use crate::hosts::store::StoreHost;
use crate::scenario::{Fault, Scenario};
use crate::world::anchor::Point;
use crate::world::trace::What;
use crate::world::{World, locked};

pub use calls::Fate;
use operator::Operator;
use undo::Undo;

/// The faults of one run.
pub struct Nemesis {
    world: Arc<World>,
    store: Arc<StoreHost>,
    broker: Arc<BrokerHost>,
    redis: Arc<RedisHost>,
    heartbeats: Arc<Heartbeats>,
    nodes: usize,
    members: Arc<Nodes>,
    operator: Arc<Operator>,
    active: Mutex<Active>,
}

#[derive(Default)]
struct Active {
    begun: u64,
    /// What will be undone, by the order in which it began.
    undo: BTreeMap<u64, Undo>,
    over: bool,
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
        let operator = Arc::new(Operator::new(Arc::clone(&world), Arc::clone(&members), nodes));
        Arc::new(Self { world, store, broker, redis, heartbeats, nodes, members, operator, active: Mutex::default() })
    }

    /// Whether the broker has a look-up.
    pub fn broker_can_be_asked(&self) -> bool {
        self.broker.can_be_asked()
    }

    /// Lets every fault of the scenario wait for its time or its point.
    pub fn arm(self: &Arc<Self>, scenario: &Scenario) {
        let any = |kind: fn(&Fault) -> bool| scenario.faults.iter().any(|spec| kind(&spec.fault));
        if any(|fault| matches!(fault, Fault::ClockDrift { .. } | Fault::Snapshot { .. })) {
            self.world.hosts().iter().for_each(|host| host.clock.will_drift());
        }
        let resets = |fault: &Fault| {
            matches!(fault, Fault::Reset { .. } | Fault::RedisFailsOver { .. } | Fault::RedisTwoMasters { .. })
        };
        if any(resets) {
            self.world.resets.arm();
        }
        if any(|fault| matches!(fault, Fault::RedisFailsOver { .. })) {
            self.redis.remember();
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
        self.world.trace().reach(at, host, point);
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
        for (number, undo) in undo {
            self.undo(number, undo);
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

    fn name(&self, host: usize) -> &str {
        &self.world.hosts()[host].name
    }

    fn whose(&self, host: Option<usize>) -> &str {
        host.map_or("everybody", |at| self.name(at))
    }
}
