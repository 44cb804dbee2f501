//! Senders that keep their connections, each signal a new one; what each was answered, and when.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What came of a while of sending.
pub(crate) struct Load {
    /// The fingerprints that were acknowledged.
    pub(crate) acknowledged: Vec<String>,
    /// How many were answered by 503.
    pub(crate) refused: usize,
    latencies: Vec<Duration>,
    took: Duration,
}

/// Numbers signals over all loads of a process.
static NEXT: AtomicU64 = AtomicU64::new(1);

impl Load {
    /// Sends from so many senders for so long, while `meanwhile` does what it does.
    pub(crate) fn run(address: &str, senders: usize, time: Duration, meanwhile: impl FnOnce()) -> Self {
        let begun = Instant::now();
        let mut all = Self { acknowledged: Vec::new(), refused: 0, latencies: Vec::new(), took: Duration::ZERO };
        thread::scope(|scope| {
            let senders: Vec<_> = (0..senders).map(|_| scope.spawn(|| send(address, begun + time))).collect();
            meanwhile();
            for sender in senders {
                let part = sender.join().unwrap();
                all.acknowledged.extend(part.acknowledged);
                all.refused += part.refused;
                all.latencies.extend(part.latencies);
            }
        });
        all.took = begun.elapsed();
        all.latencies.sort();
        all
    }

    /// Acknowledged signals a second.
    #[allow(clippy::cast_precision_loss)] // Far below 2^52.
    pub(crate) fn rate(&self) -> f64 {
        self.acknowledged.len() as f64 / self.took.as_secs_f64()
    }

    /// The latency that this part of all answers keeps to.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // An index.
    pub(crate) fn quantile(&self, part: f64) -> Duration {
        let last = self.latencies.len() - 1;
        self.latencies[((last as f64 * part).round() as usize).min(last)]
    }
}

fn send(address: &str, until: Instant) -> Load {
    let mut load = Load { acknowledged: Vec::new(), refused: 0, latencies: Vec::new(), took: Duration::ZERO };
    let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
    stream.get_ref().set_nodelay(true).unwrap();
    while Instant::now() < until {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let body = format!(r#"{{"strategy":"nifty","bar":{number},"side":"buy","quantity":50,"price":"24150.05"}}"#);
        let sent = Instant::now();
        let request = format!(
            "POST /v1/signals HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let (status, answer, closes) = read(&mut stream);
        load.latencies.push(sent.elapsed());
        match status {
            202 => {
                let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
                load.acknowledged.push(answer["fingerprint"].as_str().unwrap().to_owned());
            }
            503 => load.refused += 1,
            other => panic!("{other}: {}", String::from_utf8_lossy(&answer)),
        }
        if closes {
            stream = BufReader::new(TcpStream::connect(address).unwrap());
        }
    }
    load
}

/// Status, body, and whether the server closes the connection.
fn read(stream: &mut BufReader<TcpStream>) -> (u16, Vec<u8>, bool) {
    let (mut status, mut length, mut closes) = (0, 0, false);
    let mut line = String::new();
    loop {
        line.clear();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the server hung up within an answer");
        let head = line.trim_end().to_ascii_lowercase();
        if head.is_empty() {
            break;
        }
        if let Some(rest) = head.strip_prefix("http/1.1 ") {
            status = rest[..3].parse().unwrap();
        } else if let Some(value) = head.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        } else if head == "connection: close" {
            closes = true;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (status, body, closes)
}
