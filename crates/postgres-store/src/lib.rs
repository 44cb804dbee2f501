//! The signal store on PostgreSQL: the only authority over what may be sent, for processes on any number of hosts.
//! And a lease beside it, for those who have no Redis.
//!
//! What is promised rests on three things. A commit that is on the disk before it is answered: each session sees to
//! `synchronous_commit`, and a server that runs without `fsync` is refused. Writes whose guards run inside them, as
//! conditions or triggers, so that nothing is decided on what was read before the lock was taken; in particular a
//! claim holds a share lock on the leadership row until its commit, because PostgreSQL at READ COMMITTED would else
//! let it commit after the epoch has moved. And rows that nothing deletes: triggers refuse it, at the `psql` prompt
//! too. With replicas that lag behind, a failover loses epochs: have a synchronous standby, and let
//! [`PostgresConfig::require_synchronous_standby`] insist on it.
//!
//! Reading order: `migrations/0001_core.sql` is what is kept and which triggers keep it; `statements` is every
//! statement in one place; `signals`, `leadership` and `claims` perform the calls on a `session`; `link` is one
//! connection, `pool` keeps a few, `listener` waits for news; [`schema`] says whose tables these are; [`store`],
//! [`lease`] and `ledger` are the ports.
//!
//! What is absent on purpose. There is no task, timer or socket that a [`PostgresStore`] does not own: every
//! connection is driven by the call that uses it, so dropping the store closes everything at once. Nothing is retried
//! within a call: whether a call that failed had its effect is unknown, and trying again is the caller's decision.

mod claims;
pub mod config;
pub mod error;
mod leadership;
pub mod lease;
pub mod ledger;
mod link;
mod listener;
mod pool;
mod rows;
pub mod schema;
mod session;
mod signals;
mod statements;
pub mod store;
pub mod tls;

pub use config::PostgresConfig;
pub use error::PgError;
pub use lease::PostgresLease;
pub use ledger::Reader;
pub use store::PostgresStore;
pub use tls::Tls;
