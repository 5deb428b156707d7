//! New alerts get their numbers, their words, and a row for every destination.

use std::collections::{BTreeSet, HashMap};

use futures::FutureExt;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use payops_platform::jobs::{self, EnqueueOptions, Job, JobRef};
use uuid::Uuid;

use super::Outbox;
use crate::alerts::event::{AlertData, AlertEvent, EventType};
use crate::jobs::DeliverAlerts;
use crate::model::Channel;
use crate::store::alert::{self, Model, Numbered};
use crate::store::delivery::{self, NewDelivery};
use crate::store::{limit, tier};

/// How many alerts one transaction takes up.
const AT_ONCE: usize = 500;

impl Outbox {
    /// Takes up every alert that nobody has looked at. Several may do so at once.
    pub(crate) async fn number_new(&self) -> Result<()> {
        loop {
            let outbox = self.clone();
            let write = self.context.db.write("limits.number_alerts", move |tx| {
                let outbox = outbox.clone();
                async move { outbox.number_some(tx).await }.boxed()
            });
            if write.await? < AT_ONCE {
                return Ok(());
            }
        }
    }

    async fn number_some(&self, tx: &Tx) -> Result<usize> {
        let fresh = alert::lock_new(tx, AT_ONCE as u64).await?;
        let merchants: Vec<Uuid> =
            fresh.iter().map(|alert| alert.merchant_id).collect::<BTreeSet<_>>().into_iter().collect();
        if merchants.is_empty() {
            return Ok(0);
        }
        // The alerts are locked, so nobody else numbers those of the same merchants meanwhile.
        let mut last = alert::last_numbers(tx, &merchants).await?;
        let about = About::load(tx, &merchants).await?;
        let mut numbered = Vec::with_capacity(fresh.len());
        for alert in fresh {
            let number = last.entry(alert.merchant_id).or_insert(0);
            *number += 1;
            let event = about.event(&alert, *number)?;
            let event = serde_json::to_string(&event).map_err(Error::internal)?;
            numbered.push(Numbered { alert_no: *number, event, alert });
        }
        // Lost a race after all: the next try sees the numbers of the other.
        alert::number(tx, &numbered).await.map_err(crate::ops::retry_unique)?;
        let all: Vec<(Channel, &str)> = self.destinations.all().collect();
        let deliveries: Vec<NewDelivery> = numbered
            .iter()
            .flat_map(|of| {
                all.iter().map(|destination| for_one(of.alert.merchant_id, of.alert_no, *destination))
            })
            .collect();
        delivery::add(tx, &deliveries, self.context.now()).await?;
        let channels = Channel::ALL.into_iter().filter(|channel| all.iter().any(|(of, _)| of == channel));
        for channel in channels {
            self.deliver_soon(tx, channel).await?;
        }
        Ok(numbered.len())
    }

    /// Makes sure of the job that delivers what waits for a channel, and that it looks again.
    pub(super) async fn deliver_soon(&self, tx: &Tx, channel: Channel) -> Result<()> {
        let key = channel.word();
        let known = JobRef::Key { name: DeliverAlerts::NAME, dedup_key: key };
        if !jobs::wake(tx, &self.context, known).await? {
            let options = EnqueueOptions::default().unique(key);
            jobs::enqueue(tx, &self.context, &DeliverAlerts { channel }, options).await?;
        }
        Ok(())
    }

    /// Makes sure of the jobs of channels that something waits for, should one have been given up.
    pub(crate) async fn revive(&self) -> Result<()> {
        for channel in Channel::ALL {
            let due = delivery::next_due(self.context.db.read(), channel).await?;
            if due.is_none() {
                continue;
            }
            let outbox = self.clone();
            let write = self.context.db.write("limits.revive_deliveries", move |tx| {
                let outbox = outbox.clone();
                async move {
                    let options = EnqueueOptions::default().unique(channel.word());
                    jobs::enqueue(tx, &outbox.context, &DeliverAlerts { channel }, options).await.map(drop)
                }
                .boxed()
            });
            write.await?;
        }
        Ok(())
    }
}

pub(super) fn for_one(
    merchant_id: Uuid,
    alert_no: i64,
    (channel, recipient): (Channel, &str),
) -> NewDelivery {
    NewDelivery { merchant_id, alert_no, channel, recipient: recipient.to_owned() }
}

/// The merchants of some alerts.
struct About {
    limits: HashMap<Uuid, limit::Model>,
    tiers: HashMap<Uuid, tier::Model>,
}

impl About {
    async fn load(tx: &Tx, merchants: &[Uuid]) -> Result<Self> {
        let limits = limit::find_all(tx, merchants.to_vec()).await?;
        let tiers = tier::find_all(tx, limits.iter().map(|limit| limit.tier_id).collect()).await?;
        Ok(Self {
            limits: limits.into_iter().map(|limit| (limit.merchant_id, limit)).collect(),
            tiers: tiers.into_iter().map(|tier| (tier.id, tier)).collect(),
        })
    }

    fn event(&self, alert: &Model, sequence: i64) -> Result<AlertEvent> {
        let merchant_id = alert.merchant_id;
        let gone = |what| Error::impossible_row("limit_alerts", "merchant_id", merchant_id, what);
        let limit = self.limits.get(&merchant_id).ok_or_else(|| gone("no such merchant"))?;
        let tier = self.tiers.get(&limit.tier_id).ok_or_else(|| gone("no such tier"))?;
        Ok(AlertEvent {
            id: format!("{merchant_id}-{sequence}"),
            kind: if alert.crossed { EventType::Crossed } else { EventType::Recovered },
            sequence,
            created_at: alert.created_at,
            data: AlertData {
                merchant_id,
                tier_code: tier.tier_code.clone(),
                tier_name: tier.tier_name.clone(),
                limit_kind: alert.limit_kind,
                threshold: alert.threshold,
                used_amount: alert.used_amount,
                limit_amount: alert.limit_amount,
                currency: tier.currency.clone(),
                window_start: alert.window_start,
                timezone: limit.timezone.clone(),
            },
        })
    }
}
