//! What the tests of people's endpoints share: calls as an admin, and merchants that were made through the API.

use http::Method;
use payops_platform::http::testing::{As, TestAnswer};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::App;

pub const TIERS: &str = "/api/v1/tiers";
pub const LIMITS: &str = "/api/v1/limits";
pub const RATES: &str = "/api/v1/rates";

impl App {
    /// As an admin.
    pub async fn admin(&self, method: Method, path: &str, body: &Value) -> TestAnswer {
        self.client.request(method, path).json(body).by(As::Admin).send().await
    }

    /// `POST` as an admin.
    pub async fn post(&self, path: &str, body: &Value) -> TestAnswer {
        self.admin(Method::POST, path, body).await
    }

    /// `PUT` as an admin.
    pub async fn put(&self, path: &str, body: &Value) -> TestAnswer {
        self.admin(Method::PUT, path, body).await
    }

    /// `DELETE` as an admin.
    pub async fn delete(&self, path: &str) -> TestAnswer {
        self.client.request(Method::DELETE, path).by(As::Admin).send().await
    }

    /// `GET` as an operator.
    pub async fn get(&self, path: &str) -> TestAnswer {
        self.client.get(path).by(As::Operator).send().await
    }

    /// A tier with these limits in a currency; gives its id.
    pub async fn tier(
        &self,
        code: &str,
        currency: &str,
        limits: (Option<i64>, Option<i64>, Option<i64>),
    ) -> String {
        let made = self.post(TIERS, &new_tier(code, currency, limits)).await;
        assert_eq!(made.status, 201, "{:?}", made.json());
        made.data()["id"].as_str().unwrap().to_owned()
    }

    /// A merchant of a tier.
    pub async fn initialize(&self, tier_code: &str) -> Uuid {
        let merchant = Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0000 + u128::from(fresh()));
        let made = self
            .post(
                &format!("{LIMITS}/initialize"),
                &json!({ "merchant_id": merchant, "tier_code": tier_code }),
            )
            .await;
        assert_eq!(made.status, 201, "{:?}", made.json());
        merchant
    }

    /// A merchant's limits as an operator sees them.
    pub async fn limit(&self, merchant: Uuid) -> Value {
        let seen = self.get(&format!("{LIMITS}/{merchant}")).await;
        assert_eq!(seen.status, 200, "{:?}", seen.json());
        seen.data()
    }

    /// What the audit log says of an object, in the order of the alphabet: time stands still in tests.
    pub async fn audited(&self, object: Uuid) -> Vec<String> {
        let sql = "SELECT action FROM audit_log WHERE object_id = CAST($1 AS TEXT) ORDER BY action";
        let rows = self.rows_of(sql, object.to_string()).await;
        rows.iter().map(|row| row.try_get("", "action").unwrap()).collect()
    }

    /// The alerts of a merchant: kind, threshold, crossed.
    pub async fn alerts(&self, merchant: Uuid) -> Vec<(String, i16, bool)> {
        let sql = "SELECT limit_kind, threshold, crossed FROM limit_alerts WHERE merchant_id = $1 \
                   ORDER BY created_at, seq, limit_kind, threshold";
        let row = |row: &sea_orm::QueryResult| {
            let threshold = row.try_get("", "threshold").unwrap();
            (row.try_get("", "limit_kind").unwrap(), threshold, row.try_get("", "crossed").unwrap())
        };
        self.rows(sql, merchant).await.iter().map(row).collect()
    }
}

/// A body that makes a tier.
pub fn new_tier(
    code: &str,
    currency: &str,
    (daily, monthly, single): (Option<i64>, Option<i64>, Option<i64>),
) -> Value {
    json!({
        "tier_code": code,
        "tier_level": 9,
        "currency": currency,
        "daily_limit": daily,
        "monthly_limit": monthly,
        "single_trans_limit": single,
        "transaction_fee_rate": 0.0025,
        "withdrawal_fee_rate": 0.005,
    })
}

/// Refuses each body with 400, and names the field.
pub async fn each_is_refused(app: &App, method: Method, path: &str, bodies: &[(Value, &str)]) {
    for (body, field) in bodies {
        let answer = app.admin(method.clone(), path, body).await;
        assert_eq!((answer.status, answer.fields().as_str()), (400, *field), "{body}");
    }
}

fn fresh() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}
