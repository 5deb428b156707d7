//! The words of reports and of the command line, in both languages. Machines read codes instead.

use payops_channels::row::{Kind, Proof, Reject, RejectReason};
use payops_platform::error::Language;

use crate::engine::{DiffType, Reason, Side, Verdict};
use crate::model::{ReasonCode, RecordStatus};
use crate::payouts::{PayoutOutcome, ThreeWayProof, ThreeWayTie};

/// What things are called in one language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words(pub Language);

impl Words {
    /// The one of the two that is in this language.
    pub fn pick<T>(self, english: T, chinese: T) -> T {
        match self.0 {
            Language::English => english,
            Language::Chinese => chinese,
        }
    }

    /// How a run ended.
    pub fn verdict(self, verdict: Verdict) -> &'static str {
        match verdict {
            Verdict::Reconciled => self.pick("reconciled", "已对平"),
            Verdict::Differences => self.pick("differences", "存在差异"),
            Verdict::Incomplete => self.pick("incomplete", "不完整"),
            Verdict::NotProvable => self.pick("not provable", "无法证明完整"),
        }
    }

    /// What could not be read, with its line and column. Readers explain in English; in Chinese the class of fault stands before that.
    pub fn reject(self, reject: &Reject) -> String {
        let line = (reject.line > 0).then(|| format!("{} {}", self.pick("line", "行"), reject.line));
        let named = |column: &&String| reject.message.contains(&format!("'{column}'"));
        let column = reject.column.as_ref().filter(|column| !named(column));
        let column = column.map(|column| format!("{} '{column}'", self.pick("column", "列")));
        let place: Vec<String> = line.into_iter().chain(column).collect();
        let place = if place.is_empty() { String::new() } else { place.join(", ") + ": " };
        format!("{place}{}", self.why_rejected(reject))
    }

    /// Why something could not be read. Most explanations begin with the column, which stands beside them.
    pub fn why_rejected(self, reject: &Reject) -> String {
        let named = reject.column.as_ref().and_then(|column| reject.message.strip_prefix(column.as_str()));
        let message = named.and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&reject.message);
        self.pick(String::new(), format!("{}：", reject_reason(reject.reason))) + message
    }

    /// How a row came out.
    pub fn diff_type(self, diff_type: DiffType) -> &'static str {
        let english = diff_type.as_str();
        self.pick(
            english,
            match diff_type {
                DiffType::Matched => "一致",
                DiffType::WithinTolerance => "容差内一致",
                DiffType::Carried => "跨日一致",
                DiffType::Netted => "轧差一致",
                DiffType::PlatformOnly => "仅平台有",
                DiffType::ChannelOnly => "仅渠道有",
                DiffType::AmountDiff => "金额不符",
                DiffType::StatusDiff => "状态不符",
                DiffType::CurrencyDiff => "币种不符",
                DiffType::DuplicatePlatform => "平台重复",
                DiffType::DuplicateChannel => "渠道重复",
                DiffType::Ambiguous => "无法唯一匹配",
                DiffType::Timing => "时间差",
                DiffType::NotExpected => "无需入账",
            },
        )
    }

    /// The same by the type's name, those of payouts among them; a name that this version does not know stays as it is.
    pub fn named_diff_type(self, name: &str) -> &str {
        let of_payouts = || {
            let known = PayoutOutcome::ALL.into_iter().find(|outcome| outcome.as_str() == name);
            known.map_or(name, |outcome| self.payout_outcome(outcome))
        };
        DiffType::named(name).map_or_else(of_payouts, |diff_type| self.diff_type(diff_type))
    }

    /// What money moved for.
    pub fn kind(self, kind: Kind) -> &'static str {
        self.pick(
            kind.as_str(),
            match kind {
                Kind::Payment => "支付",
                Kind::Refund => "退款",
                Kind::Dispute => "拒付",
                Kind::DisputeReversal => "拒付撤回",
                Kind::Fee => "手续费",
                Kind::Payout => "打款",
                Kind::Adjustment => "调整",
            },
        )
    }

    /// The same by the kind's name; a name that this version does not know stays as it is.
    pub fn named_kind(self, name: &str) -> &str {
        let known = Kind::ALL.into_iter().find(|kind| kind.as_str() == name);
        known.map_or(name, |kind| self.kind(kind))
    }

    /// What totals prove.
    pub fn proof(self, proof: Proof) -> &'static str {
        match proof {
            Proof::Proven => self.pick("proven", "已证实"),
            Proof::Failed => self.pick("FAILED", "不符"),
            Proof::NotProvable => self.pick("not provable", "无法证明"),
        }
    }

    /// What became of a payout at the bank.
    pub fn payout_outcome(self, outcome: PayoutOutcome) -> &'static str {
        self.pick(
            outcome.as_str(),
            match outcome {
                PayoutOutcome::Matched => "已到账",
                PayoutOutcome::PayoutShort => "到账不足",
                PayoutOutcome::PayoutExcess => "到账超额",
                PayoutOutcome::PayoutAmbiguous => "无法唯一匹配",
                PayoutOutcome::PayoutMissing => "未到账",
                PayoutOutcome::PayoutUnknown => "来源不明的入账",
                PayoutOutcome::InTransit => "在途",
                PayoutOutcome::NotStated => "金额未载明",
                PayoutOutcome::NotCovered => "不在所查日期内",
                PayoutOutcome::OtherMovement => "其他收支",
            },
        )
    }

    /// Whether rows, payouts and deposits are the same money.
    pub fn three_way(self, proof: ThreeWayProof) -> &'static str {
        match proof {
            ThreeWayProof::Ties => self.pick("ties", "相符"),
            ThreeWayProof::NotProvable => self.pick("not provable", "无法证明"),
            ThreeWayProof::Broken => self.pick("BROKEN", "不符"),
        }
    }

    /// The payouts that rows name and no report lists, or nothing states; `None` without any.
    pub fn named_payouts(self, tie: &ThreeWayTie, money: impl Fn(i128) -> String) -> Option<String> {
        let unlisted = (tie.unlisted, tie.unlisted_rows, "no report lists", "未见于任何打款报告");
        let awaited = (tie.awaited, tie.awaited_rows, "no report lists yet", "尚未见于打款报告");
        let not_stated = (tie.not_stated, tie.not_stated_rows, "no file states", "没有文件载明金额");
        let parts = [unlisted, awaited, not_stated].into_iter().filter(|(count, ..)| *count > 0);
        let told = parts.map(|(count, rows, en, zh)| match self.0 {
            Language::English => format!("payouts that rows name and {en}: {count} ({})", money(rows)),
            Language::Chinese => format!("明细所列而{zh}的打款：{count} 笔（{}）", money(rows)),
        });
        let told: Vec<String> = told.collect();
        (!told.is_empty()).then(|| told.join(self.pick("; ", "；")))
    }

    /// Whose file.
    pub fn side(self, side: Side) -> &'static str {
        match side {
            Side::Platform => self.pick("platform", "平台"),
            Side::Channel => self.pick("channel", "渠道"),
        }
    }

    /// Why a run ended as it did.
    pub fn reason(self, reason: Reason) -> String {
        if self.0 == Language::English {
            return reason.to_string();
        }
        match reason {
            Reason::Rejects { side, count } => format!("{}文件有 {count} 处无法读取", self.side(side)),
            Reason::ControlTotalsFailed { side } => format!("{}文件的控制总数与明细不符", self.side(side)),
            Reason::UnbalancedRows { side, count } => {
                format!("{}文件有 {count} 行不满足：总额 - 手续费 = 净额", self.side(side))
            }
            Reason::TieBroken { currencies } => format!("余额汇总有 {currencies} 个币种不平"),
            Reason::SummaryRejects { count } => format!("余额汇总有 {count} 处无法读取"),
            Reason::PayoutsBroken { count } => format!("{count} 笔打款与其明细之和不符"),
            Reason::Differences { count } => format!("{count} 笔差异"),
            Reason::SummaryMissing => "渠道报表自身不含总数，且未提供余额汇总".to_owned(),
            Reason::TotalsMissing { side } => format!("{}文件缺少映射所述的合计行", self.side(side)),
            Reason::TrailerMissing => "平台数据缺少结尾的笔数与金额合计".to_owned(),
            Reason::BankRejects { count } => format!("银行对账单有 {count} 处无法读取"),
            Reason::BankTotalsFailed => "银行对账单与其自身的余额或合计不符".to_owned(),
            Reason::BankPagesMissing { statements } => {
                format!("银行对账单有 {statements} 份缺页：同一份对账单的所有页须在同一文件中")
            }
            Reason::PayoutDifferences { count } => format!("打款与银行入账有 {count} 笔差异"),
            Reason::ThreeWayNotProvable => "无法证明明细、打款与银行入账为同一笔资金".to_owned(),
            Reason::PayoutsNotListed { count } => format!("明细所列的 {count} 笔打款未见于任何打款报告"),
            Reason::PayoutsNotItemised { count } => format!(
                "{count} 笔打款无法与其全部明细核对：请提供渠道的打款报告（--payouts）与打款明细报告（--payout-rows；提交给服务时为 role=payouts 与 role=payout_rows）；手动打款没有明细"
            ),
            Reason::PayoutsNotStated { count } => format!(
                "没有文件载明明细所列的 {count} 笔打款的金额：请提供渠道的打款报告（--payouts；提交给服务时为 role=payouts）"
            ),
            Reason::NothingOnTheDay => "两个文件中没有任何一行属于所查日期".to_owned(),
        }
    }

    /// What people have done about a difference.
    pub fn record_status(self, status: RecordStatus) -> &'static str {
        match status {
            RecordStatus::Open => self.pick("open", "待处理"),
            RecordStatus::Assigned => self.pick("assigned", "处理中"),
            RecordStatus::Resolved => self.pick("resolved", "已解决"),
            RecordStatus::Ignored => self.pick("ignored", "已忽略"),
        }
    }

    /// Why a difference was closed.
    pub fn reason_code(self, reason: ReasonCode) -> &'static str {
        match reason {
            ReasonCode::TimingDifference => self.pick("timing_difference", "时间性差异"),
            ReasonCode::ChannelFee => self.pick("channel_fee", "渠道手续费"),
            ReasonCode::ExchangeRate => self.pick("exchange_rate", "汇率"),
            ReasonCode::DuplicateCapture => self.pick("duplicate_capture", "重复扣款"),
            ReasonCode::PlatformCorrected => self.pick("platform_corrected", "平台已更正"),
            ReasonCode::ChannelCorrected => self.pick("channel_corrected", "渠道已更正"),
            ReasonCode::WrittenOff => self.pick("written_off", "核销"),
            ReasonCode::WithinTolerance => self.pick("within_tolerance", "容差内"),
            ReasonCode::TestTransaction => self.pick("test_transaction", "测试交易"),
            ReasonCode::Other => self.pick("other", "其他"),
            ReasonCode::ClosedByLaterFile => self.pick("closed_by_later_file", "后续文件已到账"),
            ReasonCode::NettedByPayment => self.pick("netted_by_payment", "按支付轧差"),
            ReasonCode::ToldOnLaterDay => self.pick("told_on_later_day", "转至后续日期"),
        }
    }
}

/// A class of fault in Chinese.
fn reject_reason(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::MissingColumn => "缺少列",
        RejectReason::DuplicateColumn => "列名重复",
        RejectReason::BadLineEnd => "换行符无效",
        RejectReason::ShortRow => "该行字段不足",
        RejectReason::LongRow => "该行字段过多",
        RejectReason::RowTooLong => "该行过长",
        RejectReason::BadQuoting => "引号未正确闭合",
        RejectReason::NulByte => "含有 NUL 字节",
        RejectReason::BadEncoding => "字符编码无效",
        RejectReason::BadJson => "JSON 无效",
        RejectReason::EmptyField => "字段为空",
        RejectReason::FieldTooLong => "字段过长",
        RejectReason::BadAmount => "金额无效",
        RejectReason::SurplusDigits => "小数位多于币种规定",
        RejectReason::AmountOutOfRange => "金额超出范围",
        RejectReason::BadCurrency => "币种无效",
        RejectReason::BadTime => "时间无效",
        RejectReason::UnknownStatus => "状态未知",
        RejectReason::UnknownKind => "类别未知",
        RejectReason::Truncated => "文件不完整",
        RejectReason::TooLarge => "超出大小限制",
        RejectReason::Corrupt => "压缩数据损坏",
        RejectReason::DuplicateRow => "行重复且内容不同",
        RejectReason::UnknownFormat => "文件格式未知",
        RejectReason::BadXml => "XML 无效",
        RejectReason::BadRecord => "记录格式无效",
    }
}
