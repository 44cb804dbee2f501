//! Where the world tells the judges what it sees: one method for each place of the world that is watched, which
//! passes on what it has to every judge that wants it.

use std::sync::Arc;
use std::time::Duration;

use oncegate_protocol::call::Claim;
use oncegate_protocol::{
    ClientOrderId, Fingerprint, Leadership, LeaseCall, LeaseReply, Notice, Outcome, SignalRecord, StoreCall,
    StoreReply, Timing,
};

use super::Judge;
use super::bounds::{Bounds, LOOK};
use super::lease_owner::Lease;
use super::sightings::Sighting;
use super::weather::{Touched, Weather};
use crate::hosts::node::Nodes;
use crate::hosts::redis::RedisHost;
use crate::world::World;
use crate::world::host::Life;

/// Looks at the world now and then, for what shows by not happening.
pub async fn look_on(world: &World, redis: &RedisHost, nodes: &Nodes) {
    loop {
        world.sleep_until(world.now() + LOOK).await;
        world.judge().looked(world.now(), redis.holder(world).as_deref());
        look_at_trust(world, redis, nodes);
    }
}

/// Compares what each node trusts with what Redis has, as it is now.
pub fn look_at_trust(world: &World, redis: &RedisHost, nodes: &Nodes) {
    let (at, lease, trusts) = (world.now(), redis.lease(world), nodes.trusts(world));
    let lease = lease.as_ref().map(|(holder, left)| (holder.as_str(), at.saturating_add(*left)));
    let mut judge = world.judge();
    if judge.gate_lease.owed(at) {
        for (holder, until) in &trusts {
            judge.lease_trust.look(at, holder, *until, lease);
        }
    }
}

impl Judge {
    /// The run begins.
    pub fn begin(&mut self, hosts: Vec<String>, nodes: usize, timing: &Timing, latency_max: Duration) {
        self.weather = Weather::new(hosts, nodes);
        self.bounds = Bounds::new(timing.clone(), latency_max);
    }

    // ---- the nemesis

    /// A fault begins.
    pub fn fault_begins(&mut self, at: Duration, fault: u64, touched: Vec<Touched>) {
        self.disturbed(at, &touched);
        self.weather.begins(fault, touched);
    }

    /// A fault ends.
    pub fn fault_ends(&mut self, at: Duration, fault: u64) {
        self.weather.ends(fault, at);
        self.see(at);
    }

    /// Something goes wrong at once.
    pub fn fault_passes(&mut self, at: Duration, touched: &[Touched]) {
        self.disturbed(at, touched);
        self.weather.passes(touched, at);
    }

    fn disturbed(&mut self, at: Duration, touched: &[Touched]) {
        if self.weather.place("redis").is_some_and(|redis| touched.contains(&Touched::Host(redis))) {
            self.lease_owner.forgot();
        }
        self.see(at);
    }

    /// The clocks of that host stood still for so long, and go on now: whatever it has to have done by its own clock
    /// it has so much longer for.
    pub fn clocks_stood_still(&mut self, at: Duration, host: &str, lasted: Duration) {
        self.leader_acts.clock_stood_still(host, lasted);
        if let Some(place) = self.weather.place(host) {
            self.sends.clock_stood_still(place, lasted);
            self.truth.clock_stood_still(place, at);
        }
        self.heeds.clock_stood_still(host, lasted);
        self.alerts.clock_stood_still(at, host);
    }

    // ---- the world, now and then

    /// The lease names that holder now.
    pub fn looked(&mut self, at: Duration, lease: Option<&str>) {
        if self.scene.lease.as_deref() != lease {
            self.scene.lease = lease.map(str::to_owned);
        }
        self.see(at);
    }

    fn see(&mut self, at: Duration) {
        self.failover.look(at, &self.scene, &self.weather, &self.bounds);
        self.split_brain.look(at, &self.scene, &self.weather, &self.bounds);
        self.alerts.look(at, &self.scene, &self.weather, &self.bounds);
        self.outcomes.look(at, &self.weather, &self.bounds);
        if self.course.split_is_over(self.scene.lease.as_deref(), self.scene.store.as_deref()) {
            self.sightings.saw(Sighting::SplitEnded);
        }
    }

    // ---- Redis

    /// Redis carried out a command: one of the scripts, by that holder, or anything else.
    pub fn redis_did(
        &mut self,
        at: Duration,
        now_ms: u64,
        (script, by): (Option<&str>, Option<&str>),
        lease: Option<Lease>,
    ) {
        let named = lease.as_ref().map(|lease| lease.holder.clone());
        if named.is_some() && named.as_deref() == by && matches!(script, Some("acquire" | "renew")) {
            self.scene.renewed = at;
        }
        self.lease_owner.carried_out(at, self.bounds.timing.ttl, now_ms, (script, by), lease);
        self.looked(at, named.as_deref());
    }

    // ---- the store

    /// The store carried a call of that node out; the leadership row is given if it may have changed.
    pub fn store_did(
        &mut self,
        at: Duration,
        node: usize,
        call: &StoreCall,
        reply: &StoreReply,
        row: Option<&Leadership>,
    ) {
        self.heeds.store_heard(at, call, reply);
        self.alerts.committed(at, call, reply);
        match (call, reply) {
            (StoreCall::OpenEpoch { holder, .. }, StoreReply::Opened(epoch)) => self.handover.opened(*epoch, holder),
            (StoreCall::RecordOutcome { fingerprint, outcome: Outcome::Accepted(_), .. }, StoreReply::State(_)) => {
                self.outcomes.written(*fingerprint, node);
            }
            _ => {}
        }
        if let Some(row) = row {
            self.scene.opened_or_vacated(row);
            self.see(at);
        }
    }

    /// The store carried a call out, as far as only sightings are concerned. `lives` says whether that host has a
    /// process.
    pub fn store_showed(&mut self, at: Duration, call: &StoreCall, reply: &StoreReply, lives: impl Fn(&str) -> bool) {
        self.course.store_did(at, call, reply, lives, &mut self.sightings);
    }

    /// The broker was asked for an order.
    pub fn looked_up(&mut self, at: Duration, id: &ClientOrderId) {
        self.course.looked_up(at, id, &mut self.sightings);
    }

    /// The store committed a claim, and the signal is as given.
    pub fn claimed(&mut self, at: Duration, claim: &Claim, record: &SignalRecord) {
        self.claims.committed(at, claim, record);
    }

    // ---- the ports of the nodes

    /// A process sets out to ask the store.
    pub fn store_asked(&mut self, at: Duration, life: &Arc<Life>, call: &StoreCall) {
        let by = (life.host.at, life.number);
        match call {
            StoreCall::Claim(claim) => self.leader_acts_now(at, "claim", claim.holder.as_str()),
            StoreCall::Heartbeat { holder, .. } => self.leader_acts_now(at, "say that it leads", holder.as_str()),
            StoreCall::ReadLeadership => self.split_brain.reads_store(at, life.host.at),
            StoreCall::Vacate { epoch, holder, .. } => {
                self.handover.vacates(at, by, holder, &self.bounds);
                self.alerts.vacates(at, life, *epoch);
            }
            _ => {}
        }
    }

    /// The store's answer to what was asked then has reached the process.
    pub fn store_answered(
        &mut self,
        at: Duration,
        asked: Duration,
        life: &Arc<Life>,
        call: &StoreCall,
        reply: &StoreReply,
    ) {
        self.heeds.store_answered(at, call, reply);
        self.alerts.answered(at, asked, life, call, reply);
    }

    /// A process sets out to ask for the lease, or about it.
    pub fn lease_asked(&mut self, at: Duration, life: &Arc<Life>, call: &LeaseCall) {
        match call {
            LeaseCall::Acquire { holder, .. } => self.scene.asks(holder.as_str(), life),
            LeaseCall::Renew { holder, .. } => self.heeds.acts(at, "renew the lease", holder.as_str(), &self.bounds),
            LeaseCall::Release { holder } => self.handover.releases(at, holder, self.scene.store.as_deref()),
            LeaseCall::Read => self.split_brain.reads_lease(at, life.host.at),
        }
    }

    /// The lease's answer has reached the process.
    pub fn lease_answered(&mut self, at: Duration, call: &LeaseCall, reply: &LeaseReply) {
        self.heeds.lease_answered(at, call, reply);
    }

    /// A process hands an order to its broker port.
    pub fn placing(&mut self, at: Duration, life: &Life, fingerprint: Fingerprint) {
        self.handover.placing(at, (life.host.at, life.number), fingerprint);
    }

    /// The broker port has answered.
    pub fn placed(&mut self, at: Duration, life: &Arc<Life>, fingerprint: Fingerprint, outcome: &Outcome) {
        self.handover.placed((life.host.at, life.number), fingerprint);
        if matches!(outcome, Outcome::Accepted(_)) {
            self.outcomes.accepted(at, fingerprint, life);
        }
    }

    /// A process tells operators something.
    pub fn told(&mut self, at: Duration, life: &Arc<Life>, notice: &Notice) {
        if let Some(sighting) = Sighting::of_notice(&life.host.name, notice) {
            self.sightings.saw(sighting);
        }
        match notice {
            Notice::SplitBrain { .. } => {
                self.split_brain.told(at);
                self.course.split_is_told();
            }
            Notice::BecameLeader { holder, .. } => {
                self.heeds.leads(at, holder.as_str());
            }
            Notice::LostLeadership { reason, .. } => {
                self.failover.gives_up(at, life.host.at, reason, &self.weather, &self.bounds);
            }
            _ => {}
        }
        self.alerts.told(at, life, notice, &self.weather, &self.bounds);
    }

    fn leader_acts_now(&mut self, at: Duration, act: &str, holder: &str) {
        self.heeds.acts(at, act, holder, &self.bounds);
        self.alerts.acts(at, act, holder);
    }
}
