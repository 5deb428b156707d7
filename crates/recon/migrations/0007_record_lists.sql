-- Lists of records are short at millions of them: each filter has an index in the order of the list, and the ones that are often
-- combined hold what else is filtered by, so that only the rows of the page are looked up.
DROP INDEX idx_record_task;
DROP INDEX idx_record_task_type;
DROP INDEX idx_record_status;
DROP INDEX idx_record_payment;
DROP INDEX idx_record_trade;

-- Of everything, and of a task. Only a list without another filter says `version > 0`, which holds for each: PostgreSQL
-- would take this index for any list and walk over millions of records that are not in it.
CREATE INDEX idx_record_list ON reconciliation_records (task_id DESC, ordinal) WHERE gone_at IS NULL AND version > 0;
CREATE INDEX idx_record_status ON reconciliation_records (status, task_id DESC, ordinal, diff_type, kind)
    WHERE gone_at IS NULL;
CREATE INDEX idx_record_status_type ON reconciliation_records (status, diff_type, task_id DESC, ordinal)
    WHERE gone_at IS NULL;
CREATE INDEX idx_record_status_channel ON reconciliation_records (status, channel, task_id DESC, ordinal, diff_type)
    WHERE gone_at IS NULL;
CREATE INDEX idx_record_type ON reconciliation_records (diff_type, task_id DESC, ordinal, kind, channel)
    WHERE gone_at IS NULL;
CREATE INDEX idx_record_kind ON reconciliation_records (kind, task_id DESC, ordinal, channel) WHERE gone_at IS NULL;
CREATE INDEX idx_record_channel ON reconciliation_records (channel, task_id DESC, ordinal) WHERE gone_at IS NULL;
CREATE INDEX idx_record_date ON reconciliation_records (task_date, task_id DESC, ordinal) WHERE gone_at IS NULL;
CREATE INDEX idx_record_owner ON reconciliation_records (assigned_to, task_id DESC, ordinal, status)
    WHERE gone_at IS NULL AND assigned_to IS NOT NULL;
-- In a currency on the platform's side; and in one on the channel's side alone.
CREATE INDEX idx_record_currency ON reconciliation_records (platform_currency, task_id DESC, ordinal)
    WHERE gone_at IS NULL AND platform_currency IS NOT NULL;
CREATE INDEX idx_record_other_currency ON reconciliation_records (channel_currency, task_id DESC, ordinal)
    WHERE gone_at IS NULL AND (platform_currency IS NULL OR platform_currency <> channel_currency);
CREATE INDEX idx_record_payment ON reconciliation_records (payment_no) WHERE payment_no IS NOT NULL;
CREATE INDEX idx_record_trade ON reconciliation_records (channel_trade_no) WHERE channel_trade_no IS NOT NULL;
