//! The lease's scripts, recognised by their exact text and carried out natively, line for line.

use bytes::Bytes;
use oncegate_protocol::LeaseCall;
use oncegate_redis_lease::scripts;

use super::model::{RedisModel, Refusal};
use super::wire::{Reply, integer};

/// A copy of a command that was sent before arrives, from nobody who waits for the answer.
pub fn repeat(model: &mut RedisModel, key: &str, call: &LeaseCall, now_ms: u64) {
    let ttl = |ttl: &std::time::Duration| Bytes::from(ttl.as_millis().to_string());
    let own = |holder: &oncegate_protocol::Holder| Bytes::from(holder.as_str().to_owned());
    let (script, argv) = match call {
        LeaseCall::Acquire { holder, ttl: time } => (Script::Acquire, vec![own(holder), ttl(time)]),
        LeaseCall::Renew { holder, ttl: time, seen } => {
            (Script::Renew, vec![own(holder), ttl(time), Bytes::from(seen.0.to_string())])
        }
        LeaseCall::Release { holder } => {
            (Script::Release, vec![own(holder), Bytes::from(scripts::released_channel(key))])
        }
        LeaseCall::Read => (Script::Read, Vec::new()),
    };
    // Refused or not, nobody hears of it.
    let _ = script.run(model, &[Bytes::from(key.to_owned()), Bytes::from(scripts::epoch_key(key))], &argv, now_ms);
}

/// One of the scripts that are known here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Script {
    Acquire,
    Renew,
    Release,
    Read,
}

impl Script {
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        let known = [Self::Acquire, Self::Renew, Self::Release, Self::Read];
        known.into_iter().find(|script| script.text().as_bytes() == text)
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Acquire => scripts::ACQUIRE,
            Self::Renew => scripts::RENEW,
            Self::Release => scripts::RELEASE,
            Self::Read => scripts::READ,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Acquire => "acquire",
            Self::Renew => "renew",
            Self::Release => "release",
            Self::Read => "read",
        }
    }

    /// How many `ARGV` it uses; the first is the holder.
    pub(super) const fn arguments(self) -> usize {
        match self {
            Self::Renew => 3,
            Self::Acquire | Self::Release => 2,
            Self::Read => 0,
        }
    }

    /// How many `KEYS` it uses: the lease, and where the highest epoch is kept.
    pub(super) const fn keys(self) -> usize {
        match self {
            Self::Acquire | Self::Renew => 2,
            Self::Release | Self::Read => 1,
        }
    }

    /// What the script answers. `keys` and `argv` are as many as [`Self::keys`] and [`Self::arguments`] say.
    ///
    /// # Errors
    /// The first command within the script that was refused.
    pub(super) fn run(
        self,
        model: &mut RedisModel,
        keys: &[Bytes],
        argv: &[Bytes],
        now_ms: u64,
    ) -> Result<Reply, Refusal> {
        let key = &keys[0];
        let mut holder = model.get(key, now_ms)?;
        match (self, argv) {
            (Self::Acquire, [own, ttl, ..]) if holder.is_none() => {
                model.set(key, own.clone(), Some(integer(ttl)?), now_ms)?;
                holder = Some(own.clone());
            }
            (Self::Acquire, [own, ttl, ..]) if holder.as_ref() == Some(own) => {
                model.expire(key, integer(ttl)?, now_ms)?;
            }
            (Self::Renew, [own, ttl, told, ..]) if holder.as_ref() == Some(own) => {
                model.expire(key, integer(ttl)?, now_ms)?;
                let known = model.get(&keys[1], now_ms)?.and_then(|known| integer(&known).ok());
                if integer(told)? > known.unwrap_or(0) {
                    model.set(&keys[1], told.clone(), None, now_ms)?;
                }
            }
            (Self::Acquire, [_, ttl, ..]) if model.time_left(key, now_ms) > integer(ttl)? => {
                model.expire(key, integer(ttl)?, now_ms)?;
            }
            (Self::Release, [own, channel, ..]) if holder.as_ref() == Some(own) => {
                model.delete(key, now_ms);
                model.publish(channel, own);
                holder = None;
            }
            (Self::Acquire | Self::Renew | Self::Release | Self::Read, _) => {}
        }
        let mut parts = vec![holder.map_or(Reply::Nil, Reply::Bulk), Reply::Int(model.time_left(key, now_ms))];
        if self == Self::Acquire {
            parts.push(model.get(&keys[1], now_ms)?.map_or(Reply::Nil, Reply::Bulk));
        }
        Ok(Reply::Array(parts))
    }
}
