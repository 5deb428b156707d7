use super::*;

fn error(text: &str) -> (Option<usize>, String) {
    let error = Mapping::parse(text).unwrap_err();
    (error.line, error.message)
}

/// A mapping that is complete, to be spoiled by the tests. `columns` goes into its [columns].
fn sound(before: &str, columns: &str, after: &str) -> String {
    format!(
        "unit = \"major\"\n{before}\n[columns]\nchannel_trade_no = \"id\"\namount = \"sum\"\n{columns}\n\
         [constants]\nkind = \"payment\"\ncurrency = \"usd\"\n{after}"
    )
}

#[test]
fn the_mappings_that_come_with_payops_are_valid() {
    let platform = Mapping::platform();
    assert_eq!((platform.name(), platform.lists_failed(), platform.has_status()), ("platform", true, true));
    let example = include_str!("../../mappings/examples/stripe-with-status.toml");
    assert!(Mapping::parse(example).unwrap().lists_failed());
    let plain = Mapping::parse(&sound("", "", "")).unwrap();
    assert_eq!((plain.lists_failed(), plain.has_status()), (false, false));
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let (line, message) = error(&sound("colour = \"red\"", "", ""));
    assert_eq!(line, Some(2));
    assert!(message.contains("`colour`"), "{message}");
    let (line, message) = error(&sound("", "gross = \"x\"", ""));
    assert_eq!(line, Some(6));
    assert!(message.contains("`gross`"), "{message}");
}

#[test]
fn what_a_mapping_says_wrongly_is_told() {
    let cases = [
        (sound("delimiter = \"::\"", "", ""), Some(2), "delimiter is one of"),
        (sound("decimal_mark = \"'\"", "", ""), Some(2), "decimal_mark is one of"),
        (sound("refund_sign = \"odd\"", "", ""), Some(2), "unknown variant `odd`"),
        (sound("fee_decimals = 13", "", ""), Some(2), "fee_decimals is at most 12"),
        (sound("", "status = \"state\"", ""), Some(3), "needs a [status] table"),
        (sound("", "", "[status]\nfailed = [\"no\"]"), Some(3), "of no use without a 'status' column"),
        (
            sound("", "status = \"s\"", "[status]\nfailed = [\"No\"]\nsucceeded = [\"no\"]"),
            Some(10),
            "'No' two meanings",
        ),
        (sound("", "status = \"s\"", "[status]\nfailed = [\" \"]"), Some(10), "an empty word"),
        (sound("", "", "[time]\nzone = \"Mars/Olympus\""), Some(11), "is not a time zone"),
        (sound("", "", "[time]\nformat = \"%Q\""), Some(11), "or a pattern such as"),
        (sound("", "", "[time]\nformat = \"%H:%M\""), Some(11), "tells no date and time"),
        (sound("", "row_id = \" \"", ""), Some(3), "'row_id' names no column"),
        (sound("", "", "[optional_columns]\namount = \"sum\""), Some(3), "both in [columns] and in"),
        (sound("", "", "[proof]\nmarker = \"T\""), Some(10), "needs 'count_field' or 'amount_field'"),
        (sound("", "", "[proof]\nmarker = \"T\"\ncount_field = 0"), Some(10), "counted from 1"),
        ("unit = \"major\"\n[columns]\namount = \"a\"".into(), Some(2), "needs 'channel_trade_no'"),
        ("unit = \"major\"\n[columns]\nchannel_trade_no = \"a\"".into(), Some(2), "needs 'amount'"),
        (sound("", "", "").replace("currency = \"usd\"", ""), Some(3), "the currency is not known"),
        (sound("", "", "").replace("kind = \"payment\"", ""), Some(3), "the kind is not known"),
        (sound("", "", "").replace("\"usd\"", "\"dollars\""), Some(9), "is not a currency code"),
        ("unit = ".into(), Some(1), ""),
        (String::new(), Some(1), "missing field `unit`"),
    ];
    for (text, line, part) in cases {
        let (found, message) = error(&text);
        assert_eq!(found, line, "{text}\n{message}");
        assert!(message.contains(part), "{text}\n{message}");
    }
}

#[test]
fn the_mapping_of_the_handbook_is_valid() {
    let handbook = include_str!("../../../../docs/mapping.md");
    let example = handbook.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let mapping = Mapping::parse(example).unwrap();
    assert_eq!((mapping.name(), mapping.lists_failed()), ("acme-pay", true));
}
