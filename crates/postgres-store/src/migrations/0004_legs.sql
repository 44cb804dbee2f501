-- A signal may ask for several orders, its legs, and be executed in part.

ALTER TABLE signals DROP CONSTRAINT signals_state_check;
ALTER TABLE signals ADD CONSTRAINT signals_state_check CHECK (
    state IN ('received', 'executing', 'in_doubt', 'executed', 'failed', 'partial', 'expired', 'quarantined'));

-- How many orders it asks for; those of before there were several are one order each, whatever their bodies say.
ALTER TABLE signals ADD COLUMN legs bigint NOT NULL DEFAULT 1 CHECK (legs BETWEEN 1 AND 65535);

CREATE TRIGGER signals_keep_their_legs BEFORE UPDATE ON signals FOR EACH ROW WHEN (NEW.legs IS DISTINCT FROM OLD.legs)
EXECUTE FUNCTION refuse('a signal is kept as it came: only its state changes');

-- The guards of a claim, as before; those of the legs after the first are new. A leg is begun once the one before it was
-- accepted, which was begun likewise, so that none is left out; and only while nothing was sent of it that an operator
-- has not answered for. The lock on the signal keeps outcomes out until the claim's commit.
CREATE OR REPLACE FUNCTION guard_claim() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    before bigint;
    newest bigint;
    known  text;
    has    boolean;
    sent   boolean;
    open   boolean;
    due    boolean;
BEGIN
    PERFORM 1 FROM leadership WHERE id = 1 AND epoch = NEW.epoch AND holder = NEW.owner FOR SHARE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    PERFORM 1 FROM signals
    WHERE fingerprint = NEW.fingerprint AND legs > NEW.leg
        AND CASE WHEN NEW.purpose = 'recover' THEN state = 'in_doubt'
                 WHEN NEW.leg = 0 THEN state = 'received'
                 ELSE state IN ('executing', 'in_doubt') END
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    -- A copy of a claim changes nothing, however late it comes: its number is taken. Nor does a claimant that has not
    -- seen all attempts add one.
    SELECT count(*),
        coalesce(max(number) FILTER (WHERE leg = NEW.leg), 0),
        min(client_order_id) FILTER (WHERE leg = NEW.leg),
        coalesce(bool_or(outcome = 'accepted') FILTER (WHERE leg = NEW.leg), false),
        coalesce(bool_or(outcome IS DISTINCT FROM 'not_sent' AND NOT answered_for) FILTER (WHERE leg = NEW.leg), false),
        coalesce(bool_or(coalesce(outcome, 'unknown') = 'unknown' AND NOT answered_for) FILTER (WHERE leg = NEW.leg), false),
        coalesce(bool_or(outcome = 'accepted') FILTER (WHERE leg = NEW.leg - 1), false)
    INTO before, newest, known, has, sent, open, due
    FROM attempts WHERE fingerprint = NEW.fingerprint;
    IF NEW.number <> newest + 1 THEN
        RETURN NULL;
    END IF;
    IF NEW.leg > 0 AND NOT due OR NEW.leg > 0 AND NEW.purpose = 'execute' AND (has OR sent) THEN
        RETURN NULL;
    END IF;
    -- What is placed again is the leg in doubt and no other.
    IF NEW.purpose = 'recover' AND (has OR NOT open) THEN
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

-- Of what was begun the other legs follow: half a hedge is worse than none.
DROP TRIGGER attempts_wait_while_paused ON attempts;
CREATE TRIGGER attempts_wait_while_paused BEFORE INSERT ON attempts FOR EACH ROW
WHEN (NEW.purpose = 'execute' AND NEW.leg = 0) EXECUTE FUNCTION guard_claim_while_paused();
