//! From the command line to inputs that the engine can read.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use payops_channels::Mapping;
use payops_channels::bank::read_bank_file;
use payops_channels::decode::{PlainFile, SpoolError, spool};
use payops_channels::options::{Limits, ReadOptions, Window};
use payops_channels::read::{Format, read_rows};
use payops_channels::report::FileReport;
use payops_channels::row::{Position, Reject, Row, RowSink};
use payops_channels::stripe::balance_summary::read_balance_summary;
use payops_core::time::Zone;
use payops_recon::engine::{Input, RuleSet, StatedBalances, Tolerance};

use payops_recon::payouts::{Bank, PayoutFact, ReadStatements, facts_of_payout_report, facts_of_payout_rows};

use payops_platform::error::Language;
use payops_recon::report::{Words, exponents};

use super::{Channel, Failure, ReconcileArgs};

/// How many reasons are shown why nothing of a file can be read.
const SHOWN_REJECTS: usize = 10;

/// What the engine reads. Temporary copies live as long as this.
pub(super) struct Inputs {
    pub(super) platform: Input,
    pub(super) channel: Input,
    pub(super) balance: Option<StatedBalances>,
    pub(super) bank: Option<Bank>,
    pub(super) payouts: Vec<PayoutFact>,
    pub(super) tolerance: Tolerance,
    _copies: [PlainFile; 2],
}

impl Inputs {
    /// Checks the command line and unpacks what is packed.
    pub(super) fn open(args: &ReconcileArgs, temp_dir: &Path) -> Result<Self, Failure> {
        let channel_format = channel_format(args)?;
        let platform_mapping = args.platform_mapping.as_deref().map(read_mapping).transpose()?;
        let tolerance = match &args.rules {
            Some(path) => read_rules(path)?.of_channel(args.channel.as_str()),
            None => Tolerance::default(),
        };
        let options = read_options(args)?;
        for path in [&args.platform, &args.settlement]
            .into_iter()
            .chain(&args.summary)
            .chain(&args.bank)
            .chain(&args.payouts)
            .chain(&args.payout_rows)
        {
            check_readable(path)?;
        }
        if same_file(&args.platform, &args.settlement) {
            return Err(Failure::usage(
                "--platform and --settlement name the same file: a file always agrees with itself",
                "--platform 与 --settlement 是同一个文件：文件与自身总是一致",
            ));
        }

        let platform = open_plain(&args.platform, temp_dir)?;
        let settlement = open_plain(&args.settlement, temp_dir)?;
        let platform_format = match platform_mapping {
            Some(mapping) => Format::Mapped(mapping),
            None => platform_format(&args.platform, &platform)?,
        };
        let balance = match &args.summary {
            Some(path) => Some(read_summary(path, temp_dir, &options)?),
            None => None,
        };
        let bank = match &args.bank[..] {
            [] => None,
            paths => Some(read_bank(paths, args.channel, temp_dir, &options)?),
        };
        let payouts = read_payouts(args, temp_dir, &options)?;
        Ok(Self {
            platform: input(&platform, platform_format, &options),
            channel: input(&settlement, channel_format, &options),
            balance,
            bank,
            payouts,
            tolerance,
            _copies: [platform, settlement],
        })
    }
}

/// The reader of the settlement file: the mapping where one is given, else the channel's own.
fn channel_format(args: &ReconcileArgs) -> Result<Format, Failure> {
    match (&args.mapping, args.channel) {
        (Some(path), _) => read_mapping(path).map(Format::Mapped),
        (None, Channel::Stripe) => Ok(Format::StripeItemized),
        (None, channel) => Err(Failure::usage(
            format!(
                "--channel {} needs --mapping: only stripe's files are read without one",
                channel.as_str()
            ),
            format!("--channel {} 需要 --mapping：只有 stripe 的文件无需映射即可读取", channel.as_str()),
        )),
    }
}

fn read_mapping(path: &Path) -> Result<Mapping, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::of(path, error))?;
    Mapping::parse(&text).map_err(|error| Failure::option(&path.display().to_string(), error))
}

fn read_rules(path: &Path) -> Result<RuleSet, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::of(path, error))?;
    let unusable = |error: &dyn std::fmt::Display| Failure::option(&path.display().to_string(), error);
    let rules: RuleSet = toml::from_str(&text).map_err(|error| unusable(&error))?;
    let is_channel = |name: &str| Channel::value_variants().iter().any(|channel| channel.as_str() == name);
    rules.check(is_channel).map_err(|error| unusable(&error))?;
    Ok(rules)
}

fn read_options(args: &ReconcileArgs) -> Result<ReadOptions, Failure> {
    let zone = args.timezone.clone().unwrap_or_else(Zone::utc);
    if let Some(day) = args.date {
        zone.day(day).map_err(|error| Failure::option("--date", error))?;
    }
    let window = args.date.map(|day| Window { zone: zone.clone(), day });
    Ok(ReadOptions { window, printed_zone: zone, ..ReadOptions::default() })
}

fn check_readable(path: &Path) -> Result<(), Failure> {
    let file = File::open(path).map_err(|error| Failure::of(path, error))?;
    let metadata = file.metadata().map_err(|error| Failure::of(path, error))?;
    if metadata.is_file() {
        return Ok(());
    }
    Err(Failure::file(
        path,
        "is not a plain file; what is read must stay readable from its beginning to its end",
        "不是普通文件；所读内容必须自始至终可以重复读取",
    ))
}

/// Whether both paths lead to one file, by links too.
fn same_file(first: &Path, second: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    matches!((identity(first), identity(second)), (Ok(first), Ok(second)) if first == second)
}

fn open_plain(path: &Path, temp_dir: &Path) -> Result<PlainFile, Failure> {
    spool(path, temp_dir, &Limits::default()).map_err(|error| match error {
        SpoolError::Copy(error) => Failure::file(
            temp_dir,
            &format!(
                "{} cannot be unpacked to there: {error}; name a folder with room by TMPDIR",
                path.display()
            ),
            &format!("无法将 {} 解压到此处：{error}；请用 TMPDIR 指定有足够空间的目录", path.display()),
        ),
        error => Failure::of(path, error),
    })
}

/// NDJSON or CSV, by the first byte that is no blank.
fn platform_format(path: &Path, plain: &PlainFile) -> Result<Format, Failure> {
    let mut beginning = Vec::new();
    let read = plain.open().and_then(|file| file.take(4096).read_to_end(&mut beginning));
    read.map_err(|error| Failure::of(path, error))?;
    match beginning.trim_ascii_start().first() {
        Some(b'{') => Ok(Format::PlatformNdjson),
        Some(b'[') => {
            let (en, zh) = (
                "is a JSON array; one JSON object a line (NDJSON) or CSV is expected",
                "是 JSON 数组；应为每行一个 JSON 对象（NDJSON）或 CSV",
            );
            Err(Failure::file(path, en, zh))
        }
        _ => Ok(Format::PlatformCsv),
    }
}

fn read_summary(path: &Path, temp_dir: &Path, options: &ReadOptions) -> Result<StatedBalances, Failure> {
    let plain = open_plain(path, temp_dir)?;
    let file = plain.open().map_err(|error| Failure::of(path, error))?;
    let summary = read_balance_summary(file, options);
    check_read(path, !summary.currencies.is_empty(), plain.damage.iter().chain(&summary.rejects))?;
    Ok(StatedBalances::of(summary, &plain.damage))
}

/// Reads bank statements, of which a later one is newer.
fn read_bank(
    paths: &[PathBuf],
    channel: Channel,
    temp_dir: &Path,
    options: &ReadOptions,
) -> Result<Bank, Failure> {
    let mut read = Vec::with_capacity(paths.len());
    for path in paths.iter().rev() {
        let plain = open_plain(path, temp_dir)?;
        let file = plain.open().map_err(|error| Failure::of(path, error))?;
        let file = read_bank_file(file, options);
        check_read(path, !file.statements.is_empty(), plain.damage.iter().chain(&file.rejects))?;
        read.push(ReadStatements { file, damage: plain.damage.clone(), is_elsewhere: false });
    }
    Ok(Bank::joined(read, exponents(channel.as_str())))
}

/// What the reports of payouts and of their rows say.
fn read_payouts(
    args: &ReconcileArgs,
    temp_dir: &Path,
    options: &ReadOptions,
) -> Result<Vec<PayoutFact>, Failure> {
    let mut facts = Vec::new();
    let reports = [("--payouts", &args.payouts), ("--payout-rows", &args.payout_rows)];
    for (flag, _) in reports.into_iter().filter(|(_, path)| path.is_some()) {
        if args.channel != Channel::Stripe {
            return Err(Failure::usage(
                format!(
                    "{flag}: only stripe's reports of payouts are read; others have payouts in the settlement file"
                ),
                format!("{flag}：只读取 stripe 的打款报告；其他渠道的打款在结算文件中"),
            ));
        }
    }
    if let Some(path) = &args.payouts {
        let report = read_whole(path, &Format::Mapped(Mapping::stripe_payouts()), temp_dir, options)?;
        facts.extend(facts_of_payout_report(&report, options));
    }
    if let Some(path) = &args.payout_rows {
        let report = read_whole(path, &Format::StripeItemized, temp_dir, options)?;
        facts.extend(facts_of_payout_rows(&report, options, args.date));
    }
    Ok(facts)
}

/// Reads a report about payouts: of what one lacks that cannot be read whole nobody knows how much it is.
fn read_whole(
    path: &Path,
    format: &Format,
    temp_dir: &Path,
    options: &ReadOptions,
) -> Result<FileReport, Failure> {
    let plain = open_plain(path, temp_dir)?;
    let file = plain.open().map_err(|error| Failure::of(path, error))?;
    let mut first = FirstReject(plain.damage.first().cloned());
    let report = read_rows(file, format, options, &mut first);
    match first.0 {
        Some(reject) => Err(rejected(path, |words| words.reject(&reject))),
        None => Ok(report),
    }
}

/// Keeps the first thing that could not be read.
struct FirstReject(Option<Reject>);

impl RowSink for FirstReject {
    fn row(&mut self, _: Position, _: &Row<'_>) {}

    fn reject(&mut self, reject: Reject) {
        self.0.get_or_insert(reject);
    }

    fn cancelled(&self) -> bool {
        self.0.is_some()
    }
}

fn input(plain: &PlainFile, format: Format, options: &ReadOptions) -> Input {
    Input { path: plain.path().to_owned(), damage: plain.damage.clone(), format, options: options.clone() }
}

/// Refuses a file of which nothing can be read: there is no verdict about it. One row is enough to have one, `incomplete`.
pub(super) fn check_read<'r>(
    path: &Path,
    is_read: bool,
    rejects: impl Iterator<Item = &'r Reject>,
) -> Result<(), Failure> {
    let shown: Vec<&Reject> = rejects.take(SHOWN_REJECTS).collect();
    if is_read || shown.is_empty() {
        return Ok(());
    }
    Err(rejected(path, |words| {
        let nothing = words.pick("nothing of it can be read:", "没有任何内容可以读取：").to_owned();
        shown.iter().fold(nothing, |told, reject| format!("{told}\n  {}", words.reject(reject)))
    }))
}

fn rejected(path: &Path, told: impl Fn(Words) -> String) -> Failure {
    let [en, zh] = [Language::English, Language::Chinese].map(|language| told(Words(language)));
    Failure::file(path, &en, &zh)
}
