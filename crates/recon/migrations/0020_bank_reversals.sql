-- What bank statements may take back of others: entries that the bank calls reversals, and money that left with a reference of the
-- bank's; those that take back what their own file has are not here. One row for each of the bank's references.
CREATE TABLE bank_reversals (
    file_id UUID NOT NULL REFERENCES channel_settlement_files (id),
    place BIGINT  NOT NULL,                       -- its number among the file's
    reference BIGINT NOT NULL,                    -- a hash of the bank's reference; 0 without one
    amount BIGINT NOT NULL,                       -- minor units of ISO 4217, negative where money left the account
    currency VARCHAR(3) NOT NULL,
    booked_on DATE NOT NULL,
    is_reversal BOOLEAN NOT NULL,                 -- whether the bank calls it one
    PRIMARY KEY (file_id, place)
);
CREATE INDEX idx_bank_reversals_reference ON bank_reversals (reference);
CREATE INDEX idx_bank_reversals_amount ON bank_reversals (amount);

-- The deposits that the last completed run of a task rests on, so that a statement that takes one of them back starts the day
-- again. One row for each of the bank's references.
CREATE TABLE reconciliation_deposits (
    task_id UUID NOT NULL REFERENCES reconciliation_tasks (id),
    place BIGINT  NOT NULL,                       -- its number among the task's
    reference BIGINT NOT NULL,                    -- a hash of the bank's reference; 0 without one
    amount BIGINT NOT NULL,                       -- minor units of ISO 4217, as the bank booked it
    currency VARCHAR(3) NOT NULL,
    booked_on DATE NOT NULL,
    PRIMARY KEY (task_id, place)
);
CREATE INDEX idx_reconciliation_deposits_reference ON reconciliation_deposits (reference);
CREATE INDEX idx_reconciliation_deposits_amount ON reconciliation_deposits (amount);
