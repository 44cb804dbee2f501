//! Bugs of the store: epochs that fall, claims that are not guarded, outcomes that are lost.

pub(crate) mod claims;
pub(crate) mod epochs;
pub(crate) mod outcomes;
pub(crate) mod takeover;
