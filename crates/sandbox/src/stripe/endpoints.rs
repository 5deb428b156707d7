//! `/v1/webhook_endpoints`: receivers of events that are made over the API.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use payops_core::time::Clock;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::StripeError;
use super::form::Form;
use super::lists::{PAGING, page};
use super::post::{Call, once};
use super::read::{form_of, reading};
use crate::faults::FaultTarget;
use crate::server::Shared;

/// As many as Stripe allows.
const MOST_ENDPOINTS: usize = 16;

/// A receiver of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Endpoint {
    id: String,
    created: i64,
    pub(super) url: String,
    pub(super) secret: String,
    enabled_events: Vec<String>,
    disabled: bool,
    description: Option<String>,
    api_version: Option<String>,
    metadata: BTreeMap<String, String>,
}

impl Endpoint {
    /// Whether it is told of events of a type.
    pub(super) fn wants(&self, kind: &str) -> bool {
        !self.disabled && self.enabled_events.iter().any(|wanted| wanted == "*" || wanted == kind)
    }

    fn object(&self) -> Value {
        json!({
            "id": self.id,
            "object": "webhook_endpoint",
            "api_version": self.api_version,
            "application": null,
            "created": self.created,
            "description": self.description,
            "enabled_events": self.enabled_events,
            "livemode": false,
            "metadata": self.metadata,
            "status": if self.disabled { "disabled" } else { "enabled" },
            "url": self.url,
        })
    }

    fn change(&mut self, form: &Form) -> Result<(), StripeError> {
        if let Some(url) = form.get("url") {
            if !(url.starts_with("http://") || url.starts_with("https://")) {
                return Err(StripeError::invalid(
                    "url",
                    "Invalid URL: An explicit scheme (such as https) must be provided.",
                )
                .with_code("url_invalid"));
            }
            url.clone_into(&mut self.url);
        }
        let events = form.list("enabled_events");
        if !events.is_empty() {
            self.enabled_events = events.into_iter().map(str::to_owned).collect();
        }
        if let Some(disabled) = form.boolean("disabled")? {
            self.disabled = disabled;
        }
        if let Some(text) = form.given("description") {
            self.description = (!text.is_empty()).then(|| text.to_owned());
        }
        form.change_map("metadata", &mut self.metadata);
        Ok(())
    }
}

fn missing(id: &str) -> StripeError {
    StripeError::no_such_object("webhook endpoint", "webhook_endpoint", id)
}

pub(crate) async fn create(State(shared): State<Arc<Shared>>, call: Call) -> Response {
    once(&shared, call, (FaultTarget::StripeWrite, None), |call, _| {
        let form = &call.form;
        form.allow(
            &["url", "description", "api_version", "connect"],
            &["enabled_events", "metadata", "expand"],
        )?;
        form.required("url")?;
        if form.list("enabled_events").is_empty() {
            return Err(StripeError::missing("enabled_events"));
        }
        let mut endpoint = Endpoint {
            id: shared.new_id("we_1"),
            created: shared.clock.now().timestamp(),
            url: String::new(),
            secret: shared.new_id("whsec_"),
            enabled_events: Vec::new(),
            disabled: false,
            description: None,
            api_version: form.get("api_version").map(str::to_owned),
            metadata: BTreeMap::new(),
        };
        endpoint.change(form)?;
        let mut object = endpoint.object();
        // Told once, and never again.
        object["secret"] = json!(endpoint.secret);
        shared.webhooks.endpoints(|endpoints| {
            if endpoints.len() >= MOST_ENDPOINTS {
                let message =
                    format!("You have reached the maximum of {MOST_ENDPOINTS} test webhook endpoints.");
                return Err(StripeError::invalid_request(message));
            }
            endpoints.push(endpoint);
            Ok(object)
        })
    })
    .await
}

pub(crate) async fn update(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    call: Call,
) -> Response {
    once(&shared, call, (FaultTarget::StripeWrite, None), |call, _| {
        call.form.allow(&["url", "description", "disabled"], &["enabled_events", "metadata", "expand"])?;
        shared.webhooks.endpoints(|endpoints| {
            let known = endpoints.iter_mut().find(|one| one.id == id).ok_or_else(|| missing(&id))?;
            let mut changed = known.clone();
            changed.change(&call.form)?;
            *known = changed;
            Ok(known.object())
        })
    })
    .await
}

pub(crate) async fn list(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    reading(&shared, FaultTarget::StripeRead, || {
        let form = form_of(query.as_deref());
        form.allow(&PAGING, &["expand"])?;
        shared.webhooks.endpoints(|endpoints| {
            let newest_first: Vec<&Endpoint> = endpoints.iter().rev().collect();
            let words = ("webhook endpoint", "/v1/webhook_endpoints");
            page(&form, &newest_first, words, |one| one.id.as_str(), |one| one.object())
        })
    })
    .await
}

pub(crate) async fn one(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    reading(&shared, FaultTarget::StripeRead, || {
        shared.webhooks.endpoints(|endpoints| {
            endpoints.iter().find(|one| one.id == id).map(Endpoint::object).ok_or_else(|| missing(&id))
        })
    })
    .await
}

pub(crate) async fn remove(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    reading(&shared, FaultTarget::StripeWrite, || {
        shared.webhooks.endpoints(|endpoints| {
            let before = endpoints.len();
            endpoints.retain(|one| one.id != id);
            if endpoints.len() == before {
                return Err(missing(&id));
            }
            Ok(json!({ "id": id, "object": "webhook_endpoint", "deleted": true }))
        })
    })
    .await
}
