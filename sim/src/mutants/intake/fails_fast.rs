//! A process that can't reach its store ends: whoever watches over it will start it again.

use oncegate_protocol::{Command, Event, Machine, Node, NodeConfig, Now, Reply};

use crate::mutants::Bug;
use crate::mutants::bent::{Bend, bent};

/// So many errors in a row are enough.
const ENOUGH: u32 = 3;

pub(crate) struct FailsFast;

impl Bug for FailsFast {
    fn machine(&self, config: NodeConfig, now: Now) -> Box<dyn Machine> {
        bent(config, now, Impatient { errors: 0 })
    }
}

struct Impatient {
    errors: u32,
}

impl Bend for Impatient {
    fn step(&mut self, node: &mut Node, now: Now, event: Event) -> Vec<Command> {
        if let Event::Replied { reply: Reply::Store(reply), .. } = &event {
            self.errors = if reply.is_err() { self.errors + 1 } else { 0 };
        }
        let mut commands = node.step(now, event);
        if self.errors >= ENOUGH {
            commands.push(Command::Stopped);
        }
        commands
    }
}
