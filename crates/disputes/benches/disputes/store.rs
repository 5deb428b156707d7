//! A store full of disputes: two years of a thousand merchants.

use chrono::{DateTime, TimeDelta, Utc};
use payops_platform::db::{Db, Tx};
use sea_orm::{ConnectionTrait, Statement, Value};
use uuid::Uuid;

pub const MERCHANTS: usize = 1000;

/// Rows of one INSERT: the time that binding takes grows with the square of how many numbered parameters there are.
const ROWS: usize = 25;
/// INSERTs of one transaction.
const INSERTS: usize = 2000;

const COLUMNS: &str = "id, dispute_no, channel, channel_dispute_id, channel_charge_id, payment_no, merchant_id, amount, \
     currency, reason, network_reason_code, card_brand, product_type, phase, status, channel_status, evidence_due_by, \
     evidence_submitted, submitted_at, submission_count, is_charge_refundable, assigned_to, assigned_at, result, \
     lost_cause, closed_at, doubt, channel_read_at, timeline_seq, created_by, version, disputed_at, created_at, updated_at";
const SUM_COLUMNS: &str =
    "dispute_id, version, count, day, channel, reason, assignee, currency, outcome, billions, rest";

pub fn merchant(number: usize) -> Uuid {
    Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0000 + number as u128)
}

pub fn payment_no(number: usize) -> String {
    format!("PAY-{number:08}")
}

/// Fills the store. Of a hundred disputes, three wait for an answer, nine are with the issuer and the others are closed.
pub async fn fill(db: &Db, count: usize, now: DateTime<Utc>) -> anyhow::Result<()> {
    for first in (0..count).step_by(ROWS * INSERTS) {
        let after = count.min(first + ROWS * INSERTS);
        let write = db.write("bench.fill", move |tx| {
            Box::pin(async move {
                for first in (first..after).step_by(ROWS) {
                    let numbers = first..after.min(first + ROWS);
                    let (mut rows, mut sums) = (Vec::new(), Vec::new());
                    for number in numbers.clone() {
                        let dispute = Dispute::numbered(number, count, now);
                        rows.extend(dispute.row());
                        sums.extend(dispute.change());
                    }
                    tx.execute_raw(insert(tx, "disputes", COLUMNS, numbers.len(), rows)).await?;
                    let sums = insert(tx, "dispute_sum_changes", SUM_COLUMNS, numbers.len(), sums);
                    tx.execute_raw(sums).await?;
                }
                Ok(())
            })
        });
        write.await?;
    }
    Ok(())
}

fn insert(tx: &Tx, table: &str, columns: &str, rows: usize, values: Vec<Value>) -> Statement {
    let width = values.len() / rows;
    let row = |row: usize| {
        let places: Vec<String> = (1..=width).map(|place| format!("${}", row * width + place)).collect();
        format!("({})", places.join(", "))
    };
    let places: Vec<String> = (0..rows).map(row).collect();
    tx.statement(&format!("INSERT INTO {table} ({columns}) VALUES {}", places.join(", ")), values)
}

struct Dispute {
    number: usize,
    id: Uuid,
    channel: &'static str,
    merchant: Uuid,
    amount: i64,
    currency: &'static str,
    reason: &'static str,
    status: &'static str,
    assigned_to: Option<String>,
    disputed_at: DateTime<Utc>,
    due_by: DateTime<Utc>,
}

impl Dispute {
    /// The last numbers are the newest, and the ones that are open.
    fn numbered(number: usize, count: usize, now: DateTime<Utc>) -> Self {
        // Spread without any pattern that an index could profit from.
        let hash = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16;
        let pick = |words: &[&'static str], by: u64| {
            words[usize::try_from((hash / by) % words.len() as u64).unwrap_or(0)]
        };
        let age = TimeDelta::days(730) * i32::try_from(count - number).unwrap_or(i32::MAX)
            / i32::try_from(count).unwrap_or(1);
        let status = match number * 100 / count {
            97..=99 => pick(&["needs_response", "needs_response", "warning_needs_response"], 7),
            88..=96 => pick(&["under_review", "warning_under_review"], 7),
            _ => pick(&["won", "lost", "lost", "won", "lost", "charge_refunded", "warning_closed"], 7),
        };
        let disputed_at = now - age;
        Self {
            number,
            id: Uuid::from_u128(
                (0x0193_u128 << 112)
                    | (0x7 << 76)
                    | (0x8 << 60)
                    | (u128::from(hash) << 64 >> 4)
                    | number as u128,
            ),
            channel: pick(&["stripe", "stripe", "stripe", "stripe", "paypal", "adyen"], 11),
            merchant: merchant(usize::try_from(hash % MERCHANTS as u64).unwrap_or(0)),
            amount: 100 + i64::try_from(hash % 100_000).unwrap_or(0),
            currency: pick(&["USD", "EUR", "CNY", "JPY"], 13),
            reason: pick(
                &["fraudulent", "product_not_received", "duplicate", "subscription_canceled", "general"],
                17,
            ),
            status,
            assigned_to: (!hash.is_multiple_of(3)).then(|| format!("agent-{}", hash % 60)),
            disputed_at,
            due_by: disputed_at + TimeDelta::days(7) + TimeDelta::days(i64::try_from(hash % 20).unwrap_or(0)),
        }
    }

    fn row(&self) -> Vec<Value> {
        let open = self.status.contains("needs_response") || self.status.contains("under_review");
        let result = matches!(self.status, "won" | "lost").then(|| self.status.to_owned());
        let phase = if self.status.starts_with("warning") { "inquiry" } else { "chargeback" };
        let answered = self.status != "needs_response" && self.status != "warning_needs_response";
        let number = self.number;
        vec![
            self.id.into(),
            format!("DSP-stripe-{number:010}").into(),
            self.channel.into(),
            format!("du_{number:020}").into(),
            format!("ch_{number:020}").into(),
            payment_no(number).into(),
            self.merchant.into(),
            self.amount.into(),
            self.currency.into(),
            self.reason.into(),
            "10.4".into(),
            "visa".into(),
            "physical".into(),
            phase.into(),
            self.status.into(),
            self.status.into(),
            self.due_by.into(),
            answered.into(),
            answered.then_some(self.disputed_at).into(),
            i32::from(answered).into(),
            false.into(),
            self.assigned_to.clone().into(),
            self.assigned_to.as_ref().map(|_| self.disputed_at).into(),
            result.into(),
            (self.status == "lost").then(|| "decided".to_owned()).into(),
            (!open).then_some(self.due_by).into(),
            number.is_multiple_of(5000).then(|| "maybe_the_same".to_owned()).into(),
            self.disputed_at.into(),
            1_i64.into(),
            "bench".into(),
            1_i64.into(),
            self.disputed_at.into(),
            self.disputed_at.into(),
            self.disputed_at.into(),
        ]
    }

    /// What the dispute means for statistics, as the service writes it.
    fn change(&self) -> Vec<Value> {
        let outcome = match self.status {
            "won" => "won",
            "lost" => "lost",
            "charge_refunded" => "refunded",
            "warning_closed" => "closed",
            _ => "pending",
        };
        vec![
            self.id.into(),
            1_i64.into(),
            1_i64.into(),
            self.disputed_at.timestamp().div_euclid(86_400).into(),
            self.channel.into(),
            self.reason.into(),
            self.assigned_to.clone().unwrap_or_default().into(),
            self.currency.into(),
            outcome.into(),
            0_i64.into(),
            self.amount.into(),
        ]
    }
}
