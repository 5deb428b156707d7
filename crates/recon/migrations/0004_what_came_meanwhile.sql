-- Whether a file is about its day at all; NULL until it was read, and for files that were read before this column.
ALTER TABLE channel_settlement_files ADD COLUMN day_record_count BIGINT; -- rows of the business day, or without a time

-- A file came for the day while the present run was at work: when it ends, it looks whether it used what is in force.
ALTER TABLE reconciliation_tasks ADD COLUMN inputs_changed BOOLEAN NOT NULL DEFAULT FALSE;

-- Rows that are pending here and absent there: records, but no differences.
ALTER TABLE reconciliation_tasks ADD COLUMN timing_count BIGINT;
UPDATE reconciliation_tasks SET timing_count =
    (SELECT COUNT(*) FROM reconciliation_records record WHERE record.task_id = reconciliation_tasks.id
        AND record.diff_type = 'timing' AND record.gone_at IS NULL)
    WHERE summary IS NOT NULL;
