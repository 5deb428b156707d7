//! Tables and filters, no rules.

pub(crate) mod channel_object;
pub(crate) mod dispute;
pub(crate) mod evidence;
pub(crate) mod key;
pub(crate) mod lookup;
pub(crate) mod movement;
pub(crate) mod queue;
pub(crate) mod reading;
pub(crate) mod reminder;
pub(crate) mod sent;
pub(crate) mod subject;
pub(crate) mod submission;
pub(crate) mod sums;
pub(crate) mod sweep;
pub(crate) mod timeline;
pub(crate) mod webhook;
