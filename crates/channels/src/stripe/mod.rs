//! Stripe: its reports, its reporting API, its webhooks.

pub mod balance_summary;
mod category;
pub(crate) mod itemized;
pub mod reporting;
pub mod webhook;

pub use category::Category;
