//! Whatever ends in an error is forgotten, so that the sender may try again: the fingerprint and all that was
//! done about it.

use oncegate_protocol::{Outcome, SignalState, StoreCall, StoreReply};
use oncegate_sqlite_store::{Db, DbError};

use crate::mutants::{Bug, guards};

pub(crate) struct ForgetfulError;

impl Bug for ForgetfulError {
    fn schema(&self, db: &mut Db) {
        guards::drop_trigger(db, "attempts_are_kept");
    }

    fn replaces_calls(&self) -> bool {
        true
    }

    fn store_call(&self, db: &mut Db, call: &StoreCall) -> Option<Result<StoreReply, DbError>> {
        let StoreCall::RecordOutcome { fingerprint, outcome: Outcome::Unknown(_), .. } = call else { return None };
        guards::write(db, "DELETE FROM attempts WHERE fingerprint = ?1", [fingerprint.as_bytes()]);
        const FORGET: &str = "\
UPDATE signals SET state = 'received' WHERE fingerprint = ?1 AND (state = 'executing' OR state = 'in_doubt')";
        guards::write(db, FORGET, [fingerprint.as_bytes()]);
        Some(Ok(StoreReply::State(Some(SignalState::Received))))
    }
}
