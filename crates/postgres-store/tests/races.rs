//! Many that claim and many that lead, on connections of their own, with the server killed in between; then the whole
//! history is judged.

#![allow(clippy::unwrap_used)]

mod kit;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kit::*;
use oncegate_coordinator::{Clock as _, SignalStore as _, SystemClock};
use oncegate_postgres_store::{PostgresConfig, PostgresStore};
use oncegate_protocol::call::Purpose;
use oncegate_protocol::{Epoch, StoreCall, StoreReply};
use oncegate_store_conformance::PostgresServer;
use oncegate_store_conformance::postgres_server::kill_session;
use oncegate_store_conformance::words::*;
use tokio_postgres::Client;

const SIGNALS: u64 = 300;
const RACERS: u64 = 8;

/// Writes down, with the transaction that did it, each claim and each epoch. Rows of these are never updated, so
/// `xmin` stays that transaction, and the server knows when it committed.
const WITNESSES: &str = "\
CREATE TABLE claimed (fingerprint bytea, leg bigint, number bigint, epoch bigint);
CREATE TABLE opened (epoch bigint);
CREATE FUNCTION witness_claim() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO race.claimed VALUES (NEW.fingerprint, NEW.leg, NEW.number, NEW.epoch); RETURN NULL; END; $$;
CREATE FUNCTION witness_epoch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO race.opened VALUES (NEW.epoch); RETURN NULL; END; $$;
CREATE TRIGGER witness AFTER INSERT ON attempts FOR EACH ROW EXECUTE FUNCTION witness_claim();
CREATE TRIGGER witness AFTER UPDATE OF epoch ON leadership FOR EACH ROW EXECUTE FUNCTION witness_epoch();";

/// What racers saw, acknowledged.
#[derive(Default)]
struct Seen {
    claims: AtomicU64,
    epochs: AtomicU64,
    fenced: AtomicU64,
    taken: AtomicU64,
    errors: AtomicU64,
}

/// Claims signal after signal on what it believes, stale or not; takes the leadership now and then.
async fn race(store: Arc<PostgresStore>, name: String, seen: Arc<Seen>, over: Arc<AtomicBool>) {
    let mut epoch = 0;
    for n in (1..=SIGNALS).cycle().take(20 * usize::try_from(SIGNALS).unwrap()) {
        if over.load(Ordering::Relaxed) {
            return;
        }
        if n % 2 == 0 {
            match store.call(StoreCall::ReadLeadership).await {
                Ok(StoreReply::Leadership(leadership)) => epoch = leadership.epoch.0,
                Ok(reply) => panic!("{reply:?}"),
                Err(_) => drop(seen.errors.fetch_add(1, Ordering::Relaxed)),
            }
        }
        if n % 29 == 0 {
            match store.call(open_epoch(epoch, &name)).await {
                Ok(StoreReply::Opened(Epoch(opened))) => {
                    epoch = opened;
                    seen.epochs.fetch_add(1, Ordering::Relaxed);
                }
                Ok(StoreReply::Fenced(leadership)) => epoch = leadership.epoch.0,
                Ok(reply) => panic!("{reply:?}"),
                Err(_) => drop(seen.errors.fetch_add(1, Ordering::Relaxed)),
            }
        }
        // On a signal that is in doubt the second attempt, which only one may get too.
        let purpose = if n % 2 == 0 { Purpose::Execute } else { Purpose::Recover };
        for claim in [claim_for(n, epoch, &name, Purpose::Execute), claim_for(n, epoch, &name, purpose)] {
            let count = match store.call(StoreCall::Claim(claim)).await {
                Ok(StoreReply::Claimed { .. }) => &seen.claims,
                Ok(StoreReply::Fenced(_)) => &seen.fenced,
                Ok(StoreReply::NotClaimed(_)) => &seen.taken,
                Ok(reply) => panic!("{reply:?}"),
                Err(_) => &seen.errors,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The whole history: who claimed what, and when the server says that it committed.
async fn judge(client: &Client, seen: &Seen) {
    let count = async |sql: &str| text(client, sql).await.parse::<u64>().unwrap();
    let claims = count("SELECT count(*) FROM claimed").await;
    assert_eq!(claims, count("SELECT count(*) FROM attempts").await);
    assert_eq!(
        claims,
        count("SELECT count(*) FROM (SELECT DISTINCT fingerprint, leg, number FROM claimed) AS c").await
    );
    let epochs = count("SELECT count(*) FROM opened").await;
    assert_eq!(epochs, count("SELECT epoch FROM leadership").await, "each was opened once");
    assert_eq!(epochs, count("SELECT count(DISTINCT epoch) FROM opened").await);
    assert_eq!(epochs, count("SELECT max(epoch) FROM opened").await, "none was left out");
    assert_eq!(epochs, count("SELECT count(*) FROM leadership_history").await);
    // A claim under an epoch committed after that epoch and before the next. What the server called committed at the
    // same microsecond says nothing either way.
    let early = "SELECT count(*) FROM claimed AS c JOIN opened AS o ON o.epoch = c.epoch
                 WHERE pg_xact_commit_timestamp(c.xmin) < pg_xact_commit_timestamp(o.xmin)";
    let late = "SELECT count(*) FROM claimed AS c JOIN opened AS o ON o.epoch = c.epoch + 1
                WHERE pg_xact_commit_timestamp(c.xmin) > pg_xact_commit_timestamp(o.xmin)";
    assert_eq!(count(early).await, 0, "claimed before the epoch was open");
    assert_eq!(count(late).await, 0, "claimed after the epoch was over");
    let stale = "SELECT count(*) FROM signals AS s JOIN attempts AS a USING (fingerprint), leadership AS l
                 WHERE s.state = 'executing' AND a.epoch < l.epoch";
    assert_eq!(count(stale).await, 0, "left executing by an epoch that is over");
    // What was acknowledged is there; what was not acknowledged may be.
    let (granted, opened) = (seen.claims.load(Ordering::Relaxed), seen.epochs.load(Ordering::Relaxed));
    let errors = seen.errors.load(Ordering::Relaxed);
    assert!(claims >= granted && claims <= granted + errors, "{claims} claims are there, {granted} were granted");
    assert!(epochs >= opened && epochs <= opened + errors, "{epochs} epochs are there, {opened} were granted");
    println!("{claims} claims, {epochs} epochs, {:?} fenced, {:?} taken, {errors} errors", seen.fenced, seen.taken);
    assert!(claims > SIGNALS && epochs > 20, "nobody raced");
    assert!(seen.fenced.load(Ordering::Relaxed) > 0 && seen.taken.load(Ordering::Relaxed) > 0, "nobody lost a race");
}

async fn prepare(server: &PostgresServer) -> (PostgresConfig, Client) {
    let mut config = config_in(server, "race");
    config.connections = 3;
    migrate(&config).await;
    let client = psql(&config).await;
    client.batch_execute(WITNESSES).await.unwrap();
    let store = open(&config).await;
    ask_all(&store, (1..=SIGNALS).map(insert)).await;
    (config, client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgresql"]
async fn racing_leaders_never_share_a_claim_and_never_claim_under_a_stale_epoch() {
    let server = PostgresServer::start(&["track_commit_timestamp=on"]).await;
    let (config, client) = prepare(&server).await;
    let (seen, over) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
    let mut racers = tokio::task::JoinSet::new();
    for racer in 0..RACERS {
        let store = Arc::new(open(&config).await);
        // Two that share a store, and so its connections.
        for twin in ["x", "y"] {
            racers.spawn(race(Arc::clone(&store), format!("{racer}{twin}"), Arc::clone(&seen), Arc::clone(&over)));
        }
    }
    let clock = SystemClock;
    let end = clock.now().mono.plus(Duration::from_secs(60));
    while seen.claims.load(Ordering::Relaxed) < SIGNALS + SIGNALS / 2 && clock.now().mono < end {
        clock.sleep_until(clock.now().mono.plus(Duration::from_millis(20))).await;
    }
    over.store(true, Ordering::Relaxed);
    racers.join_all().await;
    assert_eq!(seen.errors.load(Ordering::Relaxed), 0);
    judge(&client, &seen).await;
}

/// First one session is killed, which makes the server restart all of them, then the whole server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgresql"]
async fn what_was_granted_before_the_server_was_killed_holds_after_it_is_back() {
    let mut server = PostgresServer::start(&["track_commit_timestamp=on"]).await;
    let (config, client) = prepare(&server).await;
    let (seen, over) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
    let mut racers = tokio::task::JoinSet::new();
    for racer in 0..RACERS {
        let store = Arc::new(open(&config).await);
        racers.spawn(race(store, format!("{racer}"), Arc::clone(&seen), Arc::clone(&over)));
    }
    let clock = SystemClock;
    let granted = async |more: u64| {
        let (goal, end) = (seen.claims.load(Ordering::Relaxed) + more, clock.now().mono.plus(Duration::from_secs(60)));
        while seen.claims.load(Ordering::Relaxed) < goal {
            assert!(clock.now().mono < end, "claims are not granted any more: {:?}", seen.errors);
            clock.sleep_until(clock.now().mono.plus(Duration::from_millis(10))).await;
        }
    };
    granted(60).await;
    let busiest = "SELECT pid FROM pg_stat_activity WHERE application_name = 'oncegate' AND state <> 'idle' LIMIT 1";
    let session = "SELECT pid FROM pg_stat_activity WHERE application_name = 'oncegate' LIMIT 1";
    let found = client.query_opt(busiest, &[]).await.unwrap();
    let victim = match found {
        Some(row) => row.get::<_, i32>(0),
        None => client.query_one(session, &[]).await.unwrap().get(0),
    };
    kill_session(victim);
    granted(60).await;
    server.kill();
    server.start_again().await;
    granted(60).await;
    while seen.claims.load(Ordering::Relaxed) < SIGNALS + 20 {
        granted(1).await;
    }
    over.store(true, Ordering::Relaxed);
    racers.join_all().await;
    assert!(seen.errors.load(Ordering::Relaxed) > 0, "nobody noticed");
    judge(&psql(&config).await, &seen).await;
}
