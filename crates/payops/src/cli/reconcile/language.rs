//! The language of what people read. Machines read `--json`, the files and the exit code.

use std::env;

use payops_channels::row::{Kind, Proof};
use payops_recon::engine::{DiffType, Reason, Side, Verdict};
use payops_recon::payouts::{PayoutOutcome, ThreeWayProof};

/// English, or Chinese where the environment asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Chinese,
}

impl Language {
    /// From the first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is set.
    pub(super) fn of_environment() -> Self {
        let names = ["LC_ALL", "LC_MESSAGES", "LANG"];
        let set = names.iter().filter_map(env::var_os).find(|value| !value.is_empty());
        let is_chinese =
            set.is_some_and(|value| value.to_string_lossy().to_ascii_lowercase().starts_with("zh"));
        if is_chinese { Self::Chinese } else { Self::English }
    }

    /// The text in this language.
    pub(super) fn pick<T>(self, english: T, chinese: T) -> T {
        match self {
            Self::English => english,
            Self::Chinese => chinese,
        }
    }

    pub(super) fn verdict(self, verdict: Verdict) -> &'static str {
        match verdict {
            Verdict::Reconciled => self.pick("reconciled", "已对平"),
            Verdict::Differences => self.pick("differences", "存在差异"),
            Verdict::Incomplete => self.pick("incomplete", "不完整"),
            Verdict::NotProvable => self.pick("not provable", "无法证明完整"),
        }
    }

    pub(super) fn diff_type(self, diff_type: DiffType) -> &'static str {
        let english = diff_type.as_str();
        self.pick(
            english,
            match diff_type {
                DiffType::Matched => "一致",
                DiffType::WithinTolerance => "容差内一致",
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

    pub(super) fn kind(self, kind: Kind) -> &'static str {
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

    pub(super) fn proof(self, proof: Proof) -> &'static str {
        match proof {
            Proof::Proven => self.pick("proven", "已证实"),
            Proof::Failed => self.pick("FAILED", "不符"),
            Proof::NotProvable => self.pick("not provable", "无法证明"),
        }
    }

    pub(super) fn payout_outcome(self, outcome: PayoutOutcome) -> &'static str {
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
                PayoutOutcome::NotCovered => "不在所查日期内",
                PayoutOutcome::OtherMovement => "其他收支",
            },
        )
    }

    pub(super) fn three_way(self, proof: ThreeWayProof) -> &'static str {
        match proof {
            ThreeWayProof::Ties => self.pick("ties", "相符"),
            ThreeWayProof::NotProvable => self.pick("not provable", "无法证明"),
            ThreeWayProof::Broken => self.pick("BROKEN", "不符"),
        }
    }

    pub(super) fn side(self, side: Side) -> &'static str {
        match side {
            Side::Platform => self.pick("platform", "平台"),
            Side::Channel => self.pick("channel", "渠道"),
        }
    }

    pub(super) fn reason(self, reason: Reason) -> String {
        if self == Self::English {
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
            Reason::PayoutDifferences { count } => format!("打款与银行入账有 {count} 笔差异"),
            Reason::ThreeWayNotProvable => "无法证明明细、打款与银行入账为同一笔资金".to_owned(),
            Reason::NothingOnTheDay => "两个文件中没有任何一行属于所查日期".to_owned(),
        }
    }
}
