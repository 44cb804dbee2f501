//! The other nodes, as one node asks them how they are. Nothing is decided on what they say but what to show.

use oncegate_protocol::{PortError, Wall};

use crate::ports::BoxFuture;

/// Asks the other nodes of the cluster.
pub trait Peers: Send + Sync + 'static {
    /// Where each is asked; constant.
    fn urls(&self) -> &[String];

    /// Asks the peer at `urls()[peer]`. The caller bounds it; dropping it leaves nothing.
    fn ask(&self, peer: usize) -> BoxFuture<'_, Result<PeerAnswer, PortError>>;
}

/// What a peer says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerAnswer {
    /// Its name.
    pub instance: String,
    /// Its gate is open.
    pub is_leader: bool,
    /// Its wall clock's distance from this node's: [`clock_offset_ms`].
    pub clock_offset_ms: Option<i64>,
}

/// No peers: one node alone, or none that may be asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPeers;

impl Peers for NoPeers {
    fn urls(&self) -> &[String] {
        &[]
    }

    fn ask(&self, peer: usize) -> BoxFuture<'_, Result<PeerAnswer, PortError>> {
        Box::pin(async move { Err(PortError(format!("there is no peer {peer}"))) })
    }
}

/// By how many milliseconds a peer's wall clock is ahead of this node's, as far as that is sure.
///
/// The peer read its clock at some moment between `asked` and `answered`, both by this node's clock, and told `read`,
/// cut down to a multiple of `grain_ms` (1,000 for an HTTP `Date`, 1 for milliseconds). The offset lies in
/// `[read - answered, read + grain - asked]`; of that range this is the value closest to zero.
pub fn clock_offset_ms(asked: Wall, answered: Wall, read: Wall, grain_ms: u32) -> i64 {
    let least = read.as_millis().saturating_sub(answered.as_millis());
    let most = read.as_millis().saturating_add(i64::from(grain_ms) - 1).saturating_sub(asked.as_millis());
    // A clock that was stepped meanwhile makes the range empty; then nothing is sure.
    if least > most { 0 } else { 0.clamp(least, most) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_offset_is_never_overstated_and_tells_all_but_the_way_and_the_grain(
            offset in -100_000_i64..100_000,
            asked in 1_000_000_i64..2_000_000,
            there in 0_i64..2_000,
            back in 0_i64..2_000,
            grain in prop::sample::select(vec![1_u32, 1_000]),
        ) {
            let exact = asked + there + offset;
            let read = exact - exact.rem_euclid(i64::from(grain));
            let told = clock_offset_ms(
                Wall::from_millis(asked), Wall::from_millis(asked + there + back), Wall::from_millis(read), grain,
            );
            prop_assert!(told.abs() <= offset.abs(), "{told} for {offset}");
            prop_assert!(told == 0 || told.signum() == offset.signum());
            prop_assert!((offset - told).abs() <= there + back + i64::from(grain), "{told} for {offset}");
        }
    }
}
