//! The dashboard of two real daemons in a real browser: the whole way from one process to another and to the page.
#![allow(clippy::disallowed_methods)] // Processes and a browser live in real time.
#![allow(clippy::unwrap_used)] // In a test, also outside its functions, to panic is to fail.

#[path = "../../http-api/tests/dashboard/browser.rs"]
#[allow(dead_code)] // Its other half is for the page's own tests.
mod browser;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use browser::Browser;
use serde_json::Value;

/// Within this time a change is to be seen.
const SHOWN: Duration = Duration::from_secs(2);
/// What has to start first gets this long.
const LOADED: Duration = Duration::from_secs(30);

/// `oncegate serve`, on a port of its own choosing. Dropping it is a crash.
struct Daemon {
    process: Child,
    address: String,
}

impl Daemon {
    /// Of a cluster whose store is a file in this folder.
    fn start(folder: &Path, name: &str) -> Self {
        let file = folder.join(format!("{name}.toml"));
        std::fs::write(&file, format!("[instance]\nname = \"{name}\"\n[listen]\naddress = \"127.0.0.1:0\"\n")).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_oncegate"))
            .arg("serve")
            .arg("--config")
            .arg(&file)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines
            .find_map(|line| {
                let line = line.unwrap();
                let url = line.trim().strip_prefix("dashboard")?.trim().strip_prefix("http://")?;
                Some(url.trim_end_matches('/').to_owned())
            })
            .expect("it says where its dashboard is");
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address }
    }

    fn ask(&self, what: &str) -> Value {
        let url = format!("http://{}", self.address);
        let run = Command::new(env!("CARGO_BIN_EXE_oncegate")).args([what, "--json", "--url", &url]).output().unwrap();
        serde_json::from_slice(&run.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&run.stderr)))
    }

    fn await_leader(&self, name: &str) {
        let deadline = Instant::now() + LOADED;
        while self.ask("leader")["db_leader"] != name {
            assert!(Instant::now() < deadline, "{name} never leads: {}", self.ask("leader"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn leader_is(name: &str) -> String {
    format!("document.getElementById('leader').textContent === {name:?}")
}

/// The health check of the image, as it is, but for the port.
fn is_healthy(address: &str) -> bool {
    let dockerfile = include_str!("../../../deploy/Dockerfile");
    let check = dockerfile.lines().map(str::trim).find_map(|line| line.strip_prefix("CMD [\"/bin/bash\"")).unwrap();
    let check: Vec<String> = serde_json::from_str(&format!("[\"/bin/bash\"{check}")).unwrap();
    let script = check[2].replace("7411", address.rsplit(':').next().unwrap());
    Command::new(&check[0]).args(["-c", &script]).stderr(Stdio::null()).status().unwrap().success()
}

#[test]
#[ignore = "needs chromium"]
fn a_failover_between_two_daemons_is_shown_within_2_s_without_reload() {
    let folder = tempfile::tempdir().unwrap();
    let first = Daemon::start(folder.path(), "host-a");
    first.await_leader("host-a");
    let second = Daemon::start(folder.path(), "host-b");
    assert!(is_healthy(&first.address) && is_healthy(&second.address));

    let browser = Browser::start();
    browser.open(&format!("http://{}/", first.address));
    browser.wait_until(&leader_is("host-a"), LOADED);
    browser.script("window.marked = true");

    // Asked for on the page itself, and shown there.
    browser.click("#step-down");
    browser.write("#order-reason", "failover drill");
    browser.click("#order-go");
    let shown = browser.wait_until(&leader_is("host-b"), SHOWN);
    println!("after the click on \"Step down\", the page showed the new leader within {shown:?}");
    assert_eq!(browser.script("return window.marked === true"), true, "the page was loaded anew");
    browser.wait_until("document.getElementById('terms').textContent.includes('failover drill')", SHOWN);
    browser.picture("two-daemons");

    // The new leader crashes. From when the other one leads, its page has 2 s.
    let address = second.address.clone();
    drop(second);
    assert!(!is_healthy(&address));
    first.await_leader("host-a");
    let shown = browser.wait_until(&leader_is("host-a"), SHOWN);
    println!("after a crash, the page showed the new leader within {shown:?} of its first answer that it leads");
    assert_eq!(browser.script("return window.marked === true"), true, "the page was loaded anew");
    assert_eq!(browser.console(), Vec::<String>::new());
}
