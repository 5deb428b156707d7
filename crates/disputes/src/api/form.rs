//! The form that a file of evidence comes in.

use std::time::Duration;

use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use payops_platform::error::{Error, ErrorKind, Result};
use payops_platform::http::{Problems, check_text};
use utoipa::ToSchema;

use crate::documents::MAX_FILE_BYTES;
use crate::evidence::EvidenceKind;

/// How long a part that is a text may be, in bytes.
const MOST_TEXT: usize = 8 << 10;
/// How many characters a description has at most, as in the table.
pub(super) const MOST_DESCRIPTION: usize = 500;
/// How large a form may be: a file that is a little too large is read and refused as such.
pub(super) const MOST_BODY: usize = MAX_FILE_BYTES + (1 << 20);
/// How long the rest of a form that was refused is read.
const REST_PATIENCE: Duration = Duration::from_secs(5);

/// A file of evidence.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the form for the documentation")]
pub(super) struct EvidenceForm {
    /// The kind of file, such as `receipt`.
    #[schema(example = "receipt")]
    evidence_type: String,
    /// For people; the channel does not get it.
    #[schema(max_length = 500)]
    description: Option<String>,
    /// The file: PDF, JPEG or PNG, told by its bytes; at most 5,000,000 of them.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// A form that was read.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) kind: EvidenceKind,
    pub(super) description: String,
    pub(super) name: String,
    pub(super) bytes: Bytes,
}

/// Whether a request brings a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("multipart/form-data")
}

/// Reads the form to its end.
pub(super) async fn read(request: Request) -> Result<Upload> {
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|error| unreadable(error.body_text()))?;
    let upload = take(&mut form).await;
    if upload.is_err() {
        // A client that is still sending reads an answer only when it has sent all.
        let rest = async { while matches!(form.next_field().await, Ok(Some(_))) {} };
        let _ended = tokio::time::timeout(REST_PATIENCE, rest).await;
    }
    upload
}

async fn take(form: &mut Multipart) -> Result<Upload> {
    let (mut kind, mut description, mut file) = (None, None, None);
    while let Some(field) = form.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        let again = match name.as_str() {
            "evidence_type" => kind.replace(text(&name, field).await?).is_some(),
            "description" => description.replace(text(&name, field).await?).is_some(),
            "file" => {
                let called = field.file_name().unwrap_or_default().to_owned();
                file.replace((called, content(field, MAX_FILE_BYTES).await?.ok_or_else(too_large)?)).is_some()
            }
            _ => return Err(Error::invalid_field(name, "no such part of the form", "表单中没有此部分")),
        };
        if again {
            return Err(Error::invalid_field(name, "this part comes twice", "该部分重复"));
        }
    }
    let mut problems = Problems::default();
    let kind = problems.note(kind.ok_or_else(|| missing("evidence_type")).and_then(|word| parse_kind(&word)));
    let file = problems.note(file.ok_or_else(|| missing("file")));
    let description = description.unwrap_or_default();
    problems.note(check_text("description", &description, 0, MOST_DESCRIPTION));
    problems.none()?;
    let missed = || Error::internal("a form without a problem lacks a part");
    let (kind, (name, bytes)) = (kind.ok_or_else(missed)?, file.ok_or_else(missed)?);
    Ok(Upload { kind, description: description.trim().to_owned(), name, bytes })
}

fn parse_kind(word: &str) -> Result<EvidenceKind> {
    EvidenceKind::parse(word.trim()).ok_or_else(|| {
        let kinds = EvidenceKind::all().map(EvidenceKind::as_str).collect::<Vec<_>>().join(", ");
        Error::invalid_field(
            "evidence_type",
            format!("a file is one of: {kinds}"),
            format!("文件类型应为以下之一：{kinds}"),
        )
    })
}

/// What a part holds, or `None` where that is more than `most`.
async fn content(mut field: Field<'_>, most: usize) -> Result<Option<Bytes>> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = field.chunk().await.map_err(broken)? {
        if bytes.len() + chunk.len() > most {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes.freeze()))
}

async fn text(name: &str, field: Field<'_>) -> Result<String> {
    let bytes = content(field, MOST_TEXT).await?;
    let bytes = bytes
        .ok_or_else(|| Error::invalid_field(name, "the part is larger than 8 KiB", "该部分大于 8 KiB"))?;
    String::from_utf8(bytes.into())
        .map_err(|_| Error::invalid_field(name, "the part is not UTF-8", "该部分不是 UTF-8"))
}

fn missing(part: &'static str) -> Error {
    Error::invalid_field(part, "this part of the form is missing", "缺少表单的此部分")
}

fn too_large() -> Error {
    Error::new(
        ErrorKind::PayloadTooLarge,
        "FILE_TOO_LARGE",
        format!("the file has more than {MAX_FILE_BYTES} bytes; reduce its resolution or split it"),
        format!("文件超过 {MAX_FILE_BYTES} 字节；请降低分辨率或拆分文件"),
    )
}

/// A form that breaks off, is too large, or is none.
#[expect(clippy::needless_pass_by_value, reason = "it is the argument of map_err")]
fn broken(error: MultipartError) -> Error {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE { too_large() } else { unreadable(error.body_text()) }
}

fn unreadable(why: String) -> Error {
    let zh = format!("无法读取表单：{why}");
    Error::invalid_field("", why, zh)
}
