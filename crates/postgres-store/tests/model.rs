//! The store against a naive model of it: any calls from any holders, compared reply by reply.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::*;
use oncegate_coordinator::Ledger as _;
use oncegate_coordinator::ledger::Wanted;
use oncegate_protocol::{StoreCall, StoreReply};
use oncegate_store_conformance::PostgresServer;
use oncegate_store_conformance::model::{Model, call, draws};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

/// Everything that can be read of a store.
async fn everything(
    store: &oncegate_postgres_store::PostgresStore,
) -> (Vec<oncegate_coordinator::ledger::Entry>, StoreReply, usize) {
    let all = Wanted { states: vec![], before: None, limit: 1_000 };
    let mut entries = store.signals(all).await.unwrap();
    entries.reverse();
    (entries, ask(store, StoreCall::ReadLeadership).await, store.history(10_000).await.unwrap().len())
}

/// Each case in a schema of its own.
#[tokio::test]
#[ignore = "needs postgresql"]
async fn every_reply_is_what_the_calls_promise_and_a_call_applied_twice_changes_nothing_more() {
    const CASES: usize = 25;
    let server = PostgresServer::start(&[]).await;
    let mut runner = TestRunner::deterministic();
    for case in 0..CASES {
        let store = new_store(&server, &format!("case_{case}")).await;
        let mut model = Model::new();
        let drawn = prop::collection::vec(draws(), 40..80).new_tree(&mut runner).unwrap().current();
        for (number, draw) in drawn.into_iter().enumerate() {
            let call = call(draw, &model);
            assert_eq!(ask(&store, call.clone()).await, model.apply(&call), "case {case}: {call:?}");
            // Looked at now and then: it reads the whole store.
            if number % 5 == 0 {
                let once = everything(&store).await;
                ask(&store, call.clone()).await;
                assert_eq!(everything(&store).await, once, "case {case}: {call:?} applied twice");
            }
        }
        let (entries, leadership, _) = everything(&store).await;
        assert_eq!(entries.into_iter().map(|entry| entry.record).collect::<Vec<_>>(), model.records());
        assert_eq!(leadership, StoreReply::Leadership(model.leadership.clone()));
        let mut history = store.history(10_000).await.unwrap();
        history.reverse();
        let history: Vec<_> =
            history.into_iter().map(|term| (term.epoch, term.holder, term.closed.map(|(_, why)| why))).collect();
        assert_eq!(history, model.history);
    }
}
