-- Which files a run compared. The task itself names the files of its present run, which may be another one than
-- the run that its figures came from.
ALTER TABLE reconciliation_runs ADD COLUMN settlement_file_id UUID REFERENCES channel_settlement_files (id);
ALTER TABLE reconciliation_runs ADD COLUMN summary_file_id UUID REFERENCES channel_settlement_files (id);
ALTER TABLE reconciliation_runs ADD COLUMN platform_file_id UUID REFERENCES channel_settlement_files (id);

-- Of runs that were there before, only those of tasks at rest can still be told.
UPDATE reconciliation_runs SET
    settlement_file_id = (SELECT task.settlement_file_id FROM reconciliation_tasks task
        WHERE task.id = reconciliation_runs.task_id AND task.run_no = reconciliation_runs.run_no),
    summary_file_id = (SELECT task.summary_file_id FROM reconciliation_tasks task
        WHERE task.id = reconciliation_runs.task_id AND task.run_no = reconciliation_runs.run_no),
    platform_file_id = (SELECT task.platform_file_id FROM reconciliation_tasks task
        WHERE task.id = reconciliation_runs.task_id AND task.run_no = reconciliation_runs.run_no);
