//! Observers for production: a log for people, and a recording that can be stepped through again.

use std::io::Write;

use oncegate_protocol::notice::Severity;
use oncegate_protocol::{Command, Event, Machine, Now};
use serde::{Deserialize, Serialize};

use crate::driver::Observer;

/// Tells every notice through `tracing`, each at its severity; critical is an error that says so.
#[derive(Clone, Debug)]
pub struct NoticeLog {
    /// Which node speaks.
    pub instance: String,
}

impl Observer for NoticeLog {
    fn says(&mut self, _now: Now, commands: &[Command]) {
        for command in commands {
            if let Command::Notice(notice) = command {
                let instance = self.instance.as_str();
                match notice.severity() {
                    Severity::Info => tracing::info!(instance, "{notice}"),
                    Severity::Warning => tracing::warn!(instance, "{notice}"),
                    Severity::Error => tracing::error!(instance, "{notice}"),
                    Severity::Critical => tracing::error!(instance, severity = "CRITICAL", "{notice}"),
                }
            }
        }
    }
}

/// One step of a recording: a line of JSON.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// What the clocks read.
    pub now: Now,
    /// What was heard.
    pub event: Event,
    /// What was said.
    pub commands: Vec<Command>,
}

/// Writes each step as a line of JSON.
pub struct Recorder<W> {
    to: W,
    heard: Option<Event>,
    /// A recording that can't be written must not stop trading; it ends, and this says why.
    pub failed: Option<std::io::Error>,
}

impl<W: Write + Send + 'static> Recorder<W> {
    /// Records to `to`, unbuffered: wrap it if that is too slow.
    pub fn new(to: W) -> Self {
        Self { to, heard: None, failed: None }
    }
}

impl<W: Write + Send + 'static> Observer for Recorder<W> {
    fn hears(&mut self, _now: Now, event: &Event) {
        if self.failed.is_none() {
            self.heard = Some(event.clone());
        }
    }

    fn says(&mut self, now: Now, commands: &[Command]) {
        let Some(event) = self.heard.take() else { return };
        let step = Step { now, event, commands: commands.to_vec() };
        let written = serde_json::to_vec(&step).map_err(std::io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            self.to.write_all(&line)
        });
        self.failed = written.err();
    }
}

/// Steps `machine` through a recording.
///
/// # Errors
/// The number of the first step (from 0) at which it says something else, and what it says.
pub fn retrace(machine: &mut impl Machine, steps: &[Step]) -> Result<(), (usize, Vec<Command>)> {
    for (number, step) in steps.iter().enumerate() {
        let commands = machine.step(step.now, step.event.clone());
        if commands != step.commands {
            return Err((number, commands));
        }
    }
    Ok(())
}
