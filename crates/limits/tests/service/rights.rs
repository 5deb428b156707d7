//! Who may call what. The same table stands in docs/limits.md.

use http::Method;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::{Rights, check_rights};

use crate::harness::{App, TABLES};

both_databases!(TABLES; every_endpoint_knows_its_callers, the_documents_say_the_same);

const EVERYBODY: &[&str] = &["operator", "admin", "service", "merchant"];
const ADMIN: &[&str] = &["admin"];
const PEOPLE: &[&str] = &["operator", "admin"];
const READERS: &[&str] = &["operator", "admin", "merchant"];
const BEGINNERS: &[&str] = &["admin", "service"];
const SERVICE: &[&str] = &["service"];

/// Method, path as documented, who.
const TABLE: [(&str, &str, &[&str]); 29] = [
    ("GET", "/api/v1/tiers", EVERYBODY),
    ("GET", "/api/v1/tiers/{id}", EVERYBODY),
    ("POST", "/api/v1/tiers", ADMIN),
    ("PUT", "/api/v1/tiers/{id}", ADMIN),
    ("DELETE", "/api/v1/tiers/{id}", ADMIN),
    ("POST", "/api/v1/limits/initialize", BEGINNERS),
    ("GET", "/api/v1/limits", PEOPLE),
    ("GET", "/api/v1/limits/{merchant_id}", READERS),
    ("PUT", "/api/v1/limits/{merchant_id}", ADMIN),
    ("POST", "/api/v1/limits/{merchant_id}/change-tier", ADMIN),
    ("POST", "/api/v1/limits/{merchant_id}/suspend", ADMIN),
    ("POST", "/api/v1/limits/{merchant_id}/unsuspend", ADMIN),
    ("GET", "/api/v1/limits/{merchant_id}/overrides", PEOPLE),
    ("POST", "/api/v1/limits/{merchant_id}/overrides", ADMIN),
    ("DELETE", "/api/v1/limits/{merchant_id}/overrides/{id}", ADMIN),
    ("GET", "/api/v1/limits/{merchant_id}/alerts", PEOPLE),
    ("POST", "/api/v1/limits/{merchant_id}/alerts/{alert_no}/resend", PEOPLE),
    ("GET", "/api/v1/rates", PEOPLE),
    ("PUT", "/api/v1/rates", ADMIN),
    ("GET", "/api/v1/limits/{merchant_id}/usage-history", READERS),
    ("GET", "/api/v1/limits/{merchant_id}/statistics", READERS),
    ("GET", "/api/v1/limits/{merchant_id}/payments/{payment_no}", EVERYBODY),
    ("POST", "/api/v1/limits/{merchant_id}/what-if", PEOPLE),
    ("POST", "/api/v1/limits/check", SERVICE),
    ("POST", "/api/v1/limits/consume", SERVICE),
    ("POST", "/api/v1/limits/reserve", SERVICE),
    ("POST", "/api/v1/limits/confirm", SERVICE),
    ("POST", "/api/v1/limits/void", SERVICE),
    ("POST", "/api/v1/limits/release", SERVICE),
];

async fn every_endpoint_knows_its_callers(db: TestDb) {
    let app = App::start(db).await;
    let batch = ("POST", "/api/v1/limits/batch", SERVICE);
    let id = "00000000-0000-7000-8000-000000000001";
    let row = |(method, path, allowed): &(&str, &str, &'static [&'static str])| Rights {
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        path: path
            .replace("{id}", id)
            .replace("{merchant_id}", id)
            .replace("{payment_no}", "p1")
            .replace("{alert_no}", "1")
            .leak(),
        allowed,
    };
    let table: Vec<Rights> = TABLE.iter().chain([&batch]).map(row).collect();
    let differences = check_rights(&app.client, &table).await;
    assert!(differences.is_empty(), "{differences:#?}");
    let documented = serde_json::to_value(payops_limits::openapi("merchant-limit-service")).unwrap();
    let paths = documented["paths"].as_object().unwrap();
    let count: usize = paths.values().map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(count, table.len(), "every endpoint stands in the table");
}

/// The table of callers, and every code. No database is needed; both run it.
async fn the_documents_say_the_same(db: TestDb) {
    drop(db);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/limits.md");
    let text = std::fs::read_to_string(path).unwrap();
    for (method, path, allowed) in TABLE {
        let may = |who: &str| if allowed.contains(&who) { "yes" } else { "no" };
        let merchant =
            if allowed == READERS || path.ends_with("{payment_no}") { "own" } else { may("merchant") };
        let line = format!(
            "| `{method} {}` | {} | {} | {} | {merchant} |",
            path.trim_start_matches("/api/v1"),
            may("operator"),
            may("admin"),
            may("service")
        );
        assert!(text.contains(&line), "docs/limits.md has no line: {line}");
    }
    let words = include_str!("../../src/error.rs")
        .split('"')
        .filter(|word| word.len() > 3 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
    let stack = std::fs::read_to_string(path.replace("limits.md", "api-design.md")).unwrap();
    for code in words {
        let quoted = format!("`{code}`");
        assert!(text.contains(&quoted) || stack.contains(&quoted), "docs/limits.md does not explain {code}");
    }
}
