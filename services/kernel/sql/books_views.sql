-- More names that runbooks use; services/kernel/migrations/versions/0009_books.py makes them in the schema app, behind
-- oncall_views.sql. A session of the on-call's role finds them without their schema.

-- The books as lines: a row for each side of each entry, and both sides of an entry are equal in each currency.
CREATE VIEW entries AS
SELECT e.entry_seq,                          -- without gaps, in the order of commits: what orders rows of one time
       p.line,
       e.posted_at AS at,
       e.kind,
       p.account_id,
       p.side AS direction,                  -- debit | credit; amounts are above 0
       p.amount_minor,
       p.currency,
       e.transfer_id,
       e.cause_id,                           -- the event that caused the entry
       e.entry_id,
       e.caused_at
FROM ledger.entry e JOIN ledger.posting p USING (entry_seq);

-- The state that an event brings a transfer or a payout into; null: it changes none, or another stream. A test holds it to
-- TRANSITIONS of services/transfer/domain/states.py and services/payout_orchestrator/domain/states.py.
CREATE FUNCTION state_after(event_type text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE event_type
        WHEN 'corridor.transfer.opened.v1' THEN 'AWAITING_FUNDING'
        WHEN 'corridor.transfer.funding_confirmed.v1' THEN 'FUNDING_CONFIRMED'
        WHEN 'corridor.transfer.cancelled.v1' THEN 'CANCELLED'
        WHEN 'corridor.transfer.expired.v1' THEN 'EXPIRED'
        WHEN 'corridor.transfer.payout_initiated.v1' THEN 'PAYOUT_INITIATED'
        WHEN 'corridor.transfer.payout_review_required.v1' THEN 'PAYOUT_REVIEW_REQUIRED'
        WHEN 'corridor.transfer.payout_completed.v1' THEN 'PAYOUT_COMPLETED'
        WHEN 'corridor.payout.requested.v1' THEN 'REQUESTED'
        WHEN 'corridor.payout.approved.v1' THEN 'APPROVED'
        WHEN 'corridor.payout.submitting.v1' THEN 'SUBMITTING'
        WHEN 'corridor.payout.sent.v1' THEN 'SENT'
        WHEN 'corridor.payout.deferred.v1' THEN 'APPROVED'
        WHEN 'corridor.payout.unknown.v1' THEN 'UNKNOWN'
        WHEN 'corridor.payout.not_known_to_partner.v1' THEN 'APPROVED'
        WHEN 'corridor.payout.refused.v1' THEN 'MANUAL_REVIEW'
        WHEN 'corridor.payout.review_required.v1' THEN 'MANUAL_REVIEW'
        WHEN 'corridor.payout.confirmed.v1' THEN 'CONFIRMED'
    END
$$;
