//! A sender is answered at once, and its signal stored when there is time.

use std::collections::BTreeSet;

use oncegate_protocol::{Answer, Command, Event, Machine, Node, NodeConfig, Now, RequestId, SignalState};

use crate::mutants::Bug;
use crate::mutants::bent::{Bend, bent};

pub(crate) struct AcknowledgedEarly;

impl Bug for AcknowledgedEarly {
    fn machine(&self, config: NodeConfig, now: Now) -> Box<dyn Machine> {
        bent(config, now, Early::default())
    }
}

#[derive(Default)]
struct Early {
    answered: BTreeSet<RequestId>,
}

impl Bend for Early {
    fn step(&mut self, node: &mut Node, now: Now, event: Event) -> Vec<Command> {
        let offered = match &event {
            Event::Offered { request, signal } => Some((*request, signal.fingerprint)),
            _ => None,
        };
        let mut commands = node.step(now, event);
        commands.retain(|command| match command {
            Command::Answer { request, .. } => !self.answered.remove(request),
            _ => true,
        });
        if let Some((request, fingerprint)) = offered {
            self.answered.insert(request);
            let answer = Answer::Stored { fingerprint, new: true, state: SignalState::Received };
            commands.push(Command::Answer { request, answer });
        }
        commands
    }
}
