//! Which quarantines, and executions in part, this process has told of. Whoever wrote one may have died, or lost leadership, before it heard
//! that it was written; so every leader tells of all that it finds, and no process of the same one twice.

use std::collections::{BTreeMap, BTreeSet};

use crate::fingerprint::Fingerprint;
use crate::record::{SignalRecord, SignalState};

/// What was told of, each with its state and the number of attempts that it came after: every quarantine of a signal
/// comes after an attempt more than the last ([`crate::call::StoreCall::Resolve`]).
///
/// Holds no more than one picture of the store does, and what was settled here since.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(BTreeMap<Fingerprint, (usize, SignalState)>);

impl Told {
    /// Takes note that this signal is told of as being in `state`. Whether it was not before.
    pub(super) fn note(&mut self, record: &SignalRecord, state: SignalState) -> bool {
        let attempts = record.attempts.len();
        let new = self.0.get(&record.fingerprint).is_none_or(|told| told.0 < attempts || told.1 != state);
        if new {
            self.0.insert(record.fingerprint, (attempts, state));
        }
        new
    }

    /// Drops all but those that the store still has, and those that its picture may be too old to have.
    pub(super) fn keep(&mut self, waiting: &BTreeSet<Fingerprint>, newer: &BTreeSet<Fingerprint>) {
        self.0.retain(|fingerprint, _| waiting.contains(fingerprint) || newer.contains(fingerprint));
    }
}
