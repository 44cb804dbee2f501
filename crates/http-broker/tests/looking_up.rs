//! A look-up says "found" and "not found" only when the broker did.

#![allow(clippy::unwrap_used)] // Clippy knows tests by their attribute, and helpers bear none.

mod support;

use std::time::Duration;

use oncegate_coordinator::{Broker, Clock};
use oncegate_http_broker::{HttpBroker, HttpBrokerConfig};
use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::{BrokerOrderId, Capabilities, ClientOrderId};
use support::{Peer, TestClock, TestConnect, answer_with, broker, http, takes};

const ACCEPTED: &str = r#"{"status":"accepted","client_order_id":"og-1","broker_order_id":"b-1"}"#;
const NOT_FOUND: &str = r#"{"status":"not_found","client_order_id":"og-1"}"#;

async fn looked_up(bytes: &[u8]) -> LookupAnswer {
    let (clock, connect) = (TestClock::new(), TestConnect::new(takes()));
    let broker = broker(&connect, &clock);
    tokio::join!(broker.look_up(ClientOrderId::new("og-1")), answer_with(&connect, bytes)).0
}

#[tokio::test(start_paused = true)]
async fn the_request_is_these_bytes() {
    let (clock, connect) = (TestClock::new(), TestConnect::new(takes()));
    let broker = broker(&connect, &clock);
    let answer = http(404, &NOT_FOUND.replace("og-1", "og 1"));
    let (found, request) = tokio::join!(broker.look_up(ClientOrderId::new("og 1")), answer_with(&connect, &answer));
    assert_eq!(request, "GET /orders/og%201 HTTP/1.1\r\nhost: broker:8080\r\nconnection: close\r\n\r\n");
    assert_eq!(found, LookupAnswer::NotFound);
}

#[tokio::test(start_paused = true)]
async fn only_a_well_formed_echo_is_believed() {
    assert_eq!(looked_up(&http(200, ACCEPTED)).await, LookupAnswer::Found(BrokerOrderId::new("b-1")));
    assert_eq!(looked_up(&http(404, NOT_FOUND)).await, LookupAnswer::NotFound);
    let strangers = [
        http(404, "<html>no such page</html>"),
        http(404, &NOT_FOUND.replace("og-1", "og-2")),
        http(404, ""),
        http(404, ACCEPTED),
        http(410, NOT_FOUND),
        http(200, NOT_FOUND),
        http(200, &ACCEPTED.replace("og-1", "og-2")),
        http(201, ACCEPTED),
        http(500, ACCEPTED),
        b"".to_vec(),
    ];
    for bytes in strangers {
        let answer = looked_up(&bytes).await;
        assert!(matches!(answer, LookupAnswer::Unavailable(_)), "{}: {answer:?}", String::from_utf8_lossy(&bytes));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_cut_anywhere_is_unavailable() {
    for answer in [http(200, ACCEPTED), http(404, NOT_FOUND)] {
        for length in 0..answer.len() {
            let answer = looked_up(&answer[..length]).await;
            assert!(matches!(answer, LookupAnswer::Unavailable(_)), "cut at {length}: {answer:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_out_of_reach_is_unavailable_within_the_bound() {
    for (peer, longest) in [(Peer::Refuses, 0), (Peer::Silent, 3), (takes(), 3)] {
        let (clock, connect) = (TestClock::new(), TestConnect::new(peer));
        let started = clock.now().mono;
        let answer = broker(&connect, &clock).look_up(ClientOrderId::new("og-1")).await;
        assert!(matches!(answer, LookupAnswer::Unavailable(_)), "{answer:?}");
        assert_eq!(clock.now().mono.since(started), Duration::from_secs(longest));
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_without_look_up_is_not_asked() {
    let (clock, connect) = (TestClock::new(), TestConnect::new(takes()));
    let config = HttpBrokerConfig { capabilities: Capabilities::blind(), ..support::config() };
    let broker = HttpBroker::new(config, connect.clone(), clock).unwrap();
    let answer = broker.look_up(ClientOrderId::new("og-1")).await;
    assert!(matches!(answer, LookupAnswer::Unavailable(_)), "{answer:?}");
    assert!(connect.asked_for.lock().unwrap().is_empty());
}
