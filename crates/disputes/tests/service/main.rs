//! The dispute service against the sandbox, on both databases.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod alerts;
mod bucket;
mod by_hand;
mod channel;
mod clockwork;
mod desk;
mod evidence;
mod harness;
#[path = "../../../platform/tests/support/mail_server.rs"]
mod mail_server;
mod orderings;
mod payments;
mod personal_data;
mod s3;
mod submissions;
mod submissions_under_faults;
