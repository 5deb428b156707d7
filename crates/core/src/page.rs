//! Pages of a list: by number for people, by cursor for machines that walk a long list to its end.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// How many items a page has when the caller does not say.
pub const DEFAULT_PAGE_SIZE: u64 = 20;
/// The most items a page may have.
pub const MAX_PAGE_SIZE: u64 = 100;
/// Totals are counted exactly up to here, and page numbers reach no row beyond it: use the cursor.
pub const MAX_COUNTED: u64 = 10_000;

/// A page that cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Pages count from 1.
    #[error("page counts from 1")]
    PageZero,
    /// The size is 0 or above [`MAX_PAGE_SIZE`].
    #[error("page_size lies between 1 and {MAX_PAGE_SIZE}")]
    PageSize,
    /// The page lies beyond row [`MAX_COUNTED`].
    #[error("pages reach row {MAX_COUNTED}; take next_cursor of a page to go further")]
    TooDeep,
    /// `page` and `cursor` were both given.
    #[error("page and cursor exclude each other")]
    PageAndCursor,
    /// The cursor was not made by this list.
    #[error("the cursor is not one that this list gave out")]
    BadCursor,
}

/// Which slice of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slice<C> {
    /// The `number`-th page, from 1.
    Page {
        /// Page number, from 1.
        number: u64,
    },
    /// What follows the row that the cursor names.
    After(C),
}

/// A checked request for a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest<C> {
    /// The slice wanted.
    pub slice: Slice<C>,
    /// Items per page, 1 to [`MAX_PAGE_SIZE`].
    pub size: u64,
}

impl<C: DeserializeOwned> PageRequest<C> {
    /// Checks the three query parameters of a list.
    pub fn new(page: Option<u64>, size: Option<u64>, cursor: Option<&str>) -> Result<Self, PageError> {
        let size = size.unwrap_or(DEFAULT_PAGE_SIZE);
        if size == 0 || size > MAX_PAGE_SIZE {
            return Err(PageError::PageSize);
        }
        let slice = match (page, cursor) {
            (Some(_), Some(_)) => return Err(PageError::PageAndCursor),
            (None, Some(cursor)) => Slice::After(decode_cursor(cursor)?),
            (Some(0), None) => return Err(PageError::PageZero),
            (page, None) => {
                let number = page.unwrap_or(1);
                if (number - 1).saturating_mul(size) >= MAX_COUNTED {
                    return Err(PageError::TooDeep);
                }
                Slice::Page { number }
            }
        };
        Ok(Self { slice, size })
    }

    /// How many rows to skip: 0 with a cursor.
    pub fn offset(&self) -> u64 {
        match self.slice {
            Slice::Page { number } => (number - 1) * self.size,
            Slice::After(_) => 0,
        }
    }
}

/// One page of a list, as it stands on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items, in the list's stable order.
    pub items: Vec<T>,
    /// The page's number from 1; absent when a cursor was used.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page: Option<u64>,
    /// The size that was asked for.
    pub page_size: u64,
    /// How many items the whole list has, up to [`MAX_COUNTED`].
    pub total: u64,
    /// True when there are more than `total` items.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub total_capped: bool,
    /// Give this as `cursor` to get what follows; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Builds a page from at most `size + 1` rows (the extra one only tells that more follow) and a count
    /// taken up to `MAX_COUNTED + 1`. `cursor_of` gives the cursor that names a row.
    pub fn build<C: Serialize>(
        request: &PageRequest<C>,
        mut rows: Vec<T>,
        counted: u64,
        cursor_of: impl Fn(&T) -> C,
    ) -> Self {
        let more = rows.len() as u64 > request.size;
        rows.truncate(usize::try_from(request.size).unwrap_or(usize::MAX));
        let next_cursor = rows.last().filter(|_| more).map(|last| encode_cursor(&cursor_of(last)));
        let page = match request.slice {
            Slice::Page { number } => Some(number),
            Slice::After(_) => None,
        };
        Self {
            items: rows,
            page,
            page_size: request.size,
            total: counted.min(MAX_COUNTED),
            total_capped: counted > MAX_COUNTED,
            next_cursor,
        }
    }

    /// The same page with each item turned into another form.
    pub fn map<U>(self, into: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(into).collect(),
            page: self.page,
            page_size: self.page_size,
            total: self.total,
            total_capped: self.total_capped,
            next_cursor: self.next_cursor,
        }
    }
}

/// Makes a cursor opaque: callers keep it, they do not read it.
pub fn encode_cursor<C: Serialize>(cursor: &C) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(cursor).unwrap_or_default())
}

fn decode_cursor<C: DeserializeOwned>(text: &str) -> Result<C, PageError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| PageError::BadCursor)?;
    serde_json::from_slice(&bytes).map_err(|_| PageError::BadCursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Request = PageRequest<(i64, String)>;

    #[test]
    fn a_page_is_checked_before_it_is_fetched() {
        let request = Request::new(None, None, None).unwrap();
        assert_eq!((request.offset(), request.size), (0, 20));
        assert_eq!(Request::new(Some(3), Some(100), None).unwrap().offset(), 200);
        assert_eq!(Request::new(Some(0), None, None), Err(PageError::PageZero));
        assert_eq!(Request::new(None, Some(101), None), Err(PageError::PageSize));
        assert_eq!(Request::new(Some(101), Some(100), None), Err(PageError::TooDeep));
        assert_eq!(Request::new(Some(u64::MAX), Some(100), None), Err(PageError::TooDeep));
        assert_eq!(Request::new(None, None, Some("!")), Err(PageError::BadCursor));
        let cursor = encode_cursor(&(5_i64, "x".to_owned()));
        assert_eq!(Request::new(None, None, Some(&cursor)).unwrap().slice, Slice::After((5, "x".to_owned())));
        assert_eq!(Request::new(Some(1), None, Some(&cursor)), Err(PageError::PageAndCursor));
    }

    #[test]
    fn the_extra_row_becomes_a_cursor() {
        let request = PageRequest::<u64>::new(None, Some(2), None).unwrap();
        let page = Page::build(&request, vec![1_u64, 2, 3], 10_001, |row| *row);
        assert_eq!((page.items.as_slice(), page.total, page.total_capped), ([1, 2].as_slice(), 10_000, true));
        assert_eq!(page.next_cursor, Some(encode_cursor(&2_u64)));
        assert_eq!(Page::build(&request, vec![1_u64, 2], 2, |row| *row).next_cursor, None);
    }
}
