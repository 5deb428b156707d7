//! The reconciliation service against the sandbox, on both databases.

mod harness;
mod stories;
