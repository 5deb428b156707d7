//! `payops sandbox --data`: what lasts from one run to the next.

use std::path::Path;
use std::process::Stdio;

use payops_sandbox::DEFAULT_STRIPE_API_KEY;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::harness::{PAYOPS, bare, signal, until};

/// A sandbox as a process. Dropping it kills it.
struct Sandbox {
    child: Child,
    url: String,
    http: reqwest::Client,
}

impl Sandbox {
    async fn start(folder: &Path) -> Self {
        let mut command = Command::new(PAYOPS);
        command.args(["sandbox", "--port", "0", "--payments", "150", "--data", "kept"]).current_dir(folder);
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = loop {
            let line = lines.next_line().await.unwrap().expect("it says where it listens");
            if let Some((_, url)) = line.split_once("PAYMENT_GATEWAY_URL=") {
                break url.to_owned();
            }
        };
        Self { child, url, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    async fn get(&self, path: &str) -> Value {
        let call = self.http.get(format!("{}{path}", self.url)).bearer_auth(DEFAULT_STRIPE_API_KEY);
        call.send().await.unwrap().json().await.unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.http.post(format!("{}{path}", self.url)).json(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap()
    }

    /// Creates a run of the day's report; the same key gives the same one.
    async fn create(&self, key: &str) -> Value {
        let parameters = [
            ("report_type", "balance_change_from_activity.itemized.3"),
            ("parameters[interval_start]", "1729728000"),
            ("parameters[interval_end]", "1729814400"),
            ("parameters[timezone]", "Asia/Shanghai"),
            ("parameters[currency]", "usd"),
        ];
        let call = self.http.post(format!("{}/v1/reporting/report_runs", self.url));
        let call = call.bearer_auth(DEFAULT_STRIPE_API_KEY).header("idempotency-key", key).form(&parameters);
        let answer = call.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    async fn run(&self, created: &Value) -> Value {
        self.get(&format!("/v1/reporting/report_runs/{}", created["id"].as_str().unwrap())).await
    }

    async fn ended(&self, created: &Value) -> Value {
        until("the run has ended", async || self.run(created).await["status"] == "succeeded").await;
        self.run(created).await
    }

    /// The bytes of a run's file, and its `ETag`.
    async fn file(&self, run: &Value) -> (Vec<u8>, String) {
        let path = format!("/v1/files/{}/contents", run["result"]["id"].as_str().unwrap());
        let call = self.http.get(format!("{}{path}", self.url)).bearer_auth(DEFAULT_STRIPE_API_KEY);
        let answer = call.send().await.unwrap();
        let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
        (answer.bytes().await.unwrap().to_vec(), etag)
    }

    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    async fn stop(mut self) {
        signal("TERM", self.child.id().unwrap()).await;
        assert!(self.child.wait().await.unwrap().success());
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

const TRUTH: &str = "/sandbox/days/2024-10-24/truth";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_lasts_through_a_kill() {
    let folder = folder();
    let sandbox = Sandbox::start(folder.path()).await;
    let finished = sandbox.ended(&sandbox.create("first").await).await;
    let file = sandbox.file(&finished).await;
    assert!(file.0.len() > 1000);
    // The day changes after the run was created: the run keeps what it was made of.
    let before = sandbox.get(TRUTH).await;
    sandbox.post("/sandbox/days/2024-10-24/variant", &json!({ "variant": "clean", "payments": 90 })).await;
    let truth = sandbox.get(TRUTH).await;
    assert_ne!(truth, before);
    let fault = json!({ "target": "stripe.poll", "kind": "status", "status": 503, "retry_after": 1, "times": 3,
                        "report_type": "balance.summary" });
    sandbox.post("/sandbox/faults", &fault).await;
    sandbox
        .post("/sandbox/faults", &json!({ "target": "stripe.types", "kind": "slow", "ms": 0, "times": 2 }))
        .await;
    sandbox.get("/v1/reporting/report_types").await;
    let faults = sandbox.get("/sandbox/faults").await;
    assert_eq!(faults["items"][1]["struck"], 1, "{faults}");
    let clock = sandbox.post("/sandbox/clock", &json!({ "advance_seconds": 40_000 })).await;
    // It is pending when the sandbox dies.
    let created = sandbox.create("second").await;
    sandbox.kill().await;

    let sandbox = Sandbox::start(folder.path()).await;
    let id = |run: &Value| run["id"].clone();
    let runs = sandbox.get("/v1/reporting/report_runs").await;
    let listed: Vec<Value> = runs["data"].as_array().unwrap().iter().map(id).collect();
    assert_eq!(listed, [id(&created), id(&finished)], "{runs}");
    assert_eq!(sandbox.file(&finished).await, file);
    let shown = sandbox.run(&finished).await;
    assert_eq!(
        (&shown["result"]["size"], &shown["parameters"]),
        (&finished["result"]["size"], &finished["parameters"])
    );
    assert_eq!(id(&sandbox.create("first").await), id(&finished));
    assert_eq!(id(&sandbox.create("second").await), id(&created));
    assert_eq!(sandbox.get(TRUTH).await, truth);
    assert_eq!(sandbox.get("/sandbox/faults").await, faults);
    let now = sandbox.get("/sandbox/clock").await;
    assert!(now["now"].as_str() >= clock["now"].as_str(), "{now} is before {clock}");
    let other = sandbox.file(&sandbox.ended(&created).await).await;
    assert_ne!(other, file, "the second run is of the changed day");
    sandbox.stop().await;

    let sandbox = Sandbox::start(folder.path()).await;
    assert_eq!(sandbox.file(&sandbox.run(&created).await).await, other);
    // A new fault gets a number that no other has had.
    let added =
        sandbox.post("/sandbox/faults", &json!({ "target": "gateway.feed", "kind": "no_trailer" })).await;
    assert_eq!(added["id"], 3);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_cannot_be_used_stops_the_start() {
    let folder = folder();
    let sandbox = Sandbox::start(folder.path()).await;
    let start = ["sandbox", "--port", "0", "--payments", "150", "--data", "kept"];
    let refused = async |arguments: &[&str], said: &str| {
        let ran = bare(&folder, arguments, &[]).await;
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains("kept") && ran.stderr.contains(said), "{said}: {ran:?}");
        assert_eq!(ran.stdout, "", "nothing is promised");
    };
    refused(&start, "another sandbox keeps its state in this folder").await;
    sandbox.create("first").await;
    sandbox.stop().await;
    refused(&[&start[..], &["--seed", "7"]].concat(), "has seed 20241024 and 150 payments a day").await;
    refused(&["sandbox", "--port", "0", "--data", "kept"], "has seed 20241024 and 150 payments a day").await;

    let path = folder.path().join("kept/sandbox.json");
    let good = std::fs::read_to_string(&path).unwrap();
    let damages = [
        ("", "damaged"),
        (&good[..good.len() / 2], "damaged"),
        (&good.replacen("1729728000", "1729728001", 1), "damaged: it does not have the hash"),
        (&good.replacen("\"format\":2", "\"format\":3", 1), "has format 3, and this sandbox knows 2"),
        ("{\"format\":2}", "damaged"),
    ];
    for (text, said) in damages {
        assert_ne!(text, good);
        std::fs::write(&path, text).unwrap();
        refused(&start, said).await;
        refused(&start, "sandbox.json").await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "it is left as it is");
    }
    std::fs::write(&path, &good).unwrap();
    Sandbox::start(folder.path()).await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_folder_nothing_is_left_behind() {
    let folder = folder();
    let mut command = Command::new(PAYOPS);
    command.args(["sandbox", "--port", "0"]).current_dir(folder.path()).env_clear().stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while lines.next_line().await.unwrap().is_some_and(|line| !line.contains("PAYMENT_GATEWAY_URL=")) {}
    signal("TERM", child.id().unwrap()).await;
    assert!(child.wait().await.unwrap().success());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
