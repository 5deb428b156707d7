//! Payouts against the bank: statements that are handed over, and the differences that they show.

use http::Method;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_sandbox::{Fault, FaultKind, FaultTarget};
use serde_json::{Value, json};

use crate::channel_settings::SETTINGS;
use crate::expected_files::{EXPECTED, call};
use crate::harness::{App, Gateway};

both_databases!(payops_recon::MIGRATIONS;
    a_payout_is_tied_to_its_rows_and_to_the_bank_across_days,
    what_the_bank_lacks_or_has_too_much_is_a_record_until_it_is_put_right,
    a_day_without_a_statement_does_not_ask_for_one,
    what_is_no_statement_is_refused,
    a_statement_can_be_expected,
    reports_of_payouts_are_fetched_and_the_day_ties_by_itself,
    without_the_report_that_states_payouts_nothing_is_proven,
    a_report_that_has_failed_is_not_asked_for_again_while_another_is_waited_for,
    reports_of_payouts_can_be_handed_over,
    window_and_words_are_those_of_the_settings,
    a_day_is_run_again_when_a_day_beside_it_explains_its_deposits,
    a_tie_falls_when_what_it_rests_on_in_other_days_is_corrected,
    a_payout_that_stands_in_the_files_of_two_days_counts_once,
    a_later_statement_ends_the_window_of_a_payout_and_a_gap_proves_nothing,
    a_day_in_a_gap_is_started_again_whichever_statement_comes_or_goes_last,
    a_statement_without_entries_takes_the_place_of_one_with_entries_only_by_consent,
    what_a_bank_takes_back_weeks_later_is_told_of_its_day_until_the_statement_is_corrected,
    a_reversal_that_came_before_its_deposit_is_found,
    a_reversal_of_a_day_is_explained_by_an_earlier_statement_whichever_comes_or_goes_last,
    a_statement_that_a_run_has_read_for_its_reversal_alone_starts_the_day_again_that_it_is_of,
    a_reversal_without_a_reference_is_about_all_deposits_of_its_amount,
    a_reversal_is_of_what_it_names_and_not_of_what_has_its_amount,
    a_statement_of_which_pages_are_missing_is_refused_unless_it_is_meant,
    statements_of_two_bank_accounts_stand_beside_each_other,
    a_payout_that_rows_name_is_told_when_no_report_lists_it_that_could,
    without_a_report_of_payouts_nothing_is_missing_short_or_unknown,
    the_end_does_not_depend_on_the_order_of_statements_reports_and_runs,
);

const EARLIER: &str = "2026-01-15";
const DAY: &str = "2026-01-16";
/// The header of Stripe's settlement file.
const HEAD: &str = "balance_transaction_id,created_utc,currency,gross,fee,net,reporting_category,source_id,charge_id,\
                    payment_intent_id,automatic_payout_id\n";
/// The rows of the third day: what it earns is paid out at once.
const THIRD: &str = "txn_9,2026-01-19 08:00:00,usd,12.00,1.00,11.00,charge,ch_9,ch_9,pi_9,po_third0003\n\
                     txn_10,2026-01-19 10:00:00,usd,-11.00,0.00,-11.00,payout,po_third0003,,,po_third0003\n";

/// A statement over these entries of dollars, from the sixteenth on: cents, day of January, text.
fn statement(last: u32, entries: &[(i64, u32, &str)]) -> Vec<u8> {
    bank_file(&[account("USD", 2, "2026-01", (16, last), entries)])
}

/// A statement of one account, over days of one month.
pub fn account(
    currency: &str,
    decimals: u32,
    month: &str,
    (first, last): (u32, u32),
    entries: &[(i64, u32, &str)],
) -> String {
    let amount = |minor: i64| {
        let unit = 10_i64.pow(decimals);
        let digits = if decimals == 0 {
            String::new()
        } else {
            format!(".{:0decimals$}", minor % unit, decimals = decimals as usize)
        };
        format!("<Amt Ccy=\"{currency}\">{}{digits}</Amt><CdtDbtInd>CRDT</CdtDbtInd>", minor / unit)
    };
    let balance = |code: &str, minor: i64, day: u32| {
        format!(
            "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>{}<Dt><Dt>{month}-{day:02}</Dt></Dt></Bal>",
            amount(minor)
        )
    };
    let entry = |(minor, day, text): &(i64, u32, &str)| {
        format!(
            "<Ntry>{}<Sts>BOOK</Sts><BookgDt><Dt>{month}-{day:02}</Dt></BookgDt><BkTxCd><Prtry><Cd>x</Cd></Prtry></BkTxCd>\
             <AddtlNtryInf>{text}</AddtlNtryInf></Ntry>",
            amount(*minor)
        )
    };
    let sum: i64 = entries.iter().map(|(minor, ..)| minor).sum();
    let (opening, closing) = (balance("OPBD", 100_000, first), balance("CLBD", 100_000 + sum, last));
    let entries: Vec<String> = entries.iter().map(entry).collect();
    format!(
        "<Stmt><Id>s-{currency}</Id><CreDtTm>2026-01-31T00:00:00</CreDtTm><Acct><Id><Othr><Id>1234</Id></Othr></Id>\
         <Ccy>{currency}</Ccy></Acct>{opening}{closing}{}</Stmt>",
        entries.concat()
    )
}

pub fn bank_file(statements: &[String]) -> Vec<u8> {
    let text = format!(
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02\"><BkToCstmrStmt><GrpHdr><MsgId>m</MsgId>\
         <CreDtTm>2026-01-31T00:00:00</CreDtTm></GrpHdr>{}</BkToCstmrStmt></Document>",
        statements.concat()
    );
    text.into_bytes()
}

pub async fn hand_over(app: &App, kind: &str, date: &str, role: &str, file: &[u8]) -> Value {
    hand_over_of(app, "", kind, date, role, file).await
}

/// The same of an account.
async fn hand_over_of(app: &App, account: &str, kind: &str, date: &str, role: &str, file: &[u8]) -> Value {
    let parts = [("channel", "stripe"), ("settlement_date", date), ("role", role), ("account", account)];
    let answer = app.upload(kind, &parts, file).await;
    assert_eq!(answer.status, 201, "{:?}", answer.json());
    answer.data()
}

/// Accounts of two currencies, as Stripe pays them out: the file of one takes nothing from the other, and says nothing of its
/// payouts.
async fn statements_of_two_bank_accounts_stand_beside_each_other(db: TestDb) {
    let app = App::start(db).await;
    let (_, day) = both_days(&app).await;
    let euros = bank_file(&[account("EUR", 2, "2026-01", (16, 20), &[(700, 19, "rent")])]);
    let euros = hand_over(&app, "settlement-files", "2026-01-20", "bank_statement", &euros).await;
    let day = next_run(&app, &day).await;
    assert_eq!((&day["verdict"], &day["payout_diff_count"]), (&json!("not_provable"), &json!(0)), "{day}");
    let dollars = |text| statement(20, &[(941, 19, text)]);
    let first =
        hand_over(&app, "settlement-files", "2026-01-20", "bank_statement", &dollars("po_first0001")).await;
    assert_eq!((&first["outcome"], &first["file"]["bank_accounts"]), (&json!("new"), &json!("1234 USD")));
    let day = next_run(&app, &day).await;
    assert_eq!((&day["verdict"], &day["payout_diff_count"]), (&json!("reconciled"), &json!(0)), "{day}");
    // A correction is one of its own account.
    let second =
        hand_over(&app, "settlement-files", "2026-01-20", "bank_statement", &dollars("PO FIRST 0001")).await;
    assert_eq!(second["outcome"], "correction");
    let status = async |file: &Value| {
        let number = file["file"]["file_no"].as_str().unwrap_or_default();
        app.get(&format!("/api/v1/reconciliation/settlement-files/{number}")).await.data()["status"].clone()
    };
    assert_eq!(
        [status(&euros).await, status(&first).await, status(&second).await],
        ["stored", "superseded", "stored"]
    );
}

/// Two days that agree: what the first one earns is paid out on the second.
async fn hand_over_days(app: &App) {
    hand_over_days_of(app, "").await;
}

/// The same of an account.
async fn hand_over_days_of(app: &App, account: &str) {
    let days = [
        (
            EARLIER,
            "PAY-1,ch_1,1000,USD,success,2026-01-15T08:00:00Z,M-1\n",
            "txn_1,2026-01-15 08:00:00,usd,10.00,0.59,9.41,charge,ch_1,ch_1,pi_1,po_first0001\n",
            [0, 941, 0, 941],
        ),
        (
            DAY,
            "PAY-2,ch_2,2000,USD,success,2026-01-16T09:00:00Z,M-1\n",
            "txn_2,2026-01-16 09:00:00,usd,20.00,0.88,19.12,charge,ch_2,ch_2,pi_2,po_second002\n\
             txn_3,2026-01-16 10:00:00,usd,-9.41,0.00,-9.41,payout,po_first0001,,,po_first0001\n",
            [941, 1912, -941, 1912],
        ),
    ];
    for (date, platform, settlement, balances) in days {
        hand_over_day_of(app, account, date, platform, settlement, balances).await;
    }
}

/// A day of Stripe: our rows, its rows, and its opening balance, activity, payouts and ending balance in cents.
async fn hand_over_day(app: &App, date: &str, platform: &str, settlement: &str, balances: [i64; 4]) {
    hand_over_day_of(app, "", date, platform, settlement, balances).await;
}

/// The same of an account.
async fn hand_over_day_of(
    app: &App,
    account: &str,
    date: &str,
    platform: &str,
    settlement: &str,
    balances: [i64; 4],
) {
    let ours = "payment_no,channel_trade_no,amount,currency,status,created_at,merchant_id\n";
    let line = |(name, cents): (&str, i64)| {
        let sign = if cents < 0 { "-" } else { "" };
        format!("{name},x,{sign}{}.{:02},usd\n", cents.abs() / 100, cents.abs() % 100)
    };
    let names = ["starting_balance", "activity", "payouts", "ending_balance"];
    let lines: Vec<String> = names.into_iter().zip(balances).map(line).collect();
    let summary = format!("category,description,net_amount,currency\n{}", lines.concat());
    let (platform, settlement) = (format!("{ours}{platform}"), format!("{HEAD}{settlement}"));
    for (kind, role, file) in [
        ("platform-files", "platform", platform),
        ("settlement-files", "settlement", settlement),
        ("settlement-files", "balance_summary", summary),
    ] {
        hand_over_of(app, account, kind, date, role, file.as_bytes()).await;
    }
}

pub async fn both_days(app: &App) -> (Value, Value) {
    hand_over_days(app).await;
    let earlier = app.reconcile(EARLIER).await;
    let day = app.reconcile(DAY).await;
    assert_eq!((&earlier["verdict"], &day["verdict"]), (&json!("reconciled"), &json!("reconciled")));
    (earlier, day)
}

/// The task once the run that follows `before` has ended.
pub async fn next_run(app: &App, before: &Value) -> Value {
    let run_no = before["run_no"].as_i64().unwrap();
    let id = before["id"].as_str().unwrap();
    app.until(id, |task| task["status"] == "completed" && task["run_no"].as_i64().unwrap() > run_no).await
}

async fn a_payout_is_tied_to_its_rows_and_to_the_bank_across_days(db: TestDb) {
    let app = App::start(db).await;
    let (earlier, day) = both_days(&app).await;
    let file = statement(20, &[(941, 19, "STRIPE PO FIRST 0001"), (55, 18, "STRIPE other day")]);
    let taken = hand_over(&app, "settlement-files", "2026-01-20", "bank_statement", &file).await;
    assert_eq!(taken["rerun_task_ids"], json!([earlier["id"], day["id"]]));
    assert_eq!(
        (&taken["file"]["covers_from"], &taken["file"]["covers_to"]),
        (&json!("2026-01-16"), &json!("2026-01-20"))
    );
    let day = next_run(&app, &day).await;
    assert_eq!((&day["verdict"], &day["payout_diff_count"]), (&json!("reconciled"), &json!(0)), "{day}");
    let report = app.report(&day).await;
    let payouts = &report["summary"]["payouts"];
    assert_eq!(payouts["proof"], "ties", "{payouts}");
    assert_eq!(payouts["matched_by"], json!({ "reference": 1 }));
    let tie = &payouts["currencies"]["USD"];
    assert_eq!(
        (&tie["rows"], &tie["payouts"], &tie["deposits"]),
        (&json!(941), &json!(941), &json!(941)),
        "the rows stand in the other day's file"
    );
    let files = report["files"].as_array().unwrap();
    assert!(files.iter().any(|file| file["role"] == "bank_statement"), "{files:?}");
    let inputs = report["certificate"]["inputs"].as_array().unwrap();
    assert!(inputs.iter().any(|input| input["role"] == "bank"), "{inputs:?}");
    let earlier = next_run(&app, &earlier).await;
    assert_eq!(earlier["verdict"], "reconciled", "{earlier}");
}

async fn what_the_bank_lacks_or_has_too_much_is_a_record_until_it_is_put_right(db: TestDb) {
    let app = App::start(db).await;
    let (_, day) = both_days(&app).await;
    let file = statement(25, &[(123, 16, "STRIPE 77"), (900, 17, "rent")]);
    hand_over(&app, "settlement-files", "2026-01-25", "bank_statement", &file).await;
    let day = next_run(&app, &day).await;
    assert_eq!((&day["verdict"], &day["payout_diff_count"]), (&json!("differences"), &json!(2)), "{day}");
    assert_eq!(day["diff_count"], 0);
    let id = day["id"].as_str().unwrap();
    let records = app.records(id).await;
    let [missing, unknown] = &records[..] else { panic!("{records:?}") };
    let about = |record: &Value| {
        let names =
            ["diff_type", "kind", "channel_trade_no", "channel_amount", "platform_amount", "diff_amount"];
        names.map(|name| record[name].clone())
    };
    assert_eq!(
        about(missing),
        [
            "payout_missing".into(),
            "payout".into(),
            "po_first0001".into(),
            941.into(),
            Value::Null,
            941.into()
        ]
    );
    assert_eq!(
        about(unknown),
        ["payout_unknown".into(), "payout".into(), Value::Null, Value::Null, 123.into(), (-123).into()]
    );
    assert_eq!(unknown["payment_no"], "STRIPE 77");
    let path = format!("/api/v1/reconciliation/records?task_id={id}&diff_type=payout_missing");
    assert_eq!(app.get(&path).await.data()["items"].as_array().unwrap().len(), 1);
    let csv = app.get(&format!("/api/v1/reconciliation/reports/{id}/download?format=csv")).await;
    assert!(
        String::from_utf8_lossy(&csv.body).contains("payout_missing,payout,po_first0001"),
        "{}",
        String::from_utf8_lossy(&csv.body)
    );

    let file = statement(25, &[(936, 16, "STRIPE po_first0001 less 0.05"), (900, 17, "rent")]);
    hand_over(&app, "settlement-files", "2026-01-25", "bank_statement", &file).await;
    let day = next_run(&app, &day).await;
    assert_eq!((&day["verdict"], &day["payout_diff_count"]), (&json!("differences"), &json!(1)), "{day}");
    let records = app.records(id).await;
    assert_eq!((&records[0]["diff_type"], &records[0]["diff_amount"]), (&json!("payout_short"), &json!(5)));
    assert_eq!(records.len(), 1, "what is put right is gone");
}

async fn a_day_without_a_statement_does_not_ask_for_one(db: TestDb) {
    let app = App::start(db).await;
    let (_, day) = both_days(&app).await;
    assert_eq!(day["payout_diff_count"], Value::Null);
    assert_eq!(app.report(&day).await["summary"]["payouts"], Value::Null);
    // A statement of other days concerns nobody.
    let file = statement(16, &[]);
    let parts =
        [("channel", "stripe"), ("settlement_date", DAY), ("role", "bank_statement"), ("account", "other")];
    let taken = app.upload("settlement-files", &parts, &file).await;
    assert_eq!((taken.status, &taken.data()["rerun_task_ids"]), (201, &json!([])));
}

async fn what_is_no_statement_is_refused(db: TestDb) {
    let app = App::start(db).await;
    let parts = [("channel", "stripe"), ("settlement_date", DAY), ("role", "bank_statement")];
    let refused = app.upload("settlement-files", &parts, b"a,b\n1,2\n").await;
    assert_eq!((refused.status, refused.code()), (422, "FILE_UNREADABLE".to_owned()));
    // It could be about more accounts, and the whole file would not take its place.
    let whole =
        ["USD", "EUR"].map(|currency| account(currency, 2, "2026-01", (16, 20), &[(941, 19, "rent")]));
    let whole = bank_file(&whole);
    let refused = app.upload("settlement-files", &parts, &whole[..whole.len() - 40]).await;
    assert_eq!((refused.status, refused.code()), (422, "FILE_CUT_OFF".to_owned()));
    // A quiet account has a statement too. Nothing at all is no word of anybody, and would count as a file that is there.
    let refused = app.upload("settlement-files", &parts, &bank_file(&[])).await;
    assert_eq!((refused.status, refused.code()), (422, "FILE_UNREADABLE".to_owned()));
    assert_eq!(refused.data()["rejects"][0]["reason"], "bad_record", "{refused:?}");
    let body = json!({ "channel": "stripe", "settlement_date": DAY, "role": "bank_statement" });
    let refused = app.post("/api/v1/reconciliation/settlement-files/download", &body).await;
    assert_eq!(refused.status, 422, "{:?}", refused.json());
}

async fn a_statement_can_be_expected(db: TestDb) {
    let app = App::start(db).await;
    let body = json!({ "channel": "stripe", "role": "bank_statement", "due_time": "12:00" });
    let made = call(&app, Method::POST, EXPECTED, &body).await;
    assert_eq!((made.status, &made.data()["role"]), (201, &json!("bank_statement")));
}

/// A Sunday on which the sandbox's files agree.
const QUIET: &str = "2026-01-18";

/// What the bank received of the sandbox's payouts of that day, all on the third day after it.
fn bank_of(app: &App) -> Vec<u8> {
    let payouts = app.truth(QUIET)["payouts"].as_array().unwrap().clone();
    assert!(payouts.len() > 1, "{payouts:?}");
    let statements = payouts.iter().map(|payout| {
        let currency = payout["currency"].as_str().unwrap();
        let decimals = match currency {
            "JPY" => 0,
            "KWD" | "BHD" => 3,
            _ => 2,
        };
        let text = format!("STRIPE {}", payout["payout_id"].as_str().unwrap());
        account(currency, decimals, "2026-01", (16, 25), &[(-payout["gross"].as_i64().unwrap(), 21, &text)])
    });
    bank_file(&statements.collect::<Vec<String>>())
}

async fn reports_of_payouts_are_fetched_and_the_day_ties_by_itself(db: TestDb) {
    let app = App::start(db).await;
    let day = app.reconcile(QUIET).await;
    let roles = |report: &Value| {
        let files = report["files"].as_array().unwrap().iter();
        files.map(|file| file["role"].as_str().unwrap().to_owned()).collect::<Vec<String>>()
    };
    let before = app.report(&day).await;
    assert_eq!(roles(&before), ["settlement", "balance_summary", "platform"], "a report costs time");
    hand_over(&app, "settlement-files", "2026-01-25", "bank_statement", &bank_of(&app)).await;
    let day = next_run(&app, &day).await;
    let report = app.report(&day).await;
    let payouts = &report["summary"]["payouts"];
    assert_eq!((&payouts["proof"], &day["verdict"]), (&json!("ties"), &json!("reconciled")), "{payouts}");
    let payout = &app.truth(QUIET)["payouts"][0];
    let tie = &payouts["currencies"][payout["currency"].as_str().unwrap()];
    let sum = json!(-payout["gross"].as_i64().unwrap());
    assert_eq!((&tie["rows"], &tie["payouts"], &tie["deposits"]), (&sum, &sum, &sum), "{tie}");
    assert_eq!(
        roles(&report),
        ["settlement", "balance_summary", "platform", "payouts", "payout_rows", "bank_statement"]
    );
    let inputs = report["certificate"]["inputs"].as_array().unwrap();
    for role in ["payouts", "payout_rows"] {
        assert!(inputs.iter().any(|input| input["role"] == role), "{inputs:?}");
    }
}

async fn without_the_report_that_states_payouts_nothing_is_proven(db: TestDb) {
    let app = App::start(db).await;
    hand_over(&app, "settlement-files", "2026-01-25", "bank_statement", &bank_of(&app)).await;
    let refused = FaultKind::Status { status: 400, retry_after: None };
    app.fault(Fault::once(FaultTarget::StripeCreate, refused).times(0).for_report("payouts."));
    let day = app.reconcile(QUIET).await;
    let report = app.report(&day).await;
    let payouts = &report["summary"]["payouts"];
    assert_eq!((&payouts["proof"], &day["verdict"]), (&json!("not_provable"), &json!("not_provable")));
    assert_eq!(
        payouts["types"]["matched"]["count"],
        json!(app.truth(QUIET)["payouts"].as_array().unwrap().len())
    );
}

async fn a_report_that_has_failed_is_not_asked_for_again_while_another_is_waited_for(db: TestDb) {
    let app = App::start(db).await;
    hand_over(&app, "settlement-files", "2026-01-25", "bank_statement", &bank_of(&app)).await;
    for (kind, report) in
        [(FaultKind::ReportFails, "payouts."), (FaultKind::ReportStaysPending, "payout_reconciliation.")]
    {
        app.fault(Fault::once(FaultTarget::StripeCreate, kind).times(0).for_report(report));
    }
    let id = app.begin(QUIET).await;
    // Settlement file and balance summary are chosen: started, and changed twice.
    app.until(&id, |task| task["version"] == 4 && task["status_message"].is_string()).await;
    app.clock.advance(chrono::TimeDelta::hours(13));
    let task = app.ended(&id).await;
    assert_eq!(task["status"], "completed", "what the channel does not give fails no run: {task}");
    let listed = app.get("/api/v1/reconciliation/settlement-files?role=payouts").await.data();
    let states: Vec<&Value> =
        listed["items"].as_array().unwrap().iter().map(|file| &file["status"]).collect();
    assert_eq!(states, ["failed"], "{listed}");
}

async fn reports_of_payouts_can_be_handed_over(db: TestDb) {
    let app = App::start(db).await;
    let (_, day) = both_days(&app).await;
    let stated = "payout_id,effective_at_utc,currency,gross,fee,net,reporting_category\n\
                  po_first0001,2026-01-16 22:00:00,usd,9.41,0.00,9.41,payout\n\
                  tu_1,2026-01-16 23:00:00,usd,50.00,0.00,50.00,topup\n";
    hand_over(&app, "settlement-files", DAY, "payouts", stated.as_bytes()).await;
    let day = next_run(&app, &day).await;
    hand_over(&app, "settlement-files", "2026-01-25", "bank_statement", &wires(("0116", "0125"), &[CAME]))
        .await;
    let day = next_run(&app, &day).await;
    assert_eq!(told(&app, &day).await, (Vec::new(), "ties".to_owned()), "a top-up is no payout");
    let strange = stated.replace(",topup", ",tomb");
    let taken = hand_over(&app, "settlement-files", DAY, "payouts", strange.as_bytes()).await;
    assert_eq!(taken["file"]["rejects"][0]["line"], 3, "{taken}");
    let about = [("channel", "adyen"), ("settlement_date", DAY), ("role", "payouts")];
    let refused = app.upload("settlement-files", &about, stated.as_bytes()).await;
    assert_eq!((refused.status, refused.code()), (400, "INVALID_REQUEST".to_owned()));
    let body = json!({ "channel": "stripe", "role": "payouts", "due_time": "12:00" });
    assert_eq!(call(&app, Method::POST, EXPECTED, &body).await.status, 201);
}

async fn window_and_words_are_those_of_the_settings(db: TestDb) {
    let app = App::start(db).await;
    let (_, day) = both_days(&app).await;
    let settings = json!({ "channel": "stripe", "payout_window": 9, "payout_words": ["ACME"] });
    let made = call(&app, Method::POST, SETTINGS, &settings).await;
    assert_eq!(made.status, 201, "{:?}", made.json());
    // Nine days after the payout, in a statement that begins eight days after it.
    let late = bank_file(&[account("USD", 2, "2026-01", (24, 27), &[(941, 25, "acme pay")])]);
    let taken = hand_over(&app, "settlement-files", "2026-01-27", "bank_statement", &late).await;
    assert!(taken["rerun_task_ids"].as_array().unwrap().contains(&day["id"]), "{taken}");
    let day = next_run(&app, &day).await;
    let report = app.report(&day).await;
    assert_eq!(report["summary"]["payouts"]["matched_by"], json!({ "amount": 1 }), "{}", report["summary"]);
    let told = &report["certificate"]["parameters"];
    assert_eq!((&told["payout_window"], &told["payout_words"]), (&json!("9"), &json!("ACME")), "{told}");

    let early = bank_file(&[account("USD", 2, "2026-01", (16, 23), &[(5, 16, "STRIPE"), (7, 16, "Acme 8")])]);
    hand_over(&app, "settlement-files", "2026-01-23", "bank_statement", &early).await;
    let day = next_run(&app, &day).await;
    let records = app.records(day["id"].as_str().unwrap()).await;
    let unknown: Vec<&Value> = records.iter().map(|record| &record["platform_amount"]).collect();
    assert_eq!(unknown, [&json!(7)], "what the settings' word names, and that alone");
}

async fn a_day_is_run_again_when_a_day_beside_it_explains_its_deposits(db: TestDb) {
    let app = App::start(db).await;
    let later = "2026-01-19";
    let row = "txn_9,2026-01-19 08:00:00,usd,12.00,1.00,11.00,charge,ch_9,ch_9,pi_9,po_third0003\n\
               txn_10,2026-01-19 10:00:00,usd,-11.00,0.00,-11.00,payout,po_third0003,,,po_third0003\n";
    let ours = "PAY-9,ch_9,1200,USD,success,2026-01-19T08:00:00Z,M-1\n";
    hand_over_day(&app, later, ours, row, [1912, 1100, -1100, 1912]).await;
    let file = statement(25, &[(941, 19, "STRIPE"), (1100, 20, "STRIPE")]);
    hand_over(&app, "settlement-files", "2026-01-25", "bank_statement", &file).await;
    let first = app.reconcile(later).await;
    assert_eq!(
        (&first["verdict"], &first["payout_diff_count"]),
        (&json!("differences"), &json!(1)),
        "{first}"
    );
    let records = app.records(first["id"].as_str().unwrap()).await;
    assert_eq!(records[0]["diff_type"], "payout_unknown");

    let (_, day) = both_days(&app).await;
    let id = first["id"].as_str().unwrap();
    let explained = app.until(id, |task| task["verdict"] == "reconciled").await;
    assert_eq!(explained["payout_diff_count"], 0, "{explained}");
    assert!(app.records(id).await.is_empty());

    // Nothing is left to explain, and a run that says the same as before tells nobody.
    let again = format!("/api/v1/reconciliation/tasks/{}/execute", day["id"].as_str().unwrap());
    assert_eq!(app.post(&again, &json!({})).await.status, 202);
    let day = next_run(&app, &day).await;
    assert_eq!(day["verdict"], "reconciled", "{day}");
    let after = app.get(&format!("/api/v1/reconciliation/tasks/{id}")).await.data();
    assert_eq!((&after["run_no"], &after["status"]), (&explained["run_no"], &json!("completed")));
}

/// A third day with a payout of its own, on which the bank books the one of the second.
pub async fn third_day(app: &App) -> Value {
    let ours = "PAY-9,ch_9,1200,USD,success,2026-01-19T08:00:00Z,M-1\n";
    hand_over_day(app, "2026-01-19", ours, THIRD, [1912, 1100, -1100, 1912]).await;
    app.reconcile("2026-01-19").await
}

async fn a_tie_falls_when_what_it_rests_on_in_other_days_is_corrected(db: TestDb) {
    let app = App::start(db).await;
    let (_, day) = both_days(&app).await;
    let third = third_day(&app).await;
    let file = statement(25, &[(941, 19, "STRIPE PO FIRST 0001"), (1100, 20, "STRIPE PO THIRD 0003")]);
    hand_over(&app, "settlement-files", "2026-01-25", "bank_statement", &file).await;
    let (day, third) = (next_run(&app, &day).await, next_run(&app, &third).await);
    assert_eq!(third["verdict"], "reconciled", "{third}");
    let proof = async |task: &Value| app.report(task).await["summary"]["payouts"]["proof"].clone();
    let id = day["id"].as_str().unwrap();
    let ended =
        |task: &Value, before: &Value| task["status"] == "completed" && task["run_no"] != before["run_no"];
    assert_eq!((proof(&day).await, proof(&third).await), (json!("ties"), json!("ties")));

    // The rows of the payout are less than it: what the second day ties with is not what the first one has.
    let ours = "PAY-1,ch_1,959,USD,success,2026-01-15T08:00:00Z,M-1\n";
    let row = "txn_1,2026-01-15 08:00:00,usd,9.59,0.59,9.00,charge,ch_1,ch_1,pi_1,po_first0001\n";
    hand_over_day(&app, EARLIER, ours, row, [0, 900, 0, 900]).await;
    let fallen = app.until(id, |task| ended(task, &day)).await;
    let tie = app.report(&fallen).await["summary"]["payouts"]["currencies"]["USD"].clone();
    assert_eq!((&tie["proof"], &tie["rows"]), (&json!("broken"), &json!(900)), "{tie}");

    // Without the payout, nothing explains what the bank booked on the third day.
    let ours = "PAY-2,ch_2,2000,USD,success,2026-01-16T09:00:01Z,M-1\n";
    let row = "txn_2,2026-01-16 09:00:00,usd,20.00,0.88,19.12,charge,ch_2,ch_2,pi_2,po_second002\n";
    hand_over_day(&app, DAY, ours, row, [941, 1912, 0, 2853]).await;
    let third_id = third["id"].as_str().unwrap();
    let third = app.until(third_id, |task| task["verdict"] == "differences").await;
    let records = app.records(third_id).await;
    assert_eq!((records.len(), &records[0]["diff_type"]), (1, &json!("payout_unknown")), "{third}");
}

async fn a_payout_that_stands_in_the_files_of_two_days_counts_once(db: TestDb) {
    let app = App::start(db).await;
    let (_, day) = both_days(&app).await;
    // The file of the next day begins with the end of this one.
    let rows = "txn_3,2026-01-16 10:00:00,usd,-9.41,0.00,-9.41,payout,po_first0001,,,po_first0001\n\
                txn_9,2026-01-17 08:00:00,usd,12.00,1.00,11.00,charge,ch_9,ch_9,pi_9,po_third0003\n";
    let ours = "PAY-9,ch_9,1200,USD,success,2026-01-17T08:00:00Z,M-1\n";
    hand_over_day(&app, "2026-01-17", ours, rows, [1912, 1100, 0, 3012]).await;
    app.reconcile("2026-01-17").await;
    let file = statement(25, &[(941, 19, "STRIPE PO FIRST 0001")]);
    hand_over(&app, "settlement-files", "2026-01-25", "bank_statement", &file).await;
    let day = next_run(&app, &day).await;
    let payouts = app.report(&day).await["summary"]["payouts"].clone();
    let tie = &payouts["currencies"]["USD"];
    assert_eq!((&payouts["proof"], &tie["payouts"]), (&json!("ties"), &json!(941)), "{payouts}");
}

async fn a_later_statement_ends_the_window_of_a_payout_and_a_gap_proves_nothing(db: TestDb) {
    let app = App::start(db).await;
    let (_, day) = both_days(&app).await;
    let of = |days, entries: &[_]| bank_file(&[account("USD", 2, "2026-01", days, entries)]);
    let seen = async |task: &Value| {
        let payouts = app.report(task).await["summary"]["payouts"].clone();
        let types = payouts["types"].as_object().unwrap().iter();
        let found: Vec<String> =
            types.filter(|(_, of)| of["count"] != 0).map(|(name, _)| name.clone()).collect();
        (found, task["verdict"].as_str().unwrap().to_owned(), payouts["proof"].as_str().unwrap().to_owned())
    };
    let [matched, open] = ["matched", "in_transit"].map(|outcome| vec![outcome.to_owned()]);
    let told = |verdict: &str, proof: &str| (verdict.to_owned(), proof.to_owned());

    // What another bank account tells of these days says nothing of this one.
    let euros = bank_file(&[account("EUR", 2, "2026-01", (15, 24), &[(700, 19, "rent")])]);
    hand_over(&app, "settlement-files", "2026-01-24", "bank_statement", &euros).await;
    let day = next_run(&app, &day).await;

    hand_over(&app, "settlement-files", "2026-01-17", "bank_statement", &of((15, 17), &[])).await;
    let day = next_run(&app, &day).await;
    let (verdict, proof) = told("reconciled", "ties");
    assert_eq!(seen(&day).await, (open, verdict, proof));

    // Nobody tells of the days from the eighteenth to the twenty-fifth.
    let later = of((25, 27), &[(5, 27, "rent")]);
    let taken = hand_over(&app, "settlement-files", "2026-01-27", "bank_statement", &later).await;
    assert!(taken["rerun_task_ids"].as_array().unwrap().contains(&day["id"]), "{taken}");
    let day = next_run(&app, &day).await;
    let (verdict, proof) = told("not_provable", "not_provable");
    assert_eq!(seen(&day).await, (vec!["not_covered".to_owned()], verdict, proof));

    // What stood in the gap.
    let lacking = of((17, 25), &[(941, 19, "STRIPE PO FIRST 0001")]);
    hand_over(&app, "settlement-files", "2026-01-25", "bank_statement", &lacking).await;
    let day = next_run(&app, &day).await;
    let (verdict, proof) = told("reconciled", "ties");
    assert_eq!(seen(&day).await, (matched, verdict, proof));
}

async fn a_day_in_a_gap_is_started_again_whichever_statement_comes_or_goes_last(db: TestDb) {
    let app = App::start(db).await;
    let (_, day) = both_days(&app).await;
    let of = |days| bank_file(&[account("USD", 2, "2026-01", days, &[(5, days.0, "rent")])]);
    // Before the first statement of an account nothing is known of it.
    hand_over(&app, "settlement-files", "2026-01-27", "bank_statement", &of((25, 27))).await;
    assert_eq!(app.report(&day).await["summary"]["payouts"], Value::Null);
    let before = hand_over(&app, "settlement-files", "2026-01-11", "bank_statement", &of((10, 11))).await;
    assert!(before["rerun_task_ids"].as_array().unwrap().contains(&day["id"]), "{before}");
    let day = next_run(&app, &day).await;
    assert_eq!(app.report(&day).await["summary"]["payouts"]["types"]["not_covered"]["count"], 1);
    let path = format!(
        "/api/v1/reconciliation/settlement-files/{}/withdraw",
        before["file"]["file_no"].as_str().unwrap()
    );
    let withdrawn = app.post(&path, &json!({ "note": "another company's" })).await.data();
    assert!(withdrawn["rerun_task_ids"].as_array().unwrap().contains(&day["id"]), "{withdrawn}");
    let day = next_run(&app, &day).await;
    assert_eq!(app.report(&day).await["summary"]["payouts"], Value::Null);
}

async fn a_statement_without_entries_takes_the_place_of_one_with_entries_only_by_consent(db: TestDb) {
    let app = App::start(db).await;
    let empty = statement(20, &[]);
    hand_over(&app, "settlement-files", "2026-01-20", "bank_statement", &empty).await;
    let good = statement(20, &[(941, 19, "STRIPE PO FIRST 0001")]);
    let good =
        hand_over(&app, "settlement-files", "2026-01-20", "bank_statement", &good).await["file"].clone();
    assert_eq!(good["record_count"], 1);
    let parts = [("channel", "stripe"), ("settlement_date", "2026-01-20"), ("role", "bank_statement")];
    let other = statement(20, &[(0, 19, "x")]);
    let other = String::from_utf8(other).unwrap().replace("<Cd>CLBD</Cd>", "<Cd>CLAV</Cd>");
    let without_entry =
        other.split("<Ntry>").next().unwrap().to_owned() + "</Stmt></BkToCstmrStmt></Document>";
    for file in [statement(19, &[]), without_entry.into_bytes()] {
        let refused = app.upload("settlement-files", &parts, &file).await;
        assert_eq!((refused.status, refused.code()), (422, "EMPTY_REPLACEMENT".to_owned()));
        assert_eq!(refused.json()["data"]["file_no"], good["file_no"], "{}", refused.json());
    }
    let consent = [&parts[..], &[("allow_empty", "true"), ("allow_other_day", "true")]].concat();
    let taken = app.upload("settlement-files", &consent, &statement(19, &[])).await;
    assert_eq!((taken.status, &taken.data()["outcome"]), (201, &json!("correction")));
}

/// An entry of a bank: day of 2026, mark, cents, the bank's reference, text.
pub type Wire<'a> = (&'a str, &'a str, i64, &'a str, &'a str);

/// An MT940 statement of dollars from one day of 2026 to another.
pub fn wires((first, last): (&str, &str), entries: &[Wire<'_>]) -> Vec<u8> {
    let euros = |cents: i64| format!("{},{:02}", cents / 100, cents % 100);
    let lines = entries.iter().map(|(day, mark, cents, reference, text)| {
        format!(":61:26{day}{day}{mark}{}NTRFNONREF//{reference}\n:86:{text}\n", euros(*cents))
    });
    let signed = |(_, mark, cents, ..): &Wire<'_>| if matches!(*mark, "C" | "RD") { *cents } else { -cents };
    let sum: i64 = entries.iter().map(signed).sum();
    let text = format!(
        ":20:S\n:25:1234\n:28C:{last}/1\n:60F:C26{first}USD9000,\n{}:62F:C26{last}USD{}\n",
        lines.collect::<String>(),
        euros(900_000 + sum)
    );
    text.into_bytes()
}

/// The payout of [`DAY`] as it came.
pub const CAME: Wire<'_> = ("0119", "C", 941, "B1", "STRIPE PO FIRST 0001");

/// What became of a task's payouts: the types of its records, and the proof.
pub async fn told(app: &App, task: &Value) -> (Vec<String>, String) {
    let records = app.records(task["id"].as_str().unwrap()).await;
    let types = records.iter().map(|record| record["diff_type"].as_str().unwrap().to_owned()).collect();
    let proof = app.report(task).await["summary"]["payouts"]["proof"].as_str().unwrap().to_owned();
    (types, proof)
}

async fn what_a_bank_takes_back_weeks_later_is_told_of_its_day_until_the_statement_is_corrected(db: TestDb) {
    let app = App::start(db).await;
    let (_, day) = both_days(&app).await;
    let third = third_day(&app).await;
    let came = [CAME, ("0120", "C", 1100, "B2", "STRIPE PO THIRD 0003")];
    hand_over(&app, "settlement-files", "2026-01-31", "bank_statement", &wires(("0116", "0131"), &came))
        .await;
    let (day, third) = (next_run(&app, &day).await, next_run(&app, &third).await);
    let ties = || (Vec::<String>::new(), "ties".to_owned());
    assert_eq!((told(&app, &day).await, told(&app, &third).await), (ties(), ties()));
    let before = app.report(&day).await["summary"]["payouts"]["bank"].clone();

    // What concerns neither: a fee with the reference, another amount, another account of ours.
    let fee = [("0219", "D", 41, "B1", "fee"), ("0219", "RC", 555, "B7", "storno")];
    hand_over(&app, "settlement-files", "2026-02-19", "bank_statement", &wires(("0219", "0219"), &fee)).await;
    let returned = [
        ("0220", "D", 941, "B1", "RETURN"),
        ("0220", "RC", 600, "B2", "STORNO"),
        ("0220", "D", 77, "B5", "rent"),
    ];
    let returned = wires(("0220", "0220"), &returned);
    let parts = [
        ("channel", "stripe"),
        ("settlement_date", "2026-02-20"),
        ("role", "bank_statement"),
        ("account", "other"),
    ];
    assert_eq!(app.upload("settlement-files", &parts, &returned).await.status, 201);
    let taken = hand_over(&app, "settlement-files", "2026-02-20", "bank_statement", &returned).await;
    let (day, third) = (next_run(&app, &day).await, next_run(&app, &third).await);
    assert_eq!((&day["run_no"], &third["run_no"]), (&json!(3), &json!(3)), "once, for this alone");
    assert_eq!(told(&app, &day).await, (vec!["payout_missing".to_owned()], "broken".to_owned()));
    assert_eq!(told(&app, &third).await, (vec!["payout_short".to_owned()], "broken".to_owned()));
    assert_eq!(app.records(third["id"].as_str().unwrap()).await[0]["diff_amount"], 600);
    let report = app.report(&day).await;
    assert_eq!(report["summary"]["payouts"]["bank"], before, "nothing else of the statement counts");
    let files = report["files"].as_array().unwrap();
    assert!(files.iter().any(|file| file["file_no"] == taken["file"]["file_no"]), "{files:?}");
    let inputs = report["certificate"]["inputs"].as_array().unwrap();
    let of = |role: &str| inputs.iter().filter(|input| input["role"] == role).count();
    assert_eq!((of("bank"), of("bank_reversals")), (1, 1), "{inputs:?}");

    let corrected = wires(("0220", "0220"), &[("0220", "D", 77, "B5", "rent")]);
    hand_over(&app, "settlement-files", "2026-02-20", "bank_statement", &corrected).await;
    let (day, third) = (next_run(&app, &day).await, next_run(&app, &third).await);
    assert_eq!((told(&app, &day).await, told(&app, &third).await), (ties(), ties()));
    let parts = [
        ("channel", "stripe"),
        ("settlement_date", "2026-02-20"),
        ("role", "bank_statement"),
        ("restore", "true"),
    ];
    assert_eq!(app.upload("settlement-files", &parts, &returned).await.status, 201);
    let day = next_run(&app, &day).await;
    assert_eq!(told(&app, &day).await, (vec!["payout_missing".to_owned()], "broken".to_owned()));
}

async fn a_reversal_that_came_before_its_deposit_is_found(db: TestDb) {
    let app = App::start(db).await;
    let (_, day) = both_days(&app).await;
    let returned = wires(("0220", "0220"), &[("0220", "D", 941, "B1", "RETURN")]);
    let taken = hand_over(&app, "settlement-files", "2026-02-20", "bank_statement", &returned).await;
    assert_eq!(taken["rerun_task_ids"], json!([]));
    hand_over(&app, "settlement-files", "2026-01-25", "bank_statement", &wires(("0116", "0125"), &[CAME]))
        .await;
    let day = next_run(&app, &day).await;
    assert_eq!(told(&app, &day).await, (vec!["payout_missing".to_owned()], "broken".to_owned()));
}

async fn a_reversal_of_a_day_is_explained_by_an_earlier_statement_whichever_comes_or_goes_last(db: TestDb) {
    let app = App::start(db).await;
    both_days(&app).await;
    let third = third_day(&app).await;
    let [came, taken_back] =
        [("0120", "C", 1100, "B2", "STRIPE PO THIRD 0003"), ("0119", "RC", 500, "B7", "STRIPE STORNO")];
    let window = wires(("0116", "0131"), &[CAME, came, taken_back]);
    hand_over(&app, "settlement-files", "2026-01-31", "bank_statement", &window).await;
    let third = next_run(&app, &third).await;
    let (unknown, explained) = (vec!["payout_unknown".to_owned()], Vec::<String>::new());
    assert_eq!(told(&app, &third).await.0, unknown);
    let earlier = wires(("0105", "0110"), &[("0106", "C", 500, "B7", "customer")]);
    let earlier = hand_over(&app, "settlement-files", "2026-01-10", "bank_statement", &earlier).await;
    let third = next_run(&app, &third).await;
    assert_eq!(told(&app, &third).await.0, explained);
    let path = format!(
        "/api/v1/reconciliation/settlement-files/{}/withdraw",
        earlier["file"]["file_no"].as_str().unwrap()
    );
    assert_eq!(app.post(&path, &json!({ "note": "another company's" })).await.status, 200);
    let third = next_run(&app, &third).await;
    assert_eq!(told(&app, &third).await.0, unknown);
}

async fn a_statement_that_a_run_has_read_for_its_reversal_alone_starts_the_day_again_that_it_is_of(
    db: TestDb,
) {
    let ours = json!({
        "payment_no": "PAY-9", "channel_trade_no": "ch_9", "amount": 1200, "currency": "USD", "status": "success",
        "created_at": "2026-01-19T08:00:00Z", "merchant_id": "M-1",
    });
    let gateway = Gateway::start(&format!("{ours}\n")).await;
    let app = App::start_with_gateway(db, &gateway).await;
    hand_over(&app, "settlement-files", "2026-01-19", "settlement", (HEAD.to_owned() + THIRD).as_bytes())
        .await;
    let day = app.reconcile("2026-01-19").await;
    let came = wires(("0119", "0121"), &[("0120", "C", 1100, "B2", "STRIPE PO THIRD 0003")]);
    hand_over(&app, "settlement-files", "2026-01-21", "bank_statement", &came).await;
    let day = next_run(&app, &day).await;
    // A run under way knows the statements of its days when the next one comes, which takes back what they have.
    gateway.holds_calls();
    let id = day["id"].as_str().unwrap();
    let path = format!("/api/v1/reconciliation/tasks/{id}/execute");
    assert_eq!(app.post(&path, &json!({})).await.status, 202);
    app.until(id, |task| task["phase"] == "fetching").await;
    let returned = wires(("0127", "0129"), &[("0128", "RC", 1100, "B2", "RETURN")]);
    hand_over(&app, "settlement-files", "2026-01-29", "bank_statement", &returned).await;
    gateway.answers_one();
    let run_no = day["run_no"].as_i64().unwrap() + 2;
    let day = app.until(id, |task| task["status"] == "completed" && task["run_no"] == run_no).await;
    let payouts = app.report(&day).await["summary"]["payouts"].clone();
    assert_eq!(
        (&payouts["types"]["not_covered"]["count"], &payouts["proof"]),
        (&json!(1), &json!("not_provable"))
    );
}

async fn a_reversal_without_a_reference_is_about_all_deposits_of_its_amount(db: TestDb) {
    let app = App::start(db).await;
    let (_, day) = both_days(&app).await;
    hand_over(&app, "settlement-files", "2026-01-25", "bank_statement", &wires(("0116", "0125"), &[CAME]))
        .await;
    let day = next_run(&app, &day).await;
    assert_eq!(told(&app, &day).await.1, "ties");
    let returned = wires(("0220", "0220"), &[("0220", "RC", 941, "B9", "STORNO")]);
    hand_over(&app, "settlement-files", "2026-02-20", "bank_statement", &returned).await;
    let day = next_run(&app, &day).await;
    assert_eq!(told(&app, &day).await, (vec!["payout_missing".to_owned()], "broken".to_owned()));

    // It may as well be about a deposit of between: nobody knows.
    let between = wires(("0201", "0203"), &[("0202", "C", 941, "B3", "customer")]);
    hand_over(&app, "settlement-files", "2026-02-03", "bank_statement", &between).await;
    let day = next_run(&app, &day).await;
    assert_eq!(told(&app, &day).await, (vec!["payout_short".to_owned()], "broken".to_owned()));

    // The bank says which.
    let named = wires(("0220", "0220"), &[("0220", "RC", 941, "B3", "STORNO")]);
    hand_over(&app, "settlement-files", "2026-02-20", "bank_statement", &named).await;
    let day = next_run(&app, &day).await;
    assert_eq!(told(&app, &day).await, (Vec::new(), "ties".to_owned()));
}

async fn a_reversal_is_of_what_it_names_and_not_of_what_has_its_amount(db: TestDb) {
    let app = App::start(db).await;
    let (_, day) = both_days(&app).await;
    let third = third_day(&app).await;
    // What it names stands in a statement before those of the payout's window.
    let customer = wires(("0105", "0110"), &[("0107", "C", 1100, "B8", "customer")]);
    hand_over(&app, "settlement-files", "2026-01-10", "bank_statement", &customer).await;
    let third_came = ("0120", "C", 1100, "B2", "STRIPE PO THIRD 0003");
    let came = [CAME, third_came, ("0121", "RC", 1100, "B8", "storno")];
    hand_over(&app, "settlement-files", "2026-01-31", "bank_statement", &wires(("0116", "0131"), &came))
        .await;
    let (day, third) = (next_run(&app, &day).await, next_run(&app, &third).await);
    let ties = || (Vec::<String>::new(), "ties".to_owned());
    assert_eq!((told(&app, &day).await, told(&app, &third).await), (ties(), ties()));
    // Beside a customer's money of the same amount, in a later statement.
    let returned = [("0219", "C", 941, "B7", "customer"), ("0220", "RC", 941, "B1", "storno")];
    hand_over(&app, "settlement-files", "2026-02-20", "bank_statement", &wires(("0219", "0220"), &returned))
        .await;
    let day = next_run(&app, &day).await;
    assert_eq!(told(&app, &day).await, (vec!["payout_missing".to_owned()], "broken".to_owned()));
}

async fn a_statement_of_which_pages_are_missing_is_refused_unless_it_is_meant(db: TestDb) {
    let app = App::start(db).await;
    let (_, day) = both_days(&app).await;
    let entry = (941, 19, "STRIPE PO FIRST 0001");
    let whole = account("USD", 2, "2026-01", (16, 20), &[entry]);
    let numbered = |page: &str, number: u32, is_last: bool| {
        let pages = format!("<StmtPgntn><PgNb>{number}</PgNb><LastPgInd>{is_last}</LastPgInd></StmtPgntn>");
        page.replace("</Id><CreDtTm>", &format!("</Id>{pages}<CreDtTm>"))
    };
    let (start, end) = (whole.find("<Ntry>").unwrap(), whole.rfind("</Stmt>").unwrap());
    let first = numbered(&whole, 1, false);
    let last = numbered(&format!("{}{}", &whole[..start], &whole[end..]), 2, true);

    let parts = [("channel", "stripe"), ("settlement_date", "2026-01-20"), ("role", "bank_statement")];
    let refused = app.upload("settlement-files", &parts, &bank_file(std::slice::from_ref(&first))).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "BANK_PAGES_MISSING"));
    let part = json!({ "account": "1234", "statement_id": "s-USD", "number": null, "pages_at_least": 2, "pages_found": 1 });
    assert_eq!(refused.data()["statements"], json!([part]));
    let refused = app.upload("settlement-files", &parts, &bank_file(std::slice::from_ref(&last))).await;
    assert_eq!(refused.data()["statements"], json!([part]), "nor does the last page stand for all");
    assert_eq!(run_no_of(&app, &day).await, day["run_no"], "nothing was stored, and nothing run again");

    let meant = [&parts[..], &[("allow_missing_pages", "true")]].concat();
    let taken = app.upload("settlement-files", &meant, &bank_file(std::slice::from_ref(&first))).await;
    assert_eq!(taken.status, 201, "{:?}", taken.json());
    let again = app.upload("settlement-files", &parts, &bank_file(std::slice::from_ref(&first))).await;
    assert_eq!(again.status, 200, "these bytes are known");
    let day = next_run(&app, &day).await;
    assert_eq!(day["verdict"], "incomplete", "{day}");
    let reasons = app.report(&day).await["summary"]["reasons"].clone();
    assert_eq!(reasons[0], json!({ "code": "bank_pages_missing", "statements": 1 }), "{reasons}");

    hand_over(&app, "settlement-files", "2026-01-20", "bank_statement", &bank_file(&[first, last])).await;
    let day = next_run(&app, &day).await;
    assert_eq!(day["verdict"], "reconciled", "{day}");
}

/// The number of the task's run as it is now.
pub async fn run_no_of(app: &App, task: &Value) -> Value {
    let path = format!("/api/v1/reconciliation/tasks/{}", task["id"].as_str().unwrap());
    app.get(&path).await.data()["run_no"].clone()
}

async fn a_payout_that_rows_name_is_told_when_no_report_lists_it_that_could(db: TestDb) {
    let app = App::start(db).await;
    let settings = json!({ "channel": "stripe", "payout_window": 1 });
    assert_eq!(call(&app, Method::POST, SETTINGS, &settings).await.status, 201);
    let (_, day) = both_days(&app).await;
    let head = "payout_id,effective_at_utc,currency,gross,fee,net,reporting_category\n";
    let stated = format!("{head}po_first0001,2026-01-16 22:00:00,usd,9.41,0.00,9.41,payout\n");
    hand_over(&app, "settlement-files", DAY, "payouts", stated.as_bytes()).await;
    let came = ("0117", "C", 941, "B1", "STRIPE PO FIRST 0001");
    hand_over(&app, "settlement-files", "2026-01-25", "bank_statement", &wires(("0116", "0125"), &[came]))
        .await;
    let id = day["id"].as_str().unwrap();
    let ended = async |verdict: &str| {
        let is_so = |task: &Value| task["verdict"] == verdict && task["payout_diff_count"] == 0;
        let task = app.until(id, |task| task["status"] == "completed" && is_so(task)).await;
        app.report(&task).await["summary"].clone()
    };
    let tie = |summary: &Value| {
        let tie = &summary["payouts"]["currencies"]["USD"];
        let counts = ["awaited", "awaited_rows", "unlisted", "unlisted_rows"].map(|name| tie[name].clone());
        (summary["payouts"]["proof"].clone(), counts)
    };
    let told = |proof: &str, counts: [i64; 4]| (json!(proof), counts.map(Value::from));
    // The rows of the sixteenth name po_second002, which may leave on the seventeenth.
    assert_eq!(tie(&ended("reconciled").await), told("ties", [1, 1912, 0, 0]));

    let rows = "txn_9,2026-01-17 08:00:00,usd,12.00,1.00,11.00,charge,ch_9,ch_9,pi_9,po_third0003\n";
    let ours = "PAY-9,ch_9,1200,USD,success,2026-01-17T08:00:00Z,M-1\n";
    hand_over_day(&app, "2026-01-17", ours, rows, [1912, 1100, 0, 3012]).await;
    hand_over(&app, "settlement-files", "2026-01-17", "payouts", head.as_bytes()).await;
    app.reconcile("2026-01-17").await;
    let summary = ended("not_provable").await;
    assert_eq!(tie(&summary), told("not_provable", [0, 0, 1, 1912]));
    assert!(
        summary["reasons"].as_array().unwrap().contains(&json!({ "code": "payouts_not_listed", "count": 1 })),
        "{summary}"
    );

    // It left late, on a day that is not beside this one.
    let row = "txn_7,2026-01-22 10:00:00,usd,-19.12,0.00,-19.12,payout,po_second002,,,po_second002\n";
    let ours = "PAY-7,ch_7,100,USD,failed,2026-01-22T08:00:00Z,M-1\n";
    hand_over_day(&app, "2026-01-22", ours, row, [3012, 0, -1912, 1100]).await;
    app.reconcile("2026-01-22").await;
    assert_eq!(tie(&ended("reconciled").await), told("ties", [0, 0, 0, 0]));
}

async fn without_a_report_of_payouts_nothing_is_missing_short_or_unknown(db: TestDb) {
    let app = App::start(db).await;
    for (date, number, cents, opening) in [(EARLIER, 1, 941, 0), (DAY, 2, 1912, 941)] {
        let (gross, fee) = if number == 1 { ("10.00", "0.59") } else { ("20.00", "0.88") };
        let ours = format!("PAY-{number},ch_{number},{number}000,USD,success,{date}T08:00:00Z,M-1\n");
        let row = format!(
            "txn_{number},{date} 08:00:00,usd,{gross},{fee},{}.{:02},charge,ch_{number},ch_{number},pi_{number},po_named000{number}\n",
            cents / 100,
            cents % 100
        );
        hand_over_day(&app, date, &ours, &row, [opening, cents, 0, opening + cents]).await;
    }
    let came = [(5000, 16, "STRIPE po_named0001"), (7000, 17, "STRIPE po_named0002"), (66, 16, "STRIPE 66")];
    hand_over(&app, "settlement-files", "2026-01-25", "bank_statement", &statement(25, &came)).await;
    let seen = async |task: &Value| {
        let summary = app.report(task).await["summary"].clone();
        let codes = summary["reasons"].as_array().unwrap().iter();
        let codes: Vec<String> = codes.map(|reason| reason["code"].as_str().unwrap().to_owned()).collect();
        (
            task["verdict"].as_str().unwrap().to_owned(),
            task["payout_diff_count"].as_i64().unwrap(),
            codes.join(" "),
        )
    };
    let not_stated = ("not_provable".to_owned(), 0, "three_way_not_provable payouts_not_stated".to_owned());
    let earlier = app.reconcile(EARLIER).await;
    assert_eq!(seen(&earlier).await, not_stated);
    let day = app.reconcile(DAY).await;
    assert_eq!(seen(&day).await, not_stated);

    // The payouts of the day are stated, and what else came on it may be one of the day before.
    let head = "payout_id,effective_at_utc,currency,gross,fee,net,reporting_category\n";
    let stated = format!("{head}po_named0002,2026-01-16 22:00:00,usd,70.00,0.00,70.00,payout\n");
    hand_over(&app, "settlement-files", DAY, "payouts", stated.as_bytes()).await;
    app.idle().await;
    let task = async |task: &Value| {
        app.get(&format!("/api/v1/reconciliation/tasks/{}", task["id"].as_str().unwrap())).await.data()
    };
    let by_now = task(&day).await;
    assert_eq!(seen(&by_now).await, not_stated, "{by_now}");
    assert_eq!(seen(&task(&earlier).await).await, not_stated);

    // With that one's report, all is judged.
    let stated = format!("{head}po_named0001,2026-01-15 22:00:00,usd,50.00,0.00,50.00,payout\n");
    hand_over(&app, "settlement-files", EARLIER, "payouts", stated.as_bytes()).await;
    app.idle().await;
    let by_now = task(&day).await;
    assert_eq!(
        (&by_now["verdict"], &by_now["payout_diff_count"]),
        (&json!("differences"), &json!(1)),
        "{by_now}"
    );
    let records = app.records(day["id"].as_str().unwrap()).await;
    assert_eq!(
        (&records[0]["diff_type"], &records[0]["platform_amount"]),
        (&json!("payout_unknown"), &json!(66))
    );
    assert_eq!(task(&earlier).await["payout_diff_count"], 0);
}

/// What comes, in whatever order: the runs of two days, the statement that has the payout's deposit, one that takes it back, one between
/// that has a deposit of the same amount, and the report of the payouts.
async fn comes(app: &App, account: &str, what: usize) {
    let file = match what {
        0 | 1 => {
            let date = [EARLIER, DAY][what];
            let body = json!({ "task_date": date, "channel": "stripe", "account": account });
            let task = app.post("/api/v1/reconciliation/tasks", &body).await.data();
            let path = format!("/api/v1/reconciliation/tasks/{}/execute", task["id"].as_str().unwrap());
            assert_eq!(app.post(&path, &json!({})).await.status, 202);
            return;
        }
        2 => ("2026-01-25", "bank_statement", wires(("0116", "0125"), &[CAME])),
        3 => {
            let returned = [("0220", "RC", 941, "B9", "STORNO"), ("0220", "D", 5, "B1", "fee")];
            ("2026-02-20", "bank_statement", wires(("0220", "0220"), &returned))
        }
        4 => {
            let alike = [("0202", "C", 941, "B3", "customer")];
            ("2026-02-02", "bank_statement", wires(("0126", "0202"), &alike))
        }
        _ => {
            let stated = "payout_id,effective_at_utc,currency,gross,fee,net,reporting_category\n\
                          po_first0001,2026-01-16 22:00:00,usd,9.41,0.00,9.41,payout\n";
            (DAY, "payouts", stated.as_bytes().to_vec())
        }
    };
    hand_over_of(app, account, "settlement-files", file.0, file.1, &file.2).await;
}

async fn the_end_does_not_depend_on_the_order_of_statements_reports_and_runs(db: TestDb) {
    let app = App::start(db).await;
    let orders: [[usize; 6]; 8] = [
        [0, 1, 2, 3, 4, 5],
        [5, 4, 3, 2, 1, 0],
        [3, 0, 2, 5, 1, 4],
        [1, 2, 5, 4, 0, 3],
        [4, 1, 3, 0, 5, 2],
        [2, 1, 4, 5, 3, 0],
        [1, 3, 5, 0, 2, 4],
        [0, 5, 2, 1, 3, 4],
    ];
    let mut first = None;
    for (number, order) in orders.into_iter().enumerate() {
        let account = format!("acct_{number}");
        hand_over_days_of(&app, &account).await;
        for what in order {
            comes(&app, &account, what).await;
        }
        app.idle().await;
        let listed = app.get("/api/v1/reconciliation/tasks").await.data();
        let mut ends = Vec::new();
        for date in [EARLIER, DAY] {
            let is_it = |task: &&Value| task["account"] == account && task["task_date"] == date;
            let task = listed["items"].as_array().unwrap().iter().find(is_it).unwrap();
            let report = app.report(task).await;
            let inputs = report["certificate"]["inputs"].as_array().unwrap();
            let roles: Vec<String> = inputs.iter().map(|input| input["role"].to_string()).collect();
            ends.push((told(&app, task).await, roles, report["summary"].clone()));
        }
        assert_eq!(ends[0].0.1, "ties", "{order:?}");
        assert_eq!(ends[1].0, (vec!["payout_short".to_owned()], "broken".to_owned()), "{order:?}");
        assert_eq!(first.get_or_insert_with(|| ends.clone()), &ends, "{order:?}");
    }
}
