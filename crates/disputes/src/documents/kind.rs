//! What a file is, by its bytes, and what it may be called.

use payops_platform::error::Text;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::{MAX_FILE_BYTES, Refusal};

/// How long a cleaned name may be, in bytes of UTF-8: what file systems and channels take.
pub const MAX_NAME_BYTES: usize = 200;

/// The types that channels take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A PDF.
    Pdf,
    /// A JPEG image.
    Jpeg,
    /// A PNG image.
    Png,
}

impl Format {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }

    /// The format of this media type.
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        [Self::Pdf, Self::Jpeg, Self::Png].into_iter().find(|format| format.media_type() == media_type)
    }

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pdf => "PDF",
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
        }
    }

    fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Pdf => &["pdf"],
            Self::Jpeg => &["jpg", "jpeg", "jpe", "jfif"],
            Self::Png => &["png"],
        }
    }
}

/// What the owner of a file should know, though the file is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The name promises another type than the bytes are; the bytes count.
    Misnamed {
        /// The extension, as it was written.
        extension: String,
        /// What the bytes are.
        format: Format,
    },
    /// The name was cleaned; this is what it was, without control characters.
    Renamed {
        /// The name as it came, at most 255 characters of it.
        from: String,
    },
}

impl Notice {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Misnamed { .. } => "FILE_MISNAMED",
            Self::Renamed { .. } => "FILE_RENAMED",
        }
    }

    /// The notice in words.
    pub fn text(&self) -> Text {
        match self {
            Self::Misnamed { extension, format } => Text::new(
                format!(
                    "the name ends in .{extension}, but the file is a {0} and is sent as a {0}",
                    format.name()
                ),
                format!("文件名以 .{extension} 结尾，但实际为 {0}，将按 {0} 发送", format.name()),
            ),
            Self::Renamed { from } => Text::new(
                format!("the name was cleaned; it was {from:?}"),
                format!("文件名已清理；原名为 {from:?}"),
            ),
        }
    }
}

/// Tells the type by the first bytes, and refuses what is empty, too large or of another type.
pub fn format(bytes: &[u8]) -> Result<Format, Refusal> {
    if bytes.is_empty() {
        return Err(Refusal::Empty);
    }
    if bytes.len() > MAX_FILE_BYTES {
        return Err(Refusal::TooLarge(bytes.len()));
    }
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Ok(Format::Png);
    }
    if bytes.starts_with(b"\xff\xd8\xff") {
        return Ok(Format::Jpeg);
    }
    // Some writers put a byte order mark or a line before the header; readers look at the first kilobyte.
    let head = &bytes[..bytes.len().min(1024)];
    let seems = seems_to_be(bytes);
    if head.starts_with(b"%PDF-") || (seems.is_none() && head.windows(5).any(|window| window == b"%PDF-")) {
        return Ok(Format::Pdf);
    }
    Err(Refusal::UnsupportedType(seems))
}

/// Types that people try, by their first bytes.
const OTHERS: &[(usize, &[u8], &str)] = &[
    (0, b"GIF8", "a GIF image"),
    (8, b"WEBP", "a WebP image"),
    (8, b"WAVE", "a WAV recording"),
    (4, b"ftyphei", "a HEIC photo"),
    (4, b"ftypmif1", "a HEIC photo"),
    (4, b"ftypavif", "an AVIF image"),
    (4, b"ftyp", "a video or recording (MP4)"),
    (0, b"II*\0", "a TIFF image"),
    (0, b"MM\0*", "a TIFF image"),
    (0, b"BM", "a BMP image"),
    (0, b"ID3", "an MP3 recording"),
    (0, b"PK\x03\x04", "a ZIP archive or an Office document"),
    (0, b"\xd0\xcf\x11\xe0", "an old Office document"),
    (0, b"{\\rtf", "an RTF document"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"7z\xbc\xaf", "a 7z archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\x1a\x45\xdf\xa3", "a video (Matroska)"),
];

fn seems_to_be(bytes: &[u8]) -> Option<&'static str> {
    let known = OTHERS
        .iter()
        .find(|(at, magic, _)| bytes.get(*at..).is_some_and(|rest| rest.starts_with(magic)))
        .map(|(_, _, name)| *name);
    known.or_else(|| {
        let head: Vec<u8> = bytes.iter().take(512).map(u8::to_ascii_lowercase).collect();
        let start = head.trim_ascii_start();
        (start.starts_with(b"<!doctype html") || start.starts_with(b"<html")).then_some("a web page (HTML)")
    })
}

/// The name without folders, control characters and what file systems refuse, of a sensible length; letters of any
/// script are kept. A name of which nothing is left is `file`.
pub fn clean_name(name: &str) -> (String, Option<Notice>) {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last.nfc().filter(|character| !is_unwanted(*character)).collect();
    let trimmed = kept.trim_matches(is_no_end);
    let clean = match trimmed {
        "" => "file".to_owned(),
        device if is_device(device) => shorten(&format!("_{device}")),
        name => shorten(name),
    };
    let notice = (clean != name).then(|| Notice::Renamed {
        from: name.chars().filter(|character| !is_invisible(*character)).take(255).collect(),
    });
    (clean, notice)
}

/// Says so when the name promises another type than the bytes are.
pub fn misnamed(name: &str, format: Format) -> Option<Notice> {
    let (_, extension) = name.rsplit_once('.')?;
    let lower = extension.to_ascii_lowercase();
    (!format.extensions().contains(&lower.as_str()))
        .then(|| Notice::Misnamed { extension: extension.to_owned(), format })
}

fn is_unwanted(character: char) -> bool {
    is_invisible(character) || matches!(character, ':' | '*' | '?' | '"' | '<' | '>' | '|')
}

fn is_invisible(character: char) -> bool {
    // Marks that turn the direction of text make `gpj.exe` read as `exe.jpg`.
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Whether Windows takes the name, whatever its extension, for a device.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered =
        |device: &str| stem.strip_prefix(device).is_some_and(|port| matches!(port.as_bytes(), [b'1'..=b'9']));
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT")
}

/// Cuts the stem, so that the extension stays.
fn shorten(name: &str) -> String {
    if name.len() <= MAX_NAME_BYTES {
        return name.to_owned();
    }
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if extension.len() <= 16 => (stem, format!(".{extension}")),
        _ => (name, String::new()),
    };
    let end = stem.floor_char_boundary(MAX_NAME_BYTES - extension.len());
    format!("{}{extension}", stem[..end].trim_end_matches(is_no_end))
}

/// What a name neither begins nor ends with.
fn is_no_end(character: char) -> bool {
    character.is_whitespace() || character == '.'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_becomes_its_last_part_and_a_script_is_kept() {
        assert_eq!(clean_name("../../etc/passwd").0, "passwd");
        assert_eq!(clean_name("C:\\Users\\a\\收据 2026.pdf").0, "收据 2026.pdf");
        assert_eq!(clean_name("quittung\u{202e}gpj.pdf\r\n").0, "quittunggpj.pdf");
        assert_eq!(clean_name("..").0, "file");
        assert_eq!(clean_name("receipt.pdf"), ("receipt.pdf".to_owned(), None));
    }

    #[test]
    fn a_name_that_windows_keeps_for_a_device_is_changed() {
        for device in ["CON.png", "con", "Nul .tar.gz", "COM1.pdf", "lpt9.jpg"] {
            assert_eq!(clean_name(device).0, format!("_{device}"));
        }
        for name in ["CONTRACT.pdf", "COM0.pdf", "com10.pdf", "a.con"] {
            assert_eq!(clean_name(name).0, name);
        }
    }

    #[test]
    fn other_types_are_named() {
        assert_eq!(format(b"GIF89a......"), Err(Refusal::UnsupportedType(Some("a GIF image"))));
        assert_eq!(format(b"\0\0\0\x18ftypheic"), Err(Refusal::UnsupportedType(Some("a HEIC photo"))));
        assert_eq!(
            format(b"PK\x03\x04 %PDF-1.4"),
            Err(Refusal::UnsupportedType(Some("a ZIP archive or an Office document")))
        );
        assert_eq!(format(b" <!DOCTYPE html>"), Err(Refusal::UnsupportedType(Some("a web page (HTML)"))));
        assert_eq!(format(b"hello"), Err(Refusal::UnsupportedType(None)));
        assert_eq!(format(b""), Err(Refusal::Empty));
    }

    #[test]
    fn a_file_may_have_five_million_bytes_and_no_more() {
        let mut bytes = b"%PDF-1.4".to_vec();
        bytes.resize(MAX_FILE_BYTES, b' ');
        assert_eq!(format(&bytes), Ok(Format::Pdf));
        bytes.push(b' ');
        assert_eq!(format(&bytes), Err(Refusal::TooLarge(5_000_001)));
    }

    #[test]
    fn a_png_named_pdf_is_a_png_and_that_is_said() {
        assert_eq!(
            misnamed("receipt.pdf", Format::Png),
            Some(Notice::Misnamed { extension: "pdf".to_owned(), format: Format::Png })
        );
        assert_eq!(misnamed("receipt.PNG", Format::Png), None);
        assert_eq!(misnamed("receipt", Format::Png), None);
    }

    #[test]
    fn a_name_that_is_cut_at_a_dot_does_not_end_in_it() {
        let (clean, _) = clean_name(&format!("{}.{}", "x".repeat(MAX_NAME_BYTES - 1), "y".repeat(30)));
        assert_eq!(clean, "x".repeat(MAX_NAME_BYTES - 1));
    }

    proptest! {
        #[test]
        fn a_clean_name_is_short_safe_and_stays_as_it_is(name in ".{0,300}") {
            let (clean, _) = clean_name(&name);
            prop_assert!(!clean.is_empty() && clean.len() <= MAX_NAME_BYTES);
            prop_assert!(!clean.contains(['/', '\\', '\0', '\n']) && clean != "." && clean != "..");
            prop_assert_eq!(clean_name(&clean), (clean.clone(), None));
        }

        #[test]
        fn any_bytes_have_a_type_or_a_reason(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = format(&bytes).map_err(|refusal| refusal.text());
        }
    }
}
