//! Real Redis for tests: the one that all share, one to kill, and a way to it that can be held up.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use payops_platform::http::RedisSettings;
use payops_platform::http::testing::shared_redis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::watch;

pub(crate) fn settings(port: u16) -> RedisSettings {
    RedisSettings { port, ..shared_redis() }
}

/// Looks until the condition holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let looking = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), looking).await.expect(what);
}

/// A server of a test's own.
pub(crate) struct OwnRedis {
    pub(crate) port: u16,
    process: Child,
}

impl OwnRedis {
    pub(crate) async fn start(options: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        Self::start_on(port, options).await
    }

    /// As after a crash: on the same port, with nothing in it.
    pub(crate) async fn start_on(port: u16, options: &[&str]) -> Self {
        let program = std::env::var("PAYOPS_TEST_REDIS_SERVER")
            .expect("PAYOPS_TEST_REDIS_SERVER is not set: run `cargo xtask test`, which makes sure of Redis");
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]).args(options);
        let process = command.stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        until("Redis listens", || async { TcpStream::connect(("127.0.0.1", port)).await.is_ok() }).await;
        Self { port, process }
    }

    pub(crate) async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }

    pub(crate) async fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let client = redis::Client::open(("127.0.0.1", self.port)).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let (name, arguments) = words.split_first().unwrap();
        redis::cmd(name).arg(arguments).query_async(&mut connection).await.unwrap()
    }
}

/// A way to Redis whose answers can be held back.
pub(crate) struct SlowWay {
    pub(crate) port: u16,
    held: watch::Sender<bool>,
}

impl SlowWay {
    pub(crate) async fn to(redis: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (held, answers) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, SocketAddr::from(([127, 0, 0, 1], redis)), answers.clone()));
            }
        });
        Self { port, held }
    }

    pub(crate) fn hold_answers(&self, held: bool) {
        self.held.send_replace(held);
    }
}

async fn carry(client: TcpStream, redis: SocketAddr, mut held: watch::Receiver<bool>) {
    let redis = TcpStream::connect(redis).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_redis, mut to_redis) = redis.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_redis).await });
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = from_redis.read(&mut piece).await {
        let open = held.wait_for(|held| !held).await.is_ok();
        if !open || to_client.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}
