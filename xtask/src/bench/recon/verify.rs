//! An engine that is wrong is not measured.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::data::{Class, Dataset, Total};
use super::engines::Engine;

/// The columns of payops' differences that every engine has to give, in their order.
const COLUMNS: [&str; 8] = [
    "diff_type",
    "channel_trade_no",
    "payment_no",
    "channel_row_id",
    "platform_amount",
    "channel_amount",
    "platform_status",
    "channel_status",
];

/// Compares what the engine's last run wrote with what the data was made with.
pub(super) fn check(engine: &Engine, place: &Path, dataset: &Dataset) -> Result<()> {
    let output = engine.output(place);
    let figures: Value = serde_json::from_slice(&fs::read(output.join("figures.json"))?)?;
    for (class, expected) in Class::ALL.into_iter().zip(dataset.totals) {
        let found =
            if engine.is_payops() { payops_total(&figures, class) } else { rival_total(&figures, class) };
        let found = found.with_context(|| format!("no figures of {}", class.name()))?;
        ensure!(found == expected, "{}: {found:?} was found and {expected:?} is true", class.name());
    }
    let mut found = differences(&fs::read_to_string(output.join("differences.csv"))?)?;
    found.sort_unstable();
    let wrong = found.iter().zip(&dataset.differences).find(|(found, expected)| found != expected);
    ensure!(wrong.is_none(), "a difference differs: {wrong:?}");
    let (count, expected) = (found.len(), dataset.differences.len());
    ensure!(count == expected, "{count} differences were found and {expected} are true");
    Ok(())
}

fn payops_total(figures: &Value, class: Class) -> Option<Total> {
    let figures = &figures["types"][class.name()];
    let sum = |side: &str| figures[side].as_object()?.values().map(Value::as_i64).sum::<Option<i64>>();
    let [platform, channel] = [sum("platform_amounts")?, sum("channel_amounts")?];
    Some(Total { count: figures["count"].as_u64()?, platform, channel })
}

fn rival_total(figures: &Value, class: Class) -> Option<Total> {
    let [count, platform, channel] =
        ["count", "platform", "channel"].map(|name| figures[class.name()][name].as_i64());
    Some(Total { count: u64::try_from(count?).ok()?, platform: platform?, channel: channel? })
}

/// The lines of a differences file, brought to the eight columns. No field of the data needs quotes.
fn differences(text: &str) -> Result<Vec<String>> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().context("the file is empty")?.split(',').collect();
    let place = |name: &str| header.iter().position(|column| *column == name);
    let places: Option<Vec<usize>> = COLUMNS.into_iter().map(place).collect();
    let places = places.context("a column is missing")?;
    let line = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        places.iter().map(|place| fields.get(*place).copied().unwrap_or("")).collect::<Vec<_>>().join(",")
    };
    Ok(lines.map(line).collect())
}
