-- What a claim stands on: signals, attempts, and who may act. Tables and columns are those of the SQLite store.
--
-- Rows here are evidence. Nothing below is ever deleted, and the triggers see to it, so that a slip at the psql
-- prompt can't make an old signal new again.
--
-- Locks are always taken in this order: the leadership row, a signal's row, its attempts. So nobody waits in a circle.

-- Refuses, with the words of the trigger. Its SQLSTATE tells a guard from every other error.
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'OG001';
END;
$$;

CREATE TABLE signals (
    -- The order of arrival: no number is handed out twice. Of two that come at the same moment either may commit first.
    sequence    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint bytea  NOT NULL UNIQUE CHECK (octet_length(fingerprint) = 32),
    body_digest bytea  NOT NULL CHECK (octet_length(body_digest) = 32),
    state       text   NOT NULL CHECK (
                    state IN ('received', 'executing', 'in_doubt', 'executed', 'failed', 'expired', 'quarantined')),
    received_at bigint NOT NULL,
    expires_at  bigint,
    raw         bytea  NOT NULL
);

-- What is owed, and what people ask for.
CREATE INDEX signals_by_state ON signals (state, sequence);

CREATE TRIGGER signals_are_kept BEFORE DELETE OR TRUNCATE ON signals
FOR EACH STATEMENT EXECUTE FUNCTION refuse('signals are never deleted: a repeat of this one would execute again');

CREATE TRIGGER signals_keep_what_came BEFORE UPDATE ON signals FOR EACH ROW
WHEN ((NEW.sequence, NEW.fingerprint, NEW.body_digest, NEW.received_at, NEW.expires_at, NEW.raw)
      IS DISTINCT FROM (OLD.sequence, OLD.fingerprint, OLD.body_digest, OLD.received_at, OLD.expires_at, OLD.raw))
EXECUTE FUNCTION refuse('a signal is kept as it came: only its state changes');

CREATE TABLE leadership (
    id           integer PRIMARY KEY CHECK (id = 1),
    epoch        bigint  NOT NULL CHECK (epoch >= 0),
    holder       text,
    heartbeat_at bigint  NOT NULL
);

INSERT INTO leadership (id, epoch, holder, heartbeat_at) VALUES (1, 0, NULL, 0);

CREATE TRIGGER leadership_is_one BEFORE INSERT ON leadership
FOR EACH STATEMENT EXECUTE FUNCTION refuse('there is one leadership row: open an epoch instead');

CREATE TRIGGER leadership_is_kept BEFORE DELETE OR TRUNCATE ON leadership
FOR EACH STATEMENT EXECUTE FUNCTION refuse('the leadership row is never deleted, only vacated: epochs would start over');

CREATE TRIGGER leadership_epochs_rise BEFORE UPDATE ON leadership FOR EACH ROW WHEN (NEW.epoch < OLD.epoch)
EXECUTE FUNCTION refuse('epochs never fall: a deposed leader would be let in again');

CREATE TRIGGER leadership_epochs_have_one_holder BEFORE UPDATE ON leadership FOR EACH ROW
WHEN (NEW.epoch = OLD.epoch AND NEW.holder IS NOT NULL AND NEW.holder IS DISTINCT FROM OLD.holder)
EXECUTE FUNCTION refuse('an epoch has one holder: open the next one instead');

CREATE TABLE attempts (
    fingerprint     bytea   NOT NULL REFERENCES signals (fingerprint),
    leg             bigint  NOT NULL CHECK (leg BETWEEN 0 AND 65535),
    number          bigint  NOT NULL CHECK (number BETWEEN 1 AND 4294967295),
    -- The order of claiming within the signal, across its legs.
    ordinal         bigint  NOT NULL,
    client_order_id text    NOT NULL,
    epoch           bigint  NOT NULL CHECK (epoch > 0),
    owner           text    NOT NULL,
    purpose         text    NOT NULL CHECK (purpose IN ('execute', 'recover')),
    claimed_at      bigint  NOT NULL,
    outcome         text    CHECK (outcome IN ('accepted', 'rejected', 'not_sent', 'unknown')),
    -- The broker's order id when accepted, else what was seen.
    outcome_detail  text    CHECK ((outcome IS NULL) = (outcome_detail IS NULL)),
    outcome_at      bigint  CHECK ((outcome IS NULL) = (outcome_at IS NULL)),
    -- An operator said that the broker does not have it, and had the signal sent again. The outcome stays as its
    -- owner told it, or may yet.
    answered_for    boolean NOT NULL DEFAULT false,
    PRIMARY KEY (fingerprint, leg, number),
    UNIQUE (fingerprint, ordinal)
);

-- Brokers deduplicate by this id. The first attempt at an order brings it and later ones repeat it, so this is what
-- keeps two orders from bearing the same one, however close together they are claimed.
CREATE UNIQUE INDEX attempts_share_no_client_order_id ON attempts (client_order_id) WHERE number = 1;

-- The guards of a claim. They stand here and not only in the statement, so that there is no other way in; a row that
-- the first three refuse is passed over, and the claimant is told that nothing was inserted.
--
-- Each query sees what was committed when it began, and the locks keep that so until the claim's own commit: without
-- FOR SHARE an epoch could be opened between this look and that commit.
CREATE FUNCTION guard_claim() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    before bigint;
    newest bigint;
    known  text;
BEGIN
    PERFORM 1 FROM leadership WHERE id = 1 AND epoch = NEW.epoch AND holder = NEW.owner FOR SHARE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    PERFORM 1 FROM signals
    WHERE fingerprint = NEW.fingerprint
        AND state = CASE NEW.purpose WHEN 'execute' THEN 'received' WHEN 'recover' THEN 'in_doubt' END
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    -- A copy of a claim changes nothing, however late it comes: its number is taken. Nor does a claimant that has not
    -- seen all attempts add one.
    SELECT count(*), coalesce(max(number) FILTER (WHERE leg = NEW.leg), 0), min(client_order_id) FILTER (WHERE leg = NEW.leg)
    INTO before, newest, known
    FROM attempts WHERE fingerprint = NEW.fingerprint;
    IF NEW.number <> newest + 1 THEN
        RETURN NULL;
    END IF;

    IF known IS DISTINCT FROM NEW.client_order_id AND known IS NOT NULL THEN
        RAISE EXCEPTION 'this order was claimed before under another client order id: claim it under that one'
            USING ERRCODE = 'OG001';
    END IF;
    PERFORM 1 FROM attempts
    WHERE client_order_id = NEW.client_order_id AND number = 1 AND (fingerprint, leg) <> (NEW.fingerprint, NEW.leg);
    IF FOUND THEN
        RAISE EXCEPTION 'another signal or leg already bears this client order id: lengthen the ids'
            USING ERRCODE = 'OG001';
    END IF;

    NEW.ordinal := before + 1;
    RETURN NEW;
END;
$$;

CREATE TRIGGER attempts_are_claims BEFORE INSERT ON attempts FOR EACH ROW EXECUTE FUNCTION guard_claim();

-- The intent and the signal's state are one statement: they can't part.
CREATE FUNCTION move_claimed() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE signals SET state = 'executing' WHERE fingerprint = NEW.fingerprint;
    RETURN NULL;
END;
$$;

CREATE TRIGGER attempts_move_their_signal AFTER INSERT ON attempts FOR EACH ROW WHEN (NEW.purpose = 'execute')
EXECUTE FUNCTION move_claimed();

CREATE TRIGGER attempts_keep_their_intent BEFORE UPDATE ON attempts FOR EACH ROW
WHEN ((NEW.fingerprint, NEW.leg, NEW.number, NEW.ordinal, NEW.client_order_id, NEW.epoch, NEW.owner, NEW.purpose,
       NEW.claimed_at)
      IS DISTINCT FROM (OLD.fingerprint, OLD.leg, OLD.number, OLD.ordinal, OLD.client_order_id, OLD.epoch, OLD.owner,
                        OLD.purpose, OLD.claimed_at))
EXECUTE FUNCTION refuse('the intent of an attempt is never rewritten: only its outcome is');

CREATE TRIGGER attempts_stay_accepted BEFORE UPDATE ON attempts FOR EACH ROW WHEN (OLD.outcome = 'accepted')
EXECUTE FUNCTION refuse('the broker has this order: nothing unmakes that');

CREATE TRIGGER attempts_are_kept BEFORE DELETE OR TRUNCATE ON attempts
FOR EACH STATEMENT EXECUTE FUNCTION refuse('attempts are never deleted: they are the evidence of what was sent');

-- No claim of the new epoch exists yet, and the claims of the old one have committed or never will: opening waited for
-- their share locks. So every claim being executed is of an older epoch, and is seen here.
CREATE FUNCTION put_older_claims_in_doubt() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE signals SET state = 'in_doubt' WHERE state = 'executing';
    RETURN NULL;
END;
$$;

CREATE TRIGGER leadership_puts_older_claims_in_doubt AFTER UPDATE ON leadership FOR EACH ROW
WHEN (NEW.epoch > OLD.epoch) EXECUTE FUNCTION put_older_claims_in_doubt();

-- What leaders concluded without an attempt of their own, and what operators decided; for people and judges.
CREATE TABLE conclusions (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint bytea  NOT NULL REFERENCES signals (fingerprint),
    epoch       bigint NOT NULL,
    holder      text   NOT NULL,
    verdict     text   NOT NULL CHECK (verdict IN ('found', 'quarantine', 'expire')),
    -- The broker's order id when found, the reason of a quarantine.
    detail      text   NOT NULL,
    at          bigint NOT NULL
);

CREATE INDEX conclusions_by_signal ON conclusions (fingerprint);

CREATE TRIGGER conclusions_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON conclusions
FOR EACH STATEMENT EXECUTE FUNCTION refuse('what was concluded is neither deleted nor rewritten');

CREATE TABLE resolutions (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint bytea  NOT NULL REFERENCES signals (fingerprint),
    resolution  text   NOT NULL CHECK (resolution IN ('executed', 'not_executed', 'resend')),
    -- How many attempts the operator saw.
    attempts    bigint NOT NULL,
    reason      text   NOT NULL,
    at          bigint NOT NULL
);

CREATE INDEX resolutions_by_signal ON resolutions (fingerprint);

CREATE TRIGGER resolutions_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON resolutions
FOR EACH STATEMENT EXECUTE FUNCTION refuse('what operators decided is neither deleted nor rewritten');
