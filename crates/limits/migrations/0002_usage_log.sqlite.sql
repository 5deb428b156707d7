-- Every decision, one row each, in the order in which they were taken. Rows are only ever added.
CREATE TABLE limit_usage_logs (
    merchant_id UUID NOT NULL,
    seq BIGINT NOT NULL,                          -- 1, 2, 3, … of the merchant, without gaps
    created_at TIMESTAMPTZ NOT NULL,
    action_type VARCHAR(20) NOT NULL
        CHECK (action_type = 'consume' OR action_type = 'release' OR action_type = 'reset' OR action_type = 'reserve'
            OR action_type = 'confirm' OR action_type = 'void' OR action_type = 'expire'), -- a list would be a table, row by row
    payment_no VARCHAR(64),
    order_no VARCHAR(64),
    release_no VARCHAR(64),
    amount BIGINT NOT NULL,                       -- minor units of currency
    currency VARCHAR(3) NOT NULL,
    counted_amount BIGINT NOT NULL,               -- the same in the limit currency
    daily_used_before BIGINT NOT NULL,            -- equals daily_used_after of the row before
    daily_used_after BIGINT NOT NULL,
    monthly_used_before BIGINT NOT NULL,
    monthly_used_after BIGINT NOT NULL,
    pending_before BIGINT NOT NULL,
    pending_after BIGINT NOT NULL,
    daily_delta BIGINT GENERATED ALWAYS AS (daily_used_after - daily_used_before) STORED,
    monthly_delta BIGINT GENERATED ALWAYS AS (monthly_used_after - monthly_used_before) STORED,
    pending_delta BIGINT GENERATED ALWAYS AS (pending_after - pending_before) STORED,
    success BOOLEAN NOT NULL,
    failure_reason VARCHAR(200),                  -- why not; of a release, why it was asked for
    PRIMARY KEY (merchant_id, seq)
) WITHOUT ROWID;

CREATE TRIGGER limit_usage_logs_keep_rows BEFORE UPDATE ON limit_usage_logs
BEGIN SELECT RAISE(ABORT, 'rows of limit_usage_logs are never changed'); END;

CREATE TRIGGER limit_usage_logs_keep_all BEFORE DELETE ON limit_usage_logs
BEGIN SELECT RAISE(ABORT, 'rows of limit_usage_logs are never deleted'); END;
