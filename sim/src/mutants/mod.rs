//! Planted bugs: wrong coordinators that the harness must catch. Each is an alternative state machine, a port that
//! lies, a store with a guard missing or a wrong configuration; none is a switch in production code.
//!
//! [`catalogue`] lists them. `replaced` holds the system that oncegate replaces and its known defects; the other
//! folders go along the protocol: `lease`, `election`, `store`, `broker`, `intake`. What they are made
//! with: `bent` and `assembled` nodes, `ports` that lie, `guards` taken out of the store.

mod assembled;
mod bent;
mod broker;
pub mod catalogue;
mod election;
mod guards;
mod intake;
mod lease;
mod ports;
mod replaced;
mod store;

use std::sync::Arc;

use oncegate_coordinator::{Broker, Clock, LeaseStore, Ports, SignalStore};
use oncegate_protocol::{Machine, NodeConfig, Now, StoreCall, StoreReply};
use oncegate_sqlite_store::{Db, DbError};
use serde::Serialize;

use crate::postgres::About;

pub use catalogue::{CATALOGUE, Place, Row};

/// Which bug.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mutant {
    /// The system that oncegate replaces, whole: leader? duplicate? leader still? log, execute, log; nothing
    /// ties the check to the act.
    CheckThenAct,
    /// A node that does not lead answers 2xx and drops the signal.
    FollowerDropsSignal,
    /// The second write of a status is lost, nobody looks at such a signal again, and it stays executing.
    ExecutingForever,
    /// Fingerprints are remembered for 60 s by the wall clock of whoever asks; then the same signal is new.
    DedupWindow,
    /// What ends in an error is forgotten, so that the same signal may execute again.
    ErrorForgetsFingerprint,
    /// An order that was not answered in time is placed again, as a new order.
    TimeoutPlacesNewOrder,
    /// A leader is leader until it is told otherwise, however long ago its lease ran out.
    FlagWithoutDeadline,
    /// A process whose coordinator could not be started goes on without: every such node executes.
    NoCoordinator,
    /// Two hosts bear one instance id and one boot nonce, and so each other's lease and epoch.
    TwinHosts,
    /// Trust in the lease runs from when a reply is heard, however long ago it was asked for.
    LeaseFromReply,
    /// The lease is timed by the wall clock, which steps.
    WallClockLease,
    /// A renewal extends the lease, whoever holds it, and counts as one's own.
    RenewWithoutOwner,
    /// A renewal takes the lease again, be it gone or somebody else's by now.
    RenewBySet,
    /// A release deletes the lease, whoever holds it.
    ReleaseWithoutOwner,
    /// A follower takes the lease when it thinks that it has run out, not when Redis says so.
    OwnIdeaOfExpiry,
    /// One host is configured with a shorter lease, and cuts those of the others to its own.
    ShorterLeaseOnOneHost,
    /// Nothing is taken off the lease for clocks that drift and for pauses between reading a clock and acting on it.
    LeaseTrustedToTheEnd,
    /// An error ends the loop that renews, and the node goes on as leader.
    RenewerStops,
    /// Leadership ends and the gate is not closed.
    GateStaysOpen,
    /// A leader that steps down does not wait for the orders that it has under way.
    DrainSkipped,
    /// A node that has lost the leadership never tries for it again.
    OneShotElector,
    /// The task that tells the store that the leader lives is never stopped.
    LeakedHeartbeat,
    /// The leader never compares whom the lease and the store name: split brain goes unnoticed.
    NeverCompared,
    /// A leader cut off from the store alone keeps the lease, and with it every signal, for as long as it is cut off.
    NoStoreDeadline,
    /// The store's word that a newer epoch is open is taken for a good heartbeat.
    FencedHeartbeatIgnored,
    /// Giving the leadership up sets the epoch back to zero.
    VacateResetsEpoch,
    /// Giving the leadership up deletes its row, and the next leader begins at one.
    EpochRowDeleted,
    /// The claim does not ask for the epoch.
    ClaimWithoutEpoch,
    /// The epoch is checked, and then claimed under, in two statements.
    EpochCheckedBeforeClaim,
    /// The claim asks for the epoch alone, and claims a signal in whatever state it is.
    ClaimWithoutState,
    /// Only the present leader may write how an order ended, so the truth of a deposed one is lost.
    OutcomeGuardedByEpoch,
    /// How an order ended is written once; what the store did not take is lost.
    OutcomeNotRetried,
    /// A new epoch does not put in doubt what the older ones left executing.
    TakeoverForgetsExecuting,
    /// An answer of the 5xx kind is read as: the order was not placed.
    ServerErrorIsNotSent,
    /// A connection that breaks after the first byte is read as: the order was not placed.
    BrokenIsNotSent,
    /// No answer in time is read as a refusal.
    SilenceIsRefusal,
    /// An order that has left and was not answered is taken as executed.
    SentIsAccepted,
    /// Every broker is taken to recognise a repeated order.
    EveryBrokerDeduplicates,
    /// A refusal is believed while an earlier send of the same order may still be accepted.
    RefusalBelieved,
    /// "Not found" is believed at once, and the order given up.
    NotFoundBelieved,
    /// "Not found" is taken as leave to send the order again.
    NotFoundResends,
    /// Every try at an order has a client order id of its own.
    OrderIdChanges,
    /// A sender is answered 2xx before its signal is durable.
    AcknowledgedEarly,
    /// The deadline of a signal is not looked at.
    DeadlineIgnored,
    /// A signal is left to a human, and no human is told.
    SilentQuarantine,
    /// A process that can't reach its store ends itself.
    FailsFast,
    /// The claim does not ask whether operators have stopped new orders: only leaders do, when they look.
    ClaimWithoutPause,
    /// A leg that was not accepted at once has all legs of its signal placed once more, as new orders.
    ResendAllLegs,
}

/// A bug: whatever it does not say is as in production.
trait Bug: Sync {
    /// What a node is told about itself and its surroundings.
    fn config(&self, config: &mut NodeConfig) {
        let _ = config;
    }

    /// The state machine of a node of that configuration.
    fn machine(&self, config: NodeConfig, now: Now) -> Box<dyn Machine> {
        Box::new(bent::node(config, now))
    }

    /// The lease port of one process.
    fn lease(&self, inner: Arc<dyn LeaseStore>, clock: &Arc<dyn Clock>) -> Arc<dyn LeaseStore> {
        let _ = clock;
        inner
    }

    /// The store port of one process.
    fn store(&self, inner: Arc<dyn SignalStore>, clock: &Arc<dyn Clock>) -> Arc<dyn SignalStore> {
        let _ = clock;
        inner
    }

    /// The broker port of one process.
    fn broker(&self, inner: Arc<dyn Broker>, clock: &Arc<dyn Clock>) -> Arc<dyn Broker> {
        let _ = clock;
        inner
    }

    /// Edits a store that is new.
    fn schema(&self, db: &mut Db) {
        let _ = db;
    }

    /// A statement of the store on PostgreSQL, in SQLite's words, where it is not the production store's.
    fn sql(&self, about: About, sql: &str) -> Option<String> {
        let _ = (about, sql);
        None
    }

    /// Whether it answers calls of the store in [`Bug::store_call`]. Such a bug can't be planted in a server that is sent
    /// statements.
    fn replaces_calls(&self) -> bool {
        false
    }

    /// What the store does about a call, where that is not what the production store does.
    fn store_call(&self, db: &mut Db, call: &StoreCall) -> Option<Result<StoreReply, DbError>> {
        let _ = (db, call);
        None
    }
}

impl Mutant {
    /// All that is known of it.
    pub fn row(self) -> &'static Row {
        &CATALOGUE[self as usize]
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The oracle whose promise it is planted against, foremost.
    pub fn against(self) -> &'static str {
        self.row().against[0]
    }

    /// Edits a store that is new.
    pub(crate) fn schema(self, db: &mut Db) {
        self.row().bug.schema(db);
    }

    /// A statement of the store on PostgreSQL, where it differs from the production store's.
    pub(crate) fn sql(self, about: About, sql: &str) -> Option<String> {
        self.row().bug.sql(about, sql)
    }

    /// Whether it can't be planted where the store is sent statements.
    pub(crate) fn replaces_calls(self) -> bool {
        self.row().bug.replaces_calls()
    }

    /// The store's part of the bug: the reply, where it differs from the production store's.
    pub(crate) fn store_call(self, db: &mut Db, call: &StoreCall) -> Option<Result<StoreReply, DbError>> {
        self.row().bug.store_call(db, call)
    }
}

/// The state machine that a node runs.
pub fn machine(mutant: Option<Mutant>, mut config: NodeConfig, now: Now) -> Box<dyn Machine> {
    match mutant {
        None => Box::new(bent::node(config, now)),
        Some(mutant) => {
            let bug = mutant.row().bug;
            bug.config(&mut config);
            bug.machine(config, now)
        }
    }
}

/// The ports that a node runs on.
pub fn ports(mutant: Option<Mutant>, ports: Ports) -> Ports {
    let Some(mutant) = mutant else { return ports };
    let bug = mutant.row().bug;
    let Ports { clock, lease, store, broker } = ports;
    let (lease, store) = (bug.lease(lease, &clock), bug.store(store, &clock));
    let broker = bug.broker(broker, &clock);
    Ports { clock, lease, store, broker }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::ValueEnum;

    use super::*;
    use crate::oracles::ORACLES;

    #[test]
    fn every_bug_has_its_row_and_every_row_is_complete() {
        let variants = Mutant::value_variants();
        assert_eq!(variants.len(), CATALOGUE.len());
        let mut names = BTreeSet::new();
        for (mutant, row) in variants.iter().zip(&CATALOGUE) {
            assert_eq!(*mutant, row.mutant, "rows stand in the order of the variants");
            assert_eq!(mutant.to_possible_value().unwrap().get_name(), row.name);
            assert_eq!(serde_json::json!(mutant), serde_json::json!(row.name));
            assert!(names.insert(row.name), "{} is there twice", row.name);
            assert!(row.story.ends_with('.') && row.story.len() <= 130, "{}: one sentence", row.name);
            assert!(!row.against.is_empty(), "{} is planted against nothing", row.name);
            for oracle in row.against {
                assert!(ORACLES.contains(oracle), "{}: no oracle {oracle}", row.name);
            }
        }
    }

    #[test]
    fn every_guard_that_a_bug_takes_away_is_there() {
        for row in &CATALOGUE {
            row.mutant.schema(&mut Db::open_in_memory().unwrap());
        }
    }
}
