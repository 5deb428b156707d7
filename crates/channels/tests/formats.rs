//! What good files give: rows, sums, proofs, and the same row again from its position.

#![expect(clippy::unwrap_used, reason = "what cannot be in a test may stop it")]

mod common;

use common::{Keep, read};
use payops_channels::row::{Kind, Proof, Status};
use payops_channels::{Format, Mapping, ReadOptions, Window, reread_rows};
use payops_core::currency::Currency;
use payops_core::time::Zone;

type Fee = Option<i64>;
type Net = Option<i64>;

/// Columns out of order, one name in another case, fee rows shorter than the header, a byte-order mark.
const ITEMIZED: &str = "\u{feff}Reporting_Category ,source_id,balance_transaction_id,charge_id,payment_intent_id,\
currency,gross,fee,net,created_utc,automatic_payout_id,description\r\n\
charge,ch_1,txn_1,ch_1,pi_1,usd,25,0.95,24.05,2026-01-30 10:11:12,po_1,\"a, \"\"b\"\"\nc\"\r\n\
charge,,txn_2,py_2,pi_1,USD,10.00,0,10.00,2026-01-30 23:59:59,po_1,,,,\r\n\
refund,re_1,txn_3,ch_1,pi_1,usd,-10,0,-10,2026-01-31 00:00:00,po_1,\r\n\
fee,,txn_4,,,usd,-0.50,0,-0.50,2026-01-30 12:00:00,po_1\r\n\
dispute,du_1,txn_5,ch_1,,usd,-25,15,-40.00,2026-01-30 12:00:00,,\r\n\
dispute_reversal,du_1,txn_6,ch_1,,usd,25,0,25,2026-01-30 12:00:00,,\r\n\
charge,ch_7,txn_7,,,jpy,1500,54,1446,2026-01-30 12:00:00,po_2,\r\n\
charge,ch_8,txn_8,,,kwd,1.234,0.0125,1.222,2026-01-30 12:00:00,,\r\n\
payout,po_1,txn_9,,,usd,-23.55,0,-23.55,2026-01-30 12:00:00,po_1,\r\n\
charge,ch_10,txn_10,,,usd,1,0.10,1,2026-01-30 12:00:00,,";

fn day(zone: &str, day: &str) -> ReadOptions {
    let window = Window { zone: Zone::named(zone).unwrap(), day: day.parse().unwrap() };
    ReadOptions { window: Some(window), ..ReadOptions::default() }
}

#[test]
fn an_itemised_report_becomes_rows() {
    let (sink, report) = read(ITEMIZED.as_bytes(), &Format::StripeItemized, &day("Etc/UTC", "2026-01-30"));
    assert_eq!(sink.rejects, []);
    let rows: Vec<(Kind, &str, i64, Fee, Net)> =
        sink.rows.iter().map(|row| (row.kind, row.trade_no.as_str(), row.amount, row.fee, row.net)).collect();
    assert_eq!(
        rows,
        [
            (Kind::Payment, "ch_1", 2500, Some(95), Some(2405)),
            (Kind::Payment, "py_2", 1000, Some(0), Some(1000)),
            (Kind::Refund, "re_1", -1000, Some(0), Some(-1000)),
            (Kind::Fee, "", -50, Some(0), Some(-50)),
            (Kind::Dispute, "du_1", -2500, Some(1500), Some(-4000)),
            (Kind::DisputeReversal, "du_1", 2500, Some(0), Some(2500)),
            (Kind::Payment, "ch_7", 1500, Some(54), Some(1446)),
            (Kind::Payment, "ch_8", 1234, Some(12), Some(1222)),
            (Kind::Payout, "po_1", -2355, Some(0), Some(-2355)),
            (Kind::Payment, "ch_10", 100, Some(10), Some(100)),
        ]
    );
    let first = &sink.rows[0];
    assert_eq!((first.charge_id.as_str(), first.payment_intent_id.as_str()), ("ch_1", "pi_1"));
    assert_eq!((first.row_id.as_str(), first.status, first.currency.as_str()), ("txn_1", None, "USD"));
    // The first row spans two lines.
    assert_eq!((first.position.line, sink.rows[1].position.line), (2, 4));
    let outside: Vec<usize> = (0..10).filter(|index| !sink.rows[*index].in_window).collect();
    assert_eq!((outside, report.rows_outside_window), (vec![2], 1));
}

/// A capture of 60 of 100 is a charge of 100 and a row of -40 under an id of its own.
#[test]
fn what_a_capture_left_over_belongs_to_its_charge() {
    let file = "balance_transaction_id,reporting_category,source_id,charge_id,currency,gross,fee,net\n\
        txn_1,charge,ch_1,ch_1,usd,100,3.20,96.80\n\
        txn_2,partial_capture_reversal,re_1,ch_1,usd,-40,-1.16,-38.84\n\
        txn_3,Partial_Capture_Reversal,ch_2,,usd,-1,0,-1\n";
    let (sink, _) = read(file.as_bytes(), &Format::StripeItemized, &ReadOptions::default());
    let rows: Vec<(Kind, &str, i64)> =
        sink.rows.iter().map(|row| (row.kind, row.trade_no.as_str(), row.amount)).collect();
    let expected =
        [(Kind::Payment, "ch_1", 10_000), (Kind::Payment, "ch_1", -4_000), (Kind::Payment, "ch_2", -100)];
    assert_eq!((rows.as_slice(), sink.rejects.as_slice()), (expected.as_slice(), [].as_slice()));
}

#[test]
fn an_itemised_report_is_summed_up() {
    let (_, report) = read(ITEMIZED.as_bytes(), &Format::StripeItemized, &ReadOptions::default());
    assert_eq!((report.control.proof, report.control.checks.len()), (Proof::NotProvable, 0));
    // KWD 1.234 - 0.0125 = 1.2215, printed as 1.222: within one unit. USD 1 - 0.10 is not 1.
    assert_eq!((report.unbalanced.rows, report.unbalanced.first_lines.as_slice()), (1, [12].as_slice()));
    let charges =
        report.category_totals.iter().find(|t| t.category == "charge" && t.currency == Currency::USD);
    let charges = charges.unwrap();
    assert_eq!((charges.rows, charges.gross, charges.fee, charges.net), (3, 3600, 105, 3505));
    let kwd = report.fee_totals.iter().find(|total| total.currency == Currency::KWD).unwrap();
    assert_eq!((kwd.fee, kwd.residue.as_str()), (12, "0.0005"));
    let groups: Vec<(&str, u64, i128, Option<i128>, Proof)> = report
        .payout_groups
        .iter()
        .map(|group| (group.payout_id.as_str(), group.rows, group.net, group.payout_net, group.tie))
        .collect();
    assert_eq!(
        groups,
        [("po_1", 4, 2355, Some(-2355), Proof::Proven), ("po_2", 1, 1446, None, Proof::NotProvable)]
    );
    assert_eq!(report.activity(), [(Currency::JPY, 1446), (Currency::KWD, 1222), (Currency::USD, 955)]);
}

#[test]
fn a_payout_that_is_not_what_it_carried_is_seen() {
    let short = ITEMIZED.replace("usd,-23.55,0,-23.55", "usd,-23.54,0,-23.54");
    let (_, report) = read(short.as_bytes(), &Format::StripeItemized, &ReadOptions::default());
    assert_eq!(report.payout_groups[0].tie, Proof::Failed);
    let mut options = ReadOptions::default();
    options.limits.max_payout_groups = 1;
    let (_, report) = read(ITEMIZED.as_bytes(), &Format::StripeItemized, &options);
    assert_eq!((report.payout_groups.len(), report.rows_beyond_payout_limit), (1, 1));
}

#[test]
fn the_day_belongs_to_a_zone() {
    let report = |options: &ReadOptions| {
        read(ITEMIZED.as_bytes(), &Format::StripeItemized, options).1.rows_outside_window
    };
    // In Shanghai the day ends at 16:00 UTC: one row of 23:59:59 UTC and one of the next day are outside.
    assert_eq!(report(&day("Asia/Shanghai", "2026-01-30")), 2);
    assert_eq!(report(&day("Etc/UTC", "2026-02-01")), 10);
    // `created` is printed in the report's zone; `created_utc`, where it is there, is not.
    let printed = ITEMIZED.replace("created_utc", "created");
    let mut options = day("Asia/Shanghai", "2026-01-30");
    options.printed_zone = Zone::named("Asia/Shanghai").unwrap();
    let (_, report) = read(printed.as_bytes(), &Format::StripeItemized, &options);
    assert_eq!(report.rows_outside_window, 1);
}

#[test]
fn every_row_is_read_again_from_its_position() {
    let (sink, report) = read(ITEMIZED.as_bytes(), &Format::StripeItemized, &ReadOptions::default());
    let bound = report.bound.unwrap();
    for row in &sink.rows {
        let mut again = Keep { stop_after: Some(1), ..Keep::default() };
        let source = &ITEMIZED.as_bytes()[usize::try_from(row.position.offset).unwrap()..];
        let report = reread_rows(source, row.position, &bound, &ReadOptions::default(), &mut again);
        assert_eq!((again.rows.as_slice(), report.stopped_early), (std::slice::from_ref(row), true));
    }
}

#[test]
fn the_platform_csv_needs_no_mapping() {
    let text = "merchant_id,payment_no,channel_trade_no,amount,currency,status,created_at,kind,refund_no\n\
        M1,PAY1,ch_1,1000,USD,SUCCESS,2026-01-30T10:00:00Z,,\n\
        M1,PAY1,re_1,400,USD,succeeded,2026-01-30T10:00:00Z,refund,REF1\n\
        M1,PAY2,re_2,-400,USD,Success,2026-01-30T10:00:00Z,Refund,REF2\n\
        M1,PAY3,,700,jpy,failed,2026-01-30T10:00:00Z,payment,\n\
        M1,PAY4,du_1,700,USD,disputed,2026-01-30T10:00:00Z,dispute,\n";
    let (sink, report) = read(text.as_bytes(), &Format::PlatformCsv, &day("Etc/UTC", "2026-01-30"));
    assert_eq!(sink.rejects, []);
    let rows: Vec<(&str, &str, i64, Option<Status>)> = sink
        .rows
        .iter()
        .map(|row| (row.row_id.as_str(), row.trade_no.as_str(), row.amount, row.status))
        .collect();
    assert_eq!(
        rows,
        [
            ("PAY1", "ch_1", 1000, Some(Status::Succeeded)),
            ("REF1", "re_1", -400, Some(Status::Succeeded)),
            ("REF2", "re_2", -400, Some(Status::Succeeded)),
            // It never reached the channel, so it is known by its own number.
            ("PAY3", "PAY3", 700, Some(Status::Failed)),
            ("PAY4", "du_1", -700, Some(Status::Disputed)),
        ]
    );
    assert_eq!((report.rows_outside_window, sink.rows[0].merchant_id.as_str()), (0, "M1"));
    assert!(Format::PlatformCsv.lists_failed() && !Format::StripeItemized.lists_failed());
}

#[test]
fn a_mapping_reads_what_no_code_knows() {
    let mapping = Mapping::parse(
        "name = \"bank\"\nunit = \"major\"\ndelimiter = \";\"\ndecimal_mark = \",\"\nrefund_sign = \"positive\"\n\
         fee_sign = \"negative\"\nfee_decimals = 5\nexponents = \"paypal\"\n\
         [columns]\nchannel_trade_no = \"订单号\"\namount = \"Betrag\"\ncurrency = \"Währung\"\nkind = \"Art\"\n\
         fee = \"Gebühr\"\nnet = \"Netto\"\noccurred_at = \"Zeit\"\nstatus = \"Stand\"\n\
         [kind]\npayment = [\"支付\"]\nrefund = [\"退款\"]\nfee = [\"费\"]\n\
         [status]\nsucceeded = [\"OK\"]\n\
         [time]\nformat = \"%d.%m.%Y %H:%M\"\nzone = \"Asia/Shanghai\"\n\
         [proof]\nmarker = \"合计\"\ncount_field = 2\namount_field = 3\ncurrency_field = 4\n",
    )
    .unwrap();
    let text = "订单号;Art;Betrag;Währung;Gebühr;Netto;Zeit;stand\n\
        A1;支付;\"12,50\";EUR;-0,00345;12,50;30.01.2026 07:59;ok\n\
        A1R;退款;2,50;EUR;0;2,50;30.01.2026 08:00;OK\n\
        ;费;-1,00;JPY;;;30.01.2026 08:00;\n\
        合计;3;15,00;EUR;;;;\n\
        合计;3;-1,00;JPY;;;;\n";
    let format = Format::Mapped(mapping);
    let (sink, report) = read(text.as_bytes(), &format, &day("Etc/UTC", "2026-01-30"));
    assert_eq!(sink.rejects, []);
    let rows: Vec<(Kind, i64, Fee, Net, bool)> =
        sink.rows.iter().map(|row| (row.kind, row.amount, row.fee, row.net, row.in_window)).collect();
    assert_eq!(
        rows,
        [
            (Kind::Payment, 1250, Some(0), Some(1250), false),
            (Kind::Refund, -250, Some(0), Some(-250), true),
            (Kind::Fee, -100, None, None, true),
        ]
    );
    assert_eq!(report.control.proof, Proof::Proven, "{:?}", report.control);
    assert_eq!(report.fee_totals.iter().map(|t| t.residue.as_str()).collect::<Vec<_>>(), ["0.00345", "0"]);
    let wrong = text.replace("合计;3;15,00", "合计;4;15,01");
    let (_, report) = read(wrong.as_bytes(), &format, &ReadOptions::default());
    // The count of the last line of totals stands.
    let failed: Vec<&str> = report
        .control
        .checks
        .iter()
        .filter(|check| !check.holds())
        .map(|check| check.name.as_str())
        .collect();
    assert_eq!((report.control.proof, failed), (Proof::Failed, vec!["sum"]));
    let (_, report) = read(text.split("合计").next().unwrap().as_bytes(), &format, &ReadOptions::default());
    assert_eq!(report.control.proof, Proof::NotProvable);
}

const FEED: &str = r#"{"payment_no":"PAY1","channel_trade_no":"ch_1","amount":1000,"currency":"usd","status":"SUCCESS","created_at":"2026-01-30T10:00:00Z","merchant_id":"M1","extra":{"a":[1]}}
{"payment_no":"PAY1","refund_no":"REF1","kind":"refund","channel_trade_no":"re_1","amount":400,"currency":"USD","status":"success","created_at":"2026-01-30T10:00:00Z","merchant_id":"M1"}
{"payment_no":"PAY2","channel_trade_no":null,"amount":-5,"currency":"JPY","status":"cancelled","created_at":"2026-01-31T10:00:00Z","merchant_id":"M\u00fcller"}
{"trailer":{"count":3,"sums":{"USD":1400,"JPY":-5}}}
"#;

#[test]
fn the_feed_is_read_and_proven() {
    let (sink, report) = read(FEED.as_bytes(), &Format::PlatformNdjson, &day("Etc/UTC", "2026-01-30"));
    assert_eq!(sink.rejects, []);
    let rows: Vec<(&str, &str, i64, bool)> = sink
        .rows
        .iter()
        .map(|row| (row.row_id.as_str(), row.trade_no.as_str(), row.amount, row.in_window))
        .collect();
    assert_eq!(
        rows,
        [("PAY1", "ch_1", 1000, true), ("REF1", "re_1", -400, true), ("PAY2", "PAY2", -5, false)]
    );
    assert_eq!((sink.rows[2].merchant_id.as_str(), sink.rows[2].status), ("Müller", Some(Status::Cancelled)));
    assert_eq!((report.control.proof, report.control.checks.len()), (Proof::Proven, 3));
    let bound = report.bound.unwrap();
    let mut again = Keep { stop_after: Some(1), ..Keep::default() };
    let start = sink.rows[1].position;
    let source = &FEED.as_bytes()[usize::try_from(start.offset).unwrap()..];
    reread_rows(source, start, &bound, &day("Etc/UTC", "2026-01-30"), &mut again);
    assert_eq!(again.rows, sink.rows[1..2]);
}

#[test]
fn a_feed_that_is_not_whole_is_never_proven() {
    let proof = |text: &str| {
        let (sink, report) = read(text.as_bytes(), &Format::PlatformNdjson, &ReadOptions::default());
        let failed = report.control.checks.iter().filter(|check| !check.holds());
        (report.control.proof, sink.rejects.len(), failed.map(|check| check.name.clone()).collect::<Vec<_>>())
    };
    let without_trailer = FEED.split("{\"trailer").next().unwrap();
    assert_eq!(proof(without_trailer), (Proof::NotProvable, 0, vec![]));
    assert_eq!(proof(&FEED[..FEED.len() - 30]).0, Proof::NotProvable);
    let without_a_row = FEED.split_once('\n').unwrap().1;
    assert_eq!(proof(without_a_row), (Proof::Failed, 0, vec!["count".into(), "sum".into()]));
    assert_eq!(proof(&FEED.replace("\"USD\":1400", "\"USD\":1399")), (Proof::Failed, 0, vec!["sum".into()]));
    assert_eq!(proof(&FEED.replace("\"USD\":1400,", "")), (Proof::Failed, 0, vec!["sum".into()]));
    assert_eq!(
        proof(&FEED.replace(",\"sums\":{\"USD\":1400,\"JPY\":-5}", "")),
        (Proof::Failed, 0, vec!["sum".into()])
    );
    assert_eq!(proof(&FEED.replace("\"count\":3,", "")), (Proof::Failed, 0, vec!["count".into()]));
    assert_eq!(
        proof(&FEED.replace("\"count\":3", "\"count\":3.0")),
        (Proof::Failed, 0, vec!["count".into()])
    );
    let twice = format!("{FEED}{FEED}");
    assert_eq!(proof(&twice), (Proof::Failed, 4, vec!["rows_after_trailer".into()]));
    // A row that is refused for its status still counts and is still summed: the feed itself is whole.
    assert_eq!(proof(&FEED.replace("SUCCESS", "LOST")), (Proof::Proven, 1, vec![]));
    assert_eq!(proof(&FEED.replace("1000", "1000.5")), (Proof::Failed, 1, vec!["sum".into()]));
}

#[test]
fn stopping_early_is_told() {
    let mut sink = Keep { stop_after: Some(2), ..Keep::default() };
    let options = ReadOptions::default();
    let report =
        payops_channels::read_rows(ITEMIZED.as_bytes(), &Format::StripeItemized, &options, &mut sink);
    assert_eq!((sink.rows.len(), report.rows, report.stopped_early), (2, 2, true));
}
