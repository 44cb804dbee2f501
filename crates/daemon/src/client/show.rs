//! What the API says, for people.

use std::fmt::Write as _;

use serde_json::Value;

use super::table::{Table, plain};
use crate::calendar::{length, second};

/// Text as it is, a number as digits, and a dash for what is not there.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => plain(text),
        other => plain(&other.to_string()),
    }
}

fn at(value: &Value) -> String {
    value.as_i64().map_or_else(|| "-".into(), second)
}

fn lasting(value: &Value) -> String {
    value.as_u64().map_or_else(|| "-".into(), length)
}

fn yes(value: &Value) -> &'static str {
    if value.as_bool().unwrap_or(false) { "yes" } else { "no" }
}

fn each<'a>(body: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    body[key].as_array().into_iter().flatten()
}

/// `GET /coordinator/leader`.
pub(super) fn leader(body: &Value) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "leader        {} (epoch {})", text(&body["db_leader"]), text(&body["epoch"]));
    let _ =
        writeln!(out, "lease         {}, runs {}", text(&body["redis_leader"]), lasting(&body["lease_remaining_ms"]));
    let _ = writeln!(out, "this node     {}, leads: {}", text(&body["this_instance"]), yes(&body["is_leader"]));
    let _ = writeln!(out, "split brain   {}", yes(&body["split_brain"]));
    out
}

/// `GET /v1/overview`.
pub(super) fn overview(body: &Value) -> String {
    let mut out = leader(&body["leader"]);
    let since = &body["leader"]["led_since_ms"];
    if !since.is_null() {
        let _ = writeln!(out, "leads since   {}", at(since));
    }
    match &body["paused"] {
        Value::Null => {}
        paused => {
            let _ = writeln!(out, "PAUSED        since {}: {}", at(&paused["since_ms"]), text(&paused["reason"]));
        }
    }
    let unreachable: Vec<String> = each(body, "unreachable").map(text).collect();
    if !unreachable.is_empty() {
        let _ =
            writeln!(out, "UNREACHABLE   {}: what is shown of it is the last that was known", unreachable.join(", "));
    }
    if each(body, "alerts").next().is_none() {
        let _ = writeln!(out, "alerts        none");
    }
    let mut nodes = Table::new(&["NODE", "LEADS", "ANSWERS", "LAST SEEN", "URL"]);
    for node in each(body, "nodes") {
        nodes.row([
            text(&node["instance"]),
            yes(&node["is_leader"]).into(),
            yes(&node["reachable"]).into(),
            at(&node["seen_at_ms"]),
            text(&node["url"]),
        ]);
    }
    let mut states = Table::new(&["STATE", "SIGNALS"]);
    for (state, count) in body["signals_by_state"].as_object().into_iter().flatten() {
        states.row([state.clone(), text(count)]);
    }
    let mut alerts = Table::new(&["ALERT", "SEVERITY", "SINCE", "WHAT"]);
    for alert in each(body, "alerts") {
        alerts.row([text(&alert["name"]), text(&alert["severity"]), at(&alert["since_ms"]), text(&alert["message"])]);
    }
    for table in [nodes, states, alerts] {
        if !table.is_empty() {
            let _ = write!(out, "\n{}", table.text());
        }
    }
    out
}

/// `GET /v1/signals`.
pub(super) fn signals(body: &Value) -> String {
    let mut table = Table::new(&["FINGERPRINT", "STATE", "AGE", "ATTEMPTS", "LAST OUTCOME", "SIGNAL"]);
    for signal in each(body, "signals") {
        let attempts = signal["attempts"].as_array().map_or(&[][..], Vec::as_slice);
        let last = attempts.last().map_or_else(|| "-".into(), |attempt| text(&attempt["outcome"]));
        let body = text(&signal["body"]);
        let mut start: String = body.chars().take(60).collect();
        if body.chars().count() > 60 {
            start.push_str("..");
        }
        table.row([
            text(&signal["fingerprint"]).chars().take(12).collect(),
            text(&signal["state"]),
            lasting(&signal["age_ms"]),
            attempts.len().to_string(),
            last,
            start,
        ]);
    }
    if table.is_empty() {
        return "no signals\n".into();
    }
    let mut out = table.text();
    if !body["next"].is_null() {
        let _ = writeln!(out, "\nOlder ones: --before {}", text(&body["next"]));
    }
    out
}

/// `GET /v1/signals/{fp}`.
pub(super) fn signal(body: &Value) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "signal    {}", text(&body["fingerprint"]));
    let _ = writeln!(out, "state     {}", text(&body["state"]));
    let _ = writeln!(out, "received  {} ({} ago)", at(&body["received_at_ms"]), lasting(&body["age_ms"]));
    let _ = writeln!(out, "expires   {}", at(&body["expires_at_ms"]));
    let _ = writeln!(out, "body      {}", text(&body["body"]));
    let mut attempts = Table::new(&["LEG", "NO", "EPOCH", "CLAIMED", "OUTCOME", "CLIENT ORDER ID", "DETAIL", "OWNER"]);
    for attempt in each(body, "attempts") {
        let outcome = match &attempt["outcome"] {
            Value::Null => "none yet".into(),
            outcome => text(outcome),
        };
        let answered = if attempt["answered_for"].as_bool().unwrap_or(false) { " (answered for)" } else { "" };
        attempts.row([
            text(&attempt["leg"]),
            text(&attempt["number"]),
            text(&attempt["epoch"]),
            at(&attempt["claimed_at_ms"]),
            format!("{outcome}{answered}"),
            text(&attempt["client_order_id"]),
            text(&attempt["detail"]),
            text(&attempt["owner"]),
        ]);
    }
    let mut decisions = Table::new(&["DECIDED", "BY", "VERDICT", "WHY"]);
    for decision in each(body, "decisions") {
        let by = match &decision["leader"] {
            Value::Null => "an operator".into(),
            leader => text(leader),
        };
        decisions.row([at(&decision["at_ms"]), by, text(&decision["verdict"]), text(&decision["detail"])]);
    }
    for table in [attempts, decisions] {
        if !table.is_empty() {
            let _ = write!(out, "\n{}", table.text());
        }
    }
    out
}

/// `GET /coordinator/history`.
pub(super) fn history(body: &Value) -> String {
    let mut table = Table::new(&["EPOCH", "NODE", "FROM", "TO", "WHY IT ENDED"]);
    for term in each(body, "history") {
        table.row([
            text(&term["epoch"]),
            text(&term["instance"]),
            at(&term["opened_at_ms"]),
            at(&term["closed_at_ms"]),
            text(&term["reason"]),
        ]);
    }
    if table.is_empty() { "nobody has led yet\n".into() } else { table.text() }
}
