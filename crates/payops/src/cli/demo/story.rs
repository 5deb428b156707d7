//! The story that the demo tells: a seeded day is reconciled, and the result is held against its truth.

use std::time::Duration;

use anyhow::{Result, bail};
use chrono::NaiveDate;
use payops_core::time::Zone;
use payops_sandbox::RunningSandbox;
use payops_sandbox::days::Channel;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::api::Api;

/// The day that is reconciled: a Thursday, so it has differences of every type.
const DAY: NaiveDate = NaiveDate::from_ymd_opt(2026, 1, 15).expect("a day of the calendar");
/// How often the task is looked at: below the budget of calls that a person has.
const LOOK: Duration = Duration::from_secs(1);
/// How long the day may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// Reconciles the day and prints what came out; true when it equals the seeded truth.
pub(super) async fn tell(api: &Api, sandbox: &RunningSandbox) -> Result<bool> {
    println!("Reconciling Stripe's {DAY} with the payment gateway's payments, both told by the sandbox.");
    let id = task(api).await?;
    api.post(&format!("/tasks/{id}/execute"), &json!({})).await?;
    let task = ended(api, &id).await?;
    if task["status"] != "completed" {
        bail!("{} {}: {}", text(&task["task_no"]), text(&task["status"]), text(&task["error_message"]));
    }
    let report = api.get(&format!("/reports/{id}")).await?;
    let truth = sandbox.handle().truth(DAY, Channel::Stripe, &Zone::utc())?;
    let equal = print(&task, &report["summary"], &serde_json::to_value(truth)?);
    if !equal {
        println!("         {}", why(&task));
    }
    Ok(equal)
}

/// Why the result may differ from what was seeded, and what to do.
fn why(task: &Value) -> String {
    let over = "delete the demo's folder (--data) to start over";
    match task["rule_set_version"].as_i64() {
        Some(version) => format!(
            "Version {version} of the rules is in force, and may take for a match what was seeded as a difference. To see the seeded \
             result, make a version without rules (POST /api/v1/reconciliation/rule-sets with {{\"note\": \"none\", \"tolerance\": \
             []}}) and activate it, or {over}."
        ),
        None => format!(
            "Something in the demo's folder is not as in a fresh one: settings of the channel, a file that was handed over, or a \
             changed day of the sandbox. Undo it, or {over}."
        ),
    }
}

/// The day's task: a new one, or the one of an earlier demo in the same folder.
async fn task(api: &Api) -> Result<String> {
    let wanted = json!({ "task_date": DAY, "channel": "stripe", "task_type": "daily" });
    let answer = api.call(Method::POST, "/tasks", Some(&wanted)).await?;
    let id = match answer.status {
        StatusCode::CREATED => &answer.data["id"],
        StatusCode::CONFLICT => &answer.data["task_id"],
        other => bail!("the task cannot be created: {other}"),
    };
    Ok(text(id).to_owned())
}

async fn ended(api: &Api, id: &str) -> Result<Value> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < deadline {
        let task = api.get(&format!("/tasks/{id}")).await?;
        if matches!(text(&task["status"]), "completed" | "failed" | "cancelled") {
            return Ok(task);
        }
        tokio::time::sleep(LOOK).await;
    }
    bail!("the task has not ended after {PATIENCE:?}")
}

/// Prints found and known side by side; true when they are equal in every count and sum.
fn print(task: &Value, summary: &Value, truth: &Value) -> bool {
    println!();
    println!("{:<20} {:>8} {:>8}  sums by currency", "", "found", "seeded");
    let mut equal = text(&task["verdict"]) == text(&truth["verdict"]);
    let known = truth["types"].as_object().into_iter().flatten();
    let not_expected = ("not_expected".to_owned(), truth["not_expected"].clone());
    let known = known.map(|(name, group)| (name.clone(), group.clone())).chain([not_expected]);
    for (name, seeded) in known {
        let found = &summary["types"][&name];
        let parts = ["count", "platform_amounts", "channel_amounts"];
        let same = parts.iter().all(|part| found[part] == seeded[part]);
        equal &= same;
        let sums = if same { "equal" } else { "DIFFERENT" };
        // As text, since a JSON value takes no width.
        let [found, seeded] = [found, &seeded].map(|group| group["count"].to_string());
        println!("{name:<20} {found:>8} {seeded:>8}  {sums}");
    }
    println!();
    println!("Task     {}", text(&task["task_no"]));
    println!("Verdict  {} (seeded: {})", text(&task["verdict"]), text(&truth["verdict"]));
    println!("Truth    {}", if equal { "the result equals it, in every count and sum" } else { "NOT MET" });
    equal
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
