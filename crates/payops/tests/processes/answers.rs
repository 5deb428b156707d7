//! The API's description, and whom it answers.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Kind, Site, bare};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_description_has_every_path() {
    let folder = tempfile::tempdir().unwrap();
    let ran = bare(&folder, &["openapi", "reconciliation"], &[]).await;
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let original = [
        ("post", "tasks"),
        ("get", "tasks"),
        ("get", "tasks/{id}"),
        ("post", "tasks/{id}/execute"),
        ("post", "tasks/{id}/retry"),
        ("get", "records"),
        ("get", "records/{id}"),
        ("post", "records/{id}/resolve"),
        ("post", "settlement-files/download"),
        ("get", "settlement-files"),
        ("get", "settlement-files/{file_no}"),
        ("get", "reports/{task_id}"),
        ("get", "reports/{task_id}/download"),
    ];
    let new = [
        ("post", "settlement-files"),
        ("post", "platform-files"),
        ("post", "tasks/{id}/cancel"),
        ("get", "tasks/{id}/events"),
        ("post", "records/bulk-resolve"),
        ("post", "records/assign"),
        ("post", "records/{id}/comments"),
        ("post", "records/{id}/reopen"),
        ("get", "summary"),
    ];
    for (method, path) in original.into_iter().chain(new) {
        let operation = &document["paths"][format!("/api/v1/reconciliation/{path}")][method];
        assert!(operation["responses"].is_object(), "{method} {path} is missing");
    }
    assert!(document["paths"]["/api/v1/webhooks/stripe"]["post"].is_object());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_opens_what_its_role_may_do() {
    let site = Site::new(Kind::Sqlite).await;
    let mut instance = site.start().await;
    let merchant = "--role merchant --merchant-id 01900000-0000-7000-8000-000000000001";
    let task = json!({ "task_date": crate::harness::DATE, "channel": "stripe" });
    for (arguments, reading, creating) in
        [("--role operator", 200, 201), ("--role admin", 200, 409), (merchant, 403, 403)]
    {
        instance.token = site.token(arguments).await;
        let list = instance.request(Method::GET, "tasks").send().await.unwrap();
        assert_eq!(list.status().as_u16(), reading, "{arguments}");
        let created = instance.request(Method::POST, "tasks").json(&task).send().await.unwrap();
        assert_eq!(created.status().as_u16(), creating, "{arguments}");
    }
    for token in ["", "nonsense"] {
        instance.token = token.to_owned();
        let list = instance.request(Method::GET, "tasks").send().await.unwrap();
        assert_eq!(list.status().as_u16(), 401, "{token:?}");
    }
}
