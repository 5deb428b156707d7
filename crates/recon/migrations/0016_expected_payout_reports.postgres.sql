-- Reports of payouts can be expected files too.
ALTER TABLE expected_files DROP CONSTRAINT expected_files_role_check;
ALTER TABLE expected_files ADD CONSTRAINT expected_files_role_check
    CHECK (role IN ('settlement', 'balance_summary', 'platform', 'bank_statement', 'payouts', 'payout_rows'));
