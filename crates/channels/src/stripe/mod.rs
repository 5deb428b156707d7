//! Stripe: its reports, its reporting API, its disputes and what belongs to them, its webhooks.

pub mod api;
pub mod balance_summary;
mod category;
mod error;
mod http;
pub(crate) mod itemized;
pub mod reporting;
pub mod webhook;
mod words;

pub use category::Category;
pub use error::{Certainty, ErrorDetail, ErrorType, StripeError};
