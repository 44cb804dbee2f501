//! Scenarios as files, as a person would write them.

use std::fmt::Write;

use toml::Value;

use super::Scenario;

/// The file's text; `story` becomes the comment at its head.
pub fn to_text(scenario: &Scenario, story: &str) -> String {
    let mut text = String::new();
    for line in story.lines() {
        let _ = writeln!(text, "{}", format!("# {line}").trim_end());
    }
    if !story.is_empty() {
        text.push('\n');
    }
    let Ok(Value::Table(root)) = Value::try_from(scenario) else { return text };
    let scalar = |value: &Value| !matches!(value, Value::Table(_) | Value::Array(_));
    for (key, value) in root.iter().filter(|(_, value)| scalar(value)) {
        let _ = writeln!(text, "{key} = {}", inline(value));
    }
    for key in ["world", "signal", "fault", "expect"] {
        match root.get(key) {
            Some(Value::Table(table)) => {
                let _ = writeln!(text, "\n[{key}]");
                members(&mut text, table);
            }
            Some(Value::Array(tables)) => {
                for table in tables.iter().filter_map(Value::as_table) {
                    let _ = writeln!(text, "\n[[{key}]]");
                    members(&mut text, table);
                }
            }
            _ => {}
        }
    }
    text
}

fn members(text: &mut String, table: &toml::Table) {
    // When comes before what.
    let early = ["id", "at", "when"];
    let late = table.iter().filter(|(key, _)| !early.contains(&key.as_str()));
    let members = early.iter().filter_map(|key| table.get_key_value(*key)).chain(late);
    for (key, value) in members {
        let _ = writeln!(text, "{key} = {}", inline(value));
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::Table(table) => {
            let members: Vec<_> = table.iter().map(|(key, value)| format!("{key} = {}", inline(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{generate, read};

    #[test]
    fn what_is_written_reads_back() {
        for seed in 0..200 {
            let scenario = generate::draw(seed);
            let text = to_text(&scenario, "a story\n\nof two paragraphs");
            assert_eq!(read::text_of("x", &text), Ok(scenario), "{text}");
        }
    }
}
