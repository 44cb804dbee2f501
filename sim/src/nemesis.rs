//! Who makes things go wrong, and right again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncegate_http_broker::OrderRequest;
use oncegate_protocol::call::Resolution;
use oncegate_protocol::{Order, SignalState};

use crate::hosts::broker::{BrokerFault, BrokerHost, LONGEST_FLIGHT};
use crate::hosts::node::{DRIFT_BOUND_PPM, Heartbeats, Nodes};
use crate::hosts::redis::{RedisFault, RedisHost};
use crate::hosts::store::{StoreFault, StoreHost};
use crate::scenario::{Fault, Scenario};
use crate::world::anchor::Point;
use crate::world::calls::CallName;
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
    Unblock { directions: Vec<(usize, usize)>, late: Duration },
    SpeedUp { host: usize, by: Duration },
    Admit(usize),
    Thaw { host: usize, since: Duration },
    JoinMasters,
    Start { host: usize, mend: bool },
    Resume(usize),
    ResumeHeartbeats(usize),
    TrueRate(usize),
    Store(StoreFault),
    Broker(BrokerFault),
    Redis(RedisFault),
}

/// What becomes of the call that a node is about to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fate {
    /// It fails, and nothing of it leaves the node.
    pub fails: bool,
    /// It is carried out, and its reply is lost.
    pub loses_reply: bool,
    /// It is carried out once more, so much later.
    pub repeated: Option<Duration>,
}

/// How long after the last send an operator waits before an order counts as not placed.
const OPERATOR_WAITS: Duration = Duration::from_secs(10);

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

    /// A node is about to make a call. What was anchored there strikes now; what was anchored there to strike the
    /// call itself is handed back.
    pub fn begin_call(self: &Arc<Self>, call: CallName, host: usize) -> Fate {
        let point = Point::Before(call);
        let at = self.world.now();
        self.world.trace().reach(at, host, point);
        let due = self.world.anchors().reach(point, host);
        let mut fate = Fate::default();
        for fault in due {
            self.world.tell(host, What::Reached(point));
            let told = match &fault {
                Fault::CallFails => {
                    fate.fails = true;
                    "this call fails".to_owned()
                }
                Fault::CallLosesReply => {
                    fate.loses_reply = true;
                    "the reply to this call is lost".to_owned()
                }
                Fault::CallRepeated { by } => {
                    fate.repeated = Some(by.get());
                    format!("this call arrives once more, {by} later")
                }
                _ => {
                    self.strike(&fault, Some(host));
                    continue;
                }
            };
            let phases = self.world.judge().course.phases(|name| self.world.lives(name));
            self.world.judge().coverage.struck(fault.name(), &phases);
            self.world.tell(host, What::Fault(told));
            self.disturb_call(call, host, fate.repeated);
        }
        fate
    }

    /// Tells the oracles that a call goes wrong, until the copy of it has arrived, if one is under way.
    fn disturb_call(self: &Arc<Self>, call: CallName, host: usize, repeated: Option<Duration>) {
        let now = self.world.now();
        let judge = &mut *self.world.judge();
        let touched = judge.weather.touched_by_call(host, call.peer());
        let Some(by) = repeated else {
            judge.fault_passes(now, &touched);
            return;
        };
        let number = {
            let mut active = locked(&self.active);
            active.begun += 1;
            active.begun
        };
        judge.fault_begins(now, number, touched);
        let world = Arc::clone(&self.world);
        self.world.spawn(async move {
            world.sleep_until(now + by).await;
            world.judge().fault_ends(world.now(), number);
        });
    }

    /// A copy of an order arrives at the broker, so much later: where the broker deduplicates. Elsewhere bytes
    /// that travel twice are two orders, which nothing on this side of the wire can prevent.
    pub fn repeat_order(self: &Arc<Self>, order: &Order, by: Duration) {
        if !self.broker.never_repeats() {
            return;
        }
        let order = OrderRequest::of(order).expect("intake lets only JSON through");
        let nemesis = Arc::clone(self);
        self.world.spawn(async move {
            nemesis.world.sleep_until(nemesis.world.now() + by).await;
            nemesis.broker.repeat(&nemesis.world, &nemesis, &order);
        });
    }

    /// What an operator does who finds signals quarantined: looks each up in the broker's own book, and says so.
    fn resolve_quarantined(self: &Arc<Self>, node: usize) {
        let Some(handle) = self.members.handle(node) else { return };
        let book = self.broker.book();
        let sent = self.world.judge().truth.last_sent();
        for record in self.store.signals().expect("the store can be read") {
            if record.state != SignalState::Quarantined {
                continue;
            }
            let placed = book.iter().any(|booked| booked.fingerprint == record.fingerprint);
            let settled = sent
                .get(&record.fingerprint)
                .is_none_or(|sent| self.world.now() > *sent + LONGEST_FLIGHT + OPERATOR_WAITS);
            let resolution = match (placed, settled) {
                (true, _) => Resolution::Executed,
                (false, true) => Resolution::Resend,
                (false, false) => continue,
            };
            let attempts = u32::try_from(record.attempts.len()).unwrap_or(u32::MAX);
            let (handle, reason) = (handle.clone(), "seen in the broker's book".to_owned());
            self.world.tell(node, What::Fault(format!("an operator says of {:?}: {resolution:?}", record.fingerprint)));
            self.world.spawn(async move {
                // Taken or not, the store shows it.
                let _ = handle.resolve(record.fingerprint, resolution, attempts, reason).await;
            });
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

    fn strike(self: &Arc<Self>, fault: &Fault, actor: Option<usize>) {
        if locked(&self.active).over {
            return;
        }
        let world = &self.world;
        let host = |name: &str| self.resolve(name, actor);
        let everyone = || 0..world.hosts().len();
        // Before it strikes: `@leader` means somebody else once the leader is down.
        let touched = world.judge().weather.touched(fault, host);
        let phases = world.judge().course.phases(|name| world.lives(name));
        let Some((told, undo)) = (match fault {
            Fault::Partition { between: [a, b], .. } => host(a).zip(host(b)).filter(|(a, b)| a != b).map(|(a, b)| {
                let blocked = vec![(a, b), (b, a)];
                (format!("no packet passes between {} and {}", self.name(a), self.name(b)), Some(self.block(blocked)))
            }),
            Fault::LateRelease { between: [a, b], late, .. } => {
                host(a).zip(host(b)).filter(|(a, b)| a != b).map(|(a, b)| {
                    let Undo::Unblock { directions, .. } = self.block(vec![(a, b), (b, a)]) else { unreachable!() };
                    let told = format!("no packet passes between {} and {}", self.name(a), self.name(b));
                    (told, Some(Undo::Unblock { directions, late: late.get() }))
                })
            }
            Fault::Split { groups, .. } => {
                let groups: Vec<BTreeSet<usize>> =
                    groups.iter().map(|group| group.iter().filter_map(|name| host(name)).collect()).collect();
                let apart = |a: &usize, b: &usize| {
                    let of = |host: &usize| groups.iter().position(|group| group.contains(host));
                    of(a).zip(of(b)).is_some_and(|(a, b)| a != b)
                };
                let all = everyone().flat_map(|a| everyone().map(move |b| (a, b)));
                let blocked: Vec<_> = all.filter(|(a, b)| apart(a, b)).collect();
                let names =
                    |group: &BTreeSet<usize>| group.iter().map(|at| self.name(*at)).collect::<Vec<_>>().join(", ");
                let told = groups.iter().map(names).collect::<Vec<_>>().join(" | ");
                (!blocked.is_empty()).then(|| (format!("the network falls apart: {told}"), Some(self.block(blocked))))
            }
            Fault::LatencySpike { host: name, by, .. } => host(name).map(|at| {
                world.net.slow_down(at, by.get());
                let told = format!("every packet to and from {} takes {by} longer", self.name(at));
                (told, Some(Undo::SpeedUp { host: at, by: by.get() }))
            }),
            Fault::Reset { between: [a, b] } => host(a).zip(host(b)).filter(|(a, b)| a != b).map(|(a, b)| {
                let ends = world.resets.reset(a, b);
                (format!("the {} connections between {} and {} are reset", ends / 2, self.name(a), self.name(b)), None)
            }),
            Fault::Refuse { host: name, .. } => host(name).map(|at| {
                world.net.refuse(at);
                (format!("{} refuses connections", self.name(at)), Some(Undo::Admit(at)))
            }),
            Fault::Shutdown { host: name, .. } => host(name).filter(|at| *at < self.nodes).map(|at| {
                world.hosts()[at].leave();
                self.members.shut_down(world, at);
                (format!("{} is asked to end", self.name(at)), Some(Undo::Start { host: at, mend: false }))
            }),
            Fault::Resolve { host: name } => host(name).filter(|at| *at < self.nodes).map(|at| {
                self.resolve_quarantined(at);
                (format!("an operator looks through the quarantined signals, at {}", self.name(at)), None)
            }),
            Fault::Snapshot { host: name, .. } => host(name).map(|at| {
                let lasts = fault.lasts();
                world.hosts()[at].pause();
                world.hosts()[at].clock.freeze(world.now());
                self.clocks_lie(world.now() + lasts);
                (
                    format!("{} is suspended, and its clocks with it", self.name(at)),
                    Some(Undo::Thaw { host: at, since: world.now() }),
                )
            }),
            Fault::RedisEvicts => {
                self.lease_is_lost();
                let had = if self.redis.evict() { "redis evicts the lease" } else { "redis has no lease to evict" };
                Some((had.to_owned(), None))
            }
            Fault::RedisFailsOver { loses } => {
                self.lease_is_lost();
                self.redis.fail_over(world.now().saturating_sub(loses.get()));
                everyone().for_each(|at| {
                    world.resets.reset(self.redis.at, at);
                });
                Some((format!("redis fails over, and the last {loses} of writes are gone"), None))
            }
            Fault::RedisTwoMasters { hosts, .. } => {
                let serves: BTreeSet<usize> = hosts.iter().filter_map(|name| host(name)).collect();
                let lasts = fault.lasts();
                (!serves.is_empty()).then(|| {
                    self.clocks_lie(world.now() + lasts);
                    let names: Vec<_> = serves.iter().map(|at| self.name(*at)).collect();
                    let told = format!("a second redis serves {}", names.join(", "));
                    let before = self.redis.join();
                    self.redis.split(serves.clone());
                    world.judge().alerts.leases_part();
                    before.union(&serves).for_each(|at| {
                        world.resets.reset(self.redis.at, *at);
                    });
                    (told, Some(Undo::JoinMasters))
                })
            }
            Fault::RedisLosesReplies { host: name, .. } => {
                let whose = name.as_deref().and_then(host);
                let told = format!("redis's replies to {} are lost", self.whose(whose));
                Some((told, Some(self.redis(RedisFault::LosesReplies(whose)))))
            }
            Fault::RedisSlow { by, .. } => {
                Some((format!("redis is slow by {by}"), Some(self.redis(RedisFault::Slow(by.get())))))
            }
            Fault::StoreBusy { host: name, .. } => {
                let whose = name.as_deref().and_then(host);
                let told = format!("the store's write lock is taken, for {}", self.whose(whose));
                Some((told, Some(self.store(StoreFault::Busy(whose)))))
            }
            Fault::StoreFull { .. } => Some(("the store's disk is full".into(), Some(self.store(StoreFault::Full)))),
            Fault::BrokerMisanswers { status, .. } => {
                let told = format!("the broker places orders and answers {status}");
                Some((told, Some(self.broker(BrokerFault::Misanswers(*status)))))
            }
            Fault::BrokerHides { by, .. } => {
                let told = format!("the broker's look-up sees orders {by} late");
                Some((told, Some(self.broker(BrokerFault::Hides(by.get())))))
            }
            // Struck where the call is made; see `begin_call`.
            Fault::CallFails | Fault::CallLosesReply | Fault::CallRepeated { .. } => None,
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
                    self.clocks_lie(world.now());
                }
                world.judge().sends.clock_stepped(at, world.now());
                world.hosts()[at].clock.step_wall(by.as_millis());
                (format!("the wall clock of {} steps by {by}", self.name(at)), None)
            }),
            Fault::ClockDrift { host: name, ppm, .. } => host(name).map(|at| {
                if ppm.abs() > DRIFT_BOUND_PPM {
                    self.clocks_lie(world.now() + fault.lasts());
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
            if !fault.is_of_a_call() {
                let told =
                    format!("{} finds nobody to strike: its names mean nobody, or the same host twice", fault.name());
                world.tell(actor.unwrap_or(self.redis.at), What::Healed(told));
            }
            return;
        };
        world.judge().coverage.struck(fault.name(), &phases);
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
            world.judge().fault_begins(world.now(), number, touched);
            let (nemesis, ends) = (Arc::clone(self), world.now() + lasts);
            world.spawn(async move {
                nemesis.world.sleep_until(ends).await;
                let undo = locked(&nemesis.active).undo.remove(&number);
                if let Some(undo) = undo {
                    nemesis.undo(number, undo);
                }
            });
        } else {
            world.judge().fault_passes(world.now(), &touched);
        }
    }

    fn undo(&self, number: u64, undo: Undo) {
        let world = &self.world;
        let (host, told) = match undo {
            Undo::Unblock { directions, late } => {
                for (from, to) in &directions {
                    world.net.release(world, *from, *to, late);
                }
                let hosts = directions.first().map_or((0, 0), |(from, to)| (*from, *to));
                let told = format!("the network of {} and {} heals", self.name(hosts.0), self.name(hosts.1));
                let held = format!("; what it held arrives {:.1}s later", late.as_secs_f64());
                (hosts.0, if late.is_zero() { told } else { told + &held })
            }
            Undo::SpeedUp { host, by } => {
                world.net.speed_up(host, by);
                (host, format!("the network of {} is as fast as before", self.name(host)))
            }
            Undo::Admit(host) => {
                world.net.admit(host);
                (host, format!("{} takes connections again", self.name(host)))
            }
            Undo::Thaw { host, since } => {
                let by = world.now().saturating_sub(since);
                world.hosts()[host].clock.thaw(world.now());
                world.hosts()[host].resume();
                world.judge().clocks_stood_still(world.now(), &world.hosts()[host].name, by);
                (host, format!("{} goes on, its clocks {:.1}s behind", self.name(host), by.as_secs_f64()))
            }
            Undo::JoinMasters => {
                world.judge().alerts.leases_join(world.now());
                for at in self.redis.join() {
                    world.resets.reset(self.redis.at, at);
                }
                self.lease_is_lost();
                (self.redis.at, "the second redis is gone, with all it was told".into())
            }
            Undo::Redis(fault) => {
                self.redis.end(fault);
                (self.redis.at, "redis is well again".into())
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
        world.judge().fault_ends(world.now(), number);
        world.tell(host, What::Healed(told));
    }

    fn block(&self, directions: Vec<(usize, usize)>) -> Undo {
        for (from, to) in &directions {
            self.world.net.block(*from, *to);
        }
        Undo::Unblock { directions, late: Duration::ZERO }
    }

    fn redis(&self, fault: RedisFault) -> Undo {
        self.redis.begin(fault);
        Undo::Redis(fault)
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
            self.lease_is_lost();
        }
    }

    /// Redis no longer knows what it granted.
    fn lease_is_lost(&self) {
        let judge = &mut *self.world.judge();
        judge.lease_owner.forgot();
        judge.gate_lease.redis_lost_data(self.world.now(), &judge.bounds.timing);
    }

    /// Until then some clock is not what the protocol asks of it.
    fn clocks_lie(&self, until: Duration) {
        let judge = &mut *self.world.judge();
        judge.gate_lease.clocks_out_of_bound(until, &judge.bounds.timing);
    }

    fn name(&self, host: usize) -> &str {
        &self.world.hosts()[host].name
    }

    fn whose(&self, host: Option<usize>) -> &str {
        host.map_or("everybody", |at| self.name(at))
    }
}
