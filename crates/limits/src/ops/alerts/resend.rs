//! People send an alert again.

use payops_platform::error::Result;
use serde_json::json;
use uuid::Uuid;

use super::Standing;
use super::number::for_one;
use crate::error;
use crate::model::{Channel, DeliveryState};
use crate::ops::Change;
use crate::ops::limits::OBJECT;
use crate::store::{alert, delivery, limit, tier};

/// Sends an alert, now and with all attempts, to every destination of the settings that does not have it. 409 when there
/// is none.
pub(crate) async fn resend(by: &Change<'_>, merchant_id: Uuid, alert_no: i64) -> Result<Standing> {
    let found = alert::find(by.tx, merchant_id, alert_no).await?.ok_or_else(error::alert_not_found)?;
    let (outbox, now) = (&by.app.outbox, by.app.context.now());
    let present = delivery::of_alerts(by.tx, merchant_id, [alert_no]).await?;
    let (mut new, mut again) = (Vec::new(), Vec::new());
    for destination in outbox.destinations.all() {
        let known = present.iter().find(|of| (of.channel, of.recipient.as_str()) == destination);
        match known {
            None => new.push(for_one(merchant_id, alert_no, destination)),
            Some(known) if known.state != DeliveryState::Delivered => again.push(known),
            Some(_) => {}
        }
    }
    if new.is_empty() && again.is_empty() {
        return Err(error::nothing_to_resend());
    }
    let mut channels: Vec<Channel> = Vec::new();
    channels.extend(new.iter().map(|of| of.channel));
    channels.extend(again.iter().map(|of| of.channel));
    delivery::add(by.tx, &new, now).await.map_err(crate::ops::retry_unique)?;
    for known in again {
        delivery::renew(by.tx, known, now).await?;
    }
    for channel in Channel::ALL.into_iter().filter(|channel| channels.contains(channel)) {
        outbox.deliver_soon(by.tx, channel).await?;
    }
    by.audit("merchant_limit.alert_resent", OBJECT, merchant_id, json!({ "alert_no": alert_no })).await?;
    let limit = limit::find(by.tx, merchant_id).await?.ok_or_else(error::merchant_not_found)?;
    let currency = tier::find(by.tx, &tier::Name::Id(limit.tier_id)).await?.currency;
    let deliveries = delivery::of_alerts(by.tx, merchant_id, [alert_no]).await?;
    Ok(Standing { alert: found, deliveries, currency })
}
