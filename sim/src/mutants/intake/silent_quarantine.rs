//! A signal is left to a human, and no human is told.

use oncegate_protocol::{Command, Event, Machine, Node, NodeConfig, Notice, Now, SignalState};

use crate::mutants::Bug;
use crate::mutants::bent::{Bend, bent};

pub(crate) struct SilentQuarantine;

impl Bug for SilentQuarantine {
    fn machine(&self, config: NodeConfig, now: Now) -> Box<dyn Machine> {
        bent(config, now, Silent)
    }
}

struct Silent;

impl Bend for Silent {
    fn step(&mut self, node: &mut Node, now: Now, event: Event) -> Vec<Command> {
        let mut commands = node.step(now, event);
        commands.retain(|command| {
            !matches!(command, Command::Notice(Notice::Settled { state: SignalState::Quarantined, .. }))
        });
        commands
    }
}
