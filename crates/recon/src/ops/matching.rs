//! Comparing the files of a run: on threads that may block, with the run's progress shown as it goes.

use std::io::{self, BufWriter, Write, sink};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use payops_channels::decode::{PlainFile, spool};
use payops_channels::options::{Limits, ReadOptions};
use payops_platform::error::{Error, Result};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::Reconciliation;
use crate::engine::{
    self, Certificate, CertifiedInput, EngineError, Hashed, Input, Observer, Outcome, Progress, Settings,
    StatedBalances, export,
};
use crate::error;
use crate::file_store::disk;
use crate::formats::{self, Inspection};
use crate::model::{FileRole, Phase};
use crate::ops::at_bank::{self, Said};
use crate::ops::beside::Beside;
use crate::ops::carry::{self, CarriedIn};
use crate::ops::channel_settings::Matching;
use crate::ops::inputs::Inputs;
use crate::ops::rule_sets::{self, Followed};
use crate::ops::run::{Running, Stop};
use crate::ops::save::Findings;
use crate::payouts::{PayoutFact, facts_together};
use crate::store::channel_settings;
use crate::store::file::Model as StoredFile;
use crate::store::task::Model as Task;

/// How often the progress of the engine is written down.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// Compares the files. The engine's own work is one part of the phase, hashing its output the other.
pub async fn perform(running: &Running<'_>, files: &Inputs, by: Matching) -> Result<Findings, Stop> {
    let (task, conn) = (&running.task, running.app.context.db.read());
    let rules = match task.rule_set_version {
        Some(version) => Some(rule_sets::followed(conn, version).await?),
        None => None,
    };
    let carried = CarriedIn::of(conn, task, by.lookback_days).await?;
    let given = Given { files: files.clone(), rules, carried, by };
    let permit = running.app.engines.acquire().await.map_err(Error::internal)?;
    let stop = running.lease.cancelled().child_token();
    let guard = stop.clone().drop_guard();
    let done = Arc::new(AtomicU64::new(0));
    let work = {
        let (app, task, done) = (running.app.clone(), task.clone(), Arc::clone(&done));
        let span = tracing::Span::current();
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            span.in_scope(|| compare(&app, task, given, &done, &stop, &runtime))
        })
    };
    tokio::pin!(work);
    let findings = loop {
        tokio::select! {
            result = &mut work => break result.map_err(Error::internal)??,
            () = tokio::time::sleep(SHOW_EVERY) => {
                let hundredths = i32::try_from(done.load(Ordering::Relaxed)).unwrap_or(100);
                running.report(Phase::Matching, hundredths, None).await?;
            }
        }
    };
    drop((guard, permit));
    Ok(findings)
}

/// What a run compares, and how.
struct Given {
    files: Inputs,
    rules: Option<Followed>,
    carried: CarriedIn,
    by: Matching,
}

/// How the task's day is matched.
pub async fn matched_by(app: &Reconciliation, task: &Task) -> Result<Matching> {
    let timezone = carry::zone_name(task);
    let days = carry::days(task, &timezone);
    let settings = channel_settings::of(app.context.db.read(), days).await?;
    let day = formats::instants(&timezone, task.task_date)?;
    Matching::of(task.channel, settings.as_ref(), day)
}

fn compare(
    app: &Reconciliation,
    task: Task,
    Given { mut files, rules, mut carried, by }: Given,
    done: &AtomicU64,
    stop: &CancellationToken,
    runtime: &Handle,
) -> Result<Findings, Error> {
    let mut day = Day::open(app, &task, [&files.platform, &files.settlement], &by)?;
    let balance = files.summary.as_ref().map(|file| formats::balances(app, file)).transpose()?;
    day.settings.keep_matched = task.store_matched;
    day.settings.carried = Arc::new(std::mem::take(&mut carried.rows));
    if let Some(followed) = &rules {
        day.settings.tolerance = followed.rules.of_channel(task.channel.as_str());
    }
    let observer = Observer {
        progress: &|progress| done.store(hundredths(progress), Ordering::Relaxed),
        cancelled: &|| stop.is_cancelled(),
    };
    let mut outcome = day.reconcile(balance.as_ref(), observer)?;
    let mut payouts = outcome.payouts().to_vec();
    let (mut beside, mut deposits, mut payouts_are_stated) = (None, Vec::new(), false);
    if !files.bank.is_empty() {
        files.payouts.iter().try_for_each(|file| verify(app, file))?;
        let reports = PayoutReports::read(app, &files.payouts)?;
        payouts = facts_together(payouts.iter().chain(&reports.facts));
        payouts_are_stated = reports.are_stated;
        let conn = app.context.db.read();
        let own = payouts_are_stated.then_some(payouts.as_slice());
        let others = beside.insert(runtime.block_on(Beside::of(conn, &task, &by.payouts, own))?);
        let said = Said {
            own: outcome.payouts(),
            reported: &reports.facts,
            are_stated: reports.are_stated,
            beside: others,
        };
        let at_bank = at_bank::compare(app, &task, &files.bank, said, &by.payouts, runtime)?;
        (files.bank_reversals, deposits) = (at_bank.bank_reversals, at_bank.deposits);
        outcome.add_third_leg(at_bank.third_leg);
    }
    let open_payouts_hash = beside.map(|beside| beside.hash()).transpose()?;
    let certificate = certify(&task, (&files, rules, &carried, &by), open_payouts_hash.as_ref(), &outcome)?;
    let readings = vec![
        (files.platform.id, Inspection::of(&outcome.summary.platform)),
        (files.settlement.id, Inspection::of(&outcome.summary.channel)),
    ];
    let ids = |files: &[StoredFile]| files.iter().map(|file| file.id).collect();
    Ok(Findings {
        task,
        outcome,
        certificate,
        readings,
        carried,
        bank_files: ids(&files.bank),
        bank_reversal_files: ids(&files.bank_reversals),
        deposits,
        payouts,
        payouts_are_stated,
        open_payouts_hash,
    })
}

/// What the channel's reports of the day's payouts say.
struct PayoutReports {
    facts: Vec<PayoutFact>,
    /// Whether there is one: what the settlement file alone names is a payout of another day then.
    are_stated: bool,
}

impl PayoutReports {
    /// Reads them. One that cannot be read whole counts as missing.
    fn read(app: &Reconciliation, files: &[StoredFile]) -> Result<Self> {
        let mut reports = Self { facts: Vec::new(), are_stated: false };
        for file in files {
            let Some(facts) = formats::payout_facts(app, file)? else {
                tracing::warn!(file_no = file.file_no, "a report of payouts cannot be read whole");
                continue;
            };
            reports.facts.extend(facts);
            reports.are_stated = true;
        }
        Ok(reports)
    }
}

/// The two files of a task's day, open, and how the day is matched.
pub struct Day {
    /// What the engine is told. Carried rows and rules of tolerance are not in it yet, and matched rows are not kept.
    pub settings: Settings,
    platform: Opened,
    channel: Opened,
}

impl Day {
    /// Makes sure of the bytes of both files, ours first, and unpacks them. Both at once: hashing them takes about as long
    /// as comparing them.
    pub fn open(
        app: &Reconciliation,
        task: &Task,
        [platform, settlement]: [&StoredFile; 2],
        by: &Matching,
    ) -> Result<Self> {
        let (platform, channel) = std::thread::scope(|scope| {
            let platform = scope.spawn(|| Opened::open(app, platform, task));
            let channel = Opened::open(app, settlement, task);
            let platform = platform.join();
            (platform.map_err(|_| Error::internal("the thread that reads a file panicked")), channel)
        });
        let random = &app.context.random;
        let mut settings = Settings::new([random.next_u64(), random.next_u64()], app.files.scratch());
        settings.memory = app.options.engine_memory_bytes;
        settings.cut_off = Some(by.cut_off);
        settings.net_by_payment = by.net_by_payment;
        Ok(Self { settings, platform: platform??, channel: channel? })
    }

    /// Compares the files, as often as wanted.
    pub fn reconcile(&self, balance: Option<&StatedBalances>, observer: Observer<'_>) -> Result<Outcome> {
        engine::reconcile(&self.platform.input, &self.channel.input, balance, &self.settings, observer)
            .map_err(engine_error)
    }
}

/// A stored file as plain text, for as long as it is needed.
struct Opened {
    input: Input,
    _plain: PlainFile,
}

impl Opened {
    fn open(app: &Reconciliation, file: &StoredFile, task: &Task) -> Result<Self> {
        verify(app, file)?;
        let limits = Limits::default();
        let plain =
            spool(&app.files.path_of(file), &app.files.scratch(), &limits).map_err(formats::unreadable)?;
        let options = ReadOptions {
            limits,
            window: Some(formats::day_of(&task.subject(file.role))?),
            ..ReadOptions::default()
        };
        let input = Input {
            path: plain.path().to_owned(),
            damage: plain.damage.clone(),
            format: formats::format_of(file)?,
            options,
        };
        Ok(Self { input, _plain: plain })
    }
}

/// Makes sure that the bytes on disk are the ones that were taken in: the certificate speaks for them.
pub fn verify(app: &Reconciliation, file: &StoredFile) -> Result<()> {
    let source = match std::fs::File::open(app.files.path_of(file)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(error::stored_file_missing(file));
        }
        opened => opened.map_err(disk)?,
    };
    let found = CertifiedInput::read("", source).map_err(disk)?;
    if file.file_hash.as_ref() == Some(&found.sha256) {
        return Ok(());
    }
    Err(error::stored_file_changed(file)
        .with_internal(format!("expected {:?}, found {}", file.file_hash, found.sha256)))
}

fn certify(
    task: &Task,
    (files, rules, carried, by): (&Inputs, Option<Followed>, &CarriedIn, &Matching),
    beside_hash: Option<&String>,
    outcome: &Outcome,
) -> Result<Certificate> {
    let mut out = BufWriter::with_capacity(1 << 16, Hashed::new(sink()));
    serde_json::to_writer(&mut out, &outcome.summary).map_err(Error::internal)?;
    out.write_all(b"\n").map_err(Error::internal)?;
    let columns = outcome.columns();
    export::write_csv_header(&mut out, columns).map_err(Error::internal)?;
    outcome
        .for_each_difference(|difference| {
            export::write_csv_line(&mut out, difference, columns).map_err(EngineError::from)
        })
        .map_err(engine_error)?;
    for difference in outcome.payout_differences() {
        export::write_payout_csv_line(&mut out, &difference, columns).map_err(Error::internal)?;
    }
    let hashed = out.into_inner().map_err(|error| Error::internal(error.into_error()))?;
    let parameters = [
        ("channel", task.channel.as_str().to_owned()),
        ("date", task.task_date.to_string()),
        ("timezone", task.timezone.clone()),
    ];
    let mut parameters: Vec<_> =
        parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    parameters.extend(by.parameters.clone());
    let mut inputs = files.certified();
    if let Some(followed) = rules {
        inputs.push(followed.certified);
        parameters.push(("rule_set_version".to_owned(), followed.version.to_string()));
    }
    if let Some(input) = carried.certified() {
        inputs.push(input);
        parameters.push(("lookback_days".to_owned(), by.lookback_days.to_string()));
    }
    if let Some(others) = beside_hash {
        parameters.push(("payout_window".to_owned(), by.payouts.days_after.to_string()));
        parameters.push(("payout_words".to_owned(), by.payouts.words.join(",")));
        parameters.push(("payouts_of_other_days_sha256".to_owned(), others.clone()));
    }
    Ok(Certificate::new(inputs, parameters, hashed.finish().1))
}

impl Inputs {
    fn certified(&self) -> Vec<CertifiedInput> {
        let files = [Some(&self.platform), Some(&self.settlement), self.summary.as_ref()].into_iter();
        let certified = |file: &StoredFile, role: &str| CertifiedInput {
            role: role.to_owned(),
            bytes: file.file_size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
            sha256: file.file_hash.clone().unwrap_or_default(),
        };
        let by_role = |file: &StoredFile| {
            let role = match file.role {
                FileRole::Settlement => "channel",
                FileRole::BalanceSummary => "balance_summary",
                FileRole::Platform => "platform",
                FileRole::BankStatement => "bank",
                FileRole::Payouts => "payouts",
                FileRole::PayoutRows => "payout_rows",
            };
            certified(file, role)
        };
        let inputs = files.flatten().chain(&self.bank).chain(&self.payouts).map(by_role);
        inputs.chain(self.bank_reversals.iter().map(|file| certified(file, "bank_reversals"))).collect()
    }
}

fn hundredths(progress: Progress) -> u64 {
    let part = (progress.done * 50).checked_div(progress.total).unwrap_or(50).min(50);
    match progress.phase {
        engine::Phase::Reading => part,
        engine::Phase::Matching => 50 + part,
    }
}

/// A file or a disk that fails while the engine works may be well again at the next try.
pub fn engine_error(error: EngineError) -> Error {
    Error::unavailable(error, Duration::from_secs(5))
}
