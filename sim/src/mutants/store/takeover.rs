//! A new epoch is opened, and what the older ones left behind stays as it is: executing, by nobody.

use oncegate_sqlite_store::Db;

use crate::mutants::{Bug, guards};

pub(crate) struct TakeoverForgets;

impl Bug for TakeoverForgets {
    fn schema(&self, db: &mut Db) {
        guards::drop_trigger(db, "leadership_puts_older_claims_in_doubt");
    }
}
