//! What a tired operator reads after a slip in a scenario file: file, line, what is wrong, what to write instead.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use oncegate_sim::oracles::sightings::Sighting;
use oncegate_sim::scenario::{Fault, read};
use oncegate_sim::world::anchor::Point;

/// What each slip is, the file's text, and the whole message; `...` at its end are names that have a test of their
/// own.
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
        "x.toml:3: unknown key `nods`, expected one of `nodes`, `broker`, `store`, `latency-min`, `latency-max`, `faults-for`, `healed-for`, `identity`, `timing`",
    ),
    (
        "typo in a signal",
        "name = \"x\"\n[[signal]]\nid = \"BUY\"\nat = \"1s\"\ntoo = [\"n1\"]\n",
        "x.toml:5: unknown key `too`, expected one of `id`, `at`, `to`, `good-for`, `legs`, `burst`, `times`, `form`",
    ),
    (
        "typo in a fault",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndoo = \"redis-loses-data\"\n",
        "x.toml:4: unknown key `doo`, expected one of `at`, `when`, `do`",
    ),
    (
        "typo in a fault's name",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { pauze = { host = \"n1\", for = \"5s\" } }\n",
        "x.toml:4: unknown name `pauze`, expected one of ...",
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
        "x.toml:3: unknown name `claim`, expected one of ...",
    ),
    (
        "unknown broker",
        "name = \"x\"\n[world]\nbroker = \"dedup\"\n",
        "x.toml:3: unknown name `dedup`, expected one of `deduplicates`, `absorbs`, `forgets`, `until-filled`, `looks-up`, `blind`",
    ),
    (
        "unknown sighting",
        "name = \"x\"\n[expect]\nseen = { fenced = 1 }\n",
        "x.toml:3: unknown name `fenced`, expected one of ...",
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
        "no signal at all",
        "name = \"x\"\n[[signal]]\nid = \"BUY\"\nat = \"1s\"\nto = [\"n1\"]\nburst = 0\n",
        "x.toml:6: a burst of 0: write 1 to 200",
    ),
    (
        "more at once than any sender sends",
        "name = \"x\"\n[[signal]]\nid = \"BUY\"\nat = \"1s\"\nto = [\"n1\"]\nburst = 500\n",
        "x.toml:6: a burst of 500: write 1 to 200",
    ),
    (
        "never sent",
        "name = \"x\"\n[[signal]]\nid = \"BUY\"\nat = \"1s\"\nto = [\"n1\"]\ntimes = 0\n",
        "x.toml:6: sent 0 times: write 1 to 20",
    ),
    (
        "no order at all",
        "name = \"x\"\n[[signal]]\nid = \"BUY\"\nat = \"1s\"\nto = [\"n1\"]\nlegs = 0\n",
        "x.toml:6: 0 legs: write 1 to 8",
    ),
    (
        "more legs than any signal has",
        "name = \"x\"\n[[signal]]\nid = \"BUY\"\nat = \"1s\"\nto = [\"n1\"]\nlegs = 9\n",
        "x.toml:6: 9 legs: write 1 to 8",
    ),
    (
        "sent for ever",
        "name = \"x\"\n[[signal]]\nid = \"BUY\"\nat = \"1s\"\nto = [\"n1\"]\ntimes = 99\n",
        "x.toml:6: sent 99 times: write 1 to 20",
    ),
    (
        "a form that there is not",
        "name = \"x\"\n[[signal]]\nid = \"BUY\"\nat = \"1s\"\nto = [\"n1\"]\nform = \"broken\"\n",
        "x.toml:6: unknown name `broken`, expected one of `well`, `addressed`, `malformed`, `duplicate-key`",
    ),
    (
        "bodies that differ, with nothing to recognise them by",
        "name = \"x\"\n[[signal]]\nid = \"BUY\"\nat = \"1s\"\nto = [\"n1\"]\nform = \"addressed\"\n",
        "x.toml:6: bodies that differ are different signals, unless [world] says by what they are told apart: write identity = [\"/id\"]",
    ),
    (
        "an identity that nobody writes",
        "name = \"x\"\n[world]\nidentity = [\"/nonce\"]\n",
        "x.toml:3: the sources write no \"/nonce\": name one or more of /id, /instrument, /side, /quantity, /expires_at_ms",
    ),
    (
        "an identity that all signals share",
        "name = \"x\"\n[world]\nidentity = [\"/side\"]\n",
        "x.toml:3: without \"/id\" all signals would be one: add it",
    ),
    (
        "a deadline that comes after the lease has ended",
        "name = \"x\"\n[world]\ntiming = { renew-deadline = \"12s\" }\n",
        "x.toml:3: timing: renew_deadline < ttl*(1 - drift) - margin must hold, but the left side is 12s and the right side 9.4s",
    ),
    (
        "typo in the timing",
        "name = \"x\"\n[world]\ntiming = { tll = \"5s\" }\n",
        "x.toml:3: unknown key `tll`, expected one of `ttl`, `renew-every`, `renew-deadline`, `lease-timeout`, `store-timeout`, `broker-timeout`, `drift`, `margin`, `compare-every`, `split-brain-grace`, `stale-after`, `store-deadline`, `retry-least`, `retry-most`, `drain`, `in-flight`",
    ),
    (
        "a network in one piece",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { split = { groups = [[\"n1\", \"n2\"]], for = \"5s\" } }\n",
        "x.toml:4: a network falls apart into two groups or more, none of them empty",
    ),
    (
        "a network with an empty piece",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { split = { groups = [[\"n1\"], []], for = \"5s\" } }\n",
        "x.toml:4: a network falls apart into two groups or more, none of them empty",
    ),
    (
        "a host in two pieces",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { split = { groups = [[\"n1\", \"redis\"], [\"n2\", \"redis\"]], for = \"5s\" } }\n",
        "x.toml:4: redis is in two groups: leave one out",
    ),
    (
        "a stranger in a piece",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { split = { groups = [[\"n1\"], [\"n7\"]], for = \"5s\" } }\n",
        "x.toml:4: split can't strike \"n7\": name one of n1, n2, n3, redis, store, broker, source, @leader, @follower",
    ),
    (
        "reset from itself",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { reset = { between = [\"n1\", \"n1\"] } }\n",
        "x.toml:4: a host can't be parted from itself: name two",
    ),
    (
        "late from itself",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { late-release = { between = [\"n1\", \"n1\"], for = \"5s\", late = \"1s\" } }\n",
        "x.toml:4: a host can't be parted from itself: name two",
    ),
    (
        "late by nothing",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { late-release = { between = [\"n1\", \"redis\"], for = \"5s\", late = \"0s\" } }\n",
        "x.toml:4: late must be longer than 0s; without it this is a partition",
    ),
    (
        "a store that has no connections to reset",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { reset = { between = [\"n1\", \"store\"] } }\n",
        "x.toml:4: reset can't strike \"store\": name one of n1, n2, n3, redis, broker, source, @leader, @follower",
    ),
    (
        "a store that refuses",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { refuse = { host = \"store\", for = \"5s\" } }\n",
        "x.toml:4: refuse can't strike \"store\": name one of n1, n2, n3, redis, broker, @leader, @follower",
    ),
    (
        "snapshot of what is no node",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { snapshot = { host = \"redis\", for = \"5s\" } }\n",
        "x.toml:4: snapshot can't strike \"redis\": name one of n1, n2, n3, @leader, @follower",
    ),
    (
        "shutdown of what is no node",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { shutdown = { host = \"redis\", down = \"5s\" } }\n",
        "x.toml:4: shutdown can't strike \"redis\": name one of n1, n2, n3, @leader, @follower",
    ),
    (
        "step-down of what is no node",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { step-down = { host = \"redis\" } }\n",
        "x.toml:4: step-down can't strike \"redis\": name one of n1, n2, n3, @leader, @follower",
    ),
    (
        "resolve of what is no node",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { resolve = { host = \"redis\" } }\n",
        "x.toml:4: resolve can't strike \"redis\": name one of n1, n2, n3, @leader, @follower",
    ),
    (
        "redis-two-masters of what is no node",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { redis-two-masters = { hosts = [\"redis\"], for = \"5s\" } }\n",
        "x.toml:4: redis-two-masters can't strike \"redis\": name one of n1, n2, n3, @leader, @follower",
    ),
    (
        "redis-loses-replies of what is no node",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { redis-loses-replies = { host = \"redis\", for = \"5s\" } }\n",
        "x.toml:4: redis-loses-replies can't strike \"redis\": name one of n1, n2, n3, @leader, @follower",
    ),
    (
        "store-busy of what is no node",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { store-busy = { host = \"redis\", for = \"5s\" } }\n",
        "x.toml:4: store-busy can't strike \"redis\": name one of n1, n2, n3, @leader, @follower",
    ),
    (
        "a second master of nobody",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { redis-two-masters = { hosts = [], for = \"5s\" } }\n",
        "x.toml:4: the second master serves nobody: name one or more of n1, n2, n3",
    ),
    (
        "a spike by nothing",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { latency-spike = { host = \"n1\", by = \"0s\", for = \"5s\" } }\n",
        "x.toml:4: by must be longer than 0s",
    ),
    (
        "redis slow by nothing",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { redis-slow = { by = \"0s\", for = \"5s\" } }\n",
        "x.toml:4: by must be longer than 0s",
    ),
    (
        "hidden by nothing",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { broker-hides = { by = \"-1s\", for = \"5s\" } }\n",
        "x.toml:4: by must be longer than 0s",
    ),
    (
        "late by nothing",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { broker-late = { by = \"0s\", for = \"5s\" } }\n",
        "x.toml:4: by must be longer than 0s",
    ),
    (
        "repeated at once",
        "name = \"x\"\n[[fault]]\nwhen = { point = \"before-claim\" }\ndo = { call-repeated = { by = \"0s\" } }\n",
        "x.toml:4: by must be longer than 0s",
    ),
    (
        "a failover to the future",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { redis-fails-over = { loses = \"-1s\" } }\n",
        "x.toml:4: a replica that is -1s behind: write 0s to 60s",
    ),
    (
        "a failover to the distant past",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { redis-fails-over = { loses = \"2m\" } }\n",
        "x.toml:4: a replica that is 2m behind: write 0s to 60s",
    ),
    (
        "an answer of 200",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { broker-misanswers = { status = 200, for = \"5s\" } }\n",
        "x.toml:4: 200 is no status that says that something failed: write 400 to 599",
    ),
    (
        "an answer of 399",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { broker-misanswers = { status = 399, for = \"5s\" } }\n",
        "x.toml:4: 399 is no status that says that something failed: write 400 to 599",
    ),
    (
        "an answer of 600",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { broker-misanswers = { status = 600, for = \"5s\" } }\n",
        "x.toml:4: 600 is no status that says that something failed: write 400 to 599",
    ),
    (
        "a status of several digits too many",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { broker-misanswers = { status = 70000, for = \"5s\" } }\n",
        "x.toml:4: the number 70000 is too large or too small here: scenarios/README.md shows every form",
    ),
    (
        "call-fails at a time",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = \"call-fails\"\n",
        "x.toml:3: call-fails is done to a call: write when = { point = \"before-claim\" } instead of at",
    ),
    (
        "call-fails after the call",
        "name = \"x\"\n[[fault]]\nwhen = { point = \"claimed\" }\ndo = \"call-fails\"\n",
        "x.toml:3: call-fails is done to a call: write when = { point = \"before-claim\" }, or before another call",
    ),
    (
        "call-fails at a service",
        "name = \"x\"\n[[fault]]\nwhen = { point = \"applied-claim\" }\ndo = \"call-fails\"\n",
        "x.toml:3: call-fails is done to a call: write when = { point = \"before-claim\" }, or before another call",
    ),
    (
        "call-loses-reply at a time",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = \"call-loses-reply\"\n",
        "x.toml:3: call-loses-reply is done to a call: write when = { point = \"before-claim\" } instead of at",
    ),
    (
        "call-loses-reply after the call",
        "name = \"x\"\n[[fault]]\nwhen = { point = \"claimed\" }\ndo = \"call-loses-reply\"\n",
        "x.toml:3: call-loses-reply is done to a call: write when = { point = \"before-claim\" }, or before another call",
    ),
    (
        "call-loses-reply at a service",
        "name = \"x\"\n[[fault]]\nwhen = { point = \"applied-claim\" }\ndo = \"call-loses-reply\"\n",
        "x.toml:3: call-loses-reply is done to a call: write when = { point = \"before-claim\" }, or before another call",
    ),
    (
        "call-repeated at a time",
        "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { call-repeated = { by = \"5s\" } }\n",
        "x.toml:3: call-repeated is done to a call: write when = { point = \"before-claim\" } instead of at",
    ),
    (
        "call-repeated after the call",
        "name = \"x\"\n[[fault]]\nwhen = { point = \"claimed\" }\ndo = { call-repeated = { by = \"5s\" } }\n",
        "x.toml:3: call-repeated is done to a call: write when = { point = \"before-claim\" }, or before another call",
    ),
    (
        "call-repeated at a service",
        "name = \"x\"\n[[fault]]\nwhen = { point = \"applied-claim\" }\ndo = { call-repeated = { by = \"5s\" } }\n",
        "x.toml:3: call-repeated is done to a call: write when = { point = \"before-claim\" }, or before another call",
    ),
    (
        "expecting of a stranger",
        "name = \"x\"\n[expect]\norders = 1\nstates = { BUY = \"executed\" }\n",
        "x.toml:4: there is no signal \"BUY\" to expect anything of",
    ),
    (
        "expecting the impossible",
        "name = \"x\"\n[[signal]]\nid = \"BUY\"\nat = \"1s\"\nto = [\"n1\"]\n[expect]\nstates = { BUY = \"done\" }\n",
        "x.toml:7: there is no state \"done\": write one of received, executing, in_doubt, executed, failed, partial, expired, quarantined",
    ),
];

#[test]
fn every_slip_is_answered_with_its_line_and_what_to_write_instead() {
    let mut wrong = String::new();
    for (slip, text, message) in SLIPS {
        let said = read::text_of("x.toml", text).map_or_else(|bad| bad.to_string(), |_| "nothing".into());
        let as_it_should = match message.strip_suffix("...") {
            Some(beginning) => said.starts_with(beginning),
            None => said == *message,
        };
        if !as_it_should {
            wrong.push_str(&format!("{slip}\n   should say {message}\n   and says   {said}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The names that a message offers instead of one that there is not.
fn offered(text: &str) -> BTreeSet<String> {
    let said = read::text_of("x.toml", text).unwrap_err().to_string();
    let names = said.split("expected one of ").nth(1).unwrap_or_else(|| panic!("{said}"));
    names.split(", ").map(|name| name.trim_matches('`').to_owned()).collect()
}

#[test]
fn who_mistypes_a_name_is_shown_all_that_there_are() {
    let named = |names: &mut dyn Iterator<Item = &'static str>| names.map(str::to_owned).collect::<BTreeSet<_>>();
    let faults = offered("name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = { pauze = { host = \"n1\", for = \"5s\" } }\n");
    assert_eq!(faults, named(&mut Fault::NAMES.into_iter()));
    let points = offered("name = \"x\"\n[[fault]]\nwhen = { point = \"claim\" }\ndo = \"redis-loses-data\"\n");
    assert_eq!(points, named(&mut Point::ALL.into_iter().chain(Point::boundaries()).map(Point::name)));
    let sightings = offered("name = \"x\"\n[expect]\nseen = { fenced = 1 }\n");
    assert_eq!(sightings, named(&mut Sighting::ALL.iter().map(|sighting| sighting.name())));
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
