//! How fast a file is read, in one thread: `read_speed FILE [MAPPING.toml | stripe | ndjson]`.
//! Without a second argument the file is the platform's CSV.

use std::error::Error;
use std::fs::File;
use std::time::Instant;

use payops_channels::row::{Position, Reject, Row, RowSink};
use payops_channels::{Format, Mapping, ReadOptions, read_rows};

/// Adds something of every row up, so that no work can be left out.
#[derive(Default)]
struct Sum(i128, usize, Vec<Reject>);

impl RowSink for Sum {
    fn row(&mut self, position: Position, row: &Row<'_>) {
        self.0 += i128::from(row.amount) + i128::from(position.offset);
        self.1 += row.channel_trade_no.len();
    }

    fn reject(&mut self, reject: Reject) {
        if self.2.len() < 5 {
            self.2.push(reject);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("the file to read is missing")?;
    let format = match arguments.next().as_deref() {
        None => Format::PlatformCsv,
        Some("stripe") => Format::StripeItemized,
        Some("ndjson") => Format::PlatformNdjson,
        Some(mapping) => Format::Mapped(Mapping::parse(&std::fs::read_to_string(mapping)?)?),
    };
    for _ in 0..3 {
        let mut sum = Sum::default();
        let start = Instant::now();
        let report = read_rows(File::open(&path)?, &format, &ReadOptions::default(), &mut sum);
        let microseconds = start.elapsed().as_micros().max(1);
        println!(
            "{} rows, {} rejects, {} MB/s (check {} {})",
            report.rows,
            report.rejects,
            u128::from(report.bytes) / microseconds,
            sum.0,
            sum.1
        );
        sum.2.iter().for_each(|reject| println!("  line {}: {}", reject.line, reject.message));
    }
    Ok(())
}
