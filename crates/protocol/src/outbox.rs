//! Where a step collects what is to be done.

use crate::call::{Call, PortError};
use crate::command::{Answer, Command};
use crate::ids::{CallId, RequestId};
use crate::notice::Notice;

/// The commands of one step, in order, and the counter that names calls.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    last: CallId,
    commands: Vec<Command>,
}

impl Outbox {
    /// Asks for a call; its completion will bear the returned id.
    pub fn call(&mut self, call: Call) -> CallId {
        self.last = CallId(self.last.0 + 1);
        self.commands.push(Command::Call { id: self.last, call });
        self.last
    }

    /// Answers a question from outside.
    pub fn answer(&mut self, request: RequestId, answer: Answer) {
        self.commands.push(Command::Answer { request, answer });
    }

    /// Tells people.
    pub fn notice(&mut self, notice: Notice) {
        self.commands.push(Command::Notice(notice));
    }

    /// Tells people that a call brought no usable answer.
    pub fn port_failed(&mut self, doing: &str, error: &PortError) {
        self.notice(Notice::PortFailed { doing: doing.into(), detail: error.to_string() });
    }

    /// Says that the process may end.
    pub fn stopped(&mut self) {
        self.commands.push(Command::Stopped);
    }

    /// What was collected since the last take.
    pub fn take(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.commands)
    }

    /// What was collected so far.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }
}
