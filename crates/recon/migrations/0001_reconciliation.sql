-- Reconciliation: tasks, the files they compare, the differences they find, and what people did about them.
-- Amounts are minor units of the currency beside them. Times are UTC. JSON columns are written by payops only.

-- One row per file that was fetched or handed over: settlement files of a channel, its balance summaries, and
-- platform feeds. Files are known by their content: the same bytes for the same day are one row.
CREATE TABLE channel_settlement_files (
    id UUID PRIMARY KEY,
    file_no VARCHAR(64) NOT NULL UNIQUE,          -- for people: SETTLE-stripe-20241024-1234
    role VARCHAR(20) NOT NULL                     -- what the file says
        CHECK (role IN ('settlement', 'balance_summary', 'platform')),
    channel VARCHAR(50) NOT NULL,
    account VARCHAR(128) NOT NULL DEFAULT '',     -- the channel account; empty where there is only one
    settlement_date DATE NOT NULL,                -- the business day the file is about
    timezone VARCHAR(64) NOT NULL,                -- the zone that defines that day
    status VARCHAR(20) NOT NULL                   -- requested: asked of the source; stored: on disk and hashed;
        CHECK (status IN ('requested', 'stored', 'duplicate', 'superseded', 'failed')),
    source VARCHAR(20) NOT NULL                   -- how it came
        CHECK (source IN ('download', 'upload')),
    format VARCHAR(20) NOT NULL                   -- which reader reads it
        CHECK (format IN ('stripe_itemized', 'stripe_summary', 'mapped', 'platform_csv', 'platform_ndjson')),
    mapping TEXT,                                 -- the TOML mapping, for format 'mapped'
    reading_hash VARCHAR(64) NOT NULL,            -- SHA-256 of format and mapping: how the bytes are understood
    report_type VARCHAR(128),                     -- the channel's name of the report
    external_id VARCHAR(128),                     -- the channel's id of the report run
    file_name VARCHAR(255),                       -- as the sender called it; never used as a path
    file_size BIGINT,                             -- bytes
    file_hash VARCHAR(64),                        -- SHA-256 of the bytes as received, lower-case hex
    record_count BIGINT,                          -- rows that could be read
    reject_count BIGINT,                          -- rows that could not
    rejects JSONB,                                -- the first of them, with line and column
    same_as UUID REFERENCES channel_settlement_files (id),       -- duplicate: the row that has these bytes
    superseded_by UUID REFERENCES channel_settlement_files (id), -- superseded: the file that corrects this one
    error_message TEXT,                           -- failed: why
    created_by VARCHAR(200) NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    downloaded_at TIMESTAMPTZ                     -- when it was complete on disk
);

CREATE INDEX idx_settlement_files_day ON channel_settlement_files (settlement_date, channel, account, role);
-- The same bytes, read in the same way, for the same day and role are stored once.
CREATE UNIQUE INDEX uq_settlement_files_content
    ON channel_settlement_files (channel, account, settlement_date, timezone, role, file_hash, reading_hash)
    WHERE status IN ('stored', 'superseded');
-- One file is in force for a day and role.
CREATE UNIQUE INDEX uq_settlement_files_current
    ON channel_settlement_files (channel, account, settlement_date, timezone, role)
    WHERE status = 'stored';

CREATE TABLE reconciliation_tasks (
    id UUID PRIMARY KEY,
    task_no VARCHAR(64) NOT NULL UNIQUE,          -- for people: RECON-stripe-20241024-1234
    task_date DATE NOT NULL,                      -- the business day
    timezone VARCHAR(64) NOT NULL,                -- the zone that defines it
    channel VARCHAR(50) NOT NULL,
    account VARCHAR(128) NOT NULL DEFAULT '',
    task_type VARCHAR(20) NOT NULL,
    status VARCHAR(20) NOT NULL
        CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'cancelled')),
    phase VARCHAR(20)                             -- while processing
        CHECK (phase IN ('waiting', 'downloading', 'fetching', 'matching', 'saving')),
    progress INTEGER NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
    status_message TEXT,                          -- what a waiting task waits for
    run_no BIGINT NOT NULL DEFAULT 0,             -- how often it was started; a run of an older number does nothing
    store_matched BOOLEAN NOT NULL DEFAULT FALSE, -- whether matched rows become records too
    settlement_file_id UUID REFERENCES channel_settlement_files (id), -- inputs of the present run, once there
    summary_file_id UUID REFERENCES channel_settlement_files (id),
    platform_file_id UUID REFERENCES channel_settlement_files (id),
    verdict VARCHAR(20)                           -- of the last completed run
        CHECK (verdict IN ('reconciled', 'differences', 'incomplete', 'not_provable')),
    platform_count BIGINT,
    platform_amount BIGINT,                       -- only when the day has one currency; else see summary
    channel_count BIGINT,
    channel_amount BIGINT,
    matched_count BIGINT,
    matched_amount BIGINT,
    diff_count BIGINT,
    diff_amount BIGINT,
    currency VARCHAR(3),                          -- of the amounts above
    summary TEXT,                                 -- JSON: totals per type and currency, control totals, tie,
                                                  -- reasons; as text, since its sums may exceed 64 bits
    certificate JSONB,                            -- input hashes, versions, output hash
    error_code VARCHAR(64),                       -- failed: why, in a stable word
    error_message TEXT,                           -- and for people
    traceparent VARCHAR(64),                      -- the trace that the task belongs to
    created_by VARCHAR(200) NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,            -- grows with each change by a person; If-Match compares it
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    started_at TIMESTAMPTZ,
    completed_at TIMESTAMPTZ,
    deleted_at TIMESTAMPTZ
);

CREATE INDEX idx_task_date_channel ON reconciliation_tasks (task_date, channel);
CREATE INDEX idx_task_status ON reconciliation_tasks (status, created_at);
-- A day is reconciled by one task.
CREATE UNIQUE INDEX uq_task_day ON reconciliation_tasks (task_date, timezone, channel, account, task_type)
    WHERE status <> 'cancelled' AND deleted_at IS NULL;

-- One row per completed run of a task. Append-only.
CREATE TABLE reconciliation_runs (
    id UUID PRIMARY KEY,
    task_id UUID NOT NULL REFERENCES reconciliation_tasks (id),
    run_no BIGINT NOT NULL,
    verdict VARCHAR(20) NOT NULL,
    certificate JSONB NOT NULL,
    records_added BIGINT NOT NULL,                -- differences that the run before did not have
    records_kept BIGINT NOT NULL,                 -- that it had too; their resolutions stand
    records_gone BIGINT NOT NULL,                 -- that it had and this one has not
    started_at TIMESTAMPTZ NOT NULL,
    completed_at TIMESTAMPTZ NOT NULL,
    UNIQUE (task_id, run_no)
);

-- One row per difference of a task's last completed run (and per matched pair where the task stores them).
CREATE TABLE reconciliation_records (
    id UUID PRIMARY KEY,
    task_id UUID NOT NULL REFERENCES reconciliation_tasks (id),
    task_no VARCHAR(64) NOT NULL,
    task_date DATE NOT NULL,
    channel VARCHAR(50) NOT NULL,
    ordinal BIGINT NOT NULL,                      -- place in the run's output
    identity VARCHAR(48) NOT NULL,                -- hash of what the difference states, and its number among equals
    diff_type VARCHAR(30) NOT NULL,
    kind VARCHAR(20) NOT NULL,
    payment_no VARCHAR(255),
    channel_trade_no VARCHAR(255),
    channel_row_id VARCHAR(255),
    merchant_id VARCHAR(255),
    payout_id VARCHAR(255),
    platform_amount BIGINT,
    channel_amount BIGINT,
    diff_amount BIGINT,                           -- channel less platform; NULL when the currencies differ
    platform_currency VARCHAR(3),
    channel_currency VARCHAR(3),
    platform_status VARCHAR(64),                  -- the words as they stand in the sources
    channel_status VARCHAR(64),
    platform_line BIGINT,
    channel_line BIGINT,
    occurred_at VARCHAR(64),                      -- as it stands in the source
    status VARCHAR(20) NOT NULL
        CHECK (status IN ('open', 'assigned', 'resolved', 'ignored')),
    assigned_to VARCHAR(200),
    assigned_at TIMESTAMPTZ,
    reason_code VARCHAR(40),
    resolution_note TEXT,
    resolved_by VARCHAR(200),
    resolved_at TIMESTAMPTZ,
    gone_at TIMESTAMPTZ,                          -- a later run no longer has it: hidden, its history kept
    version BIGINT NOT NULL DEFAULT 1,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    UNIQUE (task_id, identity)
);

CREATE INDEX idx_record_task ON reconciliation_records (task_id, ordinal);
CREATE INDEX idx_record_task_type ON reconciliation_records (task_id, diff_type, ordinal);
CREATE INDEX idx_record_status ON reconciliation_records (status, task_id, ordinal);
CREATE INDEX idx_record_payment ON reconciliation_records (payment_no);
CREATE INDEX idx_record_trade ON reconciliation_records (channel_trade_no);

-- What happened to a record. Append-only.
CREATE TABLE reconciliation_record_events (
    id UUID PRIMARY KEY,
    record_id UUID NOT NULL REFERENCES reconciliation_records (id),
    action VARCHAR(20) NOT NULL
        CHECK (action IN ('assigned', 'resolved', 'ignored', 'reopened', 'commented', 'gone', 'returned')),
    reason_code VARCHAR(40),
    note TEXT,                                    -- the comment, or why
    actor VARCHAR(200) NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX idx_record_events ON reconciliation_record_events (record_id, created_at, id);

-- Signed webhooks are stored before they are acted upon; the channel's event id makes a repeat harmless.
CREATE TABLE stripe_webhook_inbox (
    event_id VARCHAR(255) PRIMARY KEY,
    event_type VARCHAR(128) NOT NULL,
    object_id VARCHAR(255) NOT NULL,              -- the report run the event is about
    payload JSONB NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    processed_at TIMESTAMPTZ
);
