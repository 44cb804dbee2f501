//! The broker port for an engine in another language, which executes orders itself with its broker's own SDK: what
//! the gate lets through is handed over a desk, once.
//!
//! ```text
//!  gate: intent committed ──► place(order)
//!                                 │ offered
//!   GET /v1/work ◄────────────────┤            not begun in time, withdrawn ──► NotSent (nobody knows the order id)
//!   POST /v1/attempts ───────────►│ begun      no outcome in time ──► Unknown
//!     ◄─ client order id, epoch   │
//!   POST /v1/attempts/{id}/outcome│
//!     ───────────────────────────►│ finished   accepted, rejected, not sent, unknown: as the engine says
//! ```
//!
//! The client order id leaves the desk only with a begin, and one lock decides between a begin and its time-out. So
//! what was not begun was provably not sent; from a begin on, nothing but the engine's word is definite.
//!
//! Must never: say *not sent* after a begin, let two begin one order, let anybody begin after the time to send, or
//! answer that an acceptance was taken before the store has it.
//!
//! Reading order: [`wire`] is what engines send and get, `state` decides (pure: time is an argument), [`desk`] is the
//! port and the three routes, `late` brings to the store what the gate no longer waits for, `presence` says whether
//! an engine is there.

pub mod config;
pub mod desk;
pub mod error;
mod id;
#[cfg(test)]
mod interleavings;
mod late;
mod presence;
mod state;
pub mod wire;

pub use config::DeskConfig;
pub use desk::EngineDesk;
pub use error::DeskError;
