//! What people do to disputes.

use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::As;
use serde_json::json;

use crate::harness::{App, MERCHANT, entry};

both_databases!(payops_disputes::MIGRATIONS;
    a_dispute_is_entered_given_to_somebody_and_decided,
    a_status_that_cannot_follow_is_refused_and_says_which_can,
    a_merchant_sees_its_own_disputes_only,
    bad_entries_name_every_field,
    a_stale_version_is_refused,
    what_was_sold_can_be_corrected,
);

async fn a_dispute_is_entered_given_to_somebody_and_decided(db: TestDb) {
    let app = App::start(db).await;
    let id = app.entered("PAY-1").await;
    let path = format!("/api/v1/disputes/{id}");
    let assign = json!({ "assigned_to": "agent-7" });
    let given = app.client.post(&format!("{path}/assign"), &assign).by(As::Admin).send().await;
    assert_eq!((given.status, &given.data()["assigned_to"]), (200, &json!("agent-7")), "{:?}", given.json());
    for (status, closed) in [("under_review", false), ("lost", true), ("won", true)] {
        let body = json!({ "status": status });
        let set = app.put(&format!("{path}/status"), &body).send().await;
        assert_eq!((set.status, &set.data()["status"]), (200, &json!(status)), "{:?}", set.json());
        assert_eq!(set.data()["closed_at"].is_string(), closed);
    }
    app.post(&format!("{path}/notes"), &json!({ "note": "A late win." })).await;
    let story = app.story(&id).await;
    assert_eq!(story, ["created", "assigned", "status_changed", "status_changed", "status_changed", "noted"]);
}

async fn a_status_that_cannot_follow_is_refused_and_says_which_can(db: TestDb) {
    let app = App::start(db).await;
    let id = app.entered("PAY-1").await;
    let path = format!("/api/v1/disputes/{id}/status");
    let refused = app.put(&path, &json!({ "status": "prevented" })).send().await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "DISPUTE_STATUS"));
    let allowed = &refused.data()["allowed_statuses"];
    assert_eq!(allowed, &json!(["under_review", "won", "lost", "charge_refunded"]));
}

async fn a_merchant_sees_its_own_disputes_only(db: TestDb) {
    let app = App::start(db).await;
    let id = app.entered("PAY-1").await;
    let (own, other) = (As::Merchant(MERCHANT.parse().unwrap()), As::Merchant(uuid::Uuid::nil()));
    let path = format!("/api/v1/disputes/{id}");
    assert_eq!(app.client.get(&path).by(own).send().await.status, 200);
    app.post(&format!("{path}/notes"), &json!({ "note": "Between us." })).await;
    let story = app.client.get(&format!("{path}/timeline")).by(own).send().await;
    assert_eq!((story.status, &story.data()["total"]), (200, &json!(1)), "without notes");
    assert_eq!(app.client.get("/api/v1/disputes").by(own).send().await.data()["total"], 1);
    assert_eq!(app.client.get(&path).by(other).send().await.status, 404);
    assert_eq!(app.client.get(&format!("{path}/timeline")).by(other).send().await.status, 404);
    assert_eq!(app.client.get("/api/v1/disputes").by(other).send().await.data()["total"], 0);
    let named = format!("/api/v1/disputes?merchant_id={MERCHANT}");
    assert_eq!(app.client.get(&named).by(other).send().await.status, 404);
    let enter = app.client.post("/api/v1/disputes", &entry("PAY-2")).by(own).send().await;
    assert_eq!(enter.status, 403);
}

async fn bad_entries_name_every_field(db: TestDb) {
    let app = App::start(db).await;
    let mut bad = entry("PAY-1");
    bad["amount"] = json!(0);
    bad["reason"] = json!(" ");
    bad["payment_no"] = json!("x".repeat(65));
    let refused = app.post("/api/v1/disputes", &bad).await;
    assert_eq!(refused.status, 400);
    let text = refused.json().to_string();
    for field in ["amount", "reason", "payment_no"] {
        assert!(text.contains(&format!("\"{field}\"")), "{field} in {text}");
    }
    for (field, value) in [
        ("evidence_due_by", json!("-4800-01-01T00:00:00Z")),
        ("evidence_due_by", json!("+10000-01-01T00:00:00Z")),
        ("channel_dispute_id", json!("..")),
        ("amount", json!(1.5)),
        ("amount", json!("100")),
        ("currency", json!("US")),
        ("channel", json!("visa")),
        ("merchant_id", json!("me")),
        ("evidence_due_by", json!("tomorrow")),
        ("nonsense", json!(1)),
    ] {
        let mut bad = entry("PAY-1");
        bad[field] = value;
        let refused = app.post("/api/v1/disputes", &bad).await;
        assert_eq!(refused.status, 400, "{bad}");
        assert!(refused.json().to_string().contains(field), "{:?}", refused.json());
    }
}

async fn a_stale_version_is_refused(db: TestDb) {
    let app = App::start(db).await;
    let id = app.entered("PAY-1").await;
    let path = format!("/api/v1/disputes/{id}/status");
    let body = json!({ "status": "under_review" });
    let stale = app.put(&path, &body).header("if-match", "\"7\"").send().await;
    assert_eq!((stale.status, stale.code().as_str()), (412, "VERSION_MISMATCH"));
}

async fn what_was_sold_can_be_corrected(db: TestDb) {
    let app = App::start(db).await;
    let id = app.entered("PAY-1").await;
    let dispute = format!("/api/v1/disputes/{id}");
    let path = format!("{dispute}/product-type");
    let before = app.get(&format!("{dispute}/checklist")).await.data();
    let digital = json!({ "product_type": "digital" });
    let stale = app.put(&path, &digital).header("if-match", "\"7\"").send().await;
    assert_eq!((stale.status, stale.code().as_str()), (412, "VERSION_MISMATCH"));
    for wrong in
        [json!({ "product_type": "food" }), json!({}), json!({ "product_type": "digital", "more": 1 })]
    {
        let refused = app.put(&path, &wrong).send().await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "INVALID_REQUEST"), "{wrong}");
    }
    let put = |who| app.client.request(http::Method::PUT, &path).json(&digital).by(who);
    let own = As::Merchant(MERCHANT.parse().unwrap());
    assert_eq!(put(own).send().await.status, 403);
    let changed = app.put(&path, &digital).header("if-match", "\"1\"").send().await;
    assert_eq!(
        (changed.status, &changed.data()["product_type"]),
        (200, &json!("digital")),
        "{:?}",
        changed.json()
    );
    let again = put(As::Admin).send().await;
    assert_eq!(
        (again.status, &again.data()["version"]),
        (200, &changed.data()["version"]),
        "nothing changed"
    );
    let after = app.get(&format!("{dispute}/checklist")).await.data();
    assert_eq!(after["product_type"], "digital");
    assert_ne!(before, after);
    assert_eq!(app.story(&id).await, ["created", "updated"]);
    let row = app.get(&format!("{dispute}/timeline")).await.data()["items"][0]["detail"].clone();
    let change = json!({ "before": { "product_type": "physical" }, "after": { "product_type": "digital" } });
    assert_eq!(row, change);
    let lost = app.put(&format!("{dispute}/status"), &json!({ "status": "lost" })).send().await;
    assert_eq!(lost.status, 200, "{:?}", lost.json());
    let closed = app.put(&path, &json!({ "product_type": "physical" })).send().await;
    assert_eq!((closed.status, closed.code().as_str()), (409, "DISPUTE_STATUS"));
    let nobodys = "/api/v1/disputes/0193a2b4-c5d6-7e8f-9a0b-00000000dead/product-type";
    assert_eq!(app.put(nobodys, &digital).send().await.status, 404);
}
