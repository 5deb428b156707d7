//! Use cases: the only place where rules and store meet.

pub(crate) mod alerts;
pub(crate) mod desk;
pub(crate) mod disputes;
mod edit;
pub(crate) mod evidence;
pub(crate) mod export;
pub(crate) mod intake;
pub(crate) mod observe;
pub(crate) mod packet;
pub(crate) mod payment;
pub(crate) mod personal;
pub(crate) mod print;
pub(crate) mod readings;
pub(crate) mod refund;
pub(crate) mod rotation;
pub(crate) mod statistics;
pub(crate) mod submission;
pub(crate) mod sweep;
pub(crate) mod vault;
pub(crate) mod webhooks;

pub(crate) use edit::{By, Edit, Source};
