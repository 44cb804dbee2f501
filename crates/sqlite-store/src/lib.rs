//! The signal store on `SQLite`: the only authority over what may be sent, for processes that share one file.
//!
//! What is promised rests on three things. One writer at a time, which `SQLite`'s lock on the file gives to
//! processes of *one host*, no further: never put the file on a network share. A commit that is on the disk
//! before it is answered, which WAL with `synchronous = FULL` gives. And writes whose guards run inside them,
//! as conditions or triggers, so that nothing is decided on what was read before the lock was taken.
//!
//! Reading order: `migrations/0001_core.sql` is what is kept and which
//! triggers keep it; `statements` is every statement in one place; `signals`, `leadership` and `claims` perform
//! the calls; [`db`] joins them to a file, and [`schema`] says whose file it is. [`store`], [`lease`] and
//! [`ledger`] are the ports, each with a connection and a thread (`worker`) of its own, because `SQLite` blocks.
//!
//! The simulation runs [`Db`] itself, in memory: same statements, same triggers, no thread.

mod claims;
pub mod db;
pub mod error;
mod leadership;
pub mod lease;
pub mod ledger;
mod rows;
pub mod schema;
mod signals;
mod statements;
pub mod store;
mod worker;

pub use db::Db;
pub use error::DbError;
pub use leadership::{HistoryEntry, PauseWord};
pub use lease::SqliteLease;
pub use ledger::SqliteLedger;
pub use store::SqliteStore;
