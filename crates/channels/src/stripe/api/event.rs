//! Events: what a webhook brings, and what can be asked for afterwards.

use payops_core::time::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::list::{Listed, Listing};
use super::{Form, Page, StripeClient, StripeError};

/// What a webhook brought. Its signature is to be checked first ([`crate::stripe::webhook::verify`]).
///
/// Events come more than once and in any order, so what they show is at best a hint: the object is read again.
#[derive(Debug, Clone)]
pub enum Notification {
    /// An event with a picture of its object.
    Event(Box<Event>),
    /// An event that only names its object.
    Thin(ThinEvent),
}

/// Something that happened, with its object as it was then.
#[derive(Debug, Clone, Deserialize)]
pub struct Event {
    /// Its id, `evt_…`, the same each time that it comes.
    pub id: String,
    /// Such as `charge.dispute.created`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub created: Timestamp,
    /// The version in which the object is shown.
    pub api_version: Option<String>,
    /// The connected account that it happened in.
    pub account: Option<String>,
    /// The context that it happened in.
    pub context: Option<String>,
    /// Whether it is about real money.
    #[serde(default)]
    pub livemode: bool,
    /// The object.
    pub data: EventData,
    /// The call that caused it.
    pub request: Option<EventRequest>,
}

/// The object of an event.
#[derive(Debug, Clone, Deserialize)]
pub struct EventData {
    /// The object as it was.
    pub object: Box<RawValue>,
    /// The fields that changed, as they were before; only in events of type `….updated`.
    pub previous_attributes: Option<Box<RawValue>>,
}

/// The call that caused an event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct EventRequest {
    /// `req_…`, absent when no call was the cause.
    pub id: Option<String>,
    /// The call's idempotency key.
    pub idempotency_key: Option<String>,
}

/// An event that only names its object (`v2.core.event`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ThinEvent {
    /// Its id.
    pub id: String,
    /// Such as `v1.charge.dispute.created`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened.
    pub created: Timestamp,
    /// Whether it is about real money.
    #[serde(default)]
    pub livemode: bool,
    /// The context that it happened in.
    pub context: Option<String>,
    /// The object.
    pub related_object: Option<RelatedObject>,
    /// The id of the event with a picture that says the same.
    pub snapshot_event: Option<String>,
}

/// The object that a thin event names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RelatedObject {
    /// Its id.
    pub id: String,
    /// Such as `charge.dispute`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its path below the API's address.
    pub url: Option<String>,
}

/// A payload that is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no event of Stripe's: {0}")]
pub struct UnreadableEvent(pub String);

/// How long an id may be, in bytes. Stripe's own are far below.
const LONGEST_ID: usize = 128;
/// How long a type may be, in bytes.
const LONGEST_KIND: usize = 100;

impl Notification {
    /// Reads the body of a webhook. Id, type and the object's id are never empty, and fit what they are stored in: 128,
    /// 100 and 128 bytes without a NUL.
    pub fn parse(payload: &[u8]) -> Result<Self, UnreadableEvent> {
        #[derive(Deserialize)]
        #[serde(expecting = "an object")]
        struct Probe {
            object: String,
        }
        let probe: Probe = read(payload)?;
        let notification = match probe.object.as_str() {
            "event" => Self::Event(Box::new(read(payload)?)),
            "v2.core.event" => Self::Thin(read(payload)?),
            _ => return Err(UnreadableEvent("its object is neither 'event' nor 'v2.core.event'".to_owned())),
        };
        fits("id", notification.id(), LONGEST_ID)?;
        fits("type", notification.kind(), LONGEST_KIND)?;
        if let Some(object) = notification.object_id() {
            fits("object's id", &object, LONGEST_ID)?;
        }
        Ok(notification)
    }

    /// The event's id, by which repeated ones are known.
    pub fn id(&self) -> &str {
        match self {
            Self::Event(event) => &event.id,
            Self::Thin(event) => &event.id,
        }
    }

    /// The event's type, of a thin one as well without the version that it begins with.
    pub fn kind(&self) -> &str {
        match self {
            Self::Event(event) => &event.kind,
            Self::Thin(event) => event.kind.strip_prefix("v1.").unwrap_or(&event.kind),
        }
    }

    /// The id of the object that it is about.
    pub fn object_id(&self) -> Option<String> {
        match self {
            Self::Event(event) => event.object_id(),
            Self::Thin(event) => event.related_object.as_ref().map(|object| object.id.clone()),
        }
    }
}

impl Event {
    /// The id of the object. Some objects, such as a balance, have none.
    pub fn object_id(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Probe {
            id: Option<String>,
        }
        self.object::<Probe>().ok()?.id
    }

    /// The object as it was, read as `T`.
    pub fn object<T: DeserializeOwned>(&self) -> Result<T, UnreadableEvent> {
        read(self.data.object.get().as_bytes())
    }
}

fn fits(what: &str, text: &str, most: usize) -> Result<(), UnreadableEvent> {
    if text.is_empty() || text.len() > most || text.contains('\0') {
        return Err(UnreadableEvent(format!(
            "its {what} is empty, holds a NUL or is longer than {most} bytes"
        )));
    }
    Ok(())
}

fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, UnreadableEvent> {
    serde_json::from_slice(json).map_err(|error| UnreadableEvent(error.to_string()))
}

impl Listed for Event {
    fn id(&self) -> &str {
        &self.id
    }
}

/// Which events are listed. Stripe keeps them for 30 days.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// The stretch of the list.
    pub listing: Listing,
    /// Their types, at most 20; all when empty.
    pub kinds: Vec<String>,
}

impl EventQuery {
    fn filter(&self) -> Form {
        let mut filter = Form::default();
        for (index, kind) in self.kinds.iter().enumerate() {
            filter.text(format!("types[{index}]"), kind);
        }
        filter
    }
}

impl StripeClient {
    /// An event of the last 30 days.
    pub async fn event(&self, id: &str) -> Result<Event, StripeError> {
        self.read("retrieve_event", &["events", id], &Form::default()).await
    }

    /// One page of events, newest first.
    pub async fn events_page(&self, query: &EventQuery) -> Result<Page<Event>, StripeError> {
        self.page("list_events", &["events"], query.filter(), &query.listing).await
    }

    /// All events from the start of the listing on, newest first, page by page as they are taken.
    pub fn events(
        &self,
        query: &EventQuery,
    ) -> impl futures::Stream<Item = Result<Event, StripeError>> + Send + use<> {
        self.pages("list_events", &["events"], query.filter(), query.listing.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_shows_its_object_and_what_changed() {
        let payload = br#"{"id":"evt_1","object":"event","type":"charge.dispute.updated","created":1790000000,
            "api_version":"2026-06-24.dahlia","account":"acct_1","livemode":true,"pending_webhooks":1,"new":{},
            "data":{"object":{"id":"du_1", "status":"x"},"previous_attributes":{"status":"y"}},
            "request":{"id":"req_1","idempotency_key":"key"}}"#;
        let notification = Notification::parse(payload).unwrap();
        assert_eq!((notification.id(), notification.kind()), ("evt_1", "charge.dispute.updated"));
        assert_eq!(notification.object_id().as_deref(), Some("du_1"));
        let Notification::Event(event) = notification else { panic!("{notification:?}") };
        assert_eq!(event.data.object.get(), r#"{"id":"du_1", "status":"x"}"#, "to the byte");
        assert_eq!(event.data.previous_attributes.as_ref().unwrap().get(), r#"{"status":"y"}"#);
        assert_eq!((event.account.as_deref(), event.created.timestamp()), (Some("acct_1"), 1_790_000_000));
        assert_eq!(event.request.as_ref().unwrap().idempotency_key.as_deref(), Some("key"));
    }

    #[test]
    fn an_event_may_lack_most_fields() {
        let payload = br#"{"id":"evt_1","object":"event","type":"balance.available","created":1,
            "request":null,"data":{"object":{"object":"balance"}}}"#;
        let notification = Notification::parse(payload).unwrap();
        assert_eq!(notification.object_id(), None);
    }

    #[test]
    fn a_thin_event_names_its_object() {
        let payload = br#"{"id":"evt_2","object":"v2.core.event","type":"v1.charge.dispute.created",
            "created":"2026-09-21T14:13:20.123Z","livemode":false,"snapshot_event":"evt_1",
            "related_object":{"id":"du_1","type":"charge.dispute","url":"/v1/disputes/du_1"}}"#;
        let notification = Notification::parse(payload).unwrap();
        assert_eq!((notification.id(), notification.kind()), ("evt_2", "charge.dispute.created"));
        assert_eq!(notification.object_id().as_deref(), Some("du_1"));
        let Notification::Thin(event) = notification else { panic!("{notification:?}") };
        assert_eq!(
            (event.created.timestamp(), event.snapshot_event.as_deref()),
            (1_790_000_000, Some("evt_1"))
        );
    }

    #[test]
    fn anything_else_is_no_event() {
        for payload in
            ["", "[]", "{}", r#"{"object":"charge","id":"ch_1"}"#, r#"{"object":"event","id":"evt_1"}"#]
        {
            assert!(Notification::parse(payload.as_bytes()).is_err(), "{payload}");
        }
        let about = |id: &str, object: &str| {
            let event = serde_json::json!({
                "object": "event", "id": id, "type": "x", "created": 1, "data": { "object": { "id": object } },
            });
            Notification::parse(event.to_string().as_bytes())
        };
        assert!(about("evt_1", &"x".repeat(128)).is_ok());
        for (id, object) in [("", "x"), ("evt\0", "x"), ("evt_1", ""), ("evt_1", &"x".repeat(129))] {
            assert!(about(id, object).is_err(), "{id:?} {object}");
        }
    }
}
