-- Operators can stop new orders, whoever leads.

-- What is in force stands in the one row that every claim reads anyway.
ALTER TABLE leadership ADD COLUMN paused_since INTEGER;
ALTER TABLE leadership ADD COLUMN paused_reason TEXT CHECK ((paused_since IS NULL) = (paused_reason IS NULL));

-- Every word of an operator on it, in order; the number is how many were taken before it, and one.
CREATE TABLE pauses (
    number INTEGER PRIMARY KEY CHECK (number > 0),
    paused INTEGER NOT NULL CHECK (paused = 0 OR paused = 1),
    reason TEXT    NOT NULL,
    at     INTEGER NOT NULL
) STRICT;

-- A word that comes late, or twice, or from who has not seen those before it, is passed over.
CREATE TRIGGER pauses_come_in_order BEFORE INSERT ON pauses BEGIN
    SELECT RAISE(IGNORE) WHERE NEW.number <> (SELECT ifnull(max(number), 0) + 1 FROM pauses);
END;

-- The word and what it brings about are one statement: they can't part.
CREATE TRIGGER pauses_are_in_force AFTER INSERT ON pauses BEGIN
    UPDATE leadership SET
        paused_since = CASE NEW.paused WHEN 1 THEN ifnull(paused_since, NEW.at) END,
        paused_reason = CASE NEW.paused WHEN 1 THEN NEW.reason END
    WHERE id = 1;
END;

CREATE TRIGGER pauses_are_final BEFORE UPDATE ON pauses BEGIN
    SELECT RAISE(ABORT, 'the word of an operator is never rewritten: say another');
END;

CREATE TRIGGER pauses_are_kept BEFORE DELETE ON pauses BEGIN
    SELECT RAISE(ABORT, 'the words of operators are never deleted: an old one would be taken again');
END;

-- The guard of a claim that the triggers of version 1 do not know. It too passes over what it refuses, whichever of
-- them comes first.
CREATE TRIGGER attempts_wait_while_paused BEFORE INSERT ON attempts WHEN NEW.purpose = 'execute' BEGIN
    SELECT RAISE(IGNORE)
    WHERE EXISTS (SELECT 1 FROM leadership WHERE id = 1 AND paused_since IS NOT NULL);
END;
