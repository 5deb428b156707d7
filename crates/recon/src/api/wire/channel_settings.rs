//! Settings of channel accounts on the wire.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::utc;
use crate::model::{Channel, CutOffCovers};
use crate::ops::channel_settings::USUAL_LOOKBACK_DAYS;
use crate::payouts::PayoutRules;
use crate::store::channel_settings;

/// Asks for settings of a channel account, or for others in their place.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "channel": "adyen", "timezone": "Europe/Amsterdam",
    "cut_off": { "time": "22:00", "timezone": "America/New_York" }, "lookback_days": 5, "net_by_payment": true,
    "payout_window": 3, "payout_words": ["Adyen", "Adyen N.V."]
}))]
pub struct NewChannelSettings {
    /// The channel.
    pub channel: Channel,
    /// The channel account, where there are several.
    #[serde(default)]
    #[schema(max_length = 128)]
    pub account: String,
    /// The IANA zone that defines the days; `Etc/UTC` when absent.
    #[serde(default = "utc")]
    pub timezone: String,
    /// When the channel's files end. When absent, only what is pending may be in the next one, from the whole day.
    #[serde(default)]
    pub cut_off: Option<CutOff>,
    /// For so many days a row is looked for; 7 when absent.
    #[serde(default = "usual_lookback")]
    #[schema(minimum = 1, maximum = 90)]
    pub lookback_days: i32,
    /// Whether rows of one payment of which no two agree are compared by their sums.
    #[serde(default)]
    pub net_by_payment: bool,
    /// For so many days after a payout's own day the bank may book it before it is missing; 5 when absent.
    #[serde(default = "usual_window")]
    #[schema(minimum = 0, maximum = 90)]
    pub payout_window: i32,
    /// By which words the bank's texts name the channel, in whichever letter case; the channel's own names when absent. An empty
    /// list means that every entry is the channel's.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub payout_words: Option<Vec<String>>,
}

/// A channel's cut-off: what happens between it and the end of the day may be in the next file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CutOff {
    /// The time of the day, as HH:MM.
    #[schema(max_length = 5)]
    pub time: String,
    /// The IANA zone whose clocks show it.
    pub timezone: String,
    /// Which rows it is about; `all` when absent.
    #[serde(default)]
    pub covers: CutOffCovers,
}

/// How the days of a channel account are matched.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ChannelSettings {
    /// Row id.
    pub id: Uuid,
    /// The channel.
    pub channel: Channel,
    /// The channel account; empty where there is only one.
    pub account: String,
    /// The zone that defines the days.
    pub timezone: String,
    /// When the channel's files end.
    pub cut_off: Option<CutOff>,
    /// For so many days a row is looked for.
    pub lookback_days: i32,
    /// Whether rows of one payment of which no two agree are compared by their sums.
    pub net_by_payment: bool,
    /// For so many days after a payout's own day the bank may book it before it is missing.
    pub payout_window: i32,
    /// By which words the bank's texts name the channel; `null` for the channel's own names.
    pub payout_words: Option<Vec<String>>,
    /// Who made them.
    pub created_by: String,
    /// Grows with each change; give it back in `If-Match`.
    pub version: i64,
    /// When they were made.
    pub created_at: DateTime<Utc>,
    /// When somebody changed them last.
    pub updated_at: DateTime<Utc>,
}

impl From<channel_settings::Model> for ChannelSettings {
    fn from(row: channel_settings::Model) -> Self {
        let payout_words = row.words();
        let covers = row.cut_off_covers;
        let cut_off = row.cut_off_time.zip(row.cut_off_zone);
        Self {
            id: row.id,
            channel: row.channel,
            account: row.account,
            timezone: row.timezone,
            cut_off: cut_off.map(|(time, timezone)| CutOff { time, timezone, covers }),
            lookback_days: row.lookback_days,
            net_by_payment: row.net_by_payment,
            payout_window: row.payout_window,
            payout_words,
            created_by: row.created_by,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

fn usual_window() -> i32 {
    PayoutRules::default().days_after.into()
}

fn usual_lookback() -> i32 {
    USUAL_LOOKBACK_DAYS
}
