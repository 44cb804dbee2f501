-- Who led when, and the lease of those who share one host.

CREATE TABLE leadership_history (
    epoch     INTEGER PRIMARY KEY,
    holder    TEXT    NOT NULL,
    opened_at INTEGER NOT NULL,
    closed_at INTEGER,
    -- Why it ended.
    reason    TEXT    CHECK ((closed_at IS NULL) = (reason IS NULL))
) STRICT;

-- A store of version 1 kept no history; its present leadership is all that can be told.
INSERT INTO leadership_history (epoch, holder, opened_at)
SELECT epoch, holder, heartbeat_at FROM leadership WHERE epoch > 0 AND holder IS NOT NULL;

-- Instants are nanoseconds of this host's CLOCK_BOOTTIME.
CREATE TABLE lease (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    holder      TEXT    NOT NULL,
    acquired_at INTEGER NOT NULL,
    ttl         INTEGER NOT NULL CHECK (ttl >= 0)
) STRICT;
