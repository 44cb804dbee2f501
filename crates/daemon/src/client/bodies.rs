//! The bodies of signals as they came: a price that is spelled anew is not the one in the broker's book, and a number of
//! more digits than fit would be another one.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::http::Answer;

/// Of a signal, or of a page of them, nothing but the bodies.
#[derive(Deserialize)]
struct Bodies<'a> {
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    #[serde(borrow, default)]
    signals: Vec<Bodies<'a>>,
}

/// `answer` with each body as the text that it came as, in one line.
pub(super) fn as_they_came(mut answer: Answer) -> Answer {
    if let Ok(raw) = serde_json::from_str::<Bodies<'_>>(&answer.text) {
        put(&raw, &mut answer.body);
    }
    answer
}

fn put(raw: &Bodies<'_>, seen: &mut Value) {
    if let (Some(raw), Some(body)) = (raw.body, seen.get_mut("body")) {
        *body = Value::String(in_one_line(raw.get()));
    }
    if let Some(signals) = seen.get_mut("signals").and_then(Value::as_array_mut) {
        raw.signals.iter().zip(signals).for_each(|(raw, seen)| put(raw, seen));
    }
}

/// JSON without the space between its words, which may hold line breaks.
fn in_one_line(json: &str) -> String {
    let (mut in_text, mut escaped) = (false, false);
    let keep = |c: &char| {
        if in_text {
            in_text = escaped || *c != '"';
            escaped = !escaped && *c == '\\';
            return true;
        }
        in_text = *c == '"';
        !c.is_ascii_whitespace()
    };
    json.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_shown_digit_for_digit_and_key_for_key() {
        let body = "{ \"px\" : 1.10,\n \"a\\\\\": \"two  \\\" words\", \"n\": 0.12345678901234567890 }";
        let shown = r#"{"px":1.10,"a\\":"two  \" words","n":0.12345678901234567890}"#;
        let one = format!(r#"{{"state":"received","body":{body}}}"#);
        let page = format!(r#"{{"signals":[{one},{one}],"next":null}}"#);
        let seen = |text: &str| {
            as_they_came(Answer { status: 200, body: serde_json::from_str(text).unwrap(), text: text.to_owned() }).body
        };
        assert_eq!(seen(&one)["body"], shown);
        assert_eq!(seen(&one)["state"], "received");
        assert_eq!(seen(&page)["signals"][1]["body"], shown);
    }
}
