//! Several connections and several processes on one file, and what is left when one of them dies.

#![allow(clippy::unwrap_used)]

mod kit;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use kit::{accepted, every_row, execute, fingerprint, holder, insert, open_epoch, outcome};
use oncegate_protocol::{SignalState, StoreCall, StoreReply};
use oncegate_sqlite_store::Db;

/// The claims that one racer was granted, as (signal, epoch).
fn race(path: &Path, name: &str, signals: u64) -> Vec<(u64, u64)> {
    let mut db = Db::open(path).unwrap();
    let mut granted = Vec::new();
    for n in 1..=signals {
        let known = db.leadership().unwrap();
        // Takes the leadership before every third signal, and else claims on what it believes, stale or not.
        let mut epoch = known.epoch.0;
        if n % 3 == 0
            && let StoreReply::Opened(opened) = db.apply(&open_epoch(epoch, name)).unwrap()
        {
            epoch = opened.0;
        }
        thread::yield_now();
        if let StoreReply::Claimed { number } = db.apply(&execute(n, epoch, name)).unwrap() {
            assert_eq!(number, 1);
            granted.push((n, epoch));
        }
    }
    granted
}

#[test]
fn racing_leaders_never_share_a_claim_and_never_claim_under_a_stale_epoch() {
    const SIGNALS: u64 = 60;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("race.db");
    let mut db = Db::open(&path).unwrap();
    for n in 1..=SIGNALS {
        db.apply(&insert(n)).unwrap();
    }
    // A witness of our own: what the leadership was at the instant of each claim.
    db.connection()
        .execute_batch(
            "CREATE TABLE witness (fingerprint, epoch, owner, true_epoch, true_holder);
             CREATE TRIGGER witness_claims AFTER INSERT ON attempts BEGIN
                 INSERT INTO witness SELECT NEW.fingerprint, NEW.epoch, NEW.owner, epoch, holder FROM leadership;
             END;",
        )
        .unwrap();
    let path = &path;
    let granted: Vec<(u64, u64)> = thread::scope(|scope| {
        let racers = ["a", "b", "c", "d"].map(|name| scope.spawn(move || race(path, name, SIGNALS)));
        racers.into_iter().flat_map(|racer| racer.join().unwrap()).collect()
    });

    let count = |sql: &str| rusqlite::Connection::open(path).unwrap().query_row(sql, [], |r| r.get::<_, i64>(0));
    let attempts = count("SELECT count(*) FROM attempts").unwrap();
    assert_eq!(attempts, i64::try_from(granted.len()).unwrap(), "each claim that was granted is there, and no other");
    assert_eq!(count("SELECT count(DISTINCT fingerprint) FROM attempts").unwrap(), attempts);
    assert_eq!(count("SELECT count(*) FROM witness WHERE epoch <> true_epoch OR owner <> true_holder").unwrap(), 0);
    assert_eq!(count("SELECT count(*) FROM witness").unwrap(), attempts);
    assert!(attempts > 0 && db.history().unwrap().len() > 1, "nobody raced");
    let newest = db.leadership().unwrap().epoch;
    for record in db.signals().unwrap() {
        let expected = match record.attempts.first() {
            None => SignalState::Received,
            Some(attempt) if attempt.epoch == newest => SignalState::Executing,
            Some(_) => SignalState::InDoubt,
        };
        assert_eq!(record.state, expected);
    }
}

#[test]
fn one_signal_offered_to_several_at_once_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = &folder.path().join("mirror.db");
    drop(Db::open(path).unwrap());
    let offer = || {
        let mut db = Db::open(path).unwrap();
        (1..=30).filter(|n| matches!(db.apply(&insert(*n)).unwrap(), StoreReply::Stored { new: true, .. })).count()
    };
    let new: usize = thread::scope(|scope| {
        let nodes: Vec<_> = (0..4).map(|_| scope.spawn(offer)).collect();
        nodes.into_iter().map(|node| node.join().unwrap()).sum()
    });
    assert_eq!(new, 30);
    assert_eq!(Db::open(path).unwrap().signals().unwrap().len(), 30);
}

#[test]
fn a_store_opened_again_is_the_store_that_was_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept.db");
    let mut db = Db::open(&path).unwrap();
    for call in [insert(1), insert(2), open_epoch(0, "a"), execute(1, 1, "a"), outcome(1, 1, "a", accepted())] {
        db.apply(&call).unwrap();
    }
    let rows = every_row(&mut db);
    drop(db);
    assert_eq!(every_row(&mut Db::open(&path).unwrap()), rows);
}

#[test]
fn a_transaction_that_is_dropped_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut db = Db::open(folder.path().join("dropped.db")).unwrap();
    db.apply(&insert(1)).unwrap();
    let rows = every_row(&mut db);
    let transaction = db.connection().transaction().unwrap();
    transaction.execute("UPDATE leadership SET epoch = 5, holder = 'a:0:1'", []).unwrap();
    transaction.execute("UPDATE signals SET state = 'executing'", []).unwrap();
    drop(transaction);
    assert_eq!(every_row(&mut db), rows);
}

/// Production's promise to the sender: acknowledged is stored.
#[test]
fn a_process_that_is_killed_leaves_everything_that_it_acknowledged() {
    const FILE: &str = "ONCEGATE_TEST_FILE_OF_THE_KILLED";
    const ENOUGH: usize = 200;
    if let Ok(path) = std::env::var(FILE) {
        let mut db = Db::open(path).unwrap();
        db.apply(&open_epoch(0, "a")).unwrap();
        for n in 1.. {
            db.apply(&insert(n)).unwrap();
            db.apply(&execute(n, 1, "a")).unwrap();
            println!("\nacknowledged {n}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("killed.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "a_process_that_is_killed_leaves_everything_that_it_acknowledged"])
        .env(FILE, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let numbers = lines.filter_map(|line| line.strip_prefix("acknowledged ").map(|n| n.parse::<u64>().unwrap()));
    let acknowledged: Vec<u64> = numbers.take(ENOUGH).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(acknowledged.len(), ENOUGH);
    let mut db = Db::open(&path).unwrap();
    for n in acknowledged {
        let read = StoreCall::ReadSignal { fingerprint: fingerprint(n) };
        let StoreReply::Signal(Some(record)) = db.apply(&read).unwrap() else { panic!("{n} is lost") };
        assert_eq!((record.state, &record.attempts[0].owner), (SignalState::Executing, &holder("a")));
    }
    let sound: String = db.connection().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}
