-- Names that runbooks use, over what the services store. Read only: each row is made of events and of the state that
-- follows from them. services/kernel/migrations/versions/0008_surface.py makes them in the schema app.

-- What the partner last said against a payout. It stays after a later success; `last_error_at` tells how old it is.
-- Digits in a row and IBANs are masked: a partner may write an account into its reason.
CREATE VIEW payout_instruction AS
SELECT s.stream_id AS payout_id,
       s.record_key AS transfer_id,
       s.tenant,
       upper(regexp_replace(s.stage, '([a-z])([A-Z])', '\1_\2', 'g')) AS state,
       (state.terms ->> 'n')::int AS n,
       (state.terms -> 'amount' ->> 'minor')::bigint AS amount_minor,
       state.terms -> 'amount' ->> 'currency' AS currency,
       state.terms ->> 'rail' AS rail,
       state.terms ->> 'partner' AS partner,
       (state.whole ->> 'attempts')::int AS attempts,
       failed.event_type AS last_error_type,
       left(regexp_replace(failed.words, '[A-Z]{2}[0-9]{2}[A-Z0-9]{8,30}|[0-9]{7,}', '***', 'g'), 300) AS last_error,
       failed.occurred_at AS last_error_at,
       (state.terms ->> 'requested_at')::timestamptz AS requested_at,
       (state.whole ->> 'since')::timestamptz AS since,
       s.changed_at,
       s.version
FROM payout.stream_state s
CROSS JOIN LATERAL (SELECT convert_from(s.state, 'UTF8')::jsonb AS whole OFFSET 0) folded
CROSS JOIN LATERAL (SELECT folded.whole, folded.whole -> 'terms' AS terms) state
LEFT JOIN LATERAL (
    SELECT e.event_type, e.occurred_at,
           coalesce(said.content ->> 'reason', said.content ->> 'reason_code', said.content ->> 'said') AS words
    FROM payout.event e
    CROSS JOIN LATERAL (SELECT convert_from(e.data, 'UTF8')::jsonb AS content) said
    WHERE e.stream_id = s.stream_id AND e.event_type IN (
        'corridor.payout.deferred.v1', 'corridor.payout.refused.v1', 'corridor.payout.unknown.v1',
        'corridor.payout.contradicted.v1')
    ORDER BY e.version DESC
    LIMIT 1) failed ON true
WHERE s.category = 'payout' AND s.stage <> '';

-- The states of a transfer one after the other: each row begins where the last one ended. Events that change no state
-- are left out. A test holds the states to those of services/transfer/domain/states.py.
CREATE VIEW transfer_transition AS
SELECT moved.stream_id AS transfer_id,
       lag(moved.to_state) OVER stream AS from_state,
       moved.to_state,
       moved.occurred_at AS at,
       moved.version,
       moved.metadata
FROM (
    SELECT e.stream_id, e.version, e.occurred_at,
           CASE e.event_type
               WHEN 'corridor.transfer.opened.v1' THEN 'AWAITING_FUNDING'
               WHEN 'corridor.transfer.funding_confirmed.v1' THEN 'FUNDING_CONFIRMED'
               WHEN 'corridor.transfer.cancelled.v1' THEN 'CANCELLED'
               WHEN 'corridor.transfer.expired.v1' THEN 'EXPIRED'
               WHEN 'corridor.transfer.payout_initiated.v1' THEN 'PAYOUT_INITIATED'
               WHEN 'corridor.transfer.payout_review_required.v1' THEN 'PAYOUT_REVIEW_REQUIRED'
               WHEN 'corridor.transfer.payout_completed.v1' THEN 'PAYOUT_COMPLETED'
           END AS to_state,
           convert_from(e.meta, 'UTF8')::jsonb
               || jsonb_build_object('event_id', e.event_id, 'event_type', e.event_type) AS metadata
    FROM transfer.event e) moved
WHERE moved.to_state IS NOT NULL
WINDOW stream AS (PARTITION BY moved.stream_id ORDER BY moved.version);
