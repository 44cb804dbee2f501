//! Every statement that runs while trading, in one place, so that one test can show that none walks a table.
//!
//! Each is prepared once per connection and kept. Guards stand inside the statement that they guard.

pub(crate) const READ_LEADERSHIP: &str = "SELECT epoch, holder, heartbeat_at FROM leadership WHERE id = 1";

/// Rides on this: a trigger puts what was executing in doubt.
pub(crate) const OPEN_EPOCH: &str =
    "UPDATE leadership SET epoch = epoch + 1, holder = ?2, heartbeat_at = ?3 WHERE id = 1 AND epoch = ?1";

pub(crate) const HEARTBEAT: &str =
    "UPDATE leadership SET heartbeat_at = ?3 WHERE id = 1 AND epoch = ?1 AND holder = ?2";

pub(crate) const VACATE: &str = "UPDATE leadership SET holder = NULL WHERE id = 1 AND epoch = ?1 AND holder = ?2";

pub(crate) const OPEN_HISTORY: &str = "INSERT INTO leadership_history (epoch, holder, opened_at) VALUES (?1, ?2, ?3)";

pub(crate) const CLOSE_HISTORY: &str =
    "UPDATE leadership_history SET closed_at = ?2, reason = ?3 WHERE epoch = ?1 AND closed_at IS NULL";

pub(crate) const READ_STATE: &str = "SELECT state FROM signals WHERE fingerprint = ?1";

pub(crate) const READ_STATE_AND_DIGEST: &str = "SELECT state, body_digest FROM signals WHERE fingerprint = ?1";

pub(crate) const INSERT_SIGNAL: &str = "\
INSERT INTO signals (fingerprint, body_digest, state, received_at, expires_at, raw)
VALUES (?1, ?2, 'received', ?3, ?4, ?5)";

pub(crate) const READ_SIGNAL: &str =
    "SELECT fingerprint, sequence, state, raw, expires_at FROM signals WHERE fingerprint = ?1";

pub(crate) const READ_RECEIVED: &str = "\
SELECT fingerprint, sequence, state, raw, expires_at FROM signals
WHERE state = 'received' ORDER BY sequence LIMIT ?1";

pub(crate) const READ_UNFINISHED: &str = "\
SELECT fingerprint, sequence, state, raw, expires_at FROM signals
WHERE state IN ('executing', 'in_doubt') ORDER BY sequence LIMIT ?1";

pub(crate) const READ_ATTEMPTS: &str = "\
SELECT leg, number, epoch, owner, claimed_at, outcome, outcome_detail FROM attempts
WHERE fingerprint = ?1 ORDER BY id";

/// The claim. Rides on this: a trigger moves the signal to executing.
///
/// The last guard makes a repeated recovery claim change nothing. A repeated first claim finds its signal
/// executing, but one in doubt stays in doubt when it is claimed, and would take an attempt for every repeat.
pub(crate) const CLAIM: &str = "\
INSERT INTO attempts (fingerprint, leg, number, client_order_id, epoch, owner, purpose, claimed_at)
SELECT s.fingerprint, ?2, ifnull(newest.number, 0) + 1, ?5, l.epoch, l.holder, ?6, ?7
FROM leadership AS l
JOIN signals AS s ON s.fingerprint = ?1
LEFT JOIN attempts AS newest ON newest.fingerprint = ?1 AND newest.leg = ?2
    AND newest.number = (SELECT max(number) FROM attempts WHERE fingerprint = ?1 AND leg = ?2)
WHERE l.id = 1 AND l.epoch = ?3 AND l.holder = ?4
    AND s.state = CASE ?6 WHEN 'execute' THEN 'received' WHEN 'recover' THEN 'in_doubt' END
    AND (?6 = 'execute' OR newest.outcome IS NOT NULL OR newest.purpose IS NOT 'recover'
         OR newest.owner IS NOT ?4)
RETURNING number";

pub(crate) const READ_OUTCOME: &str = "\
SELECT outcome, outcome_detail FROM attempts
WHERE fingerprint = ?1 AND leg = ?2 AND number = ?3 AND owner = ?4";

pub(crate) const WRITE_OUTCOME: &str = "\
UPDATE attempts SET outcome = ?5, outcome_detail = ?6, outcome_at = ?7
WHERE fingerprint = ?1 AND leg = ?2 AND number = ?3 AND owner = ?4";

pub(crate) const WRITE_STATE: &str = "UPDATE signals SET state = ?2 WHERE fingerprint = ?1";

pub(crate) const CONCLUDE: &str = "\
UPDATE signals SET state = ?5
WHERE fingerprint = ?1 AND state = ?4
    AND EXISTS (SELECT 1 FROM leadership WHERE id = 1 AND epoch = ?2 AND holder = ?3)";

pub(crate) const RECORD_CONCLUSION: &str = "\
INSERT INTO conclusions (fingerprint, epoch, holder, verdict, detail, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

pub(crate) const RESOLVE: &str = "UPDATE signals SET state = ?2 WHERE fingerprint = ?1 AND state = 'quarantined'";

pub(crate) const RECORD_RESOLUTION: &str =
    "INSERT INTO resolutions (fingerprint, resolution, reason, at) VALUES (?1, ?2, ?3, ?4)";

pub(crate) const READ_LEASE: &str = "SELECT holder, acquired_at, ttl FROM lease WHERE id = 1";

pub(crate) const WRITE_LEASE: &str = "\
INSERT INTO lease (id, holder, acquired_at, ttl) VALUES (1, ?1, ?2, ?3)
ON CONFLICT (id) DO UPDATE SET holder = ?1, acquired_at = ?2, ttl = ?3";

pub(crate) const DELETE_LEASE: &str = "DELETE FROM lease WHERE id = 1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Db;

    const HOT: [&str; 25] = [
        READ_LEADERSHIP,
        OPEN_EPOCH,
        HEARTBEAT,
        VACATE,
        OPEN_HISTORY,
        CLOSE_HISTORY,
        READ_STATE,
        READ_STATE_AND_DIGEST,
        INSERT_SIGNAL,
        READ_SIGNAL,
        READ_RECEIVED,
        READ_UNFINISHED,
        READ_ATTEMPTS,
        CLAIM,
        READ_OUTCOME,
        WRITE_OUTCOME,
        WRITE_STATE,
        CONCLUDE,
        RECORD_CONCLUSION,
        RESOLVE,
        RECORD_RESOLUTION,
        READ_LEASE,
        WRITE_LEASE,
        DELETE_LEASE,
        // What the triggers run.
        "UPDATE signals SET state = 'in_doubt' WHERE state IN ('executing', 'in_doubt') AND state = 'executing'",
    ];

    /// What [`READ_RECEIVED`] and its like may walk: indexes that hold nothing but what is owed.
    const WORK_LISTS: [&str; 2] = ["USING INDEX signals_received", "USING INDEX signals_unfinished"];

    #[test]
    fn no_statement_walks_a_table() {
        let mut db = Db::open_in_memory().unwrap();
        let connection = db.connection();
        for sql in HOT {
            let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let mut rows = plan.raw_query();
            while let Some(row) = rows.next().unwrap() {
                let step: String = row.get("detail").unwrap();
                let walks = step.starts_with("SCAN ") && step != "SCAN CONSTANT ROW";
                let through_work_list = WORK_LISTS.iter().any(|list| step.ends_with(list));
                assert!(!walks || through_work_list, "{sql}\nwalks: {step}");
            }
        }
    }

    /// The triggers' own statements don't show in the plan of what fires them.
    #[test]
    fn every_statement_of_a_trigger_is_a_search_or_among_the_hot() {
        let mut db = Db::open_in_memory().unwrap();
        let mut triggers = db.connection().prepare("SELECT sql FROM sqlite_schema WHERE type = 'trigger'").unwrap();
        let bodies: Vec<String> = triggers.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let updates = bodies.iter().flat_map(|sql| sql.lines()).filter(|line| line.trim().starts_with("UPDATE "));
        for update in updates {
            let update = update.trim().trim_end_matches(';');
            let by_key = update.ends_with("WHERE fingerprint = NEW.fingerprint");
            assert!(by_key || HOT.contains(&update), "not covered: {update}");
        }
    }
}
