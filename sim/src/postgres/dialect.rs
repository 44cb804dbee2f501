//! What the simulated server understands: the statements of the production store, by how they begin, with the types
//! that PostgreSQL would infer, and as SQLite's words.
//!
//! The text that runs is the client's own. What is changed: `FOR SHARE` and `FOR UPDATE` are dropped, because one
//! connection serialises; parameters are written `?n`, so that their numbers count; and a claim's ordinal is counted
//! by the statement, not by its trigger, because SQLite's triggers can't change a row. Tables and triggers are those
//! of SQLite's own migrations: the columns bear the same names.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};

/// A type of PostgreSQL, as far as the store uses it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// `bigint`.
    Int8,
    /// `text`.
    Text,
    /// `bytea`.
    Bytea,
    /// `boolean`.
    Bool,
    /// What a function returns that returns nothing.
    Void,
}

/// What a statement is about; those that decide what a call of the store comes to have a name of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum About {
    /// Who leads?
    Leadership,
    /// An operator's word on new orders.
    SetPause,
    /// The next epoch.
    OpenEpoch,
    /// The leader lives.
    Heartbeat,
    /// The leader leaves.
    Vacate,
    /// A new signal.
    Insert,
    /// Whether anything is owed.
    WhetherOwed,
    /// Signals in one state, oldest first.
    Oldest,
    /// One signal.
    Signal,
    /// A claim.
    Claim,
    /// A signal is locked, and its state read.
    LockSignal,
    /// The leadership is locked, if it is a certain one.
    LockLeadership,
    /// A leader's conclusion moves a signal.
    Conclude,
    /// An operator's decision moves a signal.
    Resolve,
    /// Whoever listens on a channel is told.
    Notify,
    /// Anything else that reads.
    Reads,
    /// Anything else that writes.
    Writes,
}

impl About {
    /// Whether it takes a lock, or changes a row.
    pub const fn writes(self) -> bool {
        !matches!(self, Self::Leadership | Self::WhetherOwed | Self::Oldest | Self::Signal | Self::Notify | Self::Reads)
    }
}

/// One kind of statement.
#[derive(Debug)]
pub struct Form {
    begins: &'static str,
    /// What it is about.
    pub about: About,
    /// The types of its parameters.
    pub parameters: &'static [Type],
    /// The types of its columns; none, if it changes rows.
    pub columns: &'static [Type],
}

use Type::{Bool as B, Bytea as Y, Int8 as I, Text as T, Void as V};

const fn form(begins: &'static str, about: About, parameters: &'static [Type], columns: &'static [Type]) -> Form {
    Form { begins, about, parameters, columns }
}

const RECORD: &[Type] = &[Y, I, T, Y, I, I, I];

/// The longest beginnings come first where one is the beginning of another.
const FORMS: [Form; 29] = [
    form("SELECT epoch, holder, heartbeat_at, paused_since,", About::Leadership, &[], &[I, T, I, I, T, I]),
    form("INSERT INTO pauses ", About::SetPause, &[I, B, T, I], &[]),
    form("SELECT paused_since, paused_reason FROM leadership ", About::Reads, &[], &[I, T]),
    form("UPDATE leadership SET epoch = epoch + 1, ", About::OpenEpoch, &[I, T, I], &[]),
    form("UPDATE leadership SET heartbeat_at = ", About::Heartbeat, &[I, T, I], &[]),
    form("UPDATE leadership SET holder = NULL ", About::Vacate, &[I, T], &[]),
    form("INSERT INTO leadership_history ", About::Writes, &[I, T, I], &[]),
    form("UPDATE leadership_history ", About::Writes, &[I, I, T], &[]),
    form("SELECT state, legs FROM signals WHERE fingerprint = $1 FOR UPDATE", About::LockSignal, &[Y], &[T, I]),
    form("SELECT state, legs FROM signals WHERE fingerprint = $1", About::Reads, &[Y], &[T, I]),
    form("SELECT epoch FROM leadership WHERE id = 1 AND ", About::LockLeadership, &[I, T], &[I]),
    form("SELECT state, body_digest FROM signals ", About::Reads, &[Y], &[T, Y]),
    form("INSERT INTO signals ", About::Insert, &[Y, Y, I, I, Y, I], &[]),
    form(
        "SELECT fingerprint, sequence, state, raw, expires_at, received_at, legs FROM signals WHERE fingerprint = ",
        About::Signal,
        &[Y],
        RECORD,
    ),
    form(
        "SELECT fingerprint, sequence, state, raw, expires_at, received_at, legs FROM signals WHERE state = $1 ORDER ",
        About::Oldest,
        &[T, I],
        RECORD,
    ),
    form(
        "SELECT fingerprint, sequence, state, raw, expires_at, received_at, legs FROM signals WHERE state = $1 AND ",
        About::Reads,
        &[T, I, I],
        RECORD,
    ),
    form("SELECT EXISTS (SELECT 1 FROM signals ", About::WhetherOwed, &[], &[B]),
    form("SELECT leg, number, epoch, owner, client_order_id, ", About::Reads, &[Y], &[I, I, I, T, T, I, T, T, B]),
    form("INSERT INTO attempts ", About::Claim, &[Y, I, I, T, I, T, T, I], &[]),
    form("UPDATE attempts SET outcome = 'accepted', ", About::Writes, &[Y, I, I, T, I], &[]),
    form("UPDATE attempts SET outcome = ", About::Writes, &[Y, I, I, T, T, T, I], &[]),
    form("UPDATE attempts SET answered_for = ", About::Writes, &[Y], &[]),
    form("UPDATE signals SET state = $5 FROM ", About::Conclude, &[Y, I, T, T, T], &[]),
    form("UPDATE signals SET state = CASE ", About::Resolve, &[Y, T, I], &[T]),
    form("UPDATE signals SET state = $2 WHERE fingerprint = $1", About::Writes, &[Y, T], &[]),
    form("INSERT INTO conclusions ", About::Writes, &[Y, I, T, T, T, I], &[]),
    form("INSERT INTO resolutions ", About::Writes, &[Y, T, I, T, I], &[]),
    form("SELECT pg_notify($1, '')", About::Notify, &[T], &[V]),
    form("SELECT at, holder, verdict, detail FROM conclusions ", About::Reads, &[Y], &[I, T, T, T]),
];

/// A statement that the server knows.
#[derive(Clone, Debug)]
pub struct Known {
    /// What kind it is.
    pub form: &'static Form,
    /// As SQLite is told.
    pub sql: String,
}

/// The statement, if it is one of the store's.
pub fn known(sql: &str) -> Option<Known> {
    let text = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = of_this_version(&text);
    let form = FORMS.iter().find(|form| text.starts_with(form.begins))?;
    let mut sql = text.replace(" FOR SHARE", "").replace(" FOR UPDATE", "").replace('$', "?");
    if form.about == About::Claim {
        let counted = "SELECT ?1, ?2, ?3, (SELECT count(*) + 1 FROM attempts WHERE fingerprint = ?1), ?4,";
        sql = replace_once(&sql, "SELECT ?1, ?2, ?3, 0, ?4,", counted)?;
    }
    Some(Known { form, sql })
}

/// What is read in tables of any version says so by a join that SQLite does not have; these tables are of the newest.
fn of_this_version(text: &str) -> &str {
    text.strip_prefix("SELECT found.* FROM (SELECT CAST(1 AS bigint) AS legs) AS one CROSS JOIN LATERAL (")
        .and_then(|rest| rest.strip_suffix(") AS found"))
        .unwrap_or(text)
}

fn replace_once(text: &str, what: &str, by: &str) -> Option<String> {
    (text.matches(what).count() == 1).then(|| text.replace(what, by))
}

/// A parameter as PostgreSQL's binary format has it, for SQLite.
pub fn parameter(bytes: Option<&[u8]>, of: Type) -> Option<ToSqlOutput<'_>> {
    let Some(bytes) = bytes else { return Some(ToSqlOutput::Owned(Value::Null)) };
    Some(match of {
        Type::Int8 => ToSqlOutput::Owned(Value::Integer(i64::from_be_bytes(bytes.try_into().ok()?))),
        Type::Bool => ToSqlOutput::Owned(Value::Integer(i64::from(*bytes.first()? != 0))),
        Type::Text => ToSqlOutput::Borrowed(ValueRef::Text(bytes)),
        Type::Bytea => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        Type::Void => return None,
    })
}

/// A value of SQLite as PostgreSQL's binary format has it; nothing, when it is not of that type.
pub fn cell(value: ValueRef<'_>, of: Type) -> Option<Option<Vec<u8>>> {
    Some(match (value, of) {
        (ValueRef::Null, _) => None,
        (ValueRef::Integer(number), Type::Int8) => Some(number.to_be_bytes().to_vec()),
        (ValueRef::Integer(number @ (0 | 1)), Type::Bool) => Some(vec![u8::from(number == 1)]),
        (ValueRef::Text(bytes), Type::Text) | (ValueRef::Blob(bytes), Type::Bytea) => Some(bytes.to_vec()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use oncegate_sqlite_store::Db;

    use super::*;

    #[test]
    fn a_claim_counts_its_ordinal_and_drops_its_lock() {
        let claim = known(
            "INSERT INTO attempts (a)\nSELECT $1, $2, $3, 0, $4, leader.epoch\nFROM (SELECT 1 FOR SHARE) AS leader",
        )
        .unwrap();
        assert_eq!(
            claim.sql,
            "INSERT INTO attempts (a) SELECT ?1, ?2, ?3, (SELECT count(*) + 1 FROM attempts WHERE fingerprint = ?1), \
             ?4, leader.epoch FROM (SELECT 1) AS leader"
        );
        assert!(known("INSERT INTO attempts (a) SELECT $1, $2, $3, $4").is_none(), "a claim of another shape");
        assert!(known("DELETE FROM signals").is_none());
    }

    #[test]
    fn what_is_not_of_its_type_is_no_value() {
        assert_eq!(cell(ValueRef::Integer(2), Type::Bool), None);
        assert_eq!(cell(ValueRef::Integer(2), Type::Text), None);
        assert_eq!(cell(ValueRef::Null, Type::Bool), Some(None));
        assert!(parameter(Some(&[1, 2]), Type::Int8).is_none());
    }

    #[test]
    fn the_tables_are_those_of_the_sqlite_store() {
        let mut db = Db::open_in_memory().unwrap();
        let heartbeat = known("UPDATE leadership SET heartbeat_at = $3 WHERE id = 1 AND epoch = $1 AND holder = $2");
        let statement = db.connection().prepare(&heartbeat.unwrap().sql).unwrap();
        assert_eq!(statement.parameter_count(), 3);
    }
}
