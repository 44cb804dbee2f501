//! The `oncegate` program as a process of its own, and an operator's way to it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::broker::Kind;
use crate::eventually;

/// What the node keeps to: times short enough for a test, and long enough for an interpreter on a busy machine.
const CONFIG: &str = r#"
[instance]
name = "a"
[broker]
kind = "engine"
[timing]
ttl = "5s"
renew_every = "200ms"
renew_deadline = "2s"
lease_timeout = "1s"
store_timeout = "1s"
broker_timeout = "2s"
margin = "100ms"
stale_after = "2s"
store_deadline = "4s"
retry_least = "50ms"
retry_most = "500ms"
drain = "3s"
"#;

/// No answer of the API takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// One life of the daemon; dropping it is SIGKILL.
pub(crate) struct Daemon {
    process: Child,
    pub(crate) address: String,
}

impl Daemon {
    /// Where the daemon of `folder` is to listen, once it has a config.
    pub(crate) fn configure(folder: &Path, kind: Kind) -> String {
        // Free a moment ago; should somebody be faster, the daemon ends and says so.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let (dedup, lookup) = match kind {
            Kind::Deduplicates => ("forever", true),
            Kind::LookUpOnly => ("never", true),
            Kind::Blind => ("never", false),
        };
        let visible_after = if lookup { "visible_after = \"300ms\"\n" } else { "" };
        let rest = format!(
            "[listen]\naddress = \"{address}\"\n[broker.capabilities]\ndedup = \"{dedup}\"\nlookup = {lookup}\n\
             {visible_after}longest_flight = \"300ms\"\n"
        );
        fs::write(folder.join("oncegate.toml"), format!("{CONFIG}{rest}")).unwrap();
        address
    }

    /// A life that leads.
    pub(crate) async fn start(folder: &Path, address: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oncegate"));
        command.args(["serve", "--config"]).arg(folder.join("oncegate.toml")).current_dir(folder);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let mut daemon = Self { process, address: address.to_owned() };
        eventually("leadership", || {
            assert_eq!(daemon.process.try_wait().unwrap(), None, "the daemon has ended");
            daemon.ask("GET", "/leader", None).filter(|(status, _)| *status == 200)
        })
        .await;
        daemon
    }

    /// Hands a signal in; its fingerprint.
    pub(crate) fn submit(&self, signal: &Value) -> String {
        let (status, answer) = self.ask("POST", "/v1/signals", Some(signal)).expect("the daemon answers");
        assert_eq!((status, &answer["new"]), (202, &json!(true)), "{answer}");
        answer["fingerprint"].as_str().unwrap().to_owned()
    }

    /// The signal as the API shows it; none when it gives no answer just now.
    pub(crate) fn signal(&self, fingerprint: &str) -> Option<Value> {
        let answer = self.ask("GET", &format!("/v1/signals/{fingerprint}"), None);
        answer.filter(|(status, _)| *status == 200).map(|(_, signal)| signal)
    }

    /// An operator's word on what is quarantined.
    pub(crate) fn resolve(&self, signal: &Value, resolution: &str) {
        let path = format!("/v1/signals/{}/resolve", signal["fingerprint"].as_str().unwrap());
        let attempts = signal["attempts"].as_array().unwrap().len();
        let word = json!({ "resolution": resolution, "reason": "looked at the broker", "attempts": attempts });
        let (status, answer) = self.ask("POST", &path, Some(&word)).expect("the daemon answers");
        assert_eq!((status, &answer["taken"]), (200, &json!(true)), "{answer}");
    }

    /// One request on a connection of its own; none when there is no whole answer.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Option<(u16, Value)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = body.map(Value::to_string).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
