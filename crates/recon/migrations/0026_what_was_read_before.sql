-- What an earlier release has read is read again, once, by a release that keeps more of it. Whatever bears a version below the one
-- that this release writes is due, also what an instance of an earlier release still adds.
ALTER TABLE channel_settlement_files ADD COLUMN read_version INTEGER NOT NULL DEFAULT 0; -- bank statements: by which reading their findings are kept
ALTER TABLE channel_settlement_files ADD COLUMN read_after TIMESTAMPTZ;                  -- not again before: somebody reads it, or could not (error_message)
CREATE INDEX idx_settlement_files_read_version ON channel_settlement_files (role, status, read_version);

ALTER TABLE reconciliation_tasks ADD COLUMN deposits_version INTEGER NOT NULL DEFAULT 0; -- by which reading reconciliation_deposits were kept
ALTER TABLE reconciliation_tasks ADD COLUMN deposits_after TIMESTAMPTZ;                  -- not again before, as read_after (status_message)
CREATE INDEX idx_reconciliation_tasks_deposits_version ON reconciliation_tasks (status, deposits_version);
