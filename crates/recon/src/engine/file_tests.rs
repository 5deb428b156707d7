//! Whole runs over files: every row is found again with its text, runs stop when asked, and files that change
//! are noticed.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use payops_channels::Mapping;
use payops_channels::TimeReader;
use payops_channels::options::{ReadOptions, Window};
use payops_channels::read::{Format, read_rows};
use payops_channels::report::FileReport;
use payops_channels::row::{Position, Reject, Row, RowSink};
use payops_core::time::Zone;
use proptest::prelude::*;

use super::observer::Meter;
use super::side::{SideBuilder, SideRows, SideSettings};
use super::{
    DiffType, Difference, EngineError, Input, Observer, Outcome, Phase, Settings, Side, Summary, Verdict,
    export, reconcile, reconcile_by,
};

/// A row and its place, as text that can be compared.
fn written(position: Position, row: &Row<'_>) -> String {
    format!("{position:?} {row:?}")
}

#[derive(Default)]
struct Collected(Vec<String>);

impl RowSink for Collected {
    fn row(&mut self, position: Position, row: &Row<'_>) {
        self.0.push(written(position, row));
    }

    fn reject(&mut self, _: Reject) {}
}

fn input(path: &Path, format: Format) -> Input {
    Input { path: path.to_owned(), damage: Vec::new(), format, options: ReadOptions::default() }
}

fn settings(folder: &Path) -> Settings {
    Settings { memory: 1 << 24, keep_matched: true, ..Settings::new([3, 4], folder) }
}

/// Reconciles a file of ours with one of the channel's that has no row.
fn alone(folder: &Path, text: &[u8], format: Format) -> Outcome {
    let (ours, theirs) = (folder.join("ours"), folder.join("theirs"));
    fs::write(&ours, text).unwrap();
    fs::write(&theirs, "balance_transaction_id,currency,gross,fee,net,reporting_category,source_id\n")
        .unwrap();
    let channel = input(&theirs, Format::StripeItemized);
    reconcile(&input(&ours, format), &channel, None, &settings(folder), Observer::none()).unwrap()
}

fn platform_rows(outcome: &Outcome) -> Vec<String> {
    let mut rows = Vec::new();
    let take = |difference: &Difference<'_>| {
        let listed = difference.platform.as_ref().unwrap();
        rows.push(written(listed.position, &listed.row));
        Ok::<(), EngineError>(())
    };
    outcome.for_each_difference(take).unwrap();
    rows
}

/// Lines of a platform CSV, good and bad ones.
fn any_line() -> impl Strategy<Value = String> {
    let text = proptest::sample::select(vec!["P1", "P2", "P3", "\"P,4\"", "\"P\"\"5\n\"", "付款", "6\"", ""]);
    // Few rows are bad, so that blocks without a reject follow each other.
    let amount =
        prop_oneof![40 => Just("5"), 20 => Just("-7"), 1 => Just("x"), 1 => Just("9999999999999999999")];
    let status = prop_oneof![30 => Just("success"), 30 => Just("FAILED"), 1 => Just("paid")];
    let row = (text, 0_u16..300, amount, status).prop_map(|(no, id, amount, status)| {
        format!("{no},ch_{id},{amount},USD,{status},2026-01-01T00:00:00Z,M")
    });
    let odd = proptest::sample::select(vec![
        "",
        " ",
        "\"never closed,ch_1,5",
        "a,b",
        "\0",
        "\"x\"y,ch_1,5,USD,success,,",
    ]);
    // A quote that is never closed may seem to be, once other rows than those of the file follow it.
    prop_oneof![40 => row, 1 => odd.prop_map(str::to_owned), 1 => Just("\"open,ch_1,5,USD".to_owned())]
}

/// Lines of a platform feed, good and bad ones.
fn any_feed_line() -> impl Strategy<Value = String> {
    let amount = prop_oneof![40 => Just("5"), 20 => Just("-7"), 1 => Just("1.5"), 1 => Just("\"x\""), 1 => Just("null")];
    let row = (0_u16..300, amount).prop_map(|(id, amount)| {
        format!("{{\"payment_no\":\"P\\\"{id}\",\"channel_trade_no\":\"ch_{id}\",\"amount\":{amount},\"currency\":\"USD\",\"status\":\"success\",\"created_at\":\"t\",\"merchant_id\":\"M\"}}")
    });
    prop_oneof![40 => row, 1 => proptest::sample::select(vec!["", "{", "[]", "{\"x\":\0}"]).prop_map(str::to_owned)]
}

fn assert_found_again(text: &str, format: &Format, dice: &[u8]) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = Collected::default();
    let options = ReadOptions::default();
    let report = read_rows(text.as_bytes(), format, &options, &mut expected);
    let outcome = alone(folder.path(), text.as_bytes(), format.clone());
    prop_assert_eq!(platform_rows(&outcome), &*expected.0);
    prop_assert_eq!(outcome.summary.platform.rows, report.rows);
    prop_assert_eq!(outcome.summary.platform.rejects.count, report.rejects);

    // Some rows here and there, so that the reader is fed pieces of the file that do not belong together.
    let listed: Vec<u64> = outcome.listed.refs.iter().filter_map(|one| one.platform()).collect();
    let is_wanted = |place: &usize| dice[place % dice.len()] == 0;
    let wanted: Vec<u64> = (0..listed.len()).filter(is_wanted).map(|place| listed[place]).collect();
    let texts = outcome.listed.platform.fetch(&wanted).unwrap();
    let found =
        wanted.iter().map(|ordinal| texts.get(*ordinal).map(|(position, row)| written(position, &row)));
    let expected = (0..listed.len()).filter(is_wanted).map(|place| Some(expected.0[place].clone()));
    prop_assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    Ok(())
}

fn any_dice() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0_u8..12, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_row_of_a_csv_is_found_again(
        lines in proptest::collection::vec(any_line(), 0..300),
        crlf: bool,
        dice in any_dice(),
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let header = "payment_no,channel_trade_no,amount,currency,status,created_at,merchant_id";
        let text = std::iter::once(header.to_owned()).chain(lines).collect::<Vec<_>>().join(end);
        assert_found_again(&text, &Format::PlatformCsv, &dice)?;
    }

    #[test]
    fn every_row_of_a_feed_is_found_again(
        lines in proptest::collection::vec(any_feed_line(), 0..300),
        dice in any_dice(),
    ) {
        let trailer = "{\"trailer\":{\"count\":1,\"sums\":{\"USD\":1}}}".to_owned();
        let text = lines.into_iter().chain([trailer]).collect::<Vec<_>>().join("\n");
        assert_found_again(&text, &Format::PlatformNdjson, &dice)?;
    }
}

/// Reads each file by the plain reader, on one thread and from its beginning to its end.
#[expect(clippy::unnecessary_wraps, reason = "it stands in for a function that can fail")]
fn read_plainly(
    inputs: [(&Input, &fs::File); 2],
    settings: &SideSettings<'_>,
    _: usize,
    _: &Meter<'_>,
) -> Result<[(SideRows, FileReport); 2], EngineError> {
    let read = |side: Side| {
        let (input, file) = inputs[side as usize];
        let builder = SideBuilder::new(side, settings, TimeReader::default());
        let mut writer = builder.writer();
        let report = read_rows(file, &input.format, &input.options, &mut writer);
        writer.end_part(0);
        let notes = writer.finish().unwrap();
        (builder.finish(vec![notes], &input.damage).unwrap(), report)
    };
    Ok([read(Side::Platform), read(Side::Channel)])
}

/// Everything that a run gives out.
fn written_out(outcome: &Outcome) -> (Summary, String) {
    let mut lines = Vec::new();
    let take = |difference: &Difference<'_>| {
        export::write_csv_line(&mut lines, difference, export::Columns::Usual).unwrap();
        lines.extend(format!("{difference:?}\n").into_bytes());
        Ok::<(), EngineError>(())
    };
    outcome.for_each_difference(take).unwrap();
    (outcome.summary.clone(), String::from_utf8_lossy(&lines).into_owned())
}

/// Lines of an itemised report, good and bad ones.
fn any_itemized_line() -> impl Strategy<Value = String> {
    let money = proptest::sample::select(vec![
        "5.00,0,5.00",
        "-7.00,0.00,-7.00",
        "5,0,5",
        "1234567.89,0.01,1234567.88",
        "99999999.99,0,99999999.99",
        "5.00,0.0045,4.9955",
        "5.00,1.00,5.00",
        " 5.00 ,,5.00",
        "+5.00,0,5.00",
        "1e2,0,1e2",
        "5.001,0,5.00",
        "99999999999999999999,0,1",
        ",,",
    ]);
    let category = proptest::sample::select(vec![
        "charge",
        "charge",
        "refund",
        "CHARGE",
        "fee",
        "payout",
        "partial_capture_reversal",
        "tip",
        "",
    ]);
    let id = prop_oneof![
        20 => (0_u16..60).prop_map(|id| format!("ch_{id}")),
        1 => Just("\"ch_1\"".to_owned()), 1 => Just("ch_é".to_owned()), 1 => Just(String::new()),
        1 => Just("ch_".repeat(200)),
    ];
    let end = prop_oneof![30 => Just(""), 1 => Just("\r"), 1 => Just("\n"), 1 => Just(","), 1 => Just("\"")];
    let currency = proptest::sample::select(vec!["usd", "usd", "usd", "JPY", "kwd", "us$", ""]);
    let charge = prop_oneof![1 => Just(String::new()), 1 => (0_u16..60).prop_map(|id| format!("ch_{id}"))];
    (money, category, (id, charge), currency, end).prop_map(
        |(money, category, (id, charge), currency, end)| {
            format!("txn,{currency},{money},{category},{id},{charge},pi_1,po_1,2026-01-30 10:00:00{end}")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn all_threads_find_what_the_plain_reader_finds(
        ours in proptest::collection::vec(any_line(), 0..60),
        theirs in proptest::collection::vec(any_itemized_line(), 0..60),
        (crlf, marked, day) in any::<(bool, bool, bool)>(),
        part_bytes in prop_oneof![40_usize..400, Just(1 << 16)],
        threads in 1_usize..4,
        seed: [u64; 2],
    ) {
        let (end, mark) = (if crlf { "\r\n" } else { "\n" }, if marked { "\u{feff}" } else { "" });
        let text = |header: &str, lines: Vec<String>| {
            mark.to_owned() + &std::iter::once(header.to_owned()).chain(lines).collect::<Vec<_>>().join(end)
        };
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str, text: String| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let ours = place(
            "ours",
            text("payment_no,channel_trade_no,amount,currency,status,created_at,merchant_id", ours),
        );
        let theirs = place(
            "theirs",
            text(
                "balance_transaction_id,currency,gross,fee,net,reporting_category,source_id,charge_id,payment_intent_id,\
                 automatic_payout_id,created",
                theirs,
            ),
        );
        let window = day.then(|| Window { zone: Zone::utc(), day: "2026-01-01".parse().unwrap() });
        let options = ReadOptions { window, chunk_bytes: part_bytes, ..ReadOptions::default() };
        let input = |path: &Path, format| Input { options: options.clone(), ..input(path, format) };
        let inputs = [&input(&ours, Format::PlatformCsv), &input(&theirs, Format::StripeItemized)];
        let settings = Settings { threads, seed, ..settings(folder.path()) };
        let shared = reconcile(inputs[0], inputs[1], None, &settings, Observer::none()).unwrap();
        let plain = reconcile_by(read_plainly, inputs, None, &settings, Observer::none()).unwrap();
        let (shared, plain) = (written_out(&shared), written_out(&plain));
        prop_assert_eq!(shared.0, plain.0);
        prop_assert_eq!(shared.1, plain.1);
    }
}

/// A platform CSV of `rows` rows.
fn many_rows(rows: u32) -> String {
    let header = "payment_no,channel_trade_no,amount,currency,status,created_at,merchant_id\n";
    let row = |number: u32| format!("PAY{number},ch_{number},{number},USD,success,2026-01-01T00:00:00Z,M\n");
    std::iter::once(header.to_owned()).chain((0..rows).map(row)).collect()
}

#[test]
fn batches_cover_everything_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = alone(folder.path(), many_rows(70_000).as_bytes(), Format::PlatformCsv);
    assert_eq!((outcome.listed(), outcome.summary.verdict), (70_000, Verdict::Differences));
    let mut reader = outcome.differences();
    let mut next = 0;
    while let Some(batch) = reader.next_batch().unwrap() {
        assert_eq!(batch.first_index(), next);
        assert!(!batch.is_empty());
        for difference in batch.iter() {
            assert_eq!(difference.diff_type, DiffType::PlatformOnly);
            assert_eq!(difference.payment_no(), format!("PAY{next}").as_bytes());
            assert_eq!(difference.platform.unwrap().position.line, next + 2);
            next += 1;
        }
    }
    assert_eq!(next, 70_000);
}

#[test]
fn figures_survive_the_way_through_json() {
    let folder = tempfile::tempdir().unwrap();
    let summary = alone(folder.path(), many_rows(10).as_bytes(), Format::PlatformCsv).summary;
    let text = serde_json::to_string(&summary).unwrap();
    assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary);
    assert_eq!(serde_json::to_value(&summary).unwrap()["types"]["platform_only"]["count"], 10);
}

#[test]
fn a_run_stops_when_asked_in_either_phase() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    fs::write(&path, many_rows(50_000)).unwrap();
    let (ours, theirs) =
        (input(&path, Format::PlatformCsv), input(&path, Format::Mapped(Mapping::platform())));
    for stop_in in [Phase::Reading, Phase::Matching] {
        let reached = Mutex::new(Phase::Reading);
        let observer = Observer {
            progress: &|progress| *reached.lock().unwrap() = progress.phase,
            cancelled: &|| *reached.lock().unwrap() >= stop_in,
        };
        let outcome = reconcile(&ours, &theirs, None, &settings(folder.path()), observer);
        assert!(matches!(outcome, Err(EngineError::Cancelled)), "{stop_in:?}");
    }
}

#[test]
fn progress_ends_with_everything_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    fs::write(&path, many_rows(50_000)).unwrap();
    let (ours, theirs) =
        (input(&path, Format::PlatformCsv), input(&path, Format::Mapped(Mapping::platform())));
    let furthest = [AtomicU64::new(0), AtomicU64::new(0)];
    let observer = Observer {
        progress: &|progress| {
            assert!(progress.done <= progress.total);
            let hundredths = progress.done * 100 / progress.total;
            furthest[progress.phase as usize].fetch_max(hundredths, Ordering::SeqCst);
        },
        cancelled: &|| false,
    };
    let outcome = reconcile(&ours, &theirs, None, &settings(folder.path()), observer).unwrap();
    assert_eq!(outcome.summary.verdict, Verdict::Reconciled);
    assert_eq!(furthest.map(AtomicU64::into_inner), [100, 100]);
}

#[test]
fn files_that_are_away_or_change_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = alone(folder.path(), many_rows(100).as_bytes(), Format::PlatformCsv);
    // Cut short, or of the same length with other figures: in both cases no row is made up of two files.
    for text in ["cut".to_owned(), many_rows(100).replace("USD", "EUR")] {
        fs::write(folder.path().join("ours"), text).unwrap();
        let error = outcome.differences().next_batch().unwrap_err();
        assert!(matches!(error, EngineError::InputChanged { side: Side::Platform }), "{error}");
    }

    let missing = input(&folder.path().join("missing"), Format::PlatformCsv);
    let error = reconcile(&missing, &missing, None, &settings(folder.path()), Observer::none()).unwrap_err();
    assert!(matches!(error, EngineError::Input { side: Side::Platform, .. }), "{error}");
    let as_folder = input(folder.path(), Format::PlatformCsv);
    let error =
        reconcile(&as_folder, &as_folder, None, &settings(folder.path()), Observer::none()).unwrap_err();
    assert!(matches!(error, EngineError::Input { .. }), "{error}");
}

#[test]
fn no_room_for_temporary_files_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    fs::write(&path, many_rows(300_000)).unwrap();
    let both = input(&path, Format::PlatformCsv);
    let settings = Settings { temp_dir: folder.path().join("missing"), ..settings(folder.path()) };
    let error = reconcile(&both, &both, None, &settings, Observer::none()).unwrap_err();
    assert!(matches!(error, EngineError::Temporary(_)), "{error}");
}
