//! `payops serve` over TLS, with a service that shows a certificate.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, Client, Identity, Method};
use serde_json::{Value, json};

use crate::harness::{DATE, Kind, Site, bare};

/// Certificate and key, signed by `authority`.
fn signed(authority: &CertifiedIssuer<'_, KeyPair>, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_creates_tasks_by_its_certificate() {
    let mut site = Site::new(Kind::Sqlite).await;
    let authority = authority();
    let (certificate, key) = signed(&authority, "127.0.0.1");
    for (setting, file, text) in [
        ("PAYOPS_TLS_CERTIFICATE", "tls.crt", certificate),
        ("PAYOPS_TLS_KEY", "tls.key", key),
        ("PAYOPS_TLS_CLIENT_CA", "ca.crt", authority.pem()),
    ] {
        let path = site.folder.path().join(file);
        std::fs::write(&path, text).unwrap();
        site.set(setting, path.display().to_string());
    }
    site.set("PAYOPS_SERVICE_CERTIFICATES", "payment-gateway=gateway.payments.svc");
    let trusted = || [Certificate::from_pem(authority.pem().as_bytes()).unwrap()];
    site.speak_tls(Client::builder().no_proxy().tls_certs_only(trusted()).build().unwrap());
    let mut instance = site.start().await;
    // The operator of this instance comes with a token, over TLS and without a certificate.
    assert_eq!(instance.get("tasks").await["total"], 0);

    let (certificate, key) = signed(&authority, "gateway.payments.svc");
    let identity = Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap();
    let gateway = Client::builder().no_proxy().tls_certs_only(trusted()).identity(identity).build().unwrap();
    let tasks = format!("{}/api/v1/reconciliation/tasks", instance.base_url);
    let body = json!({ "task_date": DATE, "channel": "stripe" });
    let created = gateway.request(Method::POST, &tasks).json(&body).send().await.unwrap();
    assert_eq!(created.status(), 201, "{}", created.text().await.unwrap());
    let nobody = instance.http.post(&tasks).json(&body).send().await.unwrap();
    assert_eq!(nobody.status(), 401);
    let listed: Value = instance.get("tasks").await;
    assert_eq!(listed["total"], 1);
    assert!(instance.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_tls_cannot_be_made_of_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, _) = signed(&authority(), "127.0.0.1");
    std::fs::write(folder.path().join("tls.crt"), certificate).unwrap();
    let files = [("PAYOPS_TLS_CERTIFICATE", "tls.crt"), ("PAYOPS_TLS_KEY", "not-there.key")];
    let ran = bare(&folder, &["serve", "reconciliation"], &files).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("not-there.key: No such file"), "{ran:?}");
}
