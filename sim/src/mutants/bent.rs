//! The production node with something between it and its driver: what it hears or says is bent on the way.

use std::collections::BTreeSet;

use oncegate_protocol::election::Authority;
use oncegate_protocol::{Call, CallId, Command, Event, Machine, Mono, Node, NodeConfig, Now, Reply};

/// Calls that the production node never made bear numbers from here on, which it never reaches.
const FIRST_OF_ITS_OWN: u64 = 1 << 63;

/// What stands between a node and its driver.
pub(super) trait Bend: Send + 'static {
    /// Lets `node` take the step, or something like it.
    fn step(&mut self, node: &mut Node, now: Now, event: Event) -> Vec<Command>;
}

/// A bent node.
struct Bent<B> {
    node: Node,
    bend: B,
}

/// The production node.
pub(super) fn node(config: NodeConfig, now: Now) -> Node {
    Node::new(config, now).expect("the world's configuration is valid")
}

/// The production node of that configuration, bent.
pub(super) fn bent(config: NodeConfig, now: Now, bend: impl Bend) -> Box<dyn Machine> {
    Box::new(Bent { node: node(config, now), bend })
}

impl<B: Bend> Machine for Bent<B> {
    fn step(&mut self, now: Now, event: Event) -> Vec<Command> {
        self.bend.step(&mut self.node, now, event)
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.node.next_deadline()
    }

    fn authority(&self) -> Option<Authority> {
        self.node.authority()
    }
}

/// The calls of one kind that are under way.
#[derive(Default)]
pub(super) struct UnderWay(BTreeSet<CallId>);

impl UnderWay {
    /// Notes those that `commands` begin.
    pub(super) fn note(&mut self, commands: &[Command], is_one: impl Fn(&Call) -> bool) {
        for command in commands {
            if let Command::Call { id, call } = command
                && is_one(call)
            {
                self.0.insert(*id);
            }
        }
    }

    /// Whether `event` ends one, and with which reply.
    pub(super) fn ends<'a>(&mut self, event: &'a Event) -> Option<(CallId, &'a Reply)> {
        match event {
            Event::Replied { id, reply } if self.0.remove(id) => Some((*id, reply)),
            _ => None,
        }
    }
}

/// Calls that the bug makes beside the node's.
#[derive(Default)]
pub(super) struct OwnCalls {
    made: u64,
}

impl OwnCalls {
    /// One more.
    pub(super) fn make(&mut self, call: Call) -> Command {
        self.made += 1;
        Command::Call { id: CallId(FIRST_OF_ITS_OWN + self.made), call }
    }

    /// The reply to one of them, of which the node must not hear.
    pub(super) fn reply(event: &Event) -> Option<&Reply> {
        match event {
            Event::Replied { id, reply } if id.0 >= FIRST_OF_ITS_OWN => Some(reply),
            _ => None,
        }
    }
}

/// Takes those calls out of `commands` that `is_one`; their numbers.
pub(super) fn withhold(commands: &mut Vec<Command>, is_one: impl Fn(&Call) -> bool) -> Vec<CallId> {
    let mut withheld = Vec::new();
    commands.retain(|command| match command {
        Command::Call { id, call } if is_one(call) => {
            withheld.push(*id);
            false
        }
        _ => true,
    });
    withheld
}
