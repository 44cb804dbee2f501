//! Every statement that runs while trading, in one place, so that one test can show that none walks a table.
//!
//! Each is prepared once per connection and kept. Guards stand inside the statement that they guard, or in the
//! triggers that it fires.

pub(crate) const BEGIN: &str = "BEGIN";

/// Takes the write lock at once.
pub(crate) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

pub(crate) const COMMIT: &str = "COMMIT";

/// What follows may fail without taking the rest along.
pub(crate) const SAVEPOINT_HISTORY: &str = "SAVEPOINT history";

pub(crate) const ROLLBACK_HISTORY: &str = "ROLLBACK TO history";

pub(crate) const RELEASE_HISTORY: &str = "RELEASE history";

pub(crate) const READ_LEADERSHIP: &str = "\
SELECT epoch, holder, heartbeat_at, paused_since, paused_reason, (SELECT ifnull(max(number), 0) FROM pauses)
FROM leadership WHERE id = 1";

/// Rides on this: a trigger puts the word in force.
pub(crate) const SET_PAUSE: &str = "INSERT INTO pauses (number, paused, reason, at) VALUES (?1, ?2, ?3, ?4)";

pub(crate) const READ_PAUSE: &str = "SELECT paused_since, paused_reason FROM leadership WHERE id = 1";

/// Rides on this: a trigger puts what was executing in doubt.
pub(crate) const OPEN_EPOCH: &str =
    "UPDATE leadership SET epoch = epoch + 1, holder = ?2, heartbeat_at = ?3 WHERE id = 1 AND epoch = ?1";

pub(crate) const HEARTBEAT: &str =
    "UPDATE leadership SET heartbeat_at = ?3 WHERE id = 1 AND epoch = ?1 AND holder = ?2";

pub(crate) const VACATE: &str = "UPDATE leadership SET holder = NULL WHERE id = 1 AND epoch = ?1 AND holder = ?2";

pub(crate) const OPEN_HISTORY: &str = "INSERT INTO leadership_history (epoch, holder, opened_at) VALUES (?1, ?2, ?3)";

pub(crate) const CLOSE_HISTORY: &str =
    "UPDATE leadership_history SET closed_at = ?2, reason = ?3 WHERE epoch = ?1 AND closed_at IS NULL";

pub(crate) const READ_STATE: &str = "SELECT state, legs FROM signals WHERE fingerprint = ?1";

pub(crate) const READ_STATE_AND_DIGEST: &str = "SELECT state, body_digest FROM signals WHERE fingerprint = ?1";

pub(crate) const INSERT_SIGNAL: &str = "\
INSERT INTO signals (fingerprint, body_digest, state, received_at, expires_at, raw, legs)
VALUES (?1, ?2, 'received', ?3, ?4, ?5, ?6)";

pub(crate) const READ_SIGNAL: &str =
    "SELECT fingerprint, sequence, state, raw, expires_at, legs FROM signals WHERE fingerprint = ?1";

/// The oldest of those in one state. The state stands in the text, because only so does `SQLite` see that the
/// partial index `signals_owed` has them all.
macro_rules! owed {
    ($state:literal) => {
        concat!(
            "SELECT fingerprint, sequence, state, raw, expires_at, legs FROM signals WHERE state = '",
            $state,
            "' ORDER BY sequence LIMIT ?1"
        )
    };
}

pub(crate) const READ_RECEIVED: &str = owed!("received");
pub(crate) const READ_EXECUTING: &str = owed!("executing");
pub(crate) const READ_IN_DOUBT: &str = owed!("in_doubt");

/// The newest, because whoever wrote the last ones may not have lived to tell; along
/// `signals_for_operators`.
pub(crate) const READ_QUARANTINED: &str = "\
SELECT fingerprint, sequence, state, raw, expires_at, legs FROM signals WHERE state = 'quarantined'
ORDER BY sequence DESC LIMIT ?1";

pub(crate) const READ_PARTIAL: &str = "\
SELECT fingerprint, sequence, state, raw, expires_at, legs FROM signals WHERE state = 'partial'
ORDER BY sequence DESC LIMIT ?1";

/// Whether a look brings anything at all; the common answer is no.
pub(crate) const READ_WHETHER_OWED: &str = "\
SELECT EXISTS (SELECT 1 FROM signals WHERE state = 'received')
    OR EXISTS (SELECT 1 FROM signals WHERE state = 'executing')
    OR EXISTS (SELECT 1 FROM signals WHERE state = 'in_doubt')
    OR EXISTS (SELECT 1 FROM signals WHERE state = 'quarantined')
    OR EXISTS (SELECT 1 FROM signals WHERE state = 'partial')
    OR EXISTS (SELECT 1 FROM leadership WHERE id = 1 AND paused_since IS NOT NULL)";

pub(crate) const READ_ATTEMPTS: &str = "\
SELECT ordinal, leg, number, epoch, owner, client_order_id, claimed_at, outcome, outcome_detail, answered_for
FROM attempts WHERE fingerprint = ?1";

/// The claim: triggers guard it, and move its signal to executing. Values, because `INSERT ... SELECT` into a
/// table with triggers goes through a temporary table, which costs more than all the rest.
pub(crate) const CLAIM: &str = "\
INSERT INTO attempts (fingerprint, leg, number, ordinal, client_order_id, epoch, owner, purpose, claimed_at)
VALUES (?1, ?2, ?3, (SELECT count(*) + 1 FROM attempts WHERE fingerprint = ?1), ?4, ?5, ?6, ?7, ?8)";

pub(crate) const WRITE_OUTCOME: &str = "\
UPDATE attempts SET outcome = ?5, outcome_detail = ?6, outcome_at = ?7
WHERE fingerprint = ?1 AND leg = ?2 AND number = ?3 AND owner = ?4";

/// One of several legs, found at the broker: by a leader's word, whoever's attempt it is.
pub(crate) const WRITE_FOUND: &str = "\
UPDATE attempts SET outcome = 'accepted', outcome_detail = ?4, outcome_at = ?5
WHERE fingerprint = ?1 AND leg = ?2 AND number = ?3";

pub(crate) const WRITE_STATE: &str = "UPDATE signals SET state = ?2 WHERE fingerprint = ?1";

pub(crate) const CONCLUDE: &str = "\
UPDATE signals SET state = ?5
WHERE fingerprint = ?1 AND state = ?4
    AND EXISTS (SELECT 1 FROM leadership WHERE id = 1 AND epoch = ?2 AND holder = ?3)";

pub(crate) const RECORD_CONCLUSION: &str = "\
INSERT INTO conclusions (fingerprint, epoch, holder, verdict, detail, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

pub(crate) const RESOLVE: &str = "\
UPDATE signals SET state = ?2
WHERE fingerprint = ?1 AND (state = 'quarantined' OR (state = 'partial' AND ?4))
    AND (SELECT count(*) FROM attempts WHERE fingerprint = ?1) = ?3";

pub(crate) const ANSWER_FOR: &str = "\
UPDATE attempts SET answered_for = 1 WHERE fingerprint = ?1 AND outcome IS NOT 'accepted'";

pub(crate) const RECORD_RESOLUTION: &str =
    "INSERT INTO resolutions (fingerprint, resolution, attempts, reason, at) VALUES (?1, ?2, ?3, ?4, ?5)";

pub(crate) const READ_LEASE: &str = "SELECT holder, acquired_at, ttl FROM lease WHERE id = 1";

pub(crate) const WRITE_LEASE: &str = "\
INSERT INTO lease (id, holder, acquired_at, ttl) VALUES (1, ?1, ?2, ?3)
ON CONFLICT (id) DO UPDATE SET holder = ?1, acquired_at = ?2, ttl = ?3";

pub(crate) const DELETE_LEASE: &str = "DELETE FROM lease WHERE id = 1";

/// The newest of those in one state that arrived before `?1`, at most `?2`; for people. The state stands in the text,
/// so that the partial index of its kind serves; those executed are found along the sequence, past what is not.
macro_rules! newest {
    ($state:literal) => {
        concat!(
            "SELECT fingerprint, sequence, state, raw, expires_at, received_at, legs FROM signals WHERE state = '",
            $state,
            "' AND sequence < ?1 ORDER BY sequence DESC LIMIT ?2"
        )
    };
}

pub(crate) const NEWEST_RECEIVED: &str = newest!("received");
pub(crate) const NEWEST_EXECUTING: &str = newest!("executing");
pub(crate) const NEWEST_IN_DOUBT: &str = newest!("in_doubt");
pub(crate) const NEWEST_EXECUTED: &str = newest!("executed");
pub(crate) const NEWEST_FAILED: &str = newest!("failed");
pub(crate) const NEWEST_EXPIRED: &str = newest!("expired");
pub(crate) const NEWEST_PARTIAL: &str = newest!("partial");
pub(crate) const NEWEST_QUARANTINED: &str = newest!("quarantined");

pub(crate) const NEWEST_OF_ALL: &str = "\
SELECT fingerprint, sequence, state, raw, expires_at, received_at, legs FROM signals WHERE sequence < ?1
ORDER BY sequence DESC LIMIT ?2";

pub(crate) const READ_ENTRY: &str =
    "SELECT fingerprint, sequence, state, raw, expires_at, received_at, legs FROM signals WHERE fingerprint = ?1";

/// How many are in one state, and when the first of them that arrived was stored.
macro_rules! tally {
    ($state:literal) => {
        concat!(
            "SELECT (SELECT count(*) FROM signals WHERE state = '",
            $state,
            "'), (SELECT received_at FROM signals WHERE state = '",
            $state,
            "' ORDER BY sequence LIMIT 1)"
        )
    };
}

pub(crate) const TALLY_RECEIVED: &str = tally!("received");
pub(crate) const TALLY_EXECUTING: &str = tally!("executing");
pub(crate) const TALLY_IN_DOUBT: &str = tally!("in_doubt");
pub(crate) const TALLY_FAILED: &str = tally!("failed");
pub(crate) const TALLY_EXPIRED: &str = tally!("expired");
pub(crate) const TALLY_PARTIAL: &str = tally!("partial");
pub(crate) const TALLY_QUARANTINED: &str = tally!("quarantined");

/// How many signals there are: numbers start at 1 and none is left out, because no signal is ever deleted and an
/// insert that fails gives its number back.
pub(crate) const COUNT_SIGNALS: &str = "SELECT ifnull(max(sequence), 0) FROM signals";

/// When the first that was executed arrived; past those before it that were not.
pub(crate) const OLDEST_EXECUTED: &str =
    "SELECT received_at FROM signals WHERE state = 'executed' AND sequence > 0 ORDER BY sequence LIMIT 1";

/// What a store of any version can tell of it.
pub(crate) const READ_WHO_LEADS: &str = "SELECT epoch, holder, heartbeat_at FROM leadership WHERE id = 1";

pub(crate) const READ_CONCLUSIONS: &str =
    "SELECT at, holder, verdict, detail FROM conclusions WHERE fingerprint = ?1 ORDER BY id";

pub(crate) const READ_RESOLUTIONS: &str =
    "SELECT at, resolution, reason FROM resolutions WHERE fingerprint = ?1 ORDER BY id";

pub(crate) const NEWEST_HISTORY: &str =
    "SELECT epoch, holder, opened_at, closed_at, reason FROM leadership_history ORDER BY epoch DESC LIMIT ?1";

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::Db;

    const HOT: [&str; 37] = [
        BEGIN,
        BEGIN_WRITE,
        COMMIT,
        SAVEPOINT_HISTORY,
        ROLLBACK_HISTORY,
        RELEASE_HISTORY,
        READ_LEADERSHIP,
        SET_PAUSE,
        READ_PAUSE,
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
        READ_EXECUTING,
        READ_IN_DOUBT,
        READ_QUARANTINED,
        READ_PARTIAL,
        READ_WHETHER_OWED,
        READ_ATTEMPTS,
        CLAIM,
        WRITE_OUTCOME,
        WRITE_FOUND,
        WRITE_STATE,
        CONCLUDE,
        RECORD_CONCLUSION,
        RESOLVE,
        ANSWER_FOR,
        RECORD_RESOLUTION,
        READ_LEASE,
        WRITE_LEASE,
        DELETE_LEASE,
    ];

    /// What people read.
    const LEDGER: [&str; 23] = [
        NEWEST_RECEIVED,
        NEWEST_EXECUTING,
        NEWEST_IN_DOUBT,
        NEWEST_EXECUTED,
        NEWEST_FAILED,
        NEWEST_EXPIRED,
        NEWEST_PARTIAL,
        NEWEST_QUARANTINED,
        NEWEST_OF_ALL,
        READ_ENTRY,
        TALLY_RECEIVED,
        TALLY_EXECUTING,
        TALLY_IN_DOUBT,
        TALLY_FAILED,
        TALLY_EXPIRED,
        TALLY_PARTIAL,
        TALLY_QUARANTINED,
        COUNT_SIGNALS,
        OLDEST_EXECUTED,
        READ_WHO_LEADS,
        READ_CONCLUSIONS,
        READ_RESOLUTIONS,
        // Along its key, newest first; its limit ends it.
        "SELECT epoch FROM leadership_history WHERE epoch < 99 ORDER BY epoch DESC LIMIT ?1",
    ];

    fn assert_searches(connection: &Connection, sql: &str) {
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut rows = plan.raw_query();
        while let Some(row) = rows.next().unwrap() {
            let step: String = row.get("detail").unwrap();
            assert!(!step.starts_with("SCAN ") || step == "SCAN CONSTANT ROW", "{sql}\nwalks: {step}");
        }
    }

    #[test]
    fn no_statement_walks_a_table() {
        let mut db = Db::open_in_memory().unwrap();
        for sql in HOT.into_iter().chain(LEDGER) {
            assert_searches(db.connection(), sql);
        }
    }

    /// Only so is what people read as long as what they are shown, however long the past is.
    #[test]
    fn what_people_read_is_read_in_its_own_order() {
        let mut db = Db::open_in_memory().unwrap();
        for sql in LEDGER.into_iter().chain([NEWEST_HISTORY]) {
            let mut program = db.connection().prepare(&format!("EXPLAIN {sql}")).unwrap();
            let mut steps = program.raw_query();
            while let Some(step) = steps.next().unwrap() {
                let step: String = step.get("opcode").unwrap();
                assert!(!["SorterOpen", "OpenAutoindex"].contains(&step.as_str()), "{sql}\n{step}");
            }
        }
    }

    /// One costs more than the statement that needs it: see the head of the first migration.
    #[test]
    fn no_statement_and_no_constraint_builds_a_temporary_table() {
        let mut db = Db::open_in_memory().unwrap();
        // Opening an epoch moves many rows along the index that finds them, once per leader; an operator answers
        // for many at once, once in a great while.
        for sql in HOT.into_iter().filter(|sql| ![OPEN_EPOCH, ANSWER_FOR].contains(sql)) {
            // Lists what the triggers run too.
            let mut program = db.connection().prepare(&format!("EXPLAIN {sql}")).unwrap();
            let mut steps = program.raw_query();
            while let Some(step) = steps.next().unwrap() {
                let step: String = step.get("opcode").unwrap();
                assert!(!["OpenEphemeral", "OpenAutoindex", "SorterOpen"].contains(&step.as_str()), "{sql}\n{step}");
            }
        }
    }

    /// What a trigger runs does not show in the plan of the statement that fires it.
    #[test]
    fn no_trigger_walks_a_table() {
        let mut db = Db::open_in_memory().unwrap();
        let connection = db.connection();
        let mut triggers = connection.prepare("SELECT sql FROM sqlite_schema WHERE type = 'trigger'").unwrap();
        let triggers: Vec<String> = triggers.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let mut planned = 0;
        for trigger in &triggers {
            let (_, body) = trigger.split_once("BEGIN").unwrap();
            let (body, _) = body.rsplit_once("END").unwrap();
            for statement in body.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
                assert_searches(connection, &standing_alone(statement));
                planned += 1;
            }
        }
        assert!(planned >= triggers.len() && planned > 10);
    }

    /// A trigger's statement as one that can be planned by itself: parameters for the row, nothing raised.
    fn standing_alone(statement: &str) -> String {
        let mut statement = statement.to_owned();
        while let Some(start) = statement.find("RAISE(") {
            let end = start + statement[start..].find(')').unwrap();
            statement.replace_range(start..=end, "1");
        }
        while let Some(start) = statement.find("NEW.").or_else(|| statement.find("OLD.")) {
            let name = start + 4;
            let length = statement[name..].find(|c: char| c != '_' && !c.is_alphanumeric());
            let end = length.map_or(statement.len(), |length| name + length);
            statement.replace_range(start..end, "?1");
        }
        statement
    }
}
