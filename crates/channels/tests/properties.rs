//! No bytes make a reader panic, lose a row or answer differently by how they arrive.

use payops_channels::{Mapping, fuzzing};
use proptest::prelude::*;

const ITEMIZED: &str = "balance_transaction_id,currency,gross,fee,net,reporting_category,source_id,created\n\
    txn_1,usd,10.00,0.59,9.41,charge,ch_1,2026-01-30 10:00:00\n\
    txn_2,usd,-1.00,0,-1.00,refund,\"re_1\",2026-01-30 10:00:00\r\n";
const PLATFORM: &str = "payment_no,channel_trade_no,amount,currency,status,created_at,merchant_id\n\
    PAY1,ch_1,1000,USD,SUCCESS,2026-01-30T10:00:00Z,M1\n";
const FEED: &str = "{\"payment_no\":\"P\",\"channel_trade_no\":\"c\",\"amount\":1,\"currency\":\"USD\",\
    \"status\":\"success\",\"created_at\":\"2026-01-30\"}\n{\"trailer\":{\"count\":1,\"sums\":{\"USD\":1}}}\n";

/// A good text with a few bytes changed, put in or taken out.
fn spoiled(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), any::<u8>(), 0_u8..4);
    proptest::collection::vec(edit, 0..6).prop_map(move |edits| {
        let mut bytes = text.as_bytes().to_vec();
        for (index, byte, action) in edits {
            let at = index.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match action {
                _ if bytes.is_empty() => {}
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => {
                    bytes.remove(at);
                }
                _ => bytes[at] = b"\",\n\r\0\xff:/<>&"[usize::from(byte % 11)],
            }
        }
        bytes
    })
}

/// A field as a file may write it: bare, quoted, with blanks, or spoiled.
fn written(values: &'static [&'static str]) -> impl Strategy<Value = String> {
    (proptest::sample::select(values), 0_u8..40).prop_map(|(value, dice)| match dice {
        0 => format!("\"{value}\""),
        1 => format!(" {value}\t"),
        2 => format!("\"{value}\"\"\n,\""),
        3 => format!("{value}é"),
        4 => String::new(),
        5 => format!("\"{value}"),
        _ => value.to_owned(),
    })
}

/// The columns of the mapping below and what may stand in them.
const COLUMNS: [(&str, &[&str]); 9] = [
    ("no", &["n1", "n2", "n3", "a-number-that-is-longer-than-the-sixty-four-bytes-which-ids-may-have-here"]),
    ("trade", &["t1", "t2", "t3", "t4"]),
    (
        "amount",
        &[
            "1.00",
            "-2.50",
            "1234567.89",
            "12345678901234.56",
            "3",
            "4.",
            ".5",
            "1.001",
            "1e3",
            "99999999999999999999",
        ],
    ),
    ("ccy", &["USD", "usd", "JPY", "KWD", "QQQ", "us1", "dollar"]),
    ("state", &["ok", "OK", "failed", "lost", "unheard"]),
    ("what", &["sale", "back", "cost", "other"]),
    ("fee", &["0.10", "0", "-0.05", "0.0011"]),
    ("left", &["0.90", "1.00", "-2.50", "3.00"]),
    ("at", &["2026-01-30 10:00:00", "2026-01-31", "soon"]),
];

const MAPPING: &str = r#"name = "any"
unit = "major"
refund_sign = "positive"
[columns]
row_id = "no"
channel_trade_no = "trade"
amount = "amount"
currency = "ccy"
status = "state"
kind = "what"
occurred_at = "at"
[optional_columns]
fee = "fee"
net = "left"
[kind]
payment = ["sale"]
refund = ["back"]
fee = ["cost"]
[status]
succeeded = ["ok"]
failed = ["failed"]
cancelled = ["lost"]
"#;

const TOTALS: &str = "[proof]\nmarker = \"total\"\ncount_field = 2\n";

#[test]
fn the_mappings_of_these_tests_are_mappings() {
    for totals in ["", TOTALS] {
        Mapping::parse(&format!("{MAPPING}{totals}")).unwrap();
    }
}

/// A mapping and many rows of a file for it, with its columns in any order.
fn mapped_file() -> impl Strategy<Value = Vec<u8>> {
    let line = COLUMNS.map(|(_, values)| written(values));
    let odd = proptest::sample::select(vec!["", " ", ",", "total,3", "x,y", "\0", "\r", "\"open,1", "a\rb"]);
    let line = prop_oneof![
        30 => (line, 0_u8..30).prop_map(|(fields, dice)| (Some(fields), dice, "")),
        1 => odd.prop_map(|odd| (None, 0, odd)),
    ];
    let order = Just((0..COLUMNS.len()).collect::<Vec<_>>()).prop_shuffle();
    let shape = (order, any::<[bool; 4]>());
    (shape, proptest::collection::vec(line, 0..40)).prop_map(
        |((order, [crlf, marked, totals, closed]), lines)| {
            let in_order = |fields: [String; COLUMNS.len()]| -> Vec<String> {
                order.iter().map(|&index| fields[index].clone()).collect()
            };
            let end = if crlf { "\r\n" } else { "\n" };
            let header = in_order(COLUMNS.map(|(name, _)| name.to_owned())).join(",");
            let mut text = format!("{MAPPING}{}---\n", if totals { TOTALS } else { "" });
            text.push_str(if marked { "\u{feff}" } else { "" });
            text.push_str(&header);
            for (fields, dice, odd) in lines {
                let mut fields = fields.map_or(vec![odd.to_owned()], in_order);
                match dice {
                    1 => fields.truncate(3),
                    2 => fields.push("more".to_owned()),
                    _ => {}
                }
                text.push_str(end);
                text.push_str(&fields.join(","));
            }
            text.push_str(if closed { end } else { "" });
            text.into_bytes()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn mapped_files(bytes in mapped_file()) {
        fuzzing::mapping(&bytes);
    }

    #[test]
    fn itemised_reports(bytes in spoiled(ITEMIZED)) {
        fuzzing::stripe_itemized(&bytes);
        fuzzing::spool(&bytes);
    }

    #[test]
    fn platform_files(bytes in spoiled(PLATFORM)) {
        fuzzing::mapping(&bytes);
    }

    #[test]
    fn feeds(bytes in spoiled(FEED)) {
        fuzzing::platform_feed(&bytes);
    }

    #[test]
    fn noise(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzzing::stripe_itemized(&bytes);
        fuzzing::mapping(&bytes);
        fuzzing::platform_feed(&bytes);
        fuzzing::spool(&bytes);
        fuzzing::bank_statements(&bytes);
    }

    #[test]
    fn bank_statements(
        camt in spoiled(include_str!("../../../fuzz/corpus/bank_statements/camt053.xml")),
        mt940 in spoiled(include_str!("../../../fuzz/corpus/bank_statements/mt940.sta")),
        bai2 in spoiled(include_str!("../../../fuzz/corpus/bank_statements/bai2.txt")),
    ) {
        fuzzing::bank_statements(&camt);
        fuzzing::bank_statements(&mt940);
        fuzzing::bank_statements(&bai2);
    }
}
