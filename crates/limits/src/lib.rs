//! Merchant limits: may this merchant take this payment now?

pub mod decide;
pub mod model;
pub mod rate;
pub mod window;

mod batch;
mod store;
