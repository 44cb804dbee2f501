//! A real Prometheus scrapes the figures, takes the rules, and finds the alerts.
//!
//! Time passes for real here: Prometheus has a clock of its own.
#![allow(clippy::disallowed_methods)] // The server side of this test is its own port.
#![allow(clippy::unwrap_used)] // In a test, also outside its functions, to panic is to fail.

use std::net::TcpListener as StdListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use oncegate_coordinator::{Clock, Exposition, Metrics, SystemClock};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Far beyond what a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Prometheus of one's own: a free port on loopback, a temporary folder, ended by its own handle.
struct Prometheus {
    process: Child,
    address: String,
    _folder: TempDir,
}

impl Prometheus {
    fn start(target: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/prometheus/oncegate.rules.yml");
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [{rules:?}]\n\
             scrape_configs: [{{job_name: oncegate, static_configs: [{{targets: [{target:?}]}}]}}]\n"
        );
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        // Free a moment ago; should somebody be faster, Prometheus ends and the wait says so.
        let address = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus is installed");
        Self { process, address, _folder: folder }
    }

    /// The `data` of an answer, if there is one.
    async fn ask(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(&self.address).await.ok()?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let body = answer.split_once("\r\n\r\n")?.1;
        let body: Value = serde_json::from_str(body).ok()?;
        (body["status"] == "success").then(|| body["data"].clone())
    }

    /// Asks until `found` finds what it looks for.
    async fn until<T>(&mut self, path: &str, found: impl Fn(&Value) -> Option<T>) -> T {
        let clock = SystemClock;
        let deadline = clock.now().mono.plus(PATIENCE);
        let mut last = None;
        while clock.now().mono < deadline {
            assert_eq!(self.process.try_wait().unwrap(), None, "prometheus has ended");
            last = self.ask(path).await;
            if let Some(found) = last.as_ref().and_then(&found) {
                return found;
            }
            clock.sleep_until(clock.now().mono.plus(Duration::from_millis(100))).await;
        }
        panic!("not found at {path} within {PATIENCE:?}: {last:?}");
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Answers every request with the figures, as the HTTP API does.
async fn serve(listener: TcpListener, metrics: Metrics) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        let page = metrics.prometheus();
        let head = format!(
            "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
            page.len()
        );
        let _ = stream.write_all((head + &page).as_bytes()).await;
    }
}

#[tokio::test]
#[ignore = "needs prometheus"]
async fn a_real_prometheus_scrapes_the_figures_and_runs_the_rules() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let metrics = Metrics::new(Arc::new(SystemClock), "a", "1.2.3", "oncegate:leader");
    let page = metrics.prometheus();
    let serving = tokio::spawn(serve(listener, metrics));
    let mut prometheus = Prometheus::start(&target);

    let up = |data: &Value| (data["result"][0]["value"][1] == "1").then_some(());
    prometheus.until("/api/v1/query?query=up", up).await;

    // Every sample on the page arrived, none twice.
    let lines = page.lines().filter(|line| !line.starts_with('#')).count();
    let query = "/api/v1/query?query=scrape_samples_post_metric_relabeling";
    let samples = prometheus.until(query, |data| data["result"][0]["value"][1].as_str().map(str::to_owned)).await;
    assert_eq!(samples, lines.to_string());

    // Types arrived as they were meant.
    let metadata = prometheus.until("/api/v1/metadata", |data| data.as_object().cloned()).await;
    for (name, kind) in [
        ("oncegate_leader", "gauge"),
        ("oncegate_store_sync_failures_total", "counter"),
        ("oncegate_failover_duration_seconds", "histogram"),
    ] {
        assert_eq!(metadata[name][0]["type"], kind, "{name}");
    }
    let untyped: Vec<_> = metadata.iter().filter(|(_, about)| about[0]["type"] == "unknown").collect();
    assert!(untyped.is_empty(), "{untyped:?}");

    // Every rule was evaluated without an error, and the node that does not lead is no leader.
    let rules = prometheus
        .until("/api/v1/rules", |data| {
            let rules = data["groups"][0]["rules"].as_array()?;
            rules.iter().all(|rule| rule["health"] != "unknown").then(|| rules.clone())
        })
        .await;
    assert_eq!(rules.len(), oncegate_coordinator::alerts::rules::RULES.len());
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    let no_leader = |data: &Value| {
        let rules = data["groups"][0]["rules"].as_array()?;
        let rule = rules.iter().find(|rule| rule["name"] == "OncegateNoLeader")?;
        (rule["state"] == "pending" || rule["state"] == "firing").then_some(())
    };
    prometheus.until("/api/v1/rules", no_leader).await;
    serving.abort();
}
