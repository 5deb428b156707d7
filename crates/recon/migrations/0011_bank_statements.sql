-- Statements of the bank that payouts arrive at are files of a channel account too: handed over for the last day that
-- they cover, and used by every day whose payouts may stand in them.
DROP INDEX idx_settlement_files_day;
DROP INDEX uq_settlement_files_content;
DROP INDEX uq_settlement_files_current;
ALTER TABLE channel_settlement_files ADD COLUMN new_role VARCHAR(20) NOT NULL DEFAULT 'settlement' -- what the file says
    CHECK (new_role IN ('settlement', 'balance_summary', 'platform', 'bank_statement'));
ALTER TABLE channel_settlement_files ADD COLUMN new_format VARCHAR(20) NOT NULL DEFAULT 'mapped' -- which reader reads it
    CHECK (new_format IN ('stripe_itemized', 'stripe_summary', 'mapped', 'platform_csv', 'platform_ndjson', 'bank'));
UPDATE channel_settlement_files SET new_role = role, new_format = format;
ALTER TABLE channel_settlement_files DROP COLUMN role;
ALTER TABLE channel_settlement_files DROP COLUMN format;
ALTER TABLE channel_settlement_files RENAME COLUMN new_role TO role;
ALTER TABLE channel_settlement_files RENAME COLUMN new_format TO format;
ALTER TABLE channel_settlement_files ADD COLUMN covers_from DATE; -- bank statements: the first day
ALTER TABLE channel_settlement_files ADD COLUMN covers_to DATE;   -- and the last one that they tell of
CREATE INDEX idx_settlement_files_day ON channel_settlement_files (settlement_date, channel, account, role);
CREATE UNIQUE INDEX uq_settlement_files_content
    ON channel_settlement_files (channel, account, settlement_date, timezone, role, file_hash, reading_hash)
    WHERE status IN ('stored', 'superseded');
CREATE UNIQUE INDEX uq_settlement_files_current
    ON channel_settlement_files (channel, account, settlement_date, timezone, role)
    WHERE status = 'stored';

-- The bank statements that a run compared payouts with, as an array of file ids.
ALTER TABLE reconciliation_runs ADD COLUMN bank_file_ids JSONB;
-- Differences between payouts and bank: records too. NULL where no bank statement was there.
ALTER TABLE reconciliation_tasks ADD COLUMN payout_diff_count BIGINT;

-- What the channel's file of a task says of payouts: the last completed run's. A payout and the rows that it carried
-- may stand in the files of different days.
CREATE TABLE reconciliation_payouts (
    id UUID PRIMARY KEY,
    task_id UUID NOT NULL REFERENCES reconciliation_tasks (id),
    payout_id VARCHAR(512) NOT NULL,
    currency VARCHAR(3) NOT NULL,
    row_count BIGINT NOT NULL,                    -- rows that it carried
    row_sum BIGINT NOT NULL,                      -- the sum of their nets, minor units
    own_sum BIGINT,                               -- the sum of the payout's own rows; NULL without such a row
    payout_date DATE,                             -- of its own row, else of the last row that it carried
    UNIQUE (task_id, payout_id, currency)
);
