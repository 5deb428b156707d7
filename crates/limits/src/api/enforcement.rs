//! What a gateway asks on every payment.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures::future::join_all;
use http::{HeaderName, HeaderValue};
use payops_platform::auth::{Authorized, ServiceOnly};
use payops_platform::error::{Error, Result};
use payops_platform::http::{Answer, StrictJson};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::wire::{Asked, BatchItem, Confirm, Consume, Release, Reserve, Void};
use crate::Limits;
use crate::decide::{Decision, Operation, Outcome, ReleaseAnswer, ReservationAnswer};
use crate::ops::{check, enforce};

/// Says that the same was asked before and this is the answer of then.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The most operations of one request.
const MOST_OPERATIONS: usize = 1000;

/// Counts a payment against the merchant's limits, or declines it. The decision is final for its number.
#[utoipa::path(
    post,
    path = "/api/v1/limits/consume",
    tag = "enforcement",
    request_body = Consume,
    responses(
        (status = 200, description = "Counted", body = Decision),
        (status = 404, description = "LIMIT_NOT_FOUND"),
        (status = 409, description = "PAYMENT_MISMATCH: the number was used with other parameters; data names them"),
        (status = 422, description = "LIMIT_EXCEEDED, MERCHANT_SUSPENDED, CHANNEL_NOT_ALLOWED, CURRENCY_NOT_ALLOWED (final), RATE_MISSING, AMOUNT_OUT_OF_RANGE", body = Decision),
        (status = 503, description = "OVERLOADED: nothing has happened; try again after Retry-After"),
    )
)]
pub(super) async fn consume(
    State(app): State<Limits>,
    _: Authorized<ServiceOnly>,
    StrictJson(body): StrictJson<Consume>,
) -> Result<Response> {
    decide(&app, body.operation()?).await
}

/// Holds an amount until it is confirmed, voided or expires; it counts against every limit meanwhile.
#[utoipa::path(
    post,
    path = "/api/v1/limits/reserve",
    tag = "enforcement",
    request_body = Reserve,
    responses(
        (status = 200, description = "Held", body = Decision),
        (status = 404, description = "LIMIT_NOT_FOUND"),
        (status = 409, description = "PAYMENT_MISMATCH"),
        (status = 422, description = "As for consume", body = Decision),
        (status = 503, description = "OVERLOADED"),
    )
)]
pub(super) async fn reserve(
    State(app): State<Limits>,
    _: Authorized<ServiceOnly>,
    StrictJson(body): StrictJson<Reserve>,
) -> Result<Response> {
    decide(&app, body.operation()?).await
}

/// Counts a held amount in the windows that are open now. One that has expired is counted too, and flagged.
#[utoipa::path(
    post,
    path = "/api/v1/limits/confirm",
    tag = "enforcement",
    request_body = Confirm,
    responses(
        (status = 200, description = "Counted", body = ReservationAnswer),
        (status = 404, description = "LIMIT_NOT_FOUND, PAYMENT_NOT_FOUND"),
        (status = 409, description = "PAYMENT_STATE, PAYMENT_MISMATCH"),
        (status = 422, description = "CONFIRM_EXCEEDS_RESERVATION"),
        (status = 503, description = "OVERLOADED"),
    )
)]
pub(super) async fn confirm(
    State(app): State<Limits>,
    _: Authorized<ServiceOnly>,
    StrictJson(body): StrictJson<Confirm>,
) -> Result<Response> {
    decide(&app, body.operation()?).await
}

/// Lets a held amount go.
#[utoipa::path(
    post,
    path = "/api/v1/limits/void",
    tag = "enforcement",
    request_body = Void,
    responses(
        (status = 200, description = "Free again; also when it had expired", body = ReservationAnswer),
        (status = 404, description = "LIMIT_NOT_FOUND, PAYMENT_NOT_FOUND"),
        (status = 409, description = "PAYMENT_STATE"),
        (status = 503, description = "OVERLOADED"),
    )
)]
pub(super) async fn void(
    State(app): State<Limits>,
    _: Authorized<ServiceOnly>,
    StrictJson(body): StrictJson<Void>,
) -> Result<Response> {
    decide(&app, body.operation()?).await
}

/// Gives back a payment, or a part of it, to the windows it was counted in. Closed windows get nothing.
#[utoipa::path(
    post,
    path = "/api/v1/limits/release",
    tag = "enforcement",
    request_body = Release,
    responses(
        (status = 200, description = "Given back", body = ReleaseAnswer),
        (status = 404, description = "LIMIT_NOT_FOUND, PAYMENT_NOT_FOUND"),
        (status = 409, description = "PAYMENT_STATE, PAYMENT_MISMATCH"),
        (status = 422, description = "RELEASE_EXCEEDS_PAYMENT: data names what is left"),
        (status = 503, description = "OVERLOADED"),
    )
)]
pub(super) async fn release(
    State(app): State<Limits>,
    _: Authorized<ServiceOnly>,
    StrictJson(body): StrictJson<Release>,
) -> Result<Response> {
    decide(&app, body.operation()?).await
}

/// Up to 1,000 operations.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    /// Those of one merchant are decided in this order.
    #[schema(value_type = Vec<BatchItem>)]
    operations: Vec<Box<RawValue>>,
}

/// One answer of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BatchAnswer {
    /// `SUCCESS`, or the error's code.
    code: String,
    /// What the single operation would have answered as status.
    status: u16,
    /// In words, for an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// Whether this repeats an earlier answer, a decline included.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
    /// What the single operation would have answered as data.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    data: Option<Box<RawValue>>,
}

/// The answers of a batch, in the order of its operations.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BatchAnswers {
    results: Vec<BatchAnswer>,
}

/// Decides up to 1,000 operations of any kind and of any merchants. Each is answered on its own. A check among them decides
/// nothing; it sees the other operations of its batch or does not.
#[utoipa::path(
    post,
    path = "/api/v1/limits/batch",
    tag = "enforcement",
    request_body = Batch,
    responses(
        (status = 200, description = "One answer for each operation", body = BatchAnswers),
        (status = 400, description = "INVALID_REQUEST: no list of 1 to 1,000 operations"),
    )
)]
pub(super) async fn batch(
    State(app): State<Limits>,
    _: Authorized<ServiceOnly>,
    StrictJson(body): StrictJson<Batch>,
) -> Result<Answer<BatchAnswers>> {
    if !(1..=MOST_OPERATIONS).contains(&body.operations.len()) {
        let en = format!("1 to {MOST_OPERATIONS} operations are accepted");
        return Err(Error::invalid_field("operations", en, format!("允许 1 到 {MOST_OPERATIONS} 个操作")));
    }
    Ok(Answer::ok(BatchAnswers { results: answers(&app, &body.operations).await }))
}

/// The answers of a batch. Its checks are answered beside its decisions.
async fn answers(app: &Limits, items: &[Box<RawValue>]) -> Vec<BatchAnswer> {
    let (mut checks, mut operations) = (Vec::new(), Vec::new());
    let is_check: Vec<bool> = items
        .iter()
        .map(|item| match item_of(item).and_then(BatchItem::asked) {
            Ok(Asked::Question(question)) => {
                checks.push(check::check(app, question));
                true
            }
            Ok(Asked::Operation(operation)) => {
                operations.push(Ok(operation));
                false
            }
            Err(error) => {
                operations.push(Err(error));
                false
            }
        })
        .collect();
    let (checked, decided) = futures::join!(join_all(checks), enforce::decide_all(app, operations));
    let mut checked = checked.into_iter().map(BatchAnswer::from);
    let mut decided = decided.into_iter().map(BatchAnswer::from);
    is_check.into_iter().filter_map(|check| if check { checked.next() } else { decided.next() }).collect()
}

/// Reads one operation on its own, so that a bad one fails alone.
fn item_of(item: &RawValue) -> Result<BatchItem> {
    serde_json::from_str(item.get()).map_err(|error| {
        Error::invalid_field("operation", error.to_string(), format!("操作无法读取：{error}"))
    })
}

impl BatchAnswer {
    fn of(answer: Result<Option<Box<RawValue>>>, replayed: bool) -> Self {
        match answer {
            Ok(data) => Self { code: "SUCCESS".to_owned(), status: 200, message: None, replayed, data },
            Err(error) => Self {
                code: error.code().to_owned(),
                status: error.kind().status(),
                message: Some(error.text().en.to_string()),
                replayed,
                data: error.data().and_then(|data| serde_json::value::to_raw_value(&data).ok()),
            },
        }
    }
}

impl From<Result<Outcome>> for BatchAnswer {
    fn from(outcome: Result<Outcome>) -> Self {
        let replayed = enforce::is_replayed(&outcome);
        let approved = enforce::approved(outcome);
        Self::of(approved.map(|approval| RawValue::from_string(approval.answer.to_string()).ok()), replayed)
    }
}

impl From<Result<Decision>> for BatchAnswer {
    fn from(checked: Result<Decision>) -> Self {
        Self::of(checked.map(|decision| serde_json::value::to_raw_value(&decision).ok()), false)
    }
}

async fn decide(app: &Limits, operation: Operation) -> Result<Response> {
    let outcome = enforce::decide(app, operation).await;
    let replayed = enforce::is_replayed(&outcome);
    let mut response = match enforce::approved(outcome) {
        Ok(approval) => {
            let data = RawValue::from_string(approval.answer.to_string()).map_err(Error::internal)?;
            Answer::ok(data).into_response()
        }
        // A no has the header too, so it does not leave by the other door.
        Err(error) => error.into_response(),
    };
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}
