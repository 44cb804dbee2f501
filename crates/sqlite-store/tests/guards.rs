//! One test for each guard that the store keeps, by the calls and then beneath them.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::{
    AT, accepted, after, claim_for, conclude, every_row, execute, fingerprint, holder, insert, insert_legs, is_fenced,
    nth, open_epoch, outcome, recover, resolve, signal, unknown,
};
use oncegate_protocol::call::{Purpose, Resolution, Verdict};
use oncegate_protocol::{
    BrokerOrderId, ClientOrderId, Epoch, Fingerprint, Leg, Outcome, SignalState, StoreCall, StoreReply,
};
use oncegate_sqlite_store::Db;

fn state(state: SignalState) -> StoreReply {
    StoreReply::State(Some(state))
}

/// Applies a call to a store that others have been applied to.
fn then(calls: &[StoreCall], last: &StoreCall) -> StoreReply {
    after(calls).apply(last).unwrap()
}

#[test]
fn a_claim_needs_the_newest_epoch_and_its_holder() {
    let calls = [insert(1), open_epoch(0, "a"), open_epoch(1, "b")];
    for stale in [execute(1, 1, "a"), execute(1, 2, "a"), execute(1, 1, "b"), execute(1, 3, "b")] {
        assert!(is_fenced(&then(&calls, &stale)), "{stale:?}");
    }
    assert_eq!(then(&calls, &execute(1, 2, "b")), StoreReply::Claimed { number: 1 });
}

#[test]
fn nobody_claims_once_the_leadership_is_vacated() {
    let vacate = StoreCall::Vacate { epoch: Epoch(1), holder: holder("a"), reason: "asked".into(), at: AT };
    let mut db = after(&[insert(1), open_epoch(0, "a"), vacate]);
    assert!(is_fenced(&db.apply(&execute(1, 1, "a")).unwrap()));
    let leadership = db.leadership().unwrap();
    assert_eq!((leadership.epoch, leadership.holder), (Epoch(1), None));
    assert_eq!(db.history().unwrap()[0].closed, Some((AT, "asked".to_owned())));
    assert_eq!(db.apply(&open_epoch(1, "a")).unwrap(), StoreReply::Opened(Epoch(2)), "epochs go on");
}

#[test]
fn a_signal_is_claimed_once() {
    let mut db = after(&[insert(1), open_epoch(0, "a")]);
    assert_eq!(db.apply(&execute(1, 1, "a")).unwrap(), StoreReply::Claimed { number: 1 });
    let StoreReply::NotClaimed(Some(record)) = db.apply(&execute(1, 1, "a")).unwrap() else {
        panic!("claimed twice");
    };
    assert_eq!(record.state, SignalState::Executing);
    assert_eq!(record.attempts[0].owner, holder("a"), "the claimant reads its own claim back");
    assert_eq!(db.apply(&execute(2, 1, "a")).unwrap(), StoreReply::NotClaimed(None));
}

#[test]
fn recovery_needs_doubt_and_a_repeat_of_its_claim_adds_no_attempt() {
    let executing = [insert(1), open_epoch(0, "a"), execute(1, 1, "a")];
    assert!(matches!(then(&executing, &recover(1, 1, "a")), StoreReply::NotClaimed(Some(_))));
    let mut db = after(&executing);
    db.apply(&open_epoch(1, "b")).unwrap();
    assert!(matches!(db.apply(&execute(1, 2, "b")).unwrap(), StoreReply::NotClaimed(Some(_))));
    assert_eq!(db.apply(&recover(1, 2, "b")).unwrap(), StoreReply::Claimed { number: 2 });
    let StoreReply::NotClaimed(Some(record)) = db.apply(&recover(1, 2, "b")).unwrap() else {
        panic!("a repeat added an attempt");
    };
    assert_eq!((record.state, record.attempts.len()), (SignalState::InDoubt, 2));
    db.apply(&outcome(1, 2, "b", unknown())).unwrap();
    let again = nth(3, 1, 2, "b", Purpose::Recover);
    assert_eq!(db.apply(&again).unwrap(), StoreReply::Claimed { number: 3 }, "once settled, again");
    db.apply(&open_epoch(2, "c")).unwrap();
    let others = nth(4, 1, 3, "c", Purpose::Recover);
    assert_eq!(db.apply(&others).unwrap(), StoreReply::Claimed { number: 4 }, "or by another leader");
}

/// A copy that was held up on its way, until the attempt that it had become was over.
#[test]
fn a_copy_of_a_claim_changes_nothing_however_late_it_comes() {
    let not_sent = |number| outcome(1, number, "a", Outcome::NotSent("gate".into()));
    let mut db = after(&[insert(1), open_epoch(0, "a"), execute(1, 1, "a"), not_sent(1)]);
    let rows = every_row(&mut db);
    let StoreReply::NotClaimed(Some(record)) = db.apply(&execute(1, 1, "a")).unwrap() else {
        panic!("a copy claimed");
    };
    assert_eq!((record.state, record.attempts.len()), (SignalState::Received, 1));
    assert_eq!(every_row(&mut db), rows);

    let second = nth(2, 1, 1, "a", Purpose::Execute);
    assert_eq!(db.apply(&second).unwrap(), StoreReply::Claimed { number: 2 });
    db.apply(&outcome(1, 2, "a", unknown())).unwrap();
    let third = nth(3, 1, 1, "a", Purpose::Recover);
    assert_eq!(db.apply(&third).unwrap(), StoreReply::Claimed { number: 3 });
    db.apply(&outcome(1, 3, "a", unknown())).unwrap();
    let rows = every_row(&mut db);
    for claim in [execute(1, 1, "a"), second, third] {
        assert!(matches!(db.apply(&claim).unwrap(), StoreReply::NotClaimed(Some(_))), "{claim:?}");
        assert_eq!(every_row(&mut db), rows);
    }
}

#[test]
fn a_claim_that_leaves_an_attempt_out_is_refused() {
    let received = [insert(1), open_epoch(0, "a")];
    for number in [0, 2, u32::MAX] {
        let claim = nth(number, 1, 1, "a", Purpose::Execute);
        assert!(matches!(then(&received, &claim), StoreReply::NotClaimed(Some(_))), "{number}");
    }
}

#[test]
fn an_outcome_is_its_owners_to_tell_whatever_the_epoch() {
    let deposed = [insert(1), open_epoch(0, "a"), execute(1, 1, "a"), open_epoch(1, "b")];
    assert_eq!(then(&deposed, &outcome(1, 1, "b", accepted())), state(SignalState::InDoubt));
    assert_eq!(then(&deposed, &outcome(1, 2, "a", accepted())), state(SignalState::InDoubt));
    assert_eq!(then(&deposed, &outcome(2, 1, "a", accepted())), StoreReply::State(None));
    assert_eq!(then(&deposed, &outcome(1, 1, "a", accepted())), state(SignalState::Executed));
    assert_eq!(then(&deposed, &outcome(1, 1, "a", Outcome::NotSent("gate".into()))), state(SignalState::Received));
}

#[test]
fn what_is_known_of_an_attempt_is_never_unlearned() {
    let mut db = after(&[insert(1), open_epoch(0, "a"), execute(1, 1, "a"), outcome(1, 1, "a", unknown())]);
    let not_sent = outcome(1, 1, "a", Outcome::NotSent("n".into()));
    assert_eq!(db.apply(&not_sent).unwrap(), state(SignalState::InDoubt));
    assert_eq!(db.apply(&outcome(1, 1, "a", accepted())).unwrap(), state(SignalState::Executed));
    let rows = every_row(&mut db);
    db.apply(&outcome(1, 1, "a", unknown())).unwrap();
    assert_eq!(every_row(&mut db), rows);
}

/// A broker that absorbs a repeated id answers "accepted" to both leaders, and both say so: it is one order.
#[test]
fn two_attempts_at_one_order_may_both_be_accepted() {
    let recovered = [insert(1), open_epoch(0, "a"), execute(1, 1, "a"), open_epoch(1, "b"), recover(1, 2, "b")];
    let mut db = after(&recovered);
    assert_eq!(db.apply(&outcome(1, 2, "b", accepted())).unwrap(), state(SignalState::Executed));
    assert_eq!(db.apply(&outcome(1, 1, "a", accepted())).unwrap(), state(SignalState::Executed));
    assert!(db.signals().unwrap()[0].attempts.iter().all(|attempt| attempt.outcome == Some(accepted())));
}

#[test]
fn an_epoch_is_opened_by_one_and_puts_what_executes_in_doubt() {
    let mut db = after(&[insert(1), insert(2), open_epoch(0, "a"), execute(1, 1, "a")]);
    assert_eq!(db.apply(&open_epoch(1, "b")).unwrap(), StoreReply::Opened(Epoch(2)));
    assert!(is_fenced(&db.apply(&open_epoch(1, "c")).unwrap()));
    let states: Vec<_> = db.signals().unwrap().iter().map(|signal| signal.state).collect();
    assert_eq!(states, [SignalState::InDoubt, SignalState::Received]);
    let history = db.history().unwrap();
    assert_eq!(history.iter().map(|entry| entry.closed.is_some()).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_heartbeat_is_the_leaders() {
    let beat = |epoch, name| StoreCall::Heartbeat { epoch: Epoch(epoch), holder: holder(name), at: AT };
    let led = [open_epoch(0, "a"), open_epoch(1, "b")];
    assert_eq!(then(&led, &beat(2, "b")), StoreReply::Done);
    for stale in [beat(1, "a"), beat(2, "a"), beat(1, "b"), beat(u64::MAX, "b")] {
        assert!(is_fenced(&then(&led, &stale)), "{stale:?}");
    }
}

#[test]
fn a_repeat_is_told_where_the_signal_stands_and_whether_the_body_differs() {
    let executed = [insert(1), open_epoch(0, "a"), execute(1, 1, "a"), outcome(1, 1, "a", accepted())];
    let repeat = StoreReply::Stored { new: false, state: SignalState::Executed, same_body: true };
    assert_eq!(then(&executed, &insert(1)), repeat);
    let mut other = signal(1);
    other.body_digest = Fingerprint::of_bytes(b"other");
    other.raw = b"other".to_vec();
    let mut db = after(&executed);
    let conflict = StoreReply::Stored { new: false, state: SignalState::Executed, same_body: false };
    assert_eq!(db.apply(&StoreCall::Insert { signal: other, at: AT }).unwrap(), conflict);
    assert_eq!(db.signals().unwrap()[0].raw, signal(1).raw, "the stored one stands");
}

#[test]
fn each_verdict_needs_its_state_and_the_leadership() {
    let found = || Verdict::Found { leg: Leg(0), id: BrokerOrderId::new("b1") };
    let received = [insert(1), open_epoch(0, "a")];
    assert_eq!(then(&received, &conclude(1, 1, "a", found())), state(SignalState::Received));
    assert_eq!(then(&received, &conclude(1, 1, "a", Verdict::Expire)), state(SignalState::Expired));
    assert!(is_fenced(&then(&received, &conclude(1, 1, "b", Verdict::Expire))));
    assert_eq!(then(&received, &conclude(2, 1, "a", Verdict::Expire)), StoreReply::State(None));
    let doubt = [insert(1), open_epoch(0, "a"), execute(1, 1, "a"), open_epoch(1, "b")];
    assert!(is_fenced(&then(&doubt, &conclude(1, 1, "a", found()))));
    assert_eq!(then(&doubt, &conclude(1, 2, "b", Verdict::Expire)), state(SignalState::InDoubt));
    assert_eq!(then(&doubt, &conclude(1, 2, "b", found())), state(SignalState::Executed));
    let quarantine = conclude(1, 2, "b", Verdict::Quarantine("blind".into()));
    assert_eq!(then(&doubt, &quarantine), state(SignalState::Quarantined));
}

#[test]
fn an_operator_decides_on_what_is_quarantined_and_nothing_else() {
    let doubt = [insert(1), open_epoch(0, "a"), execute(1, 1, "a"), open_epoch(1, "b")];
    assert_eq!(then(&doubt, &resolve(1, 1, Resolution::Resend)), state(SignalState::InDoubt));
    assert_eq!(then(&doubt, &resolve(2, 0, Resolution::Resend)), StoreReply::State(None));
    let mut db = after(&doubt);
    db.apply(&conclude(1, 2, "b", Verdict::Quarantine("blind".into()))).unwrap();
    let rows = every_row(&mut db);
    for unseen in [0, 2] {
        let other = resolve(1, unseen, Resolution::Resend);
        assert_eq!(db.apply(&other).unwrap(), state(SignalState::Quarantined));
        assert_eq!(every_row(&mut db), rows);
    }
    assert_eq!(db.apply(&resolve(1, 1, Resolution::Resend)).unwrap(), state(SignalState::Received));
    let again = nth(2, 1, 2, "b", Purpose::Execute);
    assert_eq!(db.apply(&again).unwrap(), StoreReply::Claimed { number: 2 });
}

fn quarantined_once() -> Vec<StoreCall> {
    let quarantine = conclude(1, 2, "b", Verdict::Quarantine("blind".into()));
    vec![insert(1), open_epoch(0, "a"), execute(1, 1, "a"), open_epoch(1, "b"), quarantine]
}

/// The operator's word was lost and said again; that was acted on; then the first one lands.
#[test]
fn a_late_resend_that_lands_in_a_new_quarantine_changes_nothing() {
    let resend = resolve(1, 1, Resolution::Resend);
    let mut db = after(&quarantined_once());
    for call in [resend.clone(), nth(2, 1, 2, "b", Purpose::Execute), outcome(1, 2, "b", unknown())] {
        db.apply(&call).unwrap();
    }
    db.apply(&conclude(1, 2, "b", Verdict::Quarantine("blind".into()))).unwrap();
    let rows = every_row(&mut db);
    for late in [resend, resolve(1, 1, Resolution::NotExecuted), resolve(1, 1, Resolution::Executed)] {
        assert_eq!(db.apply(&late).unwrap(), state(SignalState::Quarantined), "{late:?}");
        assert_eq!(every_row(&mut db), rows);
    }
    assert_eq!(db.apply(&resolve(1, 2, Resolution::Resend)).unwrap(), state(SignalState::Received));
}

fn resent() -> Vec<StoreCall> {
    let mut calls = quarantined_once();
    calls.extend([resolve(1, 1, Resolution::Resend), nth(2, 1, 2, "b", Purpose::Execute)]);
    calls
}

#[test]
fn a_try_that_was_resent_and_not_sent_is_received_again() {
    let not_sent = outcome(1, 2, "b", Outcome::NotSent("gate".into()));
    assert_eq!(then(&resent(), &not_sent), state(SignalState::Received));
    assert_eq!(then(&resent(), &outcome(1, 2, "b", unknown())), state(SignalState::InDoubt));
    // Its owner learns late how the first one ended; only "accepted" matters to anybody but the record.
    for (late, stands) in [(unknown(), SignalState::Received), (accepted(), SignalState::Executed)] {
        let mut db = after(&resent());
        db.apply(&not_sent).unwrap();
        assert_eq!(db.apply(&outcome(1, 1, "a", late.clone())).unwrap(), state(stands));
        let first = &db.signals().unwrap()[0].attempts[0];
        assert_eq!((first.outcome.as_ref(), first.answered_for), (Some(&late), true));
    }
}

#[test]
fn an_order_that_was_resent_and_turns_out_to_have_been_accepted_is_executed_wherever_it_stands() {
    let calls = resent();
    for so_far in quarantined_once().len()..=calls.len() {
        assert_eq!(then(&calls[..so_far], &outcome(1, 1, "a", accepted())), state(SignalState::Executed), "{so_far}");
    }
}

#[test]
fn what_is_owed_comes_in_order_of_arrival_and_bounded_by_kind() {
    let mut calls = vec![open_epoch(0, "a")];
    calls.extend((1..=6).map(insert));
    calls.extend([execute(2, 1, "a"), execute(4, 1, "a"), execute(5, 1, "a"), outcome(5, 1, "a", accepted())]);
    let StoreReply::Pending { records: pending, .. } = then(&calls, &StoreCall::ReadPending { limit: 2 }) else {
        panic!()
    };
    let order: Vec<_> = pending.iter().map(|record| record.fingerprint).collect();
    assert_eq!(order, [1, 2, 3, 4].map(fingerprint));
}

#[test]
fn the_newest_quarantines_are_owed_a_telling_until_they_are_resolved() {
    let mut calls = vec![open_epoch(0, "a")];
    for n in 1..=4 {
        calls.extend([insert(n), execute(n, 1, "a"), outcome(n, 1, "a", unknown())]);
        calls.push(conclude(n, 1, "a", Verdict::Quarantine("blind".into())));
    }
    calls.extend([insert(5), insert(6)]);
    let read = |calls: &[StoreCall]| {
        let StoreReply::Pending { records: pending, .. } = then(calls, &StoreCall::ReadPending { limit: 2 }) else {
            panic!()
        };
        pending.iter().map(|record| record.fingerprint).collect::<Vec<_>>()
    };
    assert_eq!(read(&calls), [3, 4, 5, 6].map(fingerprint), "and they take no room from what is to be done");
    calls.push(resolve(4, 1, Resolution::Executed));
    assert_eq!(read(&calls), [2, 3, 5, 6].map(fingerprint));
    assert_eq!(read(&calls[..5]), [1].map(fingerprint), "though nothing else is owed");
}

#[test]
fn an_order_keeps_its_client_order_id_and_shares_it_with_none() {
    let mut db = after(&[
        insert_legs(3, 2),
        insert(1),
        insert(2),
        open_epoch(0, "a"),
        execute(1, 1, "a"),
        outcome(1, 1, "a", unknown()),
        execute(3, 1, "a"),
        outcome(3, 1, "a", accepted()),
    ]);
    let mut renamed = claim_for(1, 1, "a", Purpose::Recover);
    renamed.client_order_id = ClientOrderId::new("after-a-change-of-the-key-format");
    let mut taken = claim_for(2, 1, "a", Purpose::Execute);
    taken.client_order_id = claim_for(1, 1, "a", Purpose::Execute).client_order_id;
    let mut other_leg = claim_for(3, 1, "a", Purpose::Execute);
    other_leg.leg = Leg(1);
    let rows = every_row(&mut db);
    for (claim, why) in
        [(renamed, "under another client order id"), (taken, "another signal"), (other_leg, "another signal")]
    {
        let error = db.apply(&StoreCall::Claim(claim)).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    assert_eq!(every_row(&mut db), rows);
}

#[test]
fn evidence_can_be_neither_deleted_nor_rewritten() {
    let mut db = after(&[insert(1), open_epoch(0, "a"), execute(1, 1, "a"), outcome(1, 1, "a", accepted())]);
    let rows = every_row(&mut db);
    for sql in [
        "DELETE FROM signals",
        "DELETE FROM attempts",
        "DELETE FROM leadership",
        "INSERT OR REPLACE INTO leadership VALUES (1, 0, NULL, 0)",
        "UPDATE leadership SET epoch = 0",
        "UPDATE leadership SET holder = 'b:0:1'",
        "UPDATE attempts SET epoch = 2",
        "UPDATE attempts SET owner = 'b:0:1'",
        "UPDATE attempts SET outcome = NULL, outcome_detail = NULL, outcome_at = NULL",
        "UPDATE signals SET state = 'done'",
    ] {
        assert!(db.connection().execute_batch(sql).is_err(), "{sql} was taken");
    }
    assert_eq!(every_row(&mut db), rows);
}

/// However a row is offered: it is passed over, not refused, so that a claimant's statement needs no guard.
#[test]
fn no_statement_gets_an_attempt_past_the_guards_of_a_claim() {
    let mut db = after(&[insert(1), insert(2), open_epoch(0, "a"), execute(1, 1, "a")]);
    let rows = every_row(&mut db);
    for (n, number, epoch, name, purpose) in [
        (2, 1, 0, "a", "execute"),
        (2, 1, 2, "a", "execute"),
        (2, 1, 1, "b", "execute"),
        (2, 1, 1, "a", "recover"),
        (2, 2, 1, "a", "execute"),
        (1, 2, 1, "a", "execute"),
    ] {
        let inserted = db.connection().execute(
            "INSERT OR IGNORE INTO attempts (fingerprint, leg, number, ordinal, client_order_id, epoch, owner, purpose,
                                             claimed_at)
             SELECT ?1, 0, ?2, 7, 'id', ?3, ?4, ?5, 0",
            (fingerprint(n).as_bytes(), number, epoch, holder(name).as_str(), purpose),
        );
        assert_eq!(inserted.unwrap(), 0, "{n} {number} {epoch} {name} {purpose}");
    }
    assert_eq!(every_row(&mut db), rows);
}

/// Every call that writes, interrupted at its last write.
#[test]
fn a_call_that_fails_halfway_leaves_nothing() {
    let doubt = [insert(1), open_epoch(0, "a"), execute(1, 1, "a"), open_epoch(1, "b"), insert(2)];
    let quarantine = conclude(1, 2, "b", Verdict::Quarantine("blind".into()));
    let quarantined: Vec<_> = doubt.iter().cloned().chain([quarantine.clone()]).collect();
    for (before, call, last_write) in [
        (&doubt[..], insert(3), "INSERT ON signals"),
        (&doubt[..], execute(2, 2, "b"), "UPDATE ON signals"),
        (&doubt[..], outcome(1, 1, "a", accepted()), "UPDATE ON signals"),
        (&doubt[..], quarantine, "INSERT ON conclusions"),
        (&doubt[..], open_epoch(2, "c"), "UPDATE ON leadership"),
        (&quarantined[..], resolve(1, 1, Resolution::Resend), "INSERT ON resolutions"),
    ] {
        let mut db: Db = after(before);
        let fault = format!("CREATE TRIGGER fault AFTER {last_write} BEGIN SELECT RAISE(FAIL, 'disk'); END");
        db.connection().execute_batch(&fault).unwrap();
        let rows = every_row(&mut db);
        db.apply(&call).unwrap_err();
        assert_eq!(every_row(&mut db), rows, "{call:?}");
        db.connection().execute_batch("DROP TRIGGER fault").unwrap();
        db.apply(&call).unwrap();
        assert_ne!(every_row(&mut db), rows, "{call:?} was not hindered by anything else");
    }
}

/// However it fails: what was written of it is undone, counted, and everything else is committed.
#[test]
fn a_history_that_cannot_be_written_stops_nobody_from_leading_or_leaving() {
    let vacate = StoreCall::Vacate { epoch: Epoch(2), holder: holder("b"), reason: "asked".into(), at: AT };
    let led = [insert(1), open_epoch(0, "a"), execute(1, 1, "a")];
    for how in ["ABORT", "FAIL"] {
        let mut db = after(&led);
        let fault = |write: &str| {
            format!(
                "CREATE TRIGGER fault_{write} AFTER {write} ON leadership_history BEGIN SELECT RAISE({how}, 'disk'); END"
            )
        };
        db.connection().execute_batch(&fault("INSERT")).unwrap();
        assert_eq!(db.apply(&open_epoch(1, "b")).unwrap(), StoreReply::Opened(Epoch(2)), "{how}");
        assert_eq!(db.leadership().unwrap().holder, Some(holder("b")));
        assert_eq!(db.signals().unwrap()[0].state, SignalState::InDoubt);
        let history = db.history().unwrap();
        assert_eq!((history.len(), &history[0].closed), (1, &None), "half of it was kept");
        db.connection().execute_batch("DROP TRIGGER fault_INSERT").unwrap();
        db.connection().execute_batch(&fault("UPDATE")).unwrap();
        db.connection().execute_batch("INSERT INTO leadership_history VALUES (2, 'b', 0, NULL, NULL)").unwrap();
        assert_eq!(db.apply(&vacate).unwrap(), StoreReply::Done, "{how}");
        assert_eq!(db.leadership().unwrap().holder, None);
        assert_eq!(db.history_failures().load(std::sync::atomic::Ordering::Relaxed), 2, "{how}");
    }
}
