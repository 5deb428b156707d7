//! A stand-in for Stripe and for a payment gateway: deterministic days with known differences, disputes that
//! can be lived through, and faults on demand.
//!
//! [`Sandbox::start`] serves both from one listener. [`days`] makes the days, also without a server;
//! [`write_files`] puts one on disk. The sandbox knows nothing of the services that it is there to test.

mod bank;
mod clock;
mod control;
pub mod days;
mod disputes;
mod faults;
mod files;
mod gateway;
mod kept;
mod report;
mod requests;
mod server;
mod stream;
mod stripe;
#[cfg(test)]
mod tests;

pub use bank::write_bank_statement;
pub use clock::VirtualClock;
pub use disputes::DisputeOrder;
pub use faults::{ActiveFault, CorruptMode, Fault, FaultKind, FaultTarget, InvalidFault, SummaryAbsence};
pub use files::{
    DayFiles, write_balance_summary_csv, write_files, write_payout_rows_csv, write_payouts_csv,
    write_platform_csv, write_settlement_csv,
};
pub use gateway::known::KnownPayment;
pub use gateway::payments::Charge;
pub use requests::LoggedRequest;
pub use server::{
    AdvanceAll, DEFAULT_GATEWAY_SECRET, DEFAULT_PORT, DEFAULT_SEED, DEFAULT_STRIPE_API_KEY,
    DEFAULT_WEBHOOK_SECRET, RunningSandbox, Sandbox, SandboxConfig, SandboxHandle,
};
pub use stripe::{Delivery, DeliveryState, DisputeStatus, Settlement, WebhookTarget, stripe_signature};
