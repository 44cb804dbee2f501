//! Words that the tests of this crate share: short ways to say a call, and a look at every row.

#![allow(dead_code, clippy::unwrap_used)] // Each test binary uses some of it.

use oncegate_protocol::call::{Claim, Purpose, Resolution, Verdict};
use oncegate_protocol::{
    BrokerOrderId, Epoch, Fingerprint, Holder, KeyFormat, Leg, Outcome, Signal, StoreCall, StoreReply, Wall,
};
use oncegate_sqlite_store::Db;
use rusqlite::types::Value;

pub(crate) const AT: Wall = Wall::from_millis(1_000);

pub(crate) fn holder(name: &str) -> Holder {
    Holder::new(format!("{name}:0000000000000000:1"))
}

pub(crate) fn fingerprint(n: u64) -> Fingerprint {
    Fingerprint::of_bytes(&n.to_le_bytes())
}

pub(crate) fn signal(n: u64) -> Signal {
    Signal {
        fingerprint: fingerprint(n),
        body_digest: fingerprint(n),
        raw: format!("{{\"n\":{n}}}").into_bytes(),
        expires_at: n.is_multiple_of(2).then_some(Wall::from_millis(9_000)),
    }
}

pub(crate) fn insert(n: u64) -> StoreCall {
    StoreCall::Insert { signal: signal(n), at: AT }
}

pub(crate) fn open_epoch(expected: u64, name: &str) -> StoreCall {
    StoreCall::OpenEpoch { expected: Epoch(expected), holder: holder(name), at: AT }
}

/// The first attempt at an order, or a recovery as the second.
pub(crate) fn claim_for(n: u64, epoch: u64, name: &str, purpose: Purpose) -> Claim {
    Claim {
        fingerprint: fingerprint(n),
        leg: Leg(0),
        epoch: Epoch(epoch),
        holder: holder(name),
        number: match purpose {
            Purpose::Execute => 1,
            Purpose::Recover => 2,
        },
        client_order_id: fingerprint(n).client_order_id(Leg(0), &KeyFormat::default()),
        purpose,
        at: AT,
    }
}

pub(crate) fn execute(n: u64, epoch: u64, name: &str) -> StoreCall {
    StoreCall::Claim(claim_for(n, epoch, name, Purpose::Execute))
}

pub(crate) fn recover(n: u64, epoch: u64, name: &str) -> StoreCall {
    StoreCall::Claim(claim_for(n, epoch, name, Purpose::Recover))
}

/// Any attempt.
pub(crate) fn nth(number: u32, n: u64, epoch: u64, name: &str, purpose: Purpose) -> StoreCall {
    StoreCall::Claim(Claim { number, ..claim_for(n, epoch, name, purpose) })
}

pub(crate) fn outcome(n: u64, number: u32, name: &str, outcome: Outcome) -> StoreCall {
    StoreCall::RecordOutcome { fingerprint: fingerprint(n), leg: Leg(0), number, owner: holder(name), outcome, at: AT }
}

pub(crate) fn conclude(n: u64, epoch: u64, name: &str, verdict: Verdict) -> StoreCall {
    StoreCall::Conclude { fingerprint: fingerprint(n), epoch: Epoch(epoch), holder: holder(name), verdict, at: AT }
}

pub(crate) fn resolve(n: u64, attempts: u32, resolution: Resolution) -> StoreCall {
    StoreCall::Resolve { fingerprint: fingerprint(n), resolution, attempts, reason: "looked".into(), at: AT }
}

pub(crate) fn set_pause(paused: bool, seen: u64) -> StoreCall {
    StoreCall::SetPause { paused, seen, reason: format!("word {}", seen.wrapping_add(1)), at: AT }
}

pub(crate) fn accepted() -> Outcome {
    Outcome::Accepted(BrokerOrderId::new("b1"))
}

pub(crate) fn unknown() -> Outcome {
    Outcome::Unknown("timed out".into())
}

/// A store in memory that `calls` have been applied to.
pub(crate) fn after(calls: &[StoreCall]) -> Db {
    let mut db = Db::open_in_memory().unwrap();
    for call in calls {
        db.apply(call).unwrap();
    }
    db
}

pub(crate) fn is_fenced(reply: &StoreReply) -> bool {
    matches!(reply, StoreReply::Fenced(_))
}

/// Every row of every table.
pub(crate) fn every_row(db: &mut Db) -> Vec<(String, Vec<Vec<Value>>)> {
    let connection = db.connection();
    let tables: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let rows = |table: &String| {
        let mut all = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = all.column_count();
        all.query_map([], |row| (0..columns).map(|column| row.get(column)).collect())
            .unwrap()
            .map(Result::unwrap)
            .collect()
    };
    tables.iter().map(|table| (table.clone(), rows(table))).collect()
}
