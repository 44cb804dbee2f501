//! Bugs about the lease: how long it is trusted, whose it is, and who keeps it up.

pub(crate) mod counted_from_reply;
pub(crate) mod expiry;
pub(crate) mod ownership;
pub(crate) mod renewer_stops;
pub(crate) mod wall_clock;
