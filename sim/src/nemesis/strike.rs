//! How each fault strikes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Nemesis;
use super::undo::Undo;
use crate::hosts::broker::BrokerFault;
use crate::hosts::node::DRIFT_BOUND_PPM;
use crate::hosts::redis::RedisFault;
use crate::hosts::store::StoreFault;
use crate::scenario::Fault;
use crate::world::locked;
use crate::world::trace::What;

impl Nemesis {
    pub(super) fn strike(self: &Arc<Self>, fault: &Fault, actor: Option<usize>) {
        if locked(&self.active).over {
            return;
        }
        let world = &self.world;
        let host = |name: &str| self.resolve(name, actor);
        let everyone = || 0..world.hosts().len();
        // Nobody named is everybody; a name that means nobody now strikes nobody.
        let whose = |name: &Option<String>| name.as_deref().map_or(Some(None), |name| host(name).map(Some));
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
            Fault::StopOrders { host: name, .. } => host(name).filter(|at| *at < self.nodes).map(|at| {
                self.operator.stops_orders(at);
                (format!("an operator stops new orders, at {}", self.name(at)), Some(Undo::LetOrdersGoOn { host: at }))
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
            Fault::RedisLosesReplies { host: name, .. } => whose(name).map(|whose| {
                let told = format!("redis's replies to {} are lost", self.whose(whose));
                (told, Some(self.redis(RedisFault::LosesReplies(whose))))
            }),
            Fault::RedisSlow { by, .. } => {
                Some((format!("redis is slow by {by}"), Some(self.redis(RedisFault::Slow(by.get())))))
            }
            Fault::StoreBusy { host: name, .. } => whose(name).map(|whose| {
                let told = format!("the store's write lock is taken, for {}", self.whose(whose));
                (told, Some(self.store(StoreFault::Busy(whose))))
            }),
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
            Fault::StoreFails { host: name, .. } => whose(name).map(|whose| {
                (format!("the store fails for {}", self.whose(whose)), Some(self.store(StoreFault::Fails(whose))))
            }),
            Fault::StoreLosesReplies { host: name, .. } => whose(name).map(|whose| {
                let told = format!("the store's replies to {} are lost", self.whose(whose));
                (told, Some(self.store(StoreFault::LosesReplies(whose))))
            }),
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

    pub(super) fn lose_redis_data_of(&self, host: usize) {
        if host == self.redis.at {
            self.redis.lose_data();
            self.lease_is_lost();
        }
    }

    /// Redis no longer knows what it granted.
    pub(super) fn lease_is_lost(&self) {
        let judge = &mut *self.world.judge();
        judge.lease_owner.forgot();
        judge.gate_lease.redis_lost_data(self.world.now(), &judge.bounds.timing);
    }

    /// Until then some clock is not what the protocol asks of it.
    fn clocks_lie(&self, until: Duration) {
        let judge = &mut *self.world.judge();
        judge.gate_lease.clocks_out_of_bound(until, &judge.bounds.timing);
    }
}
