//! Schedules: tasks that create and start themselves, each day once.

use chrono::{Days, NaiveDate};
use http::Method;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::{As, TestAnswer};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::harness::App;

both_databases!(payops_recon::MIGRATIONS;
    a_schedule_is_made_shown_changed_and_removed,
    bad_schedules_name_their_field,
    missed_days_are_made_up_for_once,
    a_day_that_has_a_task_is_left_alone,
    a_schedule_that_is_switched_off_makes_nothing,
    a_schedule_that_is_edited_when_its_time_has_come_still_makes_its_tasks,
);

const SCHEDULES: &str = "/api/v1/reconciliation/schedules";

fn daily() -> Value {
    json!({ "channel": "stripe", "cron": "0 0 * * *" })
}

async fn call(app: &App, method: Method, path: &str, body: &Value) -> TestAnswer {
    app.client.request(method, path).json(body).by(As::Admin).send().await
}

async fn made(app: &App, body: &Value) -> Value {
    let answer = call(app, Method::POST, SCHEDULES, body).await;
    assert_eq!(answer.status, 201, "{:?}", answer.json());
    answer.data()
}

async fn shown(app: &App, schedule: &Value) -> Value {
    app.client.get(&path(schedule)).by(As::Admin).send().await.data()
}

fn path(schedule: &Value) -> String {
    format!("{SCHEDULES}/{}", schedule["id"].as_str().unwrap())
}

fn date(value: &Value) -> NaiveDate {
    value.as_str().unwrap().parse().unwrap()
}

async fn execute(app: &App, sql: &str) {
    app.db
        .write("test", {
            let sql = sql.to_owned();
            move |tx| {
                let sql = sql.clone();
                Box::pin(async move {
                    tx.execute_unprepared(&sql).await?;
                    Ok(())
                })
            }
        })
        .await
        .unwrap();
}

async fn count(app: &App, sql: &str) -> i64 {
    let row = app.db.read().query_one_raw(app.db.backend().statement(sql, [])).await.unwrap();
    row.unwrap().try_get_by("counted").unwrap()
}

/// Makes a schedule look as if the service had been away for some days: its time came, and nobody saw it.
async fn sleep_through(app: &App, schedule: &Value, days: u64) {
    let first = date(&schedule["next_date"]).checked_sub_days(Days::new(days)).unwrap();
    // Ids are bytes on one database and UUIDs on the other: the test's own channel names the row.
    let channel = schedule["channel"].as_str().unwrap();
    execute(
        app,
        &format!("UPDATE reconciliation_schedules SET next_date = '{first}' WHERE channel = '{channel}'"),
    )
    .await;
    let id = schedule["id"].as_str().unwrap();
    let due =
        format!("UPDATE schedules SET next_at = '{first}T00:00:00+00:00' WHERE name = 'reconciliation:{id}'");
    execute(app, &due).await;
}

/// Waits until a schedule has fired and its job is done.
async fn fired(app: &App, schedule: &Value) -> Value {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
    let unfinished = "SELECT CAST(COUNT(*) AS BIGINT) AS counted FROM jobs \
        WHERE name = 'reconciliation.make_tasks' AND state <> 'done'";
    loop {
        let now = shown(app, schedule).await;
        let is_due = now["next_at"].as_str().unwrap() < schedule["next_at"].as_str().unwrap();
        if !is_due && count(app, unfinished).await == 0 {
            // The job makes its tasks a day at a time: only what is read after its end is whole.
            return shown(app, schedule).await;
        }
        assert!(tokio::time::Instant::now() < deadline, "{now}");
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
}

async fn days_with_tasks(app: &App) -> Vec<NaiveDate> {
    let tasks = app.get("/api/v1/reconciliation/tasks?page_size=100").await.data();
    let mut days: Vec<NaiveDate> =
        tasks["items"].as_array().unwrap().iter().map(|task| date(&task["task_date"])).collect();
    days.sort_unstable();
    days
}

async fn a_schedule_is_made_shown_changed_and_removed(db: TestDb) {
    let app = App::start(db).await;
    let body = json!({ "channel": "stripe", "timezone": "Asia/Shanghai", "cron": " 0  6 * * *" });
    let answer = call(&app, Method::POST, SCHEDULES, &body).await;
    let schedule = answer.data();
    assert_eq!((answer.status, answer.header("etag")), (201, "\"1\""), "{schedule}");
    assert_eq!((&schedule["cron"], &schedule["enabled"]), (&json!("0 6 * * *"), &json!(true)));
    // Six o'clock in Shanghai is ten in the evening in UTC, of the day that it is about.
    let next_at = schedule["next_at"].as_str().unwrap();
    assert_eq!(&next_at[10..19], "T22:00:00");
    assert_eq!(schedule["next_date"], next_at[..10]);
    assert_eq!(shown(&app, &schedule).await, schedule);
    let list = app.client.get(&format!("{SCHEDULES}?channel=stripe&enabled=true")).by(As::Admin).send().await;
    assert_eq!(list.data()["items"], json!([schedule]));
    let second = call(&app, Method::POST, SCHEDULES, &body).await;
    assert_eq!((second.status, second.code().as_str()), (409, "SCHEDULE_EXISTS"));
    assert_eq!(second.data()["schedule_id"], schedule["id"]);

    let put = async |version: &str, body: &Value| {
        let request = app.client.request(Method::PUT, &path(&schedule)).json(body).by(As::Admin);
        request.header("if-match", version).send().await
    };
    let mut off = body.clone();
    off["enabled"] = json!(false);
    let answer = put("\"1\"", &off).await;
    assert_eq!((answer.status, answer.header("etag")), (200, "\"2\""), "{:?}", answer.json());
    assert_eq!((&answer.data()["enabled"], &answer.data()["next_at"]), (&json!(false), &Value::Null));
    let stale = put("\"1\"", &body).await;
    assert_eq!((stale.status, stale.code().as_str()), (412, "VERSION_MISMATCH"));
    // What was left out on purpose is not made up for.
    execute(&app, "UPDATE reconciliation_schedules SET next_date = '2020-01-01'").await;
    assert_eq!(put("\"2\"", &body).await.data()["next_date"], schedule["next_date"]);
    // What was missed is: another time of the day loses no day.
    execute(&app, "UPDATE reconciliation_schedules SET next_date = '2020-01-01'").await;
    let mut later = body.clone();
    later["cron"] = json!("30 7 * * *");
    assert_eq!(put("\"3\"", &later).await.data()["next_date"], "2020-01-01");

    let remove = async |version: &str| {
        let request = app.client.request(Method::DELETE, &path(&schedule)).by(As::Admin);
        request.header("if-match", version).send().await
    };
    assert_eq!(remove("\"3\"").await.status, 412);
    assert_eq!(remove("\"4\"").await.data()["id"], schedule["id"]);
    let gone = remove("\"4\"").await;
    assert_eq!((gone.status, gone.code().as_str()), (404, "SCHEDULE_NOT_FOUND"));
    let audited = "SELECT CAST(COUNT(*) AS BIGINT) AS counted FROM audit_log \
        WHERE object_type = 'reconciliation_schedule' AND actor_id = 'ada'";
    assert_eq!(count(&app, audited).await, 5);
    let left = "SELECT CAST(COUNT(*) AS BIGINT) AS counted FROM schedules WHERE name LIKE 'reconciliation:%'";
    assert_eq!(count(&app, left).await, 0);
}

async fn bad_schedules_name_their_field(db: TestDb) {
    let app = App::start(db).await;
    for (field, value) in [
        ("cron", json!("every day")),
        ("cron", json!("0 0 31 2 *")),
        ("cron", json!("0 0 * * * *")),
        ("cron", json!("*".repeat(201))),
        ("timezone", json!("Mars/Olympus")),
        ("channel", json!("cash")),
        ("account", json!("x".repeat(129))),
        ("enabled", json!("yes")),
        ("colour", json!("red")),
    ] {
        let mut body = daily();
        body[field] = value.clone();
        let answer = call(&app, Method::POST, SCHEDULES, &body).await;
        assert_eq!((answer.status, answer.fields().as_str()), (400, field), "{value}");
    }
    // Every name of UTC is the same zone, so it would make the same tasks.
    made(&app, &daily()).await;
    let mut again = daily();
    again["timezone"] = json!("GMT");
    assert_eq!(call(&app, Method::POST, SCHEDULES, &again).await.code(), "SCHEDULE_EXISTS");
}

async fn missed_days_are_made_up_for_once(db: TestDb) {
    let app = App::start(db).await;
    let schedule = made(&app, &daily()).await;
    // Several instances come back at once.
    app.run_jobs();
    app.run_jobs();
    sleep_through(&app, &schedule, 4).await;
    let after = fired(&app, &schedule).await;
    let first = date(&schedule["next_date"]).checked_sub_days(Days::new(4)).unwrap();
    let owed: Vec<NaiveDate> = first.iter_days().take_while(|day| *day < date(&after["next_date"])).collect();
    assert!(owed.len() >= 4, "{after}");
    assert_eq!(days_with_tasks(&app).await, owed);
    let tasks = app.get("/api/v1/reconciliation/tasks").await.data();
    let owner = format!("schedule:{}", schedule["id"].as_str().unwrap());
    for task in tasks["items"].as_array().unwrap() {
        assert_eq!((&task["run_no"], &task["created_by"]), (&json!(1), &json!(owner)), "{task}");
    }
    // It fires once more for the same days: they are taken care of.
    let id = schedule["id"].as_str().unwrap();
    execute(
        &app,
        &format!(
            "UPDATE schedules SET next_at = '{first}T00:00:00+00:00' WHERE name = 'reconciliation:{id}'"
        ),
    )
    .await;
    fired(&app, &schedule).await;
    assert_eq!(days_with_tasks(&app).await, owed);
}

async fn a_day_that_has_a_task_is_left_alone(db: TestDb) {
    let app = App::start(db).await;
    let schedule = made(&app, &daily()).await;
    let day = date(&schedule["next_date"]).pred_opt().unwrap();
    let mine = app
        .post("/api/v1/reconciliation/tasks", &json!({ "task_date": day, "channel": "stripe" }))
        .await
        .data();
    sleep_through(&app, &schedule, 1).await;
    fired(&app, &schedule).await;
    let mine =
        app.get(&format!("/api/v1/reconciliation/tasks/{}", mine["id"].as_str().unwrap())).await.data();
    assert_eq!((&mine["status"], &mine["created_by"]), (&json!("pending"), &json!("olga")));
    let days = days_with_tasks(&app).await;
    assert_eq!(days.iter().filter(|other| **other == day).count(), 1);
}

async fn a_schedule_that_is_switched_off_makes_nothing(db: TestDb) {
    let app = App::start(db).await;
    let mut off = daily();
    off["channel"] = json!("paypal");
    off["enabled"] = json!(false);
    let off = made(&app, &off).await;
    assert_eq!(off["next_at"], Value::Null);
    let on = made(&app, &daily()).await;
    // Both are due; once the one has fired, the other would have too.
    sleep_through(&app, &off, 3).await;
    sleep_through(&app, &on, 3).await;
    fired(&app, &on).await;
    let tasks = app.get("/api/v1/reconciliation/tasks?channel=paypal").await.data();
    assert_eq!(tasks["total"], 0);
}

async fn a_schedule_that_is_edited_when_its_time_has_come_still_makes_its_tasks(db: TestDb) {
    let app = App::start(db).await;
    let schedule = made(&app, &daily()).await;
    app.stop_jobs().await;
    // Its time has come while no instance is there to see it, and somebody moves it to another time of the day.
    sleep_through(&app, &schedule, 1).await;
    let due = shown(&app, &schedule).await;
    let later = json!({ "channel": "stripe", "cron": "59 23 * * *" });
    let edited = call(&app, Method::PUT, &path(&schedule), &later).await;
    let edited = edited.data();
    assert_eq!(edited["next_date"], due["next_date"]);
    app.run_jobs();
    // The time that was missed last is a midnight: every day before it is owed.
    let today = date(&json!(edited["next_at"].as_str().unwrap()[..10]));
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
    while date(&shown(&app, &schedule).await["next_date"]) != today {
        assert!(tokio::time::Instant::now() < deadline, "{edited}");
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    let owed: Vec<NaiveDate> = date(&due["next_date"]).iter_days().take_while(|day| *day < today).collect();
    assert!(!owed.is_empty());
    assert_eq!(days_with_tasks(&app).await, owed);
    // On other days than before, it begins anew, whatever is due.
    app.stop_jobs().await;
    sleep_through(&app, &schedule, 5).await;
    let elsewhere = json!({ "channel": "stripe", "cron": "59 23 * * *", "timezone": "Asia/Shanghai" });
    let anew = call(&app, Method::PUT, &path(&schedule), &elsewhere).await.data();
    assert!(anew["next_at"].as_str().unwrap() > edited["next_at"].as_str().unwrap(), "{anew}");
}
