//! Whose file this is, of which version, and how an older one becomes the newest.
//!
//! The file says so itself: `application_id` that it is ours, `user_version` how many migrations it has been
//! through. Both lie in the file's first page and change in the same commit as the tables.

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, TransactionBehavior};

use crate::error::DbError;

/// "ogat", at byte 68 of the file; `file(1)` shows it.
const APPLICATION_ID: i64 = 0x6f67_6174;

/// In order; a store of version n has been through the first n. Released ones are never edited.
const MIGRATIONS: [&str; 6] = [
    include_str!("migrations/0001_core.sql"),
    include_str!("migrations/0002_history_and_lease.sql"),
    include_str!("migrations/0003_quarantined.sql"),
    include_str!("migrations/0004_pauses.sql"),
    include_str!("migrations/0005_ledger.sql"),
    include_str!("migrations/0006_legs.sql"),
];

/// The version that this program writes and reads.
pub const NEWEST: i64 = MIGRATIONS.len() as i64;

/// What each migration after `version` is for, in the words of its first line, by its number.
pub fn migrations_after(version: i64) -> Vec<(i64, &'static str)> {
    let first_line = |migration: &'static str| migration.lines().next().unwrap_or_default().trim_start_matches("-- ");
    (1..).zip(MIGRATIONS).filter(|(number, _)| *number > version).map(|(n, text)| (n, first_line(text))).collect()
}

/// The version of the store behind `connection`, zero when nothing is there yet. Writes nothing.
///
/// # Errors
/// [`DbError::NotOurs`] and [`DbError::NewerVersion`].
pub(crate) fn version(connection: &Connection, place: &str) -> Result<i64, DbError> {
    let read = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let whose = || -> rusqlite::Result<_> {
        // One snapshot: another process may be migrating this very file.
        let snapshot = connection.unchecked_transaction()?;
        let header = (read("PRAGMA application_id")?, read("PRAGMA user_version")?);
        let objects = read("SELECT count(*) FROM sqlite_schema")?;
        snapshot.finish()?;
        Ok((header, objects))
    };
    match whose() {
        Ok(((0, 0), 0)) => Ok(0),
        Ok(((APPLICATION_ID, version), _)) if version > NEWEST => {
            Err(DbError::NewerVersion { place: place.to_owned(), found: version, known: NEWEST })
        }
        Ok(((APPLICATION_ID, version), _)) if version > 0 => Ok(version),
        Ok(((id, version), objects)) => Err(DbError::NotOurs {
            place: place.to_owned(),
            found: format!("application id {id:#x}, user version {version}, {objects} tables, indexes and triggers"),
        }),
        Err(e) if e.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(DbError::NotOurs { place: place.to_owned(), found: "no SQLite database".to_owned() })
        }
        Err(e) => Err(DbError::sqlite("read the version", place, e)),
    }
}

/// Brings the store to the newest version, all of it or nothing.
pub(crate) fn migrate(connection: &mut Connection, place: &str) -> Result<(), DbError> {
    migrate_with(connection, place, &MIGRATIONS)
}

fn migrate_with(connection: &mut Connection, place: &str, migrations: &[&str]) -> Result<(), DbError> {
    let failed = |e| DbError::sqlite("migrate the store", place, e);
    if version(connection, place)? >= migrations.len() as i64 {
        return Ok(());
    }
    // A table that others refer to is made anew by one of them. This can't be switched within a transaction.
    connection.execute_batch("PRAGMA foreign_keys = OFF").map_err(failed)?;
    let migrated = migrate_unchecked(connection, migrations);
    connection.execute_batch("PRAGMA foreign_keys = ON").map_err(failed)?;
    migrated.map_err(failed)
}

/// All of it or nothing; what foreign keys would have said is asked before the commit.
fn migrate_unchecked(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Again, under the lock: another process may have come first.
    let present = version_under_lock(&transaction)?;
    for (migration, number) in migrations.iter().zip(1_i64..) {
        if number > present {
            transaction.execute_batch(migration)?;
        }
    }
    let newest = (migrations.len() as i64).max(present);
    transaction.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {newest};"))?;
    if let Some(table) =
        transaction.query_row("PRAGMA foreign_key_check", [], |row| row.get::<_, String>(0)).optional()?
    {
        let why = format!("rows of {table} refer to rows that are not there");
        return Err(rusqlite::Error::ToSqlConversionFailure(why.into()));
    }
    transaction.commit()
}

fn version_under_lock(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use oncegate_protocol::{Epoch, Holder, SignalState, Wall};

    use super::*;
    use crate::Db;

    /// A file as version 1 left it, with a leader, a signal that it executed, and one that it is executing.
    fn file_of_version_1(path: &std::path::Path) {
        let mut connection = Connection::open(path).unwrap();
        migrate_with(&mut connection, "test", &MIGRATIONS[..1]).unwrap();
        connection
            .execute_batch(
                "UPDATE leadership SET epoch = 7, holder = 'a:0:1', heartbeat_at = 1000;
                 INSERT INTO signals (fingerprint, body_digest, state, received_at, expires_at, raw) VALUES
                   (CAST('signal-1-signal-1-signal-1-sign1' AS BLOB), zeroblob(32), 'executed', 1, NULL, x'7b7d'),
                   (CAST('signal-2-signal-2-signal-2-sign2' AS BLOB), zeroblob(32), 'received', 2, 99, x'7b7d');
                 INSERT INTO attempts
                   (fingerprint, leg, number, ordinal, client_order_id, epoch, owner, purpose, claimed_at) VALUES
                   (CAST('signal-2-signal-2-signal-2-sign2' AS BLOB), 0, 1, 1, 'og2', 7, 'a:0:1', 'execute', 3);",
            )
            .unwrap();
    }

    #[test]
    fn a_store_of_version_1_keeps_its_data_and_gains_a_history() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v1.db");
        file_of_version_1(&path);
        let mut db = Db::open(&path).unwrap();
        let leadership = db.leadership().unwrap();
        assert_eq!((leadership.epoch, leadership.holder), (Epoch(7), Some(Holder::new("a:0:1"))));
        assert_eq!((leadership.paused, leadership.pause_words), (None, 0));
        let states: Vec<_> = db.signals().unwrap().iter().map(|s| (s.state, s.legs, s.attempts.len())).collect();
        assert_eq!(states, [(SignalState::Executed, 1, 0), (SignalState::Executing, 1, 1)]);
        let connection = db.connection();
        let check = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, String>(0));
        assert_eq!(check("PRAGMA integrity_check").unwrap(), "ok");
        assert!(check("PRAGMA foreign_key_check").is_err(), "no row says what is wrong");
        assert_eq!(check("SELECT \"table\" FROM pragma_foreign_key_list('attempts')").unwrap(), "signals");
        let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(number("PRAGMA foreign_keys"), 1);
        assert_eq!(
            number("SELECT seq FROM sqlite_sequence WHERE name = 'signals'"),
            2,
            "no number is handed out twice"
        );
        let history = db.history().unwrap();
        assert_eq!(history.len(), 1);
        assert_eq!((history[0].epoch, history[0].opened_at), (Epoch(7), Wall::from_millis(1000)));
        drop(db);
        assert_eq!(Db::open(&path).unwrap().history().unwrap().len(), 1, "opening again migrates nothing");
    }

    #[test]
    fn a_store_that_is_one_migration_behind_is_not_migrated_by_who_only_opens_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("behind.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate_with(&mut connection, "test", &MIGRATIONS[..MIGRATIONS.len() - 1]).unwrap();
        drop(connection);
        let error = Db::open_existing(&path).unwrap_err();
        assert!(matches!(error, DbError::OlderVersion { known: NEWEST, .. }), "{error}");
        assert!(error.to_string().ends_with("run `oncegate migrate`"), "{error}");
        assert_eq!(Db::version(&path).unwrap(), NEWEST - 1);
        assert_eq!(migrations_after(NEWEST - 1).len(), 1);

        Db::open(&path).unwrap();
        assert_eq!(Db::version(&path).unwrap(), NEWEST);
        Db::open_existing(&path).unwrap();
    }

    #[test]
    fn asking_for_a_version_makes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.db");
        assert_eq!(Db::version(&path).unwrap(), 0);
        assert!(Db::open_existing(&path).is_err());
        assert!(!path.exists());
    }

    #[test]
    fn a_migration_that_fails_leaves_the_old_version_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v1.db");
        file_of_version_1(&path);
        let mut connection = Connection::open(&path).unwrap();
        let broken = [MIGRATIONS[0], "CREATE TABLE half (a); CREATE TABLE signals (again);"];
        assert!(migrate_with(&mut connection, "test", &broken).is_err());
        assert_eq!(version(&connection, "test").unwrap(), 1);
        let half: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'half'", [], |r| r.get(0)).unwrap();
        assert_eq!(half, 0);
    }

    #[test]
    fn a_newer_store_is_refused_and_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("newer.db");
        Db::open(&path).unwrap().connection().execute_batch("PRAGMA user_version = 9").unwrap();
        let error = Db::open(&path).unwrap_err();
        assert!(matches!(error, DbError::NewerVersion { found: 9, known: NEWEST, .. }));
        assert_eq!(
            error.to_string(),
            format!(
                "{} is a store of version 9, and this oncegate knows versions up to {NEWEST}: \
                 start the oncegate that wrote it, or a newer one",
                path.display()
            )
        );
    }

    #[test]
    fn what_is_not_ours_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let others = folder.path().join("others.db");
        Connection::open(&others).unwrap().execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)").unwrap();
        let text = folder.path().join("notes.txt");
        std::fs::write(&text, "not a database, but long enough to look like one to who reads a header".repeat(9))
            .unwrap();
        let versioned = folder.path().join("versioned.db");
        Connection::open(&versioned).unwrap().execute_batch("PRAGMA user_version = 1").unwrap();
        for path in [&others, &text, &versioned] {
            let before = std::fs::read(path).unwrap();
            let error = Db::open(path).unwrap_err();
            assert!(matches!(error, DbError::NotOurs { .. }), "{error}");
            assert_eq!(std::fs::read(path).unwrap(), before, "{error}");
        }
    }

    #[test]
    fn many_may_open_a_new_file_at_once() {
        for _ in 0..10 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("new.db");
            std::thread::scope(|scope| {
                let openers: Vec<_> = (0..8).map(|_| scope.spawn(|| Db::open(&path).map(drop))).collect();
                for opener in openers {
                    opener.join().unwrap().unwrap();
                }
            });
        }
    }
}
