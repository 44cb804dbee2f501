//! A claim that is not guarded by what it claims.

use std::sync::Arc;

use oncegate_coordinator::{Clock, SignalStore};
use oncegate_protocol::call::Claim;
use oncegate_protocol::{StoreCall, StoreReply};
use oncegate_sqlite_store::{Db, DbError};

use crate::mutants::ports::store_with;
use crate::mutants::{Bug, guards};
use crate::postgres::About;

const CLAIMS: &str = "attempts_are_claims";
const EPOCH_GUARD: &str = "NOT EXISTS (SELECT 1 FROM leadership";
const STATE_GUARD: &str = "NOT EXISTS (SELECT 1 FROM signals";
const PAUSE_GUARD: &str = "attempts_wait_while_paused";
const NUMBER_GUARD: &str = "NEW.number <>";

/// The statement does not ask for the epoch.
pub(crate) struct ClaimWithoutEpoch;

impl Bug for ClaimWithoutEpoch {
    fn schema(&self, db: &mut Db) {
        guards::never_holds(db, CLAIMS, EPOCH_GUARD);
    }

    fn sql(&self, about: About, sql: &str) -> Option<String> {
        const ASKED: &str = "leader.epoch, leader.holder, ?7, ?8 FROM (SELECT epoch, holder FROM leadership WHERE id = 1 \
             AND epoch = ?5 AND holder = ?6) AS leader";
        (about == About::Claim).then(|| {
            assert_eq!(sql.matches(ASKED).count(), 1, "the claim asks for the epoch: {sql}");
            sql.replace(ASKED, "?5, ?6, ?7, ?8")
        })
    }
}

/// The statement does not ask whether new orders are stopped; leaders do, when they look at what is owed.
pub(crate) struct ClaimWithoutPause;

impl Bug for ClaimWithoutPause {
    fn schema(&self, db: &mut Db) {
        guards::drop_trigger(db, PAUSE_GUARD);
    }
}

/// The epoch is asked for first, and then claimed under.
pub(crate) struct EpochCheckedBefore;

impl Bug for EpochCheckedBefore {
    fn schema(&self, db: &mut Db) {
        ClaimWithoutEpoch.schema(db);
    }

    fn sql(&self, about: About, sql: &str) -> Option<String> {
        ClaimWithoutEpoch.sql(about, sql)
    }

    fn store(&self, inner: Arc<dyn SignalStore>, _clock: &Arc<dyn Clock>) -> Arc<dyn SignalStore> {
        store_with(inner, |store, call| {
            Box::pin(async move {
                if let StoreCall::Claim(claim) = &call
                    && let StoreReply::Leadership(row) = store.call(StoreCall::ReadLeadership).await?
                    && (row.epoch != claim.epoch || row.holder.as_ref() != Some(&claim.holder))
                {
                    return Ok(StoreReply::Fenced(row));
                }
                store.call(call).await
            })
        })
    }
}

/// The statement asks for the epoch alone, and adds the next attempt to whatever state the signal is in.
pub(crate) struct ClaimWithoutState;

impl Bug for ClaimWithoutState {
    fn schema(&self, db: &mut Db) {
        guards::never_holds(db, CLAIMS, STATE_GUARD);
        guards::never_holds(db, CLAIMS, NUMBER_GUARD);
    }

    fn replaces_calls(&self) -> bool {
        true
    }

    fn store_call(&self, db: &mut Db, call: &StoreCall) -> Option<Result<StoreReply, DbError>> {
        let StoreCall::Claim(claim) = call else { return None };
        let made: u32 = db
            .connection()
            .query_row(
                "SELECT count(*) FROM attempts WHERE fingerprint = ?1 AND leg = ?2",
                (claim.fingerprint.as_bytes(), claim.leg.0),
                |row| row.get(0),
            )
            .expect("the table of attempts can be read");
        Some(db.apply(&StoreCall::Claim(Claim { number: made + 1, ..claim.clone() })))
    }
}
