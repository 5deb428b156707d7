//! Bad input, one kind after the other, each with the reject it must get. Of the rest of the file nothing may
//! be lost: every file here has one good row besides.

#![expect(clippy::unwrap_used, reason = "what cannot be in a test may stop it")]

mod common;

use common::{Keep, read};
use payops_channels::row::RejectReason::{self, *};
use payops_channels::{Format, Limits, Mapping, ReadOptions, Window};
use payops_core::time::Zone;

type Refusal = (u64, Option<&'static str>, RejectReason);

const STRIPE: &str =
    "balance_transaction_id,currency,gross,fee,net,reporting_category,source_id,description\n";
const STRIPE_GOOD: &str = "txn_1,usd,10.00,0.59,9.41,charge,ch_1,fine\n";
const PLATFORM: &str = "payment_no,channel_trade_no,amount,currency,status,created_at,merchant_id\n";
const PLATFORM_GOOD: &str = "PAY1,ch_1,1000,USD,SUCCESS,2026-01-30T10:00:00Z,M1\n";
const FEED_GOOD: &str = r#"{"payment_no":"PAY1","channel_trade_no":"ch_1","amount":1000,"currency":"USD","status":"SUCCESS","created_at":"2026-01-30T10:00:00Z","merchant_id":"M1"}"#;

fn options() -> ReadOptions {
    let limits = Limits { max_row_bytes: 1000, max_id_bytes: 40, ..Limits::default() };
    let window = Window { zone: Zone::utc(), day: "2026-01-30".parse().unwrap() };
    ReadOptions { limits, window: Some(window), ..ReadOptions::default() }
}

/// Line, column and reason of each reject.
fn refusals(sink: &Keep) -> Vec<(u64, Option<&str>, RejectReason)> {
    sink.rejects.iter().map(|r| (r.line, r.column.as_deref(), r.reason)).collect()
}

/// The bad line stands on line 2, the good one behind it.
fn check(format: &Format, header: &str, bad: &[u8], good: &str, expected: &[Refusal]) {
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(bad);
    bytes.push(b'\n');
    bytes.extend_from_slice(good.as_bytes());
    let (sink, _) = read(&bytes, format, &options());
    let shown = String::from_utf8_lossy(&bad[..bad.len().min(200)]).into_owned();
    assert_eq!(refusals(&sink), expected, "{shown}\n{:?}", sink.rejects);
    assert_eq!(sink.rows.len(), 1, "the good row is read all the same: {shown}");
    assert_eq!(sink.rows[0].trade_no, "ch_1");
}

#[test]
fn stripe_rows() {
    let long_line = format!("txn_2,usd,1,0,1,charge,ch_2,{}", "x".repeat(2000));
    let long_id = format!("txn_2,usd,1,0,1,charge,{},", "c".repeat(41));
    let cases: Vec<(&[u8], Refusal)> = vec![
        (b"txn_2,usd,1,0,1", (2, Some("reporting_category"), ShortRow)),
        (b"txn_2,usd,1,0,1,charge,ch_2,text,more", (2, None, LongRow)),
        (long_line.as_bytes(), (2, None, RowTooLong)),
        (b"txn_2,usd,1,0,1,charge,ch_2,\"never closed", (2, None, BadQuoting)),
        (b"txn_2,usd,1,0,1,charge,ch_2,\"closed\" and on", (2, None, BadQuoting)),
        (b"txn_2,usd,1,0,1,charge,ch\0_2,", (2, None, NulByte)),
        (b"txn_2,usd,1,0,1,charge,ch\xff_2,", (2, Some("source_id"), BadEncoding)),
        (b"txn_2,usd,1,0,1,charge,,", (2, Some("source_id"), EmptyField)),
        (b"txn_2,usd,-1,0,-1,refund, ,", (2, Some("source_id"), EmptyField)),
        (long_id.as_bytes(), (2, Some("source_id"), FieldTooLong)),
        (b"txn_2,usd,,0,1,charge,ch_2,", (2, Some("gross"), EmptyField)),
        (b"txn_2,usd,\"1,000.00\",0,1,charge,ch_2,", (2, Some("gross"), BadAmount)),
        (b"txn_2,usd,1e3,0,1,charge,ch_2,", (2, Some("gross"), BadAmount)),
        (b"txn_2,usd,NaN,0,1,charge,ch_2,", (2, Some("gross"), BadAmount)),
        (b"txn_2,usd,1.005,0,1,charge,ch_2,", (2, Some("gross"), SurplusDigits)),
        (b"txn_2,jpy,100.5,0,100,charge,ch_2,", (2, Some("gross"), SurplusDigits)),
        (b"txn_2,usd,1,0,0.999,charge,ch_2,", (2, Some("net"), SurplusDigits)),
        (b"txn_2,usd,1,0.0000000000001,1,charge,ch_2,", (2, Some("fee"), SurplusDigits)),
        (b"txn_2,usd,92233720368547758.08,0,1,charge,ch_2,", (2, Some("gross"), AmountOutOfRange)),
        (b"txn_2,,1,0,1,charge,ch_2,", (2, Some("currency"), EmptyField)),
        (b"txn_2,us$,1,0,1,charge,ch_2,", (2, Some("currency"), BadCurrency)),
        (b"txn_2,dollar,1,0,1,charge,ch_2,", (2, Some("currency"), BadCurrency)),
        (b"txn_2,usd,1,0,1,moon_landing,ch_2,", (2, Some("reporting_category"), UnknownKind)),
        (b"txn_2,usd,1,0,1,,ch_2,", (2, Some("reporting_category"), EmptyField)),
    ];
    for (bad, refusal) in cases {
        check(&Format::StripeItemized, STRIPE, bad, STRIPE_GOOD, &[refusal]);
    }
}

#[test]
fn platform_rows() {
    let cases: [(&str, Refusal); 10] = [
        ("PAY2,ch_2,10.00,USD,SUCCESS,2026-01-30T10:00:00Z,M1", (2, Some("amount"), BadAmount)),
        (
            "PAY2,ch_2,9223372036854775808,USD,SUCCESS,2026-01-30T10:00:00Z,M1",
            (2, Some("amount"), AmountOutOfRange),
        ),
        ("PAY2,ch_2,,USD,SUCCESS,2026-01-30T10:00:00Z,M1", (2, Some("amount"), EmptyField)),
        ("PAY2,ch_2,1,USD,LOST,2026-01-30T10:00:00Z,M1", (2, Some("status"), UnknownStatus)),
        ("PAY2,ch_2,1,USD,,2026-01-30T10:00:00Z,M1", (2, Some("status"), EmptyField)),
        ("PAY2,,1,USD,SUCCESS,2026-01-30T10:00:00Z,M1", (2, Some("channel_trade_no"), EmptyField)),
        ("PAY2,ch_2,1,USD,SUCCESS,yesterday,M1", (2, Some("created_at"), BadTime)),
        ("PAY2,ch_2,1,USD,SUCCESS,,M1", (2, Some("created_at"), EmptyField)),
        ("PAY2,ch_2,1,USD,SUCCESS,2026-01-30T10:00:00Z", (2, Some("merchant_id"), ShortRow)),
        ("PAY2,ch_2,1,USD,SUCCESS,2026-01-30T10:00:00Z,M1,payment", (2, None, LongRow)),
    ];
    for (bad, refusal) in cases {
        check(&Format::PlatformCsv, PLATFORM, bad.as_bytes(), PLATFORM_GOOD, &[refusal]);
    }
    let with_kind = PLATFORM.replace("merchant_id\n", "merchant_id,kind\n");
    let bad = "PAY2,ch_2,1,USD,SUCCESS,2026-01-30T10:00:00Z,M1,gift";
    let good = PLATFORM_GOOD.replace('\n', ",\n");
    check(&Format::PlatformCsv, &with_kind, bad.as_bytes(), &good, &[(2, Some("kind"), UnknownKind)]);
}

#[test]
fn feed_lines() {
    let changed = |from: &str, to: &str| FEED_GOOD.replace(from, to);
    let long = changed("PAY1", &"P".repeat(2000));
    let id = changed("ch_1", &"c".repeat(41));
    let cases: Vec<(String, Refusal)> = vec![
        ("{\"payment_no\":".into(), (1, None, BadJson)),
        ("[]".into(), (1, None, BadJson)),
        (format!("{FEED_GOOD}{FEED_GOOD}"), (1, None, BadJson)),
        (changed("\"PAY1\"", "1"), (1, None, BadJson)),
        (changed("\"amount\":1000", "\"amount\":1,\"amount\":2"), (1, None, BadJson)),
        (changed("1000", "10.0"), (1, Some("amount"), BadAmount)),
        (changed("1000", "1e3"), (1, Some("amount"), BadAmount)),
        (changed("1000", "\"1000\""), (1, Some("amount"), BadAmount)),
        (changed("1000", "9223372036854775808"), (1, Some("amount"), AmountOutOfRange)),
        (changed("1000", "null"), (1, Some("amount"), EmptyField)),
        (changed("\"amount\":1000,", ""), (1, Some("amount"), EmptyField)),
        (changed("\"currency\":\"USD\",", ""), (1, Some("currency"), EmptyField)),
        (changed("USD", "US"), (1, Some("currency"), BadCurrency)),
        (changed("SUCCESS", "LOST"), (1, Some("status"), UnknownStatus)),
        (changed("\"merchant_id\"", "\"kind\":\"gift\",\"merchant_id\""), (1, Some("kind"), UnknownKind)),
        (changed("ch_1", " "), (1, Some("channel_trade_no"), EmptyField)),
        (changed("PAY1", ""), (1, Some("payment_no"), EmptyField)),
        (changed("2026-01-30T10:00:00Z", "10 o'clock"), (1, Some("created_at"), BadTime)),
        (id, (1, Some("channel_trade_no"), FieldTooLong)),
        (changed("ch_1", "ch\\u0000_1"), (1, Some("channel_trade_no"), NulByte)),
        (changed("PAY1", "PAY\\u00001"), (1, Some("payment_no"), NulByte)),
        (long, (1, None, RowTooLong)),
    ];
    for (bad, refusal) in cases {
        check(&Format::PlatformNdjson, "", bad.as_bytes(), FEED_GOOD, &[refusal]);
    }
    check(&Format::PlatformNdjson, "", b"{\"payment_no\":\"\xff\"}", FEED_GOOD, &[(1, None, BadEncoding)]);
    check(&Format::PlatformNdjson, "", b"{\"payment_no\":\"\0\"}", FEED_GOOD, &[(1, None, NulByte)]);
    let both = changed("{", "{\"trailer\":{\"count\":1,\"sums\":{}},");
    check(&Format::PlatformNdjson, "", both.as_bytes(), FEED_GOOD, &[(1, Some("trailer"), BadJson)]);
}

#[test]
fn headers() {
    let cases: [(&str, Vec<Refusal>); 6] = [
        ("", vec![(0, None, MissingColumn)]),
        (
            "\n\nbalance_transaction_id,currency,gross,fee,net,description\n",
            vec![(3, Some("reporting_category"), MissingColumn), (3, Some("source_id"), MissingColumn)],
        ),
        (
            "Net , balance_transaction_id,currency,gross,fee,net,reporting_category,source_id\n",
            vec![(1, Some("net"), DuplicateColumn)],
        ),
        ("a,\"b\n", vec![(1, None, BadQuoting)]),
        ("a\0b\n", vec![(1, None, NulByte)]),
        (
            "balance_transaction_id,currency,gross,fee,net,reporting_category,source_id,description\r",
            vec![(1, None, BadLineEnd)],
        ),
    ];
    for (header, expected) in cases {
        let text = format!("{header}{STRIPE_GOOD}");
        let bytes = if header.is_empty() { "" } else { text.as_str() };
        let (sink, report) = read(bytes.as_bytes(), &Format::StripeItemized, &options());
        assert_eq!(refusals(&sink), expected, "{header}");
        assert!(sink.rows.is_empty() && report.bound.is_none());
    }
}

#[test]
fn a_mapping_is_as_strict() {
    let mapping = Mapping::parse(
        "unit = \"major\"\ndelimiter = \";\"\ndecimal_mark = \",\"\nfee_decimals = 4\n\
         [columns]\nchannel_trade_no = \"Id\"\namount = \"Sum\"\nfee = \"Cost\"\nkind = \"Type\"\n\
         [constants]\ncurrency = \"EUR\"\n[kind]\npayment = [\"sale\"]\n",
    )
    .unwrap();
    let format = Format::Mapped(mapping);
    let (header, good) = ("ID;sum;COST;type\n", "ch_1;12,50;0,0123;Sale\n");
    let cases: [(&str, Refusal); 6] = [
        ("ch_2;12.50;0;sale", (2, Some("sum"), BadAmount)),
        ("ch_2;12,505;0;sale", (2, Some("sum"), SurplusDigits)),
        ("ch_2;1;0,00001;sale", (2, Some("COST"), SurplusDigits)),
        ("ch_2;1;x;sale", (2, Some("COST"), BadAmount)),
        ("ch_2;1;0;gift", (2, Some("type"), UnknownKind)),
        ("ch_2;1;0;", (2, Some("type"), EmptyField)),
    ];
    for (bad, refusal) in cases {
        check(&format, header, bad.as_bytes(), good, &[refusal]);
    }
}

#[test]
fn a_line_of_a_hundred_megabytes_is_not_held() {
    use std::io::Read;
    let before = format!("{STRIPE}txn_2,usd,1,0,1,charge,ch_2,");
    let source = before
        .as_bytes()
        .chain(std::io::repeat(b'x').take(100 << 20))
        .chain(&b"\n"[..])
        .chain(STRIPE_GOOD.as_bytes());
    let mut sink = Keep::default();
    let options = ReadOptions::default();
    let report = payops_channels::read_rows(source, &Format::StripeItemized, &options, &mut sink);
    assert_eq!(refusals(&sink), [(2, None, RowTooLong)]);
    assert_eq!((sink.rows[0].position.line, sink.rows[0].position.ordinal), (3, 1));
    assert!(report.bytes > 100 << 20);
}
