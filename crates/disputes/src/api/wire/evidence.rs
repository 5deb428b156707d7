//! Evidence, checklists, preflights and packets on the wire.

use chrono::{DateTime, Utc};
use payops_platform::error::{Error, Result};
use payops_platform::http::{Problems, check_text};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::documents::kind::{Format, Notice as FileNotice, misnamed};
use crate::evidence::TextField;
use crate::evidence::checklist::{self, ChecklistItem, Importance, Item, ProductType};
use crate::evidence::preflight;
use crate::ops::evidence::{Content, NewEvidence, Opened, Personal};
use crate::ops::packet::Manifest;
use crate::store::dispute::Model as Row;
use crate::store::evidence::FEE_ACKNOWLEDGED;

/// A text for one field of the channel's evidence. It takes the place of an older one.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "evidence_type": "shipping_carrier", "text_content": "DHL" }))]
pub struct NewText {
    /// The field, such as `shipping_carrier`; or `fee_acknowledged`, which accepts the network's fee for contesting a
    /// compliance case.
    pub evidence_type: String,
    /// The text: 20,000 or 5,000 characters at most, by field; `true` for `fee_acknowledged`.
    pub text_content: String,
    /// For people; the channel does not get it.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub description: String,
}

impl NewText {
    /// The evidence, or every field that is wrong.
    pub(crate) fn evidence(&self, most_description: usize) -> Result<NewEvidence> {
        let mut problems = Problems::default();
        problems.note(check_text("description", &self.description, 0, most_description));
        let text = self.text_content.trim();
        let field = problems.note(self.field());
        if let Some(Some(field)) = field {
            problems.note(check_text("text_content", text, 1, field.max_chars()));
        } else if field.is_some() && text != "true" {
            let zh = "fee_acknowledged 只接受 true；如需撤销，请删除该证据";
            problems.refuse(
                "text_content",
                "fee_acknowledged takes true; to take it back, delete the evidence",
                zh,
            );
        }
        problems.none()?;
        Ok(NewEvidence {
            evidence_type: field.flatten().map_or(FEE_ACKNOWLEDGED, TextField::as_str),
            description: self.description.trim().to_owned(),
            content: Content::Text(text.to_owned()),
        })
    }

    /// The field, or `None` for the network's fee.
    fn field(&self) -> Result<Option<TextField>> {
        if self.evidence_type == FEE_ACKNOWLEDGED {
            return Ok(None);
        }
        TextField::parse(&self.evidence_type).map(Some).ok_or_else(|| {
            let fields = TextField::ALL.iter().map(|field| field.as_str()).collect::<Vec<_>>().join(", ");
            Error::invalid_field(
                "evidence_type",
                format!("a text is one of: {fields}, {FEE_ACKNOWLEDGED}; files come as multipart/form-data"),
                format!(
                    "文字类型应为以下之一：{fields}, {FEE_ACKNOWLEDGED}；文件请以 multipart/form-data 上传"
                ),
            )
        })
    }
}

/// A piece of evidence: a file or a text.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// Its id.
    pub id: Uuid,
    /// The dispute.
    pub dispute_id: Uuid,
    /// A kind of file, or the name of a text.
    pub evidence_type: String,
    /// Files: the name, cleaned; null after it was erased.
    pub file_name: Option<String>,
    /// Files: the media type, by the first bytes.
    pub content_type: Option<String>,
    /// Files: how many bytes.
    pub file_size: Option<i64>,
    /// Files: how many pages; an image is one.
    pub pages: Option<i32>,
    /// Files: the SHA-256 of the bytes, in lower-case hexadecimal.
    pub sha256: Option<String>,
    /// Texts: the text; null after it was erased.
    pub text_content: Option<String>,
    /// For people; empty after it was erased.
    pub description: String,
    /// Whether text, description, file and its name were erased: there is no content any more.
    pub erased: bool,
    /// Who added it.
    pub uploaded_by: String,
    /// When an answer with it was sent; null: not yet. After that it cannot be deleted.
    pub submitted_at: Option<DateTime<Utc>>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// What its owner should know, though the file is taken.
    pub notices: Vec<Notice>,
}

/// Something that the owner of a file should know.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Notice {
    /// `FILE_MISNAMED`: the name promises another type than the bytes are; `FILE_RENAMED`: the name was cleaned.
    pub code: String,
    /// In English.
    pub message: String,
    /// In Chinese.
    pub message_zh: String,
}

impl From<&FileNotice> for Notice {
    fn from(notice: &FileNotice) -> Self {
        let text = notice.text();
        Self {
            code: notice.code().to_owned(),
            message: text.en.into_owned(),
            message_zh: text.zh.into_owned(),
        }
    }
}

impl Evidence {
    /// Where its content is.
    pub(crate) fn content_path(id: Uuid) -> String {
        format!("/api/v1/disputes/evidence/{id}/content")
    }

    /// Without what must not be kept in the clear.
    #[must_use]
    pub(crate) fn without_personal(self) -> Self {
        Self { text_content: None, description: String::new(), file_name: None, notices: Vec::new(), ..self }
    }

    /// With what is personal in it, as it stands now.
    #[must_use]
    pub(crate) fn with_personal(self, personal: Option<Personal>) -> Self {
        let erased = personal.is_none();
        let Personal { text, description, file_name, sent_as } = personal.unwrap_or_default();
        let format = self.content_type.as_deref().and_then(Format::of_media_type);
        let misnamed = file_name.as_deref().zip(format).and_then(|(name, format)| misnamed(name, format));
        let renamed = sent_as.map(|from| FileNotice::Renamed { from });
        let notices = misnamed.iter().chain(&renamed).map(Notice::from).collect();
        Self { text_content: text, description, file_name, notices, erased, ..self }
    }
}

impl From<Opened> for Evidence {
    fn from(Opened { row, personal }: Opened) -> Self {
        let shown = Self {
            id: row.id,
            dispute_id: row.dispute_id,
            evidence_type: row.evidence_type,
            file_name: None,
            content_type: row.content_type,
            file_size: row.file_size,
            pages: row.pages,
            sha256: row.sha256,
            text_content: None,
            description: String::new(),
            erased: false,
            uploaded_by: row.uploaded_by,
            submitted_at: row.submitted_at,
            created_at: row.created_at,
            notices: Vec::new(),
        };
        shown.with_personal(personal)
    }
}

/// What a dispute calls for, and what of it is there.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Checklist {
    /// The dispute.
    pub dispute_id: Uuid,
    /// Why it was opened, in the channel's word. One that is not known is treated as `general`.
    pub reason: String,
    /// What was sold.
    pub product_type: ProductType,
    /// Whether everything that is recommended is there.
    pub complete: bool,
    /// The recommended items first.
    pub items: Vec<ChecklistLine>,
}

/// One item of a checklist.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ChecklistLine {
    /// The evidence type that it is added as.
    pub evidence_type: String,
    /// Whether it is a file or a text.
    pub form: ItemForm,
    /// Its name in English.
    pub label: String,
    /// Its name in Chinese.
    pub label_zh: String,
    /// `recommended`: it decides disputes of this reason; `background`: it helps in every dispute.
    #[schema(value_type = String)]
    pub importance: Importance,
    /// Whether it is there. What the channel has by itself counts.
    pub satisfied: bool,
}

/// How a piece of evidence comes.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ItemForm {
    /// A form with a file.
    File,
    /// JSON with a text.
    Text,
}

impl Checklist {
    pub(crate) fn of(dispute: &Row, list: &checklist::Checklist) -> Self {
        Self {
            dispute_id: dispute.id,
            reason: dispute.reason.clone(),
            product_type: dispute.product_type,
            complete: list.complete,
            items: list.items.iter().map(ChecklistLine::from).collect(),
        }
    }
}

impl From<&ChecklistItem> for ChecklistLine {
    fn from(line: &ChecklistItem) -> Self {
        let label = line.item.label();
        Self {
            evidence_type: line.item.as_str().to_owned(),
            form: if matches!(line.item, Item::File(_)) { ItemForm::File } else { ItemForm::Text },
            label: capitalised(&label.en),
            label_zh: label.zh.into_owned(),
            importance: line.importance,
            satisfied: line.satisfied,
        }
    }
}

/// With a capital at its beginning: it stands alone.
fn capitalised(label: &str) -> String {
    let mut characters = label.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// Whether the channel would take what the dispute has now.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Preflight {
    /// Whether nothing blocks it: neither the packet itself nor the dispute's status or deadline.
    pub may_send: bool,
    /// The SHA-256 of the packet as it is now.
    pub packet_sha256: String,
    /// Everything that stands against it, and what should be known before.
    pub problems: Vec<PacketProblem>,
}

/// Something that stands against sending, or should be known before.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PacketProblem {
    /// A stable code.
    pub code: String,
    /// Whether the packet is not sent like this.
    pub blocks: bool,
    /// The file's name or the evidence type; null: the packet as a whole.
    pub about: Option<String>,
    /// The piece of evidence, where it is about a file.
    pub evidence_id: Option<Uuid>,
    /// In English.
    pub message: String,
    /// In Chinese.
    pub message_zh: String,
}

impl PacketProblem {
    /// What stands against any answer to the dispute.
    pub(crate) fn refusal(error: &Error) -> Self {
        Self {
            code: error.code().to_owned(),
            blocks: true,
            about: None,
            evidence_id: None,
            message: error.text().en.to_string(),
            message_zh: error.text().zh.to_string(),
        }
    }

    /// `attached` are the pieces of evidence that are files, in the order of the preflight.
    pub(crate) fn of(problem: &preflight::Problem, attached: &[Uuid]) -> Self {
        let evidence_id = match problem.about {
            preflight::About::File { index, .. } => attached.get(index).copied(),
            preflight::About::Packet | preflight::About::Item(_) => None,
        };
        Self {
            code: problem.code.to_owned(),
            blocks: problem.blocks,
            about: problem.about.name().map(str::to_owned),
            evidence_id,
            message: problem.text.en.to_string(),
            message_zh: problem.text.zh.to_string(),
        }
    }
}

/// What is, was or would be sent.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PacketView {
    /// Whether it was sent.
    pub state: PacketState,
    /// The SHA-256 of `packet` as JSON with the names in order and without blanks.
    pub packet_sha256: String,
    /// What is in it.
    pub packet: Manifest,
}

/// Whether a packet was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PacketState {
    /// It would be sent if it were sent now.
    Draft,
    /// It is on its way.
    Sending,
    /// The channel has it.
    Sent,
}

/// How a packet is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PacketFormat {
    /// The list of what is in it.
    #[default]
    Json,
    /// All of it, to read and to print.
    Pdf,
}

/// The language of a packet's headings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PacketLanguage {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    Zh,
}

/// How a packet is wanted.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PacketQuery {
    /// `json` unless named.
    #[serde(default)]
    #[param(inline)]
    pub format: PacketFormat,
    /// The language of the PDF's headings; `en` unless named.
    #[serde(default)]
    #[param(inline)]
    pub language: PacketLanguage,
}
