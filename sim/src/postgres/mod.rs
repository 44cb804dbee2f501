//! A simulated PostgreSQL server: its wire protocol by `pgwire`, its tables in SQLite.
//!
//! It carries out the production store's own statements ([`dialect`]) and refuses all others, loudly. One connection to
//! SQLite serialises: who has begun to work on the tables has them until the end of its transaction, and others wait
//! for at most their `lock_timeout`. So it shows what the store makes of its answers, of its refusals, and of a server
//! or a network that fails it; it does not show two transactions side by side. Those are for a real server, in
//! `crates/postgres-store/tests`.
//!
//! Nothing in it is drawn, and it answers when it waits for input, as PostgreSQL does: its packets are the same in
//! every run. [`names`] sees to the client's part of that.

pub mod corked;
pub mod dialect;
pub mod names;
pub mod server;
pub mod session;

pub use dialect::About;
pub use server::{After, Committed, Hook, Refused, Server};
pub use session::serve;
