//! Calls the service as anybody would: over HTTP, with a token.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

/// A service's API below one path.
pub(super) struct Api {
    /// With the path, without a slash at the end; what is called begins with a slash or a query.
    base_url: String,
    token: String,
    http: Client,
}

/// An answer: its status and the `data` of its envelope.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) data: Value,
    message: String,
}

impl Api {
    pub(super) fn new(base_url: String, token: String) -> Result<Self> {
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { base_url, token, http })
    }

    /// The data of a successful answer.
    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, None).await?.data_of_success(path)
    }

    /// The data of a successful answer.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::POST, path, Some(body)).await?.data_of_success(path)
    }

    /// Any answer.
    pub(super) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let url = format!("{}{path}", self.base_url);
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(|| format!("{path}: no answer"))?;
        let status = response.status();
        let mut envelope: Value = response.json().await.with_context(|| format!("{path}: no JSON"))?;
        let message = envelope["message"].as_str().unwrap_or_default().to_owned();
        Ok(Answer { status, data: envelope["data"].take(), message })
    }
}

impl Answer {
    fn data_of_success(self, path: &str) -> Result<Value> {
        if !self.status.is_success() {
            bail!("{path}: {} {}", self.status, self.message);
        }
        Ok(self.data)
    }
}
