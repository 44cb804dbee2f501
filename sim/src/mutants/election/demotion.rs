//! Leadership ends, and the gate or the orders under way are not asked.

use oncegate_protocol::{Machine, NodeConfig, Now};

use crate::mutants::Bug;
use crate::mutants::assembled::{Assembled, Joints};

/// The gate stays open for as long as the lease would have lasted.
pub(crate) struct GateStaysOpen;

impl Bug for GateStaysOpen {
    fn machine(&self, config: NodeConfig, now: Now) -> Box<dyn Machine> {
        Box::new(Assembled::new(config, now, Joints { stays_open: true, ..Joints::default() }))
    }
}

/// Epoch and lease are given back at once, whatever order is under way.
pub(crate) struct DrainSkipped;

impl Bug for DrainSkipped {
    fn machine(&self, config: NodeConfig, now: Now) -> Box<dyn Machine> {
        Box::new(Assembled::new(config, now, Joints { skips_drain: true, ..Joints::default() }))
    }
}
