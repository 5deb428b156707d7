//! Fetches the platform's payments of a day from the gateway, and stores them as lines of JSON.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use chrono::NaiveDate;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Response, Url};
use serde::Deserialize;
use serde_json::value::RawValue;
use tracing::Instrument;

use super::array::ArrayLines;
use crate::fault::excerpt;
use crate::gateway::Gateway;
use crate::remote::{HeaderInjector, RemoteError, RemoteErrorKind, bounded_body};
use crate::stored::{PartFile, StoredFile};

const ACCEPTED: HeaderValue = HeaderValue::from_static("application/x-ndjson, application/json;q=0.5");
const PATH: [&str; 3] = ["internal", "payments", "reconciliation"];

/// Where the gateway is and how it is called.
#[derive(Clone)]
pub struct FeedSettings {
    /// The gateway, `PAYMENT_GATEWAY_URL`.
    pub base_url: Url,
    /// Headers that every request carries, such as the service's secret.
    pub headers: HeaderMap,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long the gateway may be silent.
    pub idle_timeout: Duration,
    /// The largest page of JSON, which is held in memory. Arrays and lines are not.
    pub max_page_bytes: usize,
    /// The largest feed.
    pub max_bytes: u64,
    /// Adds the trace's headers.
    pub inject_headers: HeaderInjector,
}

impl FeedSettings {
    /// Settings with the usual times and limits.
    pub fn new(base_url: Url, headers: HeaderMap, inject_headers: HeaderInjector) -> Self {
        Self {
            base_url,
            headers,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(1),
            max_page_bytes: 64 << 20,
            max_bytes: 64 << 30,
            inject_headers,
        }
    }
}

impl fmt::Debug for FeedSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The host only: a URL may hold a password.
        f.debug_struct("FeedSettings").field("host", &self.base_url.host_str()).finish_non_exhaustive()
    }
}

/// Which payments are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedQuery {
    /// The business day.
    pub date: NaiveDate,
    /// The channel they went through.
    pub channel: String,
    /// The zone that defines the day; the gateway's own when `None`.
    pub timezone: Option<String>,
}

/// Calls the gateway. Cheap to clone; the connections are shared.
#[derive(Debug, Clone)]
pub struct FeedClient {
    gateway: Gateway,
    max_page_bytes: usize,
    max_bytes: u64,
}

/// One page of the feed, or the envelope around it.
#[derive(Debug, Deserialize)]
struct Page<'a> {
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    next_cursor: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    trailer: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

impl FeedClient {
    /// A client.
    pub fn new(settings: FeedSettings) -> Result<Self, RemoteError> {
        let client =
            Client::builder().connect_timeout(settings.connect_timeout).read_timeout(settings.idle_timeout);
        let FeedSettings { base_url, headers, inject_headers, max_page_bytes, max_bytes, .. } = settings;
        let gateway = Gateway::new(client, base_url, headers, inject_headers)?;
        Ok(Self { gateway, max_page_bytes, max_bytes })
    }

    /// Stores the payments at `target` as lines of JSON, which [`crate::Format::PlatformNdjson`] reads. The file
    /// is either not there or whole. A JSON array or pages become lines; a trailer stays the last line.
    pub async fn fetch(&self, query: &FeedQuery, target: &Path) -> Result<StoredFile, RemoteError> {
        let span = tracing::info_span!(
            "payment-gateway.GetPayments",
            otel.kind = "client",
            channel = %query.channel,
            date = %query.date
        );
        async {
            let mut feed = Stored { part: PartFile::create(target).await?, limit: self.max_bytes };
            self.store(query, &mut feed).await?;
            feed.part.finish().await
        }
        .instrument(span)
        .await
    }

    async fn store(&self, query: &FeedQuery, feed: &mut Stored) -> Result<(), RemoteError> {
        let mut response = self.get(query, None).await?;
        if says_lines(response.headers()) {
            while let Some(chunk) = response.chunk().await? {
                feed.write(&chunk).await?;
            }
            return Ok(());
        }
        let mut beginning = Vec::new();
        while beginning.trim_ascii_start().is_empty() {
            match response.chunk().await? {
                Some(chunk) => beginning.extend_from_slice(&chunk),
                None => return Err(unexpected("the gateway's answer is empty")),
            }
        }
        if beginning.trim_ascii_start().starts_with(b"[") {
            return store_array(&beginning, response, feed).await;
        }
        self.store_pages(query, beginning, response, feed).await
    }

    async fn store_pages(
        &self,
        query: &FeedQuery,
        mut body: Vec<u8>,
        mut response: Response,
        feed: &mut Stored,
    ) -> Result<(), RemoteError> {
        let room = self.max_page_bytes.saturating_sub(body.len());
        body.extend(bounded_body(&mut response, room).await?);
        let mut before: Option<String> = None;
        loop {
            let cursor = store_page(&body, feed).await?;
            let Some(cursor) = cursor else { return Ok(()) };
            if before.as_ref() == Some(&cursor) {
                return Err(unexpected("the gateway's pages do not end: a cursor came twice"));
            }
            let mut response = self.get(query, Some(&cursor)).await?;
            body = bounded_body(&mut response, self.max_page_bytes).await?;
            before = Some(cursor);
        }
    }

    async fn get(&self, query: &FeedQuery, cursor: Option<&str>) -> Result<Response, RemoteError> {
        let date = query.date.to_string();
        let optional = [("timezone", query.timezone.as_deref()), ("cursor", cursor)];
        let mut parameters = vec![("date", date.as_str()), ("channel", query.channel.as_str())];
        parameters.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
        self.gateway.get(&PATH, &parameters, ACCEPTED).await
    }
}

/// The file that is being written, with the limit on it.
struct Stored {
    part: PartFile,
    limit: u64,
}

impl Stored {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), RemoteError> {
        if self.part.bytes() + bytes.len() as u64 > self.limit {
            return Err(unexpected(format!("the gateway's answer is longer than {} bytes", self.limit)));
        }
        self.part.write(bytes).await
    }
}

fn unexpected(message: impl Into<String>) -> RemoteError {
    RemoteError::new(RemoteErrorKind::UnexpectedAnswer, message)
}

fn says_lines(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(kind.as_str(), "application/x-ndjson" | "application/ndjson" | "application/jsonl")
}

async fn store_array(beginning: &[u8], mut response: Response, feed: &mut Stored) -> Result<(), RemoteError> {
    let mut lines = ArrayLines::default();
    let mut out = Vec::new();
    lines.feed(beginning, &mut out).map_err(unexpected)?;
    loop {
        feed.write(&out).await?;
        out.clear();
        match response.chunk().await? {
            Some(chunk) => lines.feed(&chunk, &mut out).map_err(unexpected)?,
            None if lines.is_done() => return Ok(()),
            None => {
                let message = "the gateway's answer ends in the middle of its JSON array";
                return Err(RemoteError::new(RemoteErrorKind::CutShort, message));
            }
        }
    }
}

/// Stores the items of one page and tells where the next one is.
async fn store_page(body: &[u8], feed: &mut Stored) -> Result<Option<String>, RemoteError> {
    let mut lines = Vec::new();
    let cursor = page_lines(body, &mut lines)?;
    feed.write(&lines).await?;
    Ok(cursor)
}

fn page_lines(body: &[u8], lines: &mut Vec<u8>) -> Result<Option<String>, RemoteError> {
    let outer: Page<'_> = parsed(body)?;
    let page = match (&outer.items, outer.data) {
        (None, Some(data)) if data.get().starts_with('[') => {
            let items: Vec<&RawValue> = parsed(data.get().as_bytes())?;
            Page { items: Some(items), next_cursor: outer.next_cursor, trailer: outer.trailer, data: None }
        }
        (None, Some(data)) => parsed(data.get().as_bytes())?,
        _ => outer,
    };
    let Some(items) = page.items else {
        return Err(unexpected(format!("the gateway's answer has no items: {}", excerpt(body))));
    };
    for item in items {
        push_line(lines, item.get());
    }
    if let Some(trailer) = page.trailer {
        push_line(lines, &format!("{{\"trailer\":{}}}", trailer.get()));
    }
    Ok(page.next_cursor.filter(|cursor| !cursor.is_empty()).map(Cow::into_owned))
}

/// Valid JSON has line ends only between its tokens, where a blank does as well.
fn push_line(lines: &mut Vec<u8>, json: &str) {
    lines.extend(json.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    lines.push(b'\n');
}

fn parsed<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, RemoteError> {
    serde_json::from_slice(json).map_err(|error| {
        let message = format!("the gateway's answer cannot be read ({error}): {}", excerpt(json));
        let kind = if error.is_eof() { RemoteErrorKind::CutShort } else { RemoteErrorKind::UnexpectedAnswer };
        RemoteError::new(kind, message)
    })
}
