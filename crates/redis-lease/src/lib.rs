//! The lease on Redis: one key that expires, moved only by scripts that Redis runs atomically.
//!
//! Redis is a failure detector here and never an authority: losing the key, its data or the whole server can
//! delay a leader or depose one, but what may be sent is decided by the store's epoch alone.
//!
//! Reading order: [`scripts`] is what Redis is asked to run, `command` turns a call into one of them and its
//! reply into an answer, `connection` is one link to the server, [`lease`] keeps the links and serves the
//! calls, `listener` waits for the news that the lease was released.
//!
//! What is absent on purpose. There is no task, timer or socket that [`RedisLease`] does not own: every
//! connection is driven by the call that uses it, so dropping the lease (a crashed host, in simulation)
//! closes everything at once. Nothing is retried within a call: whether a call that failed had its effect is
//! unknown, and trying again is the caller's decision. No `EVALSHA`: a script cache that the server lost
//! would turn a renewal into two round trips just when time is short.

pub mod scripts;

mod command;
mod connection;
pub mod lease;
mod listener;

pub use lease::{RedisLease, RedisLeaseConfig};
