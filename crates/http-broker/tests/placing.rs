//! Every row of the table from what the network did to what is known of an order.

#![allow(clippy::unwrap_used)] // Clippy knows tests by their attribute, and helpers bear none.

mod support;

use std::sync::Arc;
use std::time::Duration;

use oncegate_coordinator::{Broker, Clock};
use oncegate_http_broker::{HttpBroker, HttpBrokerConfig, Secret};
use oncegate_protocol::{BrokerOrderId, ClientOrderId, Fingerprint, Order, Outcome};
use support::{Faults, Peer, SIGNAL, START, TestClock, TestConnect, answer_with, broker, http, order, pause, takes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ACCEPTED: &str = r#"{"status":"accepted","client_order_id":"og-1","broker_order_id":"b-1"}"#;
const DUPLICATE: &str = r#"{"status":"duplicate","client_order_id":"og-1","broker_order_id":"b-1"}"#;
const REJECTED: &str = r#"{"status":"rejected","client_order_id":"og-1","reason":"no funds"}"#;

/// Places one order with a peer that answers `bytes` to the request and closes.
async fn placed(bytes: &[u8]) -> Outcome {
    let (clock, connect) = (TestClock::new(), TestConnect::new(takes()));
    let broker = broker(&connect, &clock);
    tokio::join!(broker.place(order(&clock)), answer_with(&connect, bytes)).0
}

/// Places one order with a peer that misbehaves before anything can be answered; says how long it took.
async fn placed_with(peer: Peer, change: impl FnOnce(&mut Order)) -> (Outcome, Duration, Arc<TestConnect>) {
    let (clock, connect) = (TestClock::new(), TestConnect::new(peer));
    let mut order = order(&clock);
    change(&mut order);
    let started = clock.now().mono;
    let outcome = broker(&connect, &clock).place(order).await;
    (outcome, clock.now().mono.since(started), connect)
}

fn accepted() -> Outcome {
    Outcome::Accepted(BrokerOrderId::new("b-1"))
}

fn assert_unknown(outcome: &Outcome, shows: &str) {
    assert!(matches!(outcome, Outcome::Unknown(text) if text.contains(shows)), "{shows}: {outcome:?}");
}

fn assert_not_sent(outcome: &Outcome, shows: &str) {
    assert!(matches!(outcome, Outcome::NotSent(text) if text.contains(shows)), "{shows}: {outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn the_request_is_these_bytes() {
    let (clock, connect) = (TestClock::new(), TestConnect::new(takes()));
    let config = HttpBrokerConfig {
        path_prefix: "/api/v1".into(),
        bearer_token: Some(Secret::new("hunter2")),
        ..support::config()
    };
    let broker = HttpBroker::new(config, connect.clone(), clock.clone()).unwrap();
    let answer = http(201, ACCEPTED);
    let (outcome, request) = tokio::join!(broker.place(order(&clock)), answer_with(&connect, &answer));
    assert_eq!(outcome, accepted());
    let fingerprint = Fingerprint::of_bytes(b"signal");
    let body =
        format!(r#"{{"client_order_id":"og-1","fingerprint":"{fingerprint}","leg":0,"epoch":7,"signal":{SIGNAL}}}"#);
    let expected = format!(
        "POST /api/v1/orders HTTP/1.1\r\n\
         host: broker:8080\r\n\
         connection: close\r\n\
         authorization: Bearer hunter2\r\n\
         content-type: application/json\r\n\
         idempotency-key: og-1\r\n\
         x-fencing-token: 7\r\n\
         content-length: {}\r\n\
         \r\n\
         {body}",
        body.len()
    );
    assert_eq!(request, expected);
    assert_eq!(*connect.asked_for.lock().unwrap(), ["broker:8080"]);
}

#[tokio::test(start_paused = true)]
async fn a_well_formed_echo_is_believed() {
    assert_eq!(placed(&http(201, ACCEPTED)).await, accepted());
    assert_eq!(placed(&http(200, DUPLICATE)).await, accepted());
    assert_eq!(placed(&http(409, DUPLICATE)).await, accepted());
    assert_eq!(placed(&http(422, REJECTED)).await, Outcome::Rejected("no funds".into()));
}

#[tokio::test(start_paused = true)]
async fn framing_and_interim_answers_do_not_matter() {
    let length = ACCEPTED.len();
    let chunked = format!(
        "HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        &ACCEPTED[..5],
        length - 5,
        &ACCEPTED[5..]
    );
    assert_eq!(placed(chunked.as_bytes()).await, accepted());
    let until_close = format!("HTTP/1.1 201 Created\r\n\r\n{ACCEPTED}");
    assert_eq!(placed(until_close.as_bytes()).await, accepted());
    let interim = [b"HTTP/1.1 103 Early Hints\r\n\r\n".as_slice(), &http(201, ACCEPTED)].concat();
    assert_eq!(placed(&interim).await, accepted());
}

#[tokio::test(start_paused = true)]
async fn status_and_body_that_disagree_are_unknown() {
    for (status, body) in [(500, ACCEPTED), (200, ACCEPTED), (301, ACCEPTED), (404, REJECTED), (400, REJECTED)] {
        assert_unknown(&placed(&http(status, body)).await, &status.to_string());
    }
    assert_unknown(&placed(&http(201, REJECTED)).await, "do not agree");
    assert_unknown(&placed(&http(503, "<html>busy</html>")).await, "<html>busy</html>");
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_another_order_is_unknown() {
    for (status, body) in [(201, ACCEPTED), (200, DUPLICATE), (409, DUPLICATE), (422, REJECTED)] {
        assert_unknown(&placed(&http(status, &body.replace("og-1", "og-2"))).await, "another order");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_body_is_unknown() {
    assert_unknown(&placed(&http(201, "")).await, "no JSON object");
    assert_unknown(&placed(b"HTTP/1.1 201 Created\r\n\r\n").await, "no JSON object");
    assert_unknown(&placed(b"HTTP/1.1 204 No Content\r\n\r\n").await, "204");
}

#[tokio::test(start_paused = true)]
async fn an_answer_cut_anywhere_is_unknown() {
    let answer = http(201, ACCEPTED);
    for length in 0..answer.len() {
        let outcome = placed(&answer[..length]).await;
        assert!(matches!(outcome, Outcome::Unknown(_)), "cut at {length}: {outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_http_is_unknown() {
    assert_unknown(&placed(b"SSH-2.0-OpenSSH_9.9\r\n").await, "lost the answer");
    assert_unknown(&placed(&[0; 64]).await, "lost the answer");
    let endless_head = [b"HTTP/1.1 201 Created\r\nx: ".as_slice(), &[b'a'; 200_000]].concat();
    assert_unknown(&placed(&endless_head).await, "lost the answer");
}

#[tokio::test(start_paused = true)]
async fn an_oversized_answer_is_unknown_even_if_it_says_accepted() {
    let padded = |total: usize| ACCEPTED.replacen('{', &format!("{{{}", " ".repeat(total - ACCEPTED.len())), 1);
    assert_eq!(placed(&http(201, &padded(64 * 1024))).await, accepted());
    assert_unknown(&placed(&http(201, &padded(64 * 1024 + 1))).await, "more than 65536 bytes");
}

#[tokio::test(start_paused = true)]
async fn a_reset_after_the_request_is_unknown() {
    let faults = Faults { resets: true, ..Faults::default() };
    let connect = TestConnect::new(Peer::Takes { after: Duration::ZERO, faults });
    let clock = TestClock::new();
    let broker = broker(&connect, &clock);
    let (outcome, _) = tokio::join!(broker.place(order(&clock)), answer_with(&connect, b""));
    assert_unknown(&outcome, "connection reset");
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_unknown_at_the_timeout_and_not_later() {
    for sent_in_time in [0, 10, http(201, ACCEPTED).len() - 1] {
        let (clock, connect) = (TestClock::new(), TestConnect::new(takes()));
        let started = clock.now().mono;
        let broker = broker(&connect, &clock);
        let slow = async {
            let mut stream = connect.accept().await;
            support::read_request(&mut stream).await;
            stream.write_all(&http(201, ACCEPTED)[..sent_in_time]).await.unwrap();
            pause(Duration::from_secs(60)).await;
            // The client has hung up by then: its future took the connection with it.
            assert!(stream.write_all(&http(201, ACCEPTED)[sent_in_time..]).await.is_err());
        };
        let place = async {
            let outcome = broker.place(order(&clock)).await;
            (outcome, clock.now().mono.since(started))
        };
        let ((outcome, took), ()) = tokio::join!(place, slow);
        assert_unknown(&outcome, "did not answer within 4s");
        assert_eq!(took, Duration::from_secs(4));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_come_after_send_before() {
    let (clock, connect) = (TestClock::new(), TestConnect::new(takes()));
    let broker = broker(&connect, &clock);
    let slow = async {
        let mut stream = connect.accept().await;
        support::read_request(&mut stream).await;
        pause(Duration::from_secs(3)).await;
        stream.write_all(&http(201, ACCEPTED)).await.unwrap();
    };
    assert_eq!(tokio::join!(broker.place(order(&clock)), slow).0, accepted());
}

#[tokio::test(start_paused = true)]
async fn no_connection_is_not_sent() {
    let (outcome, took, _) = placed_with(Peer::Refuses, |_| {}).await;
    assert_not_sent(&outcome, "connection refused");
    assert_eq!(took, Duration::ZERO);
    // The connecting is given up when nothing could be sent over it any more.
    let (outcome, took, _) = placed_with(Peer::Silent, |_| {}).await;
    assert_not_sent(&outcome, "no connection within 2s");
    assert_eq!(took, Duration::from_secs(2));
    let (outcome, took, _) = placed_with(Peer::Silent, |order| order.timeout = Duration::from_secs(1)).await;
    assert_not_sent(&outcome, "no connection within 1s");
    assert_eq!(took, Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn an_order_that_is_late_already_is_not_even_connected_for() {
    let (outcome, _, connect) = placed_with(takes(), |order| order.send_before = START).await;
    assert_not_sent(&outcome, "before connecting");
    assert!(connect.asked_for.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_byte_leaves_when_the_connection_stands_too_late() {
    // Ready exactly at `send_before`: the call wins the race for the connection, and the clock decides.
    let peer = Peer::Takes { after: Duration::from_secs(2), faults: Faults::default() };
    let (outcome, took, connect) = placed_with(peer, |_| {}).await;
    assert_not_sent(&outcome, "between connecting");
    assert_eq!(took, Duration::from_secs(2));
    let mut seen = Vec::new();
    connect.accept().await.read_to_end(&mut seen).await.unwrap();
    assert!(seen.is_empty(), "{}", String::from_utf8_lossy(&seen));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_byte_is_not_sent() {
    let faults = Faults { writes_hang: true, ..Faults::default() };
    for (timeout, shows) in [(1, "took no byte within 1s"), (4, "between connecting")] {
        let peer = Peer::Takes { after: Duration::ZERO, faults };
        let timeout = Duration::from_secs(timeout);
        let (outcome, took, connect) = placed_with(peer, |order| order.timeout = timeout).await;
        assert_not_sent(&outcome, shows);
        assert_eq!(took, timeout);
        let mut seen = Vec::new();
        connect.accept().await.read_to_end(&mut seen).await.unwrap();
        assert!(seen.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_hangs_up_before_the_first_byte_is_not_sent() {
    for resets in [false, true] {
        let faults = Faults { hangs_up: true, resets, ..Faults::default() };
        let (outcome, _, _) = placed_with(Peer::Takes { after: Duration::ZERO, faults }, |_| {}).await;
        assert_not_sent(&outcome, "ended before the first byte");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_failed_proves_nothing() {
    let faults = Faults { writes_fail: true, ..Faults::default() };
    let (outcome, _, _) = placed_with(Peer::Takes { after: Duration::ZERO, faults }, |_| {}).await;
    assert_unknown(&outcome, "broken pipe");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_a_request_is_not_sent() {
    let (outcome, _, connect) = placed_with(takes(), |order| order.body = b"{\"half\":".to_vec()).await;
    assert_not_sent(&outcome, "is not JSON");
    assert!(connect.asked_for.lock().unwrap().is_empty());
    let (outcome, _, connect) =
        placed_with(takes(), |order| order.client_order_id = ClientOrderId::new("og\r\nx: y")).await;
    assert_not_sent(&outcome, "makes no HTTP request");
    assert!(connect.asked_for.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_takes_the_connection_with_it() {
    let (clock, connect) = (TestClock::new(), TestConnect::new(takes()));
    let broker = broker(&connect, &clock);
    let mut place = broker.place(order(&clock));
    let mut stream = tokio::select! {
        biased;
        _ = &mut place => panic!("nobody answered"),
        stream = connect.accept() => stream,
    };
    tokio::select! {
        biased;
        _ = &mut place => panic!("nobody answered"),
        _ = support::read_request(&mut stream) => {}
    }
    drop(place);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    assert!(stream.write_all(b"x").await.is_err());
}
