//! What people read of a store, against the store itself.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::{
    accepted, claim_leg, conclude, execute, fingerprint, holder, insert, insert_legs, leg_outcome, open_epoch, outcome,
    resolve, unknown,
};
use oncegate_coordinator::Ledger as _;
use oncegate_coordinator::ledger::Wanted;
use oncegate_protocol::call::{Resolution, Verdict};
use oncegate_protocol::{Outcome, SignalState, StoreCall, Wall};
use oncegate_sqlite_store::{Db, DbError, SqliteLedger};
use rusqlite::Connection;
use tempfile::TempDir;

/// Every state, several times over, mixed; and a history of three epochs.
fn filled() -> (TempDir, SqliteLedger, Db) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let mut db = Db::open(&path).unwrap();
    let mut all = vec![open_epoch(0, "a")];
    for n in 1..=40 {
        all.push(insert(n));
        match n % 8 {
            0 => all.push(execute(n, 1, "a")),
            1 => all.extend([execute(n, 1, "a"), outcome(n, 1, "a", accepted())]),
            2 => all.extend([execute(n, 1, "a"), outcome(n, 1, "a", Outcome::Rejected("no funds".into()))]),
            3 => all.extend([execute(n, 1, "a"), outcome(n, 1, "a", unknown())]),
            4 => all.push(conclude(n, 1, "a", Verdict::Expire)),
            5 | 6 => all.extend([
                execute(n, 1, "a"),
                outcome(n, 1, "a", unknown()),
                conclude(n, 1, "a", Verdict::Quarantine("nobody can tell".into())),
            ]),
            _ => {}
        }
        if n % 16 == 7 {
            all.push(insert_legs(100 + n, 2));
            all.extend([claim_leg(100 + n, 0, 1, 1, "a"), leg_outcome(100 + n, 0, 1, "a", accepted())]);
            all.push(conclude(100 + n, 1, "a", Verdict::Expire));
        }
        if n % 8 == 6 {
            all.push(resolve(n, 1, Resolution::NotExecuted));
        }
    }
    for call in &all {
        db.apply(call).unwrap();
    }
    let ledger = SqliteLedger::open(&path).unwrap();
    (folder, ledger, db)
}

fn wanted(states: &[SignalState], before: Option<u64>, limit: u32) -> Wanted {
    Wanted { states: states.to_vec(), before, limit }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn lists_are_the_stores_own_rows_newest_first_page_by_page() {
    let (_folder, ledger, db) = filled();
    let all = db.signals().unwrap();
    assert!(SignalState::ALL.iter().all(|state| all.iter().any(|record| record.state == *state)));
    let some = [SignalState::InDoubt, SignalState::Quarantined, SignalState::Executed, SignalState::InDoubt];
    let each = SignalState::ALL.map(|state| vec![state]);
    for states in each.into_iter().chain([vec![], SignalState::ALL.to_vec(), some.to_vec()]) {
        let mut expected: Vec<_> =
            all.iter().filter(|record| states.is_empty() || states.contains(&record.state)).cloned().collect();
        expected.reverse();
        let mut found = Vec::new();
        let mut before = None;
        loop {
            let page = run(ledger.signals(wanted(&states, before, 3))).unwrap();
            assert!(page.len() <= 3);
            let Some(last) = page.last() else { break };
            before = Some(last.record.sequence);
            found.extend(page.into_iter().map(|entry| entry.record));
        }
        assert_eq!(found, expected, "{states:?}");
    }
}

#[test]
fn counts_are_exact_and_the_oldest_is_the_first_to_arrive() {
    let (_folder, ledger, mut db) = filled();
    // One of its own instant, so that the oldest can be told from the others.
    let StoreCall::Insert { signal, .. } = insert(41) else { unreachable!() };
    db.apply(&StoreCall::Insert { signal, at: Wall::from_millis(77) }).unwrap();
    let tally = run(ledger.tally()).unwrap();
    assert_eq!(tally.iter().map(|tally| tally.state).collect::<Vec<_>>(), SignalState::ALL);
    let all = db.signals().unwrap();
    for tally in &tally {
        let those = all.iter().filter(|record| record.state == tally.state).count();
        assert_eq!(tally.count, those as u64, "{:?}", tally.state);
        assert_eq!(tally.oldest, (those > 0).then_some(kit::AT), "{:?}", tally.state);
    }
    // A repeat that changes nothing gives its number back.
    db.apply(&insert(41)).unwrap();
    assert_eq!(run(ledger.tally()).unwrap(), tally);

    let empty = tempfile::tempdir().unwrap();
    Db::open(empty.path().join("e.db")).unwrap();
    let tally = run(SqliteLedger::open(empty.path().join("e.db")).unwrap().tally()).unwrap();
    assert!(tally.iter().all(|tally| tally.count == 0 && tally.oldest.is_none()));
}

#[test]
fn a_signal_comes_with_its_attempts_and_with_what_was_decided() {
    let (_folder, ledger, db) = filled();
    let entry = run(ledger.signal(fingerprint(6))).unwrap().unwrap();
    assert_eq!(entry.record, db.signals().unwrap()[5]);
    assert_eq!((entry.record.attempts.len(), entry.received_at), (1, kit::AT));
    let told: Vec<_> = entry.decisions.iter().map(|d| (d.leader.clone(), &*d.verdict, &*d.detail)).collect();
    assert_eq!(told, [(Some(holder("a")), "quarantine", "nobody can tell"), (None, "not_executed", "looked")]);
    assert_eq!(run(ledger.signal(fingerprint(99))).unwrap(), None);
}

#[test]
fn history_is_newest_first_and_limited() {
    let (_folder, ledger, mut db) = filled();
    db.apply(&open_epoch(1, "b")).unwrap();
    db.apply(&open_epoch(2, "c")).unwrap();
    let terms = run(ledger.history(2)).unwrap();
    assert_eq!(terms.iter().map(|term| term.epoch.0).collect::<Vec<_>>(), [3, 2]);
    assert_eq!((&terms[0].closed, &terms[0].holder), (&None, &holder("c")));
    assert!(terms[1].closed.as_ref().unwrap().1.contains("opened epoch 3"));
}

/// A writer in the middle of its commit does not make a reader wait, nor a reader the writer.
#[test]
fn readers_and_writers_do_not_wait_for_each_other() {
    let (folder, ledger, mut db) = filled();
    db.connection().execute_batch("BEGIN IMMEDIATE; UPDATE leadership SET heartbeat_at = 5").unwrap();
    assert_eq!(run(ledger.signals(wanted(&[], None, 99))).unwrap().len(), 43);
    db.connection().execute_batch("COMMIT").unwrap();

    let reader = Connection::open(folder.path().join("ledger.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM signals").unwrap();
    db.apply(&insert(50)).unwrap();
    assert_eq!(run(ledger.signals(wanted(&[], None, 99))).unwrap().len(), 44);
}

#[test]
fn a_ledger_makes_no_store_and_reads_one_that_is_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.db");
    assert!(SqliteLedger::open(&path).is_err());
    assert!(!path.exists());

    let newest = oncegate_sqlite_store::schema::NEWEST;
    Db::open(&path)
        .unwrap()
        .connection()
        .execute_batch(&format!("DROP INDEX signals_not_executed; PRAGMA user_version = {}", newest - 1))
        .unwrap();
    let ledger = SqliteLedger::open(&path).unwrap();
    assert!(run(ledger.signals(wanted(&[SignalState::Failed], None, 9))).unwrap().is_empty());
    assert_eq!(run(ledger.tally()).unwrap().len(), SignalState::ALL.len());
    assert!(matches!(Db::open_existing(&path), Err(DbError::OlderVersion { .. })));
}
