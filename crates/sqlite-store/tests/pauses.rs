//! New orders stopped by operators: the store refuses what they stopped, in whatever order words and claims land.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::*;
use oncegate_protocol::call::{Purpose, Verdict};
use oncegate_protocol::{Epoch, Leadership, Outcome, SignalState, StoreCall, StoreReply};

fn leadership(reply: StoreReply) -> Leadership {
    let StoreReply::Leadership(leadership) = reply else { panic!("{reply:?}") };
    leadership
}

#[test]
fn nothing_is_begun_while_paused_and_then_once() {
    let mut db = after(&[insert(1), open_epoch(0, "a"), set_pause(true, 0)]);
    let rows = every_row(&mut db);
    let StoreReply::Paused(row) = db.apply(&execute(1, 1, "a")).unwrap() else { panic!("claimed while paused") };
    assert_eq!(row.paused.unwrap().reason, "word 1");
    assert_eq!(every_row(&mut db), rows, "a refusal leaves nothing");
    db.apply(&set_pause(false, 1)).unwrap();
    assert_eq!(db.apply(&execute(1, 1, "a")).unwrap(), StoreReply::Claimed { number: 1 });
    assert!(matches!(db.apply(&execute(1, 1, "a")).unwrap(), StoreReply::NotClaimed(Some(_))));
}

#[test]
fn a_pause_outlasts_every_leadership() {
    let vacate = StoreCall::Vacate { epoch: Epoch(1), holder: holder("a"), reason: "asked".into(), at: AT };
    let mut db = after(&[insert(1), open_epoch(0, "a"), set_pause(true, 0), vacate, open_epoch(1, "b")]);
    assert!(matches!(db.apply(&execute(1, 2, "b")).unwrap(), StoreReply::Paused(_)));
    assert!(is_fenced(&db.apply(&execute(1, 1, "a")).unwrap()), "who is deposed hears of that first");
}

#[test]
fn what_is_in_doubt_is_recovered_and_what_is_late_expires_while_paused() {
    let begun = [insert(1), insert(2), open_epoch(0, "a"), execute(1, 1, "a"), set_pause(true, 0), open_epoch(1, "b")];
    let mut db = after(&begun);
    assert_eq!(db.apply(&recover(1, 2, "b")).unwrap(), StoreReply::Claimed { number: 2 });
    let executed = StoreReply::State(Some(SignalState::Executed));
    assert_eq!(db.apply(&outcome(1, 2, "b", accepted())).unwrap(), executed);
    let expired = StoreReply::State(Some(SignalState::Expired));
    assert_eq!(db.apply(&conclude(2, 2, "b", Verdict::Expire)).unwrap(), expired);
}

#[test]
fn what_was_claimed_before_and_never_sent_waits() {
    let not_sent = outcome(1, 1, "a", Outcome::NotSent("paused".into()));
    let calls = [insert(1), open_epoch(0, "a"), execute(1, 1, "a"), set_pause(true, 0), not_sent];
    let mut db = after(&calls);
    let again = nth(2, 1, 1, "a", Purpose::Execute);
    assert!(matches!(db.apply(&again).unwrap(), StoreReply::Paused(_)));
}

/// The first resumes, and a copy of it is held up until somebody has paused again.
#[test]
fn a_late_copy_of_a_word_undoes_none_that_came_after_it() {
    let mut db = after(&[set_pause(true, 0), set_pause(false, 1), set_pause(true, 2)]);
    for late in [set_pause(false, 1), set_pause(false, 0), set_pause(false, 9), set_pause(false, u64::MAX)] {
        let row = leadership(db.apply(&late).unwrap());
        assert_eq!((row.paused.unwrap().reason, row.pause_words), ("word 3".to_owned(), 3));
    }
    assert_eq!(db.pauses().unwrap().iter().map(|word| word.paused).collect::<Vec<_>>(), [true, false, true]);
}

/// A word that changes nothing counts too: else one of before it could land after it.
#[test]
fn a_repeated_pause_outdates_a_resume_that_is_on_its_way() {
    let mut db = after(&[set_pause(true, 0), set_pause(true, 1)]);
    assert!(leadership(db.apply(&set_pause(false, 1)).unwrap()).paused.is_some());
}

#[test]
fn no_prompt_rewrites_the_words_of_operators() {
    let mut db = after(&[set_pause(true, 0)]);
    for slip in ["DELETE FROM pauses", "UPDATE pauses SET paused = 0", "UPDATE pauses SET number = 2"] {
        assert!(db.connection().execute_batch(slip).is_err(), "{slip}");
    }
    let skipped = db.connection().execute("INSERT INTO pauses VALUES (7, 0, 'slip', 0)", ()).unwrap();
    assert_eq!(skipped, 0);
    let mut rows = every_row(&mut db);
    db.connection().execute("INSERT OR REPLACE INTO pauses VALUES (1, 0, 'slip', 0)", ()).unwrap();
    let now = every_row(&mut db);
    rows.retain(|table| !now.contains(table));
    assert!(rows.is_empty(), "{rows:?}");
}
