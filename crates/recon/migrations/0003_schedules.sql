-- What creates and starts the task of a business day by itself. When it does so stands in the platform's table
-- `schedules`, under the name `reconciliation:` and this id; both rows change in one transaction.
CREATE TABLE reconciliation_schedules (
    id UUID PRIMARY KEY,
    channel VARCHAR(50) NOT NULL,
    account VARCHAR(128) NOT NULL DEFAULT '',
    task_type VARCHAR(20) NOT NULL,
    timezone VARCHAR(64) NOT NULL,                -- defines the business days, and the clock of `cron`
    cron VARCHAR(200) NOT NULL,                   -- five fields: minute, hour, day of month, month, day of week
    store_matched BOOLEAN NOT NULL,               -- whether its tasks store matched rows too
    enabled BOOLEAN NOT NULL,
    next_date DATE NOT NULL,                      -- the first business day that it has not taken care of yet
    created_by VARCHAR(200) NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,            -- grows with each change by a person; If-Match compares it
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    UNIQUE (channel, account, timezone, task_type)
);
