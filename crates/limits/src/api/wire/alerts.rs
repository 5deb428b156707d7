//! Alerts on the wire.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::alerts::event::AlertEvent;
use crate::model::{Channel, DeliveryState, LimitKind};
use crate::ops::alerts::Standing;
use crate::store::delivery;

/// Which alerts a list shows; fields that are `None` do not filter.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AlertFilter {
    /// Only alerts with a delivery in this state.
    pub delivery_state: Option<DeliveryState>,
}

/// A threshold that was crossed. Amounts are minor units of `currency`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Alert {
    /// The merchant's alerts are numbered 1, 2, 3, …; null for the moment until somebody has looked at a new one.
    pub alert_no: Option<i64>,
    /// Which limit.
    pub limit_kind: LimitKind,
    /// Percent of the limit.
    pub threshold: i16,
    /// Upwards is an alert, downwards the end of one.
    pub crossed: bool,
    /// First instant of the window.
    pub window_start: DateTime<Utc>,
    /// Used and pending, afterwards.
    pub used_amount: i64,
    /// The limit in force.
    pub limit_amount: i64,
    /// The currency of the amounts.
    pub currency: String,
    /// When it happened.
    pub created_at: DateTime<Utc>,
    /// What became of it, by destination; empty when there was none.
    pub deliveries: Vec<Delivery>,
}

/// An alert on its way to one destination.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Delivery {
    /// How it goes there.
    pub channel: Channel,
    /// Mail: the address; null for the receiver of webhooks.
    pub recipient: Option<String>,
    /// What has become of it.
    pub state: DeliveryState,
    /// Attempts that were begun.
    pub attempts: i32,
    /// Pending: no attempt before this.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Why the latest attempt came to nothing.
    pub last_error: Option<String>,
    /// When the receiver said that it has it.
    pub delivered_at: Option<DateTime<Utc>>,
}

impl From<Standing> for Alert {
    fn from(standing: Standing) -> Self {
        let Standing { alert, deliveries, currency } = standing;
        // The tier's currency may have changed since.
        let event = alert.event.as_deref().and_then(|event| serde_json::from_str::<AlertEvent>(event).ok());
        Self {
            alert_no: alert.alert_no,
            limit_kind: alert.limit_kind,
            threshold: alert.threshold,
            crossed: alert.crossed,
            window_start: alert.window_start,
            used_amount: alert.used_amount,
            limit_amount: alert.limit_amount,
            currency: event.map_or(currency, |event| event.data.currency),
            created_at: alert.created_at,
            deliveries: deliveries.into_iter().map(Delivery::from).collect(),
        }
    }
}

impl From<delivery::Model> for Delivery {
    fn from(row: delivery::Model) -> Self {
        Self {
            channel: row.channel,
            recipient: Some(row.recipient).filter(|recipient| !recipient.is_empty()),
            state: row.state,
            attempts: row.attempts,
            next_attempt_at: row.next_attempt_at,
            last_error: row.last_error,
            delivered_at: row.delivered_at,
        }
    }
}
