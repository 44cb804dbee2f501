-- What people read. Nothing here costs the commits of an order that is executed anything.

-- What ended otherwise than by an order, for lists and counts. How many were executed is all others' difference to
-- the number of signals, which the sequence tells.
CREATE INDEX signals_not_executed ON signals (state, sequence) WHERE state = 'failed' OR state = 'expired';

CREATE INDEX conclusions_by_signal ON conclusions (fingerprint);

CREATE INDEX resolutions_by_signal ON resolutions (fingerprint);
