//! Epochs start over when the leadership is given up.

use oncegate_protocol::{StoreCall, StoreReply};
use oncegate_sqlite_store::{Db, DbError};

use crate::mutants::{Bug, guards};

/// Giving up sets the row back to how it was at first.
pub(crate) struct VacateResetsEpoch;

impl Bug for VacateResetsEpoch {
    fn schema(&self, db: &mut Db) {
        guards::drop_trigger(db, "leadership_epochs_rise");
    }

    fn replaces_calls(&self) -> bool {
        true
    }

    fn store_call(&self, db: &mut Db, call: &StoreCall) -> Option<Result<StoreReply, DbError>> {
        let StoreCall::Vacate { .. } = call else { return None };
        let reply = db.apply(call);
        if matches!(reply, Ok(StoreReply::Done)) {
            guards::write(db, "DELETE FROM leadership_history", ());
            guards::write(db, "UPDATE leadership SET epoch = 0", ());
        }
        Some(reply)
    }
}

/// Giving up deletes the row; whoever comes next writes a new one.
pub(crate) struct RowDeletedOnRelease;

impl Bug for RowDeletedOnRelease {
    fn schema(&self, db: &mut Db) {
        guards::drop_trigger(db, "leadership_is_kept");
        guards::drop_trigger(db, "leadership_is_one");
    }

    fn replaces_calls(&self) -> bool {
        true
    }

    fn store_call(&self, db: &mut Db, call: &StoreCall) -> Option<Result<StoreReply, DbError>> {
        guards::write(
            db,
            "INSERT OR IGNORE INTO leadership (id, epoch, holder, heartbeat_at) VALUES (1, 0, NULL, 0)",
            (),
        );
        let StoreCall::Vacate { .. } = call else { return None };
        let reply = db.apply(call);
        if matches!(reply, Ok(StoreReply::Done)) {
            guards::write(db, "DELETE FROM leadership_history", ());
            guards::write(db, "DELETE FROM leadership", ());
        }
        Some(reply)
    }
}
