//! What the simulated store does when it is busy or full, the real one does: calls that write fail and leave
//! nothing, calls that read are answered, and afterwards everything works as if nothing had been.
//!
//! The simulation decides by [`CallName::only_reads`] which calls those are; here it is held to that.
#![allow(clippy::unwrap_used)] // In a test, also outside its functions, to panic is to fail.

use std::time::Duration;

use oncegate_protocol::call::{Claim, Purpose, Resolution, Verdict};
use oncegate_protocol::{
    BrokerOrderId, Epoch, Fingerprint, Holder, KeyFormat, Leg, Outcome, Signal, StoreCall, StoreReply, Wall,
};
use oncegate_sim::world::calls::CallName;
use oncegate_sqlite_store::Db;

const AT: Wall = Wall::from_millis(1_000);

fn fingerprint(n: u64) -> Fingerprint {
    Fingerprint::of_bytes(&n.to_be_bytes())
}

fn holder() -> Holder {
    Holder::new("a:0000000000000000:1")
}

fn insert(n: u64, size: usize) -> StoreCall {
    let (raw, digest) = (vec![b' '; size], fingerprint(n));
    StoreCall::Insert {
        signal: Signal { fingerprint: digest, body_digest: digest, raw, expires_at: None, legs: 1 },
        at: AT,
    }
}

fn open_epoch(expected: u64) -> StoreCall {
    StoreCall::OpenEpoch { expected: Epoch(expected), holder: holder(), at: AT }
}

fn claim(n: u64, epoch: u64) -> StoreCall {
    StoreCall::Claim(Claim {
        fingerprint: fingerprint(n),
        leg: Leg(0),
        epoch: Epoch(epoch),
        holder: holder(),
        number: 1,
        client_order_id: fingerprint(n).client_order_id(Leg(0), &KeyFormat::default()),
        purpose: Purpose::Execute,
        at: AT,
    })
}

/// A store in which each of [`every_call`] changes something, or reads something: signal 1 is in quarantine, 2 is
/// executing, 3 has been received.
fn prepare(db: &mut Db) {
    let quarantine = StoreCall::Conclude {
        fingerprint: fingerprint(1),
        epoch: Epoch(2),
        holder: holder(),
        verdict: Verdict::Quarantine("blind".into()),
        at: AT,
    };
    let steps = [
        insert(1, 10),
        insert(2, 10),
        insert(3, 10),
        open_epoch(0),
        claim(1, 1),
        open_epoch(1),
        quarantine,
        claim(2, 2),
    ];
    for call in steps {
        db.apply(&call).unwrap();
    }
}

/// One of each kind. In this order each still has its effect after those before it.
fn every_call() -> Vec<StoreCall> {
    let fingerprint_of = fingerprint;
    let outcome = StoreCall::RecordOutcome {
        fingerprint: fingerprint_of(2),
        leg: Leg(0),
        number: 1,
        owner: holder(),
        outcome: Outcome::Accepted(BrokerOrderId::new("b1")),
        at: AT,
    };
    let expire = StoreCall::Conclude {
        fingerprint: fingerprint_of(4),
        epoch: Epoch(2),
        holder: holder(),
        verdict: Verdict::Expire,
        at: AT,
    };
    let resolve = StoreCall::Resolve {
        fingerprint: fingerprint_of(1),
        resolution: Resolution::Resend,
        attempts: 1,
        reason: "looked".into(),
        at: AT,
    };
    let vacate = StoreCall::Vacate { epoch: Epoch(2), holder: holder(), reason: "asked".into(), at: AT };
    let beat = StoreCall::Heartbeat { epoch: Epoch(2), holder: holder(), at: AT.plus(Duration::from_secs(1)) };
    vec![
        StoreCall::ReadLeadership,
        StoreCall::ReadPending { limit: 10 },
        StoreCall::ReadSignal { fingerprint: fingerprint_of(1) },
        insert(4, 10),
        beat,
        claim(3, 2),
        outcome,
        expire,
        resolve,
        vacate,
        StoreCall::SetPause { paused: true, seen: 0, reason: "halted".into(), at: AT },
        open_epoch(2),
    ]
}

#[test]
fn a_store_that_is_busy_fails_what_writes_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("busy.db");
    let mut db = Db::open(&path).unwrap();
    prepare(&mut db);
    // No test of how long it waits.
    db.connection().busy_timeout(Duration::from_millis(5)).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    let kinds: std::collections::BTreeSet<_> = every_call().iter().map(CallName::of_store).collect();
    let known = CallName::ALL.into_iter().filter(|name| name.peer() == "store").count();
    assert_eq!(kinds.len(), known, "a kind of call is not probed");
    for call in every_call() {
        let before = db.signals().unwrap();
        let leadership = db.leadership().unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let reply = db.apply(&call);
        assert_eq!(reply.is_ok(), CallName::of_store(&call).only_reads(), "{call:?} while busy: {reply:?}");
        other.execute_batch("ROLLBACK").unwrap();
        assert_eq!((db.signals().unwrap(), db.leadership().unwrap()), (before, leadership), "{call:?} left something");
        db.apply(&call).unwrap();
    }
}

#[test]
fn a_store_that_is_full_keeps_what_it_has_and_takes_more_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let mut db = Db::open(folder.path().join("full.db")).unwrap();
    prepare(&mut db);
    let pages: i64 = db.connection().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let limit = |db: &mut Db, pages: i64| {
        db.connection().query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    };
    limit(&mut db, pages + 4);
    let mut kept = 3;
    let refused = loop {
        let call = insert(10 + kept, 2_000);
        match db.apply(&call) {
            Ok(reply) => assert!(matches!(reply, StoreReply::Stored { new: true, .. }), "{reply:?}"),
            Err(error) => {
                assert!(error.to_string().contains("full"), "{error}");
                break call;
            }
        }
        kept += 1;
        assert!(kept < 100, "there is no limit");
    };
    assert!(db.apply(&refused).is_err(), "full is full");
    assert_eq!(db.signals().unwrap().len() as u64, kept, "what was refused left something, or took something along");
    for call in every_call().iter().filter(|call| CallName::of_store(call).only_reads()) {
        db.apply(call).unwrap();
    }
    limit(&mut db, 1_000_000);
    assert!(matches!(db.apply(&refused).unwrap(), StoreReply::Stored { new: true, .. }));
    let sound: String = db.connection().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}
