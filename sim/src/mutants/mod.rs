//! Planted bugs: wrong coordinators that the harness must catch. Each is an alternative state machine or a port
//! that lies; none is a switch in production code.

pub mod check_then_act;

use oncegate_protocol::{Machine, Node, NodeConfig, Now, StoreCall, StoreReply};
use oncegate_sqlite_store::{Db, DbError};
use serde::Serialize;

use crate::oracles::at_most_once;

/// Which bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mutant {
    /// The system that oncegate replaces: leader? duplicate? leader still? log executing, execute, log status;
    /// as separate steps, without epoch, claim or unique intent.
    CheckThenAct,
}

impl Mutant {
    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CheckThenAct => "check-then-act",
        }
    }

    /// The oracle whose promise it is planted against.
    pub const fn against(self) -> &'static str {
        match self {
            Self::CheckThenAct => at_most_once::NAME,
        }
    }

    /// The store's part of the bug: the reply, where it differs from the production store's.
    pub(crate) fn store_call(self, db: &mut Db, call: &StoreCall) -> Option<Result<StoreReply, DbError>> {
        match self {
            Self::CheckThenAct => check_then_act::store_call(db, call),
        }
    }
}

/// The state machine that a node runs.
pub fn machine(mutant: Option<Mutant>, config: NodeConfig, now: Now) -> Box<dyn Machine> {
    match mutant {
        None => Box::new(Node::new(config, now).expect("the world's configuration is valid")),
        Some(Mutant::CheckThenAct) => Box::new(check_then_act::CheckThenAct::new(config, now)),
    }
}
