//! What the daemon says on standard error: for people, or one JSON object a line.
//!
//! Critical is a level that `tracing` has not: an error whose field `severity` says so. Under journald every line bears
//! its priority (`<2>` for critical, see sd-daemon(3)), so that `journalctl -p crit` finds what should wake somebody.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use oncegate_coordinator::{Clock as _, SystemClock};
use oncegate_protocol::Wall;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::config::{Log, LogFormat, LogLevel};

/// The message, and the one field that makes a level of its own.
const MESSAGE: &str = "message";
const SEVERITY: &str = "severity";

/// From now on everything that is told is written to standard error, as `log` says.
///
/// # Errors
/// Somebody has set up another log in this process already.
pub fn begin(log: &Log) -> Result<(), String> {
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let lines = Lines { format: log.format, to_journal: is_journal() };
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(level).with(lines))
        .map_err(|error| error.to_string())
}

/// Whether standard error is a stream that journald reads: it says which one in the environment (systemd.exec(5)), and
/// the variable may have been inherited by somebody whose standard error is another.
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(rustix::stdio::stderr()).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

struct Lines {
    format: LogFormat,
    to_journal: bool,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let at = SystemClock.now().wall;
        let severity = said.severity.as_deref().unwrap_or(match *event.metadata().level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARN",
            Level::INFO => "INFO",
            Level::DEBUG => "DEBUG",
            Level::TRACE => "TRACE",
        });
        let mut line = String::new();
        if self.to_journal {
            let _ = write!(line, "<{}>", priority(severity));
        }
        match self.format {
            LogFormat::Human => human(&mut line, at, severity, &said),
            LogFormat::Json => json(&mut line, at, severity, event.metadata().target(), &said),
        }
        line.push('\n');
        // In one write, so that no two lines mix. Who does not read standard error does not want to know.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

/// As syslog(3) and journald number them.
fn priority(severity: &str) -> u8 {
    match severity {
        "CRITICAL" => 2,
        "ERROR" => 3,
        "WARN" => 4,
        "INFO" => 6,
        _ => 7,
    }
}

#[derive(Default)]
struct Said {
    message: String,
    severity: Option<String>,
    fields: Map<String, Value>,
}

impl Said {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            (MESSAGE, Value::String(text)) => self.message = text,
            (SEVERITY, Value::String(text)) => self.severity = Some(text),
            (name, value) => {
                self.fields.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }
}

/// Nothing that came from outside may begin a line of its own or move the cursor.
fn push_plainly(line: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() {
            let _ = write!(line, "{}", c.escape_default());
        } else {
            line.push(c);
        }
    }
}

fn human(line: &mut String, at: Wall, severity: &str, said: &Said) {
    let _ = write!(line, "{} {severity:5} ", crate::calendar::instant(at));
    push_plainly(line, &said.message);
    for (name, value) in &said.fields {
        let _ = write!(line, " {name}=");
        match value {
            Value::String(text) if !text.is_empty() && !text.contains([' ', '"', '=']) => push_plainly(line, text),
            other => push_plainly(line, &other.to_string()),
        }
    }
}

fn json(line: &mut String, at: Wall, severity: &str, target: &str, said: &Said) {
    let mut object = Map::new();
    object.insert("timestamp".into(), crate::calendar::instant(at).into());
    object.insert("severity".into(), severity.into());
    object.insert("target".into(), target.into());
    object.insert(MESSAGE.into(), said.message.as_str().into());
    for (name, value) in &said.fields {
        // A field of one of those names would hide what every line has.
        let name = if object.contains_key(name) { format!("field_{name}") } else { name.clone() };
        object.insert(name, value.clone());
    }
    let _ = write!(line, "{}", Value::Object(object));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said() -> Said {
        let fields = json!({"instance": "a", "epoch": 3, "reason": "the lease\nis \u{1b}[2Jgone"});
        let Value::Object(fields) = fields else { unreachable!() };
        Said { message: "no longer\nleads".into(), severity: Some("CRITICAL".into()), fields }
    }

    #[test]
    fn a_line_is_one_line_whatever_it_says() {
        let mut line = String::new();
        human(&mut line, Wall::from_millis(0), "CRITICAL", &said());
        assert_eq!(
            line,
            "1970-01-01T00:00:00.000Z CRITICAL no longer\\nleads epoch=3 instance=a \
             reason=\"the lease\\nis \\u001b[2Jgone\""
        );
        let mut line = String::new();
        json(&mut line, Wall::from_millis(0), "CRITICAL", "t", &said());
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&read["severity"], &read["epoch"], line.lines().count()), (&json!("CRITICAL"), &json!(3), 1));
    }

    #[test]
    fn critical_is_what_journalctl_calls_crit() {
        assert_eq!(["CRITICAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"].map(priority), [2, 3, 4, 6, 7, 7]);
    }
}
