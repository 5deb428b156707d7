-- Which bank statements a run has read for what they take back alone. A statement that was among them and is of the day's own now leads to another
-- result, so they are kept apart from bank_file_ids. NULL: a run of an earlier release, which has all of them there.
ALTER TABLE reconciliation_runs ADD COLUMN bank_reversal_file_ids JSONB;
