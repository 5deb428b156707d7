//! Lists of a full store: every filter, the first page, and pages far behind a cursor.

use std::time::{Duration, Instant};

use payops_core::page::encode_cursor;
use payops_platform::http::load::{Pace, Requests, round, runtime};
use serde_json::json;

use crate::Plan;
use crate::service::{SandboxProcess, Service, database, databases};
use crate::store::{TASKS, fill, place, task_id};

/// Connections that ask at the same time.
const CONNECTIONS: usize = 2;
/// Milliseconds that 99 of 100 requests may take.
const GOAL: f64 = 100.0;

/// One question, again and again.
struct Question(Vec<u8>);

impl Requests for Question {
    fn write(&mut self, request: &mut Vec<u8>) {
        request.extend_from_slice(&self.0);
    }
}

/// Measures every question on one database after the other: both stores at once are too much for a disk.
pub fn run(plan: &Plan) -> anyhow::Result<()> {
    let runtime = runtime("payops", 2)?;
    for name in databases(plan) {
        let (service, _db, _sandbox) = runtime.block_on(async {
            let started = Instant::now();
            let sandbox = SandboxProcess::start(10, 1)?;
            let db = database(name).await;
            fill(&db, plan.records).await?;
            println!(
                "\nlists ({name}, {} records, made in {:.0?}; p99 is to be below {GOAL} ms)",
                plan.records,
                started.elapsed()
            );
            anyhow::Ok((Service::start(&db, &sandbox, &sandbox).await?, db, sandbox))
        })?;
        println!("  {:<64} {:>9} {:>9}", "", "p50 ms", "p99 ms");
        for question in questions(plan.records) {
            let path = format!("/api/v1/reconciliation/records{question}");
            let answer = runtime.block_on(service.get(&path))?;
            let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{}\r\n", service.operator);
            let question_of = |_| Question(request.clone().into_bytes());
            let time = Duration::from_millis(plan.milliseconds);
            let found = round(service.address, CONNECTIONS, Pace::Closed, time, question_of)?;
            let late = if found.p99 < GOAL { "" } else { " !" };
            let shown = shortened(&question);
            println!(
                "  {shown:<48} {:>15} {:>9.1} {:>9.1}{late}",
                answer["total"].to_string(),
                found.p50,
                found.p99
            );
        }
    }
    Ok(())
}

fn shortened(question: &str) -> String {
    question
        .split_once("cursor=")
        .map_or_else(|| question.to_owned(), |(start, _)| format!("{start}cursor=…"))
}

fn questions(records: u64) -> Vec<String> {
    let cursor = |number: u64| {
        let (task, ordinal) = place(number, records);
        encode_cursor(&json!({ "task_id": task_id(task), "ordinal": ordinal }))
    };
    // In the middle of the list, and deep in the task that has a tenth of all.
    let (middle, deep) = (cursor(records / 2), cursor(records / 11));
    let (large, usual, open) = (task_id(0), task_id(TASKS / 2), task_id(TASKS - 2));
    let filters = [
        String::new(),
        format!("task_id={large}"),
        format!("task_id={usual}"),
        "status=open".to_owned(),
        "status=assigned".to_owned(),
        "status=resolved".to_owned(),
        "diff_type=platform_only".to_owned(),
        "diff_type=currency_diff".to_owned(),
        "diff_type=duplicate_channel".to_owned(),
        "kind=payment".to_owned(),
        "kind=dispute".to_owned(),
        "channel=paypal".to_owned(),
        "task_date=2024-05-01".to_owned(),
        "task_date=2023-01-01".to_owned(),
        "assigned_to=rita".to_owned(),
        "assigned_to=agent-7".to_owned(),
        "currency=USD".to_owned(),
        "currency=JPY".to_owned(),
        "currency=KWD".to_owned(),
        "status=open&diff_type=timing".to_owned(),
        "status=assigned&diff_type=currency_diff".to_owned(),
        "status=resolved&channel=paypal".to_owned(),
        "status=open&channel=adyen".to_owned(),
        "status=open&assigned_to=agent-7".to_owned(),
        "status=assigned&assigned_to=rita".to_owned(),
        "status=open&currency=JPY".to_owned(),
        "status=resolved&kind=dispute".to_owned(),
        "diff_type=currency_diff&channel=paypal".to_owned(),
        "diff_type=amount_diff&kind=dispute&channel=paypal".to_owned(),
        format!("task_id={large}&diff_type=currency_diff"),
        format!("task_id={large}&status=open"),
        format!("task_id={open}&status=open"),
        format!("task_id={large}&kind=dispute"),
        format!("task_id={large}&currency=JPY"),
    ];
    let mut questions: Vec<String> = Vec::new();
    for filter in &filters {
        questions.push(if filter.is_empty() { String::new() } else { format!("?{filter}") });
    }
    for filter in &filters {
        let after = if filter.contains(&large.to_string()) { &deep } else { &middle };
        let and = if filter.is_empty() { "" } else { "&" };
        questions.push(format!("?{filter}{and}page_size=100&cursor={after}"));
    }
    let (number, h) = (records / 2, records / 2 * 2_654_435_761 % 4_294_967_296);
    questions.extend([
        "?page_size=100&page=100".to_owned(),
        "?status=resolved&page_size=100&page=100".to_owned(),
        "?currency=JPY&page_size=100&page=100".to_owned(),
        format!("?payment_no=PAY-{number}"),
        format!("?payment_no=PAY-{number}&status=resolved"),
        format!("?channel_trade_no=ch_{h}{number}"),
        "?payment_no=nobody".to_owned(),
    ]);
    questions
}
