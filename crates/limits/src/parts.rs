//! What the service is made of.

use std::sync::Arc;

use payops_platform::context::ServiceContext;

use crate::alerts::{Bell, Outbox};
use crate::coalesce::Coalescer;
use crate::metrics::LimitMetrics;
use crate::ops::check::Checks;
use crate::seal::AuditKeys;
use crate::store::hot::Lookup;

/// What the clones of [`crate::Limits`] share.
#[derive(Debug)]
pub struct Parts {
    pub(crate) context: ServiceContext,
    pub(crate) lookup: Lookup,
    pub(crate) coalescer: Coalescer,
    pub(crate) checks: Checks,
    pub(crate) keys: Arc<AuditKeys>,
    pub(crate) metrics: Arc<LimitMetrics>,
    pub(crate) outbox: Outbox,
    pub(crate) bell: Bell,
}
