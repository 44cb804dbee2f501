-- Operators can stop new orders, whoever leads.

-- What is in force stands in the one row that every claim locks anyway.
ALTER TABLE leadership ADD COLUMN paused_since bigint;
ALTER TABLE leadership ADD COLUMN paused_reason text;
ALTER TABLE leadership ADD CHECK ((paused_since IS NULL) = (paused_reason IS NULL));

-- Every word of an operator on it, in order; the number is how many were taken before it, and one.
CREATE TABLE pauses (
    number bigint  PRIMARY KEY CHECK (number > 0),
    paused boolean NOT NULL,
    reason text    NOT NULL,
    at     bigint  NOT NULL
);

-- A word that comes late, or twice, or from who has not seen those before it, is passed over. Under the lock on the
-- leadership row: words are taken one at a time, and each claim comes wholly before or wholly after each.
CREATE FUNCTION guard_pause() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    newest bigint;
BEGIN
    PERFORM 1 FROM leadership WHERE id = 1 FOR UPDATE;
    SELECT coalesce(max(number), 0) INTO newest FROM pauses;
    IF NEW.number <> newest + 1 THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER pauses_come_in_order BEFORE INSERT ON pauses FOR EACH ROW EXECUTE FUNCTION guard_pause();

-- The word and what it brings about are one statement: they can't part.
CREATE FUNCTION put_pause_in_force() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE leadership SET
        paused_since = CASE WHEN NEW.paused THEN coalesce(paused_since, NEW.at) END,
        paused_reason = CASE WHEN NEW.paused THEN NEW.reason END
    WHERE id = 1;
    RETURN NULL;
END;
$$;

CREATE TRIGGER pauses_are_in_force AFTER INSERT ON pauses FOR EACH ROW EXECUTE FUNCTION put_pause_in_force();

CREATE TRIGGER pauses_are_final BEFORE UPDATE ON pauses
FOR EACH STATEMENT EXECUTE FUNCTION refuse('the word of an operator is never rewritten: say another');

CREATE TRIGGER pauses_are_kept BEFORE DELETE OR TRUNCATE ON pauses
FOR EACH STATEMENT EXECUTE FUNCTION refuse('the words of operators are never deleted: an old one would be taken again');

-- The guard of a claim that the triggers of version 1 do not know. It too passes over what it refuses. By its name it
-- comes after the other, which has locked the leadership row until the claim's commit.
CREATE FUNCTION guard_claim_while_paused() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM 1 FROM leadership WHERE id = 1 AND paused_since IS NULL FOR SHARE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER attempts_wait_while_paused BEFORE INSERT ON attempts FOR EACH ROW WHEN (NEW.purpose = 'execute')
EXECUTE FUNCTION guard_claim_while_paused();
