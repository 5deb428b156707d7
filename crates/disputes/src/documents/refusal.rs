use std::fmt;

use payops_platform::error::{Error, ErrorKind, Text};

use super::MAX_FILE_BYTES;

/// Why a file is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The file has no bytes.
    Empty,
    /// The file has more than [`MAX_FILE_BYTES`]; this many.
    TooLarge(usize),
    /// Neither PDF, JPEG nor PNG. What it seems to be, if that is known.
    UnsupportedType(Option<&'static str>),
    /// A PDF that only opens with a password, or forbids what others may do with it.
    Encrypted,
    /// A file that cannot be read as what it is; the reader's words.
    Malformed(String),
    /// Reading it would take more memory or time than a file of its size may.
    TooComplex,
}

impl Refusal {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "FILE_EMPTY",
            Self::TooLarge(_) => "FILE_TOO_LARGE",
            Self::UnsupportedType(_) => "FILE_TYPE_UNSUPPORTED",
            Self::Encrypted => "FILE_ENCRYPTED",
            Self::Malformed(_) => "FILE_MALFORMED",
            Self::TooComplex => "FILE_TOO_COMPLEX",
        }
    }

    /// What is wrong and what to do about it.
    pub fn text(&self) -> Text {
        match self {
            Self::Empty => Text::new(
                "the file is empty; choose it again, its upload may have broken off",
                "文件为空；请重新选择文件，上传可能已中断",
            ),
            Self::TooLarge(bytes) => Text::new(
                format!(
                    "the file has {bytes} bytes and may have {MAX_FILE_BYTES}; reduce its resolution or split it"
                ),
                format!("文件大小为 {bytes} 字节，上限为 {MAX_FILE_BYTES} 字节；请降低分辨率或拆分文件"),
            ),
            Self::UnsupportedType(Some(found)) => Text::new(
                format!("the file seems to be {found}; only PDF, JPEG and PNG are taken: convert it first"),
                format!("文件似乎是 {found}；仅接受 PDF、JPEG 和 PNG，请先转换格式"),
            ),
            Self::UnsupportedType(None) => Text::new(
                "the file is of an unknown type; only PDF, JPEG and PNG are taken: convert it first",
                "无法识别文件类型；仅接受 PDF、JPEG 和 PNG，请先转换格式",
            ),
            Self::Encrypted => Text::new(
                "the PDF is encrypted, so the bank could not read it; save it without a password",
                "该 PDF 已加密，银行将无法阅读；请另存为无密码的文件",
            ),
            Self::Malformed(_) => Text::new(
                "the file is damaged and cannot be read; open it and save it anew, or print it to a PDF",
                "文件已损坏，无法读取；请打开后重新保存，或打印为 PDF",
            ),
            Self::TooComplex => Text::new(
                "the file unpacks to far more than its size suggests; print it to a new PDF",
                "文件解压后远超其大小；请打印为新的 PDF",
            ),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text().en)
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::TooLarge(_) => ErrorKind::PayloadTooLarge,
            Refusal::UnsupportedType(_) => ErrorKind::UnsupportedMediaType,
            _ => ErrorKind::Unprocessable,
        };
        let Text { en, zh } = refusal.text();
        let error = Self::new(kind, refusal.code(), en, zh);
        match refusal {
            Refusal::Malformed(reason) => error.with_internal(reason),
            _ => error,
        }
    }
}
