-- What a rule of tolerance, or a person who chose among candidates, has booked; and the candidates.
ALTER TABLE reconciliation_records ADD COLUMN tolerance_rule VARCHAR(100); -- within_tolerance: the rule that allowed the gap
ALTER TABLE reconciliation_records ADD COLUMN adjustment BIGINT;          -- the channel's amount less ours, as booked
ALTER TABLE reconciliation_records ADD COLUMN candidate_count BIGINT;     -- ambiguous: how many rows of the other side it could belong to
ALTER TABLE reconciliation_records ADD COLUMN candidates TEXT;            -- the first of them, as JSON
ALTER TABLE reconciliation_records ADD COLUMN paired_with UUID;           -- the record of the candidate that somebody chose

ALTER TABLE reconciliation_found ADD COLUMN candidate_count BIGINT;
ALTER TABLE reconciliation_found ADD COLUMN candidates TEXT;

CREATE INDEX idx_record_paired ON reconciliation_records (task_id) WHERE paired_with IS NOT NULL;
