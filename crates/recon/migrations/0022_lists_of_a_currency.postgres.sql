-- Lists of a currency and a state are answered from the index of the currency, which knows the state now.
DROP INDEX idx_record_currency;
DROP INDEX idx_record_other_currency;
CREATE INDEX idx_record_currency ON reconciliation_records (platform_currency, task_id DESC, ordinal, status)
    WHERE gone_at IS NULL AND platform_currency IS NOT NULL;
CREATE INDEX idx_record_other_currency ON reconciliation_records (channel_currency, task_id DESC, ordinal, status)
    WHERE gone_at IS NULL AND (platform_currency IS NULL OR platform_currency <> channel_currency);
