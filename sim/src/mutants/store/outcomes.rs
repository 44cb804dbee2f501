//! What became of an order is known, and does not get into the store.

use std::collections::BTreeMap;

use oncegate_protocol::{
    Call, CallId, Command, Event, Machine, Node, NodeConfig, Now, Outcome, Reply, SignalState, StoreCall, StoreReply,
};
use oncegate_sqlite_store::{Db, DbError};

use crate::mutants::Bug;
use crate::mutants::bent::{Bend, bent};

/// Outcomes are taken from the present leader only, like everything else.
pub(crate) struct OutcomeGuardedByEpoch;

impl Bug for OutcomeGuardedByEpoch {
    fn replaces_calls(&self) -> bool {
        true
    }

    fn store_call(&self, db: &mut Db, call: &StoreCall) -> Option<Result<StoreReply, DbError>> {
        let StoreCall::RecordOutcome { fingerprint, owner, .. } = call else { return None };
        if db.leadership().is_ok_and(|row| row.holder.as_ref() == Some(owner)) {
            return None;
        }
        let state = db.apply(&StoreCall::ReadSignal { fingerprint: *fingerprint }).map(|reply| match reply {
            StoreReply::Signal(Some(record)) => StoreReply::State(Some(record.state)),
            other => other,
        });
        Some(state)
    }
}

/// Outcomes are written once; what the store did not take is lost.
pub(crate) struct OutcomeNotRetried;

impl Bug for OutcomeNotRetried {
    fn machine(&self, config: NodeConfig, now: Now) -> Box<dyn Machine> {
        bent(config, now, Once::default())
    }
}

#[derive(Default)]
struct Once {
    writes: BTreeMap<CallId, SignalState>,
}

impl Bend for Once {
    fn step(&mut self, node: &mut Node, now: Now, event: Event) -> Vec<Command> {
        let event = match event {
            Event::Replied { id, reply } => {
                let reply = match (self.writes.remove(&id), reply) {
                    (Some(state), Reply::Store(Err(_))) => Reply::Store(Ok(StoreReply::State(Some(state)))),
                    (_, reply) => reply,
                };
                Event::Replied { id, reply }
            }
            event => event,
        };
        let commands = node.step(now, event);
        for command in &commands {
            if let Command::Call { id, call: Call::Store(StoreCall::RecordOutcome { outcome, .. }) } = command {
                let state = match outcome {
                    Outcome::Accepted(_) => SignalState::Executed,
                    Outcome::Rejected(_) => SignalState::Failed,
                    Outcome::NotSent(_) => SignalState::Received,
                    Outcome::Unknown(_) => SignalState::InDoubt,
                };
                self.writes.insert(*id, state);
            }
        }
        commands
    }
}
