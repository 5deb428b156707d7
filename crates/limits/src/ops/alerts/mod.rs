//! Alerts on their way from the decision to those who are told.

mod deliver;
mod number;
mod resend;

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt;
use payops_core::page::{Page, PageRequest};
use payops_platform::context::ServiceContext;
use payops_platform::error::Result;
use uuid::Uuid;

pub(crate) use resend::resend;

use super::view::look;
use crate::Limits;
use crate::alerts::Destinations;
use crate::metrics::LimitMetrics;
use crate::model::DeliveryState;
use crate::store::alert::{self, Place};
use crate::store::delivery;

/// What alerts are numbered and delivered with.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    context: ServiceContext,
    destinations: Arc<Destinations>,
    metrics: Arc<LimitMetrics>,
}

impl Outbox {
    pub(crate) fn new(
        context: &ServiceContext,
        destinations: Destinations,
        metrics: &Arc<LimitMetrics>,
    ) -> Self {
        Self { context: context.clone(), destinations: Arc::new(destinations), metrics: Arc::clone(metrics) }
    }
}

/// An alert, what became of it at each destination, and the present currency of the merchant's limits.
pub(crate) struct Standing {
    pub(crate) alert: alert::Model,
    pub(crate) deliveries: Vec<delivery::Model>,
    pub(crate) currency: String,
}

/// A page of a merchant's alerts, the newest first; only those with a delivery in `state`, if it is named.
pub(crate) async fn list(
    app: &Limits,
    merchant_id: Uuid,
    state: Option<DeliveryState>,
    request: PageRequest<Place>,
) -> Result<Page<Standing>> {
    look(app, move |look| {
        async move {
            let currency = look.merchant(merchant_id).await?.tier.currency;
            let page = alert::list(look.conn, merchant_id, state, &request).await?;
            let numbers: Vec<i64> = page.items.iter().filter_map(|alert| alert.alert_no).collect();
            let mut deliveries: HashMap<i64, Vec<delivery::Model>> = HashMap::new();
            for delivery in delivery::of_alerts(look.conn, merchant_id, numbers).await? {
                deliveries.entry(delivery.alert_no).or_default().push(delivery);
            }
            Ok(page.map(|alert| Standing {
                deliveries: alert.alert_no.and_then(|number| deliveries.remove(&number)).unwrap_or_default(),
                currency: currency.clone(),
                alert,
            }))
        }
        .boxed()
    })
    .await
}
