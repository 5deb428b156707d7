//! Before a refund: whether it would pay the customer a second time, as far as payops knows.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use futures::FutureExt;
use payops_core::time::Timestamp;
use payops_platform::error::Result;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Disputes;
use crate::lifecycle::{Owner, Status};
use crate::model::Channel;
use crate::store::dispute::{self, Model as Dispute};
use crate::store::{reading, sweep};

/// Knowledge that is older than this is no ground for a "no".
const OLD: TimeDelta = TimeDelta::days(1);

/// Whether a refund now would pay twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PayTwice {
    /// It would not, as of `known_as_of`.
    No,
    /// payops cannot say. This is not "no".
    Unknown,
    /// It would: the customer has the money, or the channel holds it back for the customer.
    Yes,
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Yes: a chargeback is not decided; its amount is withdrawn.
    ChargebackOpen,
    /// Yes: a dispute was lost; the customer has its amount.
    DisputeLost,
    /// Yes: the payment was refunded already.
    AlreadyRefunded,
    /// Unknown: it was settled before it became a dispute, maybe by a refund.
    Prevented,
    /// Unknown: the channel says something about a dispute that is not known here.
    StatusUnknown,
    /// Unknown: the channel says that the payment cannot be refunded now.
    NotRefundable,
    /// Unknown: the channel has news of a dispute that was not read yet.
    NewsNotRead,
    /// Unknown: what is known was read more than a day ago.
    KnowledgeOld,
    /// Unknown: it was not said which channel the payment went through.
    ChannelNotNamed,
    /// Unknown: payops does not read this channel; it knows what people enter.
    ChannelNotRead,
    /// Unknown: there are disputes that nobody could tie to a payment; the channel's id of the payment would tell.
    UnlinkedDisputes,
    /// No: an inquiry is open and no money has moved. A refund in full ends it; one in part may not.
    InquiryOpen,
    /// No: an inquiry ended without a chargeback.
    InquiryClosed,
    /// No: a dispute was won; the money is ours again.
    DisputeWon,
    /// No: the channel's list of disputes holds none of this payment.
    NoDispute,
}

impl Reason {
    fn verdict(self) -> PayTwice {
        match self {
            Self::ChargebackOpen | Self::DisputeLost | Self::AlreadyRefunded => PayTwice::Yes,
            Self::Prevented
            | Self::StatusUnknown
            | Self::NotRefundable
            | Self::NewsNotRead
            | Self::KnowledgeOld
            | Self::ChannelNotNamed
            | Self::ChannelNotRead
            | Self::UnlinkedDisputes => PayTwice::Unknown,
            Self::InquiryOpen | Self::InquiryClosed | Self::DisputeWon | Self::NoDispute => PayTwice::No,
        }
    }
}

/// What is known of a payment's disputes.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) verdict: PayTwice,
    /// Those that led to the verdict.
    pub(crate) reasons: BTreeSet<Reason>,
    /// The oldest instant that the verdict rests on.
    pub(crate) as_of: Option<Timestamp>,
    pub(crate) disputes: Vec<Dispute>,
}

/// Which payment is asked about.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) payment_no: String,
    pub(crate) channel: Option<Channel>,
    pub(crate) channel_payment_id: Option<String>,
}

/// What is known beside the disputes themselves.
struct Around {
    swept_at: Option<Timestamp>,
    news_of_unknown: bool,
    unlinked: bool,
    with_news: Vec<String>,
}

/// Tells whether a refund of a payment would pay twice.
pub(crate) async fn would_pay_twice(app: &Disputes, about: About) -> Result<Known> {
    let (now, backend) = (app.context.now(), app.context.db.backend());
    let asked = about.clone();
    // One picture: a reading that ends meanwhile is either in all of it or in nothing.
    let read = app.context.db.snapshot(move |conn| {
        async move {
            let stripe = Channel::Stripe;
            let disputes =
                dispute::about(conn, &about.payment_no, about.channel_payment_id.as_deref()).await?;
            let ids: Vec<&str> =
                disputes.iter().filter_map(|dispute| dispute.channel_dispute_id.as_deref()).collect();
            let around = Around {
                swept_at: sweep::read_at(conn, stripe).await?,
                news_of_unknown: reading::news_of_unknown(conn, backend, stripe).await?,
                unlinked: dispute::any_unlinked(conn, stripe).await?,
                with_news: reading::with_news(conn, stripe, &ids).await?,
            };
            Ok((disputes, around))
        }
        .boxed()
    });
    let (disputes, around) = read.await?;
    Ok(judge(&asked, disputes, &around, now))
}

fn judge(about: &About, disputes: Vec<Dispute>, around: &Around, now: Timestamp) -> Known {
    let mut found: Vec<(Reason, Option<Timestamp>)> = Vec::new();
    for dispute in &disputes {
        found.extend(of_dispute(dispute, around, now));
    }
    found.extend(of_channel(about, &disputes, around, now));
    let verdict = found.iter().map(|(reason, _)| reason.verdict()).max().unwrap_or(PayTwice::Unknown);
    let led: Vec<_> = found.into_iter().filter(|(reason, _)| reason.verdict() == verdict).collect();
    Known {
        verdict,
        as_of: led.iter().filter_map(|(_, as_of)| *as_of).min(),
        reasons: led.into_iter().map(|(reason, _)| reason).collect(),
        disputes,
    }
}

/// What a dispute says of a refund, and since when that is known.
fn of_dispute(dispute: &Dispute, around: &Around, now: Timestamp) -> Vec<(Reason, Option<Timestamp>)> {
    let as_of = Some(dispute.channel_read_at.unwrap_or(dispute.updated_at));
    let reason = match dispute.status {
        Status::NeedsResponse | Status::UnderReview => Reason::ChargebackOpen,
        Status::Lost => Reason::DisputeLost,
        Status::ChargeRefunded => Reason::AlreadyRefunded,
        Status::Prevented => Reason::Prevented,
        Status::Unknown => Reason::StatusUnknown,
        Status::WarningNeedsResponse | Status::WarningUnderReview => Reason::InquiryOpen,
        Status::WarningClosed => Reason::InquiryClosed,
        Status::Won => Reason::DisputeWon,
    };
    let mut reasons = vec![reason];
    if reason.verdict() == PayTwice::No && dispute.owner() == Owner::Channel {
        let id = dispute.channel_dispute_id.as_deref();
        if around.with_news.iter().any(|with_news| Some(with_news.as_str()) == id) {
            reasons.push(Reason::NewsNotRead);
        }
        if dispute.is_charge_refundable == Some(false) {
            reasons.push(Reason::NotRefundable);
        }
        let open = !dispute.status.is_closed();
        if open && dispute.channel_read_at.is_none_or(|read| now - read > OLD) {
            reasons.push(Reason::KnowledgeOld);
        }
    }
    reasons.into_iter().map(|reason| (reason, as_of)).collect()
}

/// What the channel as a whole says: it may know of disputes that are not among these.
fn of_channel(
    about: &About,
    disputes: &[Dispute],
    around: &Around,
    now: Timestamp,
) -> Vec<(Reason, Option<Timestamp>)> {
    let channel = about.channel.or_else(|| disputes.first().map(|dispute| dispute.channel));
    let Some(channel) = channel else { return vec![(Reason::ChannelNotNamed, None)] };
    if channel != Channel::Stripe {
        // Of what people enter, the last word on the disputes that are there is all there is.
        return if disputes.is_empty() { vec![(Reason::ChannelNotRead, None)] } else { Vec::new() };
    }
    let Some(swept_at) = around.swept_at else { return vec![(Reason::ChannelNotRead, None)] };
    let mut reasons = Vec::new();
    if now - swept_at > OLD {
        reasons.push(Reason::KnowledgeOld);
    }
    if around.news_of_unknown {
        reasons.push(Reason::NewsNotRead);
    }
    // With the channel's own id of the payment, what nobody could tie to ours does not matter.
    if around.unlinked && about.channel_payment_id.is_none() {
        reasons.push(Reason::UnlinkedDisputes);
    }
    if reasons.is_empty() && disputes.is_empty() {
        reasons.push(Reason::NoDispute);
    }
    reasons.into_iter().map(|reason| (reason, Some(swept_at))).collect()
}
