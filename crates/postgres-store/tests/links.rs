//! Connections: what is heard at once, what is replaced, for how long a call can be kept, and what TLS refuses.

#![allow(clippy::unwrap_used)]

mod kit;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::time::Duration;

use kit::*;
use oncegate_coordinator::timeout::until;
use oncegate_coordinator::{Clock as _, LeaseStore as _, SignalStore as _, SystemClock};
use oncegate_postgres_store::{PgError, PostgresStore, Tls};
use oncegate_protocol::call::Resolution;
use oncegate_protocol::{StoreCall, StoreReply};
use oncegate_store_conformance::PostgresServer;
use oncegate_store_conformance::lease::{acquire, release};
use oncegate_store_conformance::words::*;

/// Long enough for a busy machine, and far below every time after which a node would look anyway.
const SOON: Duration = Duration::from_secs(5);

async fn soon<T>(what: &str, call: impl Future<Output = T>) -> T {
    let clock = SystemClock;
    until(&clock, clock.now().mono.plus(SOON), call).await.unwrap_or_else(|| panic!("{what}: not within {SOON:?}"))
}

/// Whether nothing comes for a while.
async fn stays_quiet(call: impl Future<Output = ()>) -> bool {
    let clock = SystemClock;
    until(&clock, clock.now().mono.plus(Duration::from_millis(300)), call).await.is_none()
}

#[tokio::test]
#[ignore = "needs postgresql"]
async fn a_leader_hears_at_once_of_what_others_add_and_of_nothing_else() {
    let server = PostgresServer::start(&[]).await;
    let leader = new_store(&server, "news").await;
    let other = open(&config_in(&server, "news")).await;
    // Ready once when it has begun to listen.
    soon("listening", leader.changed()).await;
    assert!(stays_quiet(leader.changed()).await);
    ask(&other, insert(1)).await;
    soon("a signal of another's", leader.changed()).await;
    ask(&leader, insert(2)).await;
    soon("a signal of one's own", leader.changed()).await;
    // Repeats, outcomes and looks add nothing.
    ask_all(&other, [insert(1), open_epoch(0, "a"), execute(1, 1, "a"), outcome(1, 1, "a", unknown())]).await;
    ask_all(&other, [conclude(1, 1, "a", oncegate_protocol::call::Verdict::Quarantine("blind".into()))]).await;
    ask_all(&other, [StoreCall::ReadPending { limit: 9 }, resolve(1, 0, Resolution::Resend)]).await;
    assert!(stays_quiet(leader.changed()).await);
    ask(&other, resolve(1, 1, Resolution::Resend)).await;
    soon("an operator's word", leader.changed()).await;
    ask(&other, set_pause(true, 0)).await;
    soon("a pause", leader.changed()).await;

    let (ours, theirs) = (lease(&config_in(&server, "news")).await, lease(&config_in(&server, "news")).await);
    soon("listening", theirs.released()).await;
    ours.call(acquire("a")).await.unwrap();
    assert!(stays_quiet(theirs.released()).await && stays_quiet(leader.changed()).await);
    ours.call(release("a")).await.unwrap();
    soon("a release", theirs.released()).await;
}

/// The server restarts between two calls: the next call finds its connection broken and uses another, and who listens
/// listens again.
#[tokio::test]
#[ignore = "needs postgresql"]
async fn connections_that_broke_are_replaced_and_statements_with_them() {
    let mut server = PostgresServer::start(&[]).await;
    let mut config = config_in(&server, "replaced");
    config.listen_retry = (Duration::from_millis(20), Duration::from_millis(50));
    migrate(&config).await;
    let store = open(&config).await;
    ask_all(&store, [insert(1), open_epoch(0, "a")]).await;
    soon("listening", store.changed()).await;
    server.kill();
    store.call(insert(2)).await.unwrap_err();
    server.start_again().await;
    soon("listening again", store.changed()).await;
    assert!(matches!(ask(&store, insert(2)).await, StoreReply::Stored { .. }));
    assert_eq!(ask(&store, execute(1, 1, "a")).await, StoreReply::Claimed { number: 1 });
    soon("heard on the new link", store.changed()).await;
}

/// A server that stands still: who waits gives up at its own bound, and when it moves again all is well.
#[tokio::test]
#[ignore = "needs postgresql"]
async fn a_call_can_be_given_up_at_any_time_and_leaves_the_next_one_free() {
    let server = PostgresServer::start(&[]).await;
    let store = new_store(&server, "bounded").await;
    ask_all(&store, [insert(1), insert(2), open_epoch(0, "a")]).await;
    let client = psql(&config_in(&server, "bounded")).await;
    // Somebody sits on the leadership row.
    client.batch_execute("BEGIN; SELECT 1 FROM leadership FOR UPDATE").await.unwrap();
    let clock = SystemClock;
    let asked = clock.now().mono;
    let given_up = until(&clock, asked.plus(Duration::from_millis(200)), store.call(execute(1, 1, "a"))).await;
    assert!(given_up.is_none(), "{given_up:?}");
    // What needs no lock of theirs goes on meanwhile.
    assert!(matches!(ask(&store, insert(3)).await, StoreReply::Stored { new: true, .. }));
    // Nor does the server wait for ever for who does not give up.
    let refused = soon("the lock timeout", store.call(execute(2, 1, "a"))).await.unwrap_err().to_string();
    assert!(refused.contains("another session holds the lock"), "{refused}");
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(ask(&store, execute(2, 1, "a")).await, StoreReply::Claimed { number: 1 });
    // The one that was given up may have had its effect; said again, it is read back.
    let again = ask(&store, execute(1, 1, "a")).await;
    assert!(matches!(again, StoreReply::Claimed { .. } | StoreReply::NotClaimed(Some(_))), "{again:?}");
}

/// Whatever the server, the database or the role is set to.
#[tokio::test]
#[ignore = "needs postgresql"]
async fn sessions_bring_their_own_timeouts_and_isolation() {
    let server = PostgresServer::start(&["default_transaction_isolation=serializable"]).await;
    let mut config = config_in(&server, "settings");
    config.idle_in_transaction_timeout = Duration::from_millis(200);
    migrate(&config).await;
    let client = psql(&config).await;
    client
        .batch_execute(
            "CREATE TABLE witness (setting text);
             CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO settings.witness VALUES (concat_ws(', ',
                     current_setting('statement_timeout'), current_setting('lock_timeout'),
                     current_setting('idle_in_transaction_session_timeout'), current_setting('transaction_isolation')));
                 RETURN NULL; END; $$;
             CREATE TRIGGER witness AFTER INSERT ON signals FOR EACH ROW EXECUTE FUNCTION witness();",
        )
        .await
        .unwrap();
    ask(&open(&config).await, insert(1)).await;
    assert_eq!(text(&client, "SELECT setting FROM witness").await, "2s, 1s, 200ms, read committed");
}

/// Certificates of one's own: the server's, for the name that clients use, and a stranger's root.
#[tokio::test]
#[ignore = "needs postgresql"]
async fn tls_is_spoken_to_the_server_that_was_named_and_to_no_other() {
    let server_key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let stranger = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let elsewhere = rcgen::generate_simple_self_signed(vec!["db.example".to_owned()]).unwrap();
    let mut server = PostgresServer::start(&[]).await;
    let mut config = config_in(&server, "tls");
    migrate(&config).await;
    let roots = |key: &rcgen::CertifiedKey<rcgen::KeyPair>| Tls::verify_full(key.cert.pem().as_bytes(), None).unwrap();
    let refusal = async |config: &oncegate_postgres_store::PostgresConfig| match PostgresStore::open(
        config.clone(),
        connect(),
        clock(),
    )
    .await
    {
        Ok(_) => panic!("it was taken"),
        Err(error @ PgError::NotConnected { .. }) => error.to_string(),
        Err(error) => panic!("{error}"),
    };
    config.tls = roots(&server_key);
    let plain = refusal(&config).await;
    assert!(plain.contains("does not support TLS"), "never in plain text: {plain}");

    let folder = server.folder().to_owned();
    let serve = async |server: &mut PostgresServer, key: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        let owner = fs::metadata(folder.join("data")).unwrap();
        let owner = (std::os::unix::fs::MetadataExt::uid(&owner), std::os::unix::fs::MetadataExt::gid(&owner));
        for (name, pem) in [("server.crt", key.cert.pem()), ("server.key", key.signing_key.serialize_pem())] {
            let path = folder.join("data").join(name);
            fs::write(&path, pem).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            chown(&path, Some(owner.0), Some(owner.1)).unwrap();
        }
        let settings = folder.join("data/postgresql.auto.conf");
        fs::write(settings, "ssl = on\n").unwrap();
        server.kill();
        server.start_again().await;
    };
    serve(&mut server, &server_key).await;
    let store = open(&config).await;
    ask(&store, insert(1)).await;
    let client = psql(&config_in(&server, "tls")).await;
    let protected = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = 'oncegate'";
    assert_ne!(text(&client, protected).await, "0");
    config.tls = roots(&stranger);
    let unknown = refusal(&config).await;
    assert!(unknown.to_lowercase().contains("certificate"), "{unknown}");
    serve(&mut server, &elsewhere).await;
    config.tls = roots(&elsewhere);
    let misnamed = refusal(&config).await;
    assert!(misnamed.to_lowercase().contains("not valid for name"), "{misnamed}");
    assert!(Tls::verify_full(b"no certificate", None).is_err());
}
