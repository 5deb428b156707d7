//! Settings that a process refuses to start with, and secrets that it keeps to itself.

use crate::harness::{PAYOPS, bare};

const LONG: &str = "0123456789abcdef0123456789abcdef";

/// Arguments, environment, and what must be named.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_settings_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.toml"), "nonsense = 1\n").unwrap();
    let one = &["serve", "reconciliation"][..];
    let cases: &[Case] = &[
        (one, &[("ENV", "production")], "PAYOPS_JWT_SECRET"),
        (one, &[("ENV", "production"), ("PAYOPS_JWT_SECRET", LONG), ("DB_HOST", "db")], "DB_PASSWORD"),
        (
            one,
            &[
                ("ENV", "production"),
                ("PAYOPS_JWT_SECRET", LONG),
                ("PAYOPS_STRIPE_API_BASE", "http://127.0.0.1:40091"),
            ],
            "PAYOPS_STRIPE_API_BASE",
        ),
        (&["serve", "disputes"], &[("ENV", "production"), ("PAYOPS_JWT_SECRET", LONG)], "PAYOPS_DATA_KEYS"),
        (&["serve", "disputes"], &[("PAYOPS_DATA_KEYS", "2027")], "PAYOPS_DATA_KEYS"),
        (one, &[("ENV", "staging")], "ENV"),
        (one, &[("PAYOPS_DATADIR", "x")], "PAYOPS_DATADIR"),
        (one, &[("PORT", "70000")], "PORT"),
        (one, &[("PORT", "40020"), ("PAYOPS_RECONCILIATION_PORT", "40021")], "PORT"),
        (one, &[("PROMETHEUS_PORT", "40020")], "PROMETHEUS_PORT"),
        (&["serve", "all"], &[("PORT", "40020")], "PORT"),
        (&["serve", "all"], &[("DB_HOST", "db"), ("DB_NAME", "payops")], "DB_NAME"),
        (one, &[("DB_PASSWORD", "pw-without-a-host")], "DB_PASSWORD"),
        (one, &[("PAYOPS_JOB_LEASE", "30")], "PAYOPS_JOB_LEASE"),
        (
            &["serve", "disputes"],
            &[
                ("PAYOPS_EVIDENCE_S3_BUCKET", "evidence"),
                ("PAYOPS_EVIDENCE_S3_SECRET_ACCESS_KEY", "key-alone"),
            ],
            "PAYOPS_EVIDENCE_S3_ACCESS_KEY_ID",
        ),
        (one, &[("PAYOPS_JWT_SECRET", "short")], "PAYOPS_JWT_SECRET"),
        (one, &[("PAYOPS_JWT_SECRET", LONG), ("PAYOPS_JWKS_FILE", "keys.json")], "PAYOPS_JWKS_FILE"),
        (one, &[("STRIPE_API_KEY_FILE", "not-there")], "STRIPE_API_KEY"),
        (one, &[("STRIPE_API_KEY", "sk_a"), ("STRIPE_API_KEY_FILE", "bad.toml")], "STRIPE_API_KEY"),
        (one, &[("PAYOPS_LOG", "info,=")], "PAYOPS_LOG"),
        (one, &[("PAYOPS_CONFIG", "bad.toml")], "nonsense"),
        (one, &[("PAYOPS_CONFIG", "not-there.toml")], "not-there.toml"),
        (&["serve", "reconciliation", "--set", "NOT_A_SETTING=1"], &[], "NOT_A_SETTING"),
        (&["serve", "everything"], &[], "everything"),
    ];
    for (arguments, environment, named) in cases {
        let ran = bare(&folder, arguments, environment).await;
        assert_eq!(ran.code, 2, "{environment:?}: {ran:?}");
        assert!(ran.stderr.contains(named), "{environment:?}: {ran:?}");
        assert!(!ran.stderr.contains("pw-without-a-host"), "a secret is shown: {ran:?}");
        assert!(!folder.path().join("data").exists(), "{environment:?} left something behind");
    }
    // A token is of no service: where only one of them has its settings, it is minted all the same.
    let other = [("PORT", "40021"), ("DB_HOST", "db"), ("DB_NAME", "disputes"), ("PAYOPS_JWT_SECRET", LONG)];
    let minted = bare(&folder, &["token"], &other).await;
    assert_eq!((minted.code, minted.stdout.trim().split('.').count()), (0, 3), "{minted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_is_minted_that_no_service_knows() {
    let folder = tempfile::tempdir().unwrap();
    let refused = bare(&folder, &["token", "--data", "elsewhere"], &[]).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{refused:?}");
    assert!(refused.stderr.contains("data folder elsewhere"), "{refused:?}");
    assert!(!folder.path().join("elsewhere").exists(), "it made secrets");
    let migrated = bare(&folder, &["migrate", "--data", "here"], &[]).await;
    assert_eq!(migrated.code, 0, "{migrated:?}");
    assert_eq!(bare(&folder, &["token", "--data", "here"], &[]).await.code, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn config_shows_every_setting_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = [
        ("STRIPE_API_KEY", "sk_live_unspoken".to_owned()),
        ("PAYOPS_STRIPE_WEBHOOK_SECRET", "whsec_unspoken".to_owned()),
        ("PAYOPS_GATEWAY_SECRET", "gateway-unspoken".to_owned()),
        ("DB_PASSWORD", "password-unspoken".to_owned()),
        ("PAYOPS_JWT_SECRET", format!("{LONG}-unspoken")),
        ("PAYOPS_SERVICE_SECRETS", format!("payment-gateway={LONG}-unspoken")),
    ];
    let mut environment: Vec<(&str, &str)> =
        secrets.iter().map(|(name, value)| (*name, value.as_str())).collect();
    environment.push(("DB_HOST", "db.internal"));
    let ran = bare(&folder, &["config"], &environment).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    for (name, value) in environment {
        assert!(ran.stdout.contains(name), "{name} is not shown");
        assert_eq!(ran.stdout.contains(value), value == "db.internal", "{name}: {ran:?}");
    }
    assert!(!ran.stdout.contains("unspoken") && !ran.stderr.contains("unspoken"), "{ran:?}");
}

#[test]
fn whoever_stops_reading_hears_no_complaint() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["config"][..], &["openapi", "limits"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = std::process::Command::new(PAYOPS);
        let ran =
            command.args(arguments).current_dir(folder.path()).env_clear().stdout(writer).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&ran.stderr), "", "{arguments:?}");
    }
}
