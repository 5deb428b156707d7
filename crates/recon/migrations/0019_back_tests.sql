-- What another version of the rules of tolerance would make of days that were reconciled. Nothing of those days is changed.
CREATE TABLE back_tests (
    id UUID PRIMARY KEY,
    rule_set_version BIGINT NOT NULL REFERENCES tolerance_rule_sets (version), -- the version that is tried
    baseline_version BIGINT REFERENCES tolerance_rule_sets (version), -- what it is compared with; NULL: what each task's run followed
    channel VARCHAR(50),                          -- whose days; NULL where the tasks were named one by one
    account VARCHAR(128),                         -- NULL: of every account
    first_date DATE,
    last_date DATE,
    status VARCHAR(20) NOT NULL
        CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'cancelled')),
    tasks_total BIGINT NOT NULL,                  -- tasks that are compared
    tasks_done BIGINT NOT NULL,                   -- of these, compared or given up
    tasks_failed BIGINT NOT NULL,                 -- of these, given up
    tasks_left_out BIGINT NOT NULL,               -- asked for, and without a completed run
    comparison TEXT NOT NULL,                     -- figures of all tasks done, JSON
    error_code VARCHAR(64),
    error_message TEXT,
    traceparent VARCHAR(64),
    created_by VARCHAR(200) NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    started_at TIMESTAMPTZ,
    completed_at TIMESTAMPTZ
);

CREATE INDEX idx_back_tests_rule_set ON back_tests (rule_set_version, id);

-- The tasks of a back-test, and what was found of each.
CREATE TABLE back_test_tasks (
    back_test_id UUID NOT NULL REFERENCES back_tests (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,                     -- from 0, the oldest day first: they are compared in this order
    task_id UUID NOT NULL REFERENCES reconciliation_tasks (id),
    task_no VARCHAR(64) NOT NULL,
    task_date DATE NOT NULL,
    channel VARCHAR(50) NOT NULL,
    account VARCHAR(128) NOT NULL,
    run_no BIGINT NOT NULL,                       -- the last completed run when the back-test was made
    baseline_version BIGINT,                      -- the rules it is compared with; NULL: none, nothing was tolerated
    settlement_file_id UUID NOT NULL,             -- the files of that run
    platform_file_id UUID NOT NULL,
    status VARCHAR(20) NOT NULL CHECK (status IN ('pending', 'completed', 'failed')),
    error_code VARCHAR(64),
    error_message TEXT,
    comparison TEXT NOT NULL,                     -- figures, JSON
    change_count BIGINT NOT NULL,                 -- changes found
    stored_count BIGINT NOT NULL,                 -- changes stored: the first of them
    completed_at TIMESTAMPTZ,
    PRIMARY KEY (back_test_id, position),
    UNIQUE (back_test_id, task_id)
);

-- The first changes of each task.
CREATE TABLE back_test_changes (
    back_test_id UUID NOT NULL REFERENCES back_tests (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,                     -- of the task
    ordinal BIGINT NOT NULL,                      -- from 0: rows of ours in file order, then the channel's
    task_id UUID NOT NULL,
    kind VARCHAR(10) NOT NULL CHECK (kind IN ('gained', 'lost', 'changed')),
    told_before TEXT NOT NULL,                    -- what the baseline makes of the rows, JSON
    told_after TEXT NOT NULL,                     -- what the version that is tried makes of them, JSON
    PRIMARY KEY (back_test_id, position, ordinal)
);

CREATE INDEX idx_back_test_changes_kind ON back_test_changes (back_test_id, kind, position, ordinal);
