//! Use cases: the only place where rules and store meet.

pub(crate) mod disputes;
mod edit;
pub(crate) mod evidence;
pub(crate) mod observe;
pub(crate) mod packet;
pub(crate) mod print;
pub(crate) mod readings;
pub(crate) mod submission;
pub(crate) mod webhooks;

pub(crate) use edit::{By, Edit, Source};
