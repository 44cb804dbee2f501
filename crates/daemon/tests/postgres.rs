//! Daemons on a real PostgreSQL.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::{Daemon, folder, now, oncegate};
use oncegate_store_conformance::PostgresServer;
use oncegate_store_conformance::postgres_server::{DATABASE, USER};

fn start() -> PostgresServer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(PostgresServer::start(&[]))
}

#[test]
#[ignore = "needs postgresql"]
fn two_nodes_share_a_database_and_the_second_takes_over_when_the_first_is_asked_to_end() {
    let server = start();
    let config = |name: &str| {
        let peer = &server.peer;
        format!(
            "[instance]\nname = \"{name}\"\n[store]\nkind = \"postgres\"\n\
             [store.postgres]\naddresses = [\"{peer}\"]\ndatabase = \"{DATABASE}\"\nuser = \"{USER}\"\n"
        )
    };
    let (a, b) = (folder(&config("a")), folder(&config("b")));
    // Tables are made by `migrate` alone.
    let early = oncegate(a.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(early.code, 2);
    assert!(early.err.contains("oncegate migrate"), "{}", early.err);
    assert!(oncegate(a.path(), &["migrate", "--dry-run"]).out.contains("nothing was done"));
    let migrated = oncegate(a.path(), &["migrate"]);
    assert_eq!(migrated.code, 0, "{}", migrated.err);
    assert!(oncegate(b.path(), &["migrate"]).out.contains("nothing to do"));

    let first = Daemon::start(a.path());
    first.until("/coordinator/leader", |seen| seen["is_leader"] == true);
    let second = Daemon::start(b.path());
    // Any node takes signals in; the leader sends them.
    let (status, taken) = second.http("POST", "/v1/signals", None, Some(r#"{"id":"pg-1"}"#));
    assert_eq!(status, 202, "{taken}");
    let path = format!("/v1/signals/{}", taken["fingerprint"].as_str().unwrap());
    second.until(&path, |signal| signal["state"] == "executed");
    assert_eq!(second.http("GET", "/leader", None, None).0, 503);

    let end = first.end("TERM");
    assert_eq!(end.code, Some(0), "{}", end.err);
    println!("ended {:?} after SIGTERM", end.took);
    let began = now();
    second.until("/coordinator/leader", |seen| seen["is_leader"] == true && seen["epoch"] == 2);
    println!("the other leads {:?} later", now().since(began));
    assert_eq!(second.end("TERM").code, Some(0));
}
