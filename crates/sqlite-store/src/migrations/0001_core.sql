-- What a claim stands on: signals, attempts, and who may act.
--
-- Rows here are evidence. Nothing below is ever deleted, and the triggers see to it, so that a slip at the
-- sqlite3 prompt can't make an old signal new again.
--
-- Alternatives are written with OR, not IN: for three values and more SQLite builds a temporary table for IN at
-- every write, which costs more than the write.

CREATE TABLE signals (
    -- The order of arrival. AUTOINCREMENT never hands a number out twice.
    sequence    INTEGER PRIMARY KEY AUTOINCREMENT,
    fingerprint BLOB    NOT NULL UNIQUE CHECK (length(fingerprint) = 32),
    body_digest BLOB    NOT NULL CHECK (length(body_digest) = 32),
    state       TEXT    NOT NULL CHECK (
                    state = 'received' OR state = 'executing' OR state = 'in_doubt' OR state = 'executed'
                    OR state = 'failed' OR state = 'expired' OR state = 'quarantined'),
    received_at INTEGER NOT NULL,
    expires_at  INTEGER,
    raw         BLOB    NOT NULL
) STRICT;

-- What is owed. It holds only unsettled signals, so that its size is the work left and not the past; and all
-- of them, so that a claim that moves its signal on moves it within one page.
CREATE INDEX signals_owed ON signals (state, sequence)
WHERE state = 'received' OR state = 'executing' OR state = 'in_doubt';

CREATE TRIGGER signals_are_kept BEFORE DELETE ON signals BEGIN
    SELECT RAISE(ABORT, 'signals are never deleted: a repeat of this one would execute again');
END;

CREATE TABLE attempts (
    fingerprint     BLOB    NOT NULL REFERENCES signals (fingerprint),
    leg             INTEGER NOT NULL CHECK (leg BETWEEN 0 AND 65535),
    number          INTEGER NOT NULL CHECK (number BETWEEN 1 AND 4294967295),
    -- The order of claiming within the signal, across its legs.
    ordinal         INTEGER NOT NULL,
    client_order_id TEXT    NOT NULL,
    epoch           INTEGER NOT NULL CHECK (epoch > 0),
    owner           TEXT    NOT NULL,
    purpose         TEXT    NOT NULL CHECK (purpose = 'execute' OR purpose = 'recover'),
    claimed_at      INTEGER NOT NULL,
    outcome         TEXT    CHECK (
                        outcome = 'accepted' OR outcome = 'rejected' OR outcome = 'not_sent' OR outcome = 'unknown'),
    -- The broker's order id when accepted, else what was seen.
    outcome_detail  TEXT    CHECK ((outcome IS NULL) = (outcome_detail IS NULL)),
    outcome_at      INTEGER CHECK ((outcome IS NULL) = (outcome_at IS NULL)),
    -- An operator said that the broker does not have it, and had the signal sent again. The outcome stays as its
    -- owner told it, or may yet.
    answered_for    INTEGER NOT NULL DEFAULT 0 CHECK (answered_for = 0 OR answered_for = 1),
    PRIMARY KEY (fingerprint, leg, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX attempts_by_client_order_id ON attempts (client_order_id);

-- The guards of a claim. They stand here and not in the statement, so that there is no other way in; a row that
-- the first three refuse is passed over, and the claimant is told that nothing was inserted. In one trigger,
-- because the order of several is not defined.
CREATE TRIGGER attempts_are_claims BEFORE INSERT ON attempts BEGIN
    SELECT RAISE(IGNORE)
    WHERE NOT EXISTS (SELECT 1 FROM leadership WHERE id = 1 AND epoch = NEW.epoch AND holder = NEW.owner);

    SELECT RAISE(IGNORE)
    WHERE NOT EXISTS (SELECT 1 FROM signals WHERE fingerprint = NEW.fingerprint
                      AND state = CASE NEW.purpose WHEN 'execute' THEN 'received' WHEN 'recover' THEN 'in_doubt' END);

    -- A copy of a claim changes nothing, however late it comes: its number is taken. Nor does a claimant that has
    -- not seen all attempts add one.
    SELECT RAISE(IGNORE)
    WHERE NEW.number <> (SELECT ifnull(max(number), 0) + 1 FROM attempts
                         WHERE fingerprint = NEW.fingerprint AND leg = NEW.leg);

    -- Brokers deduplicate by this id. A second id for one order would be a second order.
    SELECT RAISE(ABORT, 'another signal or leg already bears this client order id: lengthen the ids')
    WHERE EXISTS (SELECT 1 FROM attempts WHERE client_order_id = NEW.client_order_id
                  AND (fingerprint <> NEW.fingerprint OR leg <> NEW.leg));

    SELECT RAISE(ABORT, 'this order was claimed before under another client order id: claim it under that one')
    WHERE EXISTS (SELECT 1 FROM attempts WHERE fingerprint = NEW.fingerprint AND leg = NEW.leg
                  AND client_order_id <> NEW.client_order_id);
END;

-- The intent and the signal's state are one statement: they can't part.
CREATE TRIGGER attempts_move_their_signal AFTER INSERT ON attempts WHEN NEW.purpose = 'execute' BEGIN
    UPDATE signals SET state = 'executing' WHERE fingerprint = NEW.fingerprint;
END;

CREATE TRIGGER attempts_keep_their_intent
BEFORE UPDATE OF fingerprint, leg, number, ordinal, client_order_id, epoch, owner, purpose, claimed_at ON attempts BEGIN
    SELECT RAISE(ABORT, 'the intent of an attempt is never rewritten: only its outcome is');
END;

CREATE TRIGGER attempts_stay_accepted BEFORE UPDATE ON attempts WHEN OLD.outcome = 'accepted' BEGIN
    SELECT RAISE(ABORT, 'the broker has this order: nothing unmakes that');
END;

CREATE TRIGGER attempts_are_kept BEFORE DELETE ON attempts BEGIN
    SELECT RAISE(ABORT, 'attempts are never deleted: they are the evidence of what was sent');
END;

CREATE TABLE leadership (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    epoch        INTEGER NOT NULL CHECK (epoch >= 0),
    holder       TEXT,
    heartbeat_at INTEGER NOT NULL
) STRICT;

INSERT INTO leadership (id, epoch, holder, heartbeat_at) VALUES (1, 0, NULL, 0);

-- Against INSERT OR REPLACE, whose deletion fires no trigger.
CREATE TRIGGER leadership_is_one BEFORE INSERT ON leadership BEGIN
    SELECT RAISE(ABORT, 'there is one leadership row: open an epoch instead');
END;

CREATE TRIGGER leadership_is_kept BEFORE DELETE ON leadership BEGIN
    SELECT RAISE(ABORT, 'the leadership row is never deleted, only vacated: epochs would start over');
END;

CREATE TRIGGER leadership_epochs_rise BEFORE UPDATE OF epoch ON leadership WHEN NEW.epoch < OLD.epoch BEGIN
    SELECT RAISE(ABORT, 'epochs never fall: a deposed leader would be let in again');
END;

CREATE TRIGGER leadership_epochs_have_one_holder BEFORE UPDATE OF holder ON leadership
WHEN NEW.epoch = OLD.epoch AND NEW.holder IS NOT NULL AND NEW.holder IS NOT OLD.holder BEGIN
    SELECT RAISE(ABORT, 'an epoch has one holder: open the next one instead');
END;

-- No claim of the new epoch exists yet, so every claim being executed is of an older one.
CREATE TRIGGER leadership_puts_older_claims_in_doubt AFTER UPDATE OF epoch ON leadership
WHEN NEW.epoch > OLD.epoch BEGIN
    UPDATE signals SET state = 'in_doubt' WHERE state = 'executing';
END;

-- What leaders concluded without an attempt of their own, and what operators decided; for people and judges.
CREATE TABLE conclusions (
    id          INTEGER PRIMARY KEY,
    fingerprint BLOB    NOT NULL REFERENCES signals (fingerprint),
    epoch       INTEGER NOT NULL,
    holder      TEXT    NOT NULL,
    verdict     TEXT    NOT NULL CHECK (verdict = 'found' OR verdict = 'quarantine' OR verdict = 'expire'),
    -- The broker's order id when found, the reason of a quarantine.
    detail      TEXT    NOT NULL,
    at          INTEGER NOT NULL
) STRICT;

CREATE TABLE resolutions (
    id          INTEGER PRIMARY KEY,
    fingerprint BLOB    NOT NULL REFERENCES signals (fingerprint),
    resolution  TEXT    NOT NULL CHECK (
                    resolution = 'executed' OR resolution = 'not_executed' OR resolution = 'resend'),
    -- How many attempts the operator saw.
    attempts    INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    at          INTEGER NOT NULL
) STRICT;
