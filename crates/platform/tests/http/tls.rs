//! TLS and client certificates, with a real client on the other side.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use payops_core::time::{Clock, SystemClock};
use payops_platform::auth::{Caller, Role};
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::{SERVICE_NAME, SERVICE_SECRET, TestClient, authenticator};
use payops_platform::http::{ServeOptions, Tls, TlsFiles, serve_with, service_router};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
    date_time_ymd,
};
use reqwest::{Certificate, Client, ClientBuilder, Identity};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::site;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// The first bytes of a handshake that never goes on.
const HALF_A_HELLO: [u8; 6] = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01];

/// An authority, made for one test.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certificate and key of a server on this machine.
    fn server(&self) -> (String, String) {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.signed(&params)
    }

    /// Certificate and key of a client with this DNS name, after some changes.
    fn client(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let (certificate, key) = self.signed(&params);
        Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap()
    }

    fn signed(&self, params: &CertificateParams) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn trusting(&self) -> ClientBuilder {
        let certificate = Certificate::from_pem(self.pem().as_bytes()).unwrap();
        Client::builder().no_proxy().timeout(PATIENCE).tls_certs_only([certificate])
    }
}

/// A service that speaks TLS.
struct Served {
    address: SocketAddr,
    authority: Authority,
    clients: Authority,
    files: TlsFiles,
    stop: CancellationToken,
    server: JoinHandle<()>,
    db: TestDb,
    _folder: TempDir,
}

impl Served {
    async fn new() -> Self {
        Self::with(ServeOptions::default()).await
    }

    async fn with(options: ServeOptions) -> Self {
        let (authority, clients) = (Authority::new(), Authority::new());
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let files = TlsFiles {
            certificate: place("tls.crt"),
            key: place("tls.key"),
            client_ca: Some(place("ca.crt")),
        };
        write_server(&files, authority.server());
        std::fs::write(place("ca.crt"), clients.pem()).unwrap();
        let tls = Tls::renewing(files.clone(), Duration::from_millis(10)).unwrap();
        let db = site::some_db().await;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let router = service_router(site::running(db.db()));
        let options = ServeOptions { tls: Some(tls), ..options };
        let server = tokio::spawn(serve_with(listener, router, stop.clone(), options));
        Self { address, authority, clients, files, stop, server, db, _folder: folder }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    fn anonymous(&self) -> Client {
        self.authority.trusting().build().unwrap()
    }

    fn with_certificate(&self, identity: Identity) -> Client {
        self.authority.trusting().identity(identity).build().unwrap()
    }

    /// A client with a certificate of the good authority that holds this DNS name.
    fn named(&self, name: &str) -> Client {
        self.with_certificate(self.clients.client(name, |_| {}))
    }

    /// Asks what only services may; the status and the code.
    async fn search(&self, client: &Client) -> (u16, String) {
        outcome(client.get(self.url("/api/v1/search"))).await
    }

    async fn ends(self) {
        self.stop.cancel();
        in_time("the server ends", self.server).await.unwrap();
        drop(self.db);
    }
}

fn write_server(files: &TlsFiles, (certificate, key): (String, String)) {
    std::fs::write(&files.certificate, certificate).unwrap();
    std::fs::write(&files.key, key).unwrap();
}

async fn outcome(request: reqwest::RequestBuilder) -> (u16, String) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: too long"))
}

/// What the server sends until it closes the connection.
async fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    match in_time("the server closes", stream.read_to_end(&mut received)).await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    received
}

fn ok() -> (u16, String) {
    (200, "SUCCESS".to_owned())
}

fn refused(code: &str) -> (u16, String) {
    (401, code.to_owned())
}

#[tokio::test]
async fn a_certificate_makes_a_service_of_its_holder() {
    let served = Served::new().await;
    let gateway = served.named(SERVICE_NAME);
    assert_eq!(served.search(&gateway).await, ok());
    // Once more on the same connection, and on a new one.
    assert_eq!(served.search(&gateway).await, ok());
    assert_eq!(served.search(&served.named("Payment-Gateway")).await, ok());
    let among_others = served.clients.client("pod-7.payments.svc", |params| {
        params.subject_alt_names.push(SanType::URI("spiffe://shop/gateway".try_into().unwrap()));
        params.subject_alt_names.push(SanType::DnsName(SERVICE_NAME.try_into().unwrap()));
    });
    assert_eq!(served.search(&served.with_certificate(among_others)).await, ok());
    served.ends().await;
}

#[tokio::test]
async fn a_certificate_of_no_listed_service_is_no_credential() {
    let served = Served::new().await;
    assert_eq!(served.search(&served.named("somebody-else")).await, refused("INVALID_CREDENTIALS"));
    assert_eq!(served.search(&served.named("*.shop")).await, refused("INVALID_CREDENTIALS"));
    // The common name says nothing.
    let by_common_name = served.clients.client("somebody-else", |params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, SERVICE_NAME);
    });
    let client = served.with_certificate(by_common_name);
    assert_eq!(served.search(&client).await, refused("INVALID_CREDENTIALS"));
    // It does not stand in the way of a good token either.
    let (status, _) = outcome(client.get(served.url("/api/v1/many")).bearer_auth(operator_token())).await;
    assert_eq!(status, 200);
    served.ends().await;
}

#[tokio::test]
async fn a_certificate_of_no_service_does_not_stand_in_the_way_of_what_needs_no_caller() {
    let served = Served::new().await;
    let stranger = served.named("somebody-else");
    for path in ["/livez", "/readyz", "/health", "/openapi.json"] {
        assert_eq!(stranger.get(served.url(path)).send().await.unwrap().status(), 200, "{path}");
    }
    // A route without a permission, as that of a signed webhook is.
    let careless = stranger.post(served.url("/api/v1/careless")).json(&serde_json::json!({ "amount": 1 }));
    assert_eq!(outcome(careless).await, ok());
    assert_eq!(served.search(&stranger).await, refused("INVALID_CREDENTIALS"));
    let expired = stranger.get(served.url("/livez")).bearer_auth("no token at all").send().await.unwrap();
    assert_eq!(expired.status(), 200);
    served.ends().await;
}

#[tokio::test]
async fn a_uri_that_spells_a_host_is_no_host() {
    let served = Served::new().await;
    let by_uri = served.clients.client("somebody-else", |params| {
        params.subject_alt_names.push(SanType::URI(SERVICE_NAME.try_into().unwrap()));
    });
    let client = served.with_certificate(by_uri);
    assert_eq!(served.search(&client).await, refused("INVALID_CREDENTIALS"));
    served.ends().await;
}

#[tokio::test]
async fn certificates_that_are_not_good_end_the_handshake() {
    let served = Served::new().await;
    let other = Authority::new();
    let bad = [
        ("of another authority", other.client(SERVICE_NAME, |_| {})),
        (
            "expired",
            served.clients.client(SERVICE_NAME, |params| {
                params.not_before = date_time_ymd(2019, 1, 1);
                params.not_after = date_time_ymd(2020, 1, 1);
            }),
        ),
        (
            "not good yet",
            served.clients.client(SERVICE_NAME, |params| params.not_before = date_time_ymd(4000, 1, 1)),
        ),
        (
            "for servers",
            served.clients.client(SERVICE_NAME, |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }),
        ),
    ];
    for (what, identity) in bad {
        let client = served.with_certificate(identity);
        let sent = client.get(served.url("/livez")).send().await;
        assert!(sent.is_err(), "a certificate {what} was accepted");
    }
    assert_eq!(served.search(&served.named(SERVICE_NAME)).await, ok());
    served.ends().await;
}

fn operator_token() -> String {
    let now = SystemClock.now();
    let client = TestClient::new(axum::Router::new(), authenticator().unwrap(), now);
    client.token(Caller::Person { subject: "olga".into(), role: Role::Operator }).unwrap()
}

#[tokio::test]
async fn without_a_certificate_other_credentials_count() {
    let served = Served::new().await;
    let client = served.anonymous();
    assert_eq!(served.search(&client).await, refused("UNAUTHENTICATED"));
    let (status, _) = outcome(client.get(served.url("/api/v1/many")).bearer_auth(operator_token())).await;
    assert_eq!(status, 200);
    let by_secret = client
        .get(served.url("/api/v1/search"))
        .header("x-service-name", SERVICE_NAME)
        .header("x-service-secret", SERVICE_SECRET);
    assert_eq!(outcome(by_secret).await, ok());
    served.ends().await;
}

#[tokio::test]
async fn a_certificate_beside_other_credentials() {
    let served = Served::new().await;
    let client = served.named(SERVICE_NAME);
    let search = |name: &str, secret: &str| {
        let request = client.get(served.url("/api/v1/search"));
        outcome(request.header("x-service-name", name).header("x-service-secret", secret))
    };
    assert_eq!(search(SERVICE_NAME, SERVICE_SECRET).await, ok());
    // A bad secret stays bad, however good the certificate is.
    let wrong = "not the secret of the gateway";
    assert_eq!(search(SERVICE_NAME, wrong).await, refused("INVALID_CREDENTIALS"));
    // Somebody else's name is refused before the secret is looked at.
    assert_eq!(search("portal", SERVICE_SECRET).await, refused("CREDENTIALS_CONFLICT"));
    assert_eq!(search("portal", wrong).await, refused("CREDENTIALS_CONFLICT"));
    // Whoever brings a person's token calls for that person.
    let (status, code) =
        outcome(client.get(served.url("/api/v1/search")).bearer_auth(operator_token())).await;
    assert_eq!((status, code.as_str()), (403, "FORBIDDEN"));
    served.ends().await;
}

#[tokio::test]
async fn both_versions_of_http_are_negotiated() {
    let served = Served::new().await;
    let newer = served.anonymous().get(served.url("/livez")).send().await.unwrap();
    assert_eq!((newer.version(), newer.status().as_u16()), (http::Version::HTTP_2, 200));
    let older = served.authority.trusting().http1_only().build().unwrap();
    let older = older.get(served.url("/livez")).send().await.unwrap();
    assert_eq!((older.version(), older.status().as_u16()), (http::Version::HTTP_11, 200));
    served.ends().await;
}

#[tokio::test]
async fn plain_http_and_nonsense_fail_cleanly() {
    let served = Served::new().await;
    let plain = reqwest::get(format!("http://{}/livez", served.address)).await.unwrap();
    assert_eq!(plain.status(), 400);
    assert_eq!(plain.text().await.unwrap(), "This port speaks HTTPS.\n");
    let mut nonsense = TcpStream::connect(served.address).await.unwrap();
    nonsense.write_all(&[0; 64]).await.unwrap();
    let answer = until_closed(nonsense).await;
    assert!(answer.is_empty() || answer.starts_with(&[0x15]), "an alert or nothing: {answer:?}");
    assert_eq!(served.search(&served.named(SERVICE_NAME)).await, ok());
    served.ends().await;
}

#[tokio::test]
async fn a_slow_handshake_is_nobody_else_s_affair() {
    let handshake = Duration::from_millis(200);
    let served = Served::with(ServeOptions { handshake, ..ServeOptions::default() }).await;
    let silent = TcpStream::connect(served.address).await.unwrap();
    let mut half = TcpStream::connect(served.address).await.unwrap();
    half.write_all(&HALF_A_HELLO).await.unwrap();
    assert_eq!(served.search(&served.named(SERVICE_NAME)).await, ok());
    for stream in [silent, half] {
        assert_eq!(until_closed(stream).await, b"");
    }
    served.ends().await;
}

#[tokio::test]
async fn the_end_does_not_wait_for_handshakes() {
    let options = ServeOptions {
        handshake: Duration::from_hours(1),
        drain: Duration::from_hours(1),
        ..ServeOptions::default()
    };
    let served = Served::with(options).await;
    let mut half = TcpStream::connect(served.address).await.unwrap();
    half.write_all(&HALF_A_HELLO).await.unwrap();
    let idle = served.anonymous();
    assert_eq!(idle.get(served.url("/livez")).send().await.unwrap().status(), 200);
    served.ends().await;
    assert_eq!(until_closed(half).await, b"");
}

#[tokio::test]
async fn requests_at_work_are_finished_over_tls() {
    let served = Served::new().await;
    let client = served.named(SERVICE_NAME);
    let mut stream = client.get(served.url("/api/v1/events")).send().await.unwrap();
    assert_eq!(in_time("the first event", stream.chunk()).await.unwrap().unwrap(), "data: first\n\n");
    served.stop.cancel();
    assert_eq!(in_time("the stream ends", stream.text()).await.unwrap(), "");
    served.ends().await;
}

#[tokio::test]
async fn new_files_are_taken_up_and_bad_ones_are_not() {
    let served = Served::new().await;
    let reaches = async |authority: &Authority| {
        let client = authority.trusting().build().unwrap();
        client.get(served.url("/livez")).send().await.is_ok()
    };
    let newer = Authority::new();
    assert!(reaches(&served.authority).await && !reaches(&newer).await);
    // In two steps, as a careless tool does it: in between, certificate and key do not belong together.
    let (certificate, key) = newer.server();
    std::fs::write(&served.files.certificate, certificate).unwrap();
    assert!(reaches(&served.authority).await, "the old pair is in use until the new one is whole");
    std::fs::write(&served.files.key, key).unwrap();
    in_time("the new certificate", async { while !reaches(&newer).await {} }).await;
    // The authority of clients goes the same way.
    let gateway = newer.trusting().identity(served.clients.client(SERVICE_NAME, |_| {})).build().unwrap();
    assert_eq!(served.search(&gateway).await, ok());
    let clients = Authority::new();
    std::fs::write(served.files.client_ca.as_ref().unwrap(), clients.pem()).unwrap();
    let by_new = || newer.trusting().identity(clients.client(SERVICE_NAME, |_| {})).build().unwrap();
    in_time("the new authority", async { while by_new().get(served.url("/livez")).send().await.is_err() {} })
        .await;
    let by_old = newer.trusting().identity(served.clients.client(SERVICE_NAME, |_| {})).build().unwrap();
    assert!(by_old.get(served.url("/livez")).send().await.is_err());
    served.ends().await;
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let (authority, other) = (Authority::new(), Authority::new());
    let (certificate, key) = authority.server();
    std::fs::write(place("tls.crt"), &certificate).unwrap();
    std::fs::write(place("tls.key"), &key).unwrap();
    std::fs::write(place("other.key"), other.server().1).unwrap();
    std::fs::write(place("empty"), "").unwrap();
    std::fs::write(place("broken"), "-----BEGIN CERTIFICATE-----\nnonsense\n").unwrap();
    let open = |certificate: &str, key: &str, client_ca: Option<&str>| {
        let files =
            TlsFiles { certificate: place(certificate), key: place(key), client_ca: client_ca.map(place) };
        Tls::open(files).map(drop).map_err(|error| (error.path, error.why))
    };
    let wrong = |outcome: Result<(), (PathBuf, String)>, path: &Path, said: &str| {
        let (named, why) = outcome.unwrap_err();
        assert!(named == path && why.contains(said), "{}: {why}", named.display());
        assert!(!why.contains("PRIVATE KEY") && !why.contains("nonsense"), "{why}");
    };
    assert_eq!(open("tls.crt", "tls.key", None), Ok(()));
    assert_eq!(open("tls.crt", "tls.key", Some("tls.crt")), Ok(()));
    wrong(open("missing", "tls.key", None), &place("missing"), "No such file");
    wrong(open("tls.crt", "missing", None), &place("missing"), "No such file");
    wrong(open("empty", "tls.key", None), &place("empty"), "holds no certificate");
    wrong(open("tls.crt", "tls.crt", None), &place("tls.crt"), "holds no private key");
    wrong(open("tls.crt", "other.key", None), &place("tls.crt"), "does not go with");
    wrong(open("tls.crt", "tls.key", Some("empty")), &place("empty"), "holds no certificate");
    wrong(open("broken", "tls.key", None), &place("broken"), "");
}
