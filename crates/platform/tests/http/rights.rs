//! Who may call what.

use http::Method;
use payops_platform::http::testing::{Rights, check_rights};

use crate::site;

const ALL: &[&str] = &["merchant", "operator", "admin", "service"];

fn rights(method: Method, path: &'static str, allowed: &'static [&'static str]) -> Rights {
    Rights { method, path, allowed }
}

#[tokio::test]
async fn the_type_of_the_extractor_is_the_permission() {
    let db = site::some_db().await;
    let client = site::client(site::service(db.db()));
    let order = "/api/v1/orders/018bcfe5-687b-7000-8000-000000000001";
    let mut table = vec![
        rights(Method::POST, "/api/v1/orders", &["operator", "admin", "service"]),
        rights(Method::GET, "/api/v1/orders/all", ALL),
        rights(Method::GET, order, &["operator", "admin"]),
        rights(Method::PUT, order, &["admin"]),
        rights(
            Method::POST,
            "/api/v1/orders/018bcfe5-687b-7000-8000-000000000001/cancel/1",
            &["admin", "service"],
        ),
        rights(Method::GET, "/api/v1/search", &["service"]),
        rights(Method::GET, "/metrics", &["operator", "admin", "service"]),
    ];
    let open = &["nobody", "merchant", "operator", "admin", "service"];
    for path in ["/livez", "/readyz", "/health", "/openapi.json", "/docs/"] {
        table.push(rights(Method::GET, path, open));
    }
    assert_eq!(check_rights(&client, &table).await, Vec::<String>::new());

    // The check itself sees what is wrong.
    table = vec![rights(Method::GET, "/api/v1/search", &["operator"])];
    assert_eq!(
        check_rights(&client, &table).await,
        [
            "GET /api/v1/search as operator: 403, expected None",
            "GET /api/v1/search as service: 200, expected Some(403)",
        ]
    );
}
