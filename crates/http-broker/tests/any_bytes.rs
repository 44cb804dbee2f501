//! Whatever a peer answers: "accepted" and "rejected" are said only of a true and whole echo, and nothing
//! panics or hangs.

#![allow(clippy::unwrap_used)] // Clippy knows tests by their attribute, and helpers bear none.

mod support;

use oncegate_coordinator::{Broker, Clock};
use oncegate_protocol::{BrokerOrderId, Outcome};
use proptest::prelude::*;
use support::{TestClock, TestConnect, answer_with, broker, order, takes};

fn placed(bytes: &[u8]) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (clock, connect) = (TestClock::new(), TestConnect::new(takes()));
        let started = clock.now().mono;
        let order = order(&clock);
        let timeout = order.timeout;
        let broker = broker(&connect, &clock);
        let outcome = tokio::join!(broker.place(order), answer_with(&connect, bytes)).0;
        assert!(clock.now().mono.since(started) <= timeout);
        outcome
    })
}

/// How the body is delimited.
#[derive(Clone, Copy, Debug)]
enum Framing {
    Length,
    Chunked,
    UntilClose,
}

/// An answer that may be flawless, or off in any of its parts.
#[derive(Clone, Debug)]
struct Answer {
    status: u16,
    name: &'static str,
    id: &'static str,
    broker_order_id: Option<&'static str>,
    reason: Option<&'static str>,
    framing: Framing,
    /// How many of a thousand parts of it arrive.
    arrives: usize,
}

impl Answer {
    fn bytes(&self) -> Vec<u8> {
        let mut body = serde_json::json!({ "status": self.name, "client_order_id": self.id });
        if let Some(id) = self.broker_order_id {
            body["broker_order_id"] = id.into();
        }
        if let Some(reason) = self.reason {
            body["reason"] = reason.into();
        }
        let body = body.to_string();
        let length = body.len();
        let head = format!("HTTP/1.1 {} Whatever\r\n", self.status);
        let whole = match self.framing {
            Framing::Length => format!("{head}content-length: {length}\r\n\r\n{body}"),
            Framing::Chunked => {
                format!("{head}transfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n")
            }
            Framing::UntilClose => format!("{head}\r\n{body}"),
        };
        let arriving = whole.len() * self.arrives / 1000;
        whole.into_bytes()[..arriving].to_vec()
    }

    /// What it proves, worked out from its parts alone.
    fn proves(&self) -> Option<Outcome> {
        if self.arrives < 1000 || self.id != "og-1" {
            return None;
        }
        let accepted =
            self.broker_order_id.filter(|id| !id.is_empty()).map(|id| Outcome::Accepted(BrokerOrderId::new(id)));
        match (self.status, self.name) {
            (201, "accepted") | (200 | 409, "duplicate") => accepted,
            (422, "rejected") => self.reason.map(|reason| Outcome::Rejected(reason.into())),
            _ => None,
        }
    }
}

fn answers() -> impl Strategy<Value = Answer> {
    let status = prop_oneof![6 => prop::sample::select(vec![200u16, 201, 409, 422]), 1 => 200..600u16];
    let name = prop::sample::select(vec!["accepted", "duplicate", "rejected", "not_found", "pending"]);
    let id = prop::sample::select(vec!["og-1", "og-1", "og-1", "og-2", "", "og-1 "]);
    let broker_order_id = prop::sample::select(vec![Some("b-1"), Some("b-1"), Some(""), None]);
    let reason = prop::sample::select(vec![Some("no funds"), Some(""), None]);
    let framing = prop::sample::select(vec![Framing::Length, Framing::Chunked, Framing::UntilClose]);
    let arrives = prop_oneof![3 => Just(1000usize), 1 => 0..1000usize];
    (status, name, id, broker_order_id, reason, framing, arrives).prop_map(
        |(status, name, id, broker_order_id, reason, framing, arrives)| Answer {
            status,
            name,
            id,
            broker_order_id,
            reason,
            framing,
            arrives,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_answer_is_believed_if_and_only_if_it_is_whole_and_ours(answer in answers()) {
        let outcome = placed(&answer.bytes());
        match answer.proves() {
            Some(proven) => prop_assert_eq!(outcome, proven),
            None => prop_assert!(matches!(outcome, Outcome::Unknown(_)), "{:?}", outcome),
        }
    }

    #[test]
    fn noise_is_unknown(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let outcome = placed(&bytes);
        prop_assert!(matches!(outcome, Outcome::Unknown(_)), "{:?}", outcome);
    }

    /// A flawless answer with some bytes replaced: believed only if status and body still say what they said,
    /// which leaves white space, reason phrases and the broker's own name for the order.
    #[test]
    fn a_damaged_answer_proves_no_more_than_it_still_says(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let body = r#"{"status":"accepted","client_order_id":"og-1","broker_order_id":"b-1"}"#;
        let mut bytes = support::http(201, body);
        for (index, byte) in damage {
            let length = bytes.len();
            bytes[index.index(length)] = byte;
        }
        match placed(&bytes) {
            Outcome::Unknown(_) => {}
            Outcome::Accepted(_) => {
                let text = String::from_utf8_lossy(&bytes);
                prop_assert!(text.starts_with("HTTP/1.") && text[8..].trim_start().starts_with("201"), "{}", text);
                prop_assert!(text.contains(r#""accepted""#) && text.contains(r#""og-1""#), "{}", text);
            }
            other @ (Outcome::Rejected(_) | Outcome::NotSent(_)) => prop_assert!(false, "{:?}", other),
        }
    }
}
