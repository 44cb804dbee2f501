//! One test for each thing that PostgreSQL itself must refuse, beneath the calls.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::*;
use oncegate_protocol::StoreReply;
use oncegate_store_conformance::PostgresServer;
use oncegate_store_conformance::words::*;

#[tokio::test]
#[ignore = "needs postgresql"]
async fn smoke() {
    let server = PostgresServer::start(&[]).await;
    let store = new_store(&server, "oncegate").await;
    assert!(matches!(ask(&store, insert(1)).await, StoreReply::Stored { new: true, .. }));
    assert!(matches!(ask(&store, insert(1)).await, StoreReply::Stored { new: false, same_body: true, .. }));
    ask(&store, open_epoch(0, "a")).await;
    assert_eq!(ask(&store, execute(1, 1, "a")).await, StoreReply::Claimed { number: 1 });
    println!("{:?}", ask(&store, outcome(1, 1, "a", accepted())).await);
}
