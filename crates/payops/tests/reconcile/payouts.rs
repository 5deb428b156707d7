//! The third leg: payouts against the bank.

use serde_json::{Value, json};

use crate::harness::Folder;

const ALL: &str = "reconcile --channel stripe --platform agreeing_platform.csv --settlement paid.csv \
                   --summary agreeing_summary.csv --bank bank.xml";

/// Deposits that leave something to explain.
const EVERY_WAY: [(i64, u32, &str); 5] = [
    (2353, 5, "STRIPE po_rows"),
    (4975, 6, "STRIPE po_short less charges"),
    (3500, 8, "Stripe Payments"),
    (400, 9, "STRIPE"),
    (123, 10, "STRIPE"),
];

/// A statement of March 2026 over these entries: cents, day, text.
fn statement(entries: &[(i64, u32, &str)]) -> String {
    let amount = |cents: i64| format!("{}.{:02}", cents.abs() / 100, cents.abs() % 100);
    let sign = |cents: i64| if cents < 0 { "DBIT" } else { "CRDT" };
    let balance = |code: &str, cents: i64, day: u32| {
        format!(
            "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy=\"USD\">{}</Amt><CdtDbtInd>{}</CdtDbtInd>\
             <Dt><Dt>2026-03-{day:02}</Dt></Dt></Bal>",
            amount(cents),
            sign(cents)
        )
    };
    let head = "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02\"><BkToCstmrStmt><GrpHdr>\
                <MsgId>m</MsgId><CreDtTm>2026-03-21T00:00:00</CreDtTm></GrpHdr><Stmt><Id>s</Id>\
                <CreDtTm>2026-03-21T00:00:00</CreDtTm><Acct><Id><Othr><Id>1234</Id></Othr></Id><Ccy>USD</Ccy></Acct>";
    let entry = |(cents, day, text): &(i64, u32, &str)| {
        format!(
            "<Ntry><Amt Ccy=\"USD\">{}</Amt><CdtDbtInd>{}</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-03-{day:02}</Dt>\
             </BookgDt><BkTxCd><Prtry><Cd>x</Cd></Prtry></BkTxCd><AddtlNtryInf>{text}</AddtlNtryInf></Ntry>\n",
            amount(*cents),
            sign(*cents)
        )
    };
    let sum: i64 = entries.iter().map(|(cents, ..)| cents).sum();
    let (opening, closing) = (balance("OPBD", 100_000, 1), balance("CLBD", 100_000 + sum, 20));
    let entries: Vec<String> = entries.iter().map(entry).collect();
    format!("{head}{opening}{closing}{}</Stmt></BkToCstmrStmt></Document>", entries.concat())
}

/// The same as two pages of an MT940.
fn mt940(entries: &[(i64, u32, &str)]) -> String {
    let amount = |cents: i64| format!("{},{:02}", cents / 100, cents % 100);
    let entry = |(cents, day, text): &(i64, u32, &str)| {
        format!(":61:2603{day:02}03{day:02}C{}NTRFNONREF\n:86:{text}\n", amount(*cents))
    };
    let page = |number: u32, from: &str, to: &str, entries: &[(i64, u32, &str)]| {
        let entries: String = entries.iter().map(entry).collect();
        format!(":20:S\n:25:1234\n:28C:7/{number}\n{from}\n{entries}{to}\n-\n")
    };
    let (first, second) = entries.split_at(entries.len() / 2);
    let held =
        |entries: &[(i64, u32, &str)]| amount(100_000 + entries.iter().map(|(cents, ..)| cents).sum::<i64>());
    let between = format!("C260308USD{}", held(first));
    let closing = format!(":62F:C260320USD{}", held(entries));
    page(1, ":60F:C260301USD1000,00", &format!(":62M:{between}"), first)
        + &page(2, &format!(":60M:{between}"), &closing, second)
}

/// The same as BAI2, which has a group for each day: the first and the last day, and those with entries.
fn bai2(entries: &[(i64, u32, &str)]) -> String {
    let mut days: Vec<u32> = entries.iter().map(|(_, day, _)| *day).chain([1, 20]).collect();
    days.sort_unstable();
    days.dedup();
    let mut lines = vec!["01,BANK,SHOP,260321,0200,1,,,2/".to_owned()];
    let (mut held, mut total) = (100_000, 0);
    for day in &days {
        let of_day: Vec<_> = entries.iter().filter(|(_, booked, _)| booked == day).collect();
        let moved: i64 = of_day.iter().map(|(cents, ..)| cents).sum();
        let (opening, closing) = (held, held + moved);
        let sum = opening + closing + moved;
        lines.push(format!("02,SHOP,BANK,1,2603{day:02},2359,USD,2/"));
        lines.push(format!("03,1234,,010,{opening},,,015,{closing},,/"));
        lines.extend(of_day.iter().map(|(cents, _, words)| format!("16,165,{cents},Z,,,{words}")));
        lines.push(format!("49,{sum},{}/", of_day.len() + 2));
        lines.push(format!("98,{sum},1,{}/", of_day.len() + 4));
        (held, total) = (closing, total + sum);
    }
    lines.push(format!("99,{total},{},{}/\n", days.len(), lines.len() + 1));
    lines.join("\n")
}

/// The agreeing files, with one payout that carries all rows and others that nobody itemises.
fn folder(payouts: &[(i64, u32, &str)], entries: &[(i64, u32, &str)]) -> Folder {
    let folder = Folder::new();
    let text = folder.read("agreeing_settlement.csv");
    let mut lines: Vec<String> = text.lines().map(|line| format!("{line},po_rows")).collect();
    lines[0] = lines[0].replace("po_rows", "automatic_payout_id");
    for (number, (cents, day, id)) in payouts.iter().enumerate() {
        let amount =
            format!("{}{}.{:02}", if *cents > 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100);
        lines.push(format!(
            "txn_p{number},2026-03-{day:02} 08:00:00,usd,{amount},0.00,{amount},payout,{id},,,{id}"
        ));
    }
    folder.write("paid.csv", lines.join("\n"));
    folder.write("bank.xml", statement(entries));
    folder
}

fn figures(folder: &Folder, more: &str) -> (i32, Value) {
    let ran = folder.run(&format!("{ALL} --json {more}"));
    let figures = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    (ran.code, figures)
}

fn codes(figures: &Value) -> Vec<&str> {
    let reasons = figures["reasons"].as_array().into_iter().flatten();
    reasons.filter_map(|reason| reason["code"].as_str()).collect()
}

#[test]
fn rows_payouts_and_deposits_that_are_one_sum_are_reconciled() {
    let folder = folder(&[(2353, 3, "po_rows")], &[(2353, 5, "STRIPE TRANSFER"), (-9900, 6, "rent")]);
    let (code, figures) = figures(&folder, "--certificate c.json");
    assert_eq!((code, &figures["verdict"]), (0, &json!("reconciled")), "{figures}");
    let tie = &figures["payouts"]["currencies"]["USD"];
    assert_eq!(tie["proof"], "ties");
    assert_eq!((&tie["rows"], &tie["payouts"], &tie["deposits"]), (&json!(2353), &json!(2353), &json!(2353)));
    assert_eq!(figures["payouts"]["types"]["other_movement"]["deposits"], 1);
    let certificate: Value = serde_json::from_str(&folder.read("c.json")).unwrap();
    let inputs = certificate["inputs"].as_array().unwrap();
    assert!(inputs.iter().any(|input| input["role"] == "bank"), "{certificate}");
    assert_eq!(certificate["parameters"]["payout_window"], "5");
    assert_eq!(certificate["parameters"]["payout_words"], "stripe");
}

/// Payouts that come out in every way there is.
fn every_way() -> Folder {
    folder(
        &[
            (2353, 3, "po_rows"),
            (5000, 4, "po_short"),
            (777, 5, "po_lost"),
            (1000, 6, "po_b1"),
            (2500, 6, "po_b2"),
            (400, 7, "po_twin1"),
            (400, 8, "po_twin2"),
            (610, 18, "po_young"),
        ],
        &EVERY_WAY,
    )
}

#[test]
fn what_does_not_tie_is_told_payout_by_payout() {
    let folder = every_way();
    let ran = folder.run(&format!("{ALL} --diffs d.csv --report r.json"));
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    insta::assert_snapshot!("payouts", ran.stdout);
    insta::assert_snapshot!("payout_differences", folder.read("d.csv"));
    let report: Value = serde_json::from_str(&folder.read("r.json")).unwrap();
    let missing =
        report["differences"].as_array().unwrap().iter().find(|one| one["diff_type"] == "payout_missing");
    assert_eq!(missing.unwrap()["payout"]["age_days"], 15, "{report}");
    let chinese = folder.run_with(ALL, &[("LANG", "zh_CN.UTF-8")]);
    insta::assert_snapshot!("payouts_zh", chinese.stdout);
    let (_, figures) = figures(&folder, "");
    assert_eq!(codes(&figures), ["payout_differences"]);
    assert_eq!(figures["payouts"]["matched_by"], json!({ "reference": 1, "bundle": 1 }));
}

#[test]
fn every_format_of_a_bank_gives_the_same() {
    let folder = every_way();
    let camt = folder.run(ALL);
    for (name, text) in [("bank.sta", mt940(&EVERY_WAY)), ("bank.bai", bai2(&EVERY_WAY))] {
        folder.write(name, text);
        let ran = folder.run(&format!("{ALL} --diffs d.csv").replace("bank.xml", name));
        assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{name}");
        assert_eq!(ran.stdout, camt.stdout.replace("bank.xml", name));
        insta::assert_snapshot!(name.replace('.', "_"), folder.read("d.csv"));
    }
}

#[test]
fn the_window_and_the_words_are_the_callers() {
    let folder = folder(&[(2353, 3, "po_rows")], &[(2353, 11, "ACME LTD")]);
    let (_, late) = figures(&folder, "");
    assert_eq!(codes(&late), ["payout_differences"]);
    assert_eq!(late["payouts"]["types"]["payout_missing"]["count"], 1);
    let (code, found) = figures(&folder, "--payout-window 8");
    assert_eq!((code, &found["verdict"]), (0, &json!("reconciled")));
    let (_, unknown) = figures(&folder, "--payout-window 7 --payout-words acme");
    assert_eq!(unknown["payouts"]["types"]["payout_missing"]["count"], 1);
    let (_, every) = figures(&folder, "--payout-words=");
    assert_eq!(every["payouts"]["types"]["other_movement"]["count"], 0);
}

#[test]
fn a_bank_file_that_is_broken_or_proves_nothing_is_no_proof() {
    let folder = folder(&[(2353, 3, "po_rows")], &[(2353, 5, "STRIPE po_rows")]);
    folder.edit("bank.xml", "1023.53", "1023.54");
    let (code, figures_of) = figures(&folder, "");
    assert_eq!((code, &figures_of["verdict"]), (1, &json!("incomplete")), "{figures_of}");
    assert_eq!(codes(&figures_of), ["bank_totals_failed", "three_way_not_provable"]);
    folder.write("bank.xml", "no statement");
    let unreadable = folder.run(&format!("{ALL} --json"));
    assert_eq!((unreadable.code, unreadable.stdout.as_str()), (3, ""));
    assert!(unreadable.stderr.contains("bank.xml: nothing of it can be read"), "{unreadable:?}");
}

#[test]
fn a_report_of_payouts_states_what_the_settlement_file_only_names() {
    let folder = folder(&[], &[(2353, 5, "STRIPE po_rows")]);
    let (code, named) = figures(&folder, "");
    assert_eq!((code, &named["verdict"]), (1, &json!("not_provable")), "nobody states the payout");
    assert_eq!(named["payouts"]["matched_by"], json!({ "reference": 1 }));
    let head = "payout_id,effective_at_utc,currency,gross,fee,net,reporting_category,balance_transaction_id";
    let row = "po_rows,2026-03-04 00:00:00,usd,23.53,0.00,23.53,payout,txn_9";
    folder.write("payouts.csv", format!("{head}\n{row}\n"));
    let (code, stated) = figures(&folder, "--payouts payouts.csv --certificate c.json");
    assert_eq!((code, &stated["verdict"]), (0, &json!("reconciled")), "{stated}");
    assert!(folder.read("c.json").contains("\"payouts\""));
    folder
        .write("payouts.csv", format!("{head}\n{row}\npo_by_hand,2026-03-04 00:00:00,usd,6.00,,,payout,\n"));
    let (_, by_hand) = figures(&folder, "--payouts payouts.csv");
    let topup = "tu_1,2026-03-04 00:00:00,usd,50.00,,,topup,\ntu_1,2026-03-04 00:00:00,usd,-50.00,,,topup_reversal,\n";
    let report = folder.read("payouts.csv");
    folder.write("payouts.csv", format!("{report}{topup}tu_2,2026-03-04 00:00:00,usd,70.00,,,topup,\n"));
    assert_eq!(figures(&folder, "--payouts payouts.csv").1, by_hand, "money to Stripe is no payout");
    let missing = &by_hand["payouts"]["types"]["payout_missing"];
    assert_eq!(missing["payout_amounts"], json!({ "USD": 600 }), "positive, as the bank sees it");
    folder.edit("payouts.csv", "23.53", "23.53x");
    let ran = folder.run(&format!("{ALL} --payouts payouts.csv"));
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("payouts.csv: line 2, column 'gross':"), "{}", ran.stderr);
}

#[test]
fn what_nothing_states_is_neither_missing_nor_short() {
    // More arrived than the rows of the day add up to: the payout carries those of other days too.
    let folder = folder(&[], &[(9000, 5, "STRIPE po_rows"), (77, 6, "STRIPE")]);
    let (code, named) = figures(&folder, "");
    assert_eq!((code, &named["verdict"]), (1, &json!("not_provable")), "{named}");
    assert_eq!(codes(&named), ["three_way_not_provable", "payouts_not_stated"]);
    let tie = &named["payouts"]["currencies"]["USD"];
    assert_eq!((&tie["not_stated"], &tie["not_stated_rows"]), (&json!(1), &json!(2353)));
    assert_eq!((&tie["payouts"], &tie["deposits"]), (&json!(0), &json!(0)));
    let ran = folder.run(ALL);
    assert!(ran.stdout.contains("payouts that rows name and no file states: 1 (23.53)"), "{}", ran.stdout);
    assert!(ran.stdout.contains("hand over the channel's report of payouts (--payouts"), "{}", ran.stdout);
    // With the report everything has its verdict.
    let head = "payout_id,effective_at_utc,currency,gross,fee,net,reporting_category";
    folder.write("payouts.csv", format!("{head}\npo_rows,2026-03-04 00:00:00,usd,91.00,,,payout\n"));
    let (_, stated) = figures(&folder, "--payouts payouts.csv");
    let types = &stated["payouts"]["types"];
    assert_eq!((&types["payout_short"]["count"], &types["payout_unknown"]["count"]), (&json!(1), &json!(1)));
}

#[test]
fn statements_of_several_files_are_one_and_the_later_one_counts() {
    let all = ALL.replace("--bank bank.xml", "");
    let folder = folder(&[(2353, 3, "po_rows")], &[(-9900, 6, "rent")]);
    let dollars = statement(&[(2353, 5, "STRIPE po_rows")]);
    folder.write("dollars.xml", dollars.replace(">1234<", ">5678<"));
    let figures = |more: &str| -> Value {
        let ran = folder.run(&format!("{all} --json {more}"));
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    };
    for both in ["--bank bank.xml --bank dollars.xml", "--bank dollars.xml --bank bank.xml"] {
        let found = figures(both);
        assert_eq!(
            (&found["verdict"], &found["payouts"]["bank"]["entries"]),
            (&json!("reconciled"), &json!(2))
        );
    }
    assert_eq!(figures("--bank bank.xml")["payouts"]["types"]["payout_missing"]["count"], 1);
    // Of one account and the same days, what is given later takes the place of what is given before.
    folder.write("corrected.xml", statement(&[(2353, 5, "STRIPE po_rows"), (-9900, 6, "rent")]));
    assert_eq!(figures("--bank bank.xml --bank corrected.xml")["payouts"]["bank"]["entries"], 2);
    assert_eq!(figures("--bank corrected.xml --bank bank.xml")["payouts"]["bank"]["entries"], 1);
    let ran = folder.run(&format!("{all} --bank bank.xml --bank dollars.xml --certificate c.json"));
    assert!(ran.stdout.contains("bank.xml, dollars.xml: 2 entries"), "{}", ran.stdout);
    assert_eq!(folder.read("c.json").matches("\"bank\"").count(), 2);
    let ran = folder.run(&format!("{all} --bank bank.xml --bank dollars.xml --diffs dollars.xml"));
    assert_eq!(ran.code, 2, "{}", ran.stderr);
}

#[test]
fn a_day_of_the_sandbox_ties_three_ways() {
    let folder = Folder::new();
    for (date, zone) in
        [("2026-01-15", "Etc/UTC"), ("2026-01-16", "Asia/Shanghai"), ("2026-01-18", "Etc/UTC")]
    {
        let written = folder.run(&format!("sandbox files --date {date} --timezone {zone} --out day"));
        assert_eq!(written.stdout.lines().count(), 7, "{written:?}");
        let ran = folder.run(&format!(
            "reconcile --json --channel stripe --date {date} --timezone {zone} --platform day/platform.csv \
             --settlement day/settlement.csv --summary day/balance_summary.csv --payouts day/payouts.csv \
             --payout-rows day/payout_rows.csv --bank day/bank.xml"
        ));
        let figures: Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        let payouts = &figures["payouts"];
        assert_eq!(
            (&payouts["proof"], &payouts["matched_by"]),
            (&json!("ties"), &json!({ "reference": 4 })),
            "{payouts}"
        );
        assert_eq!(payouts["types"]["other_movement"]["deposits"], 8);
        let truth: Value = serde_json::from_str(&folder.read("day/truth.json")).unwrap();
        assert_eq!(figures["verdict"], truth["verdict"]);
        // Without the report of payouts nothing is told that is not so.
        let ran = folder.run(&format!(
            "reconcile --json --channel stripe --date {date} --timezone {zone} --platform day/platform.csv \
             --settlement day/settlement.csv --summary day/balance_summary.csv --bank day/bank.xml"
        ));
        let named: Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        assert!(
            codes(&named).contains(&"payouts_not_stated") && !codes(&named).contains(&"payout_differences"),
            "{named}"
        );
    }
}

#[test]
fn the_rows_of_payouts_are_of_whatever_days() {
    // The payout carries the rows of this day, and one of the day before.
    let folder = folder(&[], &[(3353, 5, "STRIPE po_rows")]);
    let head = "payout_id,effective_at_utc,currency,gross,fee,net,reporting_category";
    folder.write("payouts.csv", format!("{head}\npo_rows,2026-03-04 00:00:00,usd,33.53,,,payout\n"));
    let (_, stated) = figures(&folder, "--payouts payouts.csv");
    assert_eq!(
        (&stated["verdict"], codes(&stated)),
        (&json!("not_provable"), vec!["three_way_not_provable", "payouts_not_itemised"])
    );
    let paid = folder.read("paid.csv");
    let before = "txn_0,2026-03-01 08:00:00,usd,10.00,0.00,10.00,charge,ch_0,ch_0,pi_0,po_rows\n";
    folder.write("rows.csv", format!("{}\n{before}", paid.trim_end()));
    let (code, whole) = figures(&folder, "--payouts payouts.csv --payout-rows rows.csv --certificate c.json");
    assert_eq!((code, &whole["verdict"]), (0, &json!("reconciled")), "{whole}");
    let tie = &whole["payouts"]["currencies"]["USD"];
    assert_eq!((&tie["rows"], &tie["payouts"], &tie["deposits"]), (&json!(3353), &json!(3353), &json!(3353)));
    assert!(folder.read("c.json").contains("\"payout_rows\""));
    // Without the report of payouts, their rows say how large they are, and nothing states it.
    let (_, rows_alone) = figures(&folder, "--payout-rows rows.csv");
    assert_eq!(codes(&rows_alone), ["three_way_not_provable", "payouts_not_itemised"]);
    assert_eq!(rows_alone["payouts"]["types"]["matched"]["count"], 1);
    folder.edit("rows.csv", "10.00", "10.00x");
    let ran = folder.run(&format!("{ALL} --payouts payouts.csv --payout-rows rows.csv"));
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("rows.csv: line"), "{}", ran.stderr);
}

#[test]
fn a_payout_without_rows_of_its_own_is_matched_and_not_proven() {
    let folder =
        folder(&[(2353, 3, "po_rows"), (600, 3, "po_manual")], &[(2353, 5, "STRIPE"), (600, 5, "STRIPE")]);
    let (code, figures) = figures(&folder, "");
    assert_eq!((code, &figures["verdict"]), (1, &json!("not_provable")));
    assert_eq!(codes(&figures), ["three_way_not_provable", "payouts_not_itemised"]);
    assert_eq!(figures["payouts"]["currencies"]["USD"]["not_itemised"], 1);
}
