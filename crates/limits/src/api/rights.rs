//! Who may look at a merchant.

use payops_platform::auth::Caller;
use payops_platform::error::Result;
use uuid::Uuid;

use crate::error;

/// 404 for a merchant who asks about another one.
pub(super) fn check_own(caller: &Caller, merchant_id: Uuid) -> Result<()> {
    match caller.merchant_id() {
        Some(own) if own != merchant_id => Err(error::merchant_not_found()),
        _ => Ok(()),
    }
}
