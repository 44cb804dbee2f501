//! The store without some of its guards: the production schema, edited.

use oncegate_sqlite_store::Db;

/// Takes a trigger out of the schema.
pub(super) fn drop_trigger(db: &mut Db, trigger: &str) {
    db.connection()
        .execute_batch(&format!("DROP TRIGGER {trigger}"))
        .unwrap_or_else(|error| panic!("{trigger} is in the schema: {error}"));
}

/// Leaves the trigger where it is, and lets the condition that begins with `guard` never hold.
pub(super) fn never_holds(db: &mut Db, trigger: &str, guard: &str) {
    let text: String = db
        .connection()
        .query_row("SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = ?1", [trigger], |row| row.get(0))
        .unwrap_or_else(|error| panic!("{trigger} is in the schema: {error}"));
    let (whole, open) = (format!("WHERE {guard}"), format!("WHERE 0 AND {guard}"));
    assert_eq!(text.matches(&whole).count(), 1, "{trigger} has the guard {guard}");
    drop_trigger(db, trigger);
    db.connection()
        .execute_batch(&text.replace(&whole, &open))
        .unwrap_or_else(|error| panic!("{trigger} without a guard: {error}"));
}

/// Runs a statement that the production store has not.
pub(super) fn write(db: &mut Db, sql: &str, parameters: impl rusqlite::Params) -> usize {
    db.connection().execute(sql, parameters).unwrap_or_else(|error| panic!("{sql}: {error}"))
}
