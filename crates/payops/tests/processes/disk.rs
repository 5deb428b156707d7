//! A disk without room. A limit on the size of files stands in for it: it works everywhere, for everybody.

use chrono::TimeDelta;
use payops_core::time::{Clock, SystemClock};
use payops_sandbox::write_settlement_csv;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::{DATE, Instance, Kind, Site};

/// Less than the settlement file of a day has.
const ROOM_BYTES: usize = 16 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_waits_for_room_and_an_upload_is_refused() {
    // The database is elsewhere: only the files have no room.
    let site = Site::new(Kind::Postgres).await;
    let mut instance = site.start_with_file_limit(ROOM_BYTES).await;
    let file = settlement_file(&site);
    assert!(file.len() > ROOM_BYTES);

    // A disk may say so only when the last piece is written.
    let just_beyond = 1 + ROOM_BYTES + file.iter().skip(ROOM_BYTES).position(|byte| *byte == b'\n').unwrap();
    for length in [file.len(), just_beyond] {
        let refused = upload(&instance, file[..length].to_vec()).await;
        assert_eq!(refused.status().as_u16(), 503, "{length} bytes");
        assert!(refused.headers().contains_key("retry-after"));
        assert_eq!(refused.json::<Value>().await.unwrap()["data"], Value::Null);
    }
    assert_eq!(site.count("SELECT count(*) FROM channel_settlement_files").await, 0);
    assert_eq!(site.incoming(), Vec::<String>::new(), "nothing is left of them");

    let id = instance.begin(&json!({})).await;
    let says_why =
        |task: &Value| task["status_message"].as_str().is_some_and(|message| message.contains("tried again"));
    let waiting = instance.watch(&id, says_why).await;
    assert!(waiting["status_message"].as_str().unwrap().contains("disk"), "{waiting}");
    assert_eq!(waiting["status"], "processing");
    assert_eq!(site.count("SELECT count(*) FROM channel_settlement_files WHERE status = 'stored'").await, 0);
    assert_eq!(site.incoming(), Vec::<String>::new(), "nothing is left of a download that failed");

    make_room(&instance).await;
    let task = instance.ended(&id).await;
    site.assert_whole(&instance, &task).await;

    let report = async |format: &str| {
        let path = format!("reports/{id}/download?format={format}");
        instance.request(Method::GET, &path).send().await.unwrap()
    };
    leave_room(&instance, 0).await;
    for format in ["csv", "json", "pdf", "xlsx"] {
        let refused = report(format).await;
        assert_eq!(refused.status().as_u16(), 503, "{format}");
        let message = refused.json::<Value>().await.unwrap()["message"].to_string();
        assert!(message.contains("no room left"), "{format}: {message}");
    }
    make_room(&instance).await;
    for format in ["csv", "json", "pdf", "xlsx"] {
        assert!(report(format).await.bytes().await.unwrap().len() > 1000, "{format}");
    }
    assert_eq!(upload(&instance, file).await.status().as_u16(), 201);
}

/// SQLite ends a transaction by itself when the disk fails it, at its commit at the latest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_after_a_full_disk_outlives_the_process() {
    let site = Site::new(Kind::Sqlite).await;
    let instance = site.start_with_file_limit(1 << 30).await;
    let create = async |instance: &Instance, day: u32| {
        let body =
            json!({ "task_date": format!("2024-03-{day:02}"), "channel": "stripe", "task_type": "daily" });
        instance.request(Method::POST, "tasks").json(&body).send().await.unwrap()
    };
    for round in 0..3 {
        leave_room(&instance, 0).await;
        for day in 1..=3 {
            assert_eq!(create(&instance, day).await.status().as_u16(), 503);
        }
        make_room(&instance).await;
        assert_eq!(create(&instance, 10 + round).await.status().as_u16(), 201);
        let tasks = site.count("SELECT count(*) FROM reconciliation_tasks").await;
        assert_eq!(tasks, i64::from(round) + 1, "others see it");
    }
    instance.kill().await;
    let _again = site.start().await;
    assert_eq!(site.count("SELECT count(*) FROM reconciliation_tasks").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_left_behind_is_removed_a_day_later() {
    let site = Site::new(Kind::Sqlite).await;
    let incoming = site.files().join("incoming");
    std::fs::create_dir_all(&incoming).unwrap();
    for (name, hours) in [("of-yesterday", 25), ("of-today", 23)] {
        let file = std::fs::File::create(incoming.join(name)).unwrap();
        file.set_modified((SystemClock.now() - TimeDelta::hours(hours)).into()).unwrap();
    }
    let _serving = site.start().await;
    assert_eq!(site.incoming(), ["of-today"]);
}

fn settlement_file(site: &Site) -> Vec<u8> {
    let (date, channel) = (DATE.parse().unwrap(), "stripe".parse().unwrap());
    let day = site.sandbox.handle().day(date, channel, &payops_core::time::Zone::utc()).unwrap();
    let mut file = Vec::new();
    write_settlement_csv(&day, &mut file).unwrap();
    file
}

async fn upload(instance: &Instance, file: Vec<u8>) -> Response {
    let form = Form::new()
        .text("channel", "stripe")
        .text("settlement_date", DATE)
        .part("file", Part::bytes(file).file_name("settlement.csv"));
    instance.request(Method::POST, "settlement-files").multipart(form).send().await.unwrap()
}

async fn make_room(instance: &Instance) {
    limit_files(instance, "unlimited").await;
}

async fn leave_room(instance: &Instance, bytes: usize) {
    limit_files(instance, &format!("{bytes}:unlimited")).await;
}

async fn limit_files(instance: &Instance, limits: &str) {
    let (pid, limits) = (instance.pid().to_string(), format!("--fsize={limits}"));
    let set = Command::new("prlimit").args(["--pid", &pid, &limits]).status().await;
    assert!(set.unwrap().success());
}
