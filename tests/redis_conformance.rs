//! One suite of probes, two arms: the simulated Redis and a real `redis-server` must pass the same ones. What
//! a simulation run proves about the lease, it proves about Redis only as far as these agree.
//!
//! Each probe has a key of its own, so that one server serves them all. In the simulated arm no real time
//! passes.
#![allow(clippy::disallowed_methods)] // The arms own their clocks.
#![allow(clippy::unwrap_used)] // In a test, also outside its functions, to panic is to fail.

mod support;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncegate_coordinator::ports::{BoxFuture, Clock, Connect, LeaseStore, Stream};
use oncegate_coordinator::timeout::until;
use oncegate_coordinator::{SystemClock, TcpConnect};
use oncegate_protocol::{Epoch, Holder, LeaseCall, LeaseReply, Mono, Now, PortError, Wall};
use oncegate_redis_lease::{RedisLease, RedisLeaseConfig, scripts};
use oncegate_sim::redis::{RedisModel, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use support::redis_server::RedisServer;

/// A ttl that no probe outlives, and by how much less of it may be left when a busy machine looks.
const LONG: Duration = Duration::from_secs(10);
const SLACK: Duration = Duration::from_secs(2);
/// A ttl that probes wait for.
const SHORT: Duration = Duration::from_millis(300);
/// How long nothing must be heard before it counts as nothing, and how soon something must be.
const QUIET: Duration = Duration::from_millis(50);
const SOON: Duration = Duration::from_secs(2);

/// How to reach the server of one arm.
struct Arm {
    peer: String,
    connect: Arc<dyn Connect>,
    clock: Arc<dyn Clock>,
}

impl Arm {
    fn lease(&self, key: &str) -> RedisLease {
        RedisLease::new(RedisLeaseConfig::new(&self.peer, key), self.connect.clone(), self.clock.clone())
    }

    async fn raw(&self) -> Raw {
        Raw { stream: self.connect.connect(&self.peer).await.unwrap(), clock: self.clock.clone() }
    }

    async fn pass(&self, time: Duration) {
        self.clock.sleep_until(self.clock.now().mono.plus(time)).await;
    }

    async fn within<T>(&self, time: Duration, call: impl Future<Output = T>) -> Option<T> {
        until(&*self.clock, self.clock.now().mono.plus(time), call).await
    }
}

/// A connection without a client library.
struct Raw {
    stream: Box<dyn Stream>,
    clock: Arc<dyn Clock>,
}

impl Raw {
    /// Sends one command and holds the server to these very bytes.
    async fn expect(&mut self, words: &[&str], reply: &str) {
        self.send(words).await;
        self.hear(reply, words).await;
    }

    async fn send(&mut self, words: &[&str]) {
        let rest: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
        self.stream.write_all(format!("*{}\r\n{rest}", words.len()).as_bytes()).await.unwrap();
    }

    async fn hear(&mut self, reply: &str, asked: &[&str]) {
        let mut seen = Vec::new();
        while seen.len() < reply.len() {
            let deadline = self.clock.now().mono.plus(SOON);
            match until(&*self.clock, deadline, self.stream.read_buf(&mut seen)).await {
                Some(read) => assert_ne!(read.unwrap(), 0, "closed after {asked:?}"),
                None => break,
            }
        }
        assert_eq!(String::from_utf8_lossy(&seen), reply, "in answer to {asked:?}");
    }

    /// Sends one command; its reply, if that comes in one piece.
    async fn ask(&mut self, words: &[&str]) -> String {
        self.send(words).await;
        let mut seen = vec![0; 4096];
        let count = self.stream.read(&mut seen).await.unwrap();
        String::from_utf8(seen[..count].to_vec()).unwrap()
    }

    /// An error reply up to where Redis names the script's hash.
    async fn refusal(&mut self, words: &[&str]) -> String {
        let reply = self.ask(words).await;
        assert!(reply.starts_with('-') && reply.ends_with("\r\n"), "{reply:?} in answer to {words:?}");
        let reply = reply.trim_end();
        reply.split_once(" script: ").map_or(reply, |(before, _)| before).to_owned()
    }
}

fn holder(name: &str) -> Holder {
    Holder::new(name)
}

fn acquire(name: &str, ttl: Duration) -> LeaseCall {
    LeaseCall::Acquire { holder: holder(name), ttl }
}

fn renew(name: &str, ttl: Duration) -> LeaseCall {
    LeaseCall::Renew { holder: holder(name), ttl, seen: Epoch(0) }
}

fn release(name: &str) -> LeaseCall {
    LeaseCall::Release { holder: holder(name) }
}

/// That `name` has it for `ttl` more, or little less.
#[track_caller]
fn assert_held(reply: Result<LeaseReply, PortError>, name: &str, ttl: Duration) {
    let Ok(LeaseReply::HeldBy { holder, remaining: Some(remaining) }) = reply else { panic!("{reply:?}") };
    assert_eq!(holder.as_str(), name);
    // One millisecond more: a key lives through the millisecond of its expiry.
    assert!(remaining <= ttl + Duration::from_millis(1) && remaining + SLACK >= ttl, "{remaining:?} of {ttl:?}");
}

fn held_forever(name: &str) -> Result<LeaseReply, PortError> {
    Ok(LeaseReply::HeldBy { holder: holder(name), remaining: None })
}

const GRANTED: Result<LeaseReply, PortError> = Ok(LeaseReply::Granted { seen: Epoch(0) });
const FREE: Result<LeaseReply, PortError> = Ok(LeaseReply::Free);

async fn a_free_lease_is_granted_for_its_ttl(arm: &Arm, key: &str) {
    let lease = arm.lease(key);
    assert_eq!(lease.call(LeaseCall::Read).await, FREE);
    assert_eq!(lease.call(acquire("a", LONG)).await, GRANTED);
    assert_held(lease.call(LeaseCall::Read).await, "a", LONG);
}

async fn a_held_lease_stays_with_its_holder(arm: &Arm, key: &str) {
    let (ours, theirs) = (arm.lease(key), arm.lease(key));
    assert_eq!(ours.call(acquire("a", LONG)).await, GRANTED);
    assert_held(theirs.call(acquire("b", LONG * 9)).await, "a", LONG);
    assert_held(theirs.call(renew("b", LONG * 9)).await, "a", LONG);
    assert_held(theirs.call(release("b")).await, "a", LONG);
    assert_held(ours.call(LeaseCall::Read).await, "a", LONG);
}

async fn acquiring_ones_own_lease_grants_it_afresh(arm: &Arm, key: &str) {
    let lease = arm.lease(key);
    assert_eq!(lease.call(acquire("a", LONG)).await, GRANTED);
    // As after a reply that was lost.
    assert_eq!(lease.call(acquire("a", LONG * 2)).await, GRANTED);
    assert_held(lease.call(LeaseCall::Read).await, "a", LONG * 2);
}

async fn renewing_extends_ones_own_lease_and_nothing_else(arm: &Arm, key: &str) {
    let lease = arm.lease(key);
    assert_eq!(lease.call(renew("a", LONG)).await, FREE);
    assert_eq!(lease.call(LeaseCall::Read).await, FREE);
    assert_eq!(lease.call(acquire("a", SHORT)).await, GRANTED);
    assert_eq!(lease.call(renew("a", LONG)).await, GRANTED);
    assert_held(lease.call(LeaseCall::Read).await, "a", LONG);
}

async fn releasing_frees_ones_own_lease_at_once(arm: &Arm, key: &str) {
    let lease = arm.lease(key);
    assert_eq!(lease.call(release("a")).await, FREE);
    assert_eq!(lease.call(acquire("a", LONG)).await, GRANTED);
    assert_eq!(lease.call(release("a")).await, FREE);
    assert_eq!(lease.call(LeaseCall::Read).await, FREE);
    assert_eq!(lease.call(acquire("b", LONG)).await, GRANTED);
}

async fn the_highest_epoch_outlives_the_lease(arm: &Arm, key: &str) {
    let (ours, theirs) = (arm.lease(key), arm.lease(key));
    let tells = |name, seen| LeaseCall::Renew { holder: holder(name), ttl: LONG, seen: Epoch(seen) };
    let knows = |seen| Ok(LeaseReply::Granted { seen: Epoch(seen) });
    assert_eq!(ours.call(acquire("a", LONG)).await, GRANTED);
    assert_eq!(ours.call(tells("a", 7)).await, GRANTED);
    assert_held(theirs.call(tells("b", 8)).await, "a", LONG);
    assert_eq!(ours.call(acquire("a", LONG)).await, knows(7), "of a holder, and of nobody else");
    assert_eq!(ours.call(release("a")).await, FREE);
    assert_eq!(theirs.call(acquire("b", LONG)).await, knows(7));
    for seen in [12, 3] {
        assert_eq!(theirs.call(tells("b", seen)).await, GRANTED);
    }
    assert_eq!(theirs.call(acquire("b", LONG)).await, knows(12), "the highest, not the last");
}

async fn a_lease_ends_with_its_ttl(arm: &Arm, key: &str) {
    let lease = arm.lease(key);
    assert_eq!(lease.call(acquire("a", SHORT)).await, GRANTED);
    arm.pass(SHORT + QUIET).await;
    assert_eq!(lease.call(LeaseCall::Read).await, FREE);
    assert_eq!(lease.call(renew("a", LONG)).await, FREE);
    assert_eq!(lease.call(acquire("b", LONG)).await, GRANTED);
    assert_held(lease.call(renew("a", LONG)).await, "b", LONG);
}

async fn a_lease_can_be_renewed_past_its_ttl(arm: &Arm, key: &str) {
    let lease = arm.lease(key);
    assert_eq!(lease.call(acquire("a", SHORT)).await, GRANTED);
    for _ in 0..6 {
        arm.pass(SHORT / 4).await;
        assert_eq!(lease.call(renew("a", SHORT)).await, GRANTED);
    }
    assert_held(lease.call(LeaseCall::Read).await, "a", SHORT);
}

async fn coming_back_after_the_remaining_time_finds_it_free(arm: &Arm, key: &str) {
    let lease = arm.lease(key);
    assert_eq!(lease.call(acquire("a", SHORT)).await, GRANTED);
    let seen = lease.call(acquire("b", LONG)).await;
    let Ok(LeaseReply::HeldBy { remaining: Some(remaining), .. }) = seen else { panic!("{seen:?}") };
    arm.pass(remaining).await;
    assert_eq!(lease.call(acquire("b", LONG)).await, GRANTED);
}

async fn a_release_is_heard_by_those_who_listen(arm: &Arm, key: &str) {
    let (ours, theirs) = (arm.lease(key), arm.lease(key));
    assert_eq!(ours.call(acquire("a", LONG)).await, GRANTED);
    // Its subscription stands when it hears what anybody says there.
    let (mut raw, channel) = (arm.raw().await, scripts::released_channel(key));
    let mut heard = None;
    for _ in 0..40 {
        raw.ask(&["PUBLISH", &channel, "anything"]).await;
        heard = heard.or(arm.within(QUIET, theirs.released()).await);
        if heard.is_some() {
            break;
        }
    }
    assert_eq!(heard, Some(()));
    while arm.within(QUIET, theirs.released()).await.is_some() {}
    // What is not a release is not heard.
    assert_held(theirs.call(release("b")).await, "a", LONG);
    assert_eq!(ours.call(renew("a", LONG)).await, GRANTED);
    assert_eq!(arm.within(QUIET, theirs.released()).await, None);
    assert_eq!(ours.call(release("a")).await, FREE);
    assert_eq!(arm.within(SOON, theirs.released()).await, Some(()));
    // To release what is gone already is none.
    assert_eq!(ours.call(release("a")).await, FREE);
    assert_eq!(arm.within(QUIET, theirs.released()).await, None);
}

async fn a_key_of_another_type_is_an_error_and_no_more(arm: &Arm, key: &str) {
    let (lease, mut raw) = (arm.lease(key), arm.raw().await);
    raw.expect(&["LPUSH", key, "x"], ":1\r\n").await;
    for call in [acquire("a", LONG), renew("a", LONG), release("a"), LeaseCall::Read] {
        let error = lease.call(call).await.unwrap_err().to_string();
        assert!(error.contains("WRONGTYPE"), "{error}");
        assert!(error.contains(key) && error.contains(&arm.peer), "{error}");
    }
    raw.expect(&["LPUSH", key, "x"], ":2\r\n").await;
    raw.expect(&["DEL", key], ":1\r\n").await;
    assert_eq!(lease.call(acquire("a", LONG)).await, GRANTED);
}

async fn a_key_without_expiry_is_held_until_further_notice(arm: &Arm, key: &str) {
    let (lease, mut raw) = (arm.lease(key), arm.raw().await);
    raw.expect(&["SET", key, "a"], "+OK\r\n").await;
    assert_eq!(lease.call(LeaseCall::Read).await, held_forever("a"));
    assert_eq!(lease.call(acquire("b", LONG)).await, held_forever("a"));
    assert_eq!(lease.call(renew("b", LONG)).await, held_forever("a"));
    assert_eq!(lease.call(release("b")).await, held_forever("a"));
    assert_eq!(lease.call(renew("a", LONG)).await, GRANTED);
    assert_held(lease.call(LeaseCall::Read).await, "a", LONG);
}

async fn a_lease_that_was_evicted_is_anybodys(arm: &Arm, key: &str) {
    let (ours, theirs, mut raw) = (arm.lease(key), arm.lease(key), arm.raw().await);
    assert_eq!(ours.call(acquire("a", LONG)).await, GRANTED);
    raw.expect(&["DEL", key], ":1\r\n").await;
    assert_eq!(ours.call(renew("a", LONG)).await, FREE);
    assert_eq!(theirs.call(acquire("b", LONG)).await, GRANTED);
    assert_held(ours.call(renew("a", LONG)).await, "b", LONG);
    assert_held(ours.call(release("a")).await, "b", LONG);
}

async fn a_lease_that_outlasts_every_ttl_is_cut_by_who_contends(arm: &Arm, key: &str) {
    let (lease, mut raw) = (arm.lease(key), arm.raw().await);
    // As after a step back of the server's clock.
    raw.expect(&["SET", key, "a", "PX", "3600000"], "+OK\r\n").await;
    assert_held(lease.call(acquire("b", LONG)).await, "a", LONG);
    assert_held(lease.call(LeaseCall::Read).await, "a", LONG);
}

async fn a_strange_value_is_somebody_else(arm: &Arm, key: &str) {
    let (lease, mut raw) = (arm.lease(key), arm.raw().await);
    raw.expect(&["SET", key, ""], "+OK\r\n").await;
    assert_eq!(lease.call(acquire("a", LONG)).await, held_forever(""));
    raw.expect(&["SET", key, "12"], "+OK\r\n").await;
    assert_eq!(lease.call(acquire("a", LONG)).await, held_forever("12"));
}

/// In both versions of the protocol.
async fn the_scripts_answer_in_these_bytes(arm: &Arm, key: &str) {
    let other = scripts::released_channel(key);
    let epoch = scripts::epoch_key(key);
    let eval = |script, words: &[&'static str]| -> Vec<String> {
        let head = ["EVAL", script, "2", key, &epoch].into_iter().chain(words.iter().copied());
        head.map(str::to_owned).collect()
    };
    let mut told = "$-1".to_owned();
    for (resp3, nil) in [(false, "$-1"), (true, "_")] {
        let mut raw = arm.raw().await;
        if resp3 {
            raw.ask(&["HELLO", "3"]).await;
        }
        let gone = format!("*2\r\n{nil}\r\n:-2\r\n");
        let ours = "*2\r\n$1\r\na\r\n:-1\r\n".to_owned();
        let set = ["SET", key, "a"].map(str::to_owned).to_vec();
        let steps = [
            (eval(scripts::READ, &[]), gone.clone()),
            (eval(scripts::RENEW, &["a", "5000", "9"]), gone.clone()),
            (eval(scripts::RELEASE, &["a", "none"]), gone.clone()),
            (set, "+OK\r\n".to_owned()),
            (eval(scripts::READ, &[]), ours.clone()),
            (eval(scripts::ACQUIRE, &["b", "5000"]), format!("*3\r\n$1\r\na\r\n:-1\r\n{told}\r\n")),
            (eval(scripts::RENEW, &["b", "5000", "9"]), ours.clone()),
            (eval(scripts::RELEASE, &["b", "none"]), ours),
            (eval(scripts::RELEASE, &["a", "none"]), gone),
        ];
        for (words, reply) in steps {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            raw.expect(&words, &reply).await;
        }
        let acquire = (scripts::ACQUIRE, &["a", "5000"][..]);
        // Only a holder is believed, and only when it tells of a higher one; as numbers go, not as texts.
        let renewals = ["9", "10", "8"].map(|seen| (scripts::RENEW, vec!["a", "5000", seen]));
        let renewals = renewals.iter().map(|(script, words)| (*script, &words[..]));
        for (script, words) in [acquire, acquire].into_iter().chain(renewals) {
            let reply = raw.ask(&eval(script, words).iter().map(String::as_str).collect::<Vec<_>>()).await;
            let (parts, tail) =
                if script == scripts::ACQUIRE { (3, format!("{told}\r\n")) } else { (2, String::new()) };
            let expected = [5000, 4999].map(|left| format!("*{parts}\r\n$1\r\na\r\n:{left}\r\n{tail}"));
            assert!(expected.contains(&reply), "{reply:?}");
        }
        raw.expect(&["GET", &epoch], "$2\r\n10\r\n").await;
        raw.expect(&["PTTL", &epoch], ":-1\r\n").await;
        told = "$2\r\n10".into();
        raw.expect(&["EVAL", scripts::RELEASE, "1", key, "a", &other], &format!("*2\r\n{nil}\r\n:-2\r\n")).await;
    }
}

async fn what_scripts_refuse(arm: &Arm, key: &str) {
    let (mut raw, epoch) = (arm.raw().await, scripts::epoch_key(key));
    let invalid = "-ERR invalid expire time in";
    for ttl in ["0", "-1", "9223372036854775807"] {
        let refusal = raw.refusal(&["EVAL", scripts::ACQUIRE, "2", key, &epoch, "a", ttl]).await;
        assert_eq!(refusal, format!("{invalid} 'set' command"));
    }
    for ttl in ["x", "1.5", "", "9223372036854775808"] {
        let refusal = raw.refusal(&["EVAL", scripts::ACQUIRE, "2", key, &epoch, "a", ttl]).await;
        assert_eq!(refusal, "-ERR value is not an integer or out of range");
    }
    raw.expect(&["GET", key], "$-1\r\n").await;
    raw.expect(&["SET", key, "a"], "+OK\r\n").await;
    let refusal = raw.refusal(&["EVAL", scripts::RENEW, "2", key, &epoch, "a", "9223372036854775807", "1"]).await;
    assert_eq!(refusal, format!("{invalid} 'pexpire' command"));
    raw.expect(&["EVAL", scripts::RENEW, "2", key, &epoch, "a", "0", "1"], "*2\r\n$1\r\na\r\n:-2\r\n").await;
    raw.expect(&["LPUSH", key, "x"], ":1\r\n").await;
    for script in [scripts::READ, scripts::ACQUIRE, scripts::RENEW, scripts::RELEASE] {
        let refusal = raw.refusal(&["EVAL", script, "2", key, &epoch, "a", "1", "1"]).await;
        assert_eq!(refusal, "-WRONGTYPE Operation against a key holding the wrong kind of value");
    }
    // What was written there by a stranger counts as nothing told, until a holder tells.
    raw.expect(&["DEL", key], ":1\r\n").await;
    raw.expect(&["SET", key, "a"], "+OK\r\n").await;
    raw.expect(&["SET", &epoch, "many"], "+OK\r\n").await;
    raw.ask(&["EVAL", scripts::RENEW, "2", key, &epoch, "a", "5000", "3"]).await;
    raw.expect(&["GET", &epoch], "$1\r\n3\r\n").await;
    let negative = raw.refusal(&["EVAL", scripts::READ, "-1"]).await;
    assert_eq!(negative, "-ERR Number of keys can't be negative");
    let many = raw.refusal(&["EVAL", scripts::READ, "2", key]).await;
    assert_eq!(many, "-ERR Number of keys can't be greater than number of args");
}

/// In Redis because it does not compile, in the simulation because nobody knows what it does.
async fn an_unknown_script_is_an_error(arm: &Arm, _: &str) {
    let refusal = arm.raw().await.refusal(&["EVAL", "return nope()", "0"]).await;
    assert!(refusal.starts_with("-ERR "), "{refusal}");
}

async fn an_unknown_command_is_an_error(arm: &Arm, _: &str) {
    let reply = "-ERR unknown command 'NoSuch', with args beginning with: 'a' 'b' \r\n";
    arm.raw().await.expect(&["NoSuch", "a", "b"], reply).await;
}

async fn plain_commands_answer_in_these_bytes(arm: &Arm, key: &str) {
    let mut raw = arm.raw().await;
    let arity = |name: &str| format!("-ERR wrong number of arguments for '{name}' command\r\n");
    let integer = "-ERR value is not an integer or out of range\r\n";
    let steps: &[(&[&str], &str)] = &[
        (&["PING"], "+PONG\r\n"),
        (&["ping", "x"], "$1\r\nx\r\n"),
        (&["PING", "x", "y"], &arity("ping")),
        (&["GET", key], "$-1\r\n"),
        (&["GET"], &arity("get")),
        (&["PTTL", key], ":-2\r\n"),
        (&["PEXPIRE", key, "10"], ":0\r\n"),
        (&["SET", key, "v", "PX", "0"], "-ERR invalid expire time in 'set' command\r\n"),
        (&["SET", key, "v", "PX", "abc"], integer),
        (&["SET", key, "v", "PX"], "-ERR syntax error\r\n"),
        (&["SET", key], &arity("set")),
        (&["SET", key, "v", "NX", "px", "100000"], "+OK\r\n"),
        (&["SET", key, "w", "NX"], "$-1\r\n"),
        (&["GET", key], "$1\r\nv\r\n"),
        (&["SET", key, "w"], "+OK\r\n"),
        (&["PTTL", key], ":-1\r\n"),
        (&["PEXPIRE", key, "zz"], integer),
        (&["PEXPIRE", key, "9223372036854775807"], "-ERR invalid expire time in 'pexpire' command\r\n"),
        (&["PEXPIRE", key, "-5"], ":1\r\n"),
        (&["PEXPIRE", key, "-5"], ":0\r\n"),
        (&["LPUSH", key, "a", "b"], ":2\r\n"),
        (&["GET", key], "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
        (&["DEL", key, key, "none"], ":1\r\n"),
        (&["SELECT", "0"], "+OK\r\n"),
        (&["SELECT", "x"], integer),
        (&["CLIENT", "SETNAME", "x"], "+OK\r\n"),
        (&["CLIENT", "SETINFO", "LIB-NAME", "x"], "-ERR unknown subcommand 'SETINFO'. Try CLIENT HELP.\r\n"),
        (&["CLIENT"], &arity("client")),
        (
            &["AUTH", "x"],
            "-ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?\r\n",
        ),
        (&["AUTH", "u", "x"], "-WRONGPASS invalid username-password pair or user is disabled.\r\n"),
        (&["AUTH", "default", "x"], "+OK\r\n"),
        (&["AUTH"], &arity("auth")),
        (&["HELLO", "4"], "-NOPROTO unsupported protocol version\r\n"),
        (&["HELLO", "x"], "-ERR Protocol version is not an integer or out of range\r\n"),
        (&["EVAL", scripts::READ], &arity("eval")),
    ];
    for (words, reply) in steps {
        raw.expect(words, reply).await;
    }
    for (version, start) in [("3", "%7\r\n$6\r\nserver"), ("2", "*14\r\n$6\r\nserver")] {
        let hello = raw.ask(&["HELLO", version]).await;
        let (before, after) = hello.split_once("$2\r\nid\r\n").unwrap();
        let expected =
            format!("{start}\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:{version}\r\n");
        assert_eq!(before, expected);
        let role = "$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n";
        assert!(after.ends_with(role), "{after:?}");
    }
}

async fn subscriptions_answer_in_these_bytes(arm: &Arm, key: &str) {
    let (one, two) = (format!("{key}1"), format!("{key}2"));
    let word = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    for (version, push, nil) in [("2", '*', "$-1"), ("3", '>', "_")] {
        let (mut ears, mut mouth) = (arm.raw().await, arm.raw().await);
        ears.ask(&["HELLO", version]).await;
        let said = |kind: &str, channel: &str, last: &str| format!("{push}3\r\n{}{}{last}", word(kind), word(channel));
        ears.expect(&["UNSUBSCRIBE"], &format!("{push}3\r\n{}{nil}\r\n:0\r\n", word("unsubscribe"))).await;
        let both = said("subscribe", &one, ":1\r\n") + &said("subscribe", &two, ":2\r\n");
        ears.expect(&["SUBSCRIBE", &one, &two], &both).await;
        ears.expect(&["SUBSCRIBE", &one], &said("subscribe", &one, ":2\r\n")).await;
        mouth.expect(&["PUBLISH", &one, "hi"], ":1\r\n").await;
        ears.hear(&said("message", &one, &word("hi")), &["nothing"]).await;
        if version == "2" {
            ears.expect(&["PING"], "*2\r\n$4\r\npong\r\n$0\r\n\r\n").await;
            ears.expect(&["PING", "x"], "*2\r\n$4\r\npong\r\n$1\r\nx\r\n").await;
            let refusal = ears.refusal(&["GET", key]).await;
            assert_eq!(
                refusal,
                "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed \
                 in this context"
            );
        } else {
            ears.expect(&["PING"], "+PONG\r\n").await;
            ears.expect(&["GET", key], "_\r\n").await;
            // The message before the count.
            let own = said("message", &one, &word("me")) + ":1\r\n";
            ears.expect(&["PUBLISH", &one, "me"], &own).await;
        }
        ears.expect(&["UNSUBSCRIBE", &two], &said("unsubscribe", &two, ":1\r\n")).await;
        mouth.expect(&["PUBLISH", &two, "hi"], ":0\r\n").await;
        ears.expect(&["UNSUBSCRIBE"], &said("unsubscribe", &one, ":0\r\n")).await;
        ears.expect(&["GET", key], &format!("{nil}\r\n")).await;
        ears.expect(&["SUBSCRIBE", &one], &said("subscribe", &one, ":1\r\n")).await;
        drop(ears);
        // A connection that is gone listens no more, once the server has seen that it is.
        arm.pass(QUIET).await;
        mouth.expect(&["PUBLISH", &one, "hi"], ":0\r\n").await;
    }
}

type Probe = for<'a> fn(&'a Arm, &'a str) -> BoxFuture<'a, ()>;

macro_rules! probes {
    ($($probe:ident),* $(,)?) => {
        &[$((stringify!($probe), |arm, key| Box::pin($probe(arm, key)))),*]
    };
}

const PROBES: &[(&str, Probe)] = probes![
    a_free_lease_is_granted_for_its_ttl,
    a_held_lease_stays_with_its_holder,
    acquiring_ones_own_lease_grants_it_afresh,
    renewing_extends_ones_own_lease_and_nothing_else,
    releasing_frees_ones_own_lease_at_once,
    the_highest_epoch_outlives_the_lease,
    a_lease_ends_with_its_ttl,
    a_lease_can_be_renewed_past_its_ttl,
    coming_back_after_the_remaining_time_finds_it_free,
    a_release_is_heard_by_those_who_listen,
    a_key_of_another_type_is_an_error_and_no_more,
    a_key_without_expiry_is_held_until_further_notice,
    a_lease_that_was_evicted_is_anybodys,
    a_lease_that_outlasts_every_ttl_is_cut_by_who_contends,
    a_strange_value_is_somebody_else,
    the_scripts_answer_in_these_bytes,
    what_scripts_refuse,
    an_unknown_script_is_an_error,
    an_unknown_command_is_an_error,
    plain_commands_answer_in_these_bytes,
    subscriptions_answer_in_these_bytes,
];

async fn all_probes(arm: &Arm) {
    for (name, probe) in PROBES {
        eprintln!("probe {name}");
        probe(arm, name).await;
    }
}

/// The runtime's paused clock.
struct PausedClock(Instant);

impl Clock for PausedClock {
    fn now(&self) -> Now {
        Now { mono: Mono::ZERO.plus(self.0.elapsed()), wall: Wall::default() }
    }

    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep_until(self.0 + deadline.since(Mono::ZERO)))
    }
}

/// Each connection gets a server task of its own, on the same model.
struct Simulated {
    model: Arc<Mutex<RedisModel>>,
    origin: Instant,
}

impl Connect for Simulated {
    fn connect<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        let (near, far) = tokio::io::duplex(4096);
        let origin = self.origin;
        let now_ms = move || 1_700_000_000_000 + u64::try_from(origin.elapsed().as_millis()).unwrap();
        tokio::spawn(serve(far, self.model.clone(), now_ms, ()));
        Box::pin(async { Ok(Box::new(near) as Box<dyn Stream>) })
    }
}

#[tokio::test(start_paused = true)]
async fn the_simulated_redis_conforms() {
    let model = Arc::new(Mutex::new(RedisModel::new()));
    let origin = Instant::now();
    let arm = Arm {
        peer: "redis:6379".into(),
        connect: Arc::new(Simulated { model: model.clone(), origin }),
        clock: Arc::new(PausedClock(origin)),
    };
    all_probes(&arm).await;
    let unsupported = model.lock().unwrap().unsupported().to_vec();
    assert_eq!(
        unsupported,
        ["EVAL of 'return nope()'", "ERR unknown command 'NoSuch', with args beginning with: 'a' 'b' "]
    );
}

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn the_real_redis_conforms() {
    let server = RedisServer::start().await;
    let arm = Arm { peer: server.peer.clone(), connect: Arc::new(TcpConnect), clock: Arc::new(SystemClock) };
    all_probes(&arm).await;
}
