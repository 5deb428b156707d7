use payops_platform::error::Text;
use serde::{Deserialize, Serialize};

/// How many characters a long text of Stripe's evidence may have.
pub const LONG_TEXT: usize = 20_000;
/// How many characters a short text of Stripe's evidence may have.
pub const SHORT_TEXT: usize = 5_000;

macro_rules! text_fields {
    ($($(#[$doc:meta])* $variant:ident $name:literal $limit:ident $en:literal $zh:literal;)*) => {
        /// A text of the channel's evidence. Dates are free text, as the channel wants them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum TextField {
            $($(#[$doc])* $variant,)*
        }

        impl TextField {
            /// Every text, in the order in which a packet shows them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name, in our API and in Stripe's.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// How many characters (Unicode code points, not bytes) the channel takes.
            pub fn max_chars(self) -> usize {
                match self { $(Self::$variant => $limit,)* }
            }

            /// The name for people.
            pub fn label(self) -> Text {
                match self { $(Self::$variant => Text::new($en, $zh),)* }
            }
        }
    };
}

text_fields! {
    /// What was sold.
    ProductDescription "product_description" LONG_TEXT "Product description" "商品描述";
    /// Who paid.
    CustomerName "customer_name" SHORT_TEXT "Customer name" "客户姓名";
    /// Where the customer is written to.
    CustomerEmailAddress "customer_email_address" SHORT_TEXT "Customer e-mail address" "客户邮箱";
    /// From where the customer paid.
    CustomerPurchaseIp "customer_purchase_ip" SHORT_TEXT "IP address of the purchase" "购买时的 IP 地址";
    /// The billing address.
    BillingAddress "billing_address" SHORT_TEXT "Billing address" "账单地址";
    /// Where the goods went.
    ShippingAddress "shipping_address" SHORT_TEXT "Shipping address" "收货地址";
    /// Who carried them.
    ShippingCarrier "shipping_carrier" SHORT_TEXT "Carrier" "承运商";
    /// When they were sent.
    ShippingDate "shipping_date" SHORT_TEXT "Shipping date" "发货日期";
    /// Under which number they can be followed.
    ShippingTrackingNumber "shipping_tracking_number" SHORT_TEXT "Tracking number" "物流单号";
    /// When the service was given.
    ServiceDate "service_date" SHORT_TEXT "Service date" "服务日期";
    /// Who used what was bought, when and from where.
    AccessActivityLog "access_activity_log" LONG_TEXT "Access and activity log" "访问与活动日志";
    /// How and when the customer was shown the cancellation policy.
    CancellationPolicyDisclosure "cancellation_policy_disclosure" LONG_TEXT "How the cancellation policy was shown" "取消政策的告知方式";
    /// Why the customer's cancellation does not hold.
    CancellationRebuttal "cancellation_rebuttal" LONG_TEXT "Why the cancellation does not hold" "对取消主张的反驳";
    /// How and when the customer was shown the refund policy.
    RefundPolicyDisclosure "refund_policy_disclosure" LONG_TEXT "How the refund policy was shown" "退款政策的告知方式";
    /// Why no refund is owed.
    RefundRefusalExplanation "refund_refusal_explanation" LONG_TEXT "Why no refund is owed" "拒绝退款的理由";
    /// The payment that this one is said to repeat.
    DuplicateChargeId "duplicate_charge_id" SHORT_TEXT "The other charge" "另一笔扣款编号";
    /// How the two payments differ.
    DuplicateChargeExplanation "duplicate_charge_explanation" LONG_TEXT "How the two charges differ" "两笔扣款的区别";
    /// Anything else.
    UncategorizedText "uncategorized_text" LONG_TEXT "Further explanation" "其他说明";
}

impl TextField {
    /// The field of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_texts_are_long_and_ten_are_short() {
        let long = TextField::ALL.iter().filter(|field| field.max_chars() == LONG_TEXT).count();
        let short = TextField::ALL.iter().filter(|field| field.max_chars() == SHORT_TEXT).count();
        assert_eq!((long, short), (8, 10));
    }

    #[test]
    fn every_text_is_found_by_its_name() {
        for &field in TextField::ALL {
            assert_eq!(TextField::parse(field.as_str()), Some(field));
        }
        assert_eq!(TextField::parse("receipt"), None, "a file is not a text");
    }
}
