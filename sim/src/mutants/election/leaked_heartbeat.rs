//! The task that tells the store that the leader lives is started with each leadership and never stopped.

use std::time::Duration;

use oncegate_protocol::{Call, Command, Event, Machine, Mono, Node, NodeConfig, Now, StoreCall};

use crate::mutants::Bug;
use crate::mutants::bent::{Bend, OwnCalls, bent};

const EVERY: Duration = Duration::from_secs(2);

pub(crate) struct LeakedHeartbeat;

impl Bug for LeakedHeartbeat {
    fn machine(&self, config: NodeConfig, now: Now) -> Box<dyn Machine> {
        bent(config, now, Leaked::default())
    }
}

#[derive(Default)]
struct Leaked {
    own: OwnCalls,
    last: Option<(StoreCall, Mono)>,
}

impl Bend for Leaked {
    fn step(&mut self, node: &mut Node, now: Now, event: Event) -> Vec<Command> {
        let event = if OwnCalls::reply(&event).is_some() { Event::Tick } else { event };
        let mut commands = node.step(now, event);
        for command in &commands {
            if let Command::Call { call: Call::Store(call @ StoreCall::Heartbeat { .. }), .. } = command {
                self.last = Some((call.clone(), now.mono));
            }
        }
        // Whenever the process is awake anyway, which is often enough.
        if let Some((call, at)) = &mut self.last
            && now.mono >= at.plus(EVERY * 2)
        {
            *at = now.mono;
            if let StoreCall::Heartbeat { at, .. } = call {
                *at = now.wall;
            }
            commands.push(self.own.make(Call::Store(call.clone())));
        }
        commands
    }
}
