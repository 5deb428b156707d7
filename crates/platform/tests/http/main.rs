//! The HTTP stack as callers meet it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod answers;
mod bad_requests;
mod idempotency;
mod limits;
mod pages;
mod redis;
mod rights;
mod serving;
mod shared_limits;
mod site;
mod tls;
mod tokens;
