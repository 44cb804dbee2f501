//! The processes of a drill: where they listen, how they are struck, and what they say.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use oncegate_store_conformance::postgres_server::{DATABASE, PostgresServer, USER};
use serde_json::Value;
use tempfile::TempDir;

use super::http;
use super::redis_server::RedisServer;

/// The lease time of these daemons: a third of the default, so that a drill is done in a minute.
pub(crate) const TTL: Duration = Duration::from_secs(3);

const NODES: usize = 3;

pub(crate) struct Cluster {
    nodes: Vec<Node>,
    broker: Child,
    data: TempDir,
    runtime: tokio::runtime::Runtime,
    _redis: RedisServer,
    _postgres: PostgresServer,
}

struct Node {
    name: String,
    address: String,
    config: PathBuf,
    process: Option<Child>,
}

impl Cluster {
    pub(crate) fn start(broker_kind: &str) -> Self {
        let data = TempDir::new().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let redis = runtime.block_on(RedisServer::start());
        let postgres = runtime.block_on(PostgresServer::start(&[]));
        let broker_address = free_address();
        let broker = oncegate()
            .args(["paper-broker", "--listen", &broker_address, "--kind", broker_kind, "--book"])
            .arg(data.path().join("book.jsonl"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let addresses: Vec<_> = (0..NODES).map(|_| free_address()).collect();
        let dedup = if broker_kind == "deduplicates" { "forever" } else { "never" };
        let nodes = addresses.iter().enumerate().map(|(at, address)| {
            let name = format!("host-{at}");
            let config = data.path().join(format!("{name}.toml"));
            let text = format!(
                r#"
[instance]
name = "{name}"

[listen]
address = "{address}"

[store]
kind = "postgres"
[store.postgres]
addresses = ["{postgres}"]
database = "{database}"
user = "{user}"

[lease]
kind = "redis"
[lease.redis]
address = "{redis}"

[broker]
kind = "http"
[broker.http]
url = "http://{broker_address}"
[broker.capabilities]
dedup = "{dedup}"
lookup = true
visible_after = "0s"
longest_flight = "1s"

[timing]
ttl = "3s"
renew_every = "400ms"
renew_deadline = "2200ms"
lease_timeout = "400ms"
store_timeout = "800ms"
broker_timeout = "1s"
margin = "200ms"
split_brain_grace = "1500ms"
stale_after = "2s"
store_deadline = "3s"
retry_least = "100ms"
retry_most = "1s"
drain = "2s"

[log]
format = "human"
"#,
                postgres = postgres.peer,
                database = DATABASE,
                user = USER,
                redis = redis.peer,
            );
            std::fs::write(&config, text).unwrap();
            Node { name, address: address.clone(), config, process: None }
        });
        let nodes = nodes.collect();
        let mut cluster = Self { nodes, broker, data, runtime, _redis: redis, _postgres: postgres };
        let migrated = oncegate().args(["migrate", "--config"]).arg(&cluster.nodes[0].config).status().unwrap();
        assert!(migrated.success());
        for at in 0..NODES {
            cluster.start_node(at);
        }
        cluster.all_are_up();
        cluster
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.address.clone()).collect()
    }

    pub(crate) fn start_node(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let log = File::options().create(true).append(true).open(self.data.path().join(format!("{}.log", node.name)));
        let log = log.unwrap();
        let process = oncegate()
            .args(["serve", "--config"])
            .arg(&node.config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        node.process = Some(process);
    }

    /// Without a word of warning.
    pub(crate) fn kill(&mut self, at: usize) {
        let mut process = self.nodes[at].process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    pub(crate) fn signal(&self, at: usize, signal: &str) {
        let id = self.nodes[at].process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// It was asked to end, and does.
    pub(crate) fn ended(&mut self, at: usize, within: Duration) {
        let mut process = self.nodes[at].process.take().unwrap();
        let status = self.wait_for(within, "the daemon ends", || process.try_wait().unwrap());
        assert!(status.success(), "asked to end, it ended with {status}");
    }

    pub(crate) fn all_are_up(&self) {
        for node in &self.nodes {
            let what = format!("{} is ready", node.name);
            self.wait_for(Duration::from_secs(20), &what, || {
                matches!(http::get(&node.address, "/readyz"), Ok((200, _))).then_some(())
            });
        }
    }

    /// Which node leads.
    pub(crate) fn leader_within(&self, within: Duration) -> usize {
        self.wait_for(within, "somebody leads", || (0..NODES).find(|at| self.leads(*at)))
    }

    /// How long it takes from now until another leads.
    pub(crate) fn other_leads(&self, but: usize) -> Duration {
        let begun = Instant::now();
        let others: Vec<_> = (0..NODES).filter(|at| *at != but).collect();
        self.wait_for(TTL * 4, "another leads", || others.iter().find(|at| self.leads(**at)).copied());
        begun.elapsed()
    }

    fn leads(&self, at: usize) -> bool {
        matches!(http::get(&self.nodes[at].address, "/leader"), Ok((200, _)))
    }

    /// Where each of these signals ended, by fingerprint.
    pub(crate) fn settled(&self, signals: &[String], within: Duration) -> BTreeMap<String, String> {
        let mut states = BTreeMap::new();
        let begun = Instant::now();
        for fingerprint in signals {
            let left = within.saturating_sub(begun.elapsed());
            let state = self.wait_for(left, &format!("{fingerprint} is settled"), || {
                let (_, signal) = http::get(&self.nodes[0].address, &format!("/v1/signals/{fingerprint}")).ok()?;
                let state = signal["state"].as_str()?.to_owned();
                ["executed", "failed", "expired", "quarantined"].contains(&&*state).then_some(state)
            });
            states.insert(fingerprint.clone(), state);
        }
        states
    }

    /// What the broker executed.
    pub(crate) fn book(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.data.path().join("book.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn wait_for<T>(&self, within: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            if begun.elapsed() > within {
                panic!("{what}: not within {within:?}\n{}", self.logs());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The last lines that each daemon wrote.
    fn logs(&self) -> String {
        let mut text = String::new();
        for node in &self.nodes {
            let log = std::fs::read_to_string(self.data.path().join(format!("{}.log", node.name))).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            text += &format!("--- {}\n{}\n", node.name, lines[lines.len().saturating_sub(40)..].join("\n"));
        }
        text
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in self.nodes.iter_mut().filter_map(|node| node.process.as_mut()).chain([&mut self.broker]) {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = &self.runtime;
    }
}

fn oncegate() -> Command {
    Command::new(env!("CARGO_BIN_EXE_oncegate"))
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
