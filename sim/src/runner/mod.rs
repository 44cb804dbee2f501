//! Runs: one, many, recorded ones, and the sign-off that is made of them.

pub mod engines;
pub mod exhaust;
pub mod explore;
pub mod failures;
pub mod pool;
pub mod power;
pub mod run;
pub mod shrink;
pub mod signoff;

pub use run::{Options, Run, SignalEnd, run};
