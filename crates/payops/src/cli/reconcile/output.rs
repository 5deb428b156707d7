//! The files that the command writes. Each appears under its name only when it is complete.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use payops_recon::engine::{Certificate, CertifiedInput, EngineError, Hashed, Outcome, export};
use payops_recon::report::{Cover, Line, Paper, PaperReport, Words, exponents};
use tempfile::NamedTempFile;

use super::{Failure, ReconcileArgs, engine_failure};

/// How a report in every form is asked for.
const FORMATS: &str = ".pdf, .xlsx, .csv or .json";
const FORMATS_ZH: &str = ".pdf、.xlsx、.csv 或 .json";

/// The outputs asked for, opened before the work begins so that a bad name costs no time.
pub(super) struct Outputs {
    diffs: Option<NewFile>,
    report: Option<(NewFile, ReportFormat)>,
    certificate: Option<NewFile>,
    /// The files that a certificate names, as they were before any was read. One that cannot be looked at cannot be read either.
    before: Vec<Option<Stamp>>,
}

/// What tells a file under a name from another one that took its place, and from itself when it was written to.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReportFormat {
    Csv,
    Json,
    Paper(Paper),
}

impl ReportFormat {
    fn of(path: &Path) -> Result<Self, Failure> {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        match extension.as_deref() {
            Some("csv") => Ok(Self::Csv),
            Some("json") => Ok(Self::Json),
            Some("pdf") => Ok(Self::Paper(Paper::Pdf)),
            Some("xlsx") => Ok(Self::Paper(Paper::Xlsx)),
            _ => Err(Failure::usage(
                format!(
                    "--report: '{}' does not say its format; its name must end in {FORMATS}",
                    path.display()
                ),
                format!("--report：'{}' 未说明格式，文件名须以 {FORMATS_ZH} 结尾", path.display()),
            )),
        }
    }
}

impl Outputs {
    pub(super) fn open(args: &ReconcileArgs) -> Result<Self, Failure> {
        let report_format = args.report.as_deref().map(ReportFormat::of).transpose()?;
        check_apart(args)?;
        let open = |path: &Option<PathBuf>| path.as_deref().map(NewFile::create).transpose();
        Ok(Self {
            diffs: open(&args.diffs)?,
            report: open(&args.report)?.zip(report_format),
            certificate: open(&args.certificate)?,
            before: certified_files(args)
                .map(|(_, path)| fs::metadata(path).ok().map(|metadata| Stamp::of(&metadata)))
                .collect(),
        })
    }

    /// Writes everything that was asked for, then puts the files under their names.
    pub(super) fn write(
        mut self,
        args: &ReconcileArgs,
        outcome: &Outcome,
        words: Words,
    ) -> Result<(), Failure> {
        if self.diffs.is_none() && self.report.is_none() && self.certificate.is_none() {
            return Ok(());
        }
        let cover = cover(args, outcome, words);
        let mut paper = self.begin_paper(&cover)?;
        let hash = self.write_differences(args, outcome, paper.as_mut())?;
        if self.certificate.is_some() || paper.is_some() {
            let stated = certify(args, &self.before, hash)?;
            self.write_certificate(&stated)?;
            if let (Some(paper), Some((file, _))) = (paper, &mut self.report) {
                // Integers and texts always become JSON.
                let stated = serde_json::to_value(&stated).unwrap_or_default();
                let finished = paper.finish(&stated, &mut file.out);
                finished.map_err(|error| file.failure(&error))?;
            }
        }
        let report = self.report.map(|(file, _)| file);
        [self.diffs, report, self.certificate].into_iter().flatten().try_for_each(NewFile::keep)
    }

    fn begin_paper<'a>(&self, cover: &'a Cover) -> Result<Option<PaperReport<'a>>, Failure> {
        let Some((file, ReportFormat::Paper(paper))) = &self.report else { return Ok(None) };
        let begun = PaperReport::begin(*paper, cover, &std::env::temp_dir());
        begun.map(Some).map_err(|error| file.failure(&error))
    }

    fn write_certificate(&mut self, stated: &Certificate) -> Result<(), Failure> {
        let Some(certificate) = &mut self.certificate else { return Ok(()) };
        let written = serde_json::to_writer_pretty(&mut certificate.out, stated).map_err(io::Error::from);
        written.and_then(|()| certificate.out.write_all(b"\n")).map_err(|error| certificate.failure(&error))
    }

    /// Streams the differences once into every output that wants them; returns the hash of the output.
    fn write_differences(
        &mut self,
        args: &ReconcileArgs,
        outcome: &Outcome,
        mut paper: Option<&mut PaperReport<'_>>,
    ) -> Result<String, Failure> {
        let mut hash = Hashed::new(io::sink());
        // Nothing written to a hash can fail.
        let summary = serde_json::to_vec(&outcome.summary).unwrap_or_default();
        let _ = hash.write_all(&summary).and_then(|()| hash.write_all(b"\n"));
        let mut line = Vec::new();
        let columns = outcome.columns();
        let _ = export::write_csv_header(&mut line, columns);
        self.give_out(&line, None, &mut hash)?;
        if let Some((file, ReportFormat::Json)) = &mut self.report {
            let begun = write!(file.out, "{{\"summary\":").and_then(|()| file.out.write_all(&summary));
            begun
                .and_then(|()| write!(file.out, ",\"differences\":["))
                .map_err(|error| file.failure(&error))?;
        }
        let mut index = 0_u64;
        outcome
            .for_each_difference(|difference| {
                line.clear();
                let _ = export::write_csv_line(&mut line, difference, columns);
                let object = |out: &mut dyn Write| export::write_json_object(out, difference);
                self.give_out(&line, Some((&object, index)), &mut hash)?;
                self.add_row(paper.as_deref_mut(), &Line::from(difference))?;
                index += 1;
                Ok::<(), Stop>(())
            })
            .map_err(|stop| match stop {
                Stop::Engine(error) => engine_failure(args, &error),
                Stop::Output(failure) => failure,
            })?;
        for difference in outcome.payout_differences() {
            line.clear();
            let _ = export::write_payout_csv_line(&mut line, &difference, columns);
            let object = |out: &mut dyn Write| export::write_payout_json_object(out, &difference);
            self.give_out(&line, Some((&object, index)), &mut hash)?;
            self.add_row(paper.as_deref_mut(), &Line::from(&difference))?;
            index += 1;
        }
        if let Some((file, ReportFormat::Json)) = &mut self.report {
            file.out.write_all(b"]}\n").map_err(|error| file.failure(&error))?;
        }
        Ok(hash.finish().1)
    }

    fn add_row(&self, paper: Option<&mut PaperReport<'_>>, line: &Line<'_>) -> Result<(), Failure> {
        let (Some(paper), Some((file, _))) = (paper, &self.report) else { return Ok(()) };
        paper.row(line).map_err(|error| file.failure(&error))
    }

    /// Gives one line to every output that wants it; of a difference also the JSON object, with its number.
    fn give_out(
        &mut self,
        line: &[u8],
        difference: Option<(WriteObject<'_>, u64)>,
        hash: &mut Hashed<io::Sink>,
    ) -> Result<(), Failure> {
        if self.certificate.is_some() || matches!(self.report, Some((_, ReportFormat::Paper(_)))) {
            let _ = hash.write_all(line);
        }
        if let Some(file) = &mut self.diffs {
            file.out.write_all(line).map_err(|error| file.failure(&error))?;
        }
        match (&mut self.report, difference) {
            (Some((file, ReportFormat::Csv)), _) => {
                file.out.write_all(line).map_err(|error| file.failure(&error))
            }
            (Some((file, ReportFormat::Json)), Some((write_object, index))) => {
                let comma: &[u8] = if index > 0 { b",\n" } else { b"\n" };
                let begun = file.out.write_all(comma);
                begun.and_then(|()| write_object(&mut file.out)).map_err(|error| file.failure(&error))
            }
            _ => Ok(()),
        }
    }
}

/// Writes a difference as a JSON object.
type WriteObject<'a> = &'a dyn Fn(&mut dyn Write) -> io::Result<()>;

/// Why the streaming of differences ended early.
enum Stop {
    Engine(EngineError),
    Output(Failure),
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Output(failure)
    }
}

/// No output may take the place of an input or of another output.
fn check_apart(args: &ReconcileArgs) -> Result<(), Failure> {
    let inputs = [
        ("--platform", Some(&args.platform)),
        ("--settlement", Some(&args.settlement)),
        ("--summary", args.summary.as_ref()),
        ("--payouts", args.payouts.as_ref()),
        ("--payout-rows", args.payout_rows.as_ref()),
        ("--mapping", args.mapping.as_ref()),
        ("--platform-mapping", args.platform_mapping.as_ref()),
        ("--rules", args.rules.as_ref()),
    ];
    let outputs = [
        ("--diffs", args.diffs.as_ref()),
        ("--report", args.report.as_ref()),
        ("--certificate", args.certificate.as_ref()),
    ];
    let named = |files: &[(&'static str, Option<&PathBuf>)]| -> Vec<(&'static str, PathBuf)> {
        let there = files.iter().filter_map(|(flag, path)| Some((*flag, (*path)?)));
        there.map(|(flag, path)| (flag, resolved(path))).collect()
    };
    let outputs = named(&outputs);
    let mut inputs = named(&inputs);
    inputs.extend(args.bank.iter().map(|path| ("--bank", resolved(path))));
    for (index, (flag, path)) in outputs.iter().enumerate() {
        let others = inputs.iter().chain(&outputs[..index]);
        if let Some((other, _)) = others.into_iter().find(|(_, other)| other == path && !is_device(path)) {
            return Err(Failure::usage(
                format!("{flag} and {other} name the same file: {}", path.display()),
                format!("{flag} 与 {other} 是同一个文件：{}", path.display()),
            ));
        }
    }
    Ok(())
}

/// The path with every link followed, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match (fs::canonicalize(folder), path.file_name()) {
            (Ok(folder), Some(name)) => folder.join(name),
            _ => path.to_owned(),
        }
    })
}

/// Whether the path is there and is neither a file nor a folder, so that it is written to and not replaced.
fn is_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

/// A file that is written under a temporary name beside its own.
struct NewFile {
    path: PathBuf,
    out: BufWriter<Target>,
}

enum Target {
    Temporary(NamedTempFile),
    Device(File),
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Temporary(file) => file.write(bytes),
            Self::Device(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Temporary(file) => file.flush(),
            Self::Device(file) => file.flush(),
        }
    }
}

impl NewFile {
    fn create(path: &Path) -> Result<Self, Failure> {
        let failure = |error: io::Error| Failure::of(path, error);
        let target = if is_device(path) {
            Target::Device(File::options().write(true).open(path).map_err(failure)?)
        } else if path.is_dir() {
            return Err(Failure::file(path, "is a folder", "是一个目录"));
        } else {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(".");
            let mut builder = tempfile::Builder::new();
            builder.prefix(&name).suffix(".partial").permissions(Permissions::from_mode(0o666));
            let folder = folder_of(path);
            if !folder.is_dir() {
                return Err(Failure::file(
                    path,
                    &format!("there is no folder {}; make it first", folder.display()),
                    &format!("目录 {} 不存在，请先创建", folder.display()),
                ));
            }
            Target::Temporary(builder.tempfile_in(folder).map_err(failure)?)
        };
        Ok(Self { path: path.to_owned(), out: BufWriter::with_capacity(256 << 10, target) })
    }

    /// Makes what was written durable and gives it its name.
    fn keep(self) -> Result<(), Failure> {
        let path = self.path;
        let kept =
            self.out.into_inner().map_err(io::IntoInnerError::into_error).and_then(|target| match target {
                Target::Device(_) => Ok(()),
                Target::Temporary(file) => {
                    file.as_file().sync_all()?;
                    file.persist(&path)?;
                    File::open(folder_of(&path))?.sync_all()
                }
            });
        kept.map_err(|error| Failure::of(&path, error))
    }

    fn failure(&self, error: &io::Error) -> Failure {
        Failure::of(&self.path, error)
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The files that were compared, by what they are.
fn files(args: &ReconcileArgs) -> Vec<(&'static str, &PathBuf)> {
    let mut files = vec![("platform", &args.platform), ("channel", &args.settlement)];
    files.extend(args.summary.iter().map(|path| ("balance_summary", path)));
    files.extend(args.bank.iter().map(|path| ("bank", path)));
    files.extend(args.payouts.iter().map(|path| ("payouts", path)));
    files.extend(args.payout_rows.iter().map(|path| ("payout_rows", path)));
    files
}

/// What a report for people says besides the rows.
fn cover(args: &ReconcileArgs, outcome: &Outcome, words: Words) -> Cover {
    let files = files(args).into_iter().map(|(role, path)| {
        let name = path.file_name().unwrap_or(path.as_os_str());
        (role.to_owned(), name.to_string_lossy().into_owned())
    });
    let zone = args.timezone.as_ref().map_or("Etc/UTC", |zone| zone.name());
    let channel = args.channel.as_str();
    Cover {
        words,
        exponents: exponents(channel),
        task_no: None,
        channel: channel.to_owned(),
        account: String::new(),
        day: args.date.map(|date| (date, zone.to_owned())),
        run_no: None,
        completed_at: None,
        files: files.collect(),
        summary: outcome.summary.clone(),
        work: Vec::new(),
        rest: words
            .pick(
                "All of them are in a workbook (--report) or CSV (--diffs).",
                "全部明细见工作簿（--report）或 CSV（--diffs）。",
            )
            .to_owned(),
    }
}

/// The files that were compared, and those that say how.
fn certified_files(args: &ReconcileArgs) -> impl Iterator<Item = (&'static str, &PathBuf)> {
    let others = [
        ("mapping", args.mapping.as_ref()),
        ("platform_mapping", args.platform_mapping.as_ref()),
        ("rules", args.rules.as_ref()),
    ];
    files(args).into_iter().chain(others.into_iter().filter_map(|(role, path)| Some((role, path?))))
}

/// The hash of a file, unless it is not the one that was there before or is written to.
fn hashed(role: &str, path: &Path, before: Option<&Stamp>) -> io::Result<CertifiedInput> {
    let mut file = File::open(path)?;
    let input = CertifiedInput::read(role, &mut file)?;
    if before != Some(&Stamp::of(&file.metadata()?)) {
        return Err(io::Error::other("the file changed while it was being reconciled"));
    }
    Ok(input)
}

fn certify(
    args: &ReconcileArgs,
    before: &[Option<Stamp>],
    output_sha256: String,
) -> Result<Certificate, Failure> {
    let mut inputs = Vec::new();
    for ((role, path), before) in certified_files(args).zip(before) {
        let hashed = hashed(role, path, before.as_ref());
        inputs.push(hashed.map_err(|error| Failure::of(path, error))?);
    }
    let mut parameters = vec![("channel".to_owned(), args.channel.as_str().to_owned())];
    if let Some(date) = args.date {
        let zone = args.timezone.as_ref().map_or("Etc/UTC", |zone| zone.name());
        parameters.push(("date".to_owned(), date.to_string()));
        parameters.push(("timezone".to_owned(), zone.to_owned()));
    }
    if let Some(cut_off) = &args.cut_off {
        parameters.push(("cut_off".to_owned(), cut_off.to_string()));
    }
    if args.net_by_payment {
        parameters.push(("net_by_payment".to_owned(), "true".to_owned()));
    }
    if !args.bank.is_empty() {
        let rules = super::payout_rules(args);
        parameters.push(("payout_window".to_owned(), rules.days_after.to_string()));
        parameters.push(("payout_words".to_owned(), rules.words.join(",")));
    }
    Ok(Certificate::new(inputs, parameters, output_sha256))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_took_the_place_of_another_is_not_certified() {
        let folder = tempfile::tempdir().unwrap();
        let [compared, other] = ["compared.csv", "other.csv"].map(|name| folder.path().join(name));
        fs::write(&compared, "id\n").unwrap();
        let before = Stamp::of(&fs::metadata(&compared).unwrap());
        assert_eq!(hashed("channel", &compared, Some(&before)).unwrap().bytes, 3);
        fs::write(&other, "ID\n").unwrap();
        fs::rename(&other, &compared).unwrap();
        let error = hashed("channel", &compared, Some(&before)).unwrap_err();
        assert_eq!(error.to_string(), "the file changed while it was being reconciled");
    }
}
