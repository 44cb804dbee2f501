//! What the broker is declared to do is not what it does.

use std::time::Duration;

use oncegate_protocol::{DedupScope, Lookup, NodeConfig};

use crate::mutants::Bug;

/// Every broker is taken to recognise a repeated order.
pub(crate) struct EveryBrokerDeduplicates;

impl Bug for EveryBrokerDeduplicates {
    fn config(&self, config: &mut NodeConfig) {
        config.capabilities.dedup = DedupScope::Forever;
    }
}

/// A refusal is believed without asking whether an earlier send is still under way.
pub(crate) struct RefusalBelieved;

impl Bug for RefusalBelieved {
    fn config(&self, config: &mut NodeConfig) {
        if config.capabilities.dedup == DedupScope::Forever {
            config.capabilities.longest_flight = Duration::ZERO;
        }
    }
}

/// "Not found" is believed at once: the order is given up before it can have been seen.
pub(crate) struct NotFoundBelieved;

impl Bug for NotFoundBelieved {
    fn config(&self, config: &mut NodeConfig) {
        config.capabilities.longest_flight = Duration::ZERO;
        if config.capabilities.lookup != Lookup::None {
            config.capabilities.lookup = Lookup::ByClientOrderId { visible_after: Duration::ZERO };
        }
    }
}
