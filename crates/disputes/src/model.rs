//! The words of disputes: where one stands, in which phase, and what can be written into its timeline.

use sea_orm::sea_query::StringLen;
use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use crate::lifecycle::{Phase, Status};

/// The channels that disputes come from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(50))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Stripe: disputes come by webhook, and answers are sent to it.
    Stripe,
    /// PayPal: entered by hand.
    Paypal,
    /// Alipay: entered by hand.
    Alipay,
    /// WeChat Pay: entered by hand.
    Wechat,
    /// Adyen: entered by hand.
    Adyen,
}

impl Channel {
    /// The channel's word on the wire and in numbers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Paypal => "paypal",
            Self::Alipay => "alipay",
            Self::Wechat => "wechat",
            Self::Adyen => "adyen",
        }
    }
}

/// How a decided dispute ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The money stays ours.
    Won,
    /// The money is the customer's.
    Lost,
}

/// Why a dispute was lost, which the channel's object does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum LostCause {
    /// We conceded.
    Accepted,
    /// Nothing was sent before the deadline.
    Expired,
    /// The issuer decided against the evidence.
    Decided,
}

/// What a person should look at.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(40))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// Neither the channel's data nor the gateway say which payment it is about.
    PaymentUnknown,
    /// Several disputes were entered by hand for this payment and amount: which of them the channel's is, is not known.
    MaybeTheSame,
}

/// What a row of the timeline tells. The first eight are the ones that every system of this kind has.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(40))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum TimelineEvent {
    /// The dispute became known, or was entered.
    Created,
    /// Something about it changed that is not its status.
    Updated,
    /// Its status changed.
    StatusChanged,
    /// Somebody got it to work on.
    Assigned,
    /// Evidence was added.
    EvidenceAdded,
    /// Evidence was taken away.
    EvidenceDeleted,
    /// The answer was sent.
    Submitted,
    /// It was read from the channel.
    Synced,
    /// A channel's dispute was found for one that was entered by hand.
    Adopted,
    /// The payment that it is about became known.
    Linked,
    /// An answer was packed and waits for its time.
    SubmissionHeld,
    /// An answer that waited was called off.
    SubmissionWithdrawn,
    /// The channel would not take an answer.
    SubmissionRefused,
    /// It was conceded.
    Accepted,
    /// Money was taken or given back.
    MoneyMoved,
    /// Somebody wrote something down.
    Noted,
    /// A reminder of the deadline.
    Reminded,
    /// The deadline passed without an answer.
    DeadlineMissed,
    /// Nobody could say which payment it is about, and operators were told.
    PaymentUnknown,
    /// What is personal in it was erased.
    Erased,
}
