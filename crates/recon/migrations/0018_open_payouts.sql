-- The hash of what the last run knew of payouts of other days, where its third leg does not tie: another one now starts the
-- day again. NULL where there is nothing left to explain, or payouts are not followed.
ALTER TABLE reconciliation_tasks ADD COLUMN open_payouts_hash VARCHAR(64);
