//! The paper broker, called directly and over HTTP; the two ends of the order API understand each other.

#![allow(clippy::unwrap_used)] // Clippy knows tests by their attribute, and helpers bear none.

mod support;

use std::sync::Arc;

use bytes::Bytes;
use oncegate_coordinator::Broker;
use oncegate_http_broker::{Ask, PaperBroker, PaperKind, Reply, serve, serve_paper};
use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::{BrokerOrderId, ClientOrderId, DedupScope, Epoch, Leg, Order, Outcome};
use support::{SIGNAL, START, TestClock, TestConnect, broker, order, takes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn accepted(id: &str) -> Outcome {
    Outcome::Accepted(BrokerOrderId::new(id))
}

#[tokio::test(start_paused = true)]
async fn the_same_id_is_one_order_for_ever() {
    let clock = TestClock::new();
    let paper = PaperBroker::new(clock.clone());
    let first = order(&clock);
    let id = first.client_order_id.clone();
    assert_eq!(paper.look_up(id.clone()).await, LookupAnswer::NotFound);
    assert_eq!(paper.place(first.clone()).await, accepted("paper-1"));
    assert_eq!(paper.place(Order { epoch: Epoch(9), ..first.clone() }).await, accepted("paper-1"));
    let second = Order { client_order_id: ClientOrderId::new("og-2"), leg: Leg(1), ..first.clone() };
    assert_eq!(paper.place(second).await, accepted("paper-2"));
    assert_eq!(paper.look_up(id.clone()).await, LookupAnswer::Found(BrokerOrderId::new("paper-1")));
    let book = paper.orders();
    assert_eq!(book.len(), 2);
    assert_eq!((book[&id].times_offered, book[&id].epoch), (2, Epoch(7)));
    assert_eq!(book[&id].body, SIGNAL.as_bytes());
}

#[tokio::test(start_paused = true)]
async fn an_order_that_comes_too_late_is_not_taken() {
    let clock = TestClock::new();
    let paper = PaperBroker::new(clock.clone());
    let late = Order { send_before: START, ..order(&clock) };
    assert!(matches!(paper.place(late).await, Outcome::NotSent(_)));
    assert!(paper.orders().is_empty());
}

#[tokio::test(start_paused = true)]
async fn over_http_it_is_the_same_broker() {
    let (clock, connect) = (TestClock::new(), TestConnect::new(takes()));
    let paper = Arc::new(PaperBroker::new(clock.clone()));
    let server = async {
        for _ in 0..4 {
            serve_paper(connect.accept().await, paper.clone()).await.unwrap();
        }
    };
    let client = async {
        let http = broker(&connect, &clock);
        let order = order(&clock);
        let id = order.client_order_id.clone();
        assert_eq!(http.look_up(id.clone()).await, LookupAnswer::NotFound);
        assert_eq!(http.place(order.clone()).await, accepted("paper-1"));
        assert_eq!(http.place(order).await, accepted("paper-1"));
        assert_eq!(http.look_up(id.clone()).await, LookupAnswer::Found(BrokerOrderId::new("paper-1")));
        assert_eq!(paper.orders()[&id].body, SIGNAL.as_bytes());
        assert_eq!(paper.orders()[&id].times_offered, 2);
    };
    tokio::join!(client, server);
}

/// What the server answers to these bytes, with the question that reached its handler.
async fn served(request: &str, reply: Option<Reply>) -> (String, Option<String>) {
    let (mut ours, theirs) = tokio::io::duplex(1 << 20);
    let asked = std::sync::Mutex::new(None);
    let server = async {
        let served = serve(theirs, |ask| {
            *asked.lock().unwrap() = Some(match ask {
                Ask::Place(order) => format!("place {}", order.client_order_id),
                Ask::LookUp(id) => format!("look up {id}"),
            });
            std::future::ready(reply.clone())
        });
        served.await.ok();
    };
    let client = async {
        ours.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        ours.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = tokio::join!(client, server).0;
    (answer, asked.into_inner().unwrap())
}

fn post(key: &str, token: u64, content_type: &str) -> String {
    let fingerprint = "0".repeat(64);
    let body =
        format!(r#"{{"client_order_id":"og-1","fingerprint":"{fingerprint}","leg":0,"epoch":7,"signal":{SIGNAL}}}"#);
    format!(
        "POST /orders HTTP/1.1\r\nhost: b\r\nconnection: close\r\ncontent-type: {content_type}\r\n\
         idempotency-key: {key}\r\nx-fencing-token: {token}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test(start_paused = true)]
async fn the_answer_is_these_bytes_and_bears_no_date() {
    let reply = Reply { status: 299, body: Bytes::from_static(b"{any bytes}") };
    let (answer, asked) = served(&post("og-1", 7, "application/json"), Some(reply)).await;
    assert_eq!(asked.as_deref(), Some("place og-1"));
    assert_eq!(
        answer,
        "HTTP/1.1 299 <none>\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 11\r\n\r\n\
         {any bytes}"
    );
}

#[tokio::test(start_paused = true)]
async fn no_reply_cuts_the_connection() {
    let (answer, asked) = served(&post("og-1", 7, "application/json"), None).await;
    assert_eq!((answer.as_str(), asked.as_deref()), ("", Some("place og-1")));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_order_api_is_refused_loudly_and_reaches_no_handler() {
    let simple = |line: &str| format!("{line} HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n");
    let strangers = [
        (post("og-2", 7, "application/json"), "400", "idempotency-key"),
        (post("og-1", 8, "application/json"), "400", "x-fencing-token"),
        (post("og-1", 7, "text/plain"), "400", "content-type"),
        (post("og-1", 7, "application/json").replace("\"leg\":0", "\"leg\":x"), "400", "no order"),
        (simple("POST /orders"), "400", "no order"),
        (simple("GET /"), "404", "no /"),
        (simple("GET /orders"), "404", "no /orders"),
        (simple("DELETE /orders/og-1"), "501", "DELETE"),
        (simple("POST /order"), "501", "/order"),
    ];
    for (request, status, flaw) in strangers {
        let (answer, asked) = served(&request, Some(Reply { status: 201, body: Bytes::new() })).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(flaw), "{request}\n{answer}");
        assert_eq!(asked, None, "{request}");
    }
}

/// A journal that several can read.
#[derive(Clone, Default)]
struct Journal(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Journal {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        std::io::Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Has no room.
struct Full;

impl std::io::Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_executes_repeats_and_answers_look_ups_as_it_declares() {
    for (kind, executed, can_look_up) in
        [(PaperKind::Deduplicates, 1, true), (PaperKind::LooksUp, 3, true), (PaperKind::Blind, 3, false)]
    {
        let clock = TestClock::new();
        let (paper, journal) = (PaperBroker::of_kind(kind, clock.clone()), Journal::default());
        paper.write_to(journal.clone());
        let order = order(&clock);
        for _ in 0..3 {
            assert!(matches!(paper.place(order.clone()).await, Outcome::Accepted(_)));
        }
        let found = paper.look_up(order.client_order_id.clone()).await;
        assert_eq!(matches!(found, LookupAnswer::Found(_)), can_look_up, "{}", kind.name());
        let lines = String::from_utf8(journal.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), executed, "{}", kind.name());
        assert!(lines.iter().all(|line| line["client_order_id"] == order.client_order_id.as_str()));
        assert_eq!(paper.capabilities().dedup == DedupScope::Forever, executed == 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_journal_does_not_take_is_not_executed() {
    let clock = TestClock::new();
    let paper = PaperBroker::new(clock.clone());
    paper.write_to(Full);
    assert!(matches!(paper.place(order(&clock)).await, Outcome::Unknown(_)));
    assert!(paper.orders().is_empty());
}
