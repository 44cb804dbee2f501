//! Trust runs from when the reply to a renewal is heard, not from before it was asked for: a process that stood
//! still in between, or a slow reply, makes the lease longer than it is.

use oncegate_protocol::{
    Call, Command, Event, LeaseCall, LeaseReply, Machine, Node, NodeConfig, Notice, Now, PortError, Reply,
};

use crate::mutants::Bug;
use crate::mutants::bent::{Bend, UnderWay, bent, withhold};

pub(crate) struct CountedFromReply;

impl Bug for CountedFromReply {
    fn machine(&self, config: NodeConfig, now: Now) -> Box<dyn Machine> {
        bent(config, now, FromReply::default())
    }
}

/// A grant is kept back until the node asks once more, which it does right after being told of a failure, and
/// is the answer to that: so the node counts from then.
#[derive(Default)]
struct FromReply {
    renewals: UnderWay,
    granted: bool,
}

fn is_renewal(call: &Call) -> bool {
    matches!(call, Call::Lease(LeaseCall::Renew { .. }))
}

impl Bend for FromReply {
    fn step(&mut self, node: &mut Node, now: Now, event: Event) -> Vec<Command> {
        let mut commands = match self.renewals.ends(&event) {
            Some((id, Reply::Lease(Ok(LeaseReply::Granted)))) => {
                self.granted = true;
                let failed = Reply::Lease(Err(PortError(String::new())));
                let mut commands = node.step(now, Event::Replied { id, reply: failed });
                commands.retain(|command| !matches!(command, Command::Notice(Notice::PortFailed { .. })));
                commands
            }
            Some(_) | None => node.step(now, event),
        };
        if self.granted {
            for id in withhold(&mut commands, is_renewal) {
                self.granted = false;
                let reply = Reply::Lease(Ok(LeaseReply::Granted));
                commands.extend(node.step(now, Event::Replied { id, reply }));
            }
        }
        self.renewals.note(&commands, is_renewal);
        commands
    }
}
