//! What Redis is asked to run. Each script is atomic, works on the lease at `KEYS[1]` and answers who holds it now
//! (nil: nobody) and its `PTTL`. `KEYS[2]` keeps the highest epoch that was told, and never expires.
//!
//! They use nothing beyond Redis 7.0 and are sent whole. Simulated servers recognise them by their exact
//! text, so a changed script is refused there until its model follows.

/// Takes the lease for `ARGV[1]` for `ARGV[2]` milliseconds if nobody has it, and extends it if `ARGV[1]`
/// already does: then the reply to an earlier acquisition was lost. Answers also the highest epoch that was told.
///
/// An expiry is an absolute wall-clock time, so a server's clock that steps back would keep a dead leader's lease
/// alive for as long as it stepped. Nobody's lease is meant to outlast the ttl from now: it is cut to that. All
/// who contend must use the same ttl; then this never cuts into what a holder may trust, which ends within one
/// ttl of a send that lies behind it. (`scenarios/redis-clock-steps-far-back.toml`)
pub const ACQUIRE: &str = "\
local holder = redis.call('GET', KEYS[1])
if not holder then
  holder = ARGV[1]
  redis.call('SET', KEYS[1], holder, 'PX', ARGV[2])
elseif holder == ARGV[1] or redis.call('PTTL', KEYS[1]) > tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return {holder, redis.call('PTTL', KEYS[1]), redis.call('GET', KEYS[2])}";

/// Extends the lease to `ARGV[2]` milliseconds from now if `ARGV[1]` has it, and then raises the epoch to `ARGV[3]`.
pub const RENEW: &str = "\
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  if tonumber(ARGV[3]) > (tonumber(redis.call('GET', KEYS[2]) or 0) or 0) then
    redis.call('SET', KEYS[2], ARGV[3])
  end
end
return {holder, redis.call('PTTL', KEYS[1])}";

/// Deletes the lease if `ARGV[1]` has it, and says so on channel `ARGV[2]`.
pub const RELEASE: &str = "\
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('PUBLISH', ARGV[2], holder)
  holder = false
end
return {holder, redis.call('PTTL', KEYS[1])}";

/// Changes nothing; a script so that holder and time left belong together.
pub const READ: &str = "\
return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}";

/// The channel on which the release of the lease at `key` is announced.
pub fn released_channel(key: &str) -> String {
    format!("{key}:released")
}

/// Where the highest epoch is kept that a holder of the lease at `key` told of.
pub fn epoch_key(key: &str) -> String {
    format!("{key}:epoch")
}
