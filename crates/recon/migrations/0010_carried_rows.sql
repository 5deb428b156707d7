-- Rows that one side had before the other, and that later tasks of the same channel, account and zone look for until one has
-- them. The record says what the row was; here is what else it takes to match it.
CREATE TABLE reconciliation_carried_rows (
    record_id UUID PRIMARY KEY                    -- the `timing` record of the first day
        REFERENCES reconciliation_records (id) ON DELETE CASCADE,
    task_id UUID NOT NULL REFERENCES reconciliation_tasks (id),        -- the first day's task
    channel VARCHAR(50) NOT NULL,
    account VARCHAR(128) NOT NULL,
    timezone VARCHAR(64) NOT NULL,
    first_date DATE NOT NULL,                     -- the first business day: ages are counted from it
    side VARCHAR(10) NOT NULL CHECK (side IN ('platform', 'channel')), -- whose row it is
    status VARCHAR(20),                           -- in payops' vocabulary; NULL: the source states none
    charge_id TEXT,                               -- other ids of a channel's charge
    payment_intent_id TEXT,
    closed_by UUID REFERENCES reconciliation_tasks (id), -- the later task that had it, or gave it up
    closed_date DATE,                             -- that task's business day
    closed_as VARCHAR(20)                         -- matched: it fits; differs: that task has a difference for it;
        CHECK (closed_as IN ('matched', 'differs', 'missing')), -- missing: it was looked for long enough
    CHECK ((closed_by IS NULL) = (closed_date IS NULL) AND (closed_by IS NULL) = (closed_as IS NULL))
);

CREATE INDEX idx_carried_rows_of_account ON reconciliation_carried_rows (channel, account, closed_date);
CREATE INDEX idx_carried_rows_closed_by ON reconciliation_carried_rows (closed_by);

-- A record that tells of an earlier day's row: that day, and the record there.
ALTER TABLE reconciliation_records ADD COLUMN first_date DATE;
ALTER TABLE reconciliation_records ADD COLUMN carried_from UUID;
ALTER TABLE reconciliation_found ADD COLUMN first_date DATE;
ALTER TABLE reconciliation_found ADD COLUMN carried_from UUID;

-- SHA-256 of the rows of earlier days that the last completed run looked for; NULL: none.
ALTER TABLE reconciliation_tasks ADD COLUMN carried_hash VARCHAR(64);
