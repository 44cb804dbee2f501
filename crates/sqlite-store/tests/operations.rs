//! What `docs/OPERATIONS.md` tells people to type into `sqlite3`, typed.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::{execute, fingerprint, insert, is_fenced, open_epoch, resolve};
use oncegate_protocol::call::Resolution;
use oncegate_protocol::{SignalState, StoreReply};
use oncegate_sqlite_store::Db;
use rusqlite::Connection;

const MANUAL: &str = include_str!("../../../docs/OPERATIONS.md");

/// The one line of the manual that begins and ends so.
fn statement(begin: &str, end: &str) -> &'static str {
    let mut found = MANUAL.lines().map(str::trim).filter(|line| line.starts_with(begin) && line.ends_with(end));
    let statement = found.next().unwrap_or_else(|| panic!("no line {begin} .. {end}"));
    assert_eq!(found.next(), None, "{begin}");
    statement
}

#[test]
fn a_restored_store_is_made_safe_as_the_manual_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("restored.db");
    let mut db = Db::open(&path).unwrap();
    for call in [open_epoch(0, "a"), insert(1), insert(2), execute(2, 1, "a")] {
        db.apply(&call).unwrap();
    }
    let prompt = Connection::open(&path).unwrap();

    let raise = statement("UPDATE leadership SET epoch =", ";");
    assert_eq!(prompt.execute(raise, []).unwrap(), 1);
    let epoch: i64 = prompt.query_row("SELECT epoch FROM leadership", [], |row| row.get(0)).unwrap();
    let epoch = u64::try_from(epoch).unwrap();
    assert!(is_fenced(&db.apply(&execute(1, 1, "a")).unwrap()), "whoever led at the backup is deposed");
    let state: String = prompt.query_row("SELECT state FROM signals WHERE sequence = 2", [], |row| row.get(0)).unwrap();
    assert_eq!(state, SignalState::InDoubt.name());
    let lower = raise.replace("1017", "3");
    assert_ne!(lower, raise);
    assert!(prompt.execute(&lower, []).unwrap_err().to_string().contains("epochs never fall"));

    let quarantine = statement("UPDATE signals SET state = 'quarantined'", "-- SQLite");
    let digits: String = fingerprint(1).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let quarantine = quarantine.replace("<64 digits>", &digits);
    assert_eq!(prompt.execute(&quarantine, []).unwrap(), 1);
    assert_eq!(prompt.execute(&quarantine, []).unwrap(), 0, "only what nobody has claimed");
    let word = db.apply(&resolve(1, 0, Resolution::Executed)).unwrap();
    assert_eq!(word, StoreReply::State(Some(SignalState::Executed)));

    let opened = db.apply(&open_epoch(epoch, "b")).unwrap();
    assert!(!is_fenced(&opened), "{opened:?}");
    assert!(!matches!(db.apply(&execute(1, epoch + 1, "b")).unwrap(), StoreReply::Claimed { .. }), "never sent again");
}
