SELECT '{schema}' AS service, e.occurred_at AS at, said.meta ->> 'actor' AS actor, e.event_type AS action,
       split_part(e.event_type, '.', 2) AS entity_type, e.stream_id AS entity_id,
       coalesce(said.meta ->> 'reason', {why}) AS reason,
       said.meta ->> 'tenant' AS tenant, (said.meta ->> 'correlation_id')::uuid AS correlation_id,
       e.event_id, e.version, e.recorded_at, {from_state} AS from_state, {to_state} AS to_state
FROM {schema}.event e
CROSS JOIN LATERAL (SELECT convert_from(e.meta, 'UTF8')::jsonb AS meta OFFSET 0) said
WHERE said.meta ->> 'actor' NOT LIKE 'service:%' OR {to_state} IS NOT NULL
