"""Reconciles two CSV files with DuckDB on two threads. Arguments: platform, channel, differences."""

import json
import sys

import duckdb

platform, channel, differences = sys.argv[1:4]
database = duckdb.connect()
database.execute("SET threads = 2")
database.execute("SET preserve_insertion_order = false")


def csv(path, columns):
    """A typed scan: nothing is sniffed."""
    types = ", ".join(f"'{name}': '{kind}'" for name, kind in columns)
    return f"read_csv('{path}', auto_detect = false, header = true, delim = ',', quote = '\"', columns = {{{types}}})"


text = "VARCHAR"
ours = csv(platform, [("payment_no", text), ("channel_trade_no", text), ("amount", "BIGINT"), ("currency", text),
                      ("status", text), ("created_at", text), ("merchant_id", text)])
theirs = csv(channel, [("balance_transaction_id", text), ("created", text), ("currency", text),
                       ("gross", "DECIMAL(18,2)"), ("fee", text), ("net", text), ("reporting_category", text),
                       ("source_id", text), ("status", text)])

# One join; its outcome is grouped once, and the differing rows of each group are kept in a list on the way.
database.execute(f"""
    CREATE TEMP TABLE found AS
    WITH ours AS (SELECT payment_no, channel_trade_no, amount, status FROM {ours}),
         theirs AS (SELECT balance_transaction_id, source_id, (gross * 100)::BIGINT AS amount, status FROM {theirs}),
         met AS (
            SELECT CASE
                     WHEN theirs.source_id IS NULL THEN 'platform_only'
                     WHEN ours.channel_trade_no IS NULL THEN 'channel_only'
                     WHEN ours.amount <> theirs.amount THEN 'amount_diff'
                     WHEN ours.status <> CASE theirs.status
                            WHEN 'succeeded' THEN 'SUCCESS' WHEN 'refunded' THEN 'REFUNDED'
                            WHEN 'pending' THEN 'PENDING' WHEN 'failed' THEN 'FAILED' END THEN 'status_diff'
                     ELSE 'matched' END AS diff_type,
                   coalesce(ours.channel_trade_no, theirs.source_id) AS channel_trade_no,
                   payment_no, balance_transaction_id AS channel_row_id,
                   ours.amount AS platform_amount, theirs.amount AS channel_amount,
                   ours.status AS platform_status, theirs.status AS channel_status
            FROM ours FULL OUTER JOIN theirs ON ours.channel_trade_no = theirs.source_id)
    SELECT diff_type, count(*) AS rows, sum(platform_amount)::BIGINT AS platform, sum(channel_amount)::BIGINT AS channel,
           list(met) FILTER (diff_type <> 'matched') AS differing
    FROM met GROUP BY diff_type
""")
database.execute(f"""
    COPY (SELECT unnest(differing, max_depth := 2) FROM found WHERE diff_type <> 'matched')
    TO '{differences}' (HEADER true)
""")
figures = database.execute("SELECT diff_type, rows, platform, channel FROM found").fetchall()
print(json.dumps({name: {"count": rows, "platform": platform or 0, "channel": channel or 0}
                  for name, rows, platform, channel in figures}))
