-- Since when a back-test is not to be seen: it is removed, a task at a time. NULL: it is not.
ALTER TABLE back_tests ADD COLUMN removed_at TIMESTAMPTZ;
