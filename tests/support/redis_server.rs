//! A real `redis-server` of one's own: a free port on loopback, a temporary folder, ended by its own handle.
#![allow(dead_code)] // Each test binary uses what it needs of it.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use oncegate_coordinator::{Clock, Connect, SystemClock, TcpConnect};
use tempfile::TempDir;

/// A private server that lives no longer than the test.
pub(crate) struct RedisServer {
    process: Child,
    /// Where it listens.
    pub(crate) peer: String,
    data: TempDir,
}

impl RedisServer {
    /// Starts one, and waits until it listens.
    pub(crate) async fn start() -> Self {
        let data = TempDir::new().unwrap();
        // Free a moment ago; should somebody be faster, the server ends and the wait below says so.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let peer = format!("127.0.0.1:{port}");
        let mut server = Self { process: spawn(&peer, &data), peer, data };
        server.listens().await;
        server
    }

    /// Starts another where the one that was killed listened, empty.
    pub(crate) async fn start_again(&mut self) {
        self.process = spawn(&self.peer, &self.data);
        self.listens().await;
    }

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    async fn listens(&mut self) {
        let clock = SystemClock;
        for _ in 0..250 {
            if TcpConnect.connect(&self.peer).await.is_ok() {
                return;
            }
            assert_eq!(self.process.try_wait().unwrap(), None, "redis-server has ended");
            clock.sleep_until(clock.now().mono.plus(Duration::from_millis(20))).await;
        }
        panic!("redis-server does not listen on {}", self.peer);
    }
}

fn spawn(peer: &str, data: &TempDir) -> Child {
    let (host, port) = peer.rsplit_once(':').unwrap();
    Command::new("redis-server")
        .args(["--port", port, "--bind", host, "--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(data.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
