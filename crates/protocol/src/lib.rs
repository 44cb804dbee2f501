//! The thinking half of oncegate: who may act, and what happens to one signal.
//!
//! Everything here is a pure state machine. Time arrives as an argument, the outside arrives as an
//! [`Event`], and what should be done leaves as a [`Command`]. Nothing in this crate waits, reads a
//! clock, draws a random number, performs I/O or logs; its `Cargo.toml` is what keeps it so.
//!
//! Reading order: [`time`] and [`ids`] are the words, [`signal`], [`legs`] and [`fingerprint`] say what a
//! signal is, [`record`] what the store keeps of it, [`broker`] and [`policy`] what may be done about an order in
//! doubt, [`call`], [`event`], [`command`] and [`notice`] are the vocabulary between thinking and doing,
//! [`election`] decides who leads, [`gate`] decides what may be sent, and [`node`] joins the two.

pub mod broker;
pub mod call;
pub mod command;
pub mod election;
pub mod event;
pub mod fingerprint;
pub mod gate;
pub mod ids;
pub mod legs;
pub mod node;
pub mod notice;
pub mod outbox;
pub mod policy;
pub mod record;
pub mod signal;
mod standing;
pub mod time;
pub mod timing;

pub use broker::{Capabilities, DedupScope, KeyFormat, Lookup, Outcome};
pub use call::{Call, LeaseCall, LeaseReply, Order, PortError, Reply, StoreCall, StoreReply};
pub use command::{Answer, Command};
pub use event::Event;
pub use fingerprint::{Fingerprint, IdentityRule};
pub use ids::{BrokerOrderId, CallId, ClientOrderId, Epoch, Holder, InstanceId, Leg, RequestId};
pub use node::{Machine, Node, NodeConfig};
pub use notice::Notice;
pub use record::{Attempt, Leadership, Pause, SignalRecord, SignalState};
pub use signal::Signal;
pub use time::{Mono, Now, Wall};
pub use timing::Timing;
