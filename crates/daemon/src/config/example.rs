//! `oncegate config example`: every key with what it is, its unit and its default, all commented out.
//!
//! It is made from the very definitions that files are read by, so that it can't say anything else than they do.

use std::fmt::Write as _;

use toml::{Table, Value};

use super::section::Field;
use super::{
    Api, Broker, Capabilities, HttpBroker, Identity, Instance, Lease, Limits, Listen, Log, Peer, Postgres, Redis,
    Sqlite, Store, Timing, Token, Webhook,
};

/// One table of the file.
struct Section {
    header: &'static str,
    about: &'static [&'static str],
    fields: &'static [Field],
    /// The values that hold when nothing is said.
    defaults: Table,
}

/// A line that would be longer is broken before its type.
const WIDTH: usize = 112;

const HEAD: &str = "\
# oncegate.toml: everything that can be said, each with its default. Nothing here is needed: without a line a default
# holds, and without a file all do. A key that is not known, a value of the wrong type and times that don't keep to
# their relations are refused; `oncegate config check FILE` tells with line and rule.
#
# A time is written \"500ms\", \"10s\", \"1m30s\", or as a whole number of milliseconds. A path is relative to this file's
# folder. A secret never stands here: it comes from a variable (.._env) or from a file (.._file) that is not open to
# every user of the host.
";

fn sections() -> Vec<Section> {
    fn section<T: serde::Serialize + Default>(
        header: &'static str,
        about: &'static [&'static str],
        fields: &'static [Field],
    ) -> Section {
        let defaults = Table::try_from(T::default()).expect("every section is a table");
        Section { header, about, fields, defaults }
    }
    vec![
        section::<Instance>("[instance]", Instance::ABOUT, Instance::FIELDS),
        section::<Listen>("[listen]", Listen::ABOUT, Listen::FIELDS),
        section::<Api>("[api]", Api::ABOUT, Api::FIELDS),
        section::<Limits>("[api.limits]", Limits::ABOUT, Limits::FIELDS),
        section::<Token>("[[api.token]]", Token::ABOUT, Token::FIELDS),
        section::<Webhook>("[[api.webhook]]", Webhook::ABOUT, Webhook::FIELDS),
        section::<Store>("[store]", Store::ABOUT, Store::FIELDS),
        section::<Sqlite>("[store.sqlite]", Sqlite::ABOUT, Sqlite::FIELDS),
        section::<Postgres>("[store.postgres]", Postgres::ABOUT, Postgres::FIELDS),
        section::<Lease>("[lease]", Lease::ABOUT, Lease::FIELDS),
        section::<Redis>("[lease.redis]", Redis::ABOUT, Redis::FIELDS),
        section::<Broker>("[broker]", Broker::ABOUT, Broker::FIELDS),
        section::<HttpBroker>("[broker.http]", HttpBroker::ABOUT, HttpBroker::FIELDS),
        section::<Capabilities>("[broker.capabilities]", Capabilities::ABOUT, Capabilities::FIELDS),
        section::<Identity>("[identity]", Identity::ABOUT, Identity::FIELDS),
        section::<Timing>("[timing]", Timing::ABOUT, Timing::FIELDS),
        section::<Peer>("[[peer]]", Peer::ABOUT, Peer::FIELDS),
        section::<Log>("[log]", Log::ABOUT, Log::FIELDS),
    ]
}

/// The example file.
pub fn text() -> String {
    let mut text = HEAD.to_owned();
    for section in sections() {
        text.push('\n');
        for line in section.about {
            let _ = writeln!(text, "#{line}");
        }
        // A table that may stand several times is not there once unless it is meant.
        let off = if section.header.starts_with("[[") { "# " } else { "" };
        let _ = writeln!(text, "{off}{}", section.header);
        for field in section.fields {
            let default = section.defaults.get(field.key);
            for (line, number) in field.doc.iter().zip(1..) {
                let _ = write!(text, "#   {}", line.trim());
                if number == field.doc.len() {
                    let says = says(field, default);
                    let fits = line.trim().len() + says.len() < WIDTH;
                    let _ = write!(text, "{}{says}", if fits { " " } else { "\n#   " });
                }
                text.push('\n');
            }
            let value = match (field.example, default) {
                (Some(example), _) => example.to_owned(),
                (None, Some(default)) => default.to_string(),
                (None, None) => unreachable!("a key without default has an example: a test says so"),
            };
            let _ = writeln!(text, "# {} = {value}", field.key);
        }
    }
    text
}

/// Its type and what holds without it.
fn says(field: &Field, default: Option<&Value>) -> String {
    let kind = match field.kind.trim_start_matches("Option<").trim_end_matches('>').trim() {
        "Time" => "time",
        "PathBuf" => "path",
        "bool" => "true or false",
        "usize" | "u32" => "whole number",
        "f64" => "fraction",
        "Vec<String" => "list of texts",
        _ => "text",
    };
    match default.filter(|_| field.example.is_none()) {
        Some(default) => format!("({kind}, default {default})"),
        None if field.kind.starts_with("Option") => format!("({kind}, no default)"),
        None => format!("({kind}, needed)"),
    }
}

/// Every key that the file may hold, as `table.key`, for tests and documents.
pub fn keys() -> Vec<String> {
    let keys = |section: &Section| {
        let table = section.header.trim_matches(['[', ']']).to_owned();
        section.fields.iter().map(move |field| format!("{table}.{}", field.key)).collect::<Vec<_>>()
    };
    sections().iter().flat_map(keys).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Config, read};
    use super::*;

    /// All that is commented out and no sentence.
    fn uncommented(text: &str) -> String {
        let is_line = |line: &str| {
            line.starts_with("# [[") || line.strip_prefix("# ").is_some_and(|line| line.split(' ').nth(1) == Some("="))
        };
        text.lines().map(|line| if is_line(line) { &line[2..] } else { line }).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_example_says_what_holds_without_it() {
        let (config, _) = read::text_of(Path::new("oncegate.toml"), text()).unwrap();
        assert_eq!(config, Config::default());
        insta::assert_snapshot!(text());
    }

    #[test]
    fn every_line_of_the_example_can_be_used_as_it_is() {
        let config: Config = toml::from_str(&uncommented(&text())).unwrap_or_else(|error| panic!("{error}"));
        // What has a default is written with it.
        assert_eq!(config.timing, Timing::default());
        assert_eq!(config.api.limits, Limits::default());
        assert_eq!(config.broker, Broker { http: config.broker.http.clone(), ..Broker::default() });
        assert_eq!((config.api.tokens.len(), config.api.webhooks.len(), config.peers.len()), (1, 1, 1));
    }

    /// What is read but not shown would be found out by nobody: the reader is asked for every key that it knows.
    #[test]
    fn the_example_has_every_key_that_is_read() {
        assert!(Config::FIELDS.is_empty());
        let headers: Vec<_> = sections().iter().map(|section| section.header).collect();
        let mut seen = 0;
        for header in &headers {
            let asked = format!("{header}\nno-such-key = 1\n");
            let error = toml::from_str::<Config>(&asked).unwrap_err();
            let known: Vec<&str> = error.message().split('`').skip(3).step_by(2).collect();
            assert!(!known.is_empty(), "{header}: {error}");
            let table = header.trim_matches(['[', ']']);
            for key in known {
                let is_key = keys().contains(&format!("{table}.{key}"));
                let path = format!("{table}.{key}");
                let is_table = headers.iter().any(|other| other.trim_matches(['[', ']']) == path);
                assert!(is_key || is_table, "{path} is read, and the example does not show it");
                seen += 1;
            }
        }
        assert!(seen >= keys().len(), "{seen}");
        let error = toml::from_str::<Config>("no-such-key = 1").unwrap_err();
        for key in error.message().split('`').skip(3).step_by(2) {
            let shown = headers.iter().any(|header| header.trim_matches(['[', ']']).split('.').next() == Some(key));
            assert!(shown, "[{key}] is read, and the example does not show it");
        }
    }
}
