-- Which file is expected of a channel account for each business day, and when it is late.
CREATE TABLE expected_files (
    id UUID PRIMARY KEY,
    channel VARCHAR(50) NOT NULL,
    account VARCHAR(128) NOT NULL DEFAULT '',
    role VARCHAR(20) NOT NULL
        CHECK (role IN ('settlement', 'balance_summary', 'platform')),
    timezone VARCHAR(64) NOT NULL,                -- defines the business days, and the clock of `due_time`
    due_after_days INTEGER NOT NULL               -- so many calendar days after the business day ...
        CHECK (due_after_days BETWEEN 0 AND 31),
    due_time VARCHAR(5) NOT NULL,                 -- ... at this time of the zone's clocks, HH:MM, its file is due
    weekdays INTEGER NOT NULL                     -- the days that have a file: 1 Monday, 2 Tuesday, 4 Wednesday, ... 64 Sunday
        CHECK (weekdays BETWEEN 1 AND 127),
    holidays JSONB NOT NULL,                      -- business days that have none, as an array of dates
    counts_from DATE NOT NULL,                    -- the first business day that counts
    escalate_after_hours INTEGER NOT NULL,        -- so long after it was due, an open gap is escalated
    name_pattern VARCHAR(200),                    -- how a file's name tells date, sequence, part and parts; NULL: names say nothing
    sequence_restarts BOOLEAN NOT NULL,           -- whether sequence numbers begin at 1 each day, or run on from file to file
    next_date DATE NOT NULL,                      -- the first business day of which nobody has looked yet whether its file came in time
    created_by VARCHAR(200) NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,            -- grows with each change by a person; If-Match compares it
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    UNIQUE (channel, account, role, timezone)
);

-- What was missing, from when it was told until it came or somebody excused it. A fact that returns is another row.
CREATE TABLE file_gaps (
    id UUID PRIMARY KEY,
    expected_file_id UUID NOT NULL REFERENCES expected_files (id),
    settlement_date DATE NOT NULL,                -- the business day; of a sequence, that of the file behind the hole
    kind VARCHAR(20) NOT NULL                     -- missing: the day has no file; sequence, part: numbers that no file has;
        CHECK (kind IN ('missing', 'sequence', 'part', 'repeated', 'other_date')),
                                                  -- repeated: one number, two contents; other_date: the name says another day
    number BIGINT NOT NULL,                       -- of sequences and parts: the first that is missing, or the repeated one; else 0
    up_to BIGINT NOT NULL,                        -- the last that is missing
    due_at TIMESTAMPTZ NOT NULL,                  -- when the day's file was due
    opened_at TIMESTAMPTZ NOT NULL,               -- when it was noticed and told
    escalated_at TIMESTAMPTZ,                     -- when it was told to supervisors too
    closed_at TIMESTAMPTZ,
    closed_as VARCHAR(20)                         -- arrived; excused by somebody; noted: told, and nothing is missing;
        CHECK (closed_as IN ('arrived', 'excused', 'noted', 'not_expected')),
                                                  -- not_expected: the expectation was changed
    closed_by VARCHAR(200),                       -- excused: by whom
    note TEXT,                                    -- excused: why
    CHECK ((closed_at IS NULL) = (closed_as IS NULL))
);

-- One row is open for a fact, and rows of an expectation are read by day.
CREATE UNIQUE INDEX uq_file_gaps_open ON file_gaps (expected_file_id, settlement_date, kind, number)
    WHERE closed_at IS NULL;
CREATE INDEX idx_file_gaps_day ON file_gaps (expected_file_id, settlement_date);
