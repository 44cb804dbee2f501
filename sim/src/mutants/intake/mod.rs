//! Bugs about signals and people: what senders are told, what is read of a signal, and who hears of its end.

pub(crate) mod acknowledged_early;
pub(crate) mod deadline_ignored;
pub(crate) mod fails_fast;
pub(crate) mod silent_quarantine;
