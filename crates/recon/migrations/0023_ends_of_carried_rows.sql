-- The rows that a task has closed are read in pieces.
DROP INDEX idx_carried_rows_closed_by;
CREATE INDEX idx_carried_rows_closed_by ON reconciliation_carried_rows (closed_by, record_id);
