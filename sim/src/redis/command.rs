//! What a client may ask, and the answer.

use bytes::Bytes;

use super::model::{RedisModel, Refusal};
use super::scripts::Script;
use super::wire::{Reply, integer};

/// What one connection has agreed on with the server.
pub(super) struct Session {
    /// The connection's number.
    pub(super) connection: u64,
    /// Whether replies are in RESP3.
    pub(super) resp3: bool,
    authenticated: bool,
}

impl Session {
    pub(super) fn new(connection: u64, model: &RedisModel) -> Self {
        Self { connection, resp3: false, authenticated: model.password().is_none() }
    }

    /// Carries out one command. `words` is not empty, and its first word is `name` but for case.
    pub(super) fn perform(&mut self, name: &str, words: &[Bytes], model: &mut RedisModel, now_ms: u64) -> Reply {
        if !self.authenticated && !matches!(name, "auth" | "hello") {
            return Reply::error("NOAUTH Authentication required.");
        }
        let subscribed = !self.resp3 && model.is_subscribed(self.connection);
        if subscribed && !matches!(name, "subscribe" | "unsubscribe" | "ping") {
            return Reply::error(format!(
                "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
                 allowed in this context"
            ));
        }
        let done = match (name, &words[1..]) {
            ("eval", [text, count, rest @ ..]) => eval(text, count, rest, model, now_ms),
            ("ping", [] | [_]) if subscribed => {
                let echo = words.get(1).cloned().unwrap_or_default();
                Ok(Reply::Array(vec![Reply::text("pong"), Reply::Bulk(echo)]))
            }
            ("ping", []) => Ok(Reply::Simple("PONG")),
            ("ping", [echo]) => Ok(Reply::Bulk(echo.clone())),
            ("hello", options) => Ok(self.hello(options, model)),
            ("auth", [password]) => Ok(self.authenticate(None, password, model)),
            ("auth", [user, password]) => Ok(self.authenticate(Some(user), password, model)),
            ("select", [number]) => select(number, model),
            ("client", [what, ..]) => Ok(client(what, &words[2..], model)),
            ("subscribe", channels @ [_, ..]) => Ok(self.subscribe(channels, model)),
            ("unsubscribe", channels) => Ok(self.unsubscribe(channels, model)),
            ("publish", [channel, payload]) => Ok(count(model.publish(channel, payload))),
            ("get", [key]) => model.get(key, now_ms).map(|text| text.map_or(Reply::Nil, Reply::Bulk)),
            ("set", [key, text, options @ ..]) => set(key, text, options, model, now_ms),
            ("del", keys @ [_, ..]) => Ok(count(keys.iter().filter(|key| model.delete(key, now_ms)).count())),
            ("pttl", [key]) => Ok(Reply::Int(model.time_left(key, now_ms))),
            ("pexpire", [key, after]) => {
                integer(after).and_then(|after| model.expire(key, after, now_ms)).map(|there| Reply::Int(there.into()))
            }
            ("lpush", [key, items @ ..]) if !items.is_empty() => model.push(key, items.len(), now_ms).map(count),
            (
                "eval" | "ping" | "auth" | "select" | "client" | "subscribe" | "publish" | "get" | "set" | "del"
                | "pttl" | "pexpire" | "lpush",
                _,
            ) => Ok(Reply::error(format!("ERR wrong number of arguments for '{name}' command"))),
            _ => Ok(unknown(words, model)),
        };
        done.unwrap_or_else(Reply::from)
    }

    fn hello(&mut self, options: &[Bytes], model: &mut RedisModel) -> Reply {
        let (version, options) = match options {
            [] => (None, options),
            [version, options @ ..] => (Some(version), options),
        };
        let resp3 = match version.map(|version| integer(version)) {
            None => self.resp3,
            Some(Ok(2)) => false,
            Some(Ok(3)) => true,
            Some(Ok(_)) => return Reply::error("NOPROTO unsupported protocol version"),
            Some(Err(_)) => return Reply::error("ERR Protocol version is not an integer or out of range"),
        };
        match options {
            [] if self.authenticated => {}
            [] => {
                return Reply::error(
                    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO \
                     <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP \
                     protocol version at the same time",
                );
            }
            [auth, user, password] if auth.eq_ignore_ascii_case(b"auth") => {
                let done = self.authenticate(Some(user), password, model);
                if done != Reply::Simple("OK") {
                    return done;
                }
            }
            [option, ..] => return refuse(model, "HELLO with option", option),
        }
        self.resp3 = resp3;
        Reply::Map(vec![
            ("server", Reply::text("redis")),
            ("version", Reply::text("7.0.15")),
            ("proto", Reply::Int(if resp3 { 3 } else { 2 })),
            ("id", count(usize::try_from(self.connection).unwrap_or(usize::MAX))),
            ("mode", Reply::text("standalone")),
            ("role", Reply::text("master")),
            ("modules", Reply::Array(Vec::new())),
        ])
    }

    fn authenticate(&mut self, user: Option<&Bytes>, password: &Bytes, model: &RedisModel) -> Reply {
        let right = match model.password() {
            None if user.is_none() => {
                return Reply::error(
                    "ERR AUTH <password> called without any password configured for the default user. Are you sure \
                     your configuration is correct?",
                );
            }
            None => true,
            Some(right) => right.as_bytes() == password,
        };
        if right && user.is_none_or(|user| user == "default") {
            self.authenticated = true;
            Reply::Simple("OK")
        } else {
            Reply::error("WRONGPASS invalid username-password pair or user is disabled.")
        }
    }

    fn subscribe(&self, channels: &[Bytes], model: &mut RedisModel) -> Reply {
        let confirm = |channel: &Bytes| {
            let now = model.subscribe(self.connection, channel);
            Reply::Push(vec![Reply::text("subscribe"), Reply::Bulk(channel.clone()), count(now)])
        };
        Reply::Several(channels.iter().map(confirm).collect())
    }

    /// From all of them when none is named.
    fn unsubscribe(&self, channels: &[Bytes], model: &mut RedisModel) -> Reply {
        let channels = if channels.is_empty() { model.channels(self.connection) } else { channels.to_vec() };
        if channels.is_empty() {
            return Reply::Push(vec![Reply::text("unsubscribe"), Reply::Nil, Reply::Int(0)]);
        }
        let confirm = |channel: Bytes| {
            let now = model.unsubscribe(self.connection, &channel);
            Reply::Push(vec![Reply::text("unsubscribe"), Reply::Bulk(channel), count(now)])
        };
        Reply::Several(channels.into_iter().map(confirm).collect())
    }
}

fn eval(text: &Bytes, keys: &Bytes, rest: &[Bytes], model: &mut RedisModel, now_ms: u64) -> Result<Reply, Refusal> {
    let keys = match usize::try_from(integer(keys)?) {
        Err(_) => return Ok(Reply::error("ERR Number of keys can't be negative")),
        Ok(keys) if keys > rest.len() => {
            return Ok(Reply::error("ERR Number of keys can't be greater than number of args"));
        }
        Ok(keys) => keys,
    };
    let Some(script) = Script::of(text) else { return Ok(refuse(model, "EVAL of", text)) };
    let (keys, argv) = rest.split_at(keys);
    if keys.len() < script.keys() || argv.len() < script.arguments() {
        return Ok(refuse(model, "too few arguments for the script", script.name().as_bytes()));
    }
    script.run(model, keys, argv, now_ms)
}

fn set(key: &Bytes, text: &Bytes, options: &[Bytes], model: &mut RedisModel, now_ms: u64) -> Result<Reply, Refusal> {
    let (mut expire, mut only_new) = (None, false);
    let mut options = options.iter();
    while let Some(option) = options.next() {
        if option.eq_ignore_ascii_case(b"nx") {
            only_new = true;
        } else if option.eq_ignore_ascii_case(b"px") {
            let Some(after) = options.next() else { return Ok(Reply::error("ERR syntax error")) };
            expire = Some(integer(after)?);
        } else {
            return Ok(refuse(model, "SET with option", option));
        }
    }
    if only_new && model.exists(key, now_ms) {
        return Ok(Reply::Nil);
    }
    model.set(key, text.clone(), expire, now_ms)?;
    Ok(Reply::Simple("OK"))
}

fn select(number: &Bytes, model: &mut RedisModel) -> Result<Reply, Refusal> {
    match integer(number)? {
        0 => Ok(Reply::Simple("OK")),
        _ => Ok(refuse(model, "SELECT of database", number)),
    }
}

fn client(what: &Bytes, rest: &[Bytes], model: &mut RedisModel) -> Reply {
    match (what.to_ascii_lowercase().as_slice(), rest) {
        (b"setname", [_]) => Reply::Simple("OK"),
        // It came with Redis 7.2; clients send it to any server and ignore the answer.
        (b"setinfo", _) => {
            Reply::error(format!("ERR unknown subcommand '{}'. Try CLIENT HELP.", String::from_utf8_lossy(what)))
        }
        _ => refuse(model, "CLIENT", what),
    }
}

/// Refused as Redis refuses what it does not know, and noted.
fn unknown(words: &[Bytes], model: &mut RedisModel) -> Reply {
    let name = String::from_utf8_lossy(&words[0]);
    let begin: String = words[1..].iter().map(|word| format!("'{}' ", String::from_utf8_lossy(word))).collect();
    let reply = format!("ERR unknown command '{name}', with args beginning with: {begin}");
    model.refuse(reply.clone());
    Reply::Error(reply)
}

/// Refused in the simulation's own words, and noted.
fn refuse(model: &mut RedisModel, what: &str, which: &[u8]) -> Reply {
    // A reply in one line, whatever the script looks like.
    let which = String::from_utf8_lossy(which).escape_debug().to_string();
    let refused = format!("{what} '{which}'");
    model.refuse(refused.clone());
    Reply::Error(format!("ERR not in the simulated Redis: {refused}"))
}

fn count(number: usize) -> Reply {
    Reply::Int(i64::try_from(number).unwrap_or(i64::MAX))
}
