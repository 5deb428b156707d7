//! The ways it could have been done: the statements of a service that decides each request by itself.

use axum::extract::State;
use payops_core::id::new_id;
use payops_core::random::SystemRandom;
use payops_core::time::SystemClock;
use payops_limits::api::wire::Consume;
use payops_platform::auth::{Authorized, ServiceOnly};
use payops_platform::error::{Error, ErrorKind, Result};
use payops_platform::http::{Answer, StrictJson};
use serde::Serialize;
use sqlx::PgPool;
use uuid::Uuid;

/// The tables of both rivals: limits of a merchant beside its counters, and a log with one index.
pub const TABLES: [&str; 2] = [
    "CREATE TABLE rival_limits (merchant_id UUID PRIMARY KEY, daily_limit BIGINT NOT NULL, \
     monthly_limit BIGINT NOT NULL, single_trans_limit BIGINT NOT NULL, daily_used BIGINT NOT NULL DEFAULT 0, \
     monthly_used BIGINT NOT NULL DEFAULT 0, is_suspended BOOLEAN NOT NULL DEFAULT FALSE) WITH (fillfactor = 50)",
    "CREATE TABLE rival_logs (id UUID PRIMARY KEY, merchant_id UUID NOT NULL, payment_no VARCHAR(64), \
     action_type VARCHAR(20) NOT NULL, amount BIGINT NOT NULL, currency VARCHAR(10) NOT NULL, \
     daily_used_before BIGINT, daily_used_after BIGINT, monthly_used_before BIGINT, monthly_used_after BIGINT, \
     success BOOLEAN NOT NULL, created_at TIMESTAMPTZ NOT NULL DEFAULT now())",
];

/// What a rival answers.
#[derive(Debug, Serialize)]
pub struct Counted {
    allowed: bool,
    daily_used: i64,
    monthly_used: i64,
}

/// Three statements a request: read, add, log. As it is written it takes more than the limit when two requests meet.
pub async fn three_statements(
    State(pool): State<PgPool>,
    _: Authorized<ServiceOnly>,
    StrictJson(body): StrictJson<Consume>,
) -> Result<Answer<Counted>> {
    const READ: &str = "SELECT daily_limit, monthly_limit, single_trans_limit, daily_used, monthly_used, is_suspended \
         FROM rival_limits WHERE merchant_id = $1";
    const ADD: &str = "UPDATE rival_limits SET daily_used = daily_used + $2, monthly_used = monthly_used + $2 \
         WHERE merchant_id = $1";
    type Row = (i64, i64, i64, i64, i64, bool);
    let row: Row = sqlx::query_as(READ).bind(body.merchant_id).fetch_one(&pool).await?;
    let (daily_limit, monthly_limit, single, daily, monthly, suspended) = row;
    if suspended
        || body.amount > single
        || body.amount > daily_limit - daily
        || body.amount > monthly_limit - monthly
    {
        return Err(declined());
    }
    sqlx::query(ADD).bind(body.merchant_id).bind(body.amount).execute(&pool).await?;
    log(&pool, &body, daily, monthly).await?;
    Ok(Answer::ok(Counted {
        allowed: true,
        daily_used: daily + body.amount,
        monthly_used: monthly + body.amount,
    }))
}

async fn log(pool: &PgPool, body: &Consume, daily: i64, monthly: i64) -> Result<()> {
    const LOG: &str = "INSERT INTO rival_logs (id, merchant_id, payment_no, action_type, amount, currency, \
         daily_used_before, daily_used_after, monthly_used_before, monthly_used_after, success) \
         VALUES ($1, $2, $3, 'consume', $4, $5, $6, $7, $8, $9, TRUE)";
    let query = sqlx::query(LOG)
        .bind(fresh_id())
        .bind(body.merchant_id)
        .bind(&body.payment_no)
        .bind(body.amount)
        .bind(body.currency.as_str())
        .bind(daily)
        .bind(daily + body.amount)
        .bind(monthly)
        .bind(monthly + body.amount);
    query.execute(pool).await?;
    Ok(())
}

/// One conditional statement a request: the condition is in the update, the log row in the same statement.
pub async fn one_statement(
    State(pool): State<PgPool>,
    _: Authorized<ServiceOnly>,
    StrictJson(body): StrictJson<Consume>,
) -> Result<Answer<Counted>> {
    const CONSUME: &str = "WITH counted AS (\
         UPDATE rival_limits SET daily_used = daily_used + $2, monthly_used = monthly_used + $2 \
         WHERE merchant_id = $1 AND NOT is_suspended AND $2 <= single_trans_limit \
         AND daily_used + $2 <= daily_limit AND monthly_used + $2 <= monthly_limit \
         RETURNING daily_used, monthly_used) \
         INSERT INTO rival_logs (id, merchant_id, payment_no, action_type, amount, currency, daily_used_before, \
         daily_used_after, monthly_used_before, monthly_used_after, success) \
         SELECT $3, $1, $4, 'consume', $2, $5, daily_used - $2, daily_used, monthly_used - $2, monthly_used, TRUE \
         FROM counted RETURNING daily_used_after, monthly_used_after";
    let row: Option<(i64, i64)> = sqlx::query_as(CONSUME)
        .bind(body.merchant_id)
        .bind(body.amount)
        .bind(fresh_id())
        .bind(&body.payment_no)
        .bind(body.currency.as_str())
        .fetch_optional(&pool)
        .await?;
    let (daily_used, monthly_used) = row.ok_or_else(declined)?;
    Ok(Answer::ok(Counted { allowed: true, daily_used, monthly_used }))
}

fn declined() -> Error {
    Error::new(ErrorKind::Unprocessable, "LIMIT_EXCEEDED", "The limit is exceeded.", "超出限额。")
}

/// As payops makes them.
pub fn fresh_id() -> Uuid {
    new_id(&SystemClock, &SystemRandom)
}
