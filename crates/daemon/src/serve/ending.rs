//! How the process ends: signals, panics, and the order in which things are let go.

use std::future::Future;
use std::sync::Arc;

use oncegate_http_api::TlsListen;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinError, JoinHandle};

use super::Failure;
use crate::config::Config;
use crate::config::read::Origin;
use crate::config::secret::Source;

/// The names of threads that serve blocking calls; the tasks that wait for them can't see their panics.
const SERVING: [&str; 3] = ["oncegate-store", "oncegate-lease", "oncegate-ledger"];

/// A panic is told in the log, and one in a thread that serves a port ends the process: the loop would go on with a port
/// that only fails, and keep the lease for as long as it can. Panics of tasks end it by [`outcome`]; those of routes are
/// caught by the server, and harm nobody else.
pub(super) fn panics_end_the_process() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        tracing::error!(severity = "CRITICAL", thread = name, "{panic}");
        if SERVING.contains(&name) {
            std::process::exit(PANICKED);
        }
    }));
}

/// What Rust's own runtime says of a process whose main thread has panicked.
const PANICKED: i32 = 101;

/// The signals that this process is asked by.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    /// To end.
    End(&'static str, i32),
    /// To read what may have changed.
    Reload,
}

impl Signals {
    pub(super) fn new() -> Result<Self, Failure> {
        let broken = |error| Failure::Broken(format!("signals can't be heard: {error}"));
        let hear = |kind| signal(kind).map_err(broken);
        Ok(Self {
            terminate: hear(SignalKind::terminate())?,
            interrupt: hear(SignalKind::interrupt())?,
            hang_up: hear(SignalKind::hangup())?,
        })
    }

    /// The next one; dropping it loses none.
    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::End("SIGTERM", 128 + 15),
            _ = self.interrupt.recv() => Asked::End("SIGINT", 128 + 2),
            _ = self.hang_up.recv() => Asked::Reload,
        }
    }

    /// Runs `ending` to its end, unless a second signal says that nobody wants to wait: then the process ends at once,
    /// as by a crash.
    pub(super) async fn while_ending<T>(&mut self, ending: impl Future<Output = T>) -> T {
        let mut ending = std::pin::pin!(ending);
        loop {
            tokio::select! {
                biased;
                ended = &mut ending => return ended,
                asked = self.next() => match asked {
                    Asked::End(name, code) => {
                        tracing::error!("{name} again: the process ends at once; the lease, if it is held, runs out by itself");
                        std::process::exit(code);
                    }
                    Asked::Reload => {}
                },
            }
        }
    }
}

/// The certificate may have been renewed.
pub(super) fn reload(config: &Config, origin: &Origin, tls: Option<&Arc<TlsListen>>) {
    let (Some(tls), Some(chain), Some(key)) = (tls, &config.listen.tls_certificate, &config.listen.tls_key) else {
        tracing::info!("SIGHUP: there is no certificate to read again, and all else is read at the start only");
        return;
    };
    let chain = std::fs::read(origin.folder.join(chain)).map_err(|error| error.to_string());
    let key = Source::File(key).read_lines(&origin.folder);
    let replaced =
        chain.and_then(|chain| tls.replace(&chain, key?.expose().as_bytes()).map_err(|error| error.to_string()));
    match replaced {
        Ok(()) => tracing::info!("SIGHUP: the certificate was read again"),
        Err(flaw) => tracing::error!("SIGHUP: the certificate can't be used, and the old one stays: {flaw}"),
    }
}

/// A task that runs for as long as the process ends; it ends with it when it is dropped.
pub(super) struct Task<T> {
    name: &'static str,
    task: JoinHandle<T>,
}

impl<T: Send + 'static> Task<T> {
    pub(super) fn start(name: &'static str, future: impl Future<Output = T> + Send + 'static) -> Self {
        Self { name, task: tokio::spawn(future) }
    }

    /// What it came to.
    ///
    /// # Errors
    /// It has panicked.
    pub(super) async fn ended(&mut self) -> Result<T, Failure> {
        let name = self.name;
        (&mut self.task).await.map_err(|error: JoinError| {
            Failure::Broken(format!("the {name} has panicked ({error}): this is a bug; the log has it"))
        })
    }

    /// That it has ended, when it should not have.
    pub(super) async fn fails(&mut self) -> Failure {
        match self.ended().await {
            Ok(_) => Failure::Broken(format!("the {} has ended by itself", self.name)),
            Err(failure) => failure,
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
