//! "Not found" is leave to send again.

use oncegate_protocol::call::{Resolution, Verdict};
use oncegate_protocol::{
    Call, Command, Event, Fingerprint, Machine, Node, NodeConfig, Notice, Now, Reply, SignalState, StoreCall,
    StoreReply,
};

use crate::mutants::Bug;
use crate::mutants::bent::{Bend, OwnCalls, bent};

/// A script does what an operator would: what the broker does not have by its horizon is sent again.
pub(crate) struct NotFoundResends;

impl Bug for NotFoundResends {
    fn machine(&self, config: NodeConfig, now: Now) -> Box<dyn Machine> {
        bent(config, now, Script::default())
    }

    fn config(&self, config: &mut NodeConfig) {
        super::declared::NotFoundBelieved.config(config);
    }
}

#[derive(Default)]
struct Script {
    own: OwnCalls,
    given_up: Vec<Fingerprint>,
}

impl Script {
    /// The next move of the script: reads what was given up, and resolves it.
    fn go_on(&mut self, now: Now, reply: &Reply) -> Option<Command> {
        let Reply::Store(Ok(StoreReply::Signal(Some(record)))) = reply else { return None };
        if record.state != SignalState::Quarantined {
            return None;
        }
        Some(self.own.make(Call::Store(StoreCall::Resolve {
            fingerprint: record.fingerprint,
            resolution: Resolution::Resend,
            attempts: u32::try_from(record.attempts.len()).unwrap_or(u32::MAX),
            reason: "the broker does not have it".into(),
            at: now.wall,
        })))
    }
}

impl Bend for Script {
    fn step(&mut self, node: &mut Node, now: Now, event: Event) -> Vec<Command> {
        let next = OwnCalls::reply(&event).map(|reply| self.go_on(now, reply));
        let mut commands = match next {
            Some(next) => {
                let mut commands = node.step(now, Event::StoreChanged);
                commands.extend(next);
                commands
            }
            None => node.step(now, event),
        };
        let settled = commands
            .iter()
            .any(|command| matches!(command, Command::Notice(Notice::Settled { state: SignalState::Quarantined, .. })));
        if settled {
            for fingerprint in std::mem::take(&mut self.given_up) {
                commands.push(self.own.make(Call::Store(StoreCall::ReadSignal { fingerprint })));
            }
        }
        for command in &commands {
            if let Command::Call { call: Call::Store(StoreCall::Conclude { fingerprint, verdict, .. }), .. } = command
                && matches!(verdict, Verdict::Quarantine(why) if why.contains("does not have it"))
            {
                self.given_up.push(*fingerprint);
            }
        }
        commands
    }
}
