//! The words of reconciliation: states, phases, roles and reasons, each a closed list.

use sea_orm::sea_query::StringLen;
use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a task stands. `failed` can be retried, `completed` can be executed again.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Created, not started.
    Pending,
    /// A job works on it.
    Processing,
    /// Done; the verdict says how it went.
    Completed,
    /// It could not be done; the reason is kept.
    Failed,
    /// Called off; the day is free for another task.
    Cancelled,
}

/// Where a back-test stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum BackTestStatus {
    /// Made; no instance works on it yet.
    Pending,
    /// Its tasks are compared, one after the other.
    Processing,
    /// Every task was compared, or given up by itself.
    Completed,
    /// It could not be brought to its end; the reason is kept.
    Failed,
    /// Called off; what was found until then is kept.
    Cancelled,
}

impl BackTestStatus {
    /// Whether nothing happens any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// Where a task of a back-test stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum BackTestTaskStatus {
    /// Not compared yet.
    Pending,
    /// Compared.
    Completed,
    /// It cannot be compared; the reason is kept, and the back-test goes on.
    Failed,
}

/// What a processing task is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// For the channel's data of the day, or for a source that is away.
    Waiting,
    /// Fetching the channel's files.
    Downloading,
    /// Fetching the platform's payments.
    Fetching,
    /// Comparing.
    Matching,
    /// Writing what was found.
    Saving,
}

impl Phase {
    /// The progress, in percent, with which the phase begins and ends.
    pub fn progress(self) -> (i32, i32) {
        match self {
            Self::Waiting => (0, 0),
            Self::Downloading => (2, 30),
            Self::Fetching => (30, 50),
            Self::Matching => (50, 90),
            Self::Saving => (90, 99),
        }
    }
}

/// What a task covers.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum TaskType {
    /// One business day.
    #[default]
    Daily,
}

/// The channels that tasks exist for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(50))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Stripe: files are fetched by its reporting API, or uploaded.
    Stripe,
    /// PayPal: files are uploaded with a mapping.
    Paypal,
    /// Alipay: files are uploaded with a mapping.
    Alipay,
    /// WeChat Pay: files are uploaded with a mapping.
    Wechat,
    /// Adyen: files are uploaded with a mapping.
    Adyen,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Stripe, Self::Paypal, Self::Alipay, Self::Wechat, Self::Adyen];

    /// The channel's word on the wire and in numbers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Paypal => "paypal",
            Self::Alipay => "alipay",
            Self::Wechat => "wechat",
            Self::Adyen => "adyen",
        }
    }
}

/// What people have done about a difference.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum RecordStatus {
    /// Nobody has taken it.
    Open,
    /// Somebody works on it.
    Assigned,
    /// Explained or put right.
    Resolved,
    /// Known and left as it is.
    Ignored,
}

/// Why a difference was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(40))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// The other side books it on another day.
    TimingDifference,
    /// The channel kept a fee.
    ChannelFee,
    /// An exchange rate explains the difference.
    ExchangeRate,
    /// The payment was captured twice and one capture goes back.
    DuplicateCapture,
    /// The platform's books were corrected.
    PlatformCorrected,
    /// The channel corrected its report or its money.
    ChannelCorrected,
    /// The money is given up.
    WrittenOff,
    /// The rows are not real payments.
    TestTransaction,
    /// A rule of tolerance allows the gap, which is booked as an adjustment. Only rules give this reason.
    WithinTolerance,
    /// Anything else: the note says what.
    Other,
    /// A later day's file has the row, and it fits. Set by payops alone.
    ClosedByLaterFile,
    /// Rows of the payment add up to the same on both sides. Set by payops alone.
    NettedByPayment,
    /// A later day's record tells of it: it came otherwise than it was booked, or not at all. Set by payops alone.
    ToldOnLaterDay,
}

impl ReasonCode {
    /// Whether payops closes records for it by itself, and people do not.
    pub fn is_automatic(self) -> bool {
        matches!(
            self,
            Self::WithinTolerance | Self::ClosedByLaterFile | Self::NettedByPayment | Self::ToldOnLaterDay
        )
    }
}

/// Which rows a channel's cut-off is about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(10))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum CutOffCovers {
    /// Rows of both sides, whatever their status.
    #[default]
    All,
    /// Rows of ours that are pending.
    Pending,
}

/// Whose row is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(10))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum CarriedSide {
    /// Ours.
    Platform,
    /// The channel's.
    Channel,
}

/// How a carried row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
pub enum CarriedEnd {
    /// A later day has it, and it fits.
    Matched,
    /// A later day has it otherwise than it was booked.
    Differs,
    /// It was looked for long enough.
    Missing,
}

/// What a stored file says.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum FileRole {
    /// The channel's movements of the day.
    Settlement,
    /// The channel's opening and closing balance of the day.
    BalanceSummary,
    /// The platform's payments of the day.
    Platform,
    /// What came to the account that payouts arrive at, up to the day: camt.053, MT940 or BAI2.
    BankStatement,
    /// The channel's payouts that left on the day.
    Payouts,
    /// The movements that these payouts carry, of whatever day.
    PayoutRows,
}

impl FileRole {
    /// The roles of which a run has one file each. Bank statements are several.
    pub const OF_A_RUN: [Self; 5] =
        [Self::Settlement, Self::BalanceSummary, Self::Platform, Self::Payouts, Self::PayoutRows];

    /// The role's word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Settlement => "settlement",
            Self::BalanceSummary => "balance_summary",
            Self::Platform => "platform",
            Self::BankStatement => "bank_statement",
            Self::Payouts => "payouts",
            Self::PayoutRows => "payout_rows",
        }
    }
}

/// Where a file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// Asked of its source, not there yet.
    Requested,
    /// On disk, whole, hashed; in force for its day.
    Stored,
    /// The same bytes were there already; `same_as` names them.
    Duplicate,
    /// A corrected file took its place.
    Superseded,
    /// It could not be fetched.
    Failed,
}

/// How a file came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum FileSource {
    /// payops fetched it.
    Download,
    /// A person or system handed it over.
    Upload,
}

/// Which reader reads a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// Stripe's itemised reports.
    StripeItemized,
    /// Stripe's balance summary.
    StripeSummary,
    /// Stripe's reports of payouts.
    StripePayouts,
    /// Any CSV, read through the file's own mapping.
    Mapped,
    /// The platform's CSV.
    PlatformCsv,
    /// The platform's feed, one JSON object a line.
    PlatformNdjson,
    /// Statements of a bank, in whichever format their first bytes show.
    Bank,
}

/// What is missing of the files that are expected.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    EnumIter,
    DeriveActiveEnum,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum GapKind {
    /// The day has no file.
    Missing,
    /// Numbers between those of other files.
    Sequence,
    /// Parts of the day: the file in force says that it is another one.
    Part,
    /// Nothing, but one number came with two contents.
    Repeated,
    /// The day's own file, perhaps: the name of the one in force says another day.
    OtherDate,
}

/// How a gap was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum GapEnd {
    /// What was missing came.
    Arrived,
    /// Somebody said that it need not come.
    Excused,
    /// It was told, and nothing was missing.
    Noted,
    /// The expectation was changed, and it is not expected any more.
    NotExpected,
}

/// How a business day stands whose file is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DayState {
    /// Its file is not there and need not be yet.
    NotDue,
    /// Its file came in time.
    Arrived,
    /// Its file is not there though it is due.
    Late,
    /// Its file came, but late.
    ArrivedLate,
    /// Its file is there, and names of files say that something else is missing.
    Gap,
    /// Its file is not there, and somebody said that it need not come.
    Excused,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Weekday {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];
}

impl From<Weekday> for chrono::Weekday {
    fn from(day: Weekday) -> Self {
        match day {
            Weekday::Mon => Self::Mon,
            Weekday::Tue => Self::Tue,
            Weekday::Wed => Self::Wed,
            Weekday::Thu => Self::Thu,
            Weekday::Fri => Self::Fri,
            Weekday::Sat => Self::Sat,
            Weekday::Sun => Self::Sun,
        }
    }
}
