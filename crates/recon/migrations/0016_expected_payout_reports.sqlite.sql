-- Reports of payouts can be expected files too. SQLite cannot change a CHECK, so the table is made anew; what is not
-- changed is explained in 0005.
PRAGMA defer_foreign_keys = ON;
CREATE TABLE expected_files_before AS SELECT * FROM expected_files;
DROP TABLE expected_files;
CREATE TABLE expected_files (
    id UUID PRIMARY KEY,
    channel VARCHAR(50) NOT NULL,
    account VARCHAR(128) NOT NULL DEFAULT '',
    role VARCHAR(20) NOT NULL
        CHECK (role IN ('settlement', 'balance_summary', 'platform', 'bank_statement', 'payouts', 'payout_rows')),
    timezone VARCHAR(64) NOT NULL,
    due_after_days INTEGER NOT NULL
        CHECK (due_after_days BETWEEN 0 AND 31),
    due_time VARCHAR(5) NOT NULL,
    weekdays INTEGER NOT NULL
        CHECK (weekdays BETWEEN 1 AND 127),
    holidays JSONB NOT NULL,
    counts_from DATE NOT NULL,
    escalate_after_hours INTEGER NOT NULL,
    name_pattern VARCHAR(200),
    sequence_restarts BOOLEAN NOT NULL,
    next_date DATE NOT NULL,
    created_by VARCHAR(200) NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    UNIQUE (channel, account, role, timezone)
);
INSERT INTO expected_files SELECT * FROM expected_files_before;
DROP TABLE expected_files_before;
