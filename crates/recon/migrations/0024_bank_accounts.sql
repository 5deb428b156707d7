-- Statements of several bank accounts may be about one day of a channel account: one file is in force for each of them.
ALTER TABLE channel_settlement_files ADD COLUMN bank_accounts VARCHAR(512) NOT NULL DEFAULT ''; -- those a bank statement is about
DROP INDEX uq_settlement_files_content;
DROP INDEX uq_settlement_files_current;
CREATE UNIQUE INDEX uq_settlement_files_content
    ON channel_settlement_files (channel, account, settlement_date, timezone, role, bank_accounts, file_hash, reading_hash)
    WHERE status IN ('stored', 'superseded');
CREATE UNIQUE INDEX uq_settlement_files_current
    ON channel_settlement_files (channel, account, settlement_date, timezone, role, bank_accounts)
    WHERE status = 'stored';
