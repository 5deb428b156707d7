//! A small service that stands on the whole stack.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use futures::{Stream, StreamExt, stream};
use payops_core::random::SeededRandom;
use payops_core::time::{Clock, ManualClock, SystemClock};
use payops_platform::auth::{
    AdminOnly, AdminOrService, AnyCaller, Authorized, OperatorOnly, OperatorOrService, ServiceOnly,
};
use payops_platform::db::testing::TestDb;
use payops_platform::db::{Db, Migration};
use payops_platform::http::testing::{TestClient, authenticator};
use payops_platform::http::{
    Answer, Command, IfMatch, NoBody, PageQuery, PathId, PathParams, ServiceHttp, ShuttingDown, StrictJson,
    StrictQuery, service_router,
};
use payops_platform::telemetry::Metrics;
use payops_platform::{Error, ErrorKind, Result, ServiceContext};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) const SERVICE: &str = "test-service";

/// One table, in which every effect leaves a row.
pub(crate) const MIGRATIONS: &[Migration] = &[Migration::portable(
    "0001_orders",
    "CREATE TABLE orders (id UUID PRIMARY KEY, amount BIGINT NOT NULL)",
)];

#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct Order {
    amount: i64,
    items: Option<Vec<Item>>,
}

#[derive(Debug, Deserialize, Serialize, ToSchema)]
struct Item {
    sku: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct Filter {
    status: Option<String>,
    least: Option<i64>,
}

#[utoipa::path(
    post,
    path = "/api/v1/orders",
    params(("x" = Option<i64>, Query, description = "Anything")),
    responses((status = 201, body = Order))
)]
async fn create_order(
    axum::extract::State(context): axum::extract::State<ServiceContext>,
    caller: Authorized<OperatorOrService>,
    command: Command<Order>,
) -> Result<Answer<serde_json::Value>> {
    let actor = caller.actor();
    context
        .clone()
        .db
        .write("create_order", move |tx| {
            let (command, context, actor) = (command.clone(), context.clone(), actor.clone());
            Box::pin(async move {
                let id = context.new_id();
                let effect = async {
                    if command.body.amount < 0 {
                        return Err(Error::new(ErrorKind::Unprocessable, "NEGATIVE", "Negative.", "为负数"));
                    }
                    let values = [id.into(), command.body.amount.into()];
                    tx.execute_raw(tx.statement("INSERT INTO orders (id, amount) VALUES ($1, $2)", values))
                        .await?;
                    let data = serde_json::json!({ "id": id, "amount": command.body.amount });
                    Ok(Answer::created(data).etag(1).location(format!("/api/v1/orders/{id}")))
                };
                command.once(tx, &context, &actor, effect).await
            })
        })
        .await
}

impl Clone for Order {
    fn clone(&self) -> Self {
        Self { amount: self.amount, items: None }
    }
}

async fn list_orders(
    _: Authorized<AnyCaller>,
    query: PageQuery<u64, Filter>,
) -> Result<Answer<serde_json::Value>> {
    Ok(Answer::ok(serde_json::json!({ "size": query.page.size, "filter": query.filter })))
}

async fn get_order(_: Authorized<OperatorOnly>, PathId(id): PathId) -> Answer<Uuid> {
    Answer::ok(id).etag(7)
}

async fn put_order(
    _: Authorized<AdminOnly>,
    PathId(_): PathId,
    if_match: IfMatch,
    StrictJson(order): StrictJson<Order>,
) -> Result<Answer<i64>> {
    if_match.check(7)?;
    Ok(Answer::ok(order.amount).etag(8))
}

async fn cancel_order(
    _: Authorized<AdminOrService>,
    PathParams((_, reason)): PathParams<(Uuid, u8)>,
    _: Command<NoBody>,
) -> Answer<u8> {
    Answer::accepted(reason)
}

async fn search(_: Authorized<ServiceOnly>, StrictQuery(filter): StrictQuery<Filter>) -> Answer<Filter> {
    Answer::ok(filter)
}

async fn many(_: Authorized<AnyCaller>) -> Answer<Vec<u32>> {
    Answer::ok((0..5_000).collect())
}

async fn broken() -> Result<Answer<()>> {
    Err(Error::internal("the password of the database is hunter2"))
}

async fn panics() -> Answer<()> {
    panic!("the password of the database is hunter2")
}

async fn never() -> Answer<()> {
    std::future::pending().await
}

/// As a careless handler would do it: axum's own extractor, with axum's own words.
async fn careless(Json(order): Json<Order>) -> Answer<Order> {
    Answer::ok(order)
}

/// A stream that only the end of the server ends.
async fn events(ShuttingDown(stop): ShuttingDown) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let first = stream::once(async { Ok(Event::default().data("first")) });
    Sse::new(first.chain(stream::pending()).take_until(async move { stop.cancelled().await }))
}

pub(crate) fn context(db: Db, clock: Arc<dyn Clock>) -> ServiceContext {
    ServiceContext::new(SERVICE, db, clock, Arc::new(SeededRandom::new(7)), Metrics::new(SERVICE))
}

pub(crate) fn routes(context: ServiceContext) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(create_order))
        .route("/api/v1/orders/all", get(list_orders))
        .route("/api/v1/orders/{id}", get(get_order).put(put_order))
        .route("/api/v1/orders/{id}/cancel/{reason}", post(cancel_order))
        .route("/api/v1/search", get(search))
        .route("/api/v1/many", get(many))
        .route("/api/v1/broken", get(broken))
        .route("/api/v1/panics", get(panics))
        .route("/api/v1/never", get(never))
        .route("/api/v1/careless", post(careless))
        .route("/api/v1/events", get(events))
        .with_state(context)
}

/// The service on a clock that stands still, so that tokens are as old as a test wants them.
pub(crate) fn service(db: Db) -> ServiceHttp {
    let clock = ManualClock::new(chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap());
    let context = context(db, Arc::new(clock));
    ServiceHttp::new(context.clone(), authenticator().unwrap(), routes(context))
}

/// A client of `service`.
pub(crate) fn client(service: ServiceHttp) -> TestClient {
    let (authenticator, now) = (Arc::clone(&service.authenticator), service.context.now());
    TestClient::new(service_router(service), authenticator, now)
}

/// A database that does not matter, to be kept as long as its client is used.
pub(crate) async fn some_db() -> TestDb {
    payops_platform::db::testing::sqlite(MIGRATIONS).await
}

/// The service on the machine's clock, for tests over the network.
pub(crate) fn running(db: Db) -> ServiceHttp {
    let context = context(db, Arc::new(SystemClock));
    ServiceHttp::new(context.clone(), authenticator().unwrap(), routes(context))
}
