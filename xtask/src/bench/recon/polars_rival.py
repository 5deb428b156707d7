"""Reconciles two CSV files with Polars' streaming engine on two threads. Arguments: platform, channel, differences."""

import json
import os
import sys

os.environ["POLARS_MAX_THREADS"] = "2"
import polars as pl

platform, channel, differences = sys.argv[1:4]
WORDS = {"succeeded": "SUCCESS", "refunded": "REFUNDED", "pending": "PENDING", "failed": "FAILED"}

ours = pl.scan_csv(platform, schema_overrides={"amount": pl.Int64}).select(
    "payment_no", "channel_trade_no", pl.col("amount").alias("platform_amount"),
    pl.col("status").alias("platform_status"))
# Amounts have two decimals throughout, so that without the point they are minor units, and no float is involved.
theirs = pl.scan_csv(channel, schema_overrides={"gross": pl.String}).select(
    pl.col("balance_transaction_id").alias("channel_row_id"), "source_id",
    pl.col("gross").str.replace(".", "", literal=True).cast(pl.Int64).alias("channel_amount"),
    pl.col("status").alias("channel_status"))

met = ours.join(theirs, left_on="channel_trade_no", right_on="source_id", how="full", coalesce=False).with_columns(
    pl.when(pl.col("source_id").is_null()).then(pl.lit("platform_only"))
    .when(pl.col("channel_trade_no").is_null()).then(pl.lit("channel_only"))
    .when(pl.col("platform_amount") != pl.col("channel_amount")).then(pl.lit("amount_diff"))
    .when(pl.col("platform_status") != pl.col("channel_status").replace_strict(WORDS, default=None))
    .then(pl.lit("status_diff"))
    .otherwise(pl.lit("matched")).alias("diff_type"))
differing = met.filter(pl.col("diff_type") != "matched").select(
    "diff_type", pl.coalesce("channel_trade_no", "source_id").alias("channel_trade_no"), "payment_no",
    "channel_row_id", "platform_amount", "channel_amount", "platform_status", "channel_status")

# Matched rows are what the files hold less what differs: cheaper than grouping every joined row.
differing, all_ours, all_theirs = pl.collect_all(
    [differing, ours.select(pl.len().alias("rows"), pl.col("platform_amount").sum()),
     theirs.select(pl.col("channel_amount").sum())], engine="streaming")
differing.write_csv(differences)
figures = {
    row["diff_type"]: {"count": row["rows"], "platform": row["platform"], "channel": row["channel"]}
    for row in differing.group_by("diff_type").agg(
        pl.len().alias("rows"), pl.col("platform_amount").sum().alias("platform"),
        pl.col("channel_amount").sum().alias("channel")).to_dicts()}
figures["matched"] = {
    "count": all_ours["rows"][0] - sum(f["count"] for name, f in figures.items() if name != "channel_only"),
    "platform": all_ours["platform_amount"][0] - sum(f["platform"] for f in figures.values()),
    "channel": all_theirs["channel_amount"][0] - sum(f["channel"] for f in figures.values())}
print(json.dumps(figures))
