//! Lists, page by page.

use futures::{Stream, StreamExt, TryStreamExt, stream};
use payops_core::time::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Form, StripeClient, StripeError};
use crate::remote::{RemoteError, RemoteErrorKind};
use crate::stripe::Certainty;

/// A stretch of a list, all of it by default. Lists are newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Not older than this, in whole seconds.
    pub created_from: Option<Timestamp>,
    /// Older than this, in whole seconds.
    pub created_before: Option<Timestamp>,
    /// Objects on a page, from 1 to 100. Stripe's own default is 10.
    pub limit: Option<u8>,
    /// The id of the object before the first one.
    pub starting_after: Option<String>,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Page<T> {
    /// The objects, newest first.
    pub data: Vec<T>,
    /// Whether there are older ones.
    #[serde(default)]
    pub has_more: bool,
}

/// What is listed has an id, after which the next page begins.
pub(super) trait Listed {
    fn id(&self) -> &str;
}

impl StripeClient {
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &[&str],
        mut filter: Form,
        listing: &Listing,
    ) -> Result<Page<T>, StripeError> {
        filter.optional("created[gte]", listing.created_from.map(|time| time.timestamp()));
        filter.optional("created[lt]", listing.created_before.map(|time| time.timestamp()));
        filter.optional("limit", listing.limit);
        filter.optional("starting_after", listing.starting_after.as_ref());
        self.read(operation, path, &filter).await
    }

    pub(super) fn pages<T: DeserializeOwned + Listed + Send + 'static>(
        &self,
        operation: &'static str,
        path: &'static [&'static str],
        filter: Form,
        listing: Listing,
    ) -> impl Stream<Item = Result<T, StripeError>> + Send + use<T> {
        let client = self.clone();
        stream::try_unfold(Some(listing), move |listing| {
            let (client, filter) = (client.clone(), filter.clone());
            async move {
                let Some(listing) = listing else { return Ok::<_, StripeError>(None) };
                let page: Page<T> = client.page(operation, path, filter, &listing).await?;
                let next = next(&page, &listing)?;
                Ok(Some((stream::iter(page.data).map(Ok), next)))
            }
        })
        .try_flatten()
    }
}

fn next<T: Listed>(page: &Page<T>, listing: &Listing) -> Result<Option<Listing>, StripeError> {
    let last = page.data.last().filter(|_| page.has_more).map(|last| last.id().to_owned());
    if last.is_some() && last == listing.starting_after {
        let message = "Stripe's pages do not end: a cursor came twice";
        let error = RemoteError::new(RemoteErrorKind::UnexpectedAnswer, message);
        return Err(StripeError::new(error, Certainty::Unknown));
    }
    Ok(last.map(|last| Listing { starting_after: Some(last), ..listing.clone() }))
}
