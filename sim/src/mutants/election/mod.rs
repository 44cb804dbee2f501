//! Bugs about who leads, beside the lease: giving way, coming back, and noticing.

pub(crate) mod demotion;
pub(crate) mod leaked_heartbeat;
pub(crate) mod one_shot;
pub(crate) mod unnoticed;
