//! What a tired operator reads after a slip in a scenario file: file, line, what is wrong, what to write instead.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use oncegate_sim::scenario::read;

/// What each slip is, the file's text, and the whole message.
const SLIPS: &[(&str, &str, &str)] = &[
    ("no TOML", "name = \"x\"\nseed = = 1\n", "x.toml:2: extra `=`, expected nothing"),
    ("an open quote", "name = \"x\nseed = 1\n", "x.toml:1: invalid basic string, expected `\"`"),
    ("no name", "seed = 1\n", "x.toml:1: the key `name` is missing: scenarios/README.md shows every form"),
    (
        "a name that is no file's",
        "seed = 1\nname = \"../x\"\n",
        "x.toml:2: the name \"../x\" can't name a file: write letters, digits and dashes",
    ),
    (
        "typo at the top",
        "name = \"x\"\nsead = 1\n",
        "x.toml:2: unknown key `sead`, expected one of `name`, `seed`, `world`, `signal`, `fault`, `expect`",
    ),
    (
        "typo in a table's name",
        "name = \"x\"\n[[signals]]\nid = \"BUY\"\n",
        "x.toml:2: unknown key `signals`, expected one of `name`, `seed`, `world`, `signal`, `fault`, `expect`",
    ),
    (
        "typo in the world",
        "name = \"x\"\n[world]\nnods = 2\n",
        "x.toml:3: unknown key `nods`, expected one of `nodes`, `broker`, `latency-min`, `latency-max`, `faults-for`, `healed-for`, `identity`, `timing`",
    ),
    (
        "typo in a signal",
        "name = \"x\"\n[[signal]]\nid = \"BUY\"\nat = \"1s\"\ntoo = [\"n1\"]\n",
        "x.toml:5: unknown key `too`, expected one of `id`, `at`, `to`, `good-for`, `burst`, `times`, `form`",
    ),
    (
        "typo in a fault",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndoo = \"redis-loses-data\"\n",
        "x.toml:4: unknown key `doo`, expected one of `at`, `when`, `do`",
    ),
    (
        "typo in a fault's name",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { pauze = { host = \"n1\", for = \"5s\" } }\n",
        "x.toml:4: unknown name `pauze`, expected one of `partition`, `one-way`, `isolate`, `crash`, `power-loss`, `pause`, `pause-heartbeats`, `clock-step`, `clock-drift`, `redis-loses-data`, `store-fails`, `store-loses-replies`, `store-slow`, `broker-silent`, `broker-outage`, `broker-refuses`, `broker-confused`, `step-down`, `broker-late`, `split`, `late-release`, `latency-spike`, `reset`, `refuse`, `snapshot`, `shutdown`, `resolve`, `redis-fails-over`, `redis-evicts`, `redis-two-masters`, `redis-loses-replies`, `redis-slow`, `store-busy`, `store-full`, `broker-misanswers`, `broker-hides`, `call-fails`, `call-loses-reply`, `call-repeated`",
    ),
    (
        "typo in a fault's member, lines below",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { pause = {\n  host = \"n1\",\n  fro = \"5s\",\n} }\n",
        "x.toml:6: unknown key `fro`, expected one of `host`, `for`",
    ),
    (
        "a member too few",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { pause = { host = \"n1\" } }\n",
        "x.toml:4: the key `for` is missing: scenarios/README.md shows every form",
    ),
    (
        "a fault without members",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = \"pause\"\n",
        "x.toml:4: this fault has members: write e.g. do = { crash = { host = \"@leader\", down = \"20s\" } }; scenarios/README.md shows every form",
    ),
    (
        "an order booked by a node",
        "name = \"x\"\n[[fault]]\nwhen = { point = \"order-booked\", by = \"n1\" }\ndo = { crash = { host = \"@leader\", down = \"1s\" } }\n",
        "x.toml:3: order-booked is reached by the broker: leave by out",
    ),
    (
        "two faults in one",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { broker-silent = { for = \"1s\" }, broker-outage = { for = \"1s\" } }\n",
        "x.toml:4: a fault is one thing that goes wrong: write e.g. do = { crash = { host = \"@leader\", down = \"20s\" } }, and a [[fault]] for each",
    ),
    (
        "members of a fault that has none",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { redis-loses-data = { for = \"5s\" } }\n",
        "x.toml:4: this fault has no members: write e.g. do = \"redis-loses-data\"",
    ),
    (
        "no fault in a fault",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\n",
        "x.toml:2: the key `do` is missing: write e.g. do = { crash = { host = \"@leader\", down = \"20s\" } }",
    ),
    (
        "unknown point",
        "name = \"x\"\n[[fault]]\nwhen = { point = \"claim\" }\ndo = \"redis-loses-data\"\n",
        "x.toml:3: unknown name `claim`, expected one of `lease-granted`, `lease-renewed`, `epoch-opened`, `signal-stored`, `claim-sending`, `claimed`, `order-sending`, `broker-connecting`, `order-sent`, `order-booked`, `order-answered`, `outcome-sending`, `outcome-stored`, `lookup-sending`, `before-acquire`, `applied-acquire`, `after-acquire`, `before-renew`, `applied-renew`, `after-renew`, `before-release`, `applied-release`, `after-release`, `before-read-lease`, `applied-read-lease`, `after-read-lease`, `before-insert`, `applied-insert`, `after-insert`, `before-read-leadership`, `applied-read-leadership`, `after-read-leadership`, `before-open-epoch`, `applied-open-epoch`, `after-open-epoch`, `before-heartbeat`, `applied-heartbeat`, `after-heartbeat`, `before-vacate`, `applied-vacate`, `after-vacate`, `before-read-pending`, `applied-read-pending`, `after-read-pending`, `before-read-signal`, `applied-read-signal`, `after-read-signal`, `before-claim`, `applied-claim`, `after-claim`, `before-record-outcome`, `applied-record-outcome`, `after-record-outcome`, `before-conclude`, `applied-conclude`, `after-conclude`, `before-resolve`, `applied-resolve`, `after-resolve`, `before-place`, `applied-place`, `after-place`, `before-look-up`, `applied-look-up`, `after-look-up`",
    ),
    (
        "unknown broker",
        "name = \"x\"\n[world]\nbroker = \"dedup\"\n",
        "x.toml:3: unknown name `dedup`, expected one of `deduplicates`, `absorbs`, `forgets`, `until-filled`, `looks-up`, `blind`",
    ),
    (
        "unknown sighting",
        "name = \"x\"\n[expect]\nseen = { fenced = 1 }\n",
        "x.toml:3: unknown name `fenced`, expected one of `taken-over`, `claim-fenced`, `claim-taken`, `claim-outnumbered`, `heartbeat-fenced`, `epoch-refused`, `vacate-fenced`, `conclude-fenced`, `signal-repeated`, `intake-refused`, `malformed-refused`, `conflict-refused`, `word-refused`, `deposed-truth`, `begun`, `executed-at-once`, `refused-at-once`, `handed-back`, `doubted`, `left-unfinished`, `placed-again`, `executed-late`, `refused-late`, `cleared-up`, `found-by-lookup`, `quarantined`, `expired`, `quarantine-overruled`, `quarantine-refused`, `resolved`, `resolved-executed`, `resolved-resend`, `looked-up`, `looked-up-again`, `looked-up-past-deadline`, `looked-up-forgotten`, `quarantined-unfound`, `quarantined-blind`, `lease-taken`, `lease-found-own`, `lease-denied`, `lease-renewed`, `renewal-denied`, `renewal-too-late`, `lease-released`, `release-refused`, `opened-first`, `opened-vacant`, `opened-over-itself`, `opened-over-the-dead`, `opened-over-the-living`, `vacated`, `took-the-lead`, `lost-lease-taken`, `lost-lease-gone`, `lost-deadline`, `lost-store`, `lost-fenced`, `stepped-down`, `shut-down`, `gave-up-lease`, `gave-up-asked`, `split-told`, `split-told-by-leader`, `split-ended`, `order-deduplicated`, `order-not-found`, `broker-silent`, `broker-outage`, `look-up-refused`, `broker-refused`, `broker-confused`, `broker-misanswered`, `broker-late`, `store-failed`, `store-reply-lost`, `store-busy`, `store-full`, `redis-reply-lost`",
    ),
    (
        "a time without unit",
        "name = \"x\"\n[[fault]]\nat = \"20\"\ndo = \"redis-loses-data\"\n",
        "x.toml:3: \"20\" is no time: write e.g. \"250ms\", \"25s\", \"1m30s\" or \"-30s\"",
    ),
    (
        "a time without quotes",
        "name = \"x\"\n[[fault]]\nat = 20\ndo = \"redis-loses-data\"\n",
        "x.toml:3: invalid type: integer `20`, expected a string: times and names stand in quotes, e.g. \"25s\"",
    ),
    (
        "a time within a fault",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { crash = { host = \"n1\", down = \"1.5s\" } }\n",
        "x.toml:4: \"1.5s\" is no time: write e.g. \"250ms\", \"25s\", \"1m30s\" or \"-30s\"",
    ),
    ("too many nodes", "name = \"x\"\n\n[world]\nnodes = 9\n", "x.toml:4: 9 nodes: write 1 to 5"),
    (
        "latencies the wrong way round",
        "name = \"x\"\n[world]\nlatency-min = \"9ms\"\n",
        "x.toml:2: latencies from 9ms to 4ms: write 1ms to 1s, the least first",
    ),
    (
        "no fault phase",
        "name = \"x\"\n[world]\nfaults-for = \"0s\"\n",
        "x.toml:3: a fault phase of 0s: write 1s to 24h",
    ),
    (
        "too short to heal",
        "name = \"x\"\n[world]\nfaults-for = \"60s\"\nhealed-for = \"10s\"\n",
        "x.toml:4: a healed phase of 10s: write at least 1m30s, which is how long progress may take",
    ),
    (
        "two signals of one id",
        "name = \"x\"\n[[signal]]\nid = \"BUY\"\nat = \"1s\"\nto = [\"n1\"]\n[[signal]]\nat = \"2s\"\nid = \"BUY\"\nto = [\"n1\"]\n",
        "x.toml:8: the id \"BUY\" is empty or taken: give each signal one of its own",
    ),
    (
        "a signal after the fault phase",
        "name = \"x\"\n[[signal]]\nid = \"BUY\"\nat = \"8m\"\nto = [\"n1\"]\n",
        "x.toml:4: a signal at 8m is outside of the fault phase: write 0s to under 7m",
    ),
    (
        "a signal to nobody",
        "name = \"x\"\n[[signal]]\nid = \"BUY\"\nat = \"1s\"\nto = []\n",
        "x.toml:5: sent to nobody: name one or more of n1, n2, n3",
    ),
    (
        "a signal to a stranger, in inline tables",
        "name = \"x\"\nsignal = [\n  { id = \"BUY\", at = \"1s\", to = [\"n1\"] },\n  { id = \"SELL\", at = \"1s\", to = [\"n4\"] },\n]\n",
        "x.toml:4: there is no node \"n4\": name one or more of n1, n2, n3",
    ),
    (
        "a deadline in no time",
        "name = \"x\"\n[[signal]]\nid = \"BUY\"\nat = \"1s\"\nto = [\"n1\"]\ngood-for = \"0s\"\n",
        "x.toml:6: a signal must be good for longer than 0s, or leave good-for out",
    ),
    (
        "at and when",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\nwhen = { point = \"claimed\" }\ndo = \"redis-loses-data\"\n",
        "x.toml:4: a fault strikes either at a time or when a point is reached: leave one out",
    ),
    (
        "neither at nor when",
        "name = \"x\"\n[[fault]]\ndo = \"redis-loses-data\"\n",
        "x.toml:3: when does it strike? write at = \"20s\", or when = { point = \"claimed\" }",
    ),
    (
        "a fault after the fault phase",
        "name = \"x\"\n[[fault]]\nat = \"9m\"\ndo = \"redis-loses-data\"\n",
        "x.toml:3: a fault at 9m is outside of the fault phase: write 0s to under 7m",
    ),
    (
        "a fault that outlasts the phase",
        "name = \"x\"\n[[fault]]\nat = \"6m50s\"\ndo = { pause = { host = \"n1\", for = \"25s\" } }\n",
        "x.toml:4: it would last until 7m15s, but every fault ends at 7m: shorten it, or lengthen faults-for",
    ),
    (
        "an anchored fault longer than the phase, as a table of its own",
        "name = \"x\"\n[[fault]]\nwhen.point = \"claimed\"\n[fault.do.pause]\nhost = \"n1\"\nfor = \"8m\"\n",
        "x.toml:4: it would last 8m, but every fault ends at 7m: shorten it, or lengthen faults-for",
    ),
    (
        "counting from nought",
        "name = \"x\"\n[[fault]]\nwhen = { point = \"claimed\", nth = 0 }\ndo = \"redis-loses-data\"\n",
        "x.toml:3: nth counts from 1",
    ),
    (
        "an anchor by a stranger",
        "name = \"x\"\n[[fault]]\nwhen = { point = \"claimed\", by = \"redis\" }\ndo = \"redis-loses-data\"\n",
        "x.toml:3: nobody called \"redis\" reaches points: name one of n1, n2, n3, broker",
    ),
    (
        "an unknown host",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { crash = { host = \"n4\", down = \"5s\" } }\n",
        "x.toml:4: crash can't strike \"n4\": name one of n1, n2, n3, redis, broker, @leader, @follower",
    ),
    (
        "a host that can't",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { pause = { host = \"store\", for = \"5s\" } }\n",
        "x.toml:4: pause can't strike \"store\": name one of n1, n2, n3, redis, broker, @leader, @follower",
    ),
    (
        "@actor at a time",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { crash = { host = \"@actor\", down = \"5s\" } }\n",
        "x.toml:4: @actor is who reached the point: only a fault with `when` has one; write @leader",
    ),
    (
        "parted from itself",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { partition = { between = [\"n1\", \"n1\"], for = \"5s\" } }\n",
        "x.toml:4: a host can't be parted from itself: name two",
    ),
    (
        "a fault in no time",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { broker-silent = { for = \"0s\" } }\n",
        "x.toml:4: broker-silent must last longer than 0s",
    ),
    (
        "slow by nothing",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { store-slow = { by = \"0s\", for = \"5s\" } }\n",
        "x.toml:4: by must be longer than 0s",
    ),
    (
        "a clock run wild",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { clock-drift = { host = \"n1\", ppm = 900000, for = \"5s\" } }\n",
        "x.toml:4: a clock that runs 900000 ppm fast: write -200000 to 200000",
    ),
    (
        "expecting of a stranger",
        "name = \"x\"\n[expect]\norders = 1\nstates = { BUY = \"executed\" }\n",
        "x.toml:4: there is no signal \"BUY\" to expect anything of",
    ),
    (
        "expecting the impossible",
        "name = \"x\"\n[[signal]]\nid = \"BUY\"\nat = \"1s\"\nto = [\"n1\"]\n[expect]\nstates = { BUY = \"done\" }\n",
        "x.toml:7: there is no state \"done\": write one of received, executing, in_doubt, executed, failed, expired, quarantined",
    ),
];

#[test]
fn every_slip_is_answered_with_its_line_and_what_to_write_instead() {
    let mut wrong = String::new();
    for (slip, text, message) in SLIPS {
        let said = read::text_of("x.toml", text).map_or_else(|bad| bad.to_string(), |_| "nothing".into());
        if said != *message {
            wrong.push_str(&format!("{slip}\n   should say {message}\n   and says   {said}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_missing_file_is_named_with_where_scenarios_lie() {
    let said = read::file(Path::new("no/such.toml")).unwrap_err().to_string();
    let place = "recorded scenarios lie in scenarios/, failures in failures/";
    assert_eq!(said, format!("no/such.toml: can't be read: No such file or directory (os error 2); {place}"));
}

#[test]
fn a_file_that_is_no_text_is_named_with_its_line() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("latin-1.toml");
    std::fs::write(&path, b"# caf\xc3\xa9\nname = \"caf\xe9\"\n").unwrap();
    let said = read::file(&path).unwrap_err().to_string();
    assert_eq!(said, format!("{}:2: this line is not UTF-8: save the file as UTF-8 text", path.display()));
}
