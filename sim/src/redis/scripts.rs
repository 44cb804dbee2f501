//! The lease's scripts, recognised by their exact text and carried out natively, line for line.

use bytes::Bytes;
use oncegate_protocol::LeaseCall;
use oncegate_redis_lease::scripts;

use super::model::{RedisModel, Refusal};
use super::wire::integer;

/// A copy of a command that was sent before arrives, from nobody who waits for the answer.
pub fn repeat(model: &mut RedisModel, key: &str, call: &LeaseCall, now_ms: u64) {
    let ttl = |ttl: &std::time::Duration| Bytes::from(ttl.as_millis().to_string());
    let own = |holder: &oncegate_protocol::Holder| Bytes::from(holder.as_str().to_owned());
    let (script, argv) = match call {
        LeaseCall::Acquire { holder, ttl: time } => (Script::Acquire, vec![own(holder), ttl(time)]),
        LeaseCall::Renew { holder, ttl: time } => (Script::Renew, vec![own(holder), ttl(time)]),
        LeaseCall::Release { holder } => {
            (Script::Release, vec![own(holder), Bytes::from(scripts::released_channel(key))])
        }
        LeaseCall::Read => (Script::Read, Vec::new()),
    };
    // Refused or not, nobody hears of it.
    let _ = script.run(model, &Bytes::from(key.to_owned()), &argv, now_ms);
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
            Self::Acquire | Self::Renew | Self::Release => 2,
            Self::Read => 0,
        }
    }

    /// Who holds the lease afterwards, and the key's `PTTL`. `argv` is as long as [`Self::arguments`] says.
    ///
    /// # Errors
    /// The first command within the script that was refused; nothing was changed before it in any of them.
    pub(super) fn run(
        self,
        model: &mut RedisModel,
        key: &Bytes,
        argv: &[Bytes],
        now_ms: u64,
    ) -> Result<(Option<Bytes>, i64), Refusal> {
        let mut holder = model.get(key, now_ms)?;
        match (self, argv) {
            (Self::Acquire, [own, ttl, ..]) if holder.is_none() => {
                model.set(key, own.clone(), Some(integer(ttl)?), now_ms)?;
                holder = Some(own.clone());
            }
            (Self::Acquire | Self::Renew, [own, ttl, ..]) if holder.as_ref() == Some(own) => {
                model.expire(key, integer(ttl)?, now_ms)?;
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
        Ok((holder, model.time_left(key, now_ms)))
    }
}
