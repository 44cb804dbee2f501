//! What the service manager is told, as sd_notify(3) has it: one datagram a message, to the socket that it names.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

/// The way to the service manager; says nothing to nobody when there is none.
#[derive(Clone, Debug, Default)]
pub struct Notifier {
    to: Option<Arc<(UnixDatagram, SocketAddr)>>,
    /// How often it wants to hear that the loop turns.
    watchdog: Option<Duration>,
}

impl Notifier {
    /// As this process's environment says. A socket that can't be used is told in the log and then left alone.
    pub fn from_environment() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let Some(socket) = variable("NOTIFY_SOCKET") else { return Self::default() };
        let to = match open(&socket) {
            Ok(to) => Some(Arc::new(to)),
            Err(error) => {
                tracing::warn!(socket, %error, "the service manager can't be told anything: its socket can't be used");
                None
            }
        };
        let own = std::process::id().to_string();
        let is_ours = variable("WATCHDOG_PID").is_none_or(|pid| pid == own);
        let every = variable("WATCHDOG_USEC").and_then(|micros| micros.parse().ok()).map(Duration::from_micros);
        Self { to, watchdog: every.filter(|every| is_ours && !every.is_zero()) }
    }

    /// How often to say that all is well: half of what the manager waits for, as sd_watchdog_enabled(3) recommends.
    pub fn watchdog_every(&self) -> Option<Duration> {
        self.to.as_ref().and(self.watchdog).map(|every| every / 2)
    }

    /// It may start whatever waits for this daemon.
    pub fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// The daemon is ending, and knows it.
    pub fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=stepping down");
    }

    /// The loop turns.
    pub fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    fn say(&self, state: &str) {
        if let Some((socket, address)) = self.to.as_deref()
            && let Err(error) = socket.send_to_addr(state.as_bytes(), address)
        {
            tracing::warn!(%error, "the service manager could not be told: {}", state.lines().next().unwrap_or_default());
        }
    }
}

/// A path, or a name in Linux's abstract namespace when it begins with `@`.
fn open(socket: &str) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let own = UnixDatagram::unbound()?;
    // A manager that does not read must not hold anything up.
    own.set_nonblocking(true)?;
    Ok((own, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_one_datagram_to_a_path_or_to_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("@oncegate-test-{}", std::process::id());
        let of_path = UnixDatagram::bind(&path).unwrap();
        let of_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name[1..]).unwrap()).unwrap();
        for (manager, socket) in [(of_path, path.to_str().unwrap()), (of_name, &*name)] {
            let notifier =
                Notifier { to: Some(Arc::new(open(socket).unwrap())), watchdog: Some(Duration::from_secs(10)) };
            assert_eq!(notifier.watchdog_every(), Some(Duration::from_secs(5)));
            notifier.ready("leads");
            notifier.alive();
            let mut buffer = [0; 256];
            let length = manager.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"READY=1\nSTATUS=leads");
            let length = manager.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"WATCHDOG=1");
        }
        Notifier::default().ready("nobody listens");
        assert_eq!(Notifier::default().watchdog_every(), None);
    }
}
