//! The daemon as its operator meets it: real processes, real sockets, real signals.

#![allow(clippy::unwrap_used)]

mod kit;

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use kit::{Daemon, command, folder, now, oncegate};
use oncegate_sqlite_store::{Db, schema};
use serde_json::{Value, json};

const SIGNAL: &str = r#"{"id":"demo-1","side":"buy"}"#;

/// Much more than it takes, and what is promised.
const ORDERLY: Duration = Duration::from_secs(2);

#[test]
fn without_a_config_a_signal_gets_through_to_the_paper_broker_and_sigterm_ends_in_order() {
    let folder = folder("");
    let began = now();
    let daemon = Daemon::start(folder.path());
    println!("listens after {:?}", now().since(began));
    assert!(daemon.banner.contains("the defaults hold"), "{}", daemon.banner);
    assert!(daemon.banner.contains("oncegate.db, made just now"), "{}", daemon.banner);
    assert!(daemon.banner.contains("none is placed anywhere"), "{}", daemon.banner);

    let (status, first) = daemon.http("POST", "/v1/signals", None, Some(SIGNAL));
    assert_eq!((status, &first["new"]), (202, &json!(true)), "{first}");
    let fingerprint = first["fingerprint"].as_str().unwrap();
    let path = format!("/v1/signals/{fingerprint}");
    let signal = daemon.until(&path, |signal| signal["state"] == "executed");
    println!("executed after {:?}", now().since(began));
    assert_eq!(signal["attempts"].as_array().unwrap().len(), 1, "{signal}");
    let (status, again) = daemon.http("POST", "/v1/signals", None, Some(SIGNAL));
    assert_eq!((status, &again["state"]), (200, &json!("executed")));

    // What people ask, in their words and in a program's.
    let shown = daemon.ask(folder.path(), &["show", &fingerprint[..8]]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    assert!(shown.out.contains("state     executed") && shown.out.contains(fingerprint), "{}", shown.out);
    let listed = daemon.ask(folder.path(), &["signals", "--state", "executed", "--json"]);
    assert!(listed.out.contains(&format!(r#""body":{SIGNAL}"#)), "not as it came: {}", listed.out);
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!(listed["signals"][0]["fingerprint"], fingerprint);
    assert_eq!(daemon.ask(folder.path(), &["signals", "--in-doubt"]).out, "no signals\n");
    daemon
        .until("/v1/overview", |seen| seen["leader"]["is_leader"] == true && seen["signals_by_state"]["executed"] == 1);
    for args in [&["status"][..], &["leader"], &["history"]] {
        let told = daemon.ask(folder.path(), args);
        assert_eq!(told.code, 0, "{args:?}: {}", told.err);
        assert!(!told.out.is_empty());
    }
    // Not quarantined: nothing to be resolved.
    let refused = daemon.ask(folder.path(), &["resolve", &fingerprint[..8], "resend", "--reason", "x", "--yes"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("it is executed"), "{}", refused.err);

    let end = daemon.end("TERM");
    println!("ended {:?} after SIGTERM", end.took);
    assert_eq!(end.code, Some(0), "{}", end.err);
    assert!(end.took < ORDERLY, "{:?}", end.took);
    let db = Db::open(folder.path().join("oncegate.db")).unwrap();
    assert_eq!(db.leadership().unwrap().holder, None, "the epoch was vacated");
    let lost = end.err.lines().find(|line| line.contains("CRITICAL")).unwrap();
    assert!(
        lost.contains("no longer leads (epoch 1)") && lost.contains("reason=") && lost.contains("epoch=1"),
        "{lost}"
    );
    let led = end.err.lines().find(|line| line.contains("leads, epoch 1")).unwrap();
    assert!(led.contains(" ERROR ") && led.contains("instance="), "{led}");
}

#[test]
fn after_a_graceful_end_the_next_one_leads_at_once_and_knows_the_old_signals() {
    let folder = folder("[log]\nformat = \"human\"\n");
    let daemon = Daemon::start(folder.path());
    let (_, first) = daemon.http("POST", "/v1/signals", None, Some(SIGNAL));
    daemon.until("/coordinator/leader", |seen| seen["is_leader"] == true);
    assert_eq!(daemon.end("INT").code, Some(0));

    let daemon = Daemon::start(folder.path());
    assert!(daemon.banner.contains("oncegate.toml, found here"), "{}", daemon.banner);
    let began = now();
    daemon.until("/coordinator/leader", |seen| seen["is_leader"] == true && seen["epoch"] == 2);
    println!("leads after {:?}", now().since(began));
    let (status, again) = daemon.http("POST", "/v1/signals", None, Some(SIGNAL));
    assert_eq!((status, &again["fingerprint"]), (200, &first["fingerprint"]));
    let history = daemon.ask(folder.path(), &["history", "--json"]);
    let history: Value = serde_json::from_str(&history.out).unwrap();
    assert_eq!(history["history"][1]["reason"], "shutdown");
}

#[test]
fn a_store_that_is_behind_is_shown_and_not_touched_until_it_is_migrated() {
    let folder = folder("");
    let path = folder.path().join("oncegate.db");
    let daemon = Daemon::start(folder.path());
    let (_, first) = daemon.http("POST", "/v1/signals", None, Some(SIGNAL));
    let fingerprint = first["fingerprint"].as_str().unwrap().to_owned();
    daemon.until(&format!("/v1/signals/{fingerprint}"), |signal| signal["state"] == "executed");
    assert_eq!(daemon.end("TERM").code, Some(0));
    let behind = schema::NEWEST - 1;
    let undo = "DROP INDEX signals_not_executed; DROP INDEX conclusions_by_signal; DROP INDEX resolutions_by_signal";
    Db::open(&path).unwrap().connection().execute_batch(&format!("{undo}; PRAGMA user_version = {behind}")).unwrap();

    let daemon = Daemon::start(folder.path());
    assert!(daemon.banner.contains("TOO OLD"), "{}", daemon.banner);
    let (status, ready) = daemon.http("GET", "/readyz", None, None);
    assert_eq!(status, 503);
    assert!(ready.to_string().contains("oncegate migrate"), "{ready}");
    let (status, refused) = daemon.http("POST", "/v1/signals", None, Some(r#"{"id":"demo-2"}"#));
    assert_eq!((status, &refused["error"]["code"]), (503, &json!("read_only")));
    assert_eq!(daemon.ask(folder.path(), &["show", &fingerprint]).code, 0);
    assert_eq!(daemon.ask(folder.path(), &["step-down", "--reason", "x"]).code, 1);
    daemon.until("/v1/overview", |seen| seen["signals_by_state"]["executed"] == 1 && seen["leader"]["epoch"] == 1);
    let end = daemon.end("TERM");
    assert_eq!(end.code, Some(0), "{}", end.err);
    assert_eq!(Db::version(&path).unwrap(), behind, "it was not touched");

    let said = oncegate(folder.path(), &["migrate", "--dry-run"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("nothing was done"), "{}", said.out);
    assert_eq!(Db::version(&path).unwrap(), behind);
    let done = oncegate(folder.path(), &["migrate"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(Db::version(&path).unwrap(), schema::NEWEST);
    assert_eq!(Db::version(folder.path().join(format!("oncegate.db.version-{behind}"))).unwrap(), behind, "a copy");
    assert!(oncegate(folder.path(), &["migrate"]).out.contains("nothing to do"));
    let daemon = Daemon::start(folder.path());
    daemon.until("/coordinator/leader", |seen| seen["is_leader"] == true);
    assert_eq!(daemon.end("TERM").code, Some(0));
}

#[test]
fn a_newer_store_is_refused() {
    let folder = folder("");
    let path = folder.path().join("oncegate.db");
    Db::open(&path).unwrap().connection().execute_batch("PRAGMA user_version = 99").unwrap();
    let refused = oncegate(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("version 99"), "{}", refused.err);
    assert_eq!(oncegate(folder.path(), &["migrate"]).code, 1);
}

const WITH_TOKENS: &str = "\
[instance]
name = \"host-a\"
[[api.token]]
name = \"engine\"
token_file = \"engine.token\"
[[api.token]]
name = \"ops\"
role = \"operate\"
token_env = \"OPS_TOKEN\"
[log]
format = \"human\"
level = \"trace\"
";

#[test]
fn tokens_are_asked_for_by_role_and_never_shown() {
    const ENGINE: &str = "hunter2-hunter2-hunter2-engine";
    const OPS: &str = "hunter2-hunter2-hunter2-operate";
    let folder = folder(WITH_TOKENS);
    let file = folder.path().join("engine.token");
    std::fs::write(&file, format!("{ENGINE}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let check =
        || command(folder.path()).args(["config", "check", "oncegate.toml"]).env("OPS_TOKEN", OPS).output().unwrap();
    let checked = check();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    let daemon = Daemon::start_with(command(folder.path()).env("OPS_TOKEN", OPS));
    assert_eq!(daemon.http("POST", "/v1/signals", None, Some(SIGNAL)).0, 401);
    assert_eq!(daemon.http("POST", "/v1/signals", Some("hunter2-wrong-hunter2"), Some(SIGNAL)).0, 401);
    assert_eq!(daemon.http("POST", "/v1/signals", Some(ENGINE), Some(SIGNAL)).0, 202);
    // Who does not lead has nothing to step down from.
    daemon.until("/coordinator/leader", |seen| seen["is_leader"] == true);
    let word = ["step-down", "--reason", "drill"];
    let nobody = daemon.ask(folder.path(), &word);
    assert_eq!(nobody.code, 1);
    assert!(nobody.err.contains("--token-file"), "{}", nobody.err);
    let engine = daemon.ask(folder.path(), &[&word[..], &["--token-file", "engine.token"]].concat());
    assert_eq!(engine.code, 1);
    assert!(engine.err.contains("operate"), "{}", engine.err);
    let told = command(folder.path())
        .args(word)
        .args(["--token-env", "OPS_TOKEN", "--url", &daemon.url])
        .env("OPS_TOKEN", OPS)
        // What is said beats what is set.
        .env("ONCEGATE_TOKEN_FILE", "engine.token")
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let metrics = daemon.http("GET", "/metrics.json", None, None).1.to_string();
    let banner = daemon.banner.clone();
    let end = daemon.end("TERM");
    assert_eq!(end.code, Some(0), "{}", end.err);
    assert!(end.err.contains("instance=host-a"), "{}", end.err);

    // A file that everybody can read is no secret's.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = check();
    assert_eq!(open.status.code(), Some(2));
    let open = String::from_utf8(open.stderr).unwrap();
    assert!(open.contains("oncegate.toml:5: api.token.0.token_file: ") && open.contains("chmod o-rwx"), "{open}");

    for said in [&end.err, &banner, &metrics, &open, &nobody.err, &engine.err] {
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_log_in_json_says_who_led_and_why_it_ended() {
    let folder = folder("[instance]\nname = \"host-a\"\n[log]\nformat = \"json\"\n");
    // No banner in a log for machines: the port is chosen here.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut process = command(folder.path())
        .args(["serve", "--listen", &format!("127.0.0.1:{port}")])
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(process.stderr.take().unwrap()));
    let mut next = |notice: &str| loop {
        let line = lines.next().expect("it has ended").unwrap();
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        if line["notice"] == notice {
            return line;
        }
    };
    let led = next("became_leader");
    assert_eq!((&led["severity"], &led["instance"], &led["epoch"]), (&json!("ERROR"), &json!("host-a"), &json!(1)));
    let killed = std::process::Command::new("kill").arg("-TERM").arg(process.id().to_string()).status().unwrap();
    assert!(killed.success());
    let lost = next("lost_leadership");
    assert_eq!((&lost["severity"], &lost["epoch"]), (&json!("CRITICAL"), &json!(1)));
    assert_eq!(lost["reason"], "shutdown");
    assert_eq!(process.wait().unwrap().code(), Some(0));
}

#[test]
fn the_service_manager_hears_of_ready_of_each_turn_and_of_stopping() {
    let folder = folder("");
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let hears = || {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let daemon =
        Daemon::start_with(command(folder.path()).env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "200000"));
    // The watchdog may be faster than the word that all is ready.
    let first: Vec<String> = (0..5).map(|_| hears()).collect();
    assert_eq!(first.iter().filter(|said| said.starts_with("READY=1")).count(), 1, "{first:?}");
    assert_eq!(first.iter().filter(|said| *said == "WATCHDOG=1").count(), 4, "{first:?}");
    assert_eq!(daemon.end("TERM").code, Some(0));
    let rest: Vec<String> = std::iter::repeat_with(hears).take_while(|said| !said.starts_with("STOPPING=1")).collect();
    assert!(rest.iter().all(|said| said == "WATCHDOG=1"), "{rest:?}");
}

#[test]
fn exit_codes_tell_usage_unreachable_and_refused_apart() {
    let folder = folder("");
    // A port that nobody listens at: it was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = format!("http://127.0.0.1:{port}");
    for args in [&["status"][..], &["pause", "--reason", "x"], &["show", "0123abcd"]] {
        let ended = oncegate(folder.path(), &[args, &["--url", &nobody]].concat());
        assert_eq!((ended.code, &*ended.out), (3, ""), "{args:?}");
        assert!(ended.err.contains("no daemon can be reached"), "{}", ended.err);
    }
    for args in [
        &["no-such-command"][..],
        &["show", "xyz"],
        &["resolve", "0123abcd", "executed"],
        &["signals", "--state", "lost"],
        &["pause"],
        &["status", "--url", "ftp://x"],
        &["status", "--token-env", "NO_SUCH_VARIABLE"],
        &["serve", "--config", "no/such.toml"],
        &["config", "check", "no/such.toml"],
    ] {
        let ended = oncegate(folder.path(), args);
        assert_eq!((ended.code, &*ended.out), (2, ""), "{args:?}");
        assert!(ended.err.starts_with("error: "), "{args:?}: {}", ended.err);
    }
    let daemon = Daemon::start(folder.path());
    let ended = daemon.ask(folder.path(), &["show", "0123abcd"]);
    assert_eq!((ended.code, &*ended.out), (1, ""));
    // Somebody is there already.
    let at = daemon.url.trim_start_matches("http://");
    let ended = oncegate(folder.path(), &["serve", "--listen", at]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("can't listen at"), "{}", ended.err);
    for shell in ["bash", "zsh", "fish"] {
        assert!(oncegate(folder.path(), &["completions", shell]).out.contains("oncegate"));
    }
    let exposed = oncegate(folder.path(), &["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(exposed.code, 2);
    assert!(exposed.err.contains("has no token"), "{}", exposed.err);
}

/// A broker that takes the order and hangs up: nobody knows what became of it, and it declares nothing that would help.
#[allow(clippy::disallowed_methods)] // The broker is somebody else's process, as far as the daemon can see.
fn hangs_up() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = std::io::Read::read(&mut stream.unwrap(), &mut [0; 4096]);
        }
    });
    url
}

#[test]
fn an_operators_word_on_a_quarantined_signal_is_taken_once() {
    let config = format!("[broker]\nkind = \"http\"\n[broker.http]\nurl = \"{}\"\n", hangs_up());
    let folder = folder(&config);
    let daemon = Daemon::start(folder.path());
    let (_, first) = daemon.http("POST", "/v1/signals", None, Some(SIGNAL));
    let fingerprint = first["fingerprint"].as_str().unwrap().to_owned();
    daemon.until(&format!("/v1/signals/{fingerprint}"), |signal| signal["state"] == "quarantined");
    let waiting = daemon.ask(folder.path(), &["signals", "--in-doubt"]);
    assert!(waiting.out.contains(&fingerprint[..12]) && waiting.out.contains("quarantined"), "{}", waiting.out);

    let word = ["resolve", &fingerprint[..8], "executed", "--reason", "order 4711 in its book"];
    let unconfirmed = daemon.ask(folder.path(), &word);
    assert_eq!(unconfirmed.code, 2, "nobody sits at this terminal");
    assert!(unconfirmed.out.contains("unknown") && unconfirmed.err.contains("--yes"), "{}", unconfirmed.err);
    let taken = daemon.ask(folder.path(), &[&word[..], &["--yes"]].concat());
    assert_eq!(taken.code, 0, "{}", taken.err);
    assert!(taken.out.contains("taken: it is executed now"), "{}", taken.out);
    let again = daemon.ask(folder.path(), &[&word[..], &["--yes"]].concat());
    assert_eq!(again.code, 1);
    let shown = daemon.ask(folder.path(), &["show", &fingerprint]);
    assert!(shown.out.contains("an operator") && shown.out.contains("order 4711 in its book"), "{}", shown.out);
    assert_eq!(daemon.end("TERM").code, Some(0));
}

#[test]
fn while_paused_signals_are_taken_in_and_none_is_sent() {
    let folder = folder("");
    let daemon = Daemon::start(folder.path());
    daemon.until("/coordinator/leader", |seen| seen["is_leader"] == true);
    let paused = daemon.ask(folder.path(), &["pause", "--reason", "maintenance"]);
    assert_eq!(paused.code, 0, "{}", paused.err);
    let (status, first) = daemon.http("POST", "/v1/signals", None, Some(SIGNAL));
    assert_eq!(status, 202, "{first}");
    let path = format!("/v1/signals/{}", first["fingerprint"].as_str().unwrap());
    daemon.until("/v1/overview", |seen| {
        seen["paused"]["reason"] == "maintenance" && seen["signals_by_state"]["received"] == 1
    });
    assert!(daemon.ask(folder.path(), &["status"]).out.contains("PAUSED"));
    assert_eq!(daemon.http("GET", &path, None, None).1["state"], "received");
    let resumed = daemon.ask(folder.path(), &["resume", "--reason", "over"]);
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    daemon.until(&path, |signal| signal["state"] == "executed");
    assert_eq!(daemon.end("TERM").code, Some(0));
}

#[test]
fn with_a_certificate_it_speaks_tls_to_who_trusts_it() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let folder = folder("[listen]\ntls_certificate = \"node.pem\"\ntls_key = \"node.key\"\n");
    std::fs::write(folder.path().join("node.pem"), made.cert.pem()).unwrap();
    let key = folder.path().join("node.key");
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let daemon = Daemon::start(folder.path());
    let url = daemon.url.replace("127.0.0.1", "localhost");
    assert!(url.starts_with("https://"), "{url}");
    let trusting = oncegate(folder.path(), &["leader", "--url", &url, "--ca-file", "node.pem"]);
    assert_eq!(trusting.code, 0, "{}", trusting.err);
    let other = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    std::fs::write(folder.path().join("other.pem"), other.cert.pem()).unwrap();
    let stranger = oncegate(folder.path(), &["leader", "--url", &url, "--ca-file", "other.pem"]);
    assert_eq!(stranger.code, 3, "{}", stranger.err);
    let plain = oncegate(folder.path(), &["leader", "--url", &url.replace("https", "http")]);
    assert_eq!(plain.code, 3, "{}", plain.err);
    daemon.signal("HUP");
    let end = daemon.end("TERM");
    assert_eq!(end.code, Some(0), "{}", end.err);
}
