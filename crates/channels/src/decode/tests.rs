use std::fmt::Write as _;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use zip::write::SimpleFileOptions;

use super::*;
use crate::row::RejectReason;

fn spooled(bytes: &[u8], limits: &Limits) -> Result<(PlainFile, String), SpoolError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    let plain = spool(&path, directory.path(), limits)?;
    let mut text = Vec::new();
    plain.open().unwrap().read_to_end(&mut text).unwrap();
    assert_eq!(text.len() as u64, plain.bytes());
    Ok((plain, String::from_utf8_lossy(&text).into_owned()))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn utf16(text: &str, mark: [u8; 2], unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    mark.into_iter().chain(text.encode_utf16().flat_map(unit)).collect()
}

fn reasons(plain: &PlainFile) -> Vec<RejectReason> {
    plain.damage.iter().map(|reject| reject.reason).collect()
}

#[test]
fn every_shape_becomes_the_same_text() {
    let text = "a,b\n支付,2\n𝄞,3\n";
    let marked = [UTF8_MARK, text.as_bytes()].concat();
    let little = utf16(text, [0xff, 0xfe], u16::to_le_bytes);
    let big = utf16(text, [0xfe, 0xff], u16::to_be_bytes);
    let shapes = [
        (text.as_bytes().to_vec(), Packing::None, Encoding::Utf8),
        (marked.clone(), Packing::None, Encoding::Utf8Marked),
        (little.clone(), Packing::None, Encoding::Utf16Le),
        (big.clone(), Packing::None, Encoding::Utf16Be),
        (gzip(text.as_bytes()), Packing::Gzip, Encoding::Utf8),
        (gzip(&marked), Packing::Gzip, Encoding::Utf8Marked),
        (gzip(&big), Packing::Gzip, Encoding::Utf16Be),
        (zip_of(&[("folder/report.csv", text.as_bytes())]), Packing::Zip, Encoding::Utf8),
        (zip_of(&[("report.csv", &little)]), Packing::Zip, Encoding::Utf16Le),
        ([gzip(b"a,b\n"), gzip("支付,2\n𝄞,3\n".as_bytes())].concat(), Packing::Gzip, Encoding::Utf8),
    ];
    for (bytes, packing, encoding) in shapes {
        let (plain, found) = spooled(&bytes, &Limits::default()).unwrap();
        assert_eq!((plain.packing, plain.encoding, found.as_str()), (packing, encoding, text));
        assert!(plain.damage.is_empty());
    }
}

#[test]
fn a_plain_file_is_used_in_place_and_a_copy_goes_away() {
    let directory = tempfile::tempdir().unwrap();
    let (plain_path, packed_path) = (directory.path().join("plain"), directory.path().join("packed"));
    std::fs::write(&plain_path, "a\n").unwrap();
    std::fs::write(&packed_path, gzip(b"a\n")).unwrap();
    assert_eq!(spool(&plain_path, directory.path(), &Limits::default()).unwrap().path(), plain_path);
    let copy = spool(&packed_path, directory.path(), &Limits::default()).unwrap();
    let copy_path = copy.path().to_owned();
    assert!(copy_path.exists() && copy_path != packed_path);
    drop(copy);
    assert!(!copy_path.exists());
}

#[test]
fn a_cut_stream_keeps_its_whole_lines_and_says_so() {
    let mut text = String::new();
    for i in 0..20_000_u64 {
        writeln!(text, "{i},{}", i.wrapping_mul(0x9E37_79B9_7F4A_7C15)).unwrap();
    }
    let packed = gzip(text.as_bytes());
    let (plain, found) = spooled(&packed[..packed.len() / 2], &Limits::default()).unwrap();
    assert_eq!(reasons(&plain), [RejectReason::Truncated]);
    assert!(found.len() > 1000 && found.ends_with('\n') && text.starts_with(&found));
    let mut damaged = packed.clone();
    let last = damaged.len() - 6;
    damaged[last] ^= 0xff;
    assert_eq!(reasons(&spooled(&damaged, &Limits::default()).unwrap().0), [RejectReason::Corrupt]);
    let trailing = [packed.as_slice(), b"garbage"].concat();
    let (plain, found) = spooled(&trailing, &Limits::default()).unwrap();
    assert_eq!((reasons(&plain).len(), found.len()), (1, text.len()));
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let limits = Limits { max_file_bytes: 1 << 20, ..Limits::default() };
    let line = "0,0,0,0\n";
    let text = line.repeat(1 << 18);
    for packed in [gzip(text.as_bytes()), zip_of(&[("a.csv", text.as_bytes())])] {
        let (plain, found) = spooled(&packed, &limits).unwrap();
        assert_eq!(reasons(&plain), [RejectReason::TooLarge]);
        assert!(found.len() <= 1 << 20 && found.ends_with(line));
    }
    let refused = spooled(text.as_bytes(), &limits);
    assert!(
        matches!(refused, Err(SpoolError::TooLarge { bytes: 2_097_152, limit: 1_048_576 })),
        "{refused:?}"
    );
}

#[test]
fn broken_utf16_is_marked_and_a_cut_one_reported() {
    let mut bytes = utf16("a,b\nx", [0xff, 0xfe], u16::to_le_bytes);
    bytes.extend([0x00, 0xd8]);
    bytes.extend(utf16("y,2\n", [b'z', 0], u16::to_le_bytes));
    let (plain, found) = spooled(&bytes, &Limits::default()).unwrap();
    assert_eq!((found.as_str(), plain.damage.len()), ("a,b\nx\u{fffd}zy,2\n", 0));
    bytes.push(b'9');
    assert_eq!(reasons(&spooled(&bytes, &Limits::default()).unwrap().0), [RejectReason::Truncated]);
}

#[test]
fn archives_that_are_not_one_plain_file_are_refused() {
    let message = |bytes: &[u8]| spooled(bytes, &Limits::default()).unwrap_err().to_string();
    let two = zip_of(&[("a.csv", b"1"), ("b.csv", b"2")]);
    assert_eq!(message(&two), "the zip archive holds 2 files and exactly one is expected: a.csv, b.csv");
    assert_eq!(message(&zip_of(&[])), "the zip archive holds no file");
    assert!(message(&zip_of(&[("../../etc/passwd", b"x")])).contains("unsafe name: '../../etc/passwd'"));
    assert!(message(&zip_of(&[("..\\x.csv", b"x")])).contains("unsafe name"));
    assert_eq!(message(&gzip(&gzip(b"a"))), "the packed file is itself packed");
    assert_eq!(message(&zip_of(&[("a.csv.gz", &gzip(b"a"))])), "the packed file is itself packed");
    assert!(message(&two[..two.len() / 2]).contains("zip archive cannot be read"));
}

#[test]
fn empty_files_are_empty() {
    for bytes in [Vec::new(), gzip(b""), zip_of(&[("a.csv", b"")]), UTF8_MARK.to_vec(), vec![0xff, 0xfe]] {
        let (plain, found) = spooled(&bytes, &Limits::default()).unwrap();
        assert_eq!((found.as_str(), plain.damage.len()), ("", 0));
    }
}
