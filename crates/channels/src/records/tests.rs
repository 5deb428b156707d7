use proptest::prelude::*;

use super::*;

/// A record as a test compares it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Row { position: Position, fields: Vec<Vec<u8>> },
    Broken { line: u64, ordinal: u64, reason: RejectReason },
}

/// Hands out at most `step` bytes at a time.
struct Drip<'a> {
    bytes: &'a [u8],
    step: usize,
}

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.step.min(buffer.len()).min(self.bytes.len());
        buffer[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes = &self.bytes[count..];
        Ok(count)
    }
}

fn collect<R: Read>(mut records: Records<R>) -> Vec<Seen> {
    let mut seen = Vec::new();
    loop {
        match records.next() {
            Next::Record(record) => seen.push(Seen::Row {
                position: record.position,
                fields: (0..record.len()).map(|index| record.field(index).to_vec()).collect(),
            }),
            Next::Broken(Broken { position, reason, .. }) => {
                seen.push(Seen::Broken { line: position.line, ordinal: position.ordinal, reason });
            }
            Next::End => return seen,
        }
    }
}

fn read(bytes: &[u8], step: usize, chunk: usize, max_row: usize) -> Vec<Seen> {
    collect(Records::new(Drip { bytes, step }, b',', max_row, chunk))
}

fn fields(bytes: &[u8]) -> Vec<Vec<String>> {
    let rows = read(bytes, 1 << 20, 1 << 16, 1 << 20).into_iter();
    rows.map(|seen| match seen {
        Seen::Row { fields, .. } => {
            fields.into_iter().map(|field| String::from_utf8(field).unwrap()).collect()
        }
        Seen::Broken { line, reason, .. } => vec![format!("{reason:?} on line {line}")],
    })
    .collect()
}

/// The reference: what csv-core makes of the same bytes.
fn by_csv_core(mut bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut reader = csv_core::ReaderBuilder::new().build();
    let (mut output, mut ends) = (vec![0; 1 << 16], vec![0; 1 << 12]);
    let mut rows = Vec::new();
    loop {
        let (result, read, _, count) = reader.read_record(bytes, &mut output, &mut ends);
        bytes = &bytes[read..];
        match result {
            csv_core::ReadRecordResult::Record => {
                let starts = std::iter::once(0).chain(ends[..count].iter().copied());
                let row = starts.zip(&ends[..count]).map(|(from, to)| output[from..*to].to_vec());
                rows.push(row.collect());
            }
            csv_core::ReadRecordResult::InputEmpty => {}
            csv_core::ReadRecordResult::End => return rows,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn every_way_of_ending_and_quoting_a_row() {
    let text = "a,b\r\n1,\"x, \"\"y\"\"\nz\"\n\n  \r\n\"\",2\r\nlast,\"3\"";
    assert_eq!(
        fields(text.as_bytes()),
        [vec!["a", "b"], vec!["1", "x, \"y\"\nz"], vec!["", "2"], vec!["last", "3"]]
    );
    assert_eq!(fields(b"a\rb,c\r\nd,\"e\"\r"), [vec!["a\rb", "c"], vec!["d", "e"]]);
    assert_eq!(fields("\u{feff}\"a\",b\nc,d".as_bytes()), [vec!["a", "b"], vec!["c", "d"]]);
    assert_eq!(fields(b"x \"quoted\" y,1\n"), [vec!["x \"quoted\" y", "1"]]);
    assert!(fields(b"").is_empty());
}

#[test]
fn a_bad_record_costs_only_itself() {
    assert_eq!(
        fields(b"a,b\n1,\"never closed\n3,4\n5,6"),
        [vec!["a", "b"], vec!["BadQuoting on line 2"], vec!["3", "4"], vec!["5", "6"]]
    );
    assert_eq!(fields(b"a,\"b\"c\n1,2\n"), [vec!["BadQuoting on line 1"], vec!["1", "2"]]);
    // The record starts on line 1; the quote that is at fault opens on line 2.
    assert_eq!(fields(b"\"a\nb\",\"c\n1,2\n"), [vec!["BadQuoting on line 2"], vec!["1", "2"]]);
    assert_eq!(
        fields(b"a\0b,c\n1,2\n\"x\0\",2\n3,4"),
        [vec!["NulByte on line 1"], vec!["1", "2"], vec!["NulByte on line 3"], vec!["3", "4"]]
    );
}

#[test]
fn long_rows_are_skipped_whatever_the_chunks() {
    let mut text = b"a,b\n".to_vec();
    text.extend(std::iter::repeat_n(b'x', 5000));
    text.extend(b"\n1,2\n\"");
    text.extend(std::iter::repeat_n(b'y', 5000));
    text.extend(b"\n3,4\n\"open\n");
    text.extend(b"5,6\n".repeat(100));
    let expected = read(&text, 1 << 20, 1 << 20, 100);
    let broken: Vec<(u64, RejectReason)> = expected
        .iter()
        .filter_map(|seen| match seen {
            Seen::Broken { line, reason, .. } => Some((*line, *reason)),
            Seen::Row { .. } => None,
        })
        .collect();
    assert_eq!(
        broken,
        [(2, RejectReason::RowTooLong), (4, RejectReason::RowTooLong), (6, RejectReason::BadQuoting)]
    );
    assert_eq!(expected.len(), 3 + 3 + 100);
    for (step, chunk) in [(1, 1), (7, 3), (100, 64), (1 << 20, 128)] {
        assert_eq!(read(&text, step, chunk, 100), expected, "{step} {chunk}");
    }
}

#[test]
fn a_row_of_the_longest_length_is_read() {
    for (text, rows) in
        [("xxxxx\n", 1), ("xxxxx", 1), ("xxxxxx\n", 0), ("xxxxxx", 0), ("xxxxx\r\n", 1), ("\"xxx\"\r\n", 1)]
    {
        for chunk in [1, 2, 64] {
            let seen = read(text.as_bytes(), 64, chunk, 5);
            let read = seen.iter().filter(|seen| matches!(seen, Seen::Row { .. })).count();
            assert_eq!((seen.len(), read), (1, rows), "{text:?} {chunk}");
        }
    }
}

#[test]
fn an_error_of_the_source_leaves_no_piece_of_a_row() {
    struct Failing(bool);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(io::Error::other("cut"));
            }
            buffer[..11].copy_from_slice(b"a,b\n1,2\n3,4");
            Ok(11)
        }
    }
    let mut records = Records::new(Failing(false), b',', 1000, 1000);
    let mut count = 0;
    while let Next::Record(_) = records.next() {
        count += 1;
    }
    assert_eq!(count, 2);
    assert_eq!(records.take_error().unwrap().to_string(), "cut");
}

/// Bytes that matter to a splitter, more often than others.
fn lively_bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => Just(b'"'), 4 => Just(b','), 3 => Just(b'\n'), 1 => Just(b'\r'), 1 => Just(0_u8),
        1 => Just(b' '), 6 => b'a'..=b'f', 1 => any::<u8>(),
    ];
    proptest::collection::vec(byte, 0..200)
}

/// A field, quoted or not, that is well formed, and has no CR on its own.
fn written_field() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zé 0-9.]{0,6}",
        "[a-z]{1,2}\"[a-z\"]{0,4}",
        "([a-z ,\n]|\r\n|\"\"){0,8}".prop_map(|inner| format!("\"{inner}\"")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn well_formed_files_are_split_as_csv_core_splits_them(
        rows in proptest::collection::vec((proptest::collection::vec(written_field(), 1..6), any::<bool>()), 0..20),
        final_newline in any::<bool>(), step in 1_usize..64, chunk in 1_usize..64,
    ) {
        let mut text = String::new();
        for (row, crlf) in &rows {
            let line = row.join(",");
            // A line of blanks is a record to csv-core and none here.
            text.push_str(if line.trim().is_empty() { "," } else { &line });
            text.push_str(if *crlf { "\r\n" } else { "\n" });
        }
        if !final_newline {
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
        }
        let ours = read(text.as_bytes(), step, chunk, 1 << 16);
        // csv-core forgets an empty last field that no line end follows.
        let expected = by_csv_core(format!("{text}\n").as_bytes());
        prop_assert_eq!(ours.len(), expected.len());
        for (index, (ours, expected)) in ours.iter().zip(&expected).enumerate() {
            let Seen::Row { position, fields } = ours else { panic!("{ours:?}") };
            prop_assert_eq!(fields, expected);
            prop_assert_eq!(position.ordinal, index as u64);
            let before = &text.as_bytes()[..usize::try_from(position.offset).unwrap()];
            let newlines = memchr_iter(b'\n', before).count();
            prop_assert_eq!(position.line, newlines as u64 + 1);
            prop_assert!(before.last().is_none_or(|byte| *byte == b'\n'));
        }
    }

    #[test]
    fn any_bytes_are_split_alike_whatever_the_chunks(
        bytes in lively_bytes(), step in 1_usize..32, chunk in 1_usize..32, max_row in 1_usize..64,
    ) {
        let whole = read(&bytes, 1 << 20, 1 << 20, max_row);
        prop_assert_eq!(read(&bytes, step, chunk, max_row), whole);
    }

    #[test]
    fn a_row_is_found_again_at_its_position(bytes in lively_bytes(), chunk in 1_usize..32) {
        let bytes = [b"x\n", bytes.as_slice()].concat();
        let whole = read(&bytes, 1 << 20, 1 << 20, 100);
        for (index, seen) in whole.iter().enumerate() {
            let Seen::Row { position, .. } = seen else { continue };
            let rest = &bytes[usize::try_from(position.offset).unwrap()..];
            let again = collect(Records::resume(rest, b',', 100, chunk, *position));
            prop_assert_eq!(&again[..], &whole[index..]);
        }
    }
}
