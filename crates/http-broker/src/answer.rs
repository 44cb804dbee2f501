//! What an HTTP answer proves. Pure: status and body in, knowledge out.
//!
//! The rule is one table, and whatever is not in it proves nothing:
//!
//! | asked | status | body, echoing our id | known |
//! |---|---|---|---|
//! | place | 201 | accepted | accepted |
//! | place | 200, 409 | duplicate | accepted |
//! | place | 422 | rejected | rejected |
//! | look up | 200 | accepted | found |
//! | look up | 404 | not found | not found |
//!
//! Status and body must agree. A 500 with an accepting body, or a 404 from a proxy that never heard of the
//! broker, is somebody's word against somebody else's.

use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::{ClientOrderId, Outcome};

use crate::wire::OrderAnswer;

/// How much of an answer that proves nothing is shown to people, in characters.
const EXCERPT_CHARS: usize = 200;

/// What the answer to `POST /orders` proves about the order placed under `id`.
pub fn outcome(id: &ClientOrderId, status: u16, body: &[u8]) -> Outcome {
    match (status, read(id, body)) {
        (201, Ok(OrderAnswer::Accepted { broker_order_id, .. }))
        | (200 | 409, Ok(OrderAnswer::Duplicate { broker_order_id, .. })) => Outcome::Accepted(broker_order_id),
        (422, Ok(OrderAnswer::Rejected { reason, .. })) => Outcome::Rejected(reason),
        (_, Ok(_)) => Outcome::Unknown(seen(status, "its status and its body do not agree", body)),
        (_, Err(flaw)) => Outcome::Unknown(seen(status, &flaw, body)),
    }
}

/// What the answer to `GET /orders/{id}` proves.
pub fn lookup(id: &ClientOrderId, status: u16, body: &[u8]) -> LookupAnswer {
    match (status, read(id, body)) {
        (200, Ok(OrderAnswer::Accepted { broker_order_id, .. })) => LookupAnswer::Found(broker_order_id),
        (404, Ok(OrderAnswer::NotFound { .. })) => LookupAnswer::NotFound,
        (_, Ok(_)) => LookupAnswer::Unavailable(seen(status, "its status and its body do not agree", body)),
        (_, Err(flaw)) => LookupAnswer::Unavailable(seen(status, &flaw, body)),
    }
}

/// The body as an answer about `id`, or what is wrong with it.
fn read(id: &ClientOrderId, body: &[u8]) -> Result<OrderAnswer, String> {
    // Serde would also take the members as an array, in order; the order API doesn't.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err("its body is no JSON object".into());
    }
    let answer: OrderAnswer =
        serde_json::from_slice(body).map_err(|e| format!("its body is no answer of the order API ({e})"))?;
    if answer.client_order_id() != id {
        return Err(format!("it is about another order, not {id}"));
    }
    match &answer {
        OrderAnswer::Accepted { broker_order_id, .. } | OrderAnswer::Duplicate { broker_order_id, .. }
            if broker_order_id.as_str().is_empty() =>
        {
            Err("it names no broker order".into())
        }
        OrderAnswer::Accepted { .. }
        | OrderAnswer::Duplicate { .. }
        | OrderAnswer::Rejected { .. }
        | OrderAnswer::NotFound { .. } => Ok(answer),
    }
}

fn seen(status: u16, flaw: &str, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let excerpt: String = text.chars().take(EXCERPT_CHARS).flat_map(char::escape_debug).collect();
    let cut = if text.chars().nth(EXCERPT_CHARS).is_some() { " ..." } else { "" };
    format!("the answer {status} proves nothing: {flaw}; body ({} bytes): {excerpt}{cut}", body.len())
}

#[cfg(test)]
mod tests {
    use oncegate_protocol::BrokerOrderId;

    use super::*;

    const BODIES: [(&str, &str); 4] = [
        ("accepted", r#"{"status":"accepted","client_order_id":"og-1","broker_order_id":"b-1"}"#),
        ("duplicate", r#"{"status":"duplicate","client_order_id":"og-1","broker_order_id":"b-1"}"#),
        ("rejected", r#"{"status":"rejected","client_order_id":"og-1","reason":"no funds"}"#),
        ("not_found", r#"{"status":"not_found","client_order_id":"og-1"}"#),
    ];

    /// Every status there is x every body there is.
    #[test]
    fn only_the_table_proves_anything() {
        let id = ClientOrderId::new("og-1");
        for status in 100..1000 {
            for (name, body) in BODIES {
                let placed = outcome(&id, status, body.as_bytes());
                match (status, name) {
                    (201, "accepted") | (200 | 409, "duplicate") => {
                        assert_eq!(placed, Outcome::Accepted(BrokerOrderId::new("b-1")), "{status} {name}");
                    }
                    (422, "rejected") => assert_eq!(placed, Outcome::Rejected("no funds".into())),
                    _ => assert!(matches!(placed, Outcome::Unknown(_)), "{status} {name}: {placed:?}"),
                }
                let found = lookup(&id, status, body.as_bytes());
                match (status, name) {
                    (200, "accepted") => assert_eq!(found, LookupAnswer::Found(BrokerOrderId::new("b-1"))),
                    (404, "not_found") => assert_eq!(found, LookupAnswer::NotFound),
                    _ => assert!(matches!(found, LookupAnswer::Unavailable(_)), "{status} {name}: {found:?}"),
                }
            }
        }
    }

    /// Every answer, cut anywhere, about another order, or with something wrong inside.
    #[test]
    fn a_flawed_body_proves_nothing_under_any_status() {
        let id = ClientOrderId::new("og-1");
        let mut flawed: Vec<String> = vec![
            r#"{"status":"accepted","client_order_id":"og-1","broker_order_id":""}"#.into(),
            r#"{"status":"duplicate","client_order_id":"og-1","broker_order_id":""}"#.into(),
            r#"{"status":"accepted","client_order_id":"og-1","broker_order_id":7}"#.into(),
            r#"{"status":"accepted","client_order_id":"og-1","broker_order_id":null}"#.into(),
            r#"{"status":"accepted","status":"rejected","client_order_id":"og-1","broker_order_id":"b"}"#.into(),
            r#"{"status":"accepted","client_order_id":"og-2","client_order_id":"og-1","broker_order_id":"b"}"#.into(),
            r#"{"status":"ACCEPTED","client_order_id":"og-1","broker_order_id":"b-1"}"#.into(),
            r#"{"client_order_id":"og-1","broker_order_id":"b-1"}"#.into(),
            r#"["accepted","og-1","b-1"]"#.into(),
            "null".into(),
        ];
        for (_, body) in BODIES {
            flawed.extend((0..body.len()).map(|length| body[..length].to_owned()));
            flawed.push(body.replace("og-1", "og-2"));
            flawed.push(body.replace("og-1", "OG-1"));
            flawed.push(format!("{body}{body}"));
            flawed.push(format!("[{body}]"));
        }
        for body in flawed {
            for status in [200, 201, 404, 409, 422] {
                let placed = outcome(&id, status, body.as_bytes());
                assert!(matches!(placed, Outcome::Unknown(_)), "{status} {body}: {placed:?}");
                let found = lookup(&id, status, body.as_bytes());
                assert!(matches!(found, LookupAnswer::Unavailable(_)), "{status} {body}: {found:?}");
            }
        }
    }

    #[test]
    fn members_that_we_do_not_know_are_ignored() {
        let body = r#"{"venue":"x","status":"accepted","client_order_id":"og-1","broker_order_id":"b","at":[1,{}]}"#;
        let placed = outcome(&ClientOrderId::new("og-1"), 201, body.as_bytes());
        assert_eq!(placed, Outcome::Accepted(BrokerOrderId::new("b")));
    }

    #[test]
    fn what_was_seen_is_shown_short_and_on_one_line() {
        let body = format!("<html>\n{}", "x".repeat(10_000));
        let Outcome::Unknown(text) = outcome(&ClientOrderId::new("og-1"), 502, body.as_bytes()) else {
            panic!("a 502 proves nothing");
        };
        assert!(text.contains("502") && text.contains("<html>\\n") && text.ends_with(" ..."), "{text}");
        assert!(!text.contains('\n') && text.len() < 500, "{text}");
    }
}
