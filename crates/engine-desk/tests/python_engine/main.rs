//! The example engine in Python against a real node and a real broker on loopback, killed without a word at every
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

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use broker::{Kind, TestBroker};
use daemon::Daemon;
use oncegate_coordinator::{Clock, SystemClock};
use oncegate_protocol::call::Resolution;
use oncegate_protocol::{Outcome, SignalRecord, SignalState};
use oncegate_sqlite_store::Db;
use tempfile::TempDir;

const SIGKILL: i32 = 9;

/// A Python process that lives no longer than the test.
struct Engine(Child);

impl Engine {
    fn start(script: &Path, arguments: &[&str], die_at: Option<&str>, daemon: &Daemon, broker: &TestBroker) -> Self {
        let mut command = Command::new("python3");
        command.arg("-B").arg(script).args(arguments);
        command.args(["--gate", &format!("http://{}", daemon.address), "--broker", &broker.address]);
        command.args(["--wait", "5", "--broker-timeout", "20"]).envs(die_at.map(|point| ("DIE_AT", point)));
        Self(command.stdin(Stdio::null()).spawn().expect("python3 is installed"))
    }

    fn example(daemon: &Daemon, broker: &TestBroker) -> Self {
        Self::start(&examples().join("engine.py"), &[], None, daemon, broker)
    }

    fn mortal(point: &str, daemon: &Daemon, broker: &TestBroker) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python_engine/mortal_engine.py");
        Self::start(&script, &[examples().to_str().unwrap()], Some(point), daemon, broker)
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
async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
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

struct Scene {
    folder: TempDir,
    broker: TestBroker,
    kind: Kind,
}

impl Scene {
    fn new(kind: Kind, broker: TestBroker) -> Self {
        Self { folder: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(), broker, kind }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("signals.db")
    }

    fn daemon(&self, listener: TcpListener) -> Daemon {
        Daemon::start(&self.store(), self.kind.capabilities(), listener)
    }

    fn record(&self) -> SignalRecord {
        Db::open(self.store()).unwrap().signals().unwrap().pop().unwrap()
    }

    async fn settles(&self, context: &str) -> SignalRecord {
        eventually(context, || Some(self.record()).filter(|record| record.state.is_settled())).await
    }
}

/// Leads, and an engine is there: so that what follows is about the engine, not about the start.
async fn ready(daemon: &Daemon) {
    let leads = || daemon.handle.status().gate_open(SystemClock.now().mono).then_some(());
    eventually("leadership", leads).await;
    eventually("an engine that asks for work", || daemon.desk.is_attended().then_some(())).await;
}

fn loopback() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[tokio::test]
#[ignore = "needs python3: cargo xtask test"]
async fn an_engine_killed_anywhere_never_makes_two_orders_of_a_signal() {
    use SignalState::{Executed, Quarantined};
    let expected = [
        ("before_begin", [(Executed, 1), (Executed, 1), (Executed, 1)]),
        ("after_begin", [(Executed, 1), (Quarantined, 0), (Quarantined, 0)]),
        ("after_order", [(Executed, 1), (Executed, 1), (Quarantined, 1)]),
    ];
    for (point, ends) in expected {
        for (kind, (state, orders)) in [Kind::Deduplicates, Kind::LookUpOnly, Kind::Blind].into_iter().zip(ends) {
            let context = format!("killed {point}, broker {kind:?}");
            let scene = Scene::new(kind, TestBroker::start(kind).await);
            let daemon = scene.daemon(loopback());
            let mut mortal = Engine::mortal(point, &daemon, &scene.broker);
            ready(&daemon).await;
            let receipt = daemon.handle.submit(br#"{"symbol":"NIFTY","qty":50}"#).await.unwrap();
            assert!(receipt.new);
            assert_eq!(mortal.ended().await.signal(), Some(SIGKILL), "{context}");

            let _engine = Engine::example(&daemon, &scene.broker);
            let record = scene.settles(&context).await;
            assert_eq!((record.state, scene.broker.orders()), (state, orders), "{context}: {record:?}");
            let first = record.attempts[0].outcome.as_ref();
            match point {
                // Never in doubt: the next engine got the same work, or it came too late for it.
                "before_begin" => {
                    assert!(
                        !record.attempts.iter().any(|a| matches!(a.outcome, Some(Outcome::Unknown(_)))),
                        "{context}"
                    );
                }
                // The repeat went out under the same attempt.
                _ if kind == Kind::Deduplicates => {
                    assert!(matches!(first, Some(Outcome::Accepted(_))), "{context}: {record:?}");
                }
                _ => assert!(matches!(first, Some(Outcome::Unknown(_))), "{context}: {record:?}"),
            }

            if state == Quarantined {
                // A human has looked at the broker.
                let resolution = if orders == 0 { Resolution::Resend } else { Resolution::Executed };
                let attempts = u32::try_from(record.attempts.len()).unwrap();
                daemon.handle.resolve(record.fingerprint, resolution, attempts, "looked".into()).await.unwrap();
                let executed = || (scene.record().state == Executed).then_some(());
                eventually(&context, executed).await;
                assert_eq!(scene.broker.orders(), 1, "{context}");
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs python3: cargo xtask test"]
async fn an_engine_that_outlives_its_daemon_tells_the_next_one() {
    // The hardest kind: nobody but the engine knows whether there is an order.
    let scene = Scene::new(Kind::Blind, TestBroker::start_with(Kind::Blind, 0).await);
    let listener = loopback();
    // Kept open across the two lives, as a supervisor with socket activation does: the port stays the daemon's.
    let again = listener.try_clone().unwrap();
    let daemon = scene.daemon(listener);
    let _engine = Engine::example(&daemon, &scene.broker);
    ready(&daemon).await;
    daemon.handle.submit(br#"{"symbol":"NIFTY","qty":50}"#).await.unwrap();
    scene.broker.placed(1).await;
    drop(daemon);
    scene.broker.answer_one();

    let _daemon = scene.daemon(again);
    let executed = || (scene.record().state == SignalState::Executed).then_some(());
    eventually("the truth", executed).await;
    assert_eq!(scene.broker.orders(), 1);
}

#[test]
#[ignore = "needs python3: cargo xtask test"]
fn the_python_client_passes_its_own_tests() {
    let mut tests = Command::new("python3");
    tests.args(["-B", "-W", "error", "-m", "unittest", "discover", "--start-directory", "tests"]);
    assert!(tests.current_dir(examples()).status().expect("python3 is installed").success());
}
