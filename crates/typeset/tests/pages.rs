//! What is set is found again in the file.

#![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

use lopdf::Document;
use payops_typeset::{Align, Block, Column, Finished, Ink, Properties, Table, Typesetter, WIDTH};

fn pages_of(bytes: &[u8]) -> Vec<String> {
    let document = Document::load_mem(bytes).unwrap();
    let pages = document.get_pages().into_keys();
    pages.map(|page| squeezed(&document.extract_text(&[page]).unwrap())).collect()
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|character| !character.is_whitespace()).collect()
}

const COLUMNS: [Column; 2] = [
    Column { left: 0.0, width: 200.0, align: Align::Left },
    Column { left: 210.0, width: WIDTH - 210.0, align: Align::Right },
];

fn table_of(rows: &[[&str; 2]]) -> Finished {
    let mut page = Typesetter::new().unwrap();
    page.describe(Properties { title: "对账报告 1".to_owned(), language: "zh-CN", created_at: None });
    let table = Table { columns: &COLUMNS, head: &["类型", "金额"], size: 9.0 };
    page.table_head(&table);
    for row in rows {
        page.table_row(&table, row);
    }
    page.finish(0).unwrap()
}

#[test]
fn a_table_goes_on_over_pages_under_its_head() {
    let finished = table_of(&[["仅平台有（请核对）", "-1,234.50"]; 200]);
    let pages = pages_of(&finished.bytes);
    assert!(pages.len() > 3, "{} pages", pages.len());
    for (index, text) in pages.iter().enumerate() {
        assert!(text.starts_with("类型金额仅平台有（请核对）-1,234.50"), "{text}");
        assert!(text.contains(&format!("对账报告1{}/{}", index + 1, pages.len())), "{text}");
    }
    assert_eq!(pages.concat().matches("仅平台有").count(), 200);
}

#[test]
fn a_row_that_is_longer_than_a_page_loses_nothing() {
    let long = "一二三四五".repeat(2_000);
    let finished = table_of(&[["before", "1"], [&long, "2"], ["after", "3"]]);
    let text = pages_of(&finished.bytes).concat();
    for (letter, count) in [('一', 2_000), ('五', 2_000)] {
        assert_eq!(text.matches(letter).count(), count);
    }
    assert!(text.contains("after3"), "{text}");
}

#[test]
fn what_the_font_lacks_is_told_in_any_direction_of_writing() {
    let finished = table_of(&[["مرحبا 😀 \u{202e}abc", "\u{7}"]]);
    let text = pages_of(&finished.bytes).concat();
    assert!(text.contains("[U+0645][U+0631]") && text.contains("[U+1F600][U+202E]abc"), "{text}");
    assert!(finished.missing_characters.contains(&'م'));
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    let set = |width: f32| {
        let mut page = Typesetter::new().unwrap();
        page.block(&Block { left: 0.0, top: 4.0, width, height: 10.0, ink: Ink(1, 2, 3) });
        page.space(20.0);
        page.paragraph("bar", 8.0);
        page.finish(0).unwrap().bytes
    };
    assert_eq!(set(20.0), set(20.0));
    assert_ne!(set(20.0), set(21.0));
    // A bar of nothing is no bar, and no error.
    assert_eq!(pages_of(&set(0.0)).concat(), "bar1/1");
}
