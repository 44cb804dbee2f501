//! Two hosts were cloned from one image: both say that they are n1, and their processes bear one nonce.

use oncegate_protocol::{InstanceId, NodeConfig};

use crate::mutants::Bug;

pub(crate) struct Twins;

impl Bug for Twins {
    fn config(&self, config: &mut NodeConfig) {
        if matches!(config.instance.as_str(), "n1" | "n2") {
            config.instance = InstanceId::new("n1");
            config.boot_nonce = 1;
        }
    }
}
