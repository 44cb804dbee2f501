//! Real processes: a daemon in a folder and on a port of its own, and the commands that ask it.

#![allow(dead_code, clippy::unwrap_used)] // Each test binary uses some of it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use oncegate_coordinator::{Clock as _, SystemClock};
use oncegate_protocol::Mono;
use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything here takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// One command, to its end, in `folder`.
pub(crate) fn oncegate(folder: &Path, args: &[&str]) -> Ended {
    let ended = command(folder).args(args).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: ended.status.code().unwrap(), out: text(ended.stdout), err: text(ended.stderr) }
}

/// The program in `folder`, with nothing of this process's settings.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oncegate"));
    command.current_dir(folder);
    for name in [
        "ONCEGATE_CONFIG",
        "ONCEGATE_URL",
        "ONCEGATE_TOKEN_FILE",
        "ONCEGATE_CA_FILE",
        "NOTIFY_SOCKET",
        "JOURNAL_STREAM",
    ] {
        command.env_remove(name);
    }
    command
}

/// A folder with a config in it.
pub(crate) fn folder(config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    if !config.is_empty() {
        std::fs::write(folder.path().join("oncegate.toml"), config).unwrap();
    }
    folder
}

/// A daemon that lives no longer than the test.
pub(crate) struct Daemon {
    process: Child,
    pub(crate) url: String,
    /// What it printed until it listened.
    pub(crate) banner: String,
}

/// How a daemon ended.
pub(crate) struct End {
    pub(crate) code: Option<i32>,
    pub(crate) took: Duration,
    /// All that it said on standard error.
    pub(crate) err: String,
}

impl Daemon {
    /// Starts one in `folder`, and waits until it says where its dashboard is: it listens by then.
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_with(&mut command(folder))
    }

    pub(crate) fn start_with(command: &mut Command) -> Self {
        let mut process = command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut banner = String::new();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let url = loop {
            let mut line = String::new();
            if lines.read_line(&mut line).unwrap() == 0 {
                let mut err = String::new();
                process.stderr.take().unwrap().read_to_string(&mut err).unwrap();
                panic!("it ended before it listened: {banner}{err}");
            }
            banner.push_str(&line);
            if let Some(url) = line.trim().strip_prefix("dashboard") {
                break url.trim().trim_end_matches('/').to_owned();
            }
        };
        Self { process, url, banner }
    }

    /// One request, as a program makes it.
    pub(crate) fn http(&self, method: &str, path: &str, token: Option<&str>, body: Option<&str>) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let token = token.map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
        let body = body.unwrap_or_default();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json\r\n\
             {token}content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// Asks for `path` until the answer is as wanted.
    pub(crate) fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = now().plus(PATIENCE);
        loop {
            let (status, body) = self.http("GET", path, None, None);
            if status == 200 && wanted(&body) {
                return body;
            }
            assert!(now() < deadline, "{path} is still {body}");
            pause();
        }
    }

    /// A command that asks this daemon.
    pub(crate) fn ask(&self, folder: &Path, args: &[&str]) -> Ended {
        oncegate(folder, &[args, &["--url", &self.url]].concat())
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.process.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Ends it by that signal, and waits for its end.
    pub(crate) fn end(mut self, name: &str) -> End {
        // Emptied from the side, so that it can always go on writing.
        let mut stderr = self.process.stderr.take().unwrap();
        let began = now();
        self.signal(name);
        let mut err = String::new();
        stderr.read_to_string(&mut err).unwrap();
        let code = self.process.wait().unwrap().code();
        End { code, took: now().since(began), err }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Between two looks: who looks more often than that is turned away.
#[allow(clippy::disallowed_methods)] // Nothing is assumed to have happened by then.
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

pub(crate) fn now() -> Mono {
    SystemClock.now().mono
}
