//! What a Redis server knows, and what it does with it. Time is an argument: the server's own wall clock in
//! milliseconds, which may step.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;

/// The data of one server, its subscribers, and a list of what it was asked and does not implement.
#[derive(Default)]
pub struct RedisModel {
    keys: BTreeMap<Bytes, Entry>,
    subscribers: BTreeMap<u64, Subscriber>,
    connections: u64,
    password: Option<String>,
    unsupported: Vec<String>,
}

/// All keys as they were at some instant: what a replica knows that is behind.
#[derive(Clone, Default)]
pub struct Snapshot(BTreeMap<Bytes, Entry>);

#[derive(Clone)]
struct Entry {
    value: Value,
    /// By the server's wall clock; none: never.
    expires_at_ms: Option<u64>,
}

#[derive(Clone)]
enum Value {
    Text(Bytes),
    /// A key of another type; only its length can be asked for.
    List(usize),
}

struct Subscriber {
    messages: UnboundedSender<Message>,
    channels: BTreeSet<Bytes>,
}

/// A message on its way to one subscriber.
pub(super) struct Message {
    pub(super) channel: Bytes,
    pub(super) payload: Bytes,
}

/// Why an operation was refused; the data is as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    WrongType,
    NotAnInteger,
    InvalidExpire { command: &'static str },
}

impl RedisModel {
    /// An empty server without a password.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on connections that have not authenticated yet must do so, as user `default`.
    pub fn require_password(&mut self, password: impl Into<String>) {
        self.password = Some(password.into());
    }

    /// What was asked for and refused because this model does not implement it, in order.
    pub fn unsupported(&self) -> &[String] {
        &self.unsupported
    }

    /// Who holds the lease at `key`, and for how many milliseconds more (none: forever). For oracles: changes
    /// nothing.
    pub fn holder(&self, key: &str, now_ms: u64) -> Option<(String, Option<u64>)> {
        let entry = self.keys.get(key.as_bytes()).filter(|entry| !entry.expired(now_ms))?;
        let Value::Text(text) = &entry.value else { return None };
        Some((String::from_utf8_lossy(text).into_owned(), entry.expires_at_ms.map(|at| at - now_ms)))
    }

    /// Forgets every key, as a restart without persistence does. Subscriptions belong to connections, which
    /// are the world's to close.
    pub fn lose_data(&mut self) {
        self.keys.clear();
    }

    /// Forgets one key, as an eviction does; whether it was there.
    pub fn evict(&mut self, key: &str) -> bool {
        self.keys.remove(key.as_bytes()).is_some()
    }

    /// Every key as it is now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.keys.clone())
    }

    /// Back to an earlier instant, as a failover to a replica that was behind does.
    pub fn restore(&mut self, snapshot: Snapshot) {
        self.keys = snapshot.0;
    }

    pub(super) fn refuse(&mut self, what: String) {
        self.unsupported.push(what);
    }

    pub(super) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    pub(super) fn get(&mut self, key: &Bytes, now_ms: u64) -> Result<Option<Bytes>, Refusal> {
        match self.live(key, now_ms) {
            None => Ok(None),
            Some(Entry { value: Value::Text(text), .. }) => Ok(Some(text.clone())),
            Some(Entry { value: Value::List(_), .. }) => Err(Refusal::WrongType),
        }
    }

    /// Replaces whatever is there, its expiry included.
    pub(super) fn set(&mut self, key: &Bytes, text: Bytes, expire_ms: Option<i64>, now_ms: u64) -> Result<(), Refusal> {
        let invalid = Refusal::InvalidExpire { command: "set" };
        let expires_at_ms = match expire_ms {
            None => None,
            Some(1..) => Some(expire_ms.and_then(|after| instant(now_ms, after)).ok_or(invalid)?),
            Some(_) => return Err(invalid),
        };
        self.keys.insert(key.clone(), Entry { value: Value::Text(text), expires_at_ms });
        Ok(())
    }

    /// The list's new length.
    pub(super) fn push(&mut self, key: &Bytes, items: usize, now_ms: u64) -> Result<usize, Refusal> {
        match self.live(key, now_ms) {
            Some(Entry { value: Value::List(length), .. }) => {
                *length += items;
                Ok(*length)
            }
            Some(Entry { value: Value::Text(_), .. }) => Err(Refusal::WrongType),
            None => {
                self.keys.insert(key.clone(), Entry { value: Value::List(items), expires_at_ms: None });
                Ok(items)
            }
        }
    }

    /// Whether it was there.
    pub(super) fn delete(&mut self, key: &Bytes, now_ms: u64) -> bool {
        self.live(key, now_ms).is_some() && self.keys.remove(key).is_some()
    }

    /// Whether it is there.
    pub(super) fn exists(&mut self, key: &Bytes, now_ms: u64) -> bool {
        self.live(key, now_ms).is_some()
    }

    /// Milliseconds until it expires; -1: never, -2: it is not there.
    pub(super) fn time_left(&mut self, key: &Bytes, now_ms: u64) -> i64 {
        match self.live(key, now_ms) {
            None => -2,
            Some(Entry { expires_at_ms: None, .. }) => -1,
            Some(Entry { expires_at_ms: Some(at), .. }) => i64::try_from(*at - now_ms).unwrap_or(i64::MAX),
        }
    }

    /// Whether it is there; an expiry in the past deletes it.
    pub(super) fn expire(&mut self, key: &Bytes, after_ms: i64, now_ms: u64) -> Result<bool, Refusal> {
        let at = instant(now_ms, after_ms).ok_or(Refusal::InvalidExpire { command: "pexpire" })?;
        let Some(entry) = self.live(key, now_ms) else { return Ok(false) };
        entry.expires_at_ms = Some(at);
        if after_ms <= 0 {
            self.keys.remove(key);
        }
        Ok(true)
    }

    /// A new connection's number, from 1.
    pub(super) fn connect(&mut self, messages: UnboundedSender<Message>) -> u64 {
        self.connections += 1;
        self.subscribers.insert(self.connections, Subscriber { messages, channels: BTreeSet::new() });
        self.connections
    }

    pub(super) fn disconnect(&mut self, connection: u64) {
        self.subscribers.remove(&connection);
    }

    /// To how many channels it then listens.
    pub(super) fn subscribe(&mut self, connection: u64, channel: &Bytes) -> usize {
        self.subscribers.get_mut(&connection).map_or(0, |subscriber| {
            subscriber.channels.insert(channel.clone());
            subscriber.channels.len()
        })
    }

    /// To how many channels it then listens.
    pub(super) fn unsubscribe(&mut self, connection: u64, channel: &Bytes) -> usize {
        self.subscribers.get_mut(&connection).map_or(0, |subscriber| {
            subscriber.channels.remove(channel);
            subscriber.channels.len()
        })
    }

    pub(super) fn channels(&self, connection: u64) -> Vec<Bytes> {
        self.subscribers
            .get(&connection)
            .map_or_else(Vec::new, |subscriber| subscriber.channels.iter().cloned().collect())
    }

    pub(super) fn is_subscribed(&self, connection: u64) -> bool {
        self.subscribers.get(&connection).is_some_and(|subscriber| !subscriber.channels.is_empty())
    }

    /// How many connections it is on its way to.
    pub(super) fn publish(&mut self, channel: &Bytes, payload: &Bytes) -> usize {
        let listening = self.subscribers.values().filter(|subscriber| subscriber.channels.contains(channel));
        let message = || Message { channel: channel.clone(), payload: payload.clone() };
        listening.filter(|subscriber| subscriber.messages.send(message()).is_ok()).count()
    }

    /// The entry, unless it has expired: then it goes.
    fn live(&mut self, key: &Bytes, now_ms: u64) -> Option<&mut Entry> {
        if self.keys.get(key)?.expired(now_ms) {
            self.keys.remove(key);
        }
        self.keys.get_mut(key)
    }
}

impl Entry {
    /// A key lives through the millisecond of its expiry (`keyIsExpired` in Redis' `db.c`: `now > when`).
    fn expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|at| now_ms > at)
    }
}

/// None when it is beyond what Redis counts to.
fn instant(now_ms: u64, after_ms: i64) -> Option<u64> {
    let at = i64::try_from(now_ms).ok()?.checked_add(after_ms)?;
    Some(u64::try_from(at).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Bytes = Bytes::from_static(b"lease");
    const ME: Bytes = Bytes::from_static(b"a:1:1");

    fn held(ttl_ms: i64, now_ms: u64) -> RedisModel {
        let mut model = RedisModel::new();
        model.set(&KEY, ME, Some(ttl_ms), now_ms).unwrap();
        model
    }

    #[test]
    fn a_key_lives_through_the_millisecond_of_its_expiry() {
        let mut model = held(100, 1_000);
        assert_eq!(model.holder("lease", 1_100), Some(("a:1:1".into(), Some(0))));
        assert_eq!(model.time_left(&KEY, 1_100), 0);
        assert_eq!(model.holder("lease", 1_101), None);
        assert_eq!(model.time_left(&KEY, 1_101), -2);
    }

    #[test]
    fn expiry_follows_the_servers_clock_also_when_that_steps() {
        let mut model = held(100, 1_000);
        assert_eq!(model.time_left(&KEY, 400), 700, "a step back prolongs the lease");
        assert_eq!(model.get(&KEY, 5_000), Ok(None), "a step forward ends it");
        assert_eq!(model.get(&KEY, 1_000), Ok(None), "and what was seen to have expired is gone");
    }

    #[test]
    fn looking_from_outside_expires_nothing() {
        let model = held(100, 1_000);
        assert_eq!(model.holder("lease", 5_000), None);
        assert!(model.holder("lease", 1_000).is_some());
    }

    #[test]
    fn an_expiry_that_cannot_be_is_refused_and_changes_nothing() {
        let mut model = held(100, 1_000);
        for after in [i64::MIN, -1, 0, i64::MAX] {
            let refused = model.set(&KEY, Bytes::from_static(b"other"), Some(after), 1_000);
            assert_eq!(refused, Err(Refusal::InvalidExpire { command: "set" }));
        }
        assert_eq!(model.expire(&KEY, i64::MAX, 1_000), Err(Refusal::InvalidExpire { command: "pexpire" }));
        assert_eq!(model.holder("lease", 1_000), Some(("a:1:1".into(), Some(100))));
        assert_eq!(model.expire(&KEY, -1, 1_000), Ok(true));
        assert_eq!(model.expire(&KEY, -1, 1_000), Ok(false));
    }

    #[test]
    fn data_can_be_lost_wholly_in_part_and_back_to_an_earlier_instant() {
        let mut model = RedisModel::new();
        let earlier = model.snapshot();
        model.set(&KEY, ME, None, 0).unwrap();
        assert_eq!(model.holder("lease", u64::MAX), Some(("a:1:1".into(), None)));
        let later = model.snapshot();
        model.restore(earlier);
        assert_eq!(model.holder("lease", 0), None);
        model.restore(later.clone());
        assert!(model.evict("lease") && !model.evict("lease"));
        model.restore(later);
        model.lose_data();
        assert_eq!(model.holder("lease", 0), None);
    }
}
