//! Every limit at its edge.

use std::collections::BTreeMap;

use payops_disputes::documents::kind::Format;
use payops_disputes::documents::{Inspection, inspect};
use payops_disputes::evidence::checklist::ProductType;
use payops_disputes::evidence::preflight::{
    About, Attached, Draft, Limits, Prepared, Problem, may_send, preflight,
};
use payops_disputes::evidence::{EvidenceKind, Given, TextField};
use proptest::prelude::*;

fn attached(bytes: u64, pages: usize) -> Attached {
    let inspection = Inspection { name: "a.pdf".to_owned(), format: Format::Pdf, pages, notices: Vec::new() };
    Attached { kind: EvidenceKind::Receipt, name: "a.pdf".to_owned(), bytes, inspected: Ok(inspection) }
}

fn checked(
    card_brand: Option<&str>,
    attached: &[Attached],
    texts: &BTreeMap<TextField, String>,
) -> Vec<Problem> {
    let draft = Draft {
        reason: "general",
        product: ProductType::Physical,
        card_brand,
        attached,
        prepared: &BTreeMap::new(),
        texts,
        given: &Given::default(),
        fee_acknowledged: false,
    };
    preflight(&Limits::STRIPE, &draft)
}

fn blocking(problems: &[Problem]) -> Vec<&'static str> {
    problems.iter().filter(|problem| problem.blocks).map(|problem| problem.code).collect()
}

fn with_files(card_brand: Option<&str>, files: &[Attached]) -> Vec<&'static str> {
    blocking(&checked(card_brand, files, &BTreeMap::new()))
}

fn with_texts(texts: &[(TextField, String)]) -> Vec<&'static str> {
    blocking(&checked(None, &[], &texts.iter().cloned().collect()))
}

#[test]
fn all_files_may_have_four_and_a_half_million_bytes_together() {
    assert_eq!(with_files(None, &[attached(4_000_000, 1), attached(500_000, 1)]), [""; 0]);
    assert_eq!(with_files(None, &[attached(4_000_000, 1), attached(500_001, 1)]), ["FILES_TOO_LARGE"]);
}

#[test]
fn all_files_have_fewer_than_fifty_pages_and_nineteen_for_mastercard() {
    assert_eq!(with_files(Some("visa"), &[attached(1, 40), attached(1, 9)]), [""; 0]);
    assert_eq!(with_files(Some("visa"), &[attached(1, 40), attached(1, 10)]), ["TOO_MANY_PAGES"]);
    assert_eq!(with_files(Some("mastercard"), &[attached(1, 19)]), [""; 0]);
    assert_eq!(with_files(Some("MasterCard"), &[attached(1, 20)]), ["TOO_MANY_PAGES"]);
    assert_eq!(with_files(None, &[attached(1, 1_000)]), ["TOO_MANY_PAGES"]);
}

#[test]
fn what_is_sent_in_place_of_the_attached_files_is_what_counts() {
    let files = [attached(4_000_000, 40), attached(4_000_000, 40)];
    let draft = Draft {
        reason: "general",
        product: ProductType::Physical,
        card_brand: None,
        attached: &files,
        prepared: &BTreeMap::from([(EvidenceKind::Receipt, Prepared { bytes: 4_500_000, pages: 49 })]),
        texts: &BTreeMap::new(),
        given: &Given::default(),
        fee_acknowledged: false,
    };
    assert!(may_send(&preflight(&Limits::STRIPE, &draft)));
}

#[test]
fn every_text_is_taken_up_to_its_limit_counted_in_characters() {
    for &field in TextField::ALL {
        // Three bytes each: bytes are not what is counted.
        assert_eq!(with_texts(&[(field, "字".repeat(field.max_chars()))]), [""; 0], "{field:?}");
        assert_eq!(
            with_texts(&[(field, "字".repeat(field.max_chars() + 1))]),
            ["TEXT_TOO_LONG"],
            "{field:?}"
        );
    }
    assert_eq!(with_texts(&[(TextField::AccessActivityLog, "a".repeat(20_001))]), ["TEXT_TOO_LONG"]);
    assert_eq!(with_texts(&[(TextField::CustomerName, "a".repeat(5_001))]), ["TEXT_TOO_LONG"]);
}

#[test]
fn all_texts_may_have_a_hundred_and_fifty_thousand_characters_together() {
    let long = TextField::ALL.iter().filter(|field| field.max_chars() == 20_000).take(7);
    let mut texts: Vec<_> = long.map(|&field| (field, "a".repeat(20_000))).collect();
    texts.push((TextField::CustomerName, "a".repeat(5_000)));
    texts.push((TextField::BillingAddress, "a".repeat(5_000)));
    assert_eq!(with_texts(&texts), [""; 0]);
    texts.push((TextField::ShippingDate, "a".to_owned()));
    assert_eq!(with_texts(&texts), ["TEXTS_TOO_LONG"]);
}

#[test]
fn an_empty_packet_is_stopped_and_a_thin_one_is_not() {
    assert_eq!(with_files(None, &[]), ["NO_EVIDENCE"]);
    assert_eq!(with_texts(&[(TextField::CustomerName, "  ".to_owned())]), ["NO_EVIDENCE"]);
    let problems = checked(None, &[attached(1, 1)], &BTreeMap::new());
    assert!(may_send(&problems));
    let recommended: Vec<_> = problems.iter().map(|problem| problem.code).collect();
    assert_eq!(recommended, ["EVIDENCE_RECOMMENDED"; 2]);
}

#[test]
fn a_bad_file_is_named_and_stops_the_packet() {
    let bad = [
        ("", b"".as_slice(), "FILE_EMPTY"),
        ("a.pdf", b"%PDF-1.7\nnothing", "FILE_MALFORMED"),
        ("a.gif", b"GIF89a", "FILE_TYPE_UNSUPPORTED"),
    ];
    for (name, bytes, code) in bad {
        let file = Attached {
            kind: EvidenceKind::Other,
            name: name.to_owned(),
            bytes: bytes.len() as u64,
            inspected: inspect(name, bytes),
        };
        let problems = checked(None, &[attached(1, 1), file], &BTreeMap::new());
        assert_eq!(blocking(&problems), [code]);
        let about = About::File { index: 1, kind: EvidenceKind::Other, name: name.to_owned() };
        assert_eq!(problems[0].about, about);
    }
}

#[test]
fn a_misnamed_file_and_a_path_are_told_and_sent() {
    let mut png_bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut png_bytes, 1, 1);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&[0]).unwrap();
    let name = "../../receipt.pdf";
    let file = Attached {
        kind: EvidenceKind::Receipt,
        name: name.to_owned(),
        bytes: png_bytes.len() as u64,
        inspected: inspect(name, &png_bytes),
    };
    let problems = checked(None, &[file], &BTreeMap::new());
    assert!(may_send(&problems));
    let codes: Vec<_> = problems.iter().take(2).map(|problem| problem.code).collect();
    assert_eq!(codes, ["FILE_RENAMED", "FILE_MISNAMED"]);
}

proptest! {
    #[test]
    fn sizes_and_pages_stop_a_packet_exactly_above_their_limits(
        files in prop::collection::vec((0_u64..3_000_000, 0_usize..30), 1..5), mastercard: bool,
    ) {
        let (bytes, pages) = files.iter().fold((0, 0), |sum, file| (sum.0 + file.0, sum.1 + file.1));
        let attached: Vec<_> = files.iter().map(|&(bytes, pages)| attached(bytes, pages)).collect();
        let codes = with_files(mastercard.then_some("mastercard"), &attached);
        prop_assert_eq!(codes.contains(&"FILES_TOO_LARGE"), bytes > 4_500_000);
        prop_assert_eq!(codes.contains(&"TOO_MANY_PAGES"), pages > if mastercard { 19 } else { 49 });
    }

    #[test]
    fn every_problem_speaks_both_languages(brand in ".{0,8}", reason in ".{0,8}", long in 0_usize..25_000) {
        let texts = BTreeMap::from([(TextField::CustomerName, "a".repeat(long))]);
        let draft = Draft {
            reason: &reason,
            product: ProductType::Digital,
            card_brand: Some(&brand),
            attached: &[],
            prepared: &BTreeMap::new(),
            texts: &texts,
            given: &Given::default(),
            fee_acknowledged: false,
        };
        for problem in preflight(&Limits::STRIPE, &draft) {
            prop_assert!(!problem.text.en.is_empty());
            let chinese = problem.text.zh.chars().filter(|&character| u32::from(character) >= 0x4e00).count();
            prop_assert!(chinese > 0);
        }
    }
}
