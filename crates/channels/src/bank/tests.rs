use super::*;
use crate::row::Proof;

const CAMT: &str = include_str!("../../tests/bank/camt053.xml");

fn read(text: &str) -> BankFile {
    read_bank_file(text.as_bytes(), &ReadOptions::default())
}

#[test]
fn camt() {
    let file = read(CAMT);
    assert_eq!(file.rejects, []);
    assert_eq!(file.proof(), Proof::Proven, "{:?}", file.statements[0].control);
}
