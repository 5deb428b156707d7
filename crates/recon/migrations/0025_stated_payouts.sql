-- Whether the last completed run had a report of the day's payouts: what the rows of days around name, and it does not list, did not leave
-- on this day.
ALTER TABLE reconciliation_tasks ADD COLUMN payouts_are_stated BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX idx_reconciliation_payouts_id ON reconciliation_payouts (payout_id);
