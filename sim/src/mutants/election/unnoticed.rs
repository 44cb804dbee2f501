//! What would tell a leader that it is none any more is not looked at.

use std::time::Duration;

use oncegate_protocol::{Call, Command, Event, Machine, Node, NodeConfig, Now, Reply, StoreCall, StoreReply};

use crate::mutants::Bug;
use crate::mutants::bent::{Bend, UnderWay, bent};

/// Lease and store are never compared.
pub(crate) struct NeverCompared;

impl Bug for NeverCompared {
    fn config(&self, config: &mut NodeConfig) {
        config.timing.compare_every = u32::MAX;
    }
}

/// A leader that the store has not heard of for long keeps the lease, and nobody else can take over.
pub(crate) struct NoStoreDeadline;

impl Bug for NoStoreDeadline {
    fn config(&self, config: &mut NodeConfig) {
        config.timing.store_deadline = Duration::from_secs(3_600);
    }
}

/// The store's word that a newer epoch is open is taken for a good heartbeat.
pub(crate) struct FencedHeartbeatIgnored;

impl Bug for FencedHeartbeatIgnored {
    fn machine(&self, config: NodeConfig, now: Now) -> Box<dyn Machine> {
        bent(config, now, Deaf::default())
    }
}

#[derive(Default)]
struct Deaf {
    heartbeats: UnderWay,
}

impl Bend for Deaf {
    fn step(&mut self, node: &mut Node, now: Now, event: Event) -> Vec<Command> {
        let event = match self.heartbeats.ends(&event) {
            Some((id, Reply::Store(Ok(StoreReply::Fenced(_))))) => {
                Event::Replied { id, reply: Reply::Store(Ok(StoreReply::Done)) }
            }
            Some(_) | None => event,
        };
        let commands = node.step(now, event);
        self.heartbeats.note(&commands, |call| matches!(call, Call::Store(StoreCall::Heartbeat { .. })));
        commands
    }
}
