//! What people read, and machines.

pub mod json;
pub mod narrative;
