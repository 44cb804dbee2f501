//! One suite for every signal store and every lease: what the calls promise, whoever serves them.
//!
//! [`words`] are short ways to say a call; [`probes`] and [`lease`] say what must come of them, over nothing but the
//! ports; [`model`] is a naive store to compare any sequence of calls with; [`postgres_server`] is a real PostgreSQL
//! of one's own. For tests only.

#![allow(clippy::unwrap_used)] // To panic is to fail.

pub mod lease;
pub mod model;
pub mod postgres_server;
pub mod probes;
pub mod words;

pub use postgres_server::PostgresServer;
