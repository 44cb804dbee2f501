//! The judges: each looks at the world from outside (the broker's book, the source's ledger, the store's rows,
//! Redis's data) and never asks the system what it thinks of itself. One file each; each has a test with a
//! planted bug that it must catch.
//!
//! What needs a well world is judged by [`weather`] (what is wrong, where, since when), [`bounds`] (what is owed
//! then, and by when) and [`scene`] (who leads). [`watch`] is where the world tells all of them what it sees.

pub mod alerts;
pub mod at_most_once;
pub mod bounds;
pub mod claims;
pub mod course;
pub mod coverage;
pub mod epochs;
pub mod expectations;
pub mod failover;
pub mod fenced_claims;
pub mod gate_lease;
pub mod handled;
pub mod handover;
pub mod heeds;
pub mod leader_acts;
pub mod lease_owner;
pub mod lease_trust;
pub mod outcomes;
pub mod scene;
pub mod sends;
pub mod sightings;
pub mod split_brain;
pub mod store_agrees;
pub mod truth;
pub mod watch;
pub mod weather;
pub mod why;

use std::time::Duration;

use serde::Serialize;

/// A promise that was broken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Violation {
    /// Which judge says so.
    pub oracle: &'static str,
    /// When it was seen, since the world began.
    pub at: Duration,
    /// What was seen.
    pub what: String,
}

/// What the judges that watch all along have seen.
#[derive(Default)]
pub struct Judge {
    /// What is wrong with the world.
    pub weather: weather::Weather,
    /// How long things may take.
    pub bounds: bounds::Bounds,
    /// Who leads.
    pub scene: scene::Scene,
    /// Leadership is taken in time, and kept.
    pub failover: failover::Failover,
    /// Two leaders are noticed, and end up as one.
    pub split_brain: split_brain::SplitBrain,
    /// Operators are told, of what is so.
    pub alerts: alerts::Alerts,
    /// Who leaves hands over in order.
    pub handover: handover::Handover,
    /// The lease belongs to whom it names.
    pub lease_owner: lease_owner::LeaseOwner,
    /// No lease is trusted for longer than it lasts.
    pub lease_trust: lease_trust::LeaseTrust,
    /// A refusal ends what it refuses.
    pub heeds: heeds::Heeds,
    /// Intents are added only where they may be.
    pub claims: claims::Claims,
    /// What was heard is written.
    pub outcomes: outcomes::Outcomes,
    /// At most one order per signal and leg.
    pub at_most_once: at_most_once::AtMostOnce,
    /// Epochs rise, and each has one holder.
    pub epochs: epochs::Epochs,
    /// Claims are of the newest epoch.
    pub fenced_claims: fenced_claims::FencedClaims,
    /// An open gate means a held lease.
    pub gate_lease: gate_lease::GateLease,
    /// Who acts as a leader has the lease, or had it a moment ago.
    pub leader_acts: leader_acts::LeaderActs,
    /// What was learned is kept.
    pub truth: truth::Truth,
    /// What is true of every order that leaves.
    pub sends: sends::Sends,
    /// Processes that panicked or ended by themselves: an invariant of the core said so.
    pub processes: Vec<Violation>,
    /// Where each signal stands, as its services have it.
    pub course: course::Course,
    /// What must be seen now and then, or nothing was tested.
    pub sightings: sightings::Sightings,
    /// What went wrong in which phase of a signal's life.
    pub coverage: coverage::Coverage,
}

impl Judge {
    /// Everything that was held against the run so far.
    pub fn violations(&self) -> Vec<Violation> {
        let watching = [
            &self.at_most_once.violations,
            &self.epochs.violations,
            &self.fenced_claims.violations,
            &self.gate_lease.violations,
            &self.sends.violations,
            &self.leader_acts.violations,
            &self.truth.violations,
            &self.failover.violations,
            &self.split_brain.violations,
            &self.alerts.violations,
            &self.handover.violations,
            &self.lease_owner.violations,
            &self.lease_trust.violations,
            &self.heeds.violations,
            &self.claims.violations,
            &self.outcomes.violations,
            &self.processes,
        ];
        watching.into_iter().flatten().cloned().collect()
    }
}

/// The names of all oracles.
pub const ORACLES: [&str; 20] = [
    at_most_once::NAME,
    handled::NAME,
    fenced_claims::NAME,
    epochs::NAME,
    store_agrees::NAME,
    gate_lease::NAME,
    sends::NAME,
    leader_acts::NAME,
    truth::NAME,
    failover::NAME,
    split_brain::NAME,
    alerts::NAME,
    handover::NAME,
    lease_owner::NAME,
    lease_trust::NAME,
    heeds::NAME,
    claims::NAME,
    outcomes::NAME,
    expectations::NAME,
    crate::hosts::PROCESSES,
];

/// What the tests of several oracles stand on.
#[cfg(test)]
mod fixture {
    use std::sync::Arc;

    use oncegate_protocol::{Fingerprint, SignalRecord, SignalState};

    use super::scene::Scene;
    use crate::world::host::{Host, Life};

    /// Whom lease and store name, where each process holds under the name of its host.
    pub(super) fn scene_of(lives: &[Arc<Life>], lease: Option<&str>, store: Option<&str>) -> Scene {
        let owned = |name: &str| name.to_owned();
        let mut scene = Scene { lease: lease.map(owned), store: store.map(owned), ..Scene::default() };
        lives.iter().for_each(|life| scene.asks(&life.host.name, life));
        scene
    }

    /// A process on a host of its own, at that place.
    pub(super) fn life(at: usize, name: &str) -> Arc<Life> {
        Host::new(at, name, turmoil_net::Net::new().add_host("10.0.0.1")).start()
    }

    /// The row of a signal whose fingerprint is that of `s`.
    pub(super) fn stored(state: SignalState) -> SignalRecord {
        SignalRecord {
            fingerprint: Fingerprint::of_bytes(b"s"),
            sequence: 1,
            state,
            raw: Vec::new(),
            expires_at: None,
            legs: 1,
            attempts: Vec::new(),
        }
    }
}
