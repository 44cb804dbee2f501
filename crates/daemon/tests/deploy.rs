//! What is deployed and what people are told to type, against the program itself.
#![allow(clippy::unwrap_used)] // In a test, also outside its functions, to panic is to fail.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser as _;
use oncegate_coordinator::alerts::rules::RULES;
use oncegate_daemon::cli::Args;
use oncegate_daemon::config::Config;
use oncegate_daemon::{DEFAULT_ADDRESS, Exit};
use serde_json::Value;

const UNIT: &str = include_str!("../../../deploy/systemd/oncegate.service");
const DOCKERFILE: &str = include_str!("../../../deploy/Dockerfile");
const MANUAL: &str = include_str!("../../../docs/OPERATIONS.md");

fn deployed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(path)
}

/// What a shell makes of a line without variables: words, single and double quotes, a comment at its end.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (None, '#') if word.is_none() => break,
            (None, ' ') => words.extend(word.take()),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if c == open => quote = None,
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    assert_eq!(quote, None, "a quote is left open: {line}");
    words.extend(word);
    words
}

fn can_be_typed(words: &[String]) {
    if let Err(error) = Args::try_parse_from(words) {
        panic!("{words:?}: {error}");
    }
}

/// The lines within the manual's blocks of this language.
fn typed(language: &str) -> Vec<&'static str> {
    let mut within = false;
    let mut lines = Vec::new();
    for line in MANUAL.lines().map(str::trim) {
        match line.strip_prefix("```") {
            Some(after) => within = !within && after == language,
            None if within => lines.push(line),
            None => {}
        }
    }
    lines
}

#[test]
fn every_command_in_the_manual_can_be_typed() {
    let commands: Vec<_> = typed("sh").into_iter().filter(|line| line.starts_with("oncegate ")).collect();
    assert!(commands.len() > 40, "{}", commands.len());
    for command in commands {
        can_be_typed(&words(command));
    }
}

#[test]
fn the_manual_has_a_section_for_every_alert_and_for_no_other_and_no_link_leads_nowhere() {
    let headings: Vec<_> = MANUAL.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' ')).collect();
    let alerts: BTreeSet<_> = RULES.iter().map(|rule| rule.name).collect();
    let sections: BTreeSet<_> = headings.iter().copied().filter(|heading| heading.starts_with("Oncegate")).collect();
    assert_eq!(sections, alerts);
    // As GitHub makes anchors of headings.
    let anchor = |heading: &&str| heading.to_lowercase().replace([',', '.'], "").replace(' ', "-");
    let anchors: BTreeSet<_> = headings.iter().map(anchor).collect();
    for rest in MANUAL.split("](#").skip(1) {
        let link = rest.split(')').next().unwrap();
        assert!(anchors.contains(link), "no heading for #{link}");
    }
    for rule in &RULES {
        let link = rule.runbook();
        assert!(anchors.contains(link.split_once('#').unwrap().1), "{link}");
    }
}

#[test]
fn the_example_configs_are_good_and_differ_in_names_alone() {
    let mut agreed = Vec::new();
    for (own, other) in [("host-a", "host-b"), ("host-b", "host-a")] {
        let file = deployed(&format!("example/{own}.toml"));
        let run = Command::new(env!("CARGO_BIN_EXE_oncegate"))
            .args(["config", "check", "--without-secrets"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let mut config: toml::Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
        assert_eq!(config.remove("instance").unwrap()["name"].as_str(), Some(own));
        assert_eq!(config.remove("peer").unwrap()[0]["name"].as_str(), Some(other));
        agreed.push(config);
    }
    assert_eq!(agreed[0], agreed[1]);
}

/// What the unit says, by key; a key that stands twice keeps both, in lines.
fn unit() -> BTreeMap<&'static str, String> {
    let mut said = BTreeMap::<_, String>::new();
    for line in UNIT.lines().filter(|line| !line.starts_with(['#', '['])) {
        if let Some((key, value)) = line.split_once('=') {
            let all = said.entry(key).or_default();
            *all = format!("{all}\n{value}").trim().to_owned();
        }
    }
    said
}

#[test]
fn the_unit_gives_the_daemon_time_to_step_down_and_restarts_what_a_restart_can_mend() {
    let unit = unit();
    can_be_typed(&words(&unit["ExecStart"].replace("/usr/local/bin/", "")));
    let seconds = |key: &str| unit[key].trim_end_matches('s').parse::<f64>().unwrap();
    let config = Config::default();
    let timing = config.timing.protocol();
    let stepping_down = timing.drain + timing.store_timeout + timing.lease_timeout + config.api.limits.drain.0;
    assert!(stepping_down.as_secs_f64() < seconds("TimeoutStopSec"), "{stepping_down:?}");
    // The daemon pings at half of it, once the loop has come round.
    assert!(config.api.limits.ping_within.0.as_secs_f64() < seconds("WatchdogSec") / 2.0);
    assert_eq!((unit["Type"].as_str(), unit["Restart"].as_str()), ("notify", "always"));
    assert_eq!(unit["RestartPreventExitStatus"], (Exit::Usage as u8).to_string());
    assert_eq!(unit["User"], "oncegate");
    // Where the manual and the examples put things.
    assert!(MANUAL.contains("/etc/oncegate/oncegate.toml") && MANUAL.contains("/usr/local/bin/oncegate"));
}

#[test]
#[ignore = "needs systemd-analyze"]
fn systemd_takes_the_unit_and_finds_it_well_shut_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("oncegate.service");
    let here =
        UNIT.replace("ExecStart=/usr/local/bin/oncegate", &format!("ExecStart={}", env!("CARGO_BIN_EXE_oncegate")));
    assert_ne!(here, UNIT);
    std::fs::write(&file, here).unwrap();
    for arguments in [&["verify"][..], &["security", "--offline=true", "--threshold=20", "--no-pager"]] {
        let run = Command::new("systemd-analyze").args(arguments).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{arguments:?}: {said}");
        assert!(arguments[0] != "verify" || !said.contains("oncegate.service:"), "{said}");
    }
}

/// The instructions of the Dockerfile, a continued one as one line.
fn instructions() -> Vec<(&'static str, String)> {
    let lines = DOCKERFILE.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let joined: String = lines.replace("\\\n", " ");
    let known = ["FROM", "RUN", "WORKDIR", "COPY", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"];
    let known: Vec<_> = known.into_iter().chain(["ENTRYPOINT", "CMD"]).collect();
    let read = |line: &str| {
        let (name, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?} is no instruction"));
        let name = known.iter().find(|known| **known == name).unwrap_or_else(|| panic!("{line:?}: unknown"));
        (*name, rest.trim().to_owned())
    };
    joined.lines().filter(|line| !line.trim().is_empty()).map(read).collect()
}

#[test]
fn the_image_runs_the_daemon_as_nobody_special_and_asks_after_its_health() {
    let all = instructions();
    let last = all.iter().rposition(|(name, _)| *name == "FROM").unwrap();
    let (build, image) = all.split_at(last);
    let one = |name: &str| image.iter().find(|(found, _)| *found == name).map(|(_, rest)| rest.as_str()).unwrap();
    assert!(build[0].1.ends_with(" AS build") && one("COPY").starts_with("--from=build /out/oncegate "));
    let manifest = include_str!("../Cargo.toml");
    assert!(manifest.contains("name = \"oncegate-daemon\"") && manifest.contains("name = \"oncegate\""));
    assert!(build.iter().any(|(name, rest)| *name == "RUN" && rest.contains("--locked --package oncegate-daemon")));
    let user: u32 = one("USER").split(':').next().unwrap().parse().expect("a number, so that Kubernetes can tell");
    assert_ne!(user, 0);
    let list = |name| serde_json::from_str::<Vec<String>>(one(name)).unwrap();
    let mut typed = list("ENTRYPOINT");
    assert_eq!(typed, ["/usr/local/bin/oncegate"]);
    typed.extend(list("CMD"));
    can_be_typed(&typed);
    let port = DEFAULT_ADDRESS.rsplit(':').next().unwrap();
    assert_eq!(one("EXPOSE"), port);
    assert!(
        one("HEALTHCHECK").contains(&format!("/dev/tcp/127.0.0.1/{port} ")) && one("HEALTHCHECK").contains("/livez")
    );
    let check = one("HEALTHCHECK").split_once("CMD ").unwrap().1;
    let check: Value = serde_json::from_str(check).unwrap();
    let flaws = Command::new("bash").arg("-n").arg("-c").arg(check[2].as_str().unwrap()).output().unwrap();
    assert!(flaws.status.success(), "{}", String::from_utf8_lossy(&flaws.stderr));
}
