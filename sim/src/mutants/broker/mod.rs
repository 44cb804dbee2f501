//! Bugs about the broker: what its answers, and its silence, are taken for.

pub(crate) mod answers;
pub(crate) mod declared;
pub(crate) mod legs;
pub(crate) mod not_found;
pub(crate) mod order_ids;
