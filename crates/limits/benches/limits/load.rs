//! What the load asks for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use payops_platform::http::load::{self, Found, Pace, Requests};
use uuid::Uuid;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    Consume,
    Check,
    /// A thousand consumes in one request.
    Batch,
}

impl Ask {
    /// Decisions in one request.
    fn decisions(self) -> f64 {
        if self == Self::Batch { 1000.0 } else { 1.0 }
    }
}

/// Where a load goes.
#[derive(Debug, Clone)]
pub struct Aim {
    pub address: SocketAddr,
    /// Header lines with the credentials.
    pub credentials: String,
    /// The merchants that take part; each request is about one of them, chosen at random.
    pub merchants: Arc<Vec<Uuid>>,
    pub ask: Ask,
}

/// Payment numbers must be new in every round.
static ROUND: AtomicU64 = AtomicU64::new(1);

/// One round; its rate is of decisions.
pub fn round(aim: &Aim, connections: usize, pace: Pace, time: Duration) -> anyhow::Result<Found> {
    let round = ROUND.fetch_add(1, Ordering::Relaxed);
    let requests = |number: usize| Connection {
        aim: aim.clone(),
        prefix: format!("r{round}c{number}n"),
        seed: (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ round,
        count: 0,
    };
    let found = load::round(aim.address, connections, pace, time, requests)?;
    Ok(Found { rate: found.rate * aim.ask.decisions(), ..found })
}

struct Connection {
    aim: Aim,
    prefix: String,
    seed: u64,
    count: u64,
}

impl Requests for Connection {
    fn write(&mut self, request: &mut Vec<u8>) {
        let (path, body) = match self.aim.ask {
            Ask::Consume => ("consume", self.consume("")),
            Ask::Check => (
                "check",
                format!("{{\"merchant_id\":\"{}\",\"amount\":1,\"currency\":\"USD\"}}", self.merchant()),
            ),
            Ask::Batch => {
                let items: Vec<String> =
                    (0..1000).map(|_| self.consume("\"operation\":\"consume\",")).collect();
                ("batch", format!("{{\"operations\":[{}]}}", items.join(",")))
            }
        };
        let head = format!(
            "POST /api/v1/limits/{path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{}\
             content-length: {}\r\n\r\n",
            self.aim.credentials,
            body.len()
        );
        request.extend_from_slice(head.as_bytes());
        request.extend_from_slice(body.as_bytes());
    }
}

impl Connection {
    fn consume(&mut self, operation: &str) -> String {
        self.count += 1;
        let (merchant, prefix, count) = (self.merchant(), &self.prefix, self.count);
        format!(
            "{{{operation}\"merchant_id\":\"{merchant}\",\"payment_no\":\"{prefix}{count}\",\"amount\":1,\"currency\":\"USD\"}}"
        )
    }

    /// Xorshift: no randomness that anybody could depend on, and cheap.
    fn merchant(&mut self) -> Uuid {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let merchants = &self.aim.merchants;
        merchants[usize::try_from(self.seed % merchants.len() as u64).unwrap_or_default()]
    }
}
