//! Who may look at a merchant.

use payops_platform::auth::{Caller, Permission};
use payops_platform::error::Result;
use uuid::Uuid;

use crate::error;

/// Operators, admins, and merchants, who see themselves: see [`check_own`].
#[derive(Debug, Clone, Copy)]
pub(super) struct OperatorOrMerchant;

impl Permission for OperatorOrMerchant {
    const NAME: &'static str = "operator or merchant";

    fn allows(caller: &Caller) -> bool {
        matches!(caller, Caller::Person { .. } | Caller::Merchant { .. })
    }
}

/// 404 for a merchant who asks about another one.
pub(super) fn check_own(caller: &Caller, merchant_id: Uuid) -> Result<()> {
    match caller.merchant_id() {
        Some(own) if own != merchant_id => Err(error::merchant_not_found()),
        _ => Ok(()),
    }
}
