//! `payops reconcile`: two files in, a verdict out. No server, no database.

mod inputs;
mod language;
mod output;
mod progress;
mod size;
mod table;

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::{NaiveDate, NaiveTime};
use clap::{Args, ValueEnum};
use payops_channels::Window;
use payops_core::random::{Random, SystemRandom};
use payops_core::time::{DayWindow, Zone, business_date};
use payops_platform::error::Text;
use payops_recon::engine::{self, CutOff, EngineError, Outcome, Settings, Side, Verdict};
use payops_recon::payouts::{BankSide, PayoutLists, PayoutRules};

use inputs::Inputs;
use output::Outputs;
use payops_recon::report::Words;
use progress::Display;

/// Compare the platform's payments with a channel's settlement file.
///
/// Exit codes: 0 reconciled with nothing open; 1 differences, incomplete or not provable; 2 wrong usage;
/// 3 an input that cannot be read or an output that cannot be written.
#[derive(Debug, Args)]
pub(crate) struct ReconcileArgs {
    /// The channel that the settlement file comes from. `generic` reads any CSV through `--mapping`.
    #[arg(long, value_enum)]
    channel: Channel,
    /// The platform's payments: CSV, or one JSON object a line. May be packed with gzip or zip.
    #[arg(long, value_name = "FILE")]
    platform: PathBuf,
    /// The channel's settlement file. May be packed with gzip or zip.
    #[arg(long, value_name = "FILE")]
    settlement: PathBuf,
    /// The channel's balance summary, which proves that the settlement file is complete.
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// A statement of the bank that payouts arrive at (camt.053, MT940 or BAI2): payouts are matched to its entries. Give it
    /// once for each file; where two tell of the same days of an account, the later one counts.
    #[arg(long, value_name = "FILE")]
    bank: Vec<PathBuf>,
    /// Stripe's report of payouts (payouts.itemized), where the settlement file has no rows of payouts.
    #[arg(long, value_name = "FILE", requires = "bank")]
    payouts: Option<PathBuf>,
    /// Stripe's report of the rows that these payouts carry, of whatever days (`payout_reconciliation.itemized`).
    #[arg(long, value_name = "FILE", requires = "bank")]
    payout_rows: Option<PathBuf>,
    /// How many days after its own date a payout may be booked before it is missing.
    #[arg(
        long,
        value_name = "DAYS",
        default_value_t = 5,
        requires = "bank",
        value_parser = clap::value_parser!(u16).range(0..=90)
    )]
    payout_window: u16,
    /// The words by which the bank's texts name the channel, instead of its name. An empty one means every entry.
    #[arg(long, value_name = "WORD,...", requires = "bank", value_delimiter = ',', value_parser = parse_word)]
    payout_words: Option<Vec<String>>,
    /// How to read the settlement file, as TOML.
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// How to read the platform's file, as TOML, where it is not payops' own format.
    #[arg(long, value_name = "FILE")]
    platform_mapping: Option<PathBuf>,
    /// Rules of tolerance, as TOML: how far which amounts may be apart.
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Reconcile one day, such as 2026-01-30. Rows of other days may complete a pair and are no differences.
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    date: Option<NaiveDate>,
    /// The zone that defines the day, and in which the channel prints times without one.
    #[arg(long, value_name = "ZONE", requires = "date", value_parser = parse_zone)]
    timezone: Option<Zone>,
    /// When the channel's files end, as 22:00 or `22:00@America/New_York` (without a zone, that of the day): rows between that
    /// time and the end of the day may be in the next file, and are `timing`.
    #[arg(long, value_name = "TIME[@ZONE]", requires = "date", value_parser = parse_cut_off)]
    cut_off: Option<CutOffTime>,
    /// Compare rows of one payment of which no two agree by their sums, as captures in parts.
    #[arg(long)]
    net_by_payment: bool,
    /// Write the differences as CSV.
    #[arg(long, value_name = "FILE")]
    diffs: Option<PathBuf>,
    /// Write a report; the name ends in .pdf (figures, charts and the first differences), .xlsx (the figures and the
    /// differences, tied by formulas), .csv (the differences) or .json (the figures and the differences).
    /// A .pdf or .xlsx is in Chinese where the environment asks for it (`LANG`).
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write a certificate: hashes of the inputs and of the output, and the versions of rules and engine.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Print the figures as JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// About how much memory to use; more rows than fit go to a temporary file in $TMPDIR.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size::parse)]
    memory: u64,
    /// How many threads to use, for reading both files and for matching.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: u8,
}

/// Where a settlement file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Channel {
    Stripe,
    Paypal,
    Alipay,
    Wechat,
    Adyen,
    Generic,
}

impl Channel {
    fn as_str(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Paypal => "paypal",
            Self::Alipay => "alipay",
            Self::Wechat => "wechat",
            Self::Adyen => "adyen",
            Self::Generic => "generic",
        }
    }
}

fn parse_date(text: &str) -> Result<NaiveDate, String> {
    let date = text.parse().map_err(|_| "a date is expected, as 2026-01-30".to_owned())?;
    business_date(date).map_err(|error| error.to_string())
}

fn parse_word(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || PayoutRules::is_word(text) {
        return Ok(text.to_owned());
    }
    Err("has less than three letters or digits, or two of another script".to_owned())
}

/// A time of the day, and the zone whose clocks show it where it is not that of the day.
#[derive(Debug, Clone)]
struct CutOffTime {
    time: NaiveTime,
    zone: Option<Zone>,
}

impl fmt::Display for CutOffTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.time.format("%H:%M"))?;
        self.zone.iter().try_for_each(|zone| write!(f, "@{}", zone.name()))
    }
}

fn parse_cut_off(text: &str) -> Result<CutOffTime, String> {
    let (time, zone) = text.split_once('@').map_or((text, None), |(time, zone)| (time, Some(zone)));
    let time =
        NaiveTime::parse_from_str(time, "%H:%M").map_err(|_| format!("'{time}' is not a time as HH:MM"))?;
    Ok(CutOffTime { time, zone: zone.map(parse_zone).transpose()? })
}

/// What the channel's next file may have. As in the service, without a cut-off that is what is still pending at the end of
/// its day.
fn cut_off(args: &ReconcileArgs, window: Option<&Window>) -> Result<Option<CutOff>, Failure> {
    let Some(window) = window else { return Ok(None) };
    let day = window.zone.day(window.day).map_err(|error| Failure::option("--date", error))?;
    let Some(CutOffTime { time, zone }) = &args.cut_off else {
        return Ok(Some(CutOff { window: day, pending_only: true }));
    };
    let start = zone.as_ref().unwrap_or(&window.zone).last_before(*time, day.end);
    let start = start
        .ok_or_else(|| Failure::usage("--cut-off: is beyond the calendar", "--cut-off：超出日历范围"))?;
    Ok(Some(CutOff { window: DayWindow { start, end: day.end }, pending_only: false }))
}

fn parse_zone(name: &str) -> Result<Zone, String> {
    Zone::named(name).map_err(|error| error.to_string())
}

/// Why the command could not do its work.
#[derive(Debug)]
enum Failure {
    /// The command line asks for something that cannot be; exit code 2.
    Usage(Text),
    /// An input could not be read or an output not written; exit code 3.
    File(Text),
}

impl Failure {
    fn usage(en: impl Into<Cow<'static, str>>, zh: impl Into<Cow<'static, str>>) -> Self {
        Self::Usage(Text::new(en, zh))
    }

    /// What is wrong with an option, in the words of what read it, which are English.
    fn option(option: &str, error: impl fmt::Display) -> Self {
        Self::usage(format!("{option}: {error}"), format!("{option}：{error}"))
    }

    /// What is wrong with a file, in the words of the system or of what read it, which are English.
    fn of(path: &Path, error: impl fmt::Display) -> Self {
        Self::file(path, &error.to_string(), &error.to_string())
    }

    fn file(path: &Path, en: &str, zh: &str) -> Self {
        Self::File(Text::new(format!("{}: {en}", path.display()), format!("{}：{zh}", path.display())))
    }
}

/// Runs the command and says on stderr what went wrong.
pub(crate) fn run(args: &ReconcileArgs) -> ExitCode {
    let language = language::of_environment();
    match reconcile(args, language) {
        Ok(Verdict::Reconciled) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(failure) => {
            let code = if matches!(failure, Failure::Usage(_)) { 2 } else { 3 };
            // With stderr gone there is nobody left to tell.
            let (Failure::Usage(text) | Failure::File(text)) = failure;
            let _ = writeln!(
                io::stderr(),
                "{}: {}",
                language.pick("error", "错误"),
                text.in_language(language.0)
            );
            ExitCode::from(code)
        }
    }
}

fn reconcile(args: &ReconcileArgs, language: Words) -> Result<Verdict, Failure> {
    let temp_dir = std::env::temp_dir();
    let outputs = Outputs::open(args)?;
    let inputs = Inputs::open(args, &temp_dir)?;
    let seed = [SystemRandom.next_u64(), SystemRandom.next_u64()];
    let settings = Settings {
        memory: args.memory,
        threads: args.threads.into(),
        cut_off: cut_off(args, inputs.platform.options.window.as_ref())?,
        net_by_payment: args.net_by_payment,
        tolerance: inputs.tolerance.clone(),
        ..Settings::new(seed, temp_dir)
    };

    let display = Display::new(language);
    let balance = inputs.balance.as_ref();
    let mut outcome = display
        .observe(|observer| {
            engine::reconcile(&inputs.platform, &inputs.channel, balance, &settings, observer)
        })
        .map_err(|error| engine_failure(args, &error))?;

    let summary = &outcome.summary;
    for (path, side) in [(&args.platform, &summary.platform), (&args.settlement, &summary.channel)] {
        inputs::check_read(path, side.rows > 0, side.rejects.first.iter())?;
    }
    if let Some(bank) = inputs.bank {
        let is_reported = args.payouts.is_some() || args.payout_rows.is_some();
        let lists = is_reported.then(|| PayoutLists::of_report(&inputs.payouts));
        let side = BankSide { other_payouts: inputs.payouts, lists, ..BankSide::of(bank) };
        outcome.tie_to_bank(side, &payout_rules(args));
    }
    display.writing(outcome.listed());
    outputs.write(args, &outcome, language)?;
    display.finish();
    print(args, &outcome, language).map_err(|error| {
        Failure::File(Text::new(format!("standard output: {error}"), format!("标准输出：{error}")))
    })?;
    Ok(outcome.summary.verdict)
}

fn payout_rules(args: &ReconcileArgs) -> PayoutRules {
    let mut rules = PayoutRules::of_channel(args.channel.as_str());
    rules.days_after = args.payout_window;
    if let Some(words) = &args.payout_words {
        rules.words =
            words.iter().map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect();
    }
    rules
}

/// The error in the words of the command line: with the file's name.
fn engine_failure(args: &ReconcileArgs, error: &EngineError) -> Failure {
    let path = |side: &Side| match side {
        Side::Platform => &args.platform,
        Side::Channel => &args.settlement,
    };
    match error {
        EngineError::Input { side, source } => Failure::of(path(side), source),
        EngineError::InputChanged { side } => {
            Failure::file(path(side), &error.to_string(), "对账过程中文件发生了变化")
        }
        EngineError::Temporary(source) => Failure::file(
            &std::env::temp_dir(),
            &format!(
                "{source}; name a folder with room by TMPDIR, or let all rows stay in memory, as by --memory 1GiB"
            ),
            &format!("{source}；请用 TMPDIR 指定有足够空间的目录，或用 --memory 1GiB 等将所有行保留在内存中"),
        ),
        EngineError::Cancelled => Failure::File(Text::new(error.to_string(), "运行已取消")),
    }
}

fn print(args: &ReconcileArgs, outcome: &Outcome, language: Words) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.json {
        serde_json::to_writer(&mut out, &outcome.summary)?;
        writeln!(out)?;
    } else {
        out.write_all(table::render(args, &outcome.summary, language).as_bytes())?;
    }
    out.flush()
}
