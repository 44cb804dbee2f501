-- What waits for an operator is read by every leader, so that it is told of however its author ended.

CREATE INDEX signals_quarantined ON signals (state, sequence) WHERE state = 'quarantined';
