//! What PostgreSQL itself refuses beneath the calls, and which databases are refused as a whole.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::*;
use oncegate_coordinator::ledger::Wanted;
use oncegate_coordinator::{Ledger as _, SignalStore as _, SystemClock, TcpConnect};
use oncegate_postgres_store::schema::{NEWEST, migrate_to};
use oncegate_postgres_store::{PgError, PostgresConfig, PostgresStore};
use oncegate_protocol::call::{Purpose, Resolution, Verdict};
use oncegate_protocol::{ClientOrderId, Epoch, Leg, SignalState, StoreCall, StoreReply};
use oncegate_store_conformance::PostgresServer;
use oncegate_store_conformance::words::*;

/// Every row of every table of evidence, as one text.
async fn every_row(client: &tokio_postgres::Client) -> String {
    let mut all = String::new();
    for table in ["signals", "attempts", "leadership", "conclusions", "resolutions", "leadership_history", "pauses"] {
        all +=
            &text(client, &format!("SELECT coalesce(string_agg(t::text, ' ' ORDER BY t::text), '') FROM {table} AS t"))
                .await;
    }
    all
}

#[tokio::test]
#[ignore = "needs postgresql"]
async fn evidence_can_be_neither_deleted_nor_rewritten() {
    let server = PostgresServer::start(&[]).await;
    let store = new_store(&server, "evidence").await;
    let calls = [insert(1), open_epoch(0, "a"), execute(1, 1, "a"), outcome(1, 1, "a", unknown())];
    ask_all(&store, calls).await;
    ask_all(&store, [conclude(1, 1, "a", Verdict::Quarantine("blind".into())), resolve(1, 1, Resolution::Resend)])
        .await;
    ask_all(&store, [nth(2, 1, 1, "a", Purpose::Execute), outcome(1, 2, "a", accepted())]).await;
    ask_all(&store, [set_pause(true, 0), set_pause(false, 1)]).await;
    let client = psql(&config_in(&server, "evidence")).await;
    let rows = every_row(&client).await;
    for sql in [
        "DELETE FROM signals",
        "TRUNCATE signals CASCADE",
        "UPDATE signals SET raw = ''",
        "UPDATE signals SET fingerprint = sha256('x')",
        "UPDATE signals SET state = 'done'",
        "DELETE FROM attempts",
        "TRUNCATE attempts",
        "UPDATE attempts SET epoch = 2",
        "UPDATE attempts SET owner = 'b:0:1'",
        "UPDATE attempts SET client_order_id = 'x'",
        "UPDATE attempts SET outcome = NULL, outcome_detail = NULL, outcome_at = NULL WHERE number = 2",
        "DELETE FROM leadership",
        "TRUNCATE leadership",
        "INSERT INTO leadership VALUES (1, 9, NULL, 0) ON CONFLICT (id) DO UPDATE SET epoch = 0",
        "INSERT INTO leadership VALUES (2, 9, NULL, 0)",
        "UPDATE leadership SET epoch = 0",
        "UPDATE leadership SET holder = 'b:0:1'",
        "DELETE FROM conclusions",
        "UPDATE conclusions SET detail = ''",
        "DELETE FROM resolutions",
        "UPDATE resolutions SET reason = ''",
        "DELETE FROM leadership_history",
        "DELETE FROM pauses",
        "TRUNCATE pauses",
        "UPDATE pauses SET paused = true",
    ] {
        let refused = client.batch_execute(sql).await;
        assert!(refused.is_err(), "{sql} was taken");
    }
    assert_eq!(every_row(&client).await, rows);
}

/// A claim that looked before an operator's word commits before it, or not at all: nothing is begun after "stopped" was
/// confirmed.
#[tokio::test]
#[ignore = "needs postgresql"]
async fn a_pause_waits_for_claims_under_way_and_stops_those_after_it() {
    let server = PostgresServer::start(&[]).await;
    let config = config_in(&server, "pauses");
    let store = new_store(&server, "pauses").await;
    ask_all(&store, [insert(1), insert(2), open_epoch(0, "a")]).await;
    let client = psql(&config).await;
    client.batch_execute("BEGIN").await.unwrap();
    let sql =
        "INSERT INTO attempts (fingerprint, leg, number, ordinal, client_order_id, epoch, owner, purpose, claimed_at)
               VALUES ($1, 0, 1, 0, encode($1, 'hex'), 1, $2, 'execute', 0)";
    let (first, leader) = (fingerprint(1), holder("a"));
    assert_eq!(client.execute(sql, &[&first.as_bytes().as_slice(), &leader.as_str()]).await.unwrap(), 1);
    let committing = async {
        let other = psql(&config).await;
        while text(&other, "SELECT count(*) FROM pg_locks WHERE NOT granted").await == "0" {}
        client.batch_execute("COMMIT").await.unwrap();
    };
    let (paused, ()) = tokio::join!(ask(&store, set_pause(true, 0)), committing);
    let StoreReply::Leadership(leadership) = paused else { panic!("{paused:?}") };
    assert_eq!((leadership.paused.is_some(), leadership.pause_words), (true, 1));
    assert!(matches!(ask(&store, execute(2, 1, "a")).await, StoreReply::Paused(_)));
    let second = fingerprint(2);
    let slip = client.execute(sql, &[&second.as_bytes().as_slice(), &leader.as_str()]).await;
    assert_eq!(slip.unwrap(), 0, "not at the prompt either");
}

/// However a row is offered: it is passed over, not refused, so that there is no other way in.
#[tokio::test]
#[ignore = "needs postgresql"]
async fn no_statement_gets_an_attempt_past_the_guards_of_a_claim() {
    let server = PostgresServer::start(&[]).await;
    let store = new_store(&server, "claims").await;
    ask_all(&store, [insert(1), insert(2), open_epoch(0, "a"), execute(1, 1, "a")]).await;
    let client = psql(&config_in(&server, "claims")).await;
    let rows = every_row(&client).await;
    for (n, number, epoch, name, purpose) in [
        (2, 1_i64, 0_i64, "a", "execute"),
        (2, 1, 2, "a", "execute"),
        (2, 1, 1, "b", "execute"),
        (2, 1, 1, "a", "recover"),
        (2, 2, 1, "a", "execute"),
        (1, 2, 1, "a", "execute"),
        (9, 1, 1, "a", "execute"),
    ] {
        let sql = "INSERT INTO attempts (fingerprint, leg, number, ordinal, client_order_id, epoch, owner, purpose, claimed_at)
                   SELECT $1, 0, $2, 7, 'id', $3, $4, $5, 0 ON CONFLICT DO NOTHING";
        let fingerprint = fingerprint(n);
        let inserted = client
            .execute(sql, &[&fingerprint.as_bytes().as_slice(), &number, &epoch, &holder(name).as_str(), &purpose])
            .await;
        assert_eq!(inserted.unwrap(), 0, "{n} {number} {epoch} {name} {purpose}");
    }
    assert_eq!(every_row(&client).await, rows);
    let mut renamed = claim_for(1, 1, "a", Purpose::Recover);
    renamed.client_order_id = ClientOrderId::new("after-a-change-of-the-key-format");
    let mut taken = claim_for(2, 1, "a", Purpose::Execute);
    taken.client_order_id = claim_for(1, 1, "a", Purpose::Execute).client_order_id;
    let mut other_leg = claim_for(3, 1, "a", Purpose::Execute);
    other_leg.leg = Leg(1);
    for call in [insert_legs(3, 2), execute(3, 1, "a"), outcome(3, 1, "a", accepted()), outcome(1, 1, "a", unknown())] {
        ask(&store, call).await;
    }
    for (claim, why) in
        [(renamed, "under another client order id"), (taken, "another signal"), (other_leg, "another signal")]
    {
        let error = store.call(StoreCall::Claim(claim)).await.unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("a guard of the store held"), "{error}");
    }
}

/// Two claims of different signals under one client order id, neither of which sees the other before both commit.
#[tokio::test]
#[ignore = "needs postgresql"]
async fn two_orders_never_share_a_client_order_id_however_close_together_they_are_claimed() {
    let server = PostgresServer::start(&[]).await;
    let store = new_store(&server, "ids").await;
    ask_all(&store, [insert(1), insert(2), open_epoch(0, "a")]).await;
    let (mut one, two) = (psql(&config_in(&server, "ids")).await, psql(&config_in(&server, "ids")).await);
    let sql =
        "INSERT INTO attempts (fingerprint, leg, number, ordinal, client_order_id, epoch, owner, purpose, claimed_at)
               VALUES ($1, 0, 1, 0, 'same', 1, $2, 'execute', 0)";
    let (leader, first, second) = (holder("a"), fingerprint(1), fingerprint(2));
    let open = one.transaction().await.unwrap();
    assert_eq!(open.execute(sql, &[&first.as_bytes().as_slice(), &leader.as_str()]).await.unwrap(), 1);
    let (bytes, owner) = (second.as_bytes().as_slice(), leader.as_str());
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&bytes, &owner];
    let late = async {
        let refused = two.execute(sql, &params).await;
        refused.unwrap_err()
    };
    let (error, ()) = tokio::join!(late, async { open.commit().await.unwrap() });
    assert!(error.as_db_error().unwrap().message().contains("attempts_share_no_client_order_id"), "{error:?}");
}

#[tokio::test]
#[ignore = "needs postgresql"]
async fn a_history_that_cannot_be_written_stops_nobody_from_leading_or_leaving() {
    let server = PostgresServer::start(&[]).await;
    let store = new_store(&server, "history").await;
    ask_all(&store, [insert(1), open_epoch(0, "a"), execute(1, 1, "a")]).await;
    let client = psql(&config_in(&server, "history")).await;
    client.batch_execute("ALTER TABLE leadership_history ADD CHECK (epoch < 2)").await.unwrap();
    assert_eq!(ask(&store, open_epoch(1, "b")).await, StoreReply::Opened(Epoch(2)));
    assert_eq!(store.history_failures(), 1);
    let StoreReply::Signal(Some(record)) = ask(&store, StoreCall::ReadSignal { fingerprint: fingerprint(1) }).await
    else {
        panic!("it is gone");
    };
    assert_eq!(record.state, SignalState::InDoubt);
    let history = store.history(10).await.unwrap();
    assert_eq!((history.len(), &history[0].closed), (1, &None), "half of it was kept");
    client.batch_execute("DROP TABLE leadership_history").await.unwrap();
    let vacate = StoreCall::Vacate { epoch: Epoch(2), holder: holder("b"), reason: "asked".into(), at: AT };
    let told = ask(&store, vacate).await;
    assert_eq!((told, store.history_failures()), (StoreReply::Done, 2));
}

#[tokio::test]
#[ignore = "needs postgresql"]
async fn what_people_read_is_what_was_decided() {
    let server = PostgresServer::start(&[]).await;
    let store = new_store(&server, "ledger").await;
    ask_all(&store, [open_epoch(0, "a"), insert(1), insert(2), insert(3), execute(2, 1, "a")]).await;
    ask_all(&store, [outcome(2, 1, "a", unknown()), conclude(2, 1, "a", Verdict::Quarantine("blind".into()))]).await;
    ask_all(&store, [resolve(2, 1, Resolution::NotExecuted), open_epoch(1, "b")]).await;
    let wanted = |states: &[SignalState], before, limit| Wanted { states: states.to_vec(), before, limit };
    let sequences = async |wanted| {
        let entries = store.signals(wanted).await.unwrap();
        entries.iter().map(|entry| entry.record.sequence).collect::<Vec<_>>()
    };
    assert_eq!(sequences(wanted(&[], None, 10)).await, [3, 2, 1]);
    assert_eq!(sequences(wanted(&[], Some(3), 1)).await, [2]);
    assert_eq!(sequences(wanted(&[SignalState::Failed, SignalState::Received], None, 2)).await, [3, 2]);
    let entry = store.signal(fingerprint(2)).await.unwrap().unwrap();
    let verdicts: Vec<_> =
        entry.decisions.iter().map(|d| (d.verdict.as_str(), d.leader.is_some(), d.detail.as_str())).collect();
    assert_eq!(verdicts, [("quarantine", true, "blind"), ("not_executed", false, "looked")]);
    assert_eq!((entry.received_at, entry.record.attempts.len()), (AT, 1));
    assert_eq!(store.signal(fingerprint(9)).await.unwrap(), None);
    let tally = store.tally().await.unwrap();
    assert_eq!(tally.iter().map(|tally| tally.state).collect::<Vec<_>>(), SignalState::ALL);
    assert_eq!(tally.iter().map(|tally| tally.count).collect::<Vec<_>>(), [2, 0, 0, 0, 1, 0, 0, 0]);
    let terms = store.history(1).await.unwrap();
    assert_eq!((terms.len(), terms[0].epoch, &terms[0].closed), (1, Epoch(2), &None));
}

async fn refusal(config: &PostgresConfig) -> PgError {
    match PostgresStore::open(config.clone(), connect(), clock()).await {
        Ok(_) => panic!("it was taken"),
        Err(error) => error,
    }
}

#[tokio::test]
#[ignore = "needs postgresql"]
async fn a_schema_of_another_version_is_refused_and_says_what_to_do() {
    let server = PostgresServer::start(&[]).await;
    let config = config_in(&server, "versions");
    let nothing = refusal(&config).await;
    assert!(matches!(nothing, PgError::OlderVersion { found: 0, .. }));
    assert!(nothing.to_string().contains("run `oncegate migrate`"), "{nothing}");

    // One behind, with a leader: it can be looked at, not written to, and migrating keeps what it holds.
    assert_eq!(migrate_to(&config, &TcpConnect, &SystemClock, 1).await.unwrap(), 0);
    let client = psql(&config).await;
    client.batch_execute("UPDATE leadership SET epoch = 7, holder = 'a:0:1', heartbeat_at = 1000").await.unwrap();
    assert!(matches!(refusal(&config).await, PgError::OlderVersion { found: 1, known: NEWEST, .. }));
    let reader = PostgresStore::open_read_only(config.clone(), connect(), clock()).await.unwrap();
    assert_eq!(reader.version().await.unwrap(), (1, NEWEST));
    assert_eq!(reader.leadership().await.unwrap().epoch, Epoch(7));
    assert_eq!(reader.tally().await.unwrap().len(), SignalState::ALL.len());
    let error = reader.history(1).await.unwrap_err().to_string();
    assert!(error.contains("run `oncegate migrate`"), "{error}");

    let (one, other) = tokio::join!(migrate(&config), migrate(&config));
    assert_eq!((one.min(other), one.max(other)), (1, NEWEST), "one of them found it done");
    let store = open(&config).await;
    let history = store.history(10).await.unwrap();
    assert_eq!((history.len(), history[0].epoch), (1, Epoch(7)));

    client.batch_execute("UPDATE oncegate_version SET version = 99").await.unwrap();
    let newer = refusal(&config).await;
    assert!(matches!(newer, PgError::NewerVersion { found: 99, known: NEWEST, .. }), "{newer}");
    client.batch_execute("CREATE SCHEMA others; CREATE TABLE others.t (a int)").await.unwrap();
    let others = config_in(&server, "others");
    assert!(matches!(refusal(&others).await, PgError::NotOurs { .. }));
    let migrating = oncegate_postgres_store::schema::migrate(&others, &TcpConnect, &SystemClock).await;
    assert!(matches!(migrating, Err(PgError::NotOurs { .. })));
}

#[tokio::test]
#[ignore = "needs postgresql"]
async fn a_server_that_would_lose_commits_is_refused_or_told_not_to() {
    let server = PostgresServer::start(&["synchronous_commit=off"]).await;
    let mut config = config(&server);
    migrate(&config).await;
    open(&config).await;
    let client = psql(&config).await;
    assert_eq!(text(&client, "SHOW synchronous_commit").await, "off", "the server's own setting");
    // What its sessions set is seen by what they commit: the witness writes it down.
    client
        .batch_execute(
            "CREATE TABLE witness (setting text);
             CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO oncegate.witness VALUES (current_setting('synchronous_commit')); RETURN NULL; END; $$;
             CREATE TRIGGER witness AFTER INSERT ON signals FOR EACH ROW EXECUTE FUNCTION witness();",
        )
        .await
        .unwrap();
    ask(&open(&config).await, insert(1)).await;
    assert_eq!(text(&client, "SELECT setting FROM witness").await, "on");
    config.require_synchronous_standby = true;
    let error = refusal(&config).await;
    assert!(
        matches!(error, PgError::NotDurable { .. }) && error.to_string().contains("synchronous_standby_names"),
        "{error}"
    );
    drop((client, server));

    let server = PostgresServer::start(&["fsync=off"]).await;
    let error = refusal(&kit::config(&server)).await;
    assert!(matches!(error, PgError::NotDurable { .. }) && error.to_string().contains("fsync"), "{error}");
}
