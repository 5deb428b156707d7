//! Reconciles two CSV files with csv-diff, the library behind `qsv diff`. Arguments: platform, channel, differences.
//!
//! csv-diff finds the rows of one key of which any byte differs, so both sides must say the same in the same words. Each is
//! first written down as that, both at once: id, amount in minor units, the platform's word for the status. Anything else
//! would make every row differ, so what a difference tells beside these is read from the files again. No field of the data
//! needs quotes, and every record is a line.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread::{self, ScopedJoinHandle};

use anyhow::{Context, Result, anyhow};
use csv::{ByteRecord, ReaderBuilder};
use csv_diff::csv_diff::CsvByteDiffLocal;
use csv_diff::diff_row::DiffByteRecord;
use serde_json::{Map, json};

/// How much is read and written at once.
const PIECE: usize = 256 << 10;

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [platform, channel, differences] = arguments.as_slice() else {
        return Err(anyhow!("give platform, channel and differences"));
    };
    let prepared = ["platform", "channel"].map(|side| differences.with_extension(side));
    let (all_ours, all_theirs) =
        both(|| prepare(platform, &PLATFORM, &prepared[0]), || prepare(channel, &CHANNEL, &prepared[1]))?;

    // Each row that differs is sought and read again, and its whole buffer with it: the usual small one is the fastest.
    let (ours, theirs) = (csv::Reader::from_path(&prepared[0])?, csv::Reader::from_path(&prepared[1])?);
    let found = CsvByteDiffLocal::new()?.diff(ours.into(), theirs.into())?;
    let found: Vec<Difference> = found.iter().map(Difference::of).collect::<Result<_>>()?;

    let lines = |side: fn(&Difference) -> &Option<Found>| -> Vec<u64> {
        found.iter().filter_map(|one| side(one).as_ref().map(|row| row.line)).collect()
    };
    let (ours, theirs) = both(
        || again(platform, &PLATFORM, lines(|one| &one.platform)),
        || again(channel, &CHANNEL, lines(|one| &one.channel)),
    )?;
    let mut out = BufWriter::with_capacity(PIECE, File::create(differences)?);
    write(&mut out, &found, &ours, &theirs)?;
    out.flush()?;
    print(&found, &all_ours, &all_theirs);
    for path in prepared {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Does both at once.
fn both<T: Send>(
    ours: impl FnOnce() -> Result<T> + Send,
    theirs: impl FnOnce() -> Result<T>,
) -> Result<(T, T)> {
    let panicked = |_| anyhow!("a thread panicked");
    thread::scope(|scope| {
        let ours: ScopedJoinHandle<'_, _> = scope.spawn(ours);
        let theirs = theirs();
        Ok((ours.join().map_err(panicked)??, theirs?))
    })
}

/// Where a side's file has what is compared, and how the row is known.
struct Columns {
    id: usize,
    own_id: usize,
    amount: usize,
    status: usize,
    /// Amounts have a point and two decimals; without it they are minor units.
    has_point: bool,
}

const PLATFORM: Columns = Columns { id: 1, own_id: 0, amount: 2, status: 4, has_point: false };
const CHANNEL: Columns = Columns { id: 7, own_id: 0, amount: 3, status: 8, has_point: true };

/// All rows of a side.
struct All {
    rows: i64,
    amount: i64,
}

/// Writes a side down as csv-diff compares it.
fn prepare(path: &Path, columns: &Columns, to: &Path) -> Result<All> {
    let mut file = ReaderBuilder::new().buffer_capacity(PIECE).from_path(path)?;
    let mut out = BufWriter::with_capacity(PIECE, File::create(to)?);
    out.write_all(b"id,amount,status\n")?;
    let (mut row, mut all) = (ByteRecord::new(), All { rows: 0, amount: 0 });
    while file.read_byte_record(&mut row)? {
        let field = |place| row.get(place).context("a row is short");
        let amount = minor_units(field(columns.amount)?, columns.has_point)?;
        out.write_all(field(columns.id)?)?;
        write!(out, ",{amount},")?;
        out.write_all(platform_word(field(columns.status)?))?;
        out.write_all(b"\n")?;
        all = All { rows: all.rows + 1, amount: all.amount + amount };
    }
    out.flush()?;
    Ok(all)
}

fn minor_units(text: &[u8], has_point: bool) -> Result<i64> {
    let (mut amount, mut point) = (0, None);
    for (place, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => amount = amount * 10 + i64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(place),
            _ => return Err(anyhow!("{} is no amount", String::from_utf8_lossy(text))),
        }
    }
    let expected = has_point.then(|| text.len().saturating_sub(3));
    (point == expected).then_some(amount).context("an amount is in another unit")
}

fn platform_word(status: &[u8]) -> &[u8] {
    match status {
        b"succeeded" => b"SUCCESS",
        b"refunded" => b"REFUNDED",
        b"pending" => b"PENDING",
        b"failed" => b"FAILED",
        word => word,
    }
}

/// A row of a difference, as csv-diff has it.
struct Found {
    line: u64,
    id: String,
    amount: i64,
}

struct Difference {
    name: &'static str,
    platform: Option<Found>,
    channel: Option<Found>,
}

impl Difference {
    fn of(record: &DiffByteRecord) -> Result<Self> {
        let found = |row: &ByteRecord, line| {
            let (id, amount) = (row.get(0).context("no id")?, row.get(1).context("no amount")?);
            anyhow::Ok(Found {
                line,
                id: String::from_utf8(id.to_vec())?,
                amount: minor_units(amount, false)?,
            })
        };
        Ok(match record {
            DiffByteRecord::Delete(ours) => {
                let platform = Some(found(ours.byte_record(), ours.line())?);
                Self { name: "platform_only", platform, channel: None }
            }
            DiffByteRecord::Add(theirs) => {
                let channel = Some(found(theirs.byte_record(), theirs.line())?);
                Self { name: "channel_only", platform: None, channel }
            }
            DiffByteRecord::Modify { delete, add, .. } => {
                let ours = found(delete.byte_record(), delete.line())?;
                let theirs = found(add.byte_record(), add.line())?;
                let name = if ours.amount == theirs.amount { "status_diff" } else { "amount_diff" };
                Self { name, platform: Some(ours), channel: Some(theirs) }
            }
        })
    }
}

/// What the file says of a row beside what is compared.
struct Told {
    own_id: String,
    status: String,
}

/// Reads these lines of a side's file again.
fn again(path: &Path, columns: &Columns, mut lines: Vec<u64>) -> Result<HashMap<u64, Told>> {
    lines.sort_unstable();
    let mut file = BufReader::with_capacity(PIECE, File::open(path)?);
    let (mut next, mut text, mut rows) = (1, String::new(), HashMap::with_capacity(lines.len()));
    for line in lines {
        for _ in next..line {
            file.skip_until(b'\n')?;
        }
        text.clear();
        file.read_line(&mut text)?;
        next = line + 1;
        let fields: Vec<&str> = text.trim_end().split(',').collect();
        let field = |place: usize| fields.get(place).map(ToString::to_string).context("a row is short");
        rows.insert(line, Told { own_id: field(columns.own_id)?, status: field(columns.status)? });
    }
    Ok(rows)
}

fn write(
    out: &mut impl Write,
    found: &[Difference],
    ours: &HashMap<u64, Told>,
    theirs: &HashMap<u64, Told>,
) -> io::Result<()> {
    writeln!(
        out,
        "diff_type,channel_trade_no,payment_no,channel_row_id,platform_amount,channel_amount,platform_status,channel_status"
    )?;
    for Difference { name, platform, channel } in found {
        let id = platform.iter().chain(channel).next().map_or("", |row| row.id.as_str());
        let of = |row: &Option<Found>, rows: &HashMap<u64, Told>| {
            let told = row.as_ref().and_then(|row| rows.get(&row.line));
            let amount = row.as_ref().map(|row| row.amount.to_string()).unwrap_or_default();
            let (own_id, status) =
                told.map(|row| (row.own_id.clone(), row.status.clone())).unwrap_or_default();
            (own_id, amount, status)
        };
        let (payment, our_amount, our_status) = of(platform, ours);
        let (row, their_amount, their_status) = of(channel, theirs);
        writeln!(out, "{name},{id},{payment},{row},{our_amount},{their_amount},{our_status},{their_status}")?;
    }
    Ok(())
}

/// Prints the figures. Matches are what the files hold less what differs.
fn print(found: &[Difference], all_ours: &All, all_theirs: &All) {
    let mut matched = (all_ours.rows, all_ours.amount, all_theirs.amount);
    let mut figures = Map::new();
    for name in ["platform_only", "channel_only", "amount_diff", "status_diff"] {
        let of = || found.iter().filter(|one| one.name == name);
        let sum = |side: fn(&Difference) -> &Option<Found>| -> i64 {
            of().filter_map(|one| side(one).as_ref()).map(|row| row.amount).sum()
        };
        let (platform, channel) = (sum(|one| &one.platform), sum(|one| &one.channel));
        matched.0 -= of().filter(|one| one.platform.is_some()).count().cast_signed() as i64;
        (matched.1, matched.2) = (matched.1 - platform, matched.2 - channel);
        figures.insert(
            name.to_owned(),
            json!({ "count": of().count(), "platform": platform, "channel": channel }),
        );
    }
    let (count, platform, channel) = matched;
    figures.insert("matched".to_owned(), json!({ "count": count, "platform": platform, "channel": channel }));
    println!("{}", json!(figures));
}
