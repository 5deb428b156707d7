//! Reports for people: the same figures as the API gives, in files that others can open.

use std::io::Cursor;

use calamine::{DataType, Reader, Xlsx};
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::TestAnswer;
use serde_json::{Value, json};

use crate::harness::App;

both_databases!(payops_recon::MIGRATIONS;
    a_pdf_tells_what_the_report_tells,
    a_workbook_ties_to_the_records,
);

const DATE: &str = "2026-01-16";

async fn download(app: &App, task: &Value, how: &str) -> TestAnswer {
    let id = task["id"].as_str().unwrap();
    app.get(&format!("/api/v1/reconciliation/reports/{id}/download?{how}")).await
}

/// All text without blanks: a PDF has its own.
fn text_of(pdf: &[u8]) -> String {
    let document = lopdf::Document::load_mem(pdf).unwrap();
    let pages: Vec<u32> = document.get_pages().into_keys().collect();
    let text = document.extract_text(&pages).unwrap();
    text.chars().filter(|character| !character.is_whitespace()).collect()
}

async fn a_pdf_tells_what_the_report_tells(db: TestDb) {
    let app = App::start(db).await;
    let task = app.reconcile(DATE).await;
    let records = app.records(task["id"].as_str().unwrap()).await;
    let difference = records.iter().find(|record| record["diff_type"] == "amount_diff").unwrap();
    let path = format!("/api/v1/reconciliation/records/{}/resolve", difference["id"].as_str().unwrap());
    let note = json!({ "reason_code": "channel_fee", "note": "银行已确认" });
    assert_eq!(app.post(&path, &note).await.status, 200);

    let report = app.report(&task).await;
    let first = download(&app, &task, "format=pdf&language=zh").await;
    assert_eq!((first.status, first.header("content-type")), (200, "application/pdf"));
    assert!(first.header("content-disposition").ends_with("-run-1.pdf\""), "{:?}", first.headers);
    assert_eq!(first.header("reconciliation-run"), "1");
    let text = text_of(&first.body);
    let hash = report["certificate"]["output_sha256"].as_str().unwrap();
    let number = difference["channel_trade_no"].as_str().unwrap();
    for words in ["对账报告", "结论存在差异", "已证实：每个币种", "银行已确认", "已解决", hash, number]
    {
        assert!(text.contains(words), "{words} is not in {text}");
    }
    assert!(text.contains(task["task_no"].as_str().unwrap()));

    let again = download(&app, &task, "format=pdf&language=zh").await;
    assert!(again.body == first.body, "the same task is the same file");
    let english = text_of(&download(&app, &task, "format=pdf").await.body);
    assert!(english.contains("Verdictdifferences") && english.contains("Proven:opening"), "{english}");

    let refused = download(&app, &task, "format=pdf&language=fr").await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "INVALID_REQUEST"));
    assert_eq!(download(&app, &task, "format=docx").await.status, 400);
}

async fn a_workbook_ties_to_the_records(db: TestDb) {
    let app = App::start(db).await;
    let task = app.reconcile(DATE).await;
    let records = app.records(task["id"].as_str().unwrap()).await;
    let path = format!("/api/v1/reconciliation/records/{}/resolve", records[0]["id"].as_str().unwrap());
    let note = json!({ "reason_code": "other", "note": "=1+1 是公式吗" });
    assert_eq!(app.post(&path, &note).await.status, 200);

    let first = download(&app, &task, "format=xlsx&language=zh").await;
    assert_eq!(first.status, 200);
    assert!(first.header("content-type").ends_with("spreadsheetml.sheet"), "{:?}", first.headers);
    assert!(first.header("content-disposition").ends_with("-run-1.xlsx\""), "{:?}", first.headers);
    let again = download(&app, &task, "format=xlsx&language=zh").await;
    assert!(again.body == first.body, "the same task is the same file");
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(first.body)).unwrap();
    let rows = book.worksheet_range("差异").unwrap();
    assert_eq!(rows.height(), 1 + records.len());
    for (row, record) in rows.rows().skip(1).zip(&records) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        assert_eq!(row[2].to_string(), text(&record["channel_trade_no"]));
        assert_eq!(row[3].to_string(), text(&record["payment_no"]));
        assert_eq!(row[8].as_i64(), record["platform_amount"].as_i64());
        assert_eq!(row[13].as_i64(), record["channel_amount"].as_i64());
    }
    let noted = rows.rows().nth(1).unwrap();
    assert_eq!(
        (noted[23].to_string(), noted[26].to_string()),
        ("已解决".to_owned(), "=1+1 是公式吗".to_owned())
    );
    assert!(book.worksheet_formula("差异").unwrap().is_empty());
    let summary = book.worksheet_range("汇总").unwrap();
    let checks = summary.rows().find(|row| row[0].to_string().starts_with("全部核对之和")).unwrap();
    assert_eq!(checks[1].as_i64(), Some(0), "the records give the totals, and the balances tie");
}
