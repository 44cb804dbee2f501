//! Which quarantines this process has told of. Whoever wrote one may have died, or lost leadership, before it heard
//! that it was written; so every leader tells of all that it finds, and no process of the same one twice.

use std::collections::{BTreeMap, BTreeSet};

use crate::fingerprint::Fingerprint;
use crate::record::SignalRecord;

/// The quarantines told of, each with the number of attempts that it came after: every quarantine of a signal comes
/// after an attempt more than the last ([`crate::call::StoreCall::Resolve`]).
///
/// Holds no more than one picture of the store does, and what was settled here since.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(BTreeMap<Fingerprint, usize>);

impl Told {
    /// Takes note that this quarantine is told of. Whether it was not before.
    pub(super) fn note(&mut self, record: &SignalRecord) -> bool {
        let attempts = record.attempts.len();
        let new = self.0.get(&record.fingerprint).is_none_or(|told| *told < attempts);
        if new {
            self.0.insert(record.fingerprint, attempts);
        }
        new
    }

    /// Drops all but those that the store still has, and those that its picture may be too old to have.
    pub(super) fn keep(&mut self, quarantined: &BTreeSet<Fingerprint>, newer: &BTreeSet<Fingerprint>) {
        self.0.retain(|fingerprint, _| quarantined.contains(fingerprint) || newer.contains(fingerprint));
    }
}
