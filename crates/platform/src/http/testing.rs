//! Calling a service's router in tests, without a network.
#![doc(hidden)]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use payops_core::time::Timestamp;
use secrecy::SecretString;
use serde_json::Value;
use tower::ServiceExt;
use uuid::Uuid;

use super::budget::RedisSettings;
use crate::auth::{
    AuthSettings, AuthSetupError, Authenticator, Caller, MintError, Role, ServiceIdentity, TokenKeys,
    TokenRequest,
};

/// The name of the service that [`authenticator`] knows.
pub const SERVICE_NAME: &str = "payment-gateway";
/// Its secret.
pub const SERVICE_SECRET: &str = "a secret of the gateway, for tests";

const TOKEN_SECRET: &str = "a token secret that only tests know about";

/// An authenticator with one token secret and one service.
pub fn authenticator() -> Result<Arc<Authenticator>, AuthSetupError> {
    let settings = AuthSettings {
        issuer: String::from("payops"),
        audience: String::from("payops"),
        tokens: TokenKeys::Secrets(vec![SecretString::from(TOKEN_SECRET)]),
        services: vec![ServiceIdentity {
            name: String::from(SERVICE_NAME),
            secrets: vec![SecretString::from(SERVICE_SECRET)],
            certificates: vec![String::from(SERVICE_NAME)],
        }],
    };
    Authenticator::new(settings).map(Arc::new)
}

/// Those whom tests call as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// No credentials.
    Nobody,
    /// A merchant's token.
    Merchant(Uuid),
    /// An operator's token.
    Operator,
    /// An admin's token.
    Admin,
    /// The service of [`authenticator`].
    Service,
}

/// The Redis of all tests, which `PAYOPS_TEST_REDIS_URL` names.
pub fn shared_redis() -> RedisSettings {
    let url = std::env::var("PAYOPS_TEST_REDIS_URL")
        .expect("PAYOPS_TEST_REDIS_URL is not set: run `cargo xtask test`, which starts Redis");
    let url: reqwest::Url = url.parse().expect("PAYOPS_TEST_REDIS_URL is a URL");
    let host = url.host_str().unwrap_or("127.0.0.1").to_owned();
    RedisSettings { host, port: url.port().unwrap_or(6379), user: None, password: None, database: 0 }
}

/// Calls a router as anybody, with tokens that are good for ten years from `now`.
#[derive(Clone)]
pub struct TestClient {
    router: Router,
    authenticator: Arc<Authenticator>,
    now: Timestamp,
}

impl TestClient {
    /// Calls `router`, whose gate believes `authenticator`.
    pub fn new(router: Router, authenticator: Arc<Authenticator>, now: Timestamp) -> Self {
        Self { router, authenticator, now }
    }

    /// A token for a caller.
    pub fn token(&self, caller: Caller) -> Result<String, MintError> {
        let request = TokenRequest { caller, lifetime: Duration::from_hours(24 * 3650) };
        self.authenticator.mint(&request, self.now)
    }

    /// Begins a request; a path may bring a query.
    pub fn request(&self, method: Method, path: &str) -> TestRequest<'_> {
        TestRequest {
            client: self,
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// Begins a `GET`.
    pub fn get(&self, path: &str) -> TestRequest<'_> {
        self.request(Method::GET, path)
    }

    /// Begins a `POST` with a JSON body.
    pub fn post(&self, path: &str, body: &Value) -> TestRequest<'_> {
        self.request(Method::POST, path).json(body)
    }
}

/// A request in the making.
#[derive(Clone)]
pub struct TestRequest<'c> {
    client: &'c TestClient,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl TestRequest<'_> {
    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        if let Ok(value) = HeaderValue::from_bytes(value.as_ref()) {
            self.headers.append(HeaderName::from_static(name), value);
        }
        self
    }

    /// Sets the credentials.
    #[must_use]
    pub fn by(self, who: As) -> Self {
        let person = |role, name: &str| Caller::Person { subject: name.into(), role };
        let caller = match who {
            As::Nobody => return self,
            As::Service => {
                return self
                    .header("x-service-name", SERVICE_NAME)
                    .header("x-service-secret", SERVICE_SECRET);
            }
            As::Operator => person(Role::Operator, "olga"),
            As::Admin => person(Role::Admin, "ada"),
            As::Merchant(merchant_id) => Caller::Merchant { subject: "mia".into(), merchant_id },
        };
        let token = self.client.token(caller).unwrap_or_default();
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// Sets a body of any type.
    #[must_use]
    pub fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// Sets a body without saying of what type it is.
    #[must_use]
    pub fn untyped(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it.
    pub async fn send(self) -> TestAnswer {
        let body = Body::from(self.body.clone());
        let (parts, body) = self.exchange(body).await.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        TestAnswer { status: parts.status.as_u16(), headers: parts.headers, body }
    }
}

impl TestRequest<'_> {
    /// Sends it with a body that may come piece by piece, and gives the answer with its body unread.
    pub async fn exchange(self, body: Body) -> Response<Body> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.path.parse().unwrap_or_default();
        *request.headers_mut() = self.headers;
        let Ok(response) = self.client.router.clone().oneshot(request).await;
        response
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct TestAnswer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl TestAnswer {
    /// The body as JSON, or null.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// `code` of the envelope.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// `data` of the envelope.
    pub fn data(&self) -> Value {
        self.json()["data"].clone()
    }

    /// The paths of invalid fields, joined by a blank.
    pub fn fields(&self) -> String {
        let data = self.data();
        let fields = data["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
        fields.iter().filter_map(|field| field["path"].as_str()).collect::<Vec<_>>().join(" ")
    }

    /// A header as text, empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// One line of the table of endpoints and roles.
#[derive(Debug, Clone)]
pub struct Rights {
    /// The method.
    pub method: Method,
    /// A path that leads there; any id will do.
    pub path: &'static str,
    /// Who may call.
    pub allowed: &'static [&'static str],
}

/// Calls each endpoint as everybody and returns what differs from the table, a line each: callers who may not
/// must get 403, those without credentials 401, and the others anything but these two.
pub async fn check_rights(client: &TestClient, table: &[Rights]) -> Vec<String> {
    let everybody = [
        ("nobody", As::Nobody),
        ("merchant", As::Merchant(Uuid::from_u128(7))),
        ("operator", As::Operator),
        ("admin", As::Admin),
        ("service", As::Service),
    ];
    let mut differences = Vec::new();
    for row in table {
        for (name, who) in everybody {
            let answer = client.request(row.method.clone(), row.path).by(who).send().await;
            let expected = match (row.allowed.contains(&name), who) {
                (true, _) => None,
                (false, As::Nobody) => Some(401),
                (false, _) => Some(403),
            };
            let as_expected =
                expected.map_or(!matches!(answer.status, 401 | 403), |status| answer.status == status);
            if !as_expected {
                let (method, path, status) = (&row.method, row.path, answer.status);
                differences.push(format!("{method} {path} as {name}: {status}, expected {expected:?}"));
            }
        }
    }
    differences
}
