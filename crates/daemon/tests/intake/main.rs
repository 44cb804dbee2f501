//! How many signals a second a node takes in, beside how many durable commits its store makes, in one run on one disk;
//! and that nothing is lost, and nobody waits for long, when the store stands still midway.
//!
//! No engine takes work here, so that what is measured is intake alone.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // Real processes, in real time.

#[path = "../cluster/http.rs"]
#[allow(dead_code)] // Nothing is posted this way here.
mod http;
mod load;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use load::Load;
use oncegate_store_conformance::postgres_server::{DATABASE, PostgresServer, USER};
use tempfile::TempDir;

/// How long each figure is taken for.
const MEASURED_FOR: Duration = Duration::from_secs(5);
/// So many senders at a time.
const SENDERS: usize = 16;
/// What a sender is promised an answer within, and what a loaded machine may add.
const ANSWERED_WITHIN: Duration = Duration::from_millis(500 + 250);

struct Daemon {
    process: Child,
    address: String,
}

impl Daemon {
    fn start(folder: &Path, store: &str) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let config = folder.join("oncegate.toml");
        let text = format!(
            "[instance]\nname = \"host-a\"\n[listen]\naddress = \"{address}\"\n[api.limits]\nrate_per_second = 0\n\
             {store}\n[broker]\nkind = \"engine\"\n"
        );
        std::fs::write(&config, text).unwrap();
        let migrated = oncegate().args(["migrate", "--config"]).arg(&config).stdout(Stdio::null()).status().unwrap();
        assert!(migrated.success());
        let process =
            oncegate().args(["serve", "--config"]).arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let daemon = Self { process: process.unwrap(), address };
        let begun = Instant::now();
        while !matches!(http::get(&daemon.address, "/readyz"), Ok((200, _))) {
            assert!(begun.elapsed() < Duration::from_secs(20), "the daemon is not ready");
            thread::sleep(Duration::from_millis(20));
        }
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn oncegate() -> Command {
    Command::new(env!("CARGO_BIN_EXE_oncegate"))
}

/// On a real disk: on tmpfs a commit is no commit.
fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn told(store: &str, commits: f64, load: &Load) {
    println!(
        "{store}: {:.0} signals a second, p50 {:.1} ms, p99 {:.1} ms; the store alone: {commits:.0} durable commits a \
         second ({:.0} %)",
        load.rate(),
        load.quantile(0.50).as_secs_f64() * 1e3,
        load.quantile(0.99).as_secs_f64() * 1e3,
        load.rate() / commits * 100.0,
    );
    assert_eq!(load.refused, 0, "a node that is well takes all");
    assert!(load.quantile(0.99) < ANSWERED_WITHIN);
}

#[test]
#[ignore = "measures a disk for some seconds"]
fn intake_on_sqlite() {
    let folder = folder();
    let path = folder.path().join("signals.db");
    let daemon = Daemon::start(folder.path(), &format!("[store.sqlite]\npath = {path:?}"));
    let commits = sqlite_commits(folder.path());
    let load = Load::run(&daemon.address, SENDERS, MEASURED_FOR, || {});
    told("sqlite", commits, &load);
    let count: i64 = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM signals", [], |row| row.get(0))
        .unwrap();
    assert_eq!(usize::try_from(count).unwrap(), load.acknowledged.len(), "every signal that was acknowledged, once");
}

#[test]
#[ignore = "needs PostgreSQL"]
fn intake_on_postgres_and_while_the_server_stands_still() {
    let folder = folder();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(PostgresServer::start(&[]));
    let store = format!(
        "[store]\nkind = \"postgres\"\n[store.postgres]\naddresses = [\"{}\"]\ndatabase = \"{}\"\nuser = \"{}\"\n",
        server.peer, DATABASE, USER
    );
    let daemon = Daemon::start(folder.path(), &store);
    let commits = postgres_commits(&server, folder.path());
    let load = Load::run(&daemon.address, SENDERS, MEASURED_FOR, || {});
    told("postgres", commits, &load);

    let struck = Load::run(&daemon.address, SENDERS, MEASURED_FOR, || {
        thread::sleep(Duration::from_secs(1));
        let server = processes(&server);
        tell("-STOP", &server);
        thread::sleep(Duration::from_secs(2));
        tell("-CONT", &server);
    });
    let slowest = struck.quantile(1.0);
    println!(
        "postgres, standing still for 2 s: {} acknowledged, {} refused, the slowest answer after {:.0} ms",
        struck.acknowledged.len(),
        struck.refused,
        slowest.as_secs_f64() * 1e3
    );
    assert!(struck.refused > 0, "it did stand still");
    assert!(slowest < ANSWERED_WITHIN, "webhook senders give up");
    for fingerprint in &struck.acknowledged {
        let (status, signal) = http::get(&daemon.address, &format!("/v1/signals/{fingerprint}")).unwrap();
        assert_eq!(status, 200, "{fingerprint} was acknowledged and is lost: {signal}");
    }
}

/// Single rows into an otherwise empty database that commits as the store does.
fn sqlite_commits(folder: &Path) -> f64 {
    let db = rusqlite::Connection::open(folder.join("alone.db")).unwrap();
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (a INTEGER, b BLOB)")
        .unwrap();
    let mut insert = db.prepare("INSERT INTO t VALUES (?1, ?2)").unwrap();
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < MEASURED_FOR {
        insert.execute((count, [0_u8; 150])).unwrap();
        count += 1;
    }
    f64::from(count) / begun.elapsed().as_secs_f64()
}

/// The same on PostgreSQL, by its own bench, with as many clients as there are senders.
fn postgres_commits(server: &PostgresServer, folder: &Path) -> f64 {
    let script = folder.join("insert.sql");
    std::fs::write(&script, "INSERT INTO pgbench_history (tid, filler) VALUES (1, repeat('x', 22));\n").unwrap();
    let (host, port) = server.peer.rsplit_once(':').unwrap();
    let bench = |args: &[&str]| {
        let output = Command::new(server.program("pgbench"))
            .args(["-h", host, "-p", port, "-U", USER])
            .args(args)
            .arg(DATABASE)
            .output()
            .unwrap();
        assert!(output.status.success(), "pgbench: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    bench(&["-i", "-s", "1", "-q"]);
    let (clients, seconds) = (SENDERS.to_string(), MEASURED_FOR.as_secs().to_string());
    let script = script.to_str().unwrap();
    let text = bench(&["-n", "-M", "prepared", "-c", &clients, "-j", "2", "-T", &seconds, "-f", script]);
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")).and_then(|rest| rest.split(' ').next());
    rate.unwrap_or_else(|| panic!("pgbench says no rate: {text}")).parse().unwrap()
}

/// The server and the processes that serve its sessions.
fn processes(server: &PostgresServer) -> Vec<u32> {
    let mut all = vec![server.id()];
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        if parent == Some(server.id()) {
            all.push(id);
        }
    }
    all
}

fn tell(signal: &str, processes: &[u32]) {
    let told = Command::new("kill").arg(signal).args(processes.iter().map(u32::to_string)).status().unwrap();
    assert!(told.success());
}
