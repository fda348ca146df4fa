-- Payouts that wait, or have waited, for a person: written with the event that begins or ends it. A few of all payouts.

CREATE TABLE manual_review (
    payout_id uuid PRIMARY KEY,
    waits boolean NOT NULL,
    action text NOT NULL,                    -- the last of payout_manual_review_transitions_total
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX manual_review_waits ON manual_review (changed_at) WHERE waits;

INSERT INTO manual_review (payout_id, waits, action, changed_at)
SELECT stream_id, true, 'queued', changed_at FROM stream_state WHERE category = 'payout' AND stage = 'ManualReview';

GRANT SELECT, INSERT, UPDATE ON manual_review TO corridor_payout;
GRANT SELECT ON manual_review TO corridor_oncall;
