//! Connections of the native driver: counted, and trusting the same servers as those of the pool.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sea_orm::ConnectionTrait;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection};
use tokio_util::task::TaskTracker;

use crate::db::testing::postgres;
use crate::db::tests::eventually;
use crate::db::{DatabaseTarget, Db, PostgresTarget, SslMode};
use crate::telemetry::Metrics;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Has the server speak TLS, with a certificate of this authority for the name `localhost`. Other tests do not ask for it.
async fn speak_tls(target: &PostgresTarget, authority: &Authority) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let mut server = connect(target).await;
    for (file, pem) in [("tests.crt", certificate.pem()), ("tests.key", key.serialize_pem())] {
        // The server writes into its own folder, so that the files are its user's.
        let write = format!(
            "COPY (SELECT unnest(string_to_array($${pem}$$, E'\\n'))) TO PROGRAM 'umask 077; cat > {file}'"
        );
        server.execute(AssertSqlSafe(write)).await.unwrap();
    }
    for setting in ["ssl_cert_file = 'tests.crt'", "ssl_key_file = 'tests.key'", "ssl = on"] {
        server.execute(AssertSqlSafe(format!("ALTER SYSTEM SET {setting}"))).await.unwrap();
    }
    server.execute("SELECT pg_reload_conf()").await.unwrap();
    // The postmaster takes the order a little later.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
    let speaks = async || {
        let shown = sqlx::query_scalar::<_, String>("SHOW ssl").fetch_one(&mut connect(target).await).await;
        shown.unwrap() == "on"
    };
    while !speaks().await {
        assert!(tokio::time::Instant::now() < deadline, "the server does not speak TLS");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn connect(target: &PostgresTarget) -> PgConnection {
    let options = PgConnectOptions::new_without_pgpass();
    let options =
        options.host(&target.host).port(target.port).username(&target.user).database(&target.database);
    options.connect().await.unwrap()
}

/// What each driver comes to: whether the connection speaks TLS, if there is one.
async fn both(target: &PostgresTarget) -> [Option<bool>; 2] {
    let spoken = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let pooled = match Db::open(&DatabaseTarget::Postgres(target.clone()), &[]).await {
        Ok(db) => {
            let row = db.read().query_one_raw(db.backend().statement(spoken, [])).await.unwrap().unwrap();
            Some(row.try_get::<bool>("", "ssl").unwrap())
        }
        Err(_) => None,
    };
    let native = match super::connect(target, &TaskTracker::new()).await {
        Ok(client) => Some(client.query_one(spoken, &[]).await.unwrap().get(0)),
        Err(_) => None,
    };
    [pooled, native]
}

#[tokio::test]
async fn both_drivers_believe_the_same_servers() {
    let db = postgres(&[]).await;
    let DatabaseTarget::Postgres(plain) = db.target().clone() else { unreachable!() };
    let (ours, others) = (authority(), authority());
    speak_tls(&plain, &ours).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, authority: &Authority| {
        let path = folder.path().join(name);
        std::fs::write(&path, authority.pem()).unwrap();
        Some(path)
    };
    let (ours, others) = (file("ours.pem", &ours), file("others.pem", &others));
    for (mode, host, trusted, expected) in [
        (SslMode::Disable, "127.0.0.1", &ours, Some(false)),
        (SslMode::Prefer, "127.0.0.1", &others, Some(true)),
        (SslMode::Require, "127.0.0.1", &None, Some(true)),
        (SslMode::VerifyCa, "127.0.0.1", &ours, Some(true)),
        (SslMode::VerifyCa, "127.0.0.1", &others, None),
        (SslMode::VerifyCa, "127.0.0.1", &None, None),
        (SslMode::VerifyFull, "localhost", &ours, Some(true)),
        (SslMode::VerifyFull, "localhost", &others, None),
        (SslMode::VerifyFull, "127.0.0.1", &ours, None),
    ] {
        let target = PostgresTarget {
            host: host.to_owned(),
            ssl_mode: mode,
            ssl_root_cert: trusted.clone(),
            ..plain.clone()
        };
        assert_eq!(both(&target).await, [expected; 2], "{mode:?} {host} {trusted:?}");
    }
}

#[tokio::test]
async fn connections_of_the_native_driver_are_counted() {
    let db = postgres(&[]).await;
    let metrics = Metrics::new("test-service");
    db.measure(&metrics);
    let line = |count: u32| {
        format!("db_pool_connections{{service=\"test-service\",pool=\"native\",state=\"used\"}} {count}\n")
    };
    let shows = |count: u32| metrics.render().unwrap().contains(&line(count));
    assert!(shows(0));
    let clients = (db.connect_native().await.unwrap(), db.connect_native().await.unwrap());
    assert!(shows(2));
    drop(clients);
    eventually(async || shows(0)).await;
}
