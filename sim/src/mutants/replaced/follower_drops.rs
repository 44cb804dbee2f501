//! A node that does not lead answers "200, skipped" and drops the signal: the leader has surely been sent it too.

use oncegate_protocol::{Answer, Command, Event, Machine, Node, NodeConfig, Now, SignalState};

use crate::mutants::Bug;
use crate::mutants::bent::{Bend, bent};

pub(crate) struct FollowerDrops;

impl Bug for FollowerDrops {
    fn machine(&self, config: NodeConfig, now: Now) -> Box<dyn Machine> {
        bent(config, now, Dropping)
    }
}

struct Dropping;

impl Bend for Dropping {
    fn step(&mut self, node: &mut Node, now: Now, event: Event) -> Vec<Command> {
        match event {
            Event::Offered { request, signal } if node.authority().is_none() => {
                let mut commands = node.step(now, Event::Tick);
                let answer =
                    Answer::Stored { fingerprint: signal.fingerprint, new: true, state: SignalState::Received };
                commands.push(Command::Answer { request, answer });
                commands
            }
            event => node.step(now, event),
        }
    }
}
