//! A thousand requests that nobody should send: each is refused with a reason, and nothing stays behind.

#![allow(clippy::unwrap_used)] // Clippy knows tests by their attribute, and helpers bear none.

mod kit;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use kit::{Answer, Plan, SENDER, exchange, request};
use oncegate_http_api::Limits;

/// By how much the process may have grown after the second thousand, in KiB. What the allocator keeps for itself after
/// the first is in the measure before; a leak of one largest body in ten would be 6,400.
const MAY_GROW_KIB: u64 = 4 * 1024;

const REQUESTS: usize = 1_000;

/// What makes the `n`th request of a kind.
type Make = fn(usize) -> Vec<u8>;

fn kinds() -> Vec<(&'static str, Make)> {
    fn post(body: &[u8]) -> Vec<u8> {
        let token = format!("Bearer {SENDER}");
        request("POST", "/v1/signals", &[("content-type", "application/json"), ("authorization", &token)], body)
    }
    fn as_whom(value: &str) -> Vec<u8> {
        let headers = [("content-type", "application/json"), ("authorization", value)];
        request("POST", "/v1/signals", &headers, br#"{"id":1}"#)
    }
    vec![
        ("malformed", |n| post(format!("{{\"id\":{n},").as_bytes())),
        ("not an object", |n| post(format!("[{n}]").as_bytes())),
        ("not UTF-8", |n| post(&[b'{', b'"', 0xff, u8::try_from(n % 256).unwrap(), b'"', b':', b'1', b'}'])),
        ("oversized", |n| post(format!("{{\"id\":{n},\"a\":\"{}\"}}", "x".repeat(64 * 1024 + n)).as_bytes())),
        ("oversized by its head", |n| {
            let head = "POST /v1/signals HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json";
            format!("{head}\r\nauthorization: Bearer {SENDER}\r\ncontent-length: {}\r\n\r\n", 1_u64 << (21 + n % 30))
                .into()
        }),
        ("duplicate key", |n| post(format!("{{\"id\":{n},\"quantity\":1,\"quantity\":5000}}").as_bytes())),
        ("duplicate key, escaped", |n| post(format!("{{\"id\":{n},\"a\":{{\"b\":1,\"\\u0062\":2}}}}").as_bytes())),
        ("deep arrays", |n| post(format!("{{\"id\":{n},\"a\":{}", "[".repeat(60_000)).as_bytes())),
        ("deep objects", |n| {
            post(format!("{{\"id\":{n},\"a\":{}1{}}}", "{\"a\":".repeat(9_000), "}".repeat(9_000)).as_bytes())
        }),
        ("integer beyond 2^53", |n| post(format!("{{\"id\":9007199254740993{n}}}").as_bytes())),
        ("truncated body", |n| {
            let mut bytes = post(format!("{{\"id\":{n},\"a\":\"{}\"}}", "x".repeat(1_000)).as_bytes());
            bytes.truncate(bytes.len() - 500);
            bytes
        }),
        ("slow head", |n| format!("POST /v1/signals HTTP/1.1\r\nhost: localhost\r\nx-{n}: ").into_bytes()),
        ("no token", |n| {
            request(
                "POST",
                "/v1/signals",
                &[("content-type", "application/json")],
                format!("{{\"id\":{n}}}").as_bytes(),
            )
        }),
        ("wrong token", |n| as_whom(&format!("Bearer wrong-secret-0123456789-{n}"))),
        ("no bearer", |n| as_whom(&format!("Basic {n}"))),
        ("not allowed", |n| {
            let token = format!("Bearer {SENDER}");
            let headers = [("content-type", "application/json"), ("authorization", &*token)];
            request("POST", "/coordinator/step-down", &headers, format!("{{\"reason\":\"{n}\"}}").as_bytes())
        }),
        ("no HTTP", |n| format!("\u{1}\u{2}{n} hello\r\n\r\n").into_bytes()),
        ("head too long", |n| request("GET", "/livez", &[("x-long", &"x".repeat(40_000 + n))], b"")),
        ("too many headers", |n| request("GET", "/livez", &vec![("x-many", "x"); 100 + n % 50], b"")),
        ("path too long", |n| request("GET", &format!("/v1/signals/{}", "0".repeat(65 + n % 5_000)), &[], b"")),
        ("odd chunks", |n| {
            format!(
                "POST /v1/signals HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
                 authorization: Bearer {SENDER}\r\ntransfer-encoding: chunked\r\n\r\nzz{n}\r\n{{}}\r\n0\r\n\r\n"
            )
            .into_bytes()
        }),
        ("two lengths", |n| {
            format!(
                "POST /v1/signals HTTP/1.1\r\nhost: localhost\r\ncontent-length: {n}\r\ncontent-length: 1{n}\r\n\r\n"
            )
            .into()
        }),
    ]
}

#[tokio::test]
async fn a_thousand_bad_requests_are_each_refused_with_a_reason_and_leave_nothing_behind() {
    let mut plan = Plan::with_tokens();
    plan.config.limits = Limits {
        head_within: Duration::from_millis(200),
        body_within: Duration::from_millis(200),
        rate: None,
        ..Limits::default()
    };
    let node = plan.start().await;
    let mut told = BTreeMap::new();
    node_is_well(&node).await;
    thousand(&node.address, &mut told).await;
    let before = resident_kib();
    thousand(&node.address, &mut told).await;
    let after = resident_kib();
    for ((kind, status, code), count) in &told {
        println!("{count:5} {kind:24} {status} {code}");
    }
    println!("resident before the second thousand: {before} KiB, after: {after} KiB");
    assert!(after <= before + MAY_GROW_KIB, "grew by {} KiB in {REQUESTS} requests", after - before);
    node_is_well(&node).await;
    let stored = node.get_as(SENDER, "/v1/signals").await.json();
    assert_eq!(stored["signals"].as_array().unwrap().len(), 1, "nothing but what was well formed: {stored}");
}

async fn node_is_well(node: &kit::Running) {
    assert_eq!(node.get("/livez").await.status, 200);
    assert!(matches!(node.post_as(SENDER, "/v1/signals", r#"{"id":"well"}"#).await.status, 200 | 202));
}

async fn thousand(address: &str, told: &mut BTreeMap<(&'static str, u16, String), usize>) {
    let kinds = kinds();
    let requests = (0..REQUESTS).map(|n| {
        let (kind, make) = kinds[n % kinds.len()];
        async move {
            let bytes = make(n);
            let answer = exchange(address, &bytes).await;
            let said = String::from_utf8_lossy(&answer);
            let answer = Answer::read(&answer).unwrap_or_else(|| panic!("{kind} was answered {said:?}"));
            assert!((400..500).contains(&answer.status), "{kind} was answered {said:?}");
            (kind, answer.status, answer.code())
        }
    });
    let mut answers = stream::iter(requests).buffer_unordered(50);
    while let Some(answer) = answers.next().await {
        *told.entry(answer).or_insert(0) += 1;
    }
}

/// Of this process, which is server and client in one.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
