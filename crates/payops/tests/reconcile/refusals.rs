//! Command lines and inputs that cannot be worked with: what is said, and the exit code.

use std::os::unix::fs::symlink;
use std::process::Stdio;

use crate::harness::Folder;

const BOTH: &str = "--platform platform.csv --settlement settlement.csv";

/// Each: the arguments after `reconcile`, the exit code, a part of what stderr says.
const REFUSED: [(&str, i32, &str); 41] = [
    ("", 2, "--channel <CHANNEL>"),
    ("--channel stripe --platform platform.csv", 2, "--settlement <FILE>"),
    ("--channel stripe --settlement settlement.csv", 2, "--platform <FILE>"),
    ("--channel visa {BOTH}", 2, "possible values: stripe, paypal, alipay, wechat, adyen, generic"),
    ("--channel stripe {BOTH} --fast", 2, "unexpected argument '--fast'"),
    ("--channel stripe {BOTH} extra.csv", 2, "unexpected argument 'extra.csv'"),
    ("--channel stripe {BOTH} --platform platform.csv", 2, "cannot be used multiple times"),
    ("--channel generic {BOTH}", 2, "--channel generic needs --mapping"),
    ("--channel alipay {BOTH}", 2, "--channel alipay needs --mapping"),
    ("--channel generic {BOTH} --mapping missing.toml", 3, "missing.toml: No such file"),
    ("--channel generic {BOTH} --mapping platform.csv", 2, "platform.csv: line 1"),
    (
        "--channel generic {BOTH} --mapping unknown_key.toml",
        2,
        "unknown_key.toml: line 3: unknown field `colour`",
    ),
    (
        "--channel stripe {BOTH} --platform-mapping no_unit.toml",
        2,
        "no_unit.toml: line 1: missing field `unit`",
    ),
    ("--channel stripe {BOTH} --rules missing.toml", 3, "missing.toml: No such file"),
    ("--channel stripe {BOTH} --rules unknown_rule.toml", 2, "unknown field `max_percent`"),
    (
        "--channel stripe {BOTH} --rules bad_rule.toml",
        2,
        "bad_rule.toml: tolerance[0].currencies: a number of minor units needs its currencies",
    ),
    (
        "--channel stripe {BOTH} --rules rules.toml --diffs rules.toml",
        2,
        "--diffs and --rules name the same file",
    ),
    ("--channel stripe {BOTH} --date 2026-02-30", 2, "invalid value '2026-02-30'"),
    ("--channel stripe {BOTH} --date 20260-02-28", 2, "invalid value '20260-02-28'"),
    ("--channel stripe {BOTH} --date 9999-12-31", 2, "1970 to 2200 are accepted"),
    ("--channel stripe {BOTH} --date 15.01.2026", 2, "a date is expected, as 2026-01-30"),
    ("--channel stripe {BOTH} --timezone Asia/Shanghai", 2, "--date <DATE>"),
    (
        "--channel stripe {BOTH} --date 2026-03-02 --timezone Mars/Olympus",
        2,
        "'Mars/Olympus' is not a time zone",
    ),
    ("--channel stripe {BOTH} --memory lots", 2, "a size such as 64MiB or 1GiB is expected"),
    ("--channel stripe {BOTH} --memory 1MiB", 2, "at least 16MiB are needed"),
    ("--channel stripe {BOTH} --threads 0", 2, "0 is not in 1..=64"),
    ("--channel stripe {BOTH} --report out.docx", 2, "its name must end in .pdf, .xlsx, .csv or .json"),
    ("--channel stripe {BOTH} --report out", 2, "its name must end in .pdf, .xlsx, .csv or .json"),
    ("--channel stripe {BOTH} --diffs platform.csv", 2, "--diffs and --platform name the same file"),
    (
        "--channel stripe {BOTH} --diffs same.csv --report ./same.csv",
        2,
        "--report and --diffs name the same file",
    ),
    ("--channel stripe --platform platform.csv --settlement platform.csv", 2, "name the same file"),
    ("--channel stripe --platform platform.csv --settlement linked.csv", 2, "name the same file"),
    ("--channel stripe --platform missing.csv --settlement settlement.csv", 3, "missing.csv: No such file"),
    ("--channel stripe --platform folder --settlement settlement.csv", 3, "folder: is not a plain file"),
    ("--channel stripe --platform array.json --settlement settlement.csv", 3, "array.json: is a JSON array"),
    (
        "--channel stripe --platform platform.csv --settlement broken.zip",
        3,
        "broken.zip: the zip archive cannot be read",
    ),
    (
        "--channel stripe {BOTH} --diffs nowhere/out.csv",
        3,
        "nowhere/out.csv: there is no folder nowhere; make it first",
    ),
    (
        "--channel stripe --platform platform.csv --settlement no_unit.toml",
        3,
        "no_unit.toml: nothing of it can be read:\n  line 1: ",
    ),
    (
        "--channel stripe {BOTH} --bank no_statement.xml",
        3,
        "no_statement.xml: nothing of it can be read:\n  it has no statement",
    ),
    ("--channel stripe {BOTH} --summary array.json", 3, "array.json: nothing of it can be read:\n  line 1: "),
    ("--channel stripe {BOTH} --diffs folder", 3, "folder: is a folder"),
];

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("unknown_key.toml", "unit = \"minor\"\nname = \"x\"\ncolour = \"red\"\n[columns]\n");
    folder.write("unknown_rule.toml", "[[tolerance]]\nname = \"x\"\npriority = 1\nmax_percent = 2\n");
    folder.write("bad_rule.toml", "[[tolerance]]\nname = \"x\"\npriority = 1\nmax_amount = 2\n");
    folder.write("rules.toml", "");
    folder.write("no_unit.toml", "name = \"x\"\n[columns]\n");
    folder.write(
        "no_statement.xml",
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02\"><BkToCstmrStmt/></Document>",
    );
    folder.write("array.json", "[{\"payment_no\":\"PAY-1\"}]");
    folder.write("broken.zip", b"PK\x03\x04 and then nothing that an archive has");
    std::fs::create_dir(folder.path("folder")).expect("a folder");
    symlink(folder.path("platform.csv"), folder.path("linked.csv")).expect("a link");
    folder
}

#[test]
fn each_is_refused_with_its_reason_and_leaves_nothing_behind() {
    let folder = folder();
    let before = folder.others();
    for (arguments, code, message) in REFUSED {
        let ran = folder.run(&format!("reconcile {}", arguments.replace("{BOTH}", BOTH)));
        assert_eq!(ran.code, code, "{arguments}: {}", ran.stderr);
        assert!(ran.stderr.contains(message), "{arguments}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{arguments}");
        assert_eq!(folder.others(), before, "{arguments}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let folder = Folder::new();
    for flag in ["--diffs", "--certificate"] {
        let ran = folder.run(&format!("reconcile --channel stripe {BOTH} {flag} /dev/full"));
        assert_eq!((ran.code, ran.stdout.as_str()), (3, ""));
        assert!(ran.stderr.contains("/dev/full: No space left on device"), "{}", ran.stderr);
    }
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = folder.command(&format!("reconcile --channel stripe {BOTH}"));
    let output = command.stdout(Stdio::from(full)).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard output: No space left"));
}

#[test]
fn refusals_speak_chinese_where_the_environment_does() {
    let folder = folder();
    let files = "--platform platform.csv --settlement no_unit.toml";
    let mut command = folder.command(&format!("reconcile --channel stripe {files}"));
    let output = command.env("LANG", "zh_CN.UTF-8").output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.starts_with("错误: no_unit.toml：没有任何内容可以读取：\n  行 1: 缺少列："), "{told}");
}

#[test]
fn the_help_names_the_exit_codes() {
    let ran = Folder::new().run("reconcile --help");
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.contains("Exit codes: 0 reconciled"), "{}", ran.stdout);
}
