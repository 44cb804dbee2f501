-- Who led when, and the lease of those who have no Redis.

CREATE TABLE leadership_history (
    epoch     bigint PRIMARY KEY,
    holder    text   NOT NULL,
    opened_at bigint NOT NULL,
    closed_at bigint,
    -- Why it ended.
    reason    text   CHECK ((closed_at IS NULL) = (reason IS NULL))
);

-- A store of version 1 kept no history; its present leadership is all that can be told.
INSERT INTO leadership_history (epoch, holder, opened_at)
SELECT epoch, holder, heartbeat_at FROM leadership WHERE epoch > 0 AND holder IS NOT NULL;

CREATE TRIGGER leadership_history_is_kept BEFORE DELETE OR TRUNCATE ON leadership_history
FOR EACH STATEMENT EXECUTE FUNCTION refuse('the history is never deleted: it is the evidence of who led when');

-- A hint about who lives, no authority: it may be emptied at any time. By this server's own clock, which nobody who
-- asks has to share.
CREATE TABLE lease (
    id         integer     PRIMARY KEY CHECK (id = 1),
    holder     text,
    expires_at timestamptz NOT NULL
);

INSERT INTO lease (id, holder, expires_at) VALUES (1, NULL, '-infinity');
