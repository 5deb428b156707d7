//! What every call of the payment gateway has in common: where it is, who is calling, and how its refusals are read.

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Client, ClientBuilder, Response, Url};

use crate::fault::excerpt;
use crate::remote::{HeaderInjector, RemoteError, bounded_body};

/// Connections to the gateway, and who is calling.
#[derive(Clone)]
pub(crate) struct Gateway {
    client: Client,
    base_url: Url,
    headers: HeaderMap,
    inject_headers: HeaderInjector,
}

impl Gateway {
    /// Calls below `base_url`, each with `headers`. Redirects are not followed: they could lead the service's secret
    /// astray.
    pub(crate) fn new(
        client: ClientBuilder,
        base_url: Url,
        headers: HeaderMap,
        inject_headers: HeaderInjector,
    ) -> Result<Self, RemoteError> {
        let client = client.redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { client, base_url, headers, inject_headers })
    }

    /// Gets what is at `path`, whose segments are escaped, so that no id can reach another path.
    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        accepted: HeaderValue,
    ) -> Result<Response, RemoteError> {
        let mut url = self.base_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut headers = self.headers.clone();
        (self.inject_headers)(&mut headers);
        headers.insert(ACCEPT, accepted);
        let mut response = self.client.get(url).headers(headers).send().await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let headers = response.headers().clone();
        let body = bounded_body(&mut response, 64 << 10).await.unwrap_or_default();
        let message = format!("the payment gateway answered {status}: {}", excerpt(&body));
        Err(RemoteError::answered(status, &headers, message))
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The host only: a URL may hold a password.
        f.debug_struct("Gateway").field("host", &self.base_url.host_str()).finish_non_exhaustive()
    }
}
