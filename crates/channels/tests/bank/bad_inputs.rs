//! Bad input, one kind after the other, each with the reject it must get and what is read all the same.

use std::io::Read;

use payops_channels::bank::{BankStatement, EntryStatus, read_bank_file};
use payops_channels::row::Proof;
use payops_channels::row::RejectReason::{self, *};
use payops_channels::{Limits, ReadOptions};

use crate::{BAI2, CAMT, MT940, amounts, read, refusals};

/// Spoils one place of a good file; the reject must be as expected and `left` entries must be read.
#[track_caller]
fn spoiled(text: &str, from: &str, to: &str, expected: (u64, Option<&str>, RejectReason), left: usize) {
    assert!(text.contains(from), "{from}");
    let file = read(text.replacen(from, to, 1));
    assert_eq!(refusals(&file), [expected], "{from} -> {to}: {:?}", file.rejects);
    assert_eq!(file.statements.iter().map(|statement| statement.entries.len()).sum::<usize>(), left, "{to}");
    assert_ne!(file.proof(), Proof::Proven, "{to}");
}

#[test]
fn entries_of_camt() {
    let amount = "<Amt Ccy=\"EUR\">1250.50</Amt>";
    for (to, column, reason) in [
        ("<Amt Ccy=\"EUR\">1250.505</Amt>", "Ntry/Amt", SurplusDigits),
        ("<Amt Ccy=\"EUR\">-1250.50</Amt>", "Ntry/Amt", BadAmount),
        ("<Amt Ccy=\"EUR\">-0.00</Amt>", "Ntry/Amt", BadAmount),
        ("<Amt Ccy=\"EUR\">1,250.50</Amt>", "Ntry/Amt", BadAmount),
        ("<Amt Ccy=\"EUR\">1e3</Amt>", "Ntry/Amt", BadAmount),
        ("<Amt Ccy=\"EUR\">92233720368547758.08</Amt>", "Ntry/Amt", AmountOutOfRange),
        ("<Amt Ccy=\"EUR\"> </Amt>", "Ntry/Amt", EmptyField),
        ("<Amt Ccy=\"SEK\">1250.50</Amt>", "Ntry/Amt", BadCurrency),
        ("<Amt Ccy=\"EURO\">1250.50</Amt>", "Ntry/Amt", BadCurrency),
        ("<Amt>1250.50</Amt>", "Ntry/Amt", EmptyField),
        ("", "Ntry/Amt", EmptyField),
    ] {
        spoiled(CAMT, amount, to, (45, Some(column), reason), 4);
    }
    let spoil =
        |from: &str, to: &str, column: &str, reason| spoiled(CAMT, from, to, (45, Some(column), reason), 4);
    spoil("<Sts><Cd>BOOK</Cd></Sts>", "<Sts><Cd>LOST</Cd></Sts>", "Ntry/Sts", UnknownStatus);
    spoil("<Sts><Cd>BOOK</Cd></Sts>", "<Sts><Prtry>BOOK</Prtry></Sts>", "Ntry/Sts", EmptyField);
    spoil("<Dt>2026-03-19</Dt>", "<Dt>2026-02-30</Dt>", "ValDt", BadTime);
    spoil("<Dt>2026-03-19</Dt>", "<Dt>19.03.2026</Dt>", "ValDt", BadTime);
    spoil("STRIPE-PO-1NqkTo", &"9".repeat(600), "Refs/EndToEndId", FieldTooLong);
    let credit = "1250.50</Amt>\n        <CdtDbtInd>CRDT";
    spoil(credit, "1250.50</Amt>\n        <CdtDbtInd>CRED", "CdtDbtInd", UnknownKind);
}

#[test]
fn what_stands_twice_in_an_entry_of_camt() {
    let credit = "1250.50</Amt>\n        <CdtDbtInd>CRDT</CdtDbtInd>";
    let twice = |from: &str, first: &str, column: &str| {
        spoiled(CAMT, from, &format!("{first}{from}"), (45, Some(column), BadRecord), 4);
    };
    twice("<Amt Ccy=\"EUR\">1250.50</Amt>", "<Amt Ccy=\"EUR\">1250.50</Amt>", "Amt");
    let both = credit.to_owned() + "<CdtDbtInd>DBIT</CdtDbtInd>";
    spoiled(CAMT, credit, &both, (45, Some("CdtDbtInd"), BadRecord), 4);
    twice("<Sts><Cd>BOOK</Cd></Sts>", "<Sts><Cd>INFO</Cd></Sts>", "Sts");
    twice("<ValDt><Dt>2026-03-19</Dt></ValDt>", "<BookgDt><Dt>2026-03-21</Dt></BookgDt>", "BookgDt");
    twice("<Dt>2026-03-19</Dt>", "<Dt>2026-03-21</Dt>", "Dt");
    spoiled(
        CAMT,
        "<Amt Ccy=\"EUR\">3260.25</Amt>",
        "<Amt Ccy=\"EUR\">3260.25</Amt><Amt Ccy=\"EUR\">1</Amt>",
        (24, Some("Amt"), BadRecord),
        5,
    );
}

#[test]
fn text_behind_the_end_of_camt() {
    for behind in ["and more", "\n<!-- -->\n<![CDATA[1]]>", "\n&#49;"] {
        let file = read(CAMT.trim_end().to_owned() + behind);
        let [(_, None, BadXml)] = refusals(&file)[..] else { panic!("{behind}: {:?}", file.rejects) };
        assert_eq!((amounts(&file.statements[0]).len(), file.proof()), (5, Proof::NotProvable), "{behind}");
    }
    assert_eq!(read(CAMT.trim_end().to_owned() + "\n<!-- end -->\n\n").proof(), Proof::Proven);
}

#[test]
fn statements_of_camt() {
    spoiled(CAMT, "<ElctrncSeqNb>79<", "<ElctrncSeqNb>7a<", (11, Some("ElctrncSeqNb"), BadRecord), 5);
    // Opened in one currency, closed in another.
    spoiled(CAMT, ">3260.25<", " Ccy=\"SEK\">3260.25<", (24, Some("Bal/Amt"), BadCurrency), 5);
    let twice = "<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy=\"EUR\">1</Amt>\
        <CdtDbtInd>DBIT</CdtDbtInd><Dt><Dt>2026-03-20</Dt></Dt></Bal><TxsSummry>";
    spoiled(CAMT, "<TxsSummry>", twice, (36, Some("CLBD"), DuplicateRow), 5);
}

#[test]
fn documents_that_are_not_read() {
    for (text, line, reason) in [
        (CAMT.replace("camt.053.001.08", "camt.053.001.14"), 2, UnknownFormat),
        (CAMT.replace("camt.053.001.08", "camt.053.001.8"), 2, UnknownFormat),
        (CAMT.replace("camt.053.001.08", "camt.052.001.08"), 2, UnknownFormat),
        (CAMT.replace(" xmlns=", " about="), 2, UnknownFormat),
        ("<html><body/></html>".to_owned(), 0, UnknownFormat),
        (
            CAMT.replace("<Document", "<!DOCTYPE Document SYSTEM \"file:///etc/passwd\">\n<Document"),
            2,
            BadXml,
        ),
        ("<?xml version=\"1.0\" encoding=\"EBCDIC-37\"?><Document/>".to_owned(), 1, BadEncoding),
        ("just text\n".to_owned(), 0, UnknownFormat),
        (String::new(), 0, UnknownFormat),
    ] {
        let file = read(&text);
        assert_eq!(file.rejects.len(), 1, "{text}");
        assert_eq!((file.rejects[0].line, file.rejects[0].reason), (line, reason), "{:?}", file.rejects);
        assert!(file.statements.is_empty() && file.proof() == Proof::NotProvable);
    }
    let message = &read("balance,currency\n1,EUR\n").rejects[0].message;
    assert!(
        message.contains("':20:'") && message.contains("'01,'") && message.contains("balance,currency"),
        "{message}"
    );
}

#[test]
fn xml_that_would_grow() {
    let bomb = "<?xml version=\"1.0\"?>\n<!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol2 \"&lol;&lol;&lol;\">]>\n\
        <Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08\">&lol2;</Document>";
    assert_eq!(refusals(&read(bomb)), [(2, None, BadXml)]);
    // What was read before stays.
    let undeclared = CAMT.replace("STRIPE PAYOUT", "&lol;");
    let file = read(undeclared);
    assert_eq!(refusals(&file), [(69, None, BadXml)]);
    assert_eq!(file.statements[0].entries.len(), 0);
    let deep = format!("{}{}", CAMT.split("<Stmt>").next().unwrap(), "<a>".repeat(1_000_000));
    assert_eq!(refusals(&read(deep)), [(9, None, BadXml)]);
    let wide = "<x/>".repeat(400_000);
    let file = read(CAMT.replacen("<NtryRef>1</NtryRef>", &wide, 1));
    assert_eq!(refusals(&file)[0].2, RowTooLong);
    assert_eq!(file.statements[0].entries.len(), 4, "the entries behind it are read");
    let long = CAMT.replace("STRIPE PAYOUT", &"x".repeat(3 << 20));
    assert_eq!(refusals(&read(long)), [(69, None, RowTooLong)]);
    let attributes = format!("<Document {}/>", "a='' ".repeat(200_000));
    assert_eq!(read(attributes).rejects.len(), 1);
}

#[test]
fn a_batch_of_thousands_is_one_entry() {
    let one = "<TxDtls><Refs><EndToEndId>INV-X</EndToEndId></Refs><RltdPties><Dbtr><Nm>A customer</Nm></Dbtr>\
        </RltdPties></TxDtls>";
    let file = read(CAMT.replacen("<TxDtls>", &format!("{}<TxDtls>", one.repeat(20_000)), 1));
    assert_eq!((file.proof(), file.statements[0].entries[0].references.len()), (Proof::Proven, 40_008));
}

#[test]
fn encodings() {
    let latin = |text: &str| text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect::<Vec<u8>>();
    let name = CAMT.replace("STRIPE PAYOUT", "Zürich");
    let file = read(latin(&name));
    assert_eq!(refusals(&file), [(69, None, BadEncoding)]);
    assert_ne!(file.proof(), Proof::Proven);
    let declared = latin(&name.replace("encoding=\"UTF-8\"", "encoding=\"ISO-8859-1\""));
    assert_eq!(read(declared).statements, read(&name).statements);
    // The other two formats have no word for their encoding.
    for text in [MT940, BAI2] {
        let name = text.replace("STRIPE", "Zürich");
        assert_eq!(read(latin(&name)).statements, read(&name).statements);
        assert_eq!(read(latin(&name)).proof(), Proof::Proven);
    }
    let utf16: Vec<u8> = MT940.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(refusals(&read(utf16)), [(0, None, UnknownFormat)]);
}

#[test]
fn a_file_that_is_cut_anywhere_is_never_proven() {
    for text in [CAMT, MT940, BAI2] {
        let whole = read(text);
        for at in 0..text.trim_end().len() - 3 {
            let file = read(&text[..at]);
            if file.proof() == Proof::Proven {
                // MT940 has no trailer: a cut behind a statement's closing balance leaves whole statements.
                assert!(text == MT940 && whole.statements.starts_with(&file.statements), "{}", &text[..at]);
            }
            // Where nobody could know that it is cut off, it names no account that the whole file has not.
            let known = |cut: &BankStatement| whole.statements.iter().any(|good| good.account == cut.account);
            let (trailer, is_read) = (text.rfind("\n99,"), !file.statements.is_empty());
            assert!(
                file.is_cut_off
                    || !is_read
                    || text == MT940 && file.statements.iter().all(known)
                    || text == BAI2 && trailer.is_some_and(|trailer| at > trailer),
                "{}",
                &text[..at]
            );
            for (cut, good) in file.statements.iter().zip(&whole.statements) {
                let most = cut.entries.len().saturating_sub(1).min(good.entries.len());
                assert_eq!(cut.entries[..most], good.entries[..most], "{}", &text[..at]);
            }
        }
        if text == CAMT {
            let cut = read(&text[..text.len() - 30]);
            assert_eq!(cut.rejects[0].reason, Truncated);
            assert_eq!(cut.statements[0].entries.len(), 5);
        }
    }
}

#[test]
fn entries_of_mt940() {
    let line = ":61:2603200320D80,25NTRFINV-7//BANK-2";
    for (to, reason) in [
        (":61:2603200320D80,255NTRFINV-7", SurplusDigits),
        (":61:2603200320D80.25NTRFINV-7", BadRecord),
        (":61:2603200320D,NTRFINV-7", BadAmount),
        (":61:2603200320D-80,25NTRFINV-7", EmptyField),
        (":61:2603200320D92233720368547758,08NTRFX", AmountOutOfRange),
        (":61:2603200320X80,25NTRFINV-7", UnknownKind),
        (":61:2603320320D80,25NTRFINV-7", BadTime),
        (":61:2603201332D80,25NTRFINV-7", BadTime),
        (":61:26032", BadRecord),
        (":61:2603200320D80,25XTRFINV-7", BadRecord),
        (":61:2603200320D80,25NT", BadRecord),
        (":61:", EmptyField),
    ] {
        spoiled(MT940, line, to, (17, Some("61"), reason), 5);
    }
    let long = format!(":61:2603200320D80,25NTRF{}", "x".repeat(600));
    spoiled(MT940, line, &long, (17, Some("61"), FieldTooLong), 5);
    spoiled(MT940, line, ":61:2603200320D80,25\0NTRF", (17, None, NulByte), 5);
    spoiled(MT940, ":28C:00012/001", ":28C:twelve", (4, Some("28C"), BadRecord), 6);
    spoiled(MT940, ":62F:C260320EUR2071,00", ":62F:C260320SEK2071,00", (25, Some("62F"), BadCurrency), 6);
    spoiled(MT940, ":20:STMT-12-1\n", "", (5, Some("61"), BadRecord), 5);
}

#[test]
fn expected_entries_of_mt940_are_pending() {
    let file = read(MT940.replace("260320D80,25", "260320ED80,25").replace("0320D80,25", "0320ED80,25"));
    assert_eq!(file.statements[0].entries[1].status, EntryStatus::Pending);
    // Negative zero is zero.
    let zero = read(MT940.replace("D80,25", "D0,00").replace("EUR2071,00", "EUR2151,25"));
    assert_eq!((zero.proof(), amounts(&zero.statements[0])[1]), (Proof::Proven, 0));
}

#[test]
fn records_of_bai2() {
    let line = "16,451,80000,D,2,0,40000,1,40000,ACH-9,INV-7,SUPPLIER/";
    for (to, column, reason) in [
        ("16,701,80000,,,,/", "type code", UnknownKind),
        ("16,XYZ,80000,,,,/", "type code", UnknownKind),
        ("16,451,-80000,,,,/", "amount", BadAmount),
        ("16,451,800.00,,,,/", "amount", BadAmount),
        ("16,451,,,,,/", "amount", EmptyField),
        ("16,451,9223372036854775808,,,,/", "amount", AmountOutOfRange),
        ("16,451,80000,Q,,,/", "funds type", BadRecord),
        ("16,451,80000,D,many,,/", "funds type", BadRecord),
        ("16,451,80000,V,260231,,/", "funds type", BadTime),
        ("17,451,80000,,,,/", "record", BadRecord),
    ] {
        spoiled(BAI2, line, to, (10, Some(column), reason), 7);
    }
    spoiled(BAI2, line, "16,451,80000,\0,,,/", (10, None, NulByte), 7);
    let file = read(BAI2.replace("1,260320,,KWD", "1,260332,,KWD"));
    assert_eq!(refusals(&file), [(18, Some("02"), BadTime), (19, Some("02 as-of date"), EmptyField)]);
    assert_eq!((file.statements[2].entries[0].booked_on, file.proof()), (None, Proof::Failed));
    // Without its currency no amount of an account can be read.
    let file = read(BAI2.replace("JP-7,JPY,", "JP-7,YENS,"));
    let expected = [(14, Some("03"), BadCurrency), (15, None, BadCurrency), (14, None, BadCurrency)];
    assert_eq!((refusals(&file), file.statements.len()), (expected.to_vec(), 2));
}

#[test]
fn what_a_bai2_group_takes_back_or_tests_is_no_statement() {
    for status in ["2", "4"] {
        let file =
            read(BAI2.replacen("122099999,1,260320,,KWD", &format!("122099999,{status},260320,,KWD"), 1));
        assert_eq!((file.statements.len(), refusals(&file)), (2, vec![(19, Some("02"), BadRecord)]));
        assert!(file.control.checks.iter().all(payops_channels::ControlCheck::holds));
    }
}

#[test]
fn limits_hold() {
    let limits = Limits { max_bank_entries: 3, ..Limits::default() };
    let options = ReadOptions { limits, ..ReadOptions::default() };
    for text in [CAMT, MT940, BAI2] {
        let file = read_bank_file(text.as_bytes(), &options);
        assert_eq!(file.statements[0].entries.len(), 3);
        assert_eq!(file.rejects.last().unwrap().reason, TooLarge, "{:?}", file.rejects);
        assert_ne!(file.proof(), Proof::Proven);
    }
    let many = format!("01,A,B,260321,0200,17,,,2/\n{}", "nonsense\n".repeat(2500));
    let file = read(many);
    assert_eq!((file.rejects.len(), file.rejects_left_out, file.is_cut_off), (1000, 1501, true));
}

#[test]
fn a_source_that_breaks_off_is_told() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    for text in [CAMT, MT940, BAI2] {
        for at in [0, 200, text.len()] {
            let file = read_bank_file(text.as_bytes()[..at].chain(Broken), &ReadOptions::default());
            let told = file.rejects.iter().any(|reject| reject.message.contains("the disk is gone"));
            assert!(told && file.proof() != Proof::Proven, "{at}: {:?}", file.rejects);
        }
    }
}
