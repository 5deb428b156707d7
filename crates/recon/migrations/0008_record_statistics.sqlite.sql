-- What SQLite is to think of the indexes of records, which it chooses by: it counts nothing by itself, and without figures takes
-- the index that spares it sorting, where another one would lead to the two records of a payment. For each index the
-- records there may be, and how many there are on average of one value of its first column, its first two ...
ANALYZE reconciliation_records;
DELETE FROM sqlite_stat1 WHERE tbl = 'reconciliation_records';
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('reconciliation_records', 'idx_record_list', '10000000 10000 1'),
    ('reconciliation_records', 'idx_record_status', '10000000 2500000 10000 1 1 1'),
    ('reconciliation_records', 'idx_record_status_type', '10000000 2500000 300000 2500 1'),
    ('reconciliation_records', 'idx_record_status_channel', '10000000 2500000 600000 10000 1 1'),
    ('reconciliation_records', 'idx_record_type', '10000000 1200000 2500 1 1 1'),
    ('reconciliation_records', 'idx_record_kind', '10000000 1800000 5000 1 1'),
    ('reconciliation_records', 'idx_record_channel', '10000000 2000000 10000 1'),
    ('reconciliation_records', 'idx_record_date', '10000000 30000 10000 1'),
    ('reconciliation_records', 'idx_record_owner', '10000000 100000 100 1 1'),
    ('reconciliation_records', 'idx_record_currency', '10000000 1000000 2500 1'),
    ('reconciliation_records', 'idx_record_other_currency', '10000000 1000000 2500 1'),
    ('reconciliation_records', 'idx_record_payment', '10000000 2'),
    ('reconciliation_records', 'idx_record_trade', '10000000 2'),
    ('reconciliation_records', 'sqlite_autoindex_reconciliation_records_1', '10000000 1'),
    ('reconciliation_records', 'sqlite_autoindex_reconciliation_records_2', '10000000 10000 1');
