//! Settings of channel accounts: what admins say of them, and what is refused.

use http::Method;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::As;
use serde_json::{Value, json};

use crate::expected_files::call;
use crate::harness::App;

both_databases!(payops_recon::MIGRATIONS;
    settings_are_made_shown_changed_and_removed,
    bad_settings_name_their_field,
    only_admins_change_settings,
);

pub const SETTINGS: &str = "/api/v1/reconciliation/channel-settings";

async fn settings_are_made_shown_changed_and_removed(db: TestDb) {
    let app = App::start(db).await;
    let cut_off = json!({ "time": "22:00", "timezone": "US/Eastern", "covers": "pending" });
    let body =
        json!({ "channel": "paypal", "account": "east", "timezone": "Asia/Shanghai", "cut_off": cut_off });
    let answer = call(&app, Method::POST, SETTINGS, &body).await;
    let made = answer.data();
    assert_eq!((answer.status, answer.header("etag")), (201, "\"1\""), "{made}");
    let shown = json!({ "time": "22:00", "timezone": "America/New_York", "covers": "pending" });
    assert_eq!((&made["cut_off"], &made["lookback_days"]), (&shown, &json!(7)));
    assert_eq!(made["net_by_payment"], false);
    assert_eq!((&made["payout_window"], &made["payout_words"]), (&json!(5), &Value::Null));
    let path = format!("{SETTINGS}/{}", made["id"].as_str().unwrap());
    assert_eq!(app.get(&path).await.data(), made);

    let again = call(&app, Method::POST, SETTINGS, &body).await;
    assert_eq!((again.status, again.code().as_str()), (409, "CHANNEL_SETTINGS_EXIST"));
    assert_eq!(again.data()["channel_settings_id"], made["id"]);
    let listed = app.get(&format!("{SETTINGS}?channel=paypal")).await.data();
    assert_eq!((&listed["total"], &listed["items"][0]), (&json!(1), &made));

    let mut changed = body.clone();
    changed["lookback_days"] = json!(3);
    changed["cut_off"] = Value::Null;
    changed["payout_window"] = json!(0);
    changed["payout_words"] = json!([" ACME ", "支付"]);
    let put = app.client.request(Method::PUT, &path).json(&changed).by(As::Admin).header("if-match", "\"1\"");
    let put = put.send().await;
    assert_eq!((put.status, put.header("etag"), &put.data()["lookback_days"]), (200, "\"2\"", &json!(3)));
    assert_eq!(put.data()["cut_off"], Value::Null);
    assert_eq!(
        (&put.data()["payout_window"], &put.data()["payout_words"]),
        (&json!(0), &json!(["ACME", "支付"]))
    );
    let stale =
        app.client.request(Method::PUT, &path).json(&changed).by(As::Admin).header("if-match", "\"1\"");
    assert_eq!(stale.send().await.status, 412);

    let removed = call(&app, Method::DELETE, &path, &json!({})).await;
    assert_eq!((removed.status, removed.data()["version"].clone()), (200, json!(2)));
    assert_eq!(app.get(&path).await.status, 404);
}

async fn bad_settings_name_their_field(db: TestDb) {
    let app = App::start(db).await;
    let good = json!({ "channel": "adyen", "cut_off": { "time": "22:00", "timezone": "Etc/UTC" } });
    for (change, field) in [
        (json!({ "timezone": "Mars/Olympus" }), "timezone"),
        (json!({ "cut_off": { "time": "25:00", "timezone": "Etc/UTC" } }), "cut_off.time"),
        (json!({ "cut_off": { "time": "9:00", "timezone": "Etc/UTC" } }), "cut_off.time"),
        (json!({ "cut_off": { "time": "22:00", "timezone": "Mars/Olympus" } }), "cut_off.timezone"),
        (json!({ "lookback_days": 0 }), "lookback_days"),
        (json!({ "lookback_days": 91 }), "lookback_days"),
        (json!({ "account": "a\u{200b}" }), "account"),
        (json!({ "payout_window": -1 }), "payout_window"),
        (json!({ "payout_window": 91 }), "payout_window"),
        (json!({ "payout_words": vec!["acme"; 21] }), "payout_words"),
        (json!({ "payout_words": ["ACME", "-"] }), "payout_words[1]"),
        (json!({ "payout_words": ["A G."] }), "payout_words[0]"),
        (json!({ "payout_words": ["ACME", "  "] }), "payout_words[1]"),
    ] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let refused = call(&app, Method::POST, SETTINGS, &body).await;
        assert_eq!(refused.status, 400, "{body}: {:?}", refused.json());
        assert!(refused.json().to_string().contains(&format!("\"{field}\"")), "{body}: {:?}", refused.json());
    }
    let made = call(&app, Method::POST, SETTINGS, &good).await.data();
    let path = format!("{SETTINGS}/{}", made["id"].as_str().unwrap());
    let other = json!({ "channel": "paypal" });
    assert_eq!(call(&app, Method::PUT, &path, &other).await.status, 400, "whose they are stays");
}

async fn only_admins_change_settings(db: TestDb) {
    let app = App::start(db).await;
    let body = json!({ "channel": "adyen" });
    for (who, status) in [(As::Operator, 403), (As::Admin, 201)] {
        let answer = app.client.request(Method::POST, SETTINGS).json(&body).by(who).send().await;
        assert_eq!(answer.status, status);
    }
    assert_eq!(app.get(SETTINGS).await.status, 200, "operators read them");
}
