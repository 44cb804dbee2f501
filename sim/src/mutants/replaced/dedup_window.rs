//! Fingerprints are remembered for 60 s, by the wall clock of whoever asks; then the same signal is a new one.

use oncegate_protocol::{SignalState, StoreCall, StoreReply};
use oncegate_sqlite_store::{Db, DbError};
use rusqlite::OptionalExtension as _;

use crate::mutants::{Bug, guards};

const WINDOW_MS: i64 = 60_000;

pub(crate) struct DedupWindow;

impl Bug for DedupWindow {
    fn schema(&self, db: &mut Db) {
        guards::drop_trigger(db, "attempts_are_kept");
    }

    fn replaces_calls(&self) -> bool {
        true
    }

    fn store_call(&self, db: &mut Db, call: &StoreCall) -> Option<Result<StoreReply, DbError>> {
        let StoreCall::Insert { signal, at } = call else { return None };
        let fingerprint = signal.fingerprint.as_bytes();
        let received_at: Option<i64> = db
            .connection()
            .query_row("SELECT received_at FROM signals WHERE fingerprint = ?1", [fingerprint], |row| row.get(0))
            .optional()
            .expect("the table of signals can be read");
        if received_at.is_none_or(|received_at| (at.as_millis() - received_at).abs() <= WINDOW_MS) {
            return None;
        }
        guards::write(db, "DELETE FROM attempts WHERE fingerprint = ?1", [fingerprint]);
        const AGAIN: &str = "UPDATE signals SET state = 'received', received_at = ?2 WHERE fingerprint = ?1";
        guards::write(db, AGAIN, (fingerprint, at.as_millis()));
        Some(Ok(StoreReply::Stored { new: true, state: SignalState::Received, same_body: true }))
    }
}
