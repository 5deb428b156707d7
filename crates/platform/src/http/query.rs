//! Query strings, read strictly.

use std::borrow::Cow;

use axum::extract::FromRequestParts;
use http::request::Parts;
use payops_core::page::{PageError, PageRequest};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::json::explain;
use crate::error::{Error, FieldError, Result};

/// The query of type `T`: 400 for a parameter that is unknown, missing, of the wrong type, or that comes
/// twice though `T` has it once. A `Vec` takes a repeated parameter.
#[derive(Debug, Clone)]
pub struct StrictQuery<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for StrictQuery<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        parse(&pairs(parts)?).map(Self)
    }
}

/// A list's query: which page, by `page`, `page_size` and `cursor`, and everything else as the filter `F`,
/// read as strictly as [`StrictQuery`] does.
#[derive(Debug, Clone)]
pub struct PageQuery<C, F = NoFilter> {
    /// The page wanted.
    pub page: PageRequest<C>,
    /// The list's own parameters.
    pub filter: F,
}

/// A list without parameters of its own.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct NoFilter {}

/// The parameters of every list, for OpenAPI documents.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// Number of the page, from 1. Reaches row 10,000; take `cursor` to go further.
    #[param(minimum = 1)]
    pub page: Option<u64>,
    /// Items a page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub page_size: Option<u64>,
    /// `next_cursor` of the page before; excludes `page`.
    pub cursor: Option<String>,
}

impl<C, F, S> FromRequestParts<S> for PageQuery<C, F>
where
    C: DeserializeOwned,
    F: DeserializeOwned,
    S: Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let is_paging = |(name, _): &Pair<'_>| matches!(&**name, "page" | "page_size" | "cursor");
        let (paging, filter): (Vec<_>, Vec<_>) = pairs(parts)?.into_iter().partition(is_paging);
        let paging: PageParams = parse(&paging)?;
        let page =
            PageRequest::new(paging.page, paging.page_size, paging.cursor.as_deref()).map_err(page_fault)?;
        Ok(Self { page, filter: parse(&filter)? })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is the argument of map_err")]
fn page_fault(error: PageError) -> Error {
    let (path, zh) = match error {
        PageError::PageZero => ("page", "页码从 1 开始"),
        PageError::PageSize => ("page_size", "page_size 必须在 1 到 100 之间"),
        PageError::TooDeep => ("page", "页码最多到第 10000 行，请改用 next_cursor"),
        PageError::PageAndCursor => ("cursor", "page 与 cursor 不能同时使用"),
        PageError::BadCursor => ("cursor", "不是该列表给出的 cursor"),
    };
    Error::invalid_field(path, error.to_string(), zh)
}

type Pair<'q> = (Cow<'q, str>, Cow<'q, str>);

/// The decoded pairs. Bytes that are no UTF-8 are refused, not replaced.
fn pairs(parts: &Parts) -> Result<Vec<Pair<'_>>> {
    let query = parts.uri.query().unwrap_or_default();
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    // A NUL is valid, but no database text holds one.
    let intact = |text: &str| !text.contains([char::REPLACEMENT_CHARACTER, '\0']);
    match pairs.iter().find(|(name, value)| !intact(name) || !intact(value)) {
        Some((name, _)) => {
            let name = if intact(name) { name.to_string() } else { String::from("query") };
            Err(Error::invalid_field(name, "is not valid UTF-8", "不是有效的 UTF-8 文本"))
        }
        // A variable that was never set must not turn one into all.
        None => match pairs.iter().find(|(_, value)| value.is_empty()) {
            Some((name, _)) => Err(Error::invalid_field(
                name.to_string(),
                "is empty: give it a value, or leave it out",
                "不能为空：请给出值，或省略该参数",
            )),
            None => Ok(pairs),
        },
    }
}

/// 400 for any parameter at all, where a route has none.
pub(super) fn expect_none(query: &str) -> Result<()> {
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    parse::<NoFilter>(&pairs).map(drop)
}

fn parse<T: DeserializeOwned>(pairs: &[Pair<'_>]) -> Result<T> {
    let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let form = serde_html_form::Deserializer::new(form_urlencoded::parse(text.as_bytes()));
    let tracked = serde_path_to_error::Deserializer::new(form, &mut track);
    let read = serde_ignored::deserialize(tracked, |path| {
        unknown.push(FieldError::new(explain::ignored_path(&path), "is not a known parameter", "未知参数"));
    });
    match read {
        Ok(value) if unknown.is_empty() => Ok(value),
        Ok(_) => Err(Error::invalid_fields(unknown)),
        Err(error) => Err(misread(&track.path().to_string(), &error, pairs)),
    }
}

fn misread(path: &str, error: &serde_html_form::de::Error, pairs: &[Pair<'_>]) -> Error {
    let name = path.split(['[', '.']).next().unwrap_or_default();
    if pairs.iter().filter(|(known, _)| known == name).count() > 1 && !path.contains('[') {
        return Error::invalid_field(name, "is given twice", "参数重复");
    }
    explain::fault(path, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Filter {
        status: Option<Status>,
        channel: Option<String>,
        least: Option<i64>,
        paid: Option<bool>,
        day: Option<chrono::NaiveDate>,
        #[serde(default)]
        tag: Vec<String>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Status {
        Open,
        Closed,
    }

    async fn read<T: DeserializeOwned>(query: &str) -> Result<T> {
        let uri = format!("/x?{query}");
        let mut parts = http::Request::get(uri).body(()).unwrap().into_parts().0;
        StrictQuery::from_request_parts(&mut parts, &()).await.map(|StrictQuery(value)| value)
    }

    #[tokio::test]
    async fn a_good_query_is_read() {
        let filter: Filter =
            read("status=open&least=-5&channel=a%26b%20%E4%B8%AD&paid=true&tag=x&tag=y&day=2024-10-24")
                .await
                .unwrap();
        assert_eq!(filter.status, Some(Status::Open));
        assert_eq!((filter.least, filter.paid), (Some(-5), Some(true)));
        assert_eq!(filter.channel.as_deref(), Some("a&b 中"));
        assert_eq!(filter.tag, ["x", "y"]);
        assert_eq!(read::<Filter>("tag=x").await.unwrap().tag, ["x"]);
        assert!(read::<Filter>("").await.unwrap().status.is_none());
    }

    #[tokio::test]
    async fn a_bad_query_names_its_parameter() {
        for (query, path, words) in [
            ("x=1", "x", "is not a known parameter"),
            ("status=lost", "status", "is not one of: open, closed"),
            ("status=open&status=closed", "status", "is given twice"),
            ("channel=a&channel=b", "channel", "is given twice"),
            ("least=1&least=2", "least", "is given twice"),
            ("least=many", "least", "must be a whole number within range"),
            ("least=9223372036854775808", "least", "must be a whole number within range"),
            ("paid=maybe", "paid", "must be true or false"),
            ("channel=", "channel", "is empty: give it a value, or leave it out"),
            ("tag=x&tag=", "tag", "is empty: give it a value, or leave it out"),
            ("channel=%FF", "channel", "is not valid UTF-8"),
            ("%FF=1", "query", "is not valid UTF-8"),
        ] {
            let error = read::<Filter>(query).await.unwrap_err();
            let fields = error.fields().iter().map(|field| (field.path.as_str(), &*field.text.en));
            assert_eq!(fields.collect::<Vec<_>>(), [(path, words)], "{query}");
        }
        let error = read::<Filter>("day=soon").await.unwrap_err();
        assert_eq!(error.fields()[0].path, "day");
    }

    async fn page(query: &str) -> Result<PageQuery<u64, Filter>> {
        let uri = format!("/x?{query}");
        let mut parts = http::Request::get(uri).body(()).unwrap().into_parts().0;
        PageQuery::from_request_parts(&mut parts, &()).await
    }

    #[tokio::test]
    async fn pages_and_filters_share_a_query() {
        let query = page("page=2&status=closed&page_size=50").await.unwrap();
        assert_eq!((query.page.offset(), query.page.size), (50, 50));
        assert_eq!(query.filter.status, Some(Status::Closed));
        for (query, path) in [
            ("page=0", "page"),
            ("page=x", "page"),
            ("page_size=101", "page_size"),
            ("page=1&page=2", "page"),
            ("page=501", "page"),
            ("cursor=!!", "cursor"),
            ("page=1&cursor=MQ", "cursor"),
            ("pagesize=1", "pagesize"),
        ] {
            assert_eq!(page(query).await.unwrap_err().fields()[0].path, path, "{query}");
        }
    }
}
