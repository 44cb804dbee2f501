//! How each fault ends.

use std::time::Duration;

use super::Nemesis;
use crate::hosts::broker::BrokerFault;
use crate::hosts::redis::RedisFault;
use crate::hosts::store::StoreFault;
use crate::world::trace::What;

/// How a fault is undone.
#[derive(Clone, Debug)]
pub(super) enum Undo {
    Unblock { directions: Vec<(usize, usize)>, late: Duration },
    SpeedUp { host: usize, by: Duration },
    Admit(usize),
    Thaw { host: usize, since: Duration },
    JoinMasters,
    LetOrdersGoOn { host: usize },
    Start { host: usize, mend: bool },
    Resume(usize),
    ResumeHeartbeats(usize),
    TrueRate(usize),
    Store(StoreFault),
    Broker(BrokerFault),
    Redis(RedisFault),
}

impl Nemesis {
    pub(super) fn undo(&self, number: u64, undo: Undo) {
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
            Undo::LetOrdersGoOn { host } => {
                self.operator.lets_orders_go_on(host);
                (host, format!("an operator lets new orders go on, at {}", self.name(host)))
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
}
