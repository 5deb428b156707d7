-- A run writes its records in many short transactions: nobody else waits for long, and its progress is seen. Until its
-- last transaction they are hidden.
ALTER TABLE reconciliation_tasks ADD COLUMN saving_run BIGINT; -- the run whose records are being written, or were left behind
ALTER TABLE reconciliation_records ADD COLUMN added_run BIGINT NOT NULL DEFAULT 0; -- the run that has added it; 0 before it was noted

CREATE INDEX idx_task_saving ON reconciliation_tasks (id, saving_run) WHERE saving_run IS NOT NULL;

-- What a run that is being written has found again, and where. Empty while none is.
CREATE TABLE reconciliation_found (
    task_id UUID NOT NULL,
    record_id UUID NOT NULL,
    ordinal BIGINT NOT NULL,
    platform_line BIGINT,
    channel_line BIGINT,
    payout_id VARCHAR(255),
    merchant_id VARCHAR(255),
    occurred_at VARCHAR(64),
    PRIMARY KEY (task_id, record_id)
);
