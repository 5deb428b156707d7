//! The reconciliation service against the sandbox, on both databases.

mod bad_requests;
mod files;
mod harness;
mod honest;
mod outside;
mod records;
mod stories;
