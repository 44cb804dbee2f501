//! What the tests of this crate share: short ways to say a call, a store that some were applied to, and a look at every
//! row.

#![allow(dead_code, unused_imports, clippy::unwrap_used)] // Each test binary uses some of it.

use oncegate_protocol::StoreCall;
use oncegate_sqlite_store::Db;
pub(crate) use oncegate_store_conformance::words::*;
use rusqlite::types::Value;

/// A store in memory that `calls` have been applied to.
pub(crate) fn after(calls: &[StoreCall]) -> Db {
    let mut db = Db::open_in_memory().unwrap();
    for call in calls {
        db.apply(call).unwrap();
    }
    db
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
