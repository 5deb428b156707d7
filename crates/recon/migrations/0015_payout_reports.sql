-- The channel's reports of payouts are files of a day: what states them, and what lists the rows that they carry.
DROP INDEX idx_settlement_files_day;
DROP INDEX uq_settlement_files_content;
DROP INDEX uq_settlement_files_current;
ALTER TABLE channel_settlement_files ADD COLUMN wider_role VARCHAR(20) NOT NULL DEFAULT 'settlement' -- what the file says
    CHECK (wider_role IN ('settlement', 'balance_summary', 'platform', 'bank_statement', 'payouts', 'payout_rows'));
ALTER TABLE channel_settlement_files ADD COLUMN wider_format VARCHAR(20) NOT NULL DEFAULT 'mapped' -- which reader reads it
    CHECK (wider_format IN ('stripe_itemized', 'stripe_summary', 'stripe_payouts', 'mapped', 'platform_csv',
                            'platform_ndjson', 'bank'));
UPDATE channel_settlement_files SET wider_role = role, wider_format = format;
ALTER TABLE channel_settlement_files DROP COLUMN role;
ALTER TABLE channel_settlement_files DROP COLUMN format;
ALTER TABLE channel_settlement_files RENAME COLUMN wider_role TO role;
ALTER TABLE channel_settlement_files RENAME COLUMN wider_format TO format;
CREATE INDEX idx_settlement_files_day ON channel_settlement_files (settlement_date, channel, account, role);
CREATE UNIQUE INDEX uq_settlement_files_content
    ON channel_settlement_files (channel, account, settlement_date, timezone, role, file_hash, reading_hash)
    WHERE status IN ('stored', 'superseded');
CREATE UNIQUE INDEX uq_settlement_files_current
    ON channel_settlement_files (channel, account, settlement_date, timezone, role)
    WHERE status = 'stored';

-- Those of the present run, and of each completed one; NULL where payouts are not followed or the channel gave none.
ALTER TABLE reconciliation_tasks ADD COLUMN payouts_file_id UUID REFERENCES channel_settlement_files (id);
ALTER TABLE reconciliation_tasks ADD COLUMN payout_rows_file_id UUID REFERENCES channel_settlement_files (id);
ALTER TABLE reconciliation_runs ADD COLUMN payouts_file_id UUID REFERENCES channel_settlement_files (id);
ALTER TABLE reconciliation_runs ADD COLUMN payout_rows_file_id UUID REFERENCES channel_settlement_files (id);
-- Whether row_count and row_sum are of all rows that the payout carried, whatever the files of other days have of them.
ALTER TABLE reconciliation_payouts ADD COLUMN rows_are_all BOOLEAN NOT NULL DEFAULT FALSE;
