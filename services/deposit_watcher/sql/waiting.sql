-- Money that waits for a transfer or for a person, for the list that operators look at.
CREATE INDEX stream_state_waiting ON stream_state (changed_at) WHERE stage IN ('Unexpected', 'Unmatched', 'Mismatched');
