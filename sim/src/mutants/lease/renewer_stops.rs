//! An error ends the loop that renews, and with it the only thing that would have taken the flag down: the node
//! goes on as leader with a lease that nobody keeps up.

use oncegate_protocol::{Call, Command, Epoch, Event, LeaseCall, LeaseReply, Machine, Node, NodeConfig, Now, Reply};

use crate::mutants::Bug;
use crate::mutants::bent::{Bend, UnderWay, bent, withhold};

pub(crate) struct RenewerStops;

impl Bug for RenewerStops {
    fn machine(&self, config: NodeConfig, now: Now) -> Box<dyn Machine> {
        bent(config, now, Renewer::default())
    }
}

#[derive(Default)]
struct Renewer {
    renewals: UnderWay,
    dead: bool,
}

fn is_renewal(call: &Call) -> bool {
    matches!(call, Call::Lease(LeaseCall::Renew { .. }))
}

impl Bend for Renewer {
    fn step(&mut self, node: &mut Node, now: Now, event: Event) -> Vec<Command> {
        let granted = || Reply::Lease(Ok(LeaseReply::Granted { seen: Epoch(0) }));
        let mut commands = match self.renewals.ends(&event) {
            Some((id, Reply::Lease(Err(_)))) => {
                self.dead = true;
                node.step(now, Event::Replied { id, reply: granted() })
            }
            Some(_) | None => node.step(now, event),
        };
        if self.dead {
            for id in withhold(&mut commands, is_renewal) {
                commands.extend(node.step(now, Event::Replied { id, reply: granted() }));
            }
        }
        self.renewals.note(&commands, is_renewal);
        commands
    }
}
