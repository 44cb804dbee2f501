//! The store against a naive model of it: any calls from any holders, compared reply by reply and row by row.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::every_row;
use oncegate_protocol::StoreCall;
use oncegate_sqlite_store::Db;
use oncegate_store_conformance::model::{Model, call, draws};
use proptest::prelude::*;

fn compare(db: &Db, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(&db.leadership().unwrap(), &model.leadership);
    prop_assert_eq!(db.signals().unwrap(), model.records());
    let history: Vec<_> = db
        .history()
        .unwrap()
        .into_iter()
        .map(|entry| (entry.epoch, entry.holder, entry.closed.map(|(_, why)| why)))
        .collect();
    prop_assert_eq!(&history, &model.history);
    let words: Vec<_> = db.pauses().unwrap().into_iter().map(|word| (word.paused, word.reason)).collect();
    prop_assert_eq!(&words, &model.words);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_reply_and_every_row_is_what_the_calls_promise(draws in prop::collection::vec(draws(), 1..80)) {
        let (mut db, mut model) = (Db::open_in_memory().unwrap(), Model::new());
        for draw in draws {
            let call = call(draw, &model);
            prop_assert_eq!(db.apply(&call).unwrap(), model.apply(&call), "{:?}", call);
        }
        compare(&db, &model)?;
    }

    #[test]
    fn a_call_applied_twice_changes_nothing_more(draws in prop::collection::vec(draws(), 1..60)) {
        let (mut db, mut model) = (Db::open_in_memory().unwrap(), Model::new());
        for draw in draws {
            let call = call(draw, &model);
            db.apply(&call).unwrap();
            model.apply(&call);
            let once = every_row(&mut db);
            db.apply(&call).unwrap();
            prop_assert_eq!(every_row(&mut db), once, "{:?}", call);
        }
        compare(&db, &model)?;
    }

    #[test]
    fn a_copy_of_a_claim_or_of_an_operators_word_that_had_its_effect_has_none_ever_after(
        draws in prop::collection::vec(draws(), 1..60),
    ) {
        let (mut db, mut model) = (Db::open_in_memory().unwrap(), Model::new());
        let mut effective = Vec::new();
        for draw in draws {
            let call = call(draw, &model);
            let before = every_row(&mut db);
            prop_assert_eq!(db.apply(&call).unwrap(), model.apply(&call), "{:?}", call);
            let now = every_row(&mut db);
            if matches!(call, StoreCall::Claim(_) | StoreCall::Resolve { .. } | StoreCall::SetPause { .. }) && now != before {
                effective.push(call);
            }
            for copy in &effective {
                db.apply(copy).unwrap();
                prop_assert_eq!(&every_row(&mut db), &now, "{:?}", copy);
            }
        }
    }
}
