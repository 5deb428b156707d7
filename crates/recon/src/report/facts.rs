//! The certificate as lines of label and value. What a later version adds to it is shown under its own name.

use serde_json::Value;

use super::words::Words;

/// Every fact of a certificate.
pub(super) fn certificate(words: Words, stated: &Value) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    for (name, value) in stated.as_object().into_iter().flatten() {
        match (name.as_str(), value) {
            ("inputs", Value::Array(inputs)) => {
                facts.extend(inputs.iter().map(|input| input_of(words, input)));
            }
            (_, Value::Object(members)) => {
                facts.extend(members.iter().map(|(name, value)| (label(words, name), plain(value))));
            }
            _ => facts.push((label(words, name), plain(value))),
        }
    }
    facts
}

fn input_of(words: Words, input: &Value) -> (String, String) {
    let role = input["role"].as_str().unwrap_or_default();
    let bytes = words.pick("bytes", "字节");
    let value = format!("SHA-256 {}\n{} {bytes}", plain(&input["sha256"]), plain(&input["bytes"]));
    let label = if role == "channel" {
        words.pick("Channel file", "渠道文件").to_owned()
    } else {
        label(words, role)
    };
    (label, value)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn label(words: Words, name: &str) -> String {
    let known = match name {
        "engine_version" => words.pick("Engine version", "引擎版本"),
        "rules_version" => words.pick("Version of the matching rules", "匹配规则版本"),
        "rule_set_version" => words.pick("Version of the rules of tolerance", "容差规则版本"),
        "output_sha256" => words.pick("SHA-256 of the output", "输出的 SHA-256"),
        "platform" => words.pick("Platform file", "平台文件"),
        "channel" => words.pick("Channel", "渠道"),
        "balance_summary" => words.pick("Balance summary", "余额汇总"),
        "bank" => words.pick("Bank statement", "银行对账单"),
        "bank_reversals" => words.pick("Bank statement (reversals)", "银行对账单（冲回）"),
        "payouts" => words.pick("Report of payouts", "打款报告"),
        "payout_rows" => words.pick("Rows of payouts", "打款明细"),
        "payouts_of_other_days_sha256" => {
            words.pick("SHA-256 of other days' payouts", "其他日期打款的 SHA-256")
        }
        "carried" => words.pick("Rows of earlier days", "以前日期的待查明细"),
        "lookback_days" => words.pick("Days that rows are looked for", "待查天数"),
        "cut_off" => words.pick("Cut-off", "截单时间"),
        "net_by_payment" => words.pick("Netted by payment", "按支付轧差"),
        "payout_window" => words.pick("Days that payouts may take", "打款到账天数"),
        "payout_words" => words.pick("Words of the bank for the channel", "银行摘要中的渠道用词"),
        "mapping" => words.pick("Mapping", "映射"),
        "platform_mapping" => words.pick("Mapping of the platform file", "平台文件映射"),
        "rules" => words.pick("Rules of tolerance", "容差规则"),
        "date" => words.pick("Business day", "业务日期"),
        "timezone" => words.pick("Zone", "时区"),
        name => name,
    };
    known.to_owned()
}
