//! Every time of the protocol, the lease's above all, is read from the wall clock, which steps.

use oncegate_protocol::election::Authority;
use oncegate_protocol::{Call, Command, Event, Machine, Mono, Node, NodeConfig, Now};

use crate::mutants::Bug;
use crate::mutants::bent::node;

pub(crate) struct WallClock;

impl Bug for WallClock {
    fn machine(&self, config: NodeConfig, now: Now) -> Box<dyn Machine> {
        Box::new(ByWallClock { node: node(config, now), origin: now, last: now })
    }
}

/// The node lives on the wall clock; what it says of times is told on the true one, as it stood at its last step.
struct ByWallClock {
    node: Node,
    origin: Now,
    last: Now,
}

impl ByWallClock {
    fn by_wall(&self, now: Now) -> Mono {
        let passed = (now.wall.as_millis() - self.origin.wall.as_millis()).max(0).unsigned_abs();
        self.origin.mono.plus(std::time::Duration::from_millis(passed))
    }

    fn truly(&self, by_wall: Mono) -> Mono {
        let last = self.by_wall(self.last);
        if by_wall >= last {
            self.last.mono.plus(by_wall.since(last))
        } else {
            self.last.mono.minus(last.since(by_wall))
        }
    }
}

impl Machine for ByWallClock {
    fn step(&mut self, now: Now, event: Event) -> Vec<Command> {
        self.last = now;
        let bent = Now { mono: self.by_wall(now), wall: now.wall };
        let mut commands = self.node.step(bent, event);
        for command in &mut commands {
            if let Command::Call { call: Call::Place(order), .. } = command {
                order.send_before = self.truly(order.send_before);
            }
        }
        commands
    }

    fn next_deadline(&self) -> Option<Mono> {
        // A millisecond more, because that is how finely wall clocks count.
        self.node.next_deadline().map(|at| self.truly(at).plus(std::time::Duration::from_millis(1)))
    }

    fn authority(&self) -> Option<Authority> {
        let authority = self.node.authority()?;
        Some(Authority { trusted_until: self.truly(authority.trusted_until), ..authority })
    }
}
