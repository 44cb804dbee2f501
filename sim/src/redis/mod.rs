//! The simulated Redis: one server's data as a plain value, served over RESP to the production client.
//!
//! [`model`] is the data with real expiry semantics on whatever clock it is shown, `scripts` the lease's own
//! scripts carried out natively, `command` everything else that a client may ask, `wire` the protocol,
//! [`server`] one client's connection and the [`Hook`] through which a world watches and disturbs it.
//!
//! It answers as Redis 7.0.15 does, byte for byte as far as `tests/redis_conformance.rs` asks the same of
//! both. Whatever it does not implement it refuses with an error *and* notes in
//! [`RedisModel::unsupported`], which a run must find empty: a simulated server that guessed would make a
//! green run worthless. It reads no clock, draws no randomness and spawns nothing.

pub mod model;
pub mod server;

mod command;
mod scripts;
mod wire;

pub use model::{RedisModel, Snapshot};
pub use scripts::repeat;
pub use server::{CommandSummary, Disposition, Hook, serve};
pub use wire::Reply;
