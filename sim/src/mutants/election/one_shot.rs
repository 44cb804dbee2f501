//! The elector runs once: a node that has lost the leadership never tries for it again.

use oncegate_protocol::{Call, Command, Event, LeaseCall, Machine, Node, NodeConfig, Notice, Now};

use crate::mutants::Bug;
use crate::mutants::bent::{Bend, bent, withhold};

pub(crate) struct OneShotElector;

impl Bug for OneShotElector {
    fn machine(&self, config: NodeConfig, now: Now) -> Box<dyn Machine> {
        bent(config, now, OneShot { spent: false })
    }
}

struct OneShot {
    spent: bool,
}

impl Bend for OneShot {
    fn step(&mut self, node: &mut Node, now: Now, event: Event) -> Vec<Command> {
        let mut commands = node.step(now, event);
        self.spent |= commands.iter().any(|command| matches!(command, Command::Notice(Notice::LostLeadership { .. })));
        if self.spent {
            withhold(&mut commands, |call| matches!(call, Call::Lease(LeaseCall::Acquire { .. })));
        }
        commands
    }
}
