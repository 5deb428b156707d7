//! The verdict is honest: what is missing or broken never passes for reconciled.

use crate::harness::Folder;

const FILES: &str = "--channel stripe --settlement agreeing_settlement.csv";
const CSV: &str = "--platform agreeing_platform.csv";
const FEED: &str = "--platform agreeing_feed.ndjson";
const SUMMARY: &str = "--summary agreeing_summary.csv";

/// The verdict after the fixture `file` has `from` replaced by `to`.
fn after(file: &str, from: &str, to: &str, arguments: &[&str]) -> (i32, String, Vec<String>) {
    let folder = Folder::new();
    folder.edit(file, from, to);
    folder.verdict(&format!("{FILES} {}", arguments.join(" ")))
}

fn expect(actual: &(i32, String, Vec<String>), verdict: &str, reasons: &[&str]) {
    let code = i32::from(verdict != "reconciled");
    let reasons = reasons.iter().map(|&reason| reason.to_owned()).collect();
    assert_eq!(*actual, (code, verdict.to_owned(), reasons));
}

#[test]
fn everything_agrees_and_is_proven() {
    let folder = Folder::new();
    for platform in [CSV, FEED] {
        expect(&folder.verdict(&format!("{FILES} {platform} {SUMMARY}")), "reconciled", &[]);
    }
}

#[test]
fn without_a_balance_summary_an_itemised_report_is_not_proven() {
    expect(&Folder::new().verdict(&format!("{FILES} {CSV}")), "not_provable", &["summary_missing"]);
}

#[test]
fn a_broken_summary_is_incomplete() {
    let broken = |from, to| after("agreeing_summary.csv", from, to, &[CSV, SUMMARY]);
    // It contradicts the rows; it contradicts itself; it leaves something out; it cannot be read in places.
    expect(&broken("Activity,23.53", "Activity,23.54"), "incomplete", &["tie_broken"]);
    expect(&broken("Ending balance,4.53", "Ending balance,4.54"), "incomplete", &["tie_broken"]);
    let left_out = broken("payouts,Payouts,-20.00,usd\n", "");
    expect(&left_out, "incomplete", &["summary_rejects", "tie_broken"]);
    expect(&broken("1.00,usd", "1.005,usd"), "incomplete", &["summary_rejects", "tie_broken"]);
}

#[test]
fn a_row_that_the_summary_knows_and_the_report_lacks_is_seen() {
    let cut = "txn_2,2026-03-02 09:00:00,usd,20.00,0.88,19.12,charge,ch_2,ch_2,pi_2\n";
    let verdict = after("agreeing_settlement.csv", cut, "", &[CSV, SUMMARY]);
    expect(&verdict, "incomplete", &["tie_broken", "differences"]);
}

#[test]
fn a_mapped_file_without_the_totals_that_its_mapping_speaks_of_is_not_proven() {
    let folder = Folder::new();
    let mapping = folder.read("bank.toml");
    folder.write("bank.toml", format!("{mapping}\n[proof]\nmarker = \"SUMME\"\ncount_field = 2\n"));
    let rows =
        "Buchung;Referenz;Betrag;Waehrung;Status\n1;ch_1;10,00;USD;gebucht\n2;pi_2;20,00;USD;gebucht\n";
    for (name, totals) in [("whole.csv", "SUMME;2;;;\n"), ("ours.csv", "SUMME;2;;;\n"), ("cut.csv", "")] {
        folder.write(name, format!("{rows}{totals}"));
    }
    let verdict = |theirs: &str, ours: &str| {
        folder.verdict(&format!(
            "--channel generic --mapping bank.toml --settlement {theirs} --platform-mapping bank.toml --platform {ours}"
        ))
    };
    expect(&verdict("whole.csv", "ours.csv"), "reconciled", &[]);
    expect(&verdict("cut.csv", "ours.csv"), "not_provable", &["totals_missing"]);
    expect(&verdict("whole.csv", "cut.csv"), "not_provable", &["totals_missing"]);
}

#[test]
fn a_feed_without_its_trailer_is_not_proven() {
    let trailer = "{\"trailer\":{\"count\":3,\"sums\":{\"USD\":3500}}}\n";
    let verdict = after("agreeing_feed.ndjson", trailer, "", &[FEED, SUMMARY]);
    expect(&verdict, "not_provable", &["trailer_missing"]);
}

#[test]
fn a_feed_that_contradicts_its_trailer_is_incomplete() {
    for (from, to) in [("\"count\":3", "\"count\":4"), ("3500", "3501"), ("{\"USD\":3500}", "{}")] {
        let verdict = after("agreeing_feed.ndjson", from, to, &[FEED, SUMMARY]);
        expect(&verdict, "incomplete", &["control_totals_failed"]);
    }
    // A line is lost on the way: the trailer tells, beside the difference.
    let line = "{\"payment_no\":\"PAY-1\",\"channel_trade_no\":\"ch_1\",\"amount\":1000,\"currency\":\"USD\",\
        \"status\":\"success\",\"created_at\":\"2026-03-02T08:00:00Z\",\"merchant_id\":\"M-1\"}\n";
    let verdict = after("agreeing_feed.ndjson", line, "", &[FEED, SUMMARY]);
    expect(&verdict, "incomplete", &["control_totals_failed", "differences"]);
}

#[test]
fn a_feed_that_is_cut_in_the_middle_is_incomplete() {
    let folder = Folder::new();
    let feed = folder.read("agreeing_feed.ndjson");
    folder.write("cut.ndjson", &feed[..feed.len() / 2]);
    let verdict = folder.verdict(&format!("{FILES} --platform cut.ndjson {SUMMARY}"));
    expect(&verdict, "incomplete", &["rejects", "differences", "trailer_missing"]);
}

#[test]
fn one_reject_is_enough_to_be_incomplete() {
    let fee = |from, to| after("agreeing_settlement.csv", from, to, &[CSV, SUMMARY]);
    expect(
        &fee("usd,10.00,0.59", "usd,10.005,0.59"),
        "incomplete",
        &["rejects", "tie_broken", "differences"],
    );
    let one_more = "txn_3,2026-03-02 10:00:00,usd,,,,other,,,\ntxn_3,";
    expect(&fee("txn_3,", one_more), "incomplete", &["rejects"]);
}

#[test]
fn a_row_that_does_not_add_up_is_incomplete() {
    let verdict = after("agreeing_settlement.csv", "0.59,9.41", "0.60,9.41", &[CSV, SUMMARY]);
    expect(&verdict, "incomplete", &["unbalanced_rows"]);
}

#[test]
fn a_payout_that_is_not_its_rows_is_incomplete() {
    let folder = Folder::new();
    let text = folder.read("agreeing_settlement.csv");
    let mut lines: Vec<String> = text.lines().map(|line| format!("{line},po_1")).collect();
    lines[0] = lines[0].replace("po_1", "automatic_payout_id");
    lines.push("txn_4,2026-03-03 08:00:00,usd,-23.53,0.00,-23.53,payout,po_1,,,po_1".to_owned());
    folder.write("agreeing_settlement.csv", lines.join("\n"));
    expect(&folder.verdict(&format!("{FILES} {CSV} {SUMMARY}")), "reconciled", &[]);
    folder.edit("agreeing_settlement.csv", "-23.53,0.00,-23.53", "-23.00,0.00,-23.00");
    expect(&folder.verdict(&format!("{FILES} {CSV} {SUMMARY}")), "incomplete", &["payouts_broken"]);
}

#[test]
fn a_failed_payment_that_the_channel_leaves_out_is_no_difference() {
    let failed = "PAY-9,ch_9,100,USD,failed,2026-03-02T08:00:00Z,M-1,payment,\nPAY-1,";
    expect(&after("agreeing_platform.csv", "PAY-1,", failed, &[CSV, SUMMARY]), "reconciled", &[]);
}

#[test]
fn payments_that_were_refunded_or_disputed_later_show_no_difference() {
    for status in ["refunded", "disputed", "partially_refunded"] {
        let verdict =
            after("agreeing_platform.csv", "USD,success", &format!("USD,{status}"), &[CSV, SUMMARY]);
        expect(&verdict, "reconciled", &[]);
    }
}

#[test]
fn empty_files_are_told_from_empty_days() {
    let folder = Folder::new();
    folder.write("nothing", "");
    let only_header = |name: &str| folder.read(name).lines().next().unwrap_or_default().to_owned() + "\n";
    folder.write("no_settlement.csv", only_header("settlement.csv"));
    folder.write("no_platform.csv", only_header("platform.csv"));
    folder.write("no_summary.csv", only_header("agreeing_summary.csv"));
    let verdict = |rest: &str| folder.verdict(&format!("--channel stripe {rest}"));
    // No byte at all is a file that was not written; a header alone is a day without payments.
    for files in [
        "--platform nothing --settlement no_settlement.csv",
        "--platform no_platform.csv --settlement nothing",
    ] {
        let ran = folder.run(&format!("reconcile --channel stripe {files}"));
        assert_eq!((ran.code, ran.stdout.as_str()), (3, ""));
        assert!(ran.stderr.contains("nothing: nothing of it can be read:\n  the file is empty"), "{ran:?}");
    }
    let empty_day = "--platform no_platform.csv --settlement no_settlement.csv";
    expect(&verdict(empty_day), "not_provable", &["summary_missing"]);
    expect(&verdict(&format!("{empty_day} --summary no_summary.csv")), "reconciled", &[]);
}

#[test]
fn a_settlement_file_of_another_shape_has_no_verdict_and_names_what_it_lacks() {
    let folder = Folder::new();
    let ran = folder.run(
        "reconcile --channel stripe --platform agreeing_platform.csv --settlement agreeing_summary.csv --diffs d.csv",
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (3, ""));
    assert!(!folder.path("d.csv").exists(), "differences from nothing");
    insta::assert_snapshot!("other_shape", ran.stderr);
}

#[test]
fn what_cannot_be_read_is_shown_with_its_line_and_column() {
    let folder = Folder::new();
    folder.edit("settlement.csv", "usd,50.00", "us$,50.00");
    folder.edit("settlement.csv", "usd,20.00", "usd,2O.00");
    folder.edit("settlement.csv", "usd,25.00", "usd,25.001");
    folder.edit("settlement.csv", "refund,re_full", "mystery,re_full");
    folder.edit("settlement.csv", "usd,30.00,1.17,28.83", "usd,99999999999999999999,1.17,28.83");
    folder.edit("settlement.csv", "txn_06,", "\"txn_06,");
    folder.edit("settlement.csv", "charge,ch_currency,", "charge,ch_\0currency,");
    folder.edit("settlement.csv", "charge,ch_unbooked,ch_unbooked,pi_unbooked,po_1", "charge");
    folder.edit("platform.csv", "3100,USD,success", "3100,USD,paid");
    folder.edit("platform.csv", "PAY-15,ch_missing,880", "PAY-15,ch_missing,8.80");
    let ran = folder.run("reconcile --channel stripe --platform platform.csv --settlement settlement.csv");
    assert_eq!(ran.code, 1);
    let rejects = ran.stdout.split("\n\n").find(|section| section.starts_with("rejects")).unwrap_or_default();
    insta::assert_snapshot!("rejects", rejects);
}
