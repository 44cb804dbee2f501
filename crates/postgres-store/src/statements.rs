//! Every statement, in one place.
//!
//! Those that trade are prepared once per session and kept. Guards stand inside the statement that they guard, or in
//! the triggers that it fires.

/// Those that trade: a link that trades knows them all before its first call.
pub(crate) const TRADING: [&str; 25] = [
    READ_LEADERSHIP,
    READ_PAUSE,
    SET_PAUSE,
    OPEN_EPOCH,
    HEARTBEAT,
    VACATE,
    OPEN_HISTORY,
    CLOSE_HISTORY,
    READ_STATE,
    LOCK_SIGNAL,
    READ_STATE_AND_DIGEST,
    INSERT_SIGNAL,
    READ_SIGNAL,
    READ_OLDEST,
    READ_NEWEST,
    READ_WHETHER_OWED,
    READ_ATTEMPTS,
    CLAIM,
    WRITE_OUTCOME,
    WRITE_STATE,
    CONCLUDE,
    RECORD_CONCLUSION,
    RESOLVE,
    ANSWER_FOR,
    RECORD_RESOLUTION,
];

/// For calls that decide on what they have locked.
pub(crate) const BEGIN: &str = "BEGIN";

/// For several reads of one snapshot.
pub(crate) const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

pub(crate) const COMMIT: &str = "COMMIT";

/// What follows may fail without taking the rest along.
pub(crate) const SAVEPOINT_HISTORY: &str = "SAVEPOINT history";

pub(crate) const ROLLBACK_HISTORY: &str = "ROLLBACK TO SAVEPOINT history";

/// As text: `synchronous_commit`, `fsync`, `synchronous_standby_names`, and whether this is a standby.
pub(crate) const READ_SETTINGS: &str = "\
SELECT current_setting('synchronous_commit'), current_setting('fsync'), current_setting('synchronous_standby_names'),
    CASE WHEN pg_is_in_recovery() THEN 'true' ELSE 'false' END";

pub(crate) const SET_SYNCHRONOUS_COMMIT: &str = "SET synchronous_commit = on";

/// `channel` is made of letters, digits and underscores: the configuration sees to it.
pub(crate) fn listen(channel: &str) -> String {
    format!("LISTEN {channel}")
}

/// In a commit of its own, after the one that it tells of: what notifies takes a lock on the whole database until its
/// commit is on the disk, so that otherwise no two of them would share a write to it.
pub(crate) const NOTIFY: &str = "SELECT pg_notify($1, '')";

pub(crate) const READ_LEADERSHIP: &str = "\
SELECT epoch, holder, heartbeat_at, paused_since, paused_reason, (SELECT coalesce(max(number), 0) FROM pauses)
FROM leadership WHERE id = 1";

/// For tables of a version that knew of no pauses.
pub(crate) const READ_OLD_LEADERSHIP: &str = "\
SELECT epoch, holder, heartbeat_at, CAST(NULL AS bigint), CAST(NULL AS text), CAST(0 AS bigint)
FROM leadership WHERE id = 1";

/// Rides on this: a trigger puts the word in force.
pub(crate) const SET_PAUSE: &str = "INSERT INTO pauses (number, paused, reason, at) VALUES ($1, $2, $3, $4)";

pub(crate) const READ_PAUSE: &str = "SELECT paused_since, paused_reason FROM leadership WHERE id = 1";

/// Waits for every claim of the present epoch that has not committed yet. Rides on it: a trigger puts what was
/// executing in doubt.
pub(crate) const OPEN_EPOCH: &str =
    "UPDATE leadership SET epoch = epoch + 1, holder = $2, heartbeat_at = $3 WHERE id = 1 AND epoch = $1";

pub(crate) const HEARTBEAT: &str =
    "UPDATE leadership SET heartbeat_at = $3 WHERE id = 1 AND epoch = $1 AND holder = $2";

pub(crate) const VACATE: &str = "UPDATE leadership SET holder = NULL WHERE id = 1 AND epoch = $1 AND holder = $2";

pub(crate) const OPEN_HISTORY: &str = "INSERT INTO leadership_history (epoch, holder, opened_at) VALUES ($1, $2, $3)";

pub(crate) const CLOSE_HISTORY: &str =
    "UPDATE leadership_history SET closed_at = $2, reason = $3 WHERE epoch = $1 AND closed_at IS NULL";

pub(crate) const READ_STATE: &str = "SELECT state, legs FROM signals WHERE fingerprint = $1";

/// What follows in the transaction sees the signal and its attempts as they will stay.
pub(crate) const LOCK_SIGNAL: &str = "SELECT state, legs FROM signals WHERE fingerprint = $1 FOR UPDATE";

/// Under the same lock as a claim, and for the same reason.
pub(crate) const LOCK_LEADERSHIP: &str =
    "SELECT epoch FROM leadership WHERE id = 1 AND epoch = $1 AND holder = $2 FOR SHARE";

pub(crate) const READ_STATE_AND_DIGEST: &str = "SELECT state, body_digest FROM signals WHERE fingerprint = $1";

/// A repeat is passed over before it takes a number; two at the same moment meet at the constraint.
pub(crate) const INSERT_SIGNAL: &str = "\
INSERT INTO signals (fingerprint, body_digest, state, received_at, expires_at, raw, legs)
SELECT $1, $2, 'received', $3, $4, $5, $6 WHERE NOT EXISTS (SELECT 1 FROM signals WHERE fingerprint = $1)
ON CONFLICT (fingerprint) DO NOTHING";

/// What people read in tables of any version: where signals have no column of that name yet, each has one leg, by the
/// name that stands outside.
macro_rules! of_any_version {
    ($signals:literal) => {
        concat!(
            "SELECT found.* FROM (SELECT CAST(1 AS bigint) AS legs) AS one CROSS JOIN LATERAL (",
            "SELECT fingerprint, sequence, state, raw, expires_at, received_at, legs FROM signals ",
            $signals,
            ") AS found"
        )
    };
}

pub(crate) const READ_SIGNAL: &str = of_any_version!("WHERE fingerprint = $1");

/// The oldest of those in one state.
pub(crate) const READ_OLDEST: &str = "\
SELECT fingerprint, sequence, state, raw, expires_at, received_at, legs FROM signals WHERE state = $1
ORDER BY sequence LIMIT $2";

/// The newest of those in one state that came before a given one.
pub(crate) const READ_NEWEST: &str =
    of_any_version!("WHERE state = $1 AND sequence < $2 ORDER BY sequence DESC LIMIT $3");

/// The newest of all that came before a given one.
pub(crate) const READ_NEWEST_OF_ALL: &str = of_any_version!("WHERE sequence < $1 ORDER BY sequence DESC LIMIT $2");

/// Whether a look brings anything at all; the common answer is no.
pub(crate) const READ_WHETHER_OWED: &str = "\
SELECT EXISTS (SELECT 1 FROM signals WHERE state = 'received')
    OR EXISTS (SELECT 1 FROM signals WHERE state = 'executing')
    OR EXISTS (SELECT 1 FROM signals WHERE state = 'in_doubt')
    OR EXISTS (SELECT 1 FROM signals WHERE state = 'quarantined')
    OR EXISTS (SELECT 1 FROM signals WHERE state = 'partial')
    OR EXISTS (SELECT 1 FROM leadership WHERE id = 1 AND paused_since IS NOT NULL)";

pub(crate) const READ_ATTEMPTS: &str = "\
SELECT leg, number, epoch, owner, client_order_id, claimed_at, outcome, outcome_detail, answered_for
FROM attempts WHERE fingerprint = $1 ORDER BY ordinal";

/// The claim, whole: the lock on the leadership row lasts until it has committed, so that no epoch is opened between.
/// A trigger guards the rest, counts the ordinal, and another moves the signal to executing.
pub(crate) const CLAIM: &str = "\
INSERT INTO attempts (fingerprint, leg, number, ordinal, client_order_id, epoch, owner, purpose, claimed_at)
SELECT $1, $2, $3, 0, $4, leader.epoch, leader.holder, $7, $8
FROM (SELECT epoch, holder FROM leadership WHERE id = 1 AND epoch = $5 AND holder = $6 FOR SHARE) AS leader";

pub(crate) const WRITE_OUTCOME: &str = "\
UPDATE attempts SET outcome = $5, outcome_detail = $6, outcome_at = $7
WHERE fingerprint = $1 AND leg = $2 AND number = $3 AND owner = $4";

/// One of several legs, found at the broker: by a leader's word, whoever's attempt it is.
pub(crate) const WRITE_FOUND: &str = "\
UPDATE attempts SET outcome = 'accepted', outcome_detail = $4, outcome_at = $5
WHERE fingerprint = $1 AND leg = $2 AND number = $3";

pub(crate) const WRITE_STATE: &str = "UPDATE signals SET state = $2 WHERE fingerprint = $1";

/// Under the same lock as a claim, and for the same reason.
pub(crate) const CONCLUDE: &str = "\
UPDATE signals SET state = $5
FROM (SELECT epoch FROM leadership WHERE id = 1 AND epoch = $2 AND holder = $3 FOR SHARE) AS leader
WHERE fingerprint = $1 AND state = $4";

pub(crate) const RECORD_CONCLUSION: &str =
    "INSERT INTO conclusions (fingerprint, epoch, holder, verdict, detail, at) VALUES ($1, $2, $3, $4, $5, $6)";

/// What is sent again goes on after the legs that the broker has; what was executed in part is not sent again.
pub(crate) const RESOLVE: &str = "\
UPDATE signals SET state = CASE
    WHEN $2 <> 'received' OR NOT EXISTS (SELECT 1 FROM attempts WHERE fingerprint = $1 AND outcome = 'accepted') THEN $2
    ELSE 'in_doubt' END
WHERE fingerprint = $1 AND (state = 'quarantined' OR state = 'partial' AND $2 <> 'received')
    AND (SELECT count(*) FROM attempts WHERE fingerprint = $1) = $3
RETURNING state";

pub(crate) const ANSWER_FOR: &str = "\
UPDATE attempts SET answered_for = true WHERE fingerprint = $1 AND outcome IS DISTINCT FROM 'accepted'";

pub(crate) const RECORD_RESOLUTION: &str =
    "INSERT INTO resolutions (fingerprint, resolution, attempts, reason, at) VALUES ($1, $2, $3, $4, $5)";

/// For people: conclusions and resolutions of one signal, each with its leader if it had one.
pub(crate) const READ_DECISIONS: &str = "\
SELECT at, holder, verdict, detail FROM conclusions WHERE fingerprint = $1
UNION ALL
SELECT at, NULL, resolution, reason FROM resolutions WHERE fingerprint = $1
ORDER BY 1";

pub(crate) const TALLY: &str = "SELECT state, count(*), min(received_at) FROM signals GROUP BY state";

pub(crate) const READ_HISTORY: &str = "\
SELECT epoch, holder, opened_at, closed_at, reason FROM leadership_history ORDER BY epoch DESC LIMIT $1";

/// Microseconds left, by the server's own clock; negative when it has run out.
pub(crate) const READ_LEASE: &str = "\
SELECT holder, CAST(extract(epoch FROM expires_at - clock_timestamp()) * 1000000 AS bigint) FROM lease
WHERE id = 1 AND holder IS NOT NULL AND expires_at > clock_timestamp()";

/// What is set is worked out after the row was locked, so the time runs from when the server acted.
pub(crate) const ACQUIRE_LEASE: &str = "\
UPDATE lease SET holder = $1, expires_at = clock_timestamp() + $2 * interval '1 microsecond'
WHERE id = 1 AND (holder IS NULL OR holder = $1 OR expires_at <= clock_timestamp())";

pub(crate) const RENEW_LEASE: &str = "\
UPDATE lease SET expires_at = clock_timestamp() + $2 * interval '1 microsecond'
WHERE id = 1 AND holder = $1 AND expires_at > clock_timestamp()";

pub(crate) const RELEASE_LEASE: &str = "\
UPDATE lease SET holder = NULL, expires_at = '-infinity'
WHERE id = 1 AND holder = $1 AND expires_at > clock_timestamp()";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use oncegate_coordinator::{SystemClock, TcpConnect};
    use oncegate_store_conformance::PostgresServer;
    use oncegate_store_conformance::postgres_server::{DATABASE, USER};

    use super::*;
    use crate::link::Access;
    use crate::pool::Pool;
    use crate::{PostgresConfig, schema};

    /// Each with how many parameters it has.
    const HOT: [(&str, usize); 29] = [
        (READ_LEADERSHIP, 0),
        (READ_PAUSE, 0),
        (SET_PAUSE, 4),
        (OPEN_EPOCH, 3),
        (HEARTBEAT, 3),
        (VACATE, 2),
        (OPEN_HISTORY, 3),
        (CLOSE_HISTORY, 3),
        (READ_STATE, 1),
        (LOCK_SIGNAL, 1),
        (LOCK_LEADERSHIP, 2),
        (READ_STATE_AND_DIGEST, 1),
        (INSERT_SIGNAL, 6),
        (READ_SIGNAL, 1),
        (READ_OLDEST, 2),
        (READ_NEWEST, 3),
        (READ_NEWEST_OF_ALL, 2),
        (READ_WHETHER_OWED, 0),
        (READ_ATTEMPTS, 1),
        (CLAIM, 8),
        (WRITE_OUTCOME, 7),
        (WRITE_FOUND, 5),
        (WRITE_STATE, 2),
        (CONCLUDE, 5),
        (RECORD_CONCLUSION, 6),
        (RESOLVE, 3),
        (ANSWER_FOR, 1),
        (RECORD_RESOLUTION, 5),
        (READ_DECISIONS, 1),
    ];

    /// Tables of one row may be walked.
    #[tokio::test]
    #[ignore = "needs postgresql"]
    async fn no_statement_has_to_walk_a_table() {
        let server = PostgresServer::start(&[]).await;
        let config = PostgresConfig::new(&server.peer, USER, DATABASE);
        schema::migrate(&config, &TcpConnect, &SystemClock).await.unwrap();
        let pool = Pool::new(config, Access::Writes, Arc::new(TcpConnect), Arc::new(SystemClock)).unwrap();
        let explain = pool.run("explain", |session| {
            Box::pin(async move {
                // Whoever still walks has no other way.
                session.batch("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan").await?;
                for (sql, parameters) in HOT {
                    session.batch(&format!("DEALLOCATE ALL; PREPARE hot AS {sql}")).await?;
                    let nulls = vec!["NULL"; parameters].join(", ");
                    let call = if parameters == 0 { String::new() } else { format!("({nulls})") };
                    let plan = session.text_row(&format!("EXPLAIN (FORMAT JSON) EXECUTE hot{call}")).await?;
                    let plan = plan[0].clone().unwrap_or_default();
                    for table in ["signals", "attempts", "conclusions", "resolutions", "leadership_history", "pauses"] {
                        let walks = plan.split("\"Seq Scan\"").skip(1).any(|node| {
                            node.split("\"Relation Name\": \"").nth(1).is_some_and(|name| name.starts_with(table))
                        });
                        assert!(!walks, "{sql}\nwalks {table}: {plan}");
                    }
                }
                Ok(())
            })
        });
        explain.await.unwrap();
    }
}
