//! The HTTP stack as callers meet it.

mod answers;
mod bad_requests;
mod idempotency;
mod limits;
mod pages;
mod rights;
mod serving;
mod site;
mod tokens;
