//! One call as one Redis command, and its reply as an answer. Pure but for the sending.

use std::time::Duration;

use oncegate_protocol::{Epoch, Holder, LeaseCall, LeaseReply};
use redis::aio::ConnectionLike;
use redis::{Cmd, RedisError, Value};

use crate::scripts;

/// Sends `call` over `connection` and reads its answer. `channel` is where a release is announced.
///
/// # Errors
/// What was seen instead of an answer, for people. The connection is not to be used again after one.
pub(crate) async fn perform(
    connection: &mut impl ConnectionLike,
    key: &str,
    channel: &str,
    call: &LeaseCall,
) -> Result<LeaseReply, String> {
    let reply: Result<Value, RedisError> = command(key, channel, call).query_async(connection).await;
    answer(call, reply.map_err(|error| error.to_string())?)
}

/// What `call` does, and for whom, for people.
pub(crate) fn name(call: &LeaseCall) -> &'static str {
    match call {
        LeaseCall::Acquire { .. } => "acquiring",
        LeaseCall::Renew { .. } => "renewing",
        LeaseCall::Release { .. } => "releasing",
        LeaseCall::Read => "reading",
    }
}

fn command(key: &str, channel: &str, call: &LeaseCall) -> Cmd {
    let mut command = redis::cmd("EVAL");
    let script = match call {
        LeaseCall::Acquire { .. } => scripts::ACQUIRE,
        LeaseCall::Renew { .. } => scripts::RENEW,
        LeaseCall::Release { .. } => scripts::RELEASE,
        LeaseCall::Read => scripts::READ,
    };
    command.arg(script);
    match call {
        LeaseCall::Acquire { holder, ttl } => {
            command.arg(2).arg(key).arg(scripts::epoch_key(key)).arg(holder.as_str()).arg(millis(*ttl));
        }
        LeaseCall::Renew { holder, ttl, seen } => {
            command.arg(2).arg(key).arg(scripts::epoch_key(key)).arg(holder.as_str()).arg(millis(*ttl)).arg(seen.0);
        }
        LeaseCall::Release { holder } => {
            command.arg(1).arg(key).arg(holder.as_str()).arg(channel);
        }
        LeaseCall::Read => {
            command.arg(1).arg(key);
        }
    }
    command
}

/// Redis counts in milliseconds and refuses an expiry of none.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn answer(call: &LeaseCall, reply: Value) -> Result<LeaseReply, String> {
    let odd = |reply: &Value| format!("a reply that makes no sense: {reply:?}");
    let Value::Array(parts) = &reply else { return Err(odd(&reply)) };
    let (holder, pttl, seen) = match (call, parts.as_slice()) {
        (LeaseCall::Acquire { .. }, [holder, pttl, seen]) => (holder, pttl, epoch(seen).ok_or_else(|| odd(&reply))?),
        (LeaseCall::Renew { .. } | LeaseCall::Release { .. } | LeaseCall::Read, [holder, pttl]) => {
            (holder, pttl, Epoch(0))
        }
        _ => return Err(odd(&reply)),
    };
    let holder = match holder {
        Value::Nil => None,
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes)),
        Value::SimpleString(text) => Some(text.as_str().into()),
        _ => return Err(odd(&reply)),
    };
    let remaining = match (&holder, pttl) {
        (None, Value::Int(-2)) | (Some(_), Value::Int(-1)) => None,
        // A key lives until the clock has *passed* its last millisecond: whoever came back after exactly
        // `PTTL` would find it still there.
        (Some(_), Value::Int(left @ 0..)) => Some(Duration::from_millis(left.unsigned_abs().saturating_add(1))),
        _ => return Err(odd(&reply)),
    };
    let own = match call {
        LeaseCall::Acquire { holder, .. } | LeaseCall::Renew { holder, .. } | LeaseCall::Release { holder } => {
            Some(holder.as_str())
        }
        LeaseCall::Read => None,
    };
    match (call, holder) {
        (LeaseCall::Acquire { .. } | LeaseCall::Renew { .. }, Some(holder)) if Some(&*holder) == own => {
            Ok(LeaseReply::Granted { seen })
        }
        (LeaseCall::Release { .. }, Some(holder)) if Some(&*holder) == own => Err(odd(&reply)),
        (_, Some(holder)) => Ok(LeaseReply::HeldBy { holder: Holder::new(holder), remaining }),
        (LeaseCall::Acquire { .. }, None) => Err(odd(&reply)),
        (LeaseCall::Renew { .. } | LeaseCall::Release { .. } | LeaseCall::Read, None) => Ok(LeaseReply::Free),
    }
}

/// What was told; nobody has told anything yet while the key is not there.
fn epoch(told: &Value) -> Option<Epoch> {
    match told {
        Value::Nil => Some(Epoch(0)),
        Value::BulkString(digits) => std::str::from_utf8(digits).ok()?.parse().ok().map(Epoch),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use redis_test::{MockCmd, MockRedisConnection, redis_value};

    use super::*;

    const TTL: Duration = Duration::from_millis(10_000);

    fn me() -> Holder {
        Holder::new("a:1:1")
    }

    fn acquire() -> LeaseCall {
        LeaseCall::Acquire { holder: me(), ttl: TTL }
    }

    fn renew() -> LeaseCall {
        LeaseCall::Renew { holder: me(), ttl: TTL, seen: Epoch(7) }
    }

    fn release() -> LeaseCall {
        LeaseCall::Release { holder: me() }
    }

    /// Performs `call` on a server that expects exactly `words` and answers `reply`.
    async fn performed(call: &LeaseCall, words: &[&str], reply: Value) -> Result<LeaseReply, String> {
        let mut expected = Cmd::new();
        for word in words {
            expected.arg(word);
        }
        let mut server = MockRedisConnection::new([MockCmd::new(expected, Ok(reply))]).assert_all_commands_consumed();
        perform(&mut server, "lease", "lease:released", call).await
    }

    fn held_by(holder: &str, remaining_ms: Option<u64>) -> Result<LeaseReply, String> {
        Ok(LeaseReply::HeldBy { holder: Holder::new(holder), remaining: remaining_ms.map(Duration::from_millis) })
    }

    #[expect(clippy::unnecessary_wraps)] // As the answers beside it are told.
    fn granted(seen: u64) -> Result<LeaseReply, String> {
        Ok(LeaseReply::Granted { seen: Epoch(seen) })
    }

    #[tokio::test]
    async fn each_call_is_one_command_and_every_regular_reply_has_its_answer() {
        let acquires = ["EVAL", scripts::ACQUIRE, "2", "lease", "lease:epoch", "a:1:1", "10000"];
        let renews = ["EVAL", scripts::RENEW, "2", "lease", "lease:epoch", "a:1:1", "10000", "7"];
        let releases = ["EVAL", scripts::RELEASE, "1", "lease", "a:1:1", "lease:released"];
        let reads = ["EVAL", scripts::READ, "1", "lease"];
        type Case<'a> = (LeaseCall, &'a [&'a str], Value, Result<LeaseReply, String>);
        let cases: [Case<'_>; 12] = [
            (acquire(), &acquires, redis_value!(["a:1:1", 10_000_i64, nil]), granted(0)),
            (acquire(), &acquires, redis_value!(["a:1:1", 10_000_i64, "12"]), granted(12)),
            (acquire(), &acquires, redis_value!(["b:1:1", 42_i64, "12"]), held_by("b:1:1", Some(43))),
            (acquire(), &acquires, redis_value!(["b:1:1", (-1_i64), nil]), held_by("b:1:1", None)),
            (renew(), &renews, redis_value!(["a:1:1", 10_000_i64]), granted(0)),
            (renew(), &renews, redis_value!(["b:1:1", 0_i64]), held_by("b:1:1", Some(1))),
            (renew(), &renews, redis_value!([nil, (-2_i64)]), Ok(LeaseReply::Free)),
            (release(), &releases, redis_value!([nil, (-2_i64)]), Ok(LeaseReply::Free)),
            (release(), &releases, redis_value!(["b:1:1", 7_i64]), held_by("b:1:1", Some(8))),
            (LeaseCall::Read, &reads, redis_value!(["a:1:1", 7_i64]), held_by("a:1:1", Some(8))),
            (LeaseCall::Read, &reads, redis_value!(["x", (-1_i64)]), held_by("x", None)),
            (LeaseCall::Read, &reads, redis_value!([nil, (-2_i64)]), Ok(LeaseReply::Free)),
        ];
        for (call, words, reply, expected) in cases {
            assert_eq!(performed(&call, words, reply.clone()).await, expected, "{call:?} answered by {reply:?}");
        }
    }

    #[test]
    fn replies_that_make_no_sense_are_errors() {
        let nonsense = [
            Value::Nil,
            Value::Okay,
            redis_value!("a:1:1"),
            redis_value!([]),
            redis_value!(["a:1:1"]),
            redis_value!(["a:1:1", 1_i64, 1_i64]),
            redis_value!(["a:1:1", "10000"]),
            redis_value!(["a:1:1", (-2_i64)]),
            redis_value!(["a:1:1", (i64::MIN)]),
            redis_value!([nil, 5_i64]),
            redis_value!([nil, (-1_i64)]),
            redis_value!([5_i64, 5_i64]),
            redis_value!([["a:1:1"], 5_i64]),
        ];
        for reply in nonsense {
            for call in [acquire(), renew(), release(), LeaseCall::Read] {
                let error = answer(&call, reply.clone()).unwrap_err();
                assert!(error.starts_with("a reply that makes no sense: "), "{call:?}: {error}");
            }
        }
        answer(&acquire(), redis_value!([nil, (-2_i64), nil])).unwrap_err();
        for told in [redis_value!("seven"), redis_value!("-7"), redis_value!(""), redis_value!(7_i64), Value::Okay] {
            answer(&acquire(), Value::Array(vec![redis_value!("a:1:1"), Value::Int(5), told])).unwrap_err();
        }
        answer(&release(), redis_value!(["a:1:1", 5_i64])).unwrap_err();
    }

    #[test]
    fn a_strange_holder_is_somebody_else() {
        let stranger = Value::Array(vec![Value::BulkString(vec![0xff, b'a']), Value::Int(i64::MAX), Value::Nil]);
        let Ok(LeaseReply::HeldBy { holder, remaining }) = answer(&acquire(), stranger) else { panic!() };
        assert_eq!(holder.as_str(), "\u{fffd}a");
        assert!(remaining.unwrap() > Duration::from_secs(1));
    }

    #[tokio::test]
    async fn what_the_server_refuses_is_said() {
        let refused =
            redis::ServerError::try_from(redis::make_extension_error("WRONGTYPE".into(), Some("Not so".into())));
        let reads = ["EVAL", scripts::READ, "1", "lease"];
        let error = performed(&LeaseCall::Read, &reads, Value::ServerError(refused.unwrap())).await.unwrap_err();
        assert!(error.contains("WRONGTYPE") && error.contains("Not so"), "{error}");
    }

    #[test]
    fn a_ttl_is_at_least_one_millisecond() {
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_micros(2_900)), 2);
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }
}
