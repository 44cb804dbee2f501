//! The harness: the production coordinator in a simulated world, judged from outside.

pub mod redis;
