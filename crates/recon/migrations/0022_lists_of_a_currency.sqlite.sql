-- Lists of a currency and a state are answered from the index of the currency, which knows the state now.
DROP INDEX idx_record_currency;
DROP INDEX idx_record_other_currency;
CREATE INDEX idx_record_currency ON reconciliation_records (platform_currency, task_id DESC, ordinal, status)
    WHERE gone_at IS NULL AND platform_currency IS NOT NULL;
CREATE INDEX idx_record_other_currency ON reconciliation_records (channel_currency, task_id DESC, ordinal, status)
    WHERE gone_at IS NULL AND (platform_currency IS NULL OR platform_currency <> channel_currency);

-- SQLite forgets what it was told of indexes that are dropped. What it has sampled by itself, where there were records when it was
-- told, speaks of some indexes only, and led lists of a large task to sorting all of its records.
DELETE FROM sqlite_stat4 WHERE tbl = 'reconciliation_records';
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('reconciliation_records', 'idx_record_currency', '10000000 1000000 2500 1 1'),
    ('reconciliation_records', 'idx_record_other_currency', '10000000 1000000 2500 1 1');
