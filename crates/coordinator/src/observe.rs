//! Observers for production: a log for people, and a recording that can be stepped through again.

use std::io::Write;

use oncegate_protocol::notice::Severity;
use oncegate_protocol::{Command, Event, Fingerprint, Holder, Machine, Notice, Now};
use serde::{Deserialize, Serialize};

use crate::driver::Observer;

/// Tells every notice through `tracing`, with the node, the epoch, the reason and the signal as fields of their own.
///
/// Each is told at its severity, but the loss of leadership always at critical, whoever asked for it: whoever reads the
/// log of one node alone must not overlook that this one sends no more. Critical is an error whose field `severity`
/// says so.
#[derive(Clone, Debug)]
pub struct NoticeLog {
    /// Which node speaks.
    pub instance: String,
}

impl Observer for NoticeLog {
    fn says(&mut self, _now: Now, commands: &[Command]) {
        for command in commands {
            if let Command::Notice(notice) = command {
                tell(&self.instance, notice);
            }
        }
    }
}

fn tell(instance: &str, told: &Notice) {
    let Beside { notice, epoch, reason, fingerprint } = beside(told);
    let (reason, fingerprint) = (reason.as_deref(), fingerprint.map(|fingerprint| fingerprint.to_string()));
    let fingerprint = fingerprint.as_deref();
    let severity = match told {
        Notice::LostLeadership { .. } => Severity::Critical,
        _ => told.severity(),
    };
    match severity {
        Severity::Info => tracing::info!(instance, notice, epoch, reason, fingerprint, "{told}"),
        Severity::Warning => tracing::warn!(instance, notice, epoch, reason, fingerprint, "{told}"),
        Severity::Error => tracing::error!(instance, notice, epoch, reason, fingerprint, "{told}"),
        Severity::Critical => {
            tracing::error!(severity = "CRITICAL", instance, notice, epoch, reason, fingerprint, "{told}");
        }
    }
}

/// What stands beside the text of a notice, for who looks for it by name.
#[derive(PartialEq, Eq, Debug)]
struct Beside {
    notice: &'static str,
    epoch: Option<u64>,
    reason: Option<String>,
    fingerprint: Option<Fingerprint>,
}

fn beside(notice: &Notice) -> Beside {
    let bare = |notice| Beside { notice, epoch: None, reason: None, fingerprint: None };
    let who = |holder: &Option<Holder>| holder.as_ref().map_or_else(|| "nobody".to_owned(), Holder::to_string);
    let of = |notice, fingerprint: &Fingerprint, reason: &str| Beside {
        reason: Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
        fingerprint: Some(*fingerprint),
        ..bare(notice)
    };
    match notice {
        Notice::BecameLeader { epoch, holder } => {
            Beside { epoch: Some(epoch.0), reason: Some(format!("opened by {holder}")), ..bare("became_leader") }
        }
        Notice::LostLeadership { epoch, reason } => {
            Beside { epoch: Some(epoch.0), reason: Some(reason.to_string()), ..bare("lost_leadership") }
        }
        Notice::GaveUpLease { reason } => Beside { reason: Some(reason.to_string()), ..bare("gave_up_lease") },
        Notice::SplitBrain { lease, store } => {
            let reason = format!("the lease names {}, the store names {}", who(lease), who(store));
            Beside { reason: Some(reason), ..bare("split_brain") }
        }
        Notice::Fenced { own, newest } => {
            Beside { epoch: Some(own.0), reason: Some(format!("epoch {newest} is open")), ..bare("fenced") }
        }
        Notice::EpochWentBack { read, seen } => {
            Beside { epoch: Some(read.0), reason: Some(format!("epoch {seen} was seen")), ..bare("epoch_went_back") }
        }
        Notice::PortFailed { detail, .. } => Beside { reason: Some(detail.clone()), ..bare("port_failed") },
        Notice::Sending { fingerprint, leg, epoch } => {
            let reason = (leg.0 > 0).then(|| format!("leg {leg}"));
            Beside { epoch: Some(epoch.0), fingerprint: Some(*fingerprint), reason, ..bare("sending") }
        }
        Notice::NotSent { fingerprint, reason } => of("not_sent", fingerprint, reason),
        Notice::InDoubt { fingerprint, reason } => of("in_doubt", fingerprint, reason),
        Notice::Settled { fingerprint, state, detail } => of(state.name(), fingerprint, detail),
        Notice::Paused { reason, .. } => Beside { reason: Some(reason.clone()), ..bare("paused") },
        Notice::Resumed => bare("resumed"),
        Notice::BrokerNotReady => bare("broker_not_ready"),
        Notice::BrokerReady => bare("broker_ready"),
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
