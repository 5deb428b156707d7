//! No bytes make a reader panic, lose a row or answer differently by how they arrive.

use payops_channels::fuzzing;
use proptest::prelude::*;

const ITEMIZED: &str = "balance_transaction_id,currency,gross,fee,net,reporting_category,source_id,created\n\
    txn_1,usd,10.00,0.59,9.41,charge,ch_1,2026-01-30 10:00:00\n\
    txn_2,usd,-1.00,0,-1.00,refund,\"re_1\",2026-01-30 10:00:00\r\n";
const PLATFORM: &str = "payment_no,channel_trade_no,amount,currency,status,created_at,merchant_id\n\
    PAY1,ch_1,1000,USD,SUCCESS,2026-01-30T10:00:00Z,M1\n";
const FEED: &str = "{\"payment_no\":\"P\",\"channel_trade_no\":\"c\",\"amount\":1,\"currency\":\"USD\",\
    \"status\":\"success\",\"created_at\":\"2026-01-30\"}\n{\"trailer\":{\"count\":1,\"sums\":{\"USD\":1}}}\n";

/// A good text with a few bytes changed, put in or taken out.
fn spoiled(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), any::<u8>(), 0_u8..4);
    proptest::collection::vec(edit, 0..6).prop_map(move |edits| {
        let mut bytes = text.as_bytes().to_vec();
        for (index, byte, action) in edits {
            let at = index.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match action {
                _ if bytes.is_empty() => {}
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => {
                    bytes.remove(at);
                }
                _ => bytes[at] = b"\",\n\r\0\xff"[usize::from(byte % 6)],
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn itemised_reports(bytes in spoiled(ITEMIZED)) {
        fuzzing::stripe_itemized(&bytes);
        fuzzing::spool(&bytes);
    }

    #[test]
    fn platform_files(bytes in spoiled(PLATFORM)) {
        fuzzing::mapping(&bytes);
    }

    #[test]
    fn feeds(bytes in spoiled(FEED)) {
        fuzzing::platform_feed(&bytes);
    }

    #[test]
    fn noise(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzzing::stripe_itemized(&bytes);
        fuzzing::mapping(&bytes);
        fuzzing::platform_feed(&bytes);
        fuzzing::spool(&bytes);
    }
}
