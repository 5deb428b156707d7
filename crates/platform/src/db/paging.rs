//! What every list shares: the slice to fetch, one row more than asked, and a count that stops counting.

use payops_core::page::{MAX_COUNTED, Page, PageRequest};
use sea_orm::sea_query::{Alias, Asterisk, Expr, ExprTrait, Func, Query};
use sea_orm::{ConnectionTrait, EntityTrait, FromQueryResult, QuerySelect, QueryTrait, Select};
use serde::Serialize;

use crate::error::Result;

/// Fetches one page of `rows` (filtered, ordered and cut at the cursor) out of the list that `all` describes
/// (filtered only).
pub async fn fetch_page<E, C>(
    conn: &impl ConnectionTrait,
    all: Select<E>,
    rows: Select<E>,
    request: &PageRequest<C>,
    cursor_of: impl Fn(&E::Model) -> C,
) -> Result<Page<E::Model>>
where
    E: EntityTrait,
    E::Model: FromQueryResult + Send + Sync,
    C: Serialize + serde::de::DeserializeOwned,
{
    let counted = count_rows(conn, all).await?;
    let rows = rows.offset(request.offset()).limit(request.size + 1).all(conn).await?;
    Ok(Page::build(request, rows, counted, cursor_of))
}

/// Counts the rows of a list, up to one more than is ever shown.
pub async fn count_rows<E: EntityTrait>(conn: &impl ConnectionTrait, all: Select<E>) -> Result<u64> {
    // No column: an index that answers the filter need not have any other, and no row is looked up.
    let counted = all.select_only().expr_as(Expr::cust("1"), "one").limit(MAX_COUNTED + 1).into_query();
    let query = Query::select()
        .expr_as(ExprTrait::cast_as(Func::count(Expr::col(Asterisk)), "BIGINT"), "counted")
        .from_subquery(counted, Alias::new("counted_rows"))
        .to_owned();
    let row = conn.query_one(&query).await?;
    let counted: i64 = row.map(|row| row.try_get("", "counted")).transpose()?.unwrap_or(0);
    Ok(u64::try_from(counted).unwrap_or(0))
}
