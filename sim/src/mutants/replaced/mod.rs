//! The system that oncegate replaces, and each of its known defects planted by itself on the production code, so
//! that what is caught is that defect and no other.

pub(crate) mod check_then_act;
pub(crate) mod dedup_window;
pub(crate) mod executing_forever;
pub(crate) mod flag_without_deadline;
pub(crate) mod follower_drops;
pub(crate) mod forgetful_error;
pub(crate) mod no_coordinator;
pub(crate) mod order_on_timeout;
pub(crate) mod twins;
