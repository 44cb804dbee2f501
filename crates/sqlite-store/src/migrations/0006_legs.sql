-- A signal may ask for several orders, its legs, and be executed in part.

-- SQLite can't change a constraint, so the table is made anew; who migrates has switched foreign keys off, and checks
-- them before the commit. Triggers that name the table stand in the way of its renaming.
DROP TRIGGER attempts_are_claims;
DROP TRIGGER attempts_move_their_signal;
DROP TRIGGER attempts_wait_while_paused;
DROP TRIGGER leadership_puts_older_claims_in_doubt;

CREATE TABLE signals_with_legs (
    -- The order of arrival. AUTOINCREMENT never hands a number out twice.
    sequence    INTEGER PRIMARY KEY AUTOINCREMENT,
    fingerprint BLOB    NOT NULL UNIQUE CHECK (length(fingerprint) = 32),
    body_digest BLOB    NOT NULL CHECK (length(body_digest) = 32),
    state       TEXT    NOT NULL CHECK (
                    state = 'received' OR state = 'executing' OR state = 'in_doubt' OR state = 'executed'
                    OR state = 'failed' OR state = 'expired' OR state = 'quarantined' OR state = 'partial'),
    received_at INTEGER NOT NULL,
    expires_at  INTEGER,
    raw         BLOB    NOT NULL,
    -- How many orders it asks for; those of before there were several are one order each, whatever their bodies say.
    legs        INTEGER NOT NULL DEFAULT 1 CHECK (legs BETWEEN 1 AND 65535)
) STRICT;

INSERT INTO signals_with_legs (sequence, fingerprint, body_digest, state, received_at, expires_at, raw)
SELECT sequence, fingerprint, body_digest, state, received_at, expires_at, raw FROM signals ORDER BY sequence;

DROP TABLE signals;

ALTER TABLE signals_with_legs RENAME TO signals;

CREATE INDEX signals_owed ON signals (state, sequence)
WHERE state = 'received' OR state = 'executing' OR state = 'in_doubt';

-- What waits for an operator is read by every leader, so that it is told of however its author ended.
CREATE INDEX signals_for_operators ON signals (state, sequence) WHERE state = 'quarantined' OR state = 'partial';

CREATE INDEX signals_not_executed ON signals (state, sequence) WHERE state = 'failed' OR state = 'expired';

CREATE TRIGGER signals_are_kept BEFORE DELETE ON signals BEGIN
    SELECT RAISE(ABORT, 'signals are never deleted: a repeat of this one would execute again');
END;

CREATE TRIGGER signals_keep_their_legs BEFORE UPDATE OF fingerprint, raw, legs ON signals BEGIN
    SELECT RAISE(ABORT, 'what a signal asks for is never rewritten');
END;

-- The guards of a claim, as before; those of the legs after the first are new. A leg is begun once the one before it was
-- accepted, which was begun likewise, so that none is left out; and only while nothing was sent of it that an operator
-- has not answered for.
CREATE TRIGGER attempts_are_claims BEFORE INSERT ON attempts BEGIN
    SELECT RAISE(IGNORE)
    WHERE NOT EXISTS (SELECT 1 FROM leadership WHERE id = 1 AND epoch = NEW.epoch AND holder = NEW.owner);

    SELECT RAISE(IGNORE)
    WHERE NOT EXISTS (SELECT 1 FROM signals WHERE fingerprint = NEW.fingerprint AND legs > NEW.leg
                      AND CASE WHEN NEW.purpose = 'recover' THEN state = 'in_doubt'
                               WHEN NEW.leg = 0 THEN state = 'received'
                               ELSE state = 'executing' OR state = 'in_doubt' END);

    -- A copy of a claim changes nothing, however late it comes: its number is taken. Nor does a claimant that has
    -- not seen all attempts add one.
    SELECT RAISE(IGNORE)
    WHERE NEW.number <> (SELECT ifnull(max(number), 0) + 1 FROM attempts
                         WHERE fingerprint = NEW.fingerprint AND leg = NEW.leg);

    SELECT RAISE(IGNORE)
    WHERE NEW.leg > 0 AND NOT EXISTS (SELECT 1 FROM attempts WHERE fingerprint = NEW.fingerprint
                                      AND leg = NEW.leg - 1 AND outcome = 'accepted');

    SELECT RAISE(IGNORE)
    WHERE NEW.leg > 0 AND NEW.purpose = 'execute'
        AND EXISTS (SELECT 1 FROM attempts WHERE fingerprint = NEW.fingerprint AND leg = NEW.leg
                    AND outcome IS NOT 'not_sent' AND (answered_for = 0 OR outcome IS 'accepted'));

    -- What is placed again is the leg in doubt and no other.
    SELECT RAISE(IGNORE)
    WHERE NEW.purpose = 'recover'
        AND (NOT EXISTS (SELECT 1 FROM attempts WHERE fingerprint = NEW.fingerprint AND leg = NEW.leg
                         AND answered_for = 0 AND (outcome IS NULL OR outcome = 'unknown'))
             OR EXISTS (SELECT 1 FROM attempts WHERE fingerprint = NEW.fingerprint AND leg = NEW.leg
                        AND outcome = 'accepted'));

    -- Brokers deduplicate by this id. A second id for one order would be a second order.
    SELECT RAISE(ABORT, 'another signal or leg already bears this client order id: lengthen the ids')
    WHERE EXISTS (SELECT 1 FROM attempts WHERE client_order_id = NEW.client_order_id
                  AND (fingerprint <> NEW.fingerprint OR leg <> NEW.leg));

    SELECT RAISE(ABORT, 'this order was claimed before under another client order id: claim it under that one')
    WHERE EXISTS (SELECT 1 FROM attempts WHERE fingerprint = NEW.fingerprint AND leg = NEW.leg
                  AND client_order_id <> NEW.client_order_id);
END;

CREATE TRIGGER attempts_move_their_signal AFTER INSERT ON attempts WHEN NEW.purpose = 'execute' BEGIN
    UPDATE signals SET state = 'executing' WHERE fingerprint = NEW.fingerprint;
END;

-- Of what was begun the other legs follow: half a hedge is worse than none.
CREATE TRIGGER attempts_wait_while_paused BEFORE INSERT ON attempts WHEN NEW.purpose = 'execute' AND NEW.leg = 0 BEGIN
    SELECT RAISE(IGNORE)
    WHERE EXISTS (SELECT 1 FROM leadership WHERE id = 1 AND paused_since IS NOT NULL);
END;

-- No claim of the new epoch exists yet, so every claim being executed is of an older one; so is what stands between two
-- legs, which whoever leads goes on with.
CREATE TRIGGER leadership_puts_older_claims_in_doubt AFTER UPDATE OF epoch ON leadership
WHEN NEW.epoch > OLD.epoch BEGIN
    UPDATE signals SET state = 'in_doubt' WHERE state = 'executing';
END;
