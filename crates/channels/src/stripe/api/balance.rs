//! Rows of the account's ledger.

use payops_core::currency::Currency;
use payops_core::time::Timestamp;
use serde::Deserialize;

use super::list::{Listed, Listing};
use super::tolerant::{id_or_none, or_default};
use super::{Form, Page, StripeClient, StripeError};

/// A row of the account's ledger. Amounts are minor units of `currency`, the currency of settlement.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BalanceTransaction {
    /// Its id, `txn_…`.
    pub id: String,
    /// What moved; negative when it left the account.
    pub amount: i64,
    /// The currency of settlement.
    pub currency: Currency,
    /// Stripe's fee, which `net` has paid.
    #[serde(default)]
    pub fee: i64,
    /// What the fee is made of.
    #[serde(default, deserialize_with = "or_default")]
    pub fee_details: Vec<FeeDetail>,
    /// `amount` less `fee`.
    pub net: i64,
    /// Such as `adjustment`, which rows of disputes are.
    #[serde(rename = "type")]
    pub kind: String,
    /// Such as `dispute` or `dispute_reversal`.
    pub reporting_category: Option<String>,
    /// A text for people.
    pub description: Option<String>,
    /// The id of the object that it is about, such as a dispute.
    #[serde(default, deserialize_with = "id_or_none")]
    pub source: Option<String>,
    /// `available` or `pending`.
    pub status: Option<String>,
    /// When it was made.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub created: Timestamp,
    /// When the money is or was there.
    #[serde(default, deserialize_with = "super::tolerant::time_or_none")]
    pub available_on: Option<Timestamp>,
}

/// A part of a fee, in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FeeDetail {
    /// How much.
    pub amount: i64,
    /// In which currency.
    pub currency: Currency,
    /// Such as `stripe_fee`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A text for people.
    pub description: Option<String>,
}

impl Listed for BalanceTransaction {
    fn id(&self) -> &str {
        &self.id
    }
}

/// Which rows are listed.
///
/// Stripe gives none for a dispute as `source`, although the rows name it: a dispute's rows are in the dispute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BalanceQuery {
    /// The stretch of the list.
    pub listing: Listing,
    /// Such as `adjustment`.
    pub kind: Option<String>,
    /// Those about one object, such as a charge.
    pub source: Option<String>,
    /// Those that one payout paid.
    pub payout: Option<String>,
    /// Those in one currency.
    pub currency: Option<Currency>,
}

impl BalanceQuery {
    fn filter(&self) -> Form {
        let mut filter = Form::default();
        filter.optional("type", self.kind.as_ref());
        filter.optional("source", self.source.as_ref());
        filter.optional("payout", self.payout.as_ref());
        filter.optional("currency", self.currency.map(|currency| currency.as_str().to_ascii_lowercase()));
        filter
    }
}

impl StripeClient {
    /// A row of the ledger.
    pub async fn balance_transaction(&self, id: &str) -> Result<BalanceTransaction, StripeError> {
        self.read("retrieve_balance_transaction", &["balance_transactions", id], &Form::default()).await
    }

    /// One page of the ledger, newest first.
    pub async fn balance_transactions_page(
        &self,
        query: &BalanceQuery,
    ) -> Result<Page<BalanceTransaction>, StripeError> {
        let filter = query.filter();
        self.page("list_balance_transactions", &["balance_transactions"], filter, &query.listing).await
    }

    /// The ledger from the start of the listing on, newest first, page by page as it is taken.
    pub fn balance_transactions(
        &self,
        query: &BalanceQuery,
    ) -> impl futures::Stream<Item = Result<BalanceTransaction, StripeError>> + Send + use<> {
        let listing = query.listing.clone();
        self.pages("list_balance_transactions", &["balance_transactions"], query.filter(), listing)
    }
}
