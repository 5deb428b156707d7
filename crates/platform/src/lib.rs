//! What every payops service stands on: configuration, telemetry, databases, HTTP, identity, jobs.

pub mod audit;
pub mod auth;
pub mod config;
pub mod context;
pub mod db;
pub mod error;
pub mod http;
pub mod idempotency;
pub mod jobs;
pub mod outbound;
pub mod telemetry;
pub mod vault;

pub use context::ServiceContext;
pub use error::{Error, ErrorKind, Result};
