//! What an operator reads after a slip in the config: file, line, key, rule, and what to write instead.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use oncegate_daemon::config::{example, read};

const SLIPS: &[&str] = &[
    "[timing]\nttl = = 1\n",
    "[timing]\nttl = \"ten seconds\"\n",
    "[timing]\nttl = true\n",
    "[timing]\nttl = -5\n",
    "[timing]\ntimeout = \"1s\"\n",
    "[timings]\nttl = \"10s\"\n",
    "[timing]\nrenew_every = \"3s\"\n",
    "[log]\nlevel = \"info\"\n\n[timing]\nttl = \"6s\"\nrenew_deadline = 8000\n",
    "[timing]\ndrift = 0.5\n",
    "[timing]\nretry_least = \"20s\"\n",
    "[timing]\nin_flight = 0\n",
    "[log]\nformat = \"xml\"\n",
    "[instance]\nname = \"host a\"\n",
    "[listen]\naddress = \"0.0.0.0:7411\"\n",
    "[listen]\naddress = \"host-a\"\n",
    "[listen]\ntls_key = \"a.key\"\n",
    "[[api.token]]\nname = \"a\"\ntoken = \"hunter2\"\n",
    "[[api.token]]\nname = \"a\"\n",
    "[[api.token]]\nname = \"a\"\ntoken_env = \"A\"\ntoken_file = \"a\"\n[[api.token]]\nname = \"a\"\ntoken_env = \"B\"\n",
    "[[api.token]]\nname = \"a\"\ntoken_env = \"A\"\nrole = \"admin\"\n",
    "[lease.redis]\npassword = \"hunter2\"\n",
    "[lease.redis]\naddress = \"redis:6379\"\n",
    "[store]\nkind = \"postgres\"\n[lease]\nkind = \"sqlite\"\n",
    "[lease]\nkind = \"postgres\"\n",
    "[broker]\nkind = \"http\"\n",
    "[broker]\nkind = \"http\"\n[broker.http]\nurl = \"https://user:hunter2@broker.example/\"\n",
    "[broker]\nkind = \"engine\"\n[broker.capabilities]\ndedup = \"sometimes\"\n",
    "[broker]\nkind = \"engine\"\n[broker.capabilities]\nid_max_len = 10\n",
    "[identity]\nfields = [\"id\"]\n",
    "[[peer]]\nname = \"b\"\nurl = \"host-b:7411\"\n",
    "[instance]\nname = \"a\"\n[[peer]]\nname = \"a\"\nurl = \"http://a:7411\"\n",
];

#[test]
fn slips_are_told_with_line_key_and_rule() {
    let mut told = String::new();
    for slip in SLIPS {
        let wrong = read::text_of(Path::new("oncegate.toml"), (*slip).to_owned()).unwrap_err();
        assert!(!wrong.is_empty());
        told.push_str(&slip.lines().map(|line| format!("    {line}\n")).collect::<String>());
        for wrong in wrong {
            let wrong = wrong.to_string();
            assert!(!wrong.contains("hunter2"), "{wrong}");
            told.push_str(&format!("{wrong}\n"));
        }
    }
    insta::assert_snapshot!(told);
}

#[test]
fn every_documented_key_is_written_once() {
    let keys = example::keys();
    let mut sorted = keys.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), keys.len());
}
