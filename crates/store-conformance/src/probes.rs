//! What the calls of a signal store promise, one claim after another, over nothing but the port.
//!
//! A probe that one store can't pass is a promise that can't be kept: change the documentation of the call, or the
//! store.

use std::time::Duration;

use oncegate_coordinator::{BoxFuture, SignalStore};
use oncegate_protocol::call::{Claim, Purpose, Resolution, Verdict};
use oncegate_protocol::{
    BrokerOrderId, Epoch, Holder, KeyFormat, Leg, Outcome, Pause, Signal, SignalState, StoreCall, StoreReply, Wall,
};

use crate::words::*;

/// One promise, to be looked for in an empty store.
pub type Probe = for<'a> fn(&'a dyn SignalStore) -> BoxFuture<'a, ()>;

/// Every promise by what it claims.
pub const PROBES: &[(&str, Probe)] = &[
    ("a signal is stored once and its repeats are told apart", |s| Box::pin(stored_once(s))),
    ("an epoch is opened once, and only the newest holder acts", |s| Box::pin(fencing(s))),
    ("a claim is granted once, and its outcome is its owner's", |s| Box::pin(claims(s))),
    ("a new epoch puts what executes in doubt, and recovery claims it", |s| Box::pin(recovery(s))),
    ("verdicts and resolutions need their states", |s| Box::pin(verdicts(s))),
    ("what is owed comes bounded and in order of arrival", |s| Box::pin(pending(s))),
    ("what operators stopped is not begun, whoever leads and whatever lands late", |s| Box::pin(pauses(s))),
    ("legs are claimed one after another, whoever leads, and none after one that was refused", |s| Box::pin(legs(s))),
    ("a leg that is found goes on; what ends between two legs is partial, an operator's", |s| Box::pin(partial(s))),
    ("any words are kept, whatever is in them", |s| Box::pin(any_words(s))),
];

fn heartbeat(epoch: u64, name: &str, at: Wall) -> StoreCall {
    StoreCall::Heartbeat { epoch: Epoch(epoch), holder: holder(name), at }
}

/// The first attempt at an order, or a recovery as the second.
fn claim(n: u64, epoch: u64, name: &str, purpose: Purpose) -> StoreCall {
    StoreCall::Claim(claim_for(n, epoch, name, purpose))
}

fn state(state: SignalState) -> StoreReply {
    StoreReply::State(Some(state))
}

/// The answer to a call, which must come.
pub async fn ask(store: &dyn SignalStore, call: StoreCall) -> StoreReply {
    store.call(call).await.unwrap()
}

/// Calls whose answers don't matter.
pub async fn ask_all(store: &dyn SignalStore, calls: impl IntoIterator<Item = StoreCall>) {
    for call in calls {
        ask(store, call).await;
    }
}

/// Which epoch and holder the caller is told of, when it was fenced.
async fn fenced_by(store: &dyn SignalStore, call: StoreCall) -> Option<(Epoch, Option<Holder>)> {
    match ask(store, call).await {
        StoreReply::Fenced(leadership) => Some((leadership.epoch, leadership.holder)),
        _ => None,
    }
}

async fn stored_once(store: &dyn SignalStore) {
    let stored = |new, same_body| StoreReply::Stored { new, state: SignalState::Received, same_body };
    assert_eq!(ask(store, insert(1)).await, stored(true, true));
    assert_eq!(ask(store, insert(1)).await, stored(false, true));
    let other = Signal { body_digest: fingerprint(9), raw: vec![9], ..signal(1) };
    assert_eq!(ask(store, StoreCall::Insert { signal: other, at: AT }).await, stored(false, false));
    let StoreReply::Signal(Some(record)) = ask(store, StoreCall::ReadSignal { fingerprint: fingerprint(1) }).await
    else {
        panic!("it is gone");
    };
    assert_eq!((record.raw, record.state, record.attempts), (signal(1).raw, SignalState::Received, vec![]));
    let absent = StoreCall::ReadSignal { fingerprint: fingerprint(2) };
    assert_eq!(ask(store, absent).await, StoreReply::Signal(None));
}

async fn fencing(store: &dyn SignalStore) {
    let StoreReply::Leadership(first) = ask(store, StoreCall::ReadLeadership).await else { panic!() };
    assert_eq!((first.epoch, first.holder), (Epoch(0), None));
    assert_eq!(ask(store, open_epoch(0, "a")).await, StoreReply::Opened(Epoch(1)));
    assert_eq!(fenced_by(store, open_epoch(0, "b")).await, Some((Epoch(1), Some(holder("a")))));
    assert_eq!(ask(store, open_epoch(1, "b")).await, StoreReply::Opened(Epoch(2)));
    let newest = Some((Epoch(2), Some(holder("b"))));
    for stale in
        [heartbeat(1, "a", AT), heartbeat(2, "a", AT), heartbeat(1, "b", AT), claim(1, 1, "a", Purpose::Execute)]
    {
        assert_eq!(fenced_by(store, stale.clone()).await, newest, "{stale:?}");
    }
    let later = AT.plus(Duration::from_secs(1));
    assert_eq!(ask(store, heartbeat(2, "b", later)).await, StoreReply::Done);
    let StoreReply::Leadership(now) = ask(store, StoreCall::ReadLeadership).await else { panic!() };
    assert_eq!(now.heartbeat_at, later);
    let vacate = StoreCall::Vacate { epoch: Epoch(2), holder: holder("b"), reason: "asked".into(), at: AT };
    assert_eq!(ask(store, vacate.clone()).await, StoreReply::Done);
    assert_eq!(fenced_by(store, vacate).await, Some((Epoch(2), None)), "a repeat changes nothing");
    assert_eq!(ask(store, open_epoch(2, "a")).await, StoreReply::Opened(Epoch(3)));
}

async fn claims(store: &dyn SignalStore) {
    ask_all(store, [insert(1), open_epoch(0, "a")]).await;
    assert_eq!(ask(store, claim(1, 1, "a", Purpose::Execute)).await, StoreReply::Claimed { number: 1 });
    let StoreReply::NotClaimed(Some(record)) = ask(store, claim(1, 1, "a", Purpose::Execute)).await else {
        panic!("claimed twice");
    };
    assert_eq!((record.state, record.attempts.len()), (SignalState::Executing, 1));
    assert_eq!(ask(store, claim(2, 1, "a", Purpose::Execute)).await, StoreReply::NotClaimed(None));
    assert_eq!(ask(store, outcome(1, 1, "b", accepted())).await, state(SignalState::Executing));
    let not_sent = Outcome::NotSent("gate closed".into());
    assert_eq!(ask(store, outcome(1, 1, "a", not_sent)).await, state(SignalState::Received));
    let StoreReply::NotClaimed(Some(record)) = ask(store, claim(1, 1, "a", Purpose::Execute)).await else {
        panic!("a late copy claimed");
    };
    assert_eq!((record.state, record.attempts.len()), (SignalState::Received, 1));
    assert_eq!(ask(store, nth(2, 1, 1, "a", Purpose::Execute)).await, StoreReply::Claimed { number: 2 });
    ask_all(store, [open_epoch(1, "b")]).await;
    assert_eq!(ask(store, outcome(1, 2, "a", accepted())).await, state(SignalState::Executed), "deposed, yet true");
    assert_eq!(ask(store, outcome(9, 1, "a", accepted())).await, StoreReply::State(None));
}

async fn recovery(store: &dyn SignalStore) {
    ask_all(store, [insert(1), open_epoch(0, "a"), claim(1, 1, "a", Purpose::Execute)]).await;
    assert!(matches!(ask(store, claim(1, 1, "a", Purpose::Recover)).await, StoreReply::NotClaimed(Some(_))));
    ask_all(store, [open_epoch(1, "b")]).await;
    assert!(matches!(ask(store, claim(1, 2, "b", Purpose::Execute)).await, StoreReply::NotClaimed(Some(_))));
    assert_eq!(ask(store, claim(1, 2, "b", Purpose::Recover)).await, StoreReply::Claimed { number: 2 });
    let StoreReply::NotClaimed(Some(record)) = ask(store, claim(1, 2, "b", Purpose::Recover)).await else {
        panic!("a repeat added an attempt");
    };
    assert_eq!((record.state, record.attempts.len()), (SignalState::InDoubt, 2));
    let id = fingerprint(1).client_order_id(Leg(0), &KeyFormat::default());
    assert!(record.attempts.iter().all(|attempt| attempt.client_order_id == id), "as it was claimed");
    assert_eq!(ask(store, outcome(1, 2, "b", accepted())).await, state(SignalState::Executed));
    assert_eq!(ask(store, outcome(1, 1, "a", accepted())).await, state(SignalState::Executed));
}

async fn verdicts(store: &dyn SignalStore) {
    ask_all(store, [insert(1), insert(2), open_epoch(0, "a"), claim(1, 1, "a", Purpose::Execute)]).await;
    ask_all(store, [open_epoch(1, "b")]).await;
    assert!(fenced_by(store, conclude(2, 1, "a", Verdict::Expire)).await.is_some());
    assert_eq!(ask(store, conclude(1, 2, "b", Verdict::Expire)).await, state(SignalState::InDoubt));
    assert_eq!(ask(store, conclude(2, 2, "b", Verdict::Expire)).await, state(SignalState::Expired));
    assert_eq!(ask(store, resolve(1, 1, Resolution::Resend)).await, state(SignalState::InDoubt));
    let quarantine = Verdict::Quarantine("blind".into());
    assert_eq!(ask(store, conclude(1, 2, "b", quarantine)).await, state(SignalState::Quarantined));
    assert_eq!(ask(store, resolve(1, 2, Resolution::Resend)).await, state(SignalState::Quarantined), "it saw another");
    assert_eq!(ask(store, resolve(1, 1, Resolution::Resend)).await, state(SignalState::Received));
    assert_eq!(ask(store, nth(2, 1, 2, "b", Purpose::Execute)).await, StoreReply::Claimed { number: 2 });
    ask_all(store, [outcome(1, 2, "b", Outcome::NotSent("gate closed".into()))]).await;
    assert_eq!(ask(store, nth(3, 1, 2, "b", Purpose::Execute)).await, StoreReply::Claimed { number: 3 });
    ask_all(store, [outcome(1, 3, "b", Outcome::Unknown("timeout".into()))]).await;
    let found = Verdict::Found { leg: Leg(0), id: BrokerOrderId::new("b1") };
    assert_eq!(ask(store, conclude(1, 2, "b", found)).await, state(SignalState::Executed));
}

async fn pending(store: &dyn SignalStore) {
    ask_all(store, [open_epoch(0, "a")]).await;
    ask_all(store, (1..=6).map(insert)).await;
    ask_all(store, [2, 4, 5].map(|n| claim(n, 1, "a", Purpose::Execute))).await;
    ask_all(store, [outcome(5, 1, "a", accepted())]).await;
    let StoreReply::Pending { records, .. } = ask(store, StoreCall::ReadPending { limit: 2 }).await else { panic!() };
    let order: Vec<_> = records.iter().map(|record| record.fingerprint).collect();
    assert_eq!(order, [1, 2, 3, 4].map(fingerprint));
    assert_eq!(records.iter().map(|record| record.attempts.len()).collect::<Vec<_>>(), [0, 1, 0, 1]);

    // What is quarantined is owed a telling: the newest, beside the others.
    let unsure = [1, 3, 6].map(|n| claim(n, 1, "a", Purpose::Execute));
    ask_all(store, unsure).await;
    ask_all(store, [1, 3, 6].map(|n| outcome(n, 1, "a", Outcome::Unknown("timeout".into())))).await;
    ask_all(store, [1, 3, 6].map(|n| conclude(n, 1, "a", Verdict::Quarantine("blind".into())))).await;
    let StoreReply::Pending { records, .. } = ask(store, StoreCall::ReadPending { limit: 2 }).await else { panic!() };
    let order: Vec<_> = records.iter().map(|record| (record.fingerprint, record.state)).collect();
    let [executing, quarantined] = [SignalState::Executing, SignalState::Quarantined];
    let expected = [(2, executing), (3, quarantined), (4, executing), (6, quarantined)];
    assert_eq!(order, expected.map(|(n, state)| (fingerprint(n), state)));
}

async fn pauses(store: &dyn SignalStore) {
    let word = |paused, seen| StoreCall::SetPause { paused, seen, reason: format!("word {seen}"), at: AT };
    let since = |reason: &str| Some(Pause { reason: reason.to_owned(), since: AT });
    ask_all(store, (1..=3).map(insert)).await;
    ask_all(store, [open_epoch(0, "a"), claim(1, 1, "a", Purpose::Execute)]).await;
    let StoreReply::Leadership(row) = ask(store, word(true, 0)).await else { panic!() };
    assert_eq!((row.paused, row.pause_words), (since("word 0"), 1));

    // A new leader finds it so, everywhere it looks.
    ask_all(store, [open_epoch(1, "b")]).await;
    let StoreReply::Leadership(row) = ask(store, StoreCall::ReadLeadership).await else { panic!() };
    assert_eq!((row.epoch, row.paused.clone(), row.pause_words), (Epoch(2), since("word 0"), 1));
    let StoreReply::Pending { paused, .. } = ask(store, StoreCall::ReadPending { limit: 2 }).await else { panic!() };
    assert_eq!(paused, since("word 0"));
    let refused = StoreReply::Paused(row);
    assert_eq!(ask(store, claim(2, 2, "b", Purpose::Execute)).await, refused);
    assert!(matches!(ask(store, claim(2, 1, "a", Purpose::Execute)).await, StoreReply::Fenced(_)));
    assert!(matches!(ask(store, nth(2, 2, 2, "b", Purpose::Execute)).await, StoreReply::NotClaimed(Some(_))));
    assert!(matches!(ask(store, claim(1, 2, "b", Purpose::Execute)).await, StoreReply::NotClaimed(Some(_))));
    assert_eq!(ask(store, claim(9, 2, "b", Purpose::Execute)).await, StoreReply::NotClaimed(None));

    // What was begun before goes on, and what is late expires.
    assert_eq!(ask(store, claim(1, 2, "b", Purpose::Recover)).await, StoreReply::Claimed { number: 2 });
    assert_eq!(ask(store, conclude(3, 2, "b", Verdict::Expire)).await, state(SignalState::Expired));

    // Said again, it counts; so what was on its way before it comes too late.
    let StoreReply::Leadership(row) = ask(store, word(true, 1)).await else { panic!() };
    assert_eq!((row.paused, row.pause_words), (since("word 1"), 2));
    for late in [word(true, 0), word(false, 1), word(false, 3)] {
        let StoreReply::Leadership(row) = ask(store, late).await else { panic!() };
        assert_eq!((row.paused, row.pause_words), (since("word 1"), 2));
    }
    let StoreReply::Leadership(row) = ask(store, word(false, 2)).await else { panic!() };
    assert_eq!((row.paused, row.pause_words), (None, 3));
    assert_eq!(ask(store, claim(2, 2, "b", Purpose::Execute)).await, StoreReply::Claimed { number: 1 });
}

async fn legs(store: &dyn SignalStore) {
    let unclaimed = |reply: StoreReply| matches!(reply, StoreReply::NotClaimed(Some(_)));
    ask_all(store, [insert_legs(1, 3), insert_legs(2, 2), insert(3), open_epoch(0, "a")]).await;
    assert!(unclaimed(ask(store, claim_leg(1, 1, 1, 1, "a")).await), "its first leg comes first");
    assert!(unclaimed(ask(store, claim_leg(3, 1, 1, 1, "a")).await), "it has one leg");
    ask_all(store, [claim_leg(1, 0, 1, 1, "a")]).await;
    assert!(unclaimed(ask(store, claim_leg(1, 1, 1, 1, "a")).await), "the first is open");
    assert_eq!(ask(store, leg_outcome(1, 0, 1, "a", unknown())).await, state(SignalState::InDoubt));
    assert!(unclaimed(ask(store, claim_leg(1, 1, 1, 1, "a")).await), "the first is in doubt");
    assert_eq!(ask(store, leg_outcome(1, 0, 1, "a", accepted())).await, state(SignalState::InDoubt), "not all of it");

    // New orders are stopped; this is none.
    ask_all(store, [StoreCall::SetPause { paused: true, seen: 0, reason: "halt".into(), at: AT }]).await;
    assert!(unclaimed(ask(store, claim_leg(1, 0, 2, 1, "a")).await), "a leg that was accepted is never claimed again");
    assert!(unclaimed(ask(store, claim_leg(1, 2, 1, 1, "a")).await), "none is left out");
    assert_eq!(ask(store, claim_leg(1, 1, 1, 1, "a")).await, StoreReply::Claimed { number: 1 });
    assert!(unclaimed(ask(store, claim_leg(1, 1, 1, 1, "a")).await), "a copy");
    let not_sent = Outcome::NotSent("gate closed".into());
    assert_eq!(ask(store, leg_outcome(1, 1, 1, "a", not_sent)).await, state(SignalState::Executing), "it is begun");

    // Another leader finds it between its legs, and goes on there.
    ask_all(store, [open_epoch(1, "b")]).await;
    let StoreReply::Pending { records, .. } = ask(store, StoreCall::ReadPending { limit: 9 }).await else { panic!() };
    assert_eq!((records[0].state, records[0].legs, records[0].attempts.len()), (SignalState::InDoubt, 3, 2));
    assert!(records[0].is_between_legs());
    let recovery = StoreCall::Claim(Claim { number: 2, ..leg_claim(1, 1, 2, "b", Purpose::Recover) });
    assert!(unclaimed(ask(store, recovery).await), "nothing of it is in doubt");
    assert!(matches!(ask(store, claim_leg(1, 1, 2, 1, "a")).await, StoreReply::Fenced(_)));
    assert_eq!(ask(store, claim_leg(1, 1, 2, 2, "b")).await, StoreReply::Claimed { number: 2 });
    assert_eq!(ask(store, leg_outcome(1, 1, 2, "b", accepted())).await, state(SignalState::Executing));
    assert_eq!(ask(store, claim_leg(1, 2, 1, 2, "b")).await, StoreReply::Claimed { number: 1 });
    assert_eq!(ask(store, leg_outcome(1, 2, 1, "b", accepted())).await, state(SignalState::Executed), "all of it");

    // Refused at once, it fails; refused later, it is partial. Nothing more is sent of either.
    ask_all(store, [StoreCall::SetPause { paused: false, seen: 1, reason: "on".into(), at: AT }]).await;
    let refused = || Outcome::Rejected("no margin".into());
    ask_all(store, [insert_legs(4, 2), claim_leg(2, 0, 1, 2, "b"), claim_leg(4, 0, 1, 2, "b")]).await;
    assert_eq!(ask(store, leg_outcome(4, 0, 1, "b", refused())).await, state(SignalState::Failed));
    ask_all(store, [leg_outcome(2, 0, 1, "b", accepted()), claim_leg(2, 1, 1, 2, "b")]).await;
    assert_eq!(ask(store, leg_outcome(2, 1, 1, "b", refused())).await, state(SignalState::Partial));
    for late in [claim_leg(2, 1, 2, 2, "b"), claim_leg(4, 1, 1, 2, "b"), claim_leg(4, 0, 2, 2, "b")] {
        assert!(unclaimed(ask(store, late).await), "after a refusal");
    }
    // The truth overrules: what was refused, then found working.
    assert_eq!(ask(store, leg_outcome(4, 0, 1, "b", accepted())).await, state(SignalState::Partial));
    assert_eq!(ask(store, leg_outcome(2, 1, 1, "b", accepted())).await, state(SignalState::Executed));
}

async fn partial(store: &dyn SignalStore) {
    ask_all(store, (1..=4).map(|n| insert_legs(n, 2))).await;
    ask_all(store, [open_epoch(0, "a")]).await;
    ask_all(store, (1..=4).map(|n| claim_leg(n, 0, 1, 1, "a"))).await;
    ask_all(store, [open_epoch(1, "b")]).await;

    // Found by a later leader: that leg is accepted, and the next is due.
    let found = |n, leg| conclude(n, 2, "b", Verdict::Found { leg: Leg(leg), id: BrokerOrderId::new("b7") });
    assert_eq!(ask(store, found(1, 1)).await, state(SignalState::InDoubt), "nothing was sent of that leg");
    assert_eq!(ask(store, found(1, 0)).await, state(SignalState::InDoubt));
    let StoreReply::Signal(Some(record)) = ask(store, StoreCall::ReadSignal { fingerprint: fingerprint(1) }).await
    else {
        panic!("it is gone");
    };
    assert_eq!(record.attempts[0].outcome, Some(Outcome::Accepted(BrokerOrderId::new("b7"))));
    assert!(record.is_between_legs());
    assert_eq!(ask(store, leg_outcome(1, 0, 1, "a", unknown())).await, state(SignalState::InDoubt), "it is known");
    assert_eq!(ask(store, found(1, 0)).await, state(SignalState::InDoubt), "a repeat changes nothing");

    // Its deadline passes there: partial, told of to every leader, and an operator's.
    assert_eq!(ask(store, conclude(2, 2, "b", Verdict::Expire)).await, state(SignalState::InDoubt), "it is in doubt");
    assert_eq!(ask(store, conclude(1, 2, "b", Verdict::Expire)).await, state(SignalState::Partial));
    let StoreReply::Pending { records, .. } = ask(store, StoreCall::ReadPending { limit: 9 }).await else { panic!() };
    assert_eq!(records[0].state, SignalState::Partial);
    assert!(matches!(ask(store, claim_leg(1, 1, 1, 2, "b")).await, StoreReply::NotClaimed(Some(_))));
    assert_eq!(ask(store, resolve(1, 1, Resolution::Resend)).await, state(SignalState::Partial), "never sent again");
    assert_eq!(ask(store, resolve(1, 2, Resolution::Executed)).await, state(SignalState::Partial), "it saw another");
    assert_eq!(ask(store, resolve(1, 1, Resolution::Executed)).await, state(SignalState::Executed), "by hand");

    // A later leg is quarantined; sent again by an operator's word, that leg alone is.
    ask_all(store, [found(2, 0), claim_leg(2, 1, 1, 2, "b"), leg_outcome(2, 1, 1, "b", unknown())]).await;
    let quarantine = || Verdict::Quarantine("blind".into());
    assert_eq!(ask(store, conclude(2, 2, "b", quarantine())).await, state(SignalState::Quarantined));
    assert_eq!(ask(store, resolve(2, 2, Resolution::Resend)).await, state(SignalState::InDoubt));
    assert!(matches!(ask(store, claim_leg(2, 0, 2, 2, "b")).await, StoreReply::NotClaimed(Some(_))));
    assert_eq!(ask(store, claim_leg(2, 1, 2, 2, "b")).await, StoreReply::Claimed { number: 2 });
    assert_eq!(ask(store, leg_outcome(2, 1, 2, "b", accepted())).await, state(SignalState::Executed));

    // Given up by a human, then found working after all.
    ask_all(store, [conclude(3, 2, "b", quarantine()), resolve(3, 1, Resolution::NotExecuted)]).await;
    assert_eq!(ask(store, leg_outcome(3, 0, 1, "a", accepted())).await, state(SignalState::Partial));
    assert_eq!(ask(store, resolve(3, 1, Resolution::NotExecuted)).await, state(SignalState::Failed), "unwound by hand");
    // To be sent again, then found working after all: the next leg follows.
    ask_all(store, [conclude(4, 2, "b", quarantine()), resolve(4, 1, Resolution::Resend)]).await;
    assert_eq!(ask(store, leg_outcome(4, 0, 1, "a", accepted())).await, state(SignalState::InDoubt));
    assert!(matches!(ask(store, claim_leg(4, 0, 2, 2, "b")).await, StoreReply::NotClaimed(Some(_))));
    assert_eq!(ask(store, claim_leg(4, 1, 1, 2, "b")).await, StoreReply::Claimed { number: 1 });
}

/// A broker's reason is told as it came, up to what text can hold: nothing in it keeps an outcome from being recorded.
async fn any_words(store: &dyn SignalStore) {
    ask_all(store, [insert(1), open_epoch(0, "a"), claim(1, 1, "a", Purpose::Execute)]).await;
    let strange = "nul \0, quote ' \" \\ $1 %s; \u{1F680}\r\n";
    let unknown = Outcome::Unknown(strange.into());
    assert_eq!(ask(store, outcome(1, 1, "a", unknown)).await, state(SignalState::InDoubt));
    let quarantine = conclude(1, 1, "a", Verdict::Quarantine(strange.into()));
    assert_eq!(ask(store, quarantine).await, state(SignalState::Quarantined));
    let told = StoreCall::Vacate { epoch: Epoch(1), holder: holder("a"), reason: strange.into(), at: AT };
    assert_eq!(ask(store, told).await, StoreReply::Done);
    let StoreReply::Signal(Some(record)) = ask(store, StoreCall::ReadSignal { fingerprint: fingerprint(1) }).await
    else {
        panic!("it is gone");
    };
    let Some(Outcome::Unknown(seen)) = &record.attempts[0].outcome else { panic!("it was told otherwise") };
    assert_eq!(seen.replace('\u{fffd}', "\0"), strange);
}
