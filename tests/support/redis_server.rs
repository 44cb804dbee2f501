//! A real `redis-server` of one's own: a free port on loopback, a temporary folder, ended by its own handle.

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
    _data: TempDir,
}

impl RedisServer {
    /// Starts one, and waits until it listens.
    pub(crate) async fn start() -> Self {
        let data = TempDir::new().unwrap();
        // Free a moment ago; should somebody be faster, the server ends and the wait below says so.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let mut server = Self { process, peer: format!("127.0.0.1:{port}"), _data: data };
        let clock = SystemClock;
        for _ in 0..250 {
            if TcpConnect.connect(&server.peer).await.is_ok() {
                return server;
            }
            assert_eq!(server.process.try_wait().unwrap(), None, "redis-server has ended");
            clock.sleep_until(clock.now().mono.plus(Duration::from_millis(20))).await;
        }
        panic!("redis-server does not listen on {}", server.peer);
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
