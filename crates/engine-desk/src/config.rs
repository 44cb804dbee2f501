//! What a desk is told once.

use std::time::Duration;

use oncegate_protocol::{Capabilities, Timing};

/// How a desk behaves; every time is on the clock port.
#[derive(Clone, PartialEq, Debug)]
pub struct DeskConfig {
    /// What the engine's broker declares; recovery follows it and believes nothing else.
    pub capabilities: Capabilities,
    /// Names the works of this process, so that none of an earlier life is mistaken for one of this: the node's.
    pub boot_nonce: u64,
    /// The longest an engine may take over a look-up, waiting for one included.
    pub look_up_timeout: Duration,
    /// The longest a call to the store may take.
    pub store_timeout: Duration,
    /// For how long work that was handed out waits for its begin before others are offered it too: the answer that
    /// brought it may be lost.
    pub hold: Duration,
    /// For how long an engine that was heard of, and does not ask for work now, counts as being there.
    pub grace: Duration,
}

impl DeskConfig {
    /// The configuration that goes with a node's times. An engine counts as being there while it may be busy with
    /// one order.
    pub fn new(capabilities: Capabilities, boot_nonce: u64, timing: &Timing) -> Self {
        Self {
            capabilities,
            boot_nonce,
            look_up_timeout: timing.broker_timeout,
            store_timeout: timing.store_timeout,
            hold: timing.broker_timeout / 8,
            grace: timing.broker_timeout * 2,
        }
    }
}
