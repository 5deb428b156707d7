//! An answer to a dispute whose sender is killed at any step is sent once, by another instance.

use payops_core::time::{Clock, SystemClock};
use payops_sandbox::{DisputeOrder, DisputeStatus, Fault, FaultKind, FaultTarget};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Instance, Kind, Site, data, until};

/// A call of Stripe's that never comes to its end.
const FOR_EVER: u64 = 3_600_000;
/// How long an answer is held that is to lie ready before it is due.
const READY_WITHIN: chrono::TimeDelta = chrono::TimeDelta::seconds(10);
/// An image of one pixel.
const PNG: &[u8] = b"\x89PNG\x0d\x0a\x1a\x0a\x00\x00\x00\x0dIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU\x00\x00\x00\x0aIDATx\x9cch\x00\x00\x00\x82\x00\x81w\xcdr\xb6\x00\x00\x00\x00IEND\xaeB`\x82";

/// Where the process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Upload,
    Stage,
    Submit,
    /// While it finds out what became of a submission whose answer was lost.
    Ask,
}

/// Whether the call that is under way then has its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    None,
    Done,
}

macro_rules! killed_in {
    ($($test:ident: $step:ident, $effect:ident);+ $(;)?) => {
        /// Two instances share one database and one folder.
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::sent_once(super::Kind::Postgres, super::Step::$step, super::Effect::$effect).await;
                }
            )+
        }

        /// One instance is killed and started again on its folder.
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::sent_once(super::Kind::Sqlite, super::Step::$step, super::Effect::$effect).await;
                }
            )+
        }
    };
}

killed_in!(
    killed_before_a_file_is_uploaded: Upload, None;
    killed_after_a_file_is_uploaded: Upload, Done;
    killed_before_evidence_is_staged: Stage, None;
    killed_after_evidence_is_staged: Stage, Done;
    killed_before_the_answer_is_submitted: Submit, None;
    killed_after_the_answer_is_submitted: Submit, Done;
    killed_while_it_asks_what_became_of_it: Ask, Done;
);

async fn sent_once(kind: Kind, step: Step, effect: Effect) {
    let site = Site::new(kind).await;
    let first = site.start_disputes().await;
    let stripe = site.sandbox.handle();
    let mut order = DisputeOrder { status: DisputeStatus::NeedsResponse, ..DisputeOrder::of(12_300) };
    order.charge_metadata.insert("payment_no".to_owned(), "PAY-1".to_owned());
    let stripes = stripe.make_dispute(order).unwrap()["id"].as_str().unwrap().to_owned();
    let read = data(first.disputes(Method::POST, &format!("/sync/{stripes}")).json(&json!({}))).await;
    let id = read["id"].as_str().unwrap().to_owned();
    give_evidence(&first, &id).await;

    let slow = match effect {
        Effect::None => FaultKind::Slow { ms: FOR_EVER },
        Effect::Done => FaultKind::SlowAfter { ms: FOR_EVER },
    };
    let submit = FaultTarget::StripeDisputeUpdate;
    let (faults, call) = match step {
        Step::Upload => (vec![(FaultTarget::StripeUpload, slow)], ("POST", "/v1/files")),
        Step::Stage | Step::Submit => (vec![(submit, slow)], ("POST", "/v1/disputes/")),
        Step::Ask => {
            let asking = (FaultTarget::StripeDisputes, FaultKind::Slow { ms: FOR_EVER });
            (vec![(submit, FaultKind::Cut { after: 0 }), asking], ("GET", "/v1/disputes/"))
        }
    };
    let order = async |when: Value| {
        data(first.disputes(Method::POST, &format!("/{id}/submit")).json(&when)).await;
    };
    let is_ready_before = matches!(step, Step::Submit | Step::Ask);
    if is_ready_before {
        order(json!({ "submit_at": SystemClock.now() + READY_WITHIN })).await;
        until("the answer lies ready", async || last(&first, &id).await["staged_at"].is_string()).await;
    }
    stripe.clear_requests();
    for (target, kind) in faults {
        stripe.add_fault(Fault::once(target, kind)).unwrap();
    }
    if !is_ready_before {
        order(json!({})).await;
    }
    let (method, path) = call;
    until("the call is under way", async || {
        stripe.requests().iter().any(|call| call.method == method && call.path.starts_with(path))
    })
    .await;
    // On one database the other instance is there already and watches the lease.
    let waiting = if kind == Kind::Postgres { Some(site.start_disputes().await) } else { None };
    first.kill().await;
    stripe.clear_faults();
    let second = if let Some(instance) = waiting { instance } else { site.start_disputes().await };
    until("the answer is sent", async || last(&second, &id).await["state"] == "sent").await;
    let sent = stripe.dispute(&stripes).unwrap();
    assert_eq!(sent["evidence_details"]["submission_count"], 1, "{sent}");
    assert_eq!(sent["evidence"]["product_description"], "Two chairs.");
    assert!(sent["evidence"]["receipt"].is_string(), "{sent}");
    let story = data(second.disputes(Method::GET, &format!("/{id}/timeline?page_size=100"))).await;
    let told = story["items"].as_array().unwrap().iter().filter(|row| row["event_type"] == "submitted");
    assert_eq!(told.count(), 1, "{story}");
}

/// The last submission of a dispute, which has no other.
async fn last(instance: &Instance, id: &str) -> Value {
    let all = data(instance.disputes(Method::GET, &format!("/{id}/submissions"))).await;
    assert_eq!(all.as_array().map(Vec::len), Some(1), "{all}");
    all[0].clone()
}

/// A text and a file.
async fn give_evidence(instance: &Instance, id: &str) {
    let path = format!("/{id}/evidence");
    let text = json!({ "evidence_type": "product_description", "text_content": "Two chairs." });
    data(instance.disputes(Method::POST, &path).json(&text)).await;
    let mut form = b"--sep\r\nContent-Disposition: form-data; name=\"evidence_type\"\r\n\r\nreceipt\r\n--sep\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"receipt.png\"\r\nContent-Type: image/png\r\n\r\n"
        .to_vec();
    form.extend_from_slice(PNG);
    form.extend_from_slice(b"\r\n--sep--\r\n");
    let upload =
        instance.disputes(Method::POST, &path).header("content-type", "multipart/form-data; boundary=sep");
    let uploaded = upload.body(form).send().await.unwrap();
    assert_eq!(uploaded.status(), StatusCode::CREATED, "{:?}", uploaded.text().await);
}
