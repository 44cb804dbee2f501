//! The example engine in Python against the real daemon and a real broker on loopback, killed without a word at every
//! point of an order's way, for every kind of broker; and outliving its daemon.
//!
//! | killed | deduplicates | can be looked up | blind |
//! |---|---|---|---|
//! | before the begin | executed | executed | executed |
//! | after the begin | executed | quarantined, no order | quarantined, no order |
//! | after the order | executed | executed, found | quarantined, one order |
//!
//! And never two orders.
#![allow(clippy::unwrap_used)] // In a test, also outside its functions, to panic is to fail.

mod broker;
mod daemon;

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use broker::{Kind, TestBroker};
use daemon::Daemon;
use oncegate_coordinator::{Clock, SystemClock};
use serde_json::{Value, json};
use tempfile::TempDir;

const SIGKILL: i32 = 9;

/// A Python process that lives no longer than the test.
struct Engine(Child);

impl Engine {
    fn start(script: &Path, arguments: &[&str], die_at: Option<&str>, daemon: &str, broker: &TestBroker) -> Self {
        let mut command = Command::new("python3");
        command.arg("-B").arg(script).args(arguments);
        command.args(["--gate", &format!("http://{daemon}"), "--broker", &broker.address]);
        command.args(["--wait", "5", "--broker-timeout", "20"]).envs(die_at.map(|point| ("DIE_AT", point)));
        Self(command.stdin(Stdio::null()).spawn().expect("python3 is installed"))
    }

    fn example(daemon: &Daemon, broker: &TestBroker) -> Self {
        Self::start(&examples().join("engine.py"), &[], None, &daemon.address, broker)
    }

    fn mortal(point: &str, daemon: &Daemon, broker: &TestBroker) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python_engine/mortal_engine.py");
        Self::start(&script, &[examples().to_str().unwrap()], Some(point), &daemon.address, broker)
    }

    async fn ended(&mut self) -> ExitStatus {
        eventually("the end of the engine", || self.0.try_wait().unwrap()).await
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/python")
}

/// Waits for what must come within a minute.
pub(crate) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let clock = SystemClock;
    let deadline = clock.now().mono.plus(Duration::from_secs(60));
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(clock.now().mono < deadline, "{what} did not happen within 60 s");
        clock.sleep_until(clock.now().mono.plus(Duration::from_millis(20))).await;
    }
}

async fn reaches(daemon: &Daemon, fingerprint: &str, states: &[&str], context: &str) -> Value {
    let reached = || daemon.signal(fingerprint).filter(|s| states.contains(&s["state"].as_str().unwrap()));
    eventually(&format!("{context}: {states:?}"), reached).await
}

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn signal() -> Value {
    json!({ "symbol": "NIFTY", "qty": 50 })
}

#[tokio::test]
#[ignore = "needs python3: cargo xtask test"]
async fn an_engine_killed_anywhere_never_makes_two_orders_of_a_signal() {
    let expected = [
        ("before_begin", [("executed", 1), ("executed", 1), ("executed", 1)]),
        ("after_begin", [("executed", 1), ("quarantined", 0), ("quarantined", 0)]),
        ("after_order", [("executed", 1), ("executed", 1), ("quarantined", 1)]),
    ];
    for (point, ends) in expected {
        for (kind, (state, orders)) in [Kind::Deduplicates, Kind::LookUpOnly, Kind::Blind].into_iter().zip(ends) {
            let context = format!("killed {point}, broker {kind:?}");
            let (folder, broker) = (folder(), TestBroker::start(kind).await);
            let daemon = Daemon::start(folder.path(), &Daemon::configure(folder.path(), kind)).await;
            let mut mortal = Engine::mortal(point, &daemon, &broker);
            let fingerprint = daemon.submit(&signal());
            assert_eq!(mortal.ended().await.signal(), Some(SIGKILL), "{context}");

            if point != "before_begin" {
                // Nobody is there to resolve it, so that the doubt itself is seen.
                reaches(&daemon, &fingerprint, &["in_doubt", "quarantined"], &context).await;
            }
            let _engine = Engine::example(&daemon, &broker);
            let settled = reaches(&daemon, &fingerprint, &["executed", "failed", "quarantined"], &context).await;
            assert_eq!((settled["state"].as_str(), broker.orders()), (Some(state), orders), "{context}: {settled}");
            let attempts = settled["attempts"].as_array().unwrap();
            if point == "before_begin" {
                assert!(attempts.iter().all(|attempt| attempt["outcome"] != "unknown"), "{context}: {settled}");
            }
            if state == "quarantined" {
                // A human has looked at the broker.
                daemon.resolve(&settled, if orders == 0 { "resend" } else { "executed" });
                reaches(&daemon, &fingerprint, &["executed"], &context).await;
                assert_eq!(broker.orders(), 1, "{context}");
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs python3: cargo xtask test"]
async fn an_engine_that_outlives_its_daemon_tells_the_next_one() {
    // The hardest kind: nobody but the engine knows whether there is an order.
    let (folder, broker) = (folder(), TestBroker::start_with(Kind::Blind, 0).await);
    let address = Daemon::configure(folder.path(), Kind::Blind);
    let daemon = Daemon::start(folder.path(), &address).await;
    let _engine = Engine::example(&daemon, &broker);
    let fingerprint = daemon.submit(&signal());
    broker.placed(1).await;
    drop(daemon);
    broker.answer_one();

    let daemon = Daemon::start(folder.path(), &address).await;
    let executed = reaches(&daemon, &fingerprint, &["executed"], "the truth").await;
    assert_eq!(executed["attempts"].as_array().unwrap().last().unwrap()["outcome"], "accepted", "{executed}");
    assert_eq!(broker.orders(), 1);
}

#[tokio::test]
#[ignore = "needs python3: cargo xtask test"]
async fn without_an_engine_a_signal_waits_unclaimed() {
    let (folder, broker) = (folder(), TestBroker::start(Kind::Blind).await);
    let daemon = Daemon::start(folder.path(), &Daemon::configure(folder.path(), Kind::Blind)).await;
    let fingerprint = daemon.submit(&signal());
    // Longer than a claim that nobody takes needs to be given up.
    let until = SystemClock.now().mono.plus(Duration::from_millis(2_500));
    while SystemClock.now().mono < until {
        let waiting = daemon.signal(&fingerprint).expect("the daemon answers");
        assert_eq!((&waiting["state"], &waiting["attempts"]), (&json!("received"), &json!([])), "{waiting}");
        SystemClock.sleep_until(SystemClock.now().mono.plus(Duration::from_millis(50))).await;
    }
    let _engine = Engine::example(&daemon, &broker);
    let executed = reaches(&daemon, &fingerprint, &["executed"], "an engine comes").await;
    assert_eq!(executed["attempts"].as_array().unwrap().len(), 1, "{executed}");
    assert_eq!(broker.orders(), 1);
}

#[test]
#[ignore = "needs python3: cargo xtask test"]
fn the_python_client_passes_its_own_tests() {
    let mut tests = Command::new("python3");
    tests.args(["-B", "-W", "error", "-m", "unittest", "discover", "--start-directory", "tests"]);
    assert!(tests.current_dir(examples()).status().expect("python3 is installed").success());
}
