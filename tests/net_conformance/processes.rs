//! A real peer: this program, started again to serve.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use oncegate_coordinator::{BoxFuture, Clock, Connect, SystemClock, TcpConnect};

use crate::script::{Arm, Fate};

/// Where a process that was started to serve shall listen.
const SERVE_ON: &str = "ONCEGATE_TEST_SERVE_ON";
/// What it says before its address once it does.
pub(crate) const READY: &str = "serving on ";

/// The address, if this process was started to serve.
pub(crate) fn asked_to_serve_on() -> Option<String> {
    std::env::var(SERVE_ON).ok()
}

/// A peer that is a process, on this machine or on another.
pub(crate) struct Process {
    /// What to run it by: nothing, or what leads to its machine.
    by: Vec<String>,
    address: String,
    child: Child,
    /// Held, so that nothing that it says breaks it.
    _says: BufReader<ChildStdout>,
}

impl Process {
    /// On a free port of this machine.
    pub(crate) fn start_on_loopback() -> Self {
        Self::start(Vec::new(), "127.0.0.1:0")
    }

    /// On any address, on the machine to which `by` leads.
    pub(crate) fn start(by: Vec<String>, address: &str) -> Self {
        let program = std::env::current_exe().unwrap().to_str().unwrap().to_owned();
        let words = [&by[..], &[program]].concat();
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .args(["--exact", "a_peer_serves_whoever_started_it", "--nocapture"])
            .env(SERVE_ON, address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut says = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert_ne!(says.read_line(&mut line).unwrap(), 0, "the peer has ended");
            if let Some(address) = line.strip_prefix(READY) {
                break address.trim().to_owned();
            }
        };
        Self { by, address, child, _says: says }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Ends it as the operating system can: no destructor runs.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts another where it was.
    pub(crate) fn start_again(&mut self, by: Vec<String>) {
        *self = Self::start(by, &self.address);
    }

    /// What may befall a process.
    pub(crate) async fn suffer(&mut self, fate: Fate) {
        match fate {
            Fate::Kill => self.kill(),
            Fate::Start => self.start_again(self.by.clone()),
            Fate::Stop | Fate::Resume => signal(self.child.id(), fate).await,
            Fate::BlockToPeer | Fate::BlockToClient | Fate::Heal | Fate::LosePower | Fate::RegainPower => {
                panic!("{fate:?} is nothing that can befall a process")
            }
        }
    }
}

/// Stops the process of that id, or lets it go on.
pub(crate) async fn signal(id: u32, fate: Fate) {
    let signal = if fate == Fate::Stop { "STOP" } else { "CONT" };
    let sent = Command::new("sh").args(["-c", &format!("kill -s {signal} {id}")]).status().unwrap();
    assert!(sent.success(), "kill -s {signal} {id}");
    // It has been stopped once the kernel says so, and not when the signal was sent.
    for _ in 0..500 {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        if fields.starts_with('T') == (fate == Fate::Stop) {
            return;
        }
        SystemClock.sleep_until(SystemClock.now().mono.plus(Duration::from_millis(2))).await;
    }
    panic!("process {id} takes no notice of {signal}");
}

impl Arm for Process {
    fn peer(&self) -> String {
        self.address.clone()
    }

    fn connect(&self) -> Arc<dyn Connect> {
        Arc::new(TcpConnect)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    fn befall(&mut self, fate: Fate) -> BoxFuture<'_, ()> {
        Box::pin(self.suffer(fate))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
