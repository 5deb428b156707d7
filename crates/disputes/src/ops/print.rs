//! The packet as a PDF: exactly what the channel has or would get, to read and to print.

use std::collections::BTreeMap;

use bytes::Bytes;
use payops_core::currency::{Currency, Exponents};
use payops_core::money::format_major;
use payops_platform::error::{Error, Language, Result};

use super::packet::Manifest;
use crate::Disputes;
use crate::documents::packet::{Contents, Fact, Packet, PacketError, PacketFile, packet};
use crate::evidence::TextField;
use crate::model::Channel;
use crate::store::dispute::Model as Dispute;
use crate::vault::DisputeKeys;

/// Prints a packet, whose files are in the store or among `contents`.
///
/// # Errors
/// 410 `ERASED`; 422 `EVIDENCE_FILE_MISSING` where the store has lost a file; 503 while the store is away.
pub(crate) async fn print(
    app: &Disputes,
    keys: &DisputeKeys,
    dispute: Dispute,
    manifest: Manifest,
    mut contents: BTreeMap<String, Bytes>,
    language: Language,
) -> Result<Packet> {
    for file in &manifest.files {
        if !contents.contains_key(&file.sha256) {
            contents.insert(file.sha256.clone(), app.files.get(keys, &file.sha256).await?);
        }
    }
    let made = tokio::task::spawn_blocking(move || make(&dispute, &manifest, &contents, language));
    made.await.map_err(Error::internal)?
}

fn make(
    dispute: &Dispute,
    manifest: &Manifest,
    contents: &BTreeMap<String, Bytes>,
    language: Language,
) -> Result<Packet> {
    let facts = facts(dispute, manifest, language);
    let name = dispute.channel_dispute_id.as_ref().unwrap_or(&dispute.dispute_no);
    let title = match language {
        Language::English => format!("Answer to dispute {name}"),
        Language::Chinese => format!("争议 {name} 的答复"),
    };
    let sent = |&field: &TextField| manifest.texts.get(&field).or_else(|| manifest.given.texts.get(&field));
    let texts: Vec<_> =
        TextField::ALL.iter().filter_map(|field| Some((*field, sent(field)?.as_str()))).collect();
    let files: Vec<_> = (manifest.files.iter())
        .filter_map(|file| {
            let bytes = contents.get(&file.sha256)?;
            let (kind, format, pages) = (file.evidence_type, file.format, file.pages);
            Some(PacketFile { kind, name: &file.file_name, format, bytes, pages })
        })
        .collect();
    let whole =
        Contents { language, title: &title, facts: &facts, cover_letter: "", texts: &texts, files: &files };
    packet(&whole).map_err(|error| match error {
        PacketError::File(error) => error.refusal.into(),
        PacketError::Text(why) => Error::internal(why),
    })
}

fn facts(dispute: &Dispute, manifest: &Manifest, language: Language) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut tell = |en: &str, zh: &str, value: Option<String>| {
        let label = if language == Language::Chinese { zh } else { en };
        facts.extend(value.map(|value| Fact { label: label.to_owned(), value }));
    };
    tell("Dispute", "争议编号", Some(dispute.dispute_no.clone()));
    tell("Channel", "渠道", Some(dispute.channel.as_str().to_owned()));
    tell("Channel's dispute", "渠道争议编号", dispute.channel_dispute_id.clone());
    tell("Charge", "扣款编号", dispute.channel_charge_id.clone());
    tell("Payment", "支付单号", dispute.payment_no.clone());
    tell("Amount", "金额", Some(amount(dispute)));
    tell("Reason", "原因", Some(dispute.reason.clone()));
    tell("Network's reason code", "卡组织原因码", dispute.network_reason_code.clone());
    let due_by = dispute.evidence_due_by.map(|due| due.format("%Y-%m-%d %H:%M UTC").to_string());
    tell("Answer due by", "答复截止时间", due_by);
    let fee = if language == Language::Chinese { "已确认" } else { "accepted" };
    tell("Network's fee", "卡组织费用", manifest.fee_acknowledged.then(|| fee.to_owned()));
    for (kind, file) in &manifest.given.files {
        let (label, held) =
            (kind.label(), if language == Language::Chinese { "渠道已有" } else { "held by the channel as" });
        tell(&label.en, &label.zh, Some(format!("{held} {file}")));
    }
    facts
}

/// In major units, as people write it.
fn amount(dispute: &Dispute) -> String {
    let exponents = if dispute.channel == Channel::Stripe { Exponents::Stripe } else { Exponents::Iso4217 };
    match dispute.currency.parse::<Currency>() {
        Ok(currency) => format!(
            "{} {currency}",
            format_major(dispute.amount, exponents.of(currency)),
            currency = currency.as_str()
        ),
        // The table holds no other; a number that is not understood is shown as it is.
        Err(_) => format!("{} {}", dispute.amount, dispute.currency),
    }
}
