//! The command line from outside: exit codes, what machines read, and that the last line shows a failure again.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn sim(args: &[&str]) -> Ended {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let ended = Command::new(env!("CARGO_BIN_EXE_sim")).args(args).current_dir(workspace).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: ended.status.code().unwrap(), out: text(ended.stdout), err: text(ended.stderr) }
}

/// A folder of this test's own, empty.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

const HOLDS: &str = "scenarios/two-leaders-at-once.toml";
const MUTANT: [&str; 2] = ["--mutant", "check-then-act"];

#[test]
fn a_scenario_that_holds_exits_with_0_and_a_broken_one_with_1() {
    let held = sim(&["replay", HOLDS]);
    assert_eq!((held.code, held.err.as_str()), (0, ""));
    assert!(held.out.starts_with("two-leaders-at-once: every promise held\n"), "{}", held.out);
    assert!(held.out.lines().last().unwrap().starts_with("trace hash "), "{}", held.out);

    let broken = sim(&["replay", MUTANT[0], MUTANT[1], HOLDS]);
    assert_eq!(broken.code, 1);
    assert!(broken.out.contains("BROKEN at-most-once: signal BUY was executed twice"), "{}", broken.out);

    let quiet = sim(&["replay", "--quiet", HOLDS]);
    assert_eq!((quiet.code, quiet.out.lines().count()), (0, 1));
    assert!(quiet.out.starts_with("holds ") && quiet.out.ends_with(&format!("{HOLDS}\n")), "{}", quiet.out);
}

#[test]
fn input_that_cant_be_used_exits_with_2_and_says_so_on_stderr() {
    let missing = sim(&["replay", "no/such.toml"]);
    assert_eq!((missing.code, missing.out.as_str()), (2, ""));
    assert!(missing.err.starts_with("no/such.toml: can't be read"), "{}", missing.err);

    let bad = folder("bad-input").join("bad.toml");
    std::fs::write(&bad, "name = \"bad\"\nsead = 1\n").unwrap();
    let refused = sim(&["replay", bad.to_str().unwrap()]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.starts_with(&format!("{}:2: unknown key `sead`", bad.display())), "{}", refused.err);

    for args in [
        &["replay"][..],
        &["no-such-command"],
        &["run"],
        &["run", "--seed", "x"],
        &["explore", "--oracle", "x"],
        &["shrink"],
    ] {
        let ended = sim(args);
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{args:?}");
        assert!(ended.err.starts_with("error: "), "{args:?}: {}", ended.err);
    }
    for args in [&["list", "--scenarios", "no/such"][..], &["signoff", "--scenarios", "no/such"]] {
        let ended = sim(args);
        assert_eq!(ended.code, 2, "{args:?}");
        assert!(ended.err.starts_with("no/such: can't be read"), "{args:?}: {}", ended.err);
    }
}

/// The good file is told, the bad one is named, and the worse code wins.
#[test]
fn one_bad_file_among_good_ones_is_not_overlooked() {
    let ended = sim(&["replay", "--quiet", "no/such.toml", HOLDS]);
    assert_eq!(ended.code, 2);
    assert!(ended.out.starts_with("holds "), "{}", ended.out);
    assert!(ended.err.starts_with("no/such.toml: "), "{}", ended.err);
}

#[test]
fn help_says_what_exit_codes_mean_and_where_to_start() {
    let help = sim(&["--help"]);
    assert_eq!(help.code, 0);
    for words in [
        "Exit codes: 0 every promise held",
        "1 a promise was broken",
        "2 the input can't be used",
        "3 two runs",
        "cargo signoff",
    ] {
        assert!(help.out.contains(words), "{words}: {}", help.out);
    }
    for command in ["run", "explore", "exhaust", "mutants", "replay", "shrink", "signoff", "merge", "list"] {
        assert_eq!(sim(&[command, "--help"]).code, 0, "{command}");
    }
}

#[test]
fn a_replay_for_machines_has_its_fields() {
    let held = sim(&["replay", "--json", HOLDS]);
    assert_eq!((held.code, held.out.lines().count()), (0, 1));
    let report = json(&held.out);
    assert_eq!(report["scenario"], "two-leaders-at-once");
    assert_eq!(report["verdict"], "holds");
    assert_eq!(report["violations"], Value::Array(Vec::new()));
    assert_eq!(report["deterministic"], true);
    assert_eq!(report["orders"], 1);
    assert_eq!(report["signals"]["BUY"], "executed");
    assert_eq!(report["simulated_seconds"], 150.0);
    assert_eq!(report["seen"]["claim-fenced"], 1);
    assert_eq!(report["reached"]["claimed"], 1);
    assert_eq!(report["trace_hash"].as_str().unwrap().len(), 64);

    let broken = sim(&["replay", "--json", MUTANT[0], MUTANT[1], HOLDS]);
    assert_eq!(broken.code, 1);
    let report = json(&broken.out);
    assert_eq!((&report["verdict"], &report["orders"]), (&"violation".into(), &2.into()));
    let first = &report["violations"][0];
    assert_eq!(first["oracle"], "at-most-once");
    assert!(first["at_seconds"].as_f64().unwrap() > 20.0 && first["what"].is_string(), "{first}");
}

#[test]
fn what_there_is_can_be_listed() {
    let listed = sim(&["list", "--json"]);
    assert_eq!(listed.code, 0);
    let listed = json(&listed.out);
    let scenarios = listed["scenarios"].as_array().unwrap();
    assert!(scenarios.len() >= 14);
    assert!(scenarios.iter().all(|scenario| scenario["story"].as_str().unwrap().ends_with('.')));
    for (kind, one) in
        [("oracles", "at-most-once"), ("mutants", "check-then-act"), ("points", "claimed"), ("sightings", "taken-over")]
    {
        assert!(listed[kind].as_array().unwrap().contains(&one.into()), "{kind}");
    }
    let told = sim(&["list"]).out;
    assert!(told.contains(&format!("  {HOLDS}\n")) && told.contains("check-then-act"), "{told}");
}

#[test]
fn the_last_line_of_a_sweep_that_fails_shows_the_failure_again() {
    let failures = folder("failures");
    let explore =
        ["explore", "--runs", "60", "--seed", "1000", MUTANT[0], MUTANT[1], "--failures", failures.to_str().unwrap()];
    let swept = sim(&explore);
    assert_eq!(swept.code, 1, "{}", swept.out);
    let hash = |out: &str| out.lines().find_map(|line| line.strip_prefix("trace hash ")).unwrap().to_owned();
    let broken =
        |out: &str| out.lines().filter(|line| line.starts_with("BROKEN")).map(str::to_owned).collect::<Vec<_>>();
    assert!(swept.out.contains("\nshrunk from "), "{}", swept.out);
    assert!(broken(&swept.out).iter().any(|line| line.starts_with("BROKEN at-most-once")), "{}", swept.out);

    let replay = swept.out.lines().last().unwrap().strip_prefix("cargo sim ").unwrap();
    let replayed = sim(&replay.split(' ').collect::<Vec<_>>());
    assert_eq!(replayed.code, 1);
    assert_eq!(hash(&replayed.out), hash(&swept.out));
    assert_eq!(broken(&replayed.out), broken(&swept.out));

    let machines = sim(&[&explore[..], &["--json"]].concat());
    assert_eq!(machines.code, 1);
    let report = json(&machines.out);
    assert_eq!(report["verdict"], "violation");
    assert_eq!(report["replay"], format!("cargo sim {replay}"));
    assert_eq!(report["failure"]["trace_hash"], hash(&swept.out));
    assert!(report["failed_seed"].is_u64() && report["runs"].as_u64().unwrap() <= 60, "{report}");
}

#[test]
fn a_file_that_fails_shrinks_and_one_that_holds_is_left_alone() {
    let out = folder("shrunk");
    let out = out.to_str().unwrap();
    let held = sim(&["shrink", HOLDS, "--out", out]);
    assert_eq!((held.code, std::fs::read_dir(out).unwrap().count()), (0, 0));
    assert!(held.out.ends_with("every promise is kept: there is nothing to shrink\n"), "{}", held.out);

    let shrunk = sim(&["shrink", "scenarios/paused-before-the-claim.toml", MUTANT[0], MUTANT[1], "--out", out]);
    assert_eq!(shrunk.code, 1, "{}", shrunk.out);
    assert!(shrunk.out.contains("\nshrunk from 1 fault 1 signal 3 nodes to 1 fault 1 signal 2 nodes in "));
    let replay = shrunk.out.lines().last().unwrap().strip_prefix("cargo sim ").unwrap();
    let again = sim(&replay.split(' ').collect::<Vec<_>>());
    assert_eq!(again.code, 1);
    let hash = |out: &str| out.lines().find(|line| line.starts_with("trace hash ")).unwrap().to_owned();
    assert_eq!(hash(&again.out), hash(&shrunk.out));

    // What is small already stays as it is, under its own name.
    let file = replay.split(' ').next_back().unwrap();
    let machines = sim(&["shrink", file, MUTANT[0], MUTANT[1], "--out", out, "--json"]);
    let report = json(&machines.out);
    assert_eq!((machines.code, &report["verdict"]), (1, &"violation".into()));
    assert_eq!(report["shrunk"]["from"], report["shrunk"]["to"]);
    assert_eq!(report["replay"], format!("cargo sim {replay}"));
}

#[test]
fn a_sweep_of_production_code_holds_and_agrees_with_itself() {
    let swept = sim(&["explore", "--runs", "4", "--seed", "7", "--twice", "--json"]);
    assert_eq!(swept.code, 0, "{}", swept.out);
    let report = json(&swept.out);
    assert_eq!((&report["verdict"], &report["runs"], &report["hashes_agree"]), (&"holds".into(), &4.into(), &4.into()));
    assert_eq!((&report["failed_seed"], &report["replay"]), (&Value::Null, &Value::Null));
}

#[test]
fn one_seed_tells_its_scenario_and_its_story() {
    let told = sim(&["run", "--seed", "5"]);
    assert_eq!(told.code, 0, "{}", told.out);
    assert!(told.out.starts_with("# Drawn from seed 5:\n# "), "{}", told.out);
    for part in ["# faults: up to ", " % of production's times", "\nname = \"seed-5\"\n"] {
        assert!(told.out.contains(part), "{part}: {}", told.out);
    }
    assert_eq!(json(&sim(&["run", "--seed", "5", "--json"]).out)["scenario"], "seed-5");
}

#[test]
fn a_sign_off_passes_production_code_and_fails_the_planted_bug() {
    let recorded = folder("recorded");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::copy(workspace.join(HOLDS), recorded.join("two-leaders-at-once.toml")).unwrap();
    let here = recorded.to_str().unwrap();
    let plan = ["signoff", "--budget", "3s", "--runs", "4", "--scenarios", here, "--failures", here];
    let passed = sim(&[&plan[..], &["--json"]].concat());
    assert_eq!(passed.code, 0, "{}", passed.out);
    let report = json(&passed.out);
    assert_eq!(
        (&report["verdict"], &report["replay"], &report["failure"]),
        (&"PASS".into(), &Value::Null, &Value::Null)
    );
    let phases = report["phases"].as_array().unwrap();
    let names: Vec<_> = phases.iter().map(|phase| phase["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["determinism", "scenarios", "exhaustive", "mutants", "swarm", "sometimes"]);
    assert!(phases.iter().all(|phase| phase["passed"] == true && phase["figure"].is_string()));

    let failed = sim(&[&plan[..], &MUTANT].concat());
    assert_eq!(failed.code, 1, "{}", failed.out);
    assert!(failed.out.contains("\nFAIL: determinism (seed "), "{}", failed.out);
    assert!(
        failed.out.lines().last().unwrap().starts_with("cargo sim replay --mutant check-then-act "),
        "{}",
        failed.out
    );
}

#[test]
fn a_sign_off_goes_on_where_it_stopped_and_its_parts_make_a_whole() {
    let here = folder("parts");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::copy(workspace.join(HOLDS), here.join("two-leaders-at-once.toml")).unwrap();
    let (first, second) = (here.join("1.json"), here.join("2.json"));
    let part = |shard: &str, state: &Path| {
        let here = here.to_str().unwrap();
        let plan = ["signoff", "--budget", "3s", "--runs", "4", "--scenarios", here, "--failures", here];
        sim(&[&plan[..], &["--shard", shard, "--state", state.to_str().unwrap()]].concat())
    };
    let told = part("1/2", &first);
    assert_eq!(told.code, 0, "{}", told.out);
    assert!(told.out.contains("part 1 of 2") && !told.out.contains("PASS"), "{}", told.out);

    // All is done already: nothing is done again.
    let state = |path: &Path| -> Value { serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap() };
    let before = state(&first);
    assert_eq!(before["swarm"]["done"], 2);
    assert_eq!(part("1/2", &first).code, 0);
    for phase in ["determinism", "scenarios", "swarm"] {
        assert_eq!(state(&first)[phase], before[phase], "{phase}");
    }
    // Another part's state is none of this one's.
    assert_eq!(part("2/2", &first).code, 2);

    assert_eq!(part("2/2", &second).code, 0);
    let files = [first.to_str().unwrap(), second.to_str().unwrap()];
    assert_eq!(sim(&["merge", files[0]]).code, 2, "half of it");
    assert_eq!(sim(&["merge", files[0], files[0]]).code, 2, "twice the same half");
    let whole = sim(&["merge", files[1], files[0]]);
    assert_eq!(whole.code, 0, "{}", whole.out);
    assert!(whole.out.contains("\nPASS: ") && whole.out.contains("100 of 100 drawn runs"), "{}", whole.out);
}

#[test]
fn a_hunt_exits_with_0_when_all_is_found_and_with_1_when_a_bug_survives() {
    let found = sim(&["mutants", "--only", "twin-hosts,vacate-resets-epoch", "--runs", "5", "--json"]);
    assert_eq!(found.code, 0, "{}", found.out);
    let report = json(&found.out);
    assert_eq!(
        (&report["killed"], &report["of"], &report["survivors"]),
        (&2.into(), &2.into(), &serde_json::json!([]))
    );
    let twins = &report["mutants"][0];
    assert_eq!((&twins["name"], &twins["killed"]), (&"twin-hosts".into(), &true.into()));
    for told in ["story", "place", "against", "runs", "first", "oracles", "simulated_seconds", "smallest"] {
        assert!(!twins[told].is_null(), "{told} is told");
    }

    let survived = sim(&["mutants", "--only", "dedup-window", "--runs", "1", "--scenarios", "sim/tests/no-stories"]);
    assert_eq!(survived.code, 2, "{}", survived.out);
    let one = folder("one-story");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::copy(workspace.join(HOLDS), one.join("two-leaders-at-once.toml")).unwrap();
    let survived = sim(&["mutants", "--only", "dedup-window", "--runs", "1", "--scenarios", one.to_str().unwrap()]);
    assert_eq!(survived.code, 1, "{}", survived.out);
    assert!(survived.out.ends_with("SURVIVED: dedup-window\n"), "{}", survived.out);
}
