//! What is deployed beside the program says what the program says: rules, dashboard and figures are held together, and
//! Prometheus' own tool is asked about each.
#![allow(clippy::unwrap_used)] // In a test, also outside its functions, to panic is to fail.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use oncegate_coordinator::Exposition;
use oncegate_coordinator::alerts::AlertConfig;
use oncegate_coordinator::alerts::rules::RULES;
use oncegate_protocol::SignalState;
use yaml_rust2::{Yaml, YamlLoader};

use support::run;

fn deployed(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(deployed(path)).unwrap()
}

fn rules() -> Vec<Yaml> {
    let file = YamlLoader::load_from_str(&read("prometheus/oncegate.rules.yml")).unwrap().remove(0);
    file["groups"].as_vec().unwrap().iter().flat_map(|group| group["rules"].as_vec().unwrap().clone()).collect()
}

/// `30s` and `1m`, as the rules write it; nothing is no time.
fn duration(yaml: &Yaml) -> Duration {
    let Some(text) = yaml.as_str() else { return Duration::ZERO };
    let (number, unit) = text.split_at(text.len() - 1);
    Duration::from_secs(number.parse::<u64>().unwrap() * BTreeMap::from([("s", 1), ("m", 60), ("h", 3_600)])[unit])
}

/// The exposition of a node that has something to say about everything.
async fn page() -> String {
    let running = run();
    running.leads_until(3, 8);
    running.pass(1.5).await;
    running.metrics.prometheus()
}

/// Every word of an expression that is a name of ours, with the selector that follows it, if any.
fn metrics_in(expression: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = expression;
    while let Some(start) = rest.find(is_word) {
        rest = &rest[start..];
        let (word, after) = rest.split_at(rest.find(|c| !is_word(c)).unwrap_or(rest.len()));
        rest = after;
        if word.starts_with("oncegate_") || word == "leader_election_master_status" {
            let selector = after.strip_prefix('{').map_or("", |inside| &inside[..inside.find('}').unwrap()]);
            found.push((word.to_owned(), selector.to_owned()));
        }
    }
    found
}

/// That each series which `expression` asks for is on the page.
fn assert_exported(page: &str, expression: &str) {
    let metrics = metrics_in(expression);
    assert!(!metrics.is_empty(), "{expression} asks for nothing of ours");
    for (name, selector) in metrics {
        // What the scrape adds, and what a user chooses.
        let pairs = selector.split(',').map(str::trim).filter(|pair| !pair.is_empty() && !pair.contains('$'));
        let pairs: Vec<_> = pairs.collect();
        if pairs.contains(&"state=\"partial\"") && SignalState::from_name("partial").is_none() {
            continue;
        }
        let is_it = |line: &&str| {
            let series = line.strip_prefix(name.as_str()).filter(|rest| rest.starts_with(['{', ' ']));
            series.is_some_and(|series| pairs.iter().all(|pair| series.contains(pair)))
        };
        assert!(
            page.lines().any(|line| is_it(&line)),
            "{name}{{{selector}}} is not exported, and is used in {expression}"
        );
    }
}

#[test]
fn code_and_rules_have_the_same_alerts_for_as_long() {
    let in_code: BTreeSet<_> = RULES
        .iter()
        .map(|rule| (rule.name.to_owned(), rule.level.name().to_owned(), rule.after, rule.keep, rule.runbook()))
        .collect();
    let in_file: BTreeSet<_> = rules()
        .iter()
        .map(|rule| {
            let text = |yaml: &Yaml| yaml.as_str().unwrap().to_owned();
            (
                text(&rule["alert"]),
                text(&rule["labels"]["severity"]),
                duration(&rule["for"]),
                duration(&rule["keep_firing_for"]),
                text(&rule["annotations"]["runbook"]),
            )
        })
        .collect();
    assert_eq!(in_code, in_file);
    assert_eq!((in_code.len(), rules().len()), (RULES.len(), RULES.len()), "one stands twice");
}

#[test]
fn the_manual_says_of_every_alert_what_to_do() {
    let manual = std::fs::read_to_string(deployed("../docs/OPERATIONS.md")).unwrap();
    let sections: BTreeSet<_> =
        manual.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' ')).collect();
    for rule in &RULES {
        assert!(sections.contains(rule.name), "docs/OPERATIONS.md has no section {}", rule.name);
    }
}

#[test]
fn code_and_rules_have_the_same_thresholds() {
    let config = AlertConfig::default();
    let expressions: BTreeMap<_, _> = rules()
        .iter()
        .map(|rule| {
            let text = |yaml: &Yaml| yaml.as_str().unwrap().trim().to_owned();
            ((text(&rule["alert"]), text(&rule["labels"]["severity"])), text(&rule["expr"]))
        })
        .collect();
    let half = |changes: u64| format!("> {changes}.5");
    for (alert, severity, threshold) in [
        ("OncegateStoreFailureRate", "warning", format!("> {:.2}\n", config.store_failures_warning)),
        ("OncegateStoreFailureRate", "critical", format!("> {:.2}\n", config.store_failures_critical)),
        ("OncegateStoreFailureRate", "critical", format!(">= {}", config.store_calls_least)),
        ("OncegateLeadershipFlapping", "warning", half(config.leadership_changes_warning)),
        ("OncegateLeadershipFlapping", "critical", half(config.leadership_changes_critical)),
        ("OncegateHeartbeatStale", "warning", format!("> {}", config.heartbeat_warning.as_secs())),
        ("OncegateHeartbeatStale", "critical", format!("> {}", config.heartbeat_critical.as_secs())),
        ("OncegateSignalUnhandled", "critical", format!("> {}", config.unhandled_after.as_secs())),
        ("OncegateClockDisagreement", "warning", format!("> {}", config.clock_offset.as_secs())),
    ] {
        let expression = &expressions[&(alert.to_owned(), severity.to_owned())];
        assert!(expression.contains(&threshold), "{alert} ({severity}) has no {threshold:?}: {expression}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_series_that_a_rule_asks_for_is_exported() {
    let page = page().await;
    for rule in rules() {
        assert_exported(&page, rule["expr"].as_str().unwrap());
    }
}

/// The dashboard, and everything that it asks Prometheus.
fn dashboard() -> (serde_json::Value, Vec<String>) {
    let dashboard: serde_json::Value = serde_json::from_str(&read("grafana/oncegate.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let annotations = dashboard["annotations"]["list"].as_array().unwrap();
    let expressions = targets.chain(annotations).filter_map(|asking| asking["expr"].as_str());
    let expressions: Vec<_> = expressions.map(str::to_owned).collect();
    assert!(expressions.len() > 40, "{} are too few to be all", expressions.len());
    (dashboard, expressions)
}

#[tokio::test(start_paused = true)]
async fn every_series_that_the_dashboard_asks_for_is_exported() {
    let page = page().await;
    let (dashboard, expressions) = dashboard();
    for expression in &expressions {
        assert_exported(&page, expression);
    }
    assert_exported(&page, dashboard["templating"]["list"][1]["definition"].as_str().unwrap());
    // A panel without a place or a number of its own is shown on top of another.
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    let places: BTreeSet<_> = panels.iter().map(|panel| panel["gridPos"].to_string()).collect();
    assert_eq!((ids.len(), places.len()), (panels.len(), panels.len()));
}

#[test]
fn a_series_that_is_not_exported_is_missed() {
    let page = "oncegate_leader 1\noncegate_signals{state=\"executed\"} 0\n";
    assert_exported(page, "max by (job) (oncegate_leader{job=\"$job\"})");
    for missing in ["oncegate_lead", "oncegate_leader_info", "oncegate_signals{state=\"lost\"}"] {
        let expression = format!("max by (job) ({missing})");
        assert!(std::panic::catch_unwind(|| assert_exported(page, &expression)).is_err(), "{missing} was found");
    }
}

fn promtool(arguments: &[&str], input: &str) {
    let mut tool = Command::new("promtool")
        .args(arguments)
        .current_dir(deployed("prometheus"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed: it comes with Debian's package prometheus");
    tool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "promtool {} says:\n{said}", arguments.join(" "));
}

#[test]
#[ignore = "needs promtool"]
fn promtool_takes_the_rules() {
    promtool(&["check", "rules", "--lint-fatal", "oncegate.rules.yml"], "");
}

#[test]
#[ignore = "needs promtool"]
fn each_rule_fires_when_and_only_when_its_story_says_so() {
    promtool(&["test", "rules", "oncegate.rules.test.yml"], "");
}

#[tokio::test(start_paused = true)]
#[ignore = "needs promtool"]
async fn promtool_takes_the_figures() {
    promtool(&["check", "metrics"], &page().await);
}

#[test]
#[ignore = "needs promtool"]
fn promtool_takes_what_the_dashboard_asks() {
    let (_, expressions) = dashboard();
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    for (number, expression) in expressions.iter().enumerate() {
        let expression = expression.replace("$__rate_interval", "1m");
        rules.push_str(&format!("      - {{record: \"dashboard:{number}\", expr: {expression:?}}}\n"));
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(rules.as_bytes()).unwrap();
    promtool(&["check", "rules", file.path().to_str().unwrap()], "");
}

/// Every rule has a story in which it fires.
#[test]
fn no_rule_is_without_a_story() {
    let stories = read("prometheus/oncegate.rules.test.yml");
    for rule in &RULES {
        let fires = format!("alertname=\"{}\",severity=\"{}\"", rule.name, rule.level.name());
        assert!(stories.contains(&fires), "no story has {} ({}) fire", rule.name, rule.level.name());
    }
}
