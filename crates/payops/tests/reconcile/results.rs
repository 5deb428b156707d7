//! What is found and how it is shown and written.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use calamine::{Data, Range, Reader, Xlsx, open_workbook};

use crate::harness::Folder;

const ALL: &str = "reconcile --channel stripe --platform platform.csv --settlement settlement.csv";

#[test]
fn each_type_is_found_and_shown() {
    let folder = Folder::new();
    let ran = folder.run(&format!("{ALL} --summary balance_summary.csv --diffs diffs.csv"));
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    insta::assert_snapshot!("table", ran.stdout);
    insta::assert_snapshot!("differences", folder.read("diffs.csv"));
}

#[test]
fn the_table_speaks_chinese_where_the_environment_does() {
    let folder = Folder::new();
    let ran = folder.run_with(&format!("{ALL} --summary balance_summary.csv"), &[("LANG", "zh_CN.UTF-8")]);
    insta::assert_snapshot!("table_zh", ran.stdout);
    // The variables are asked in the order that POSIX gives them.
    let ran = folder.run_with(ALL, &[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C")]);
    assert!(ran.stdout.starts_with("Reconciliation"), "{}", ran.stdout);
}

#[test]
fn the_figures_are_json_for_machines() {
    let folder = Folder::new();
    let ran = folder.run(&format!("{ALL} --summary balance_summary.csv --json"));
    let summary: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(ran.stdout.lines().count(), 1);
    insta::assert_json_snapshot!("figures", summary);
}

#[test]
fn a_report_for_people_is_the_same_for_the_same_files() {
    let folder = Folder::new();
    for name in ["report.pdf", "report.xlsx"] {
        let make = |language: &str| {
            let ran = folder
                .run_with(&format!("{ALL} --report {name} --certificate c.json"), &[("LANG", language)]);
            assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{name}");
            fs::read(folder.path(name)).unwrap()
        };
        let chinese = make("zh_CN.UTF-8");
        assert!(chinese == make("zh_CN.UTF-8"), "{name}");
        assert!(chinese != make("en_US.UTF-8"), "{name}");
    }
    let mut book: Xlsx<_> = open_workbook(folder.path("report.xlsx")).unwrap();
    let cell = |sheet: &Range<Data>, row: usize, column: usize| {
        sheet.get((row, column)).cloned().unwrap_or_default()
    };
    let summary = book.worksheet_range("Summary").unwrap();
    let checks = summary.rows().find(|row| row[0].to_string().starts_with("Sum of all checks")).unwrap();
    assert_eq!(checks[1], Data::Float(0.0), "the rows give the totals, and the balances tie");
    let rows = book.worksheet_range("Differences").unwrap();
    assert_eq!(rows.height(), 1 + 7);
    assert_eq!(cell(&rows, 1, 0), Data::String("amount_diff".to_owned()));
    let certificate = book.worksheet_range("Certificate").unwrap();
    let stated: serde_json::Value = serde_json::from_str(&folder.read("c.json")).unwrap();
    let hash = stated["output_sha256"].as_str().unwrap();
    assert!(
        certificate.used_cells().any(|(_, _, value)| matches!(value, Data::String(text) if text == hash))
    );

    let pdf = lopdf::Document::load(folder.path("report.pdf")).unwrap();
    let pages: Vec<u32> = pdf.get_pages().into_keys().collect();
    let text = pdf.extract_text(&pages).unwrap();
    assert!(text.contains("Certificate") && text.contains(&hash[..20]), "{text}");
    assert_eq!(folder.others(), ["c.json", "report.pdf", "report.xlsx"]);
}

#[test]
fn a_report_that_cannot_be_finished_is_not_there() {
    let folder = Folder::new();
    folder.write("report.xlsx", "the one before");
    let ran = folder.run_with(&format!("{ALL} --report report.xlsx"), &[("TMPDIR", "/nowhere")]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("report.xlsx"), "{}", ran.stderr);
    assert_eq!(folder.read("report.xlsx"), "the one before");
    assert_eq!(folder.others(), ["report.xlsx"]);
}

#[test]
fn a_report_is_the_differences_or_everything() {
    let folder = Folder::new();
    let csv = folder.run(&format!("{ALL} --diffs diffs.csv --report report.csv"));
    let json = folder.run(&format!("{ALL} --report report.JSON --json"));
    assert_eq!((csv.code, json.code), (1, 1));
    assert_eq!(folder.read("report.csv"), folder.read("diffs.csv"));
    let report: serde_json::Value = serde_json::from_str(&folder.read("report.JSON")).unwrap();
    let figures: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(report["summary"], figures);
    let lines = folder.read("diffs.csv").lines().count() - 1;
    assert_eq!(report["differences"].as_array().unwrap().len(), lines);
    let first = &report["differences"][0];
    assert_eq!((&first["diff_type"], &first["platform_line"]), (&"amount_diff".into(), &6.into()));
    assert_eq!(folder.others(), ["diffs.csv", "report.JSON", "report.csv"]);
}

#[test]
fn rules_of_tolerance_book_what_they_allow_and_leave_what_is_unclear() {
    let folder = Folder::new();
    folder.write(
        "rules.toml",
        "[[tolerance]]\nname = \"a dollar\"\npriority = 1\nchannels = [\"stripe\"]\ncurrencies = [\"USD\"]\n\
         kinds = [\"payment\"]\nmax_amount = 100\n",
    );
    folder.edit("platform.csv", "ch_twice,900", "ch_twice,905");
    let ran =
        folder.run(&format!("{ALL} --rules rules.toml --diffs diffs.csv --certificate certificate.json"));
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    assert!(ran.stdout.contains("-1.00 USD (1: a dollar)"), "{}", ran.stdout);
    insta::assert_snapshot!("differences_with_tolerance", folder.read("diffs.csv"));
    assert!(folder.read("certificate.json").contains("\"rules\""));
    let json = folder.run(&format!("{ALL} --rules rules.toml --json"));
    let figures: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let booked = serde_json::json!({ "a dollar": { "USD": { "count": 1, "amount": -100 } } });
    assert_eq!(figures["adjustments"], booked);
    assert_eq!(figures["types"]["within_tolerance"]["count"], 1);
}

#[test]
fn the_same_inputs_give_the_same_bytes_and_the_certificate_says_so() {
    let folder = Folder::new();
    let runs = ["--threads 1 --memory 16MiB", "--threads 2", "--threads 8 --memory 4GiB"];
    let outputs = runs.map(|how| {
        let ran =
            folder.run(&format!("{ALL} --json --diffs d.csv --report r.json --certificate c.json {how}"));
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        (ran.stdout, folder.read("d.csv"), folder.read("r.json"), folder.read("c.json"))
    });
    assert!(outputs.iter().all(|output| *output == outputs[0]));
    let version = format!("\"engine_version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(outputs[0].3.contains(&version), "{}", outputs[0].3);
    insta::assert_snapshot!(
        "certificate",
        outputs[0].3.replace(&version, "\"engine_version\": \"[version]\"")
    );
    folder.edit("platform.csv", "PAY-01,ch_equal,5000", "PAY-01,ch_equal,5001");
    folder.run(&format!("{ALL} --certificate changed.json"));
    assert_ne!(folder.read("changed.json"), outputs[0].3);
}

#[test]
fn odd_texts_survive_the_way_into_the_differences() {
    let folder = Folder::new();
    let head = "payment_no,channel_trade_no,amount,currency,status,created_at,merchant_id\n";
    folder.write(
        "odd.csv",
        format!("{head}\"P \"\"1\"\", \n x\",支付-1,5,USD,\"Success\",t,m\nP2,ch_2,6,USD,success,t,m\n"),
    );
    let ran =
        folder.run("reconcile --channel stripe --platform odd.csv --settlement settlement.csv --diffs d.csv");
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let differences = folder.read("d.csv");
    let expected = "platform_only,payment,支付-1,\"P \"\"1\"\", \n x\",,5,,USD,,Success,,2,\n\
        platform_only,payment,ch_2,P2,,6,,USD,,success,,4,\n";
    assert!(differences.contains(expected), "{differences}");
}

#[test]
fn packed_files_are_read_as_they_come() {
    let folder = Folder::new();
    let packed = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, folder.read("settlement.csv").as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    folder.write("settlement.gz", &packed);
    let utf16: Vec<u8> = std::iter::once(0xFEFF_u16)
        .chain(folder.read("platform.csv").encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    folder.write("platform.utf16", utf16);
    let plain = folder.run(&format!("{ALL} --json --diffs d1.csv"));
    let odd = folder.run("reconcile --channel stripe --platform platform.utf16 --settlement settlement.gz --json --diffs d2.csv");
    assert_eq!((plain.code, plain.stdout), (odd.code, odd.stdout));
    assert_eq!(folder.read("d1.csv"), folder.read("d2.csv"));

    folder.write("cut.gz", &packed[..packed.len() / 2]);
    let (code, verdict, reasons) =
        folder.verdict("--channel stripe --platform platform.csv --settlement cut.gz");
    assert_eq!((code, verdict.as_str()), (1, "incomplete"));
    assert_eq!(reasons[0], "rejects");
}

#[test]
fn any_csv_is_read_through_a_mapping() {
    let folder = Folder::new();
    let statement =
        "Buchung;Referenz;Betrag;Waehrung;Status\n1;ch_1;10,00;USD;gebucht\n2;pi_2;20,00;USD;abgelehnt\n";
    folder.write("statement.csv", statement);
    let ran = folder.run(
        "reconcile --channel generic --mapping bank.toml --settlement statement.csv --platform agreeing_platform.csv --diffs d.csv",
    );
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let types: Vec<String> =
        folder.read("d.csv").lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect();
    assert_eq!(types, ["status_diff", "platform_only"]);
    // The platform's file may need a mapping as well.
    folder.write("ours.csv", statement);
    let ran = folder.run(
        "reconcile --channel generic --mapping bank.toml --settlement statement.csv --platform-mapping bank.toml --platform ours.csv",
    );
    assert_eq!(ran.code, 0, "{}", ran.stdout);
}

#[test]
fn one_day_is_asked_for_and_the_others_complete_its_pairs() {
    let folder = Folder::new();
    folder.edit("agreeing_platform.csv", "2026-03-02T08:00:00Z", "2026-03-01T23:59:59Z");
    folder.edit("agreeing_settlement.csv", "2026-03-02 10:00:00", "2026-03-03 00:00:01");
    let files = "reconcile --channel stripe --platform agreeing_platform.csv --settlement agreeing_settlement.csv \
        --summary agreeing_summary.csv";
    let ran = folder.run(&format!("{files} --date 2026-03-02"));
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stdout.contains("stripe, 2026-03-02 Etc/UTC"), "{}", ran.stdout);
    // In Shanghai, the payment of 23:59:59 UTC belongs to the second of March.
    let ran = folder.run(&format!("{files} --date 2026-03-02 --timezone Asia/Shanghai --json"));
    let summary: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(summary["platform"]["rows_outside_window"], 0);
    let (code, verdict, reasons) = folder.verdict(&files.replace("reconcile", "--date 2025-01-01"));
    assert_eq!(
        (code, verdict.as_str(), reasons.as_slice()),
        (1, "not_provable", &["nothing_on_the_day".to_owned()][..])
    );
}

#[test]
fn an_output_replaces_what_was_there_only_when_it_is_complete() {
    let folder = Folder::new();
    folder.write("d.csv", "old");
    let ran = folder
        .run("reconcile --channel stripe --platform platform.csv --settlement missing.csv --diffs d.csv");
    assert_eq!(ran.code, 3);
    assert_eq!(
        (folder.read("d.csv").as_str(), folder.others().as_slice()),
        ("old", &["d.csv".to_owned()][..])
    );
    let ran = folder.run(&format!("{ALL} --diffs d.csv"));
    assert_eq!(ran.code, 1);
    assert!(folder.read("d.csv").starts_with("diff_type,"));
    // As readable for others as any file the user makes.
    let mode = |name: &str| fs::metadata(folder.path(name)).unwrap().permissions().mode();
    assert_eq!(mode("d.csv"), mode("platform.csv"));
}
