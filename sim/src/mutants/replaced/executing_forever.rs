//! The second write of the status is tried once: when it is lost, the signal stays "executing", and nobody looks
//! at such signals again, because whoever set them so will see to them.

use oncegate_protocol::{Machine, NodeConfig, Now};
use oncegate_sqlite_store::Db;

use crate::mutants::Bug;
use crate::mutants::store::outcomes::OutcomeNotRetried;
use crate::mutants::store::takeover::TakeoverForgets;

pub(crate) struct ExecutingForever;

impl Bug for ExecutingForever {
    fn machine(&self, config: NodeConfig, now: Now) -> Box<dyn Machine> {
        OutcomeNotRetried.machine(config, now)
    }

    fn schema(&self, db: &mut Db) {
        TakeoverForgets.schema(db);
    }
}
