-- Every decision, one row each, in the order in which they were taken. Rows are only ever added.
CREATE TABLE limit_usage_logs (
    merchant_id UUID NOT NULL,
    seq BIGINT NOT NULL,                          -- 1, 2, 3, … of the merchant, without gaps
    created_at TIMESTAMPTZ NOT NULL,
    action_type VARCHAR(20) NOT NULL
        CHECK (action_type IN ('consume', 'release', 'reset', 'reserve', 'confirm', 'void', 'expire')),
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
    -- The key of a partitioned table holds the column it is parted by; (merchant_id, seq) is unique by itself, since
    -- seq is taken from the merchant's locked row.
    PRIMARY KEY (merchant_id, seq, created_at)
) PARTITION BY RANGE (created_at);

-- Takes what no month's partition takes, so that no decision is ever refused for want of one.
CREATE TABLE limit_usage_logs_other PARTITION OF limit_usage_logs DEFAULT;

-- Whoever serves payops adds rows and cannot change them.
REVOKE UPDATE, DELETE, TRUNCATE ON limit_usage_logs, limit_usage_logs_other FROM CURRENT_USER;

-- Counters change with every decision: room on the page keeps these changes out of the index.
ALTER TABLE merchant_limits SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE limit_payments SET (fillfactor = 90);
