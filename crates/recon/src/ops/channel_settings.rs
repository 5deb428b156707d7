//! How the days of a channel account are matched: its cut-off, how long rows are looked for, and whether several rows of
//! one payment are compared by their sums.

use std::collections::BTreeMap;

use chrono::NaiveTime;
use payops_core::time::{DayWindow, Timestamp, Zone};
use payops_platform::audit;
use payops_platform::auth::Actor;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use payops_platform::http::IfMatch;
use sea_orm::ConnectionTrait;
use serde_json::json;
use uuid::Uuid;

use crate::Reconciliation;
use crate::engine::CutOff;
use crate::error;
use crate::model::{Channel, CutOffCovers};
use crate::ops::tasks::{retry_unique, zone_named};
use crate::payouts::PayoutRules;
use crate::store::carried::Days;
use crate::store::channel_settings::{self, Model as ChannelSettings};
use crate::store::file::Subject;

/// For how many days a row is looked for, unless settings say otherwise.
pub const USUAL_LOOKBACK_DAYS: i32 = 7;
/// The longest that a row can be looked for.
pub const MOST_LOOKBACK_DAYS: i32 = 90;
/// The longest that a payout can be on its way.
const MOST_PAYOUT_WINDOW: i32 = 90;
/// The most words that can name a channel.
const MOST_PAYOUT_WORDS: usize = 20;
/// How times of the day are written.
const TIME: &str = "%H:%M";

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The channel.
    pub channel: Channel,
    /// The channel account; empty where there is only one.
    pub account: String,
    /// The IANA name of the zone that defines the days.
    pub timezone: String,
    /// After which time of the day, HH:MM, and in which zone, what happens may be in the next file.
    pub cut_off: Option<(String, String)>,
    /// Which rows that is true of.
    pub covers: CutOffCovers,
    /// For how many days a row is looked for.
    pub lookback_days: i32,
    /// Whether several rows of one payment are compared by their sums.
    pub net_by_payment: bool,
    /// For so many days after its own day a payout may be booked before it is missing.
    pub payout_window: i32,
    /// By which words the bank's texts name the channel; `None` for its own names.
    pub payout_words: Option<Vec<String>>,
}

/// Makes settings.
pub async fn create(app: &Reconciliation, tx: &Tx, actor: &Actor, plan: &Plan) -> Result<ChannelSettings> {
    let now = app.context.now();
    let row = ChannelSettings {
        id: app.context.new_id(),
        created_by: actor.id.clone(),
        version: 1,
        created_at: now,
        updated_at: now,
        ..planned(plan)?
    };
    if let Some(existing) = channel_settings::of(tx.conn(), row.days()).await? {
        return Err(error::channel_settings_exist(&existing));
    }
    // Lost a race for the days: the next try sees the other ones.
    let row = channel_settings::insert(tx, row).await.map_err(retry_unique)?;
    record(app, tx, actor, "channel_settings.created", &row).await?;
    Ok(row)
}

/// Puts other settings in their place, for every run from now on. Whose they are cannot be changed.
pub async fn replace(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    (id, if_match): (Uuid, &IfMatch),
    plan: &Plan,
) -> Result<ChannelSettings> {
    let old = channel_settings::lock(tx, id).await?;
    if_match.check(old.version)?;
    let new = planned(plan)?;
    error::check_same_subject([
        ("channel", old.channel == new.channel),
        ("account", old.account == new.account),
        ("timezone", old.timezone == new.timezone),
    ])?;
    let row = ChannelSettings { id, created_by: old.created_by.clone(), created_at: old.created_at, ..new };
    let row = channel_settings::replace(tx, old, row, app.context.now()).await?;
    record(app, tx, actor, "channel_settings.changed", &row).await?;
    Ok(row)
}

/// Removes settings: the usual way holds from now on. Gives them as they were.
pub async fn remove(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    (id, if_match): (Uuid, &IfMatch),
) -> Result<ChannelSettings> {
    let old = channel_settings::lock(tx, id).await?;
    if_match.check(old.version)?;
    let row = old.clone().into_inner();
    channel_settings::remove(tx, old).await?;
    record(app, tx, actor, "channel_settings.removed", &row).await?;
    Ok(row)
}

fn planned(plan: &Plan) -> Result<ChannelSettings> {
    let zone = zone_named(&plan.timezone)?;
    if !(1..=MOST_LOOKBACK_DAYS).contains(&plan.lookback_days) {
        return Err(Error::invalid_field(
            "lookback_days",
            format!("must be between 1 and {MOST_LOOKBACK_DAYS}"),
            format!("须在 1 至 {MOST_LOOKBACK_DAYS} 之间"),
        ));
    }
    if !(0..=MOST_PAYOUT_WINDOW).contains(&plan.payout_window) {
        return Err(Error::invalid_field(
            "payout_window",
            format!("must be between 0 and {MOST_PAYOUT_WINDOW}"),
            format!("须在 0 至 {MOST_PAYOUT_WINDOW} 之间"),
        ));
    }
    if plan.payout_words.as_ref().is_some_and(|words| words.len() > MOST_PAYOUT_WORDS) {
        return Err(Error::invalid_field(
            "payout_words",
            format!("must be at most {MOST_PAYOUT_WORDS} words"),
            format!("最多 {MOST_PAYOUT_WORDS} 个词"),
        ));
    }
    let mut words = plan.payout_words.iter().flatten();
    if let Some(place) = words.position(|word| !PayoutRules::is_word(word)) {
        return Err(Error::invalid_field(
            format!("payout_words[{place}]"),
            "must have at least three letters or digits, or two of another script",
            "至少须含三个字母或数字，或两个汉字",
        ));
    }
    let words = plan.payout_words.as_ref().map(|words| words.iter().map(|word| word.trim()));
    let cut_off = plan.cut_off.as_ref().map(|(time, zone)| cut_off(time, zone)).transpose()?;
    let (cut_off_time, cut_off_zone) = cut_off.unzip();
    Ok(ChannelSettings {
        id: Uuid::nil(),
        channel: plan.channel,
        account: plan.account.clone(),
        timezone: zone.name().to_owned(),
        cut_off_time,
        cut_off_zone,
        cut_off_covers: plan.covers,
        lookback_days: plan.lookback_days,
        net_by_payment: plan.net_by_payment,
        created_by: String::new(),
        version: 1,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        payout_window: plan.payout_window,
        payout_words: words.map(|words| json!(words.collect::<Vec<&str>>())),
    })
}

/// A time and a zone as they are stored.
fn cut_off(time: &str, zone: &str) -> Result<(String, String)> {
    let parsed = NaiveTime::parse_from_str(time, TIME).map_err(|_| {
        Error::invalid_field("cut_off.time", "is not a time as HH:MM", "应为 HH:MM 格式的时间")
    })?;
    let zone = Zone::named(zone).map_err(|unknown| {
        let zh = format!("'{zone}' 不是有效的 IANA 时区名，例如 Asia/Shanghai");
        Error::invalid_field("cut_off.timezone", unknown.to_string(), zh)
    })?;
    Ok((parsed.format(TIME).to_string(), zone.name().to_owned()))
}

async fn record(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    action: &str,
    row: &ChannelSettings,
) -> Result<()> {
    let detail = json!({
        "channel": row.channel,
        "account": row.account,
        "timezone": row.timezone,
        "cut_off_time": row.cut_off_time,
        "cut_off_zone": row.cut_off_zone,
        "cut_off_covers": row.cut_off_covers,
        "lookback_days": row.lookback_days,
        "net_by_payment": row.net_by_payment,
        "payout_window": row.payout_window,
        "payout_words": row.payout_words,
        "version": row.version,
    });
    audit::record(tx, &app.context, actor, action, "channel_settings", &row.id.to_string(), detail).await
}

/// How a run matches its day.
#[derive(Debug, Clone)]
pub struct Matching {
    /// What may be in the next file.
    pub cut_off: CutOff,
    /// For how many days a row is looked for.
    pub lookback_days: i32,
    /// Whether several rows of one payment are compared by their sums.
    pub net_by_payment: bool,
    /// How payouts find their deposits.
    pub payouts: PayoutRules,
    /// What a certificate says of it: what is not as usual.
    pub parameters: BTreeMap<String, String>,
}

impl Matching {
    /// How a day is matched by the settings that there are for it. Without any, what is pending at the end of its day may be
    /// in the next file.
    pub fn of(channel: Channel, settings: Option<&ChannelSettings>, day: DayWindow) -> Result<Self> {
        let payouts = payout_rules(channel, settings);
        let Some(settings) = settings else {
            return Ok(Self {
                cut_off: CutOff { window: day, pending_only: true },
                lookback_days: USUAL_LOOKBACK_DAYS,
                net_by_payment: false,
                payouts,
                parameters: BTreeMap::new(),
            });
        };
        let pending_only = settings.cut_off_covers == CutOffCovers::Pending;
        let mut parameters = BTreeMap::from([
            ("lookback_days".to_owned(), settings.lookback_days.to_string()),
            ("net_by_payment".to_owned(), settings.net_by_payment.to_string()),
        ]);
        let cut_off = match (&settings.cut_off_time, &settings.cut_off_zone) {
            (Some(time), Some(zone)) => {
                let covers = if pending_only { "pending" } else { "all" };
                parameters.insert("cut_off".to_owned(), format!("{time} {zone} {covers}"));
                CutOff { window: window(settings, time, zone, day)?, pending_only }
            }
            _ => CutOff { window: day, pending_only: true },
        };
        let (lookback_days, net_by_payment) = (settings.lookback_days, settings.net_by_payment);
        Ok(Self { cut_off, lookback_days, net_by_payment, payouts, parameters })
    }
}

/// How payouts find their deposits by the settings that there are.
fn payout_rules(channel: Channel, settings: Option<&ChannelSettings>) -> PayoutRules {
    let usual = PayoutRules::of_channel(channel.as_str());
    let Some(settings) = settings else { return usual };
    PayoutRules {
        days_after: u16::try_from(settings.payout_window).unwrap_or(usual.days_after),
        words: settings.words().unwrap_or(usual.words),
        ..usual
    }
}

/// How the payouts of the days of a file or task find their deposits.
pub async fn payout_rules_of(conn: &impl ConnectionTrait, like: &Subject) -> Result<PayoutRules> {
    let days = Days { channel: like.channel, account: &like.account, timezone: &like.timezone };
    Ok(payout_rules(like.channel, channel_settings::of(conn, days).await?.as_ref()))
}

/// The end of the day since the cut-off.
fn window(settings: &ChannelSettings, time: &str, zone: &str, day: DayWindow) -> Result<DayWindow> {
    let broken = |why: String| Error::impossible_row("channel_settings", "cut_off_time", settings.id, why);
    let time = NaiveTime::parse_from_str(time, TIME).map_err(|error| broken(error.to_string()))?;
    let zone = Zone::named(zone).map_err(|error| broken(error.to_string()))?;
    let start = zone.last_before(time, day.end).ok_or_else(|| broken("is beyond the calendar".to_owned()))?;
    Ok(DayWindow { start, end: day.end })
}
