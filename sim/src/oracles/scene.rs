//! Who leads, seen from outside: whom the store's row names, whom the lease names, and whose process lives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use oncegate_protocol::{Epoch, Leadership};

use crate::world::host::Life;

/// Lease and leadership row as they stand.
#[derive(Default)]
pub struct Scene {
    /// The newest epoch.
    pub epoch: Epoch,
    /// Whom the store names.
    pub store: Option<String>,
    /// Whom the lease names.
    pub lease: Option<String>,
    /// When the lease was last granted to whom it names, or renewed.
    pub renewed: Duration,
    /// Which process asked for the lease under which value.
    pub(super) lives: BTreeMap<String, Arc<Life>>,
}

impl Scene {
    /// A process asks for the lease as `holder`.
    pub fn asks(&mut self, holder: &str, life: &Arc<Life>) {
        self.lives.entry(holder.to_owned()).or_insert_with(|| Arc::clone(life));
    }

    /// The leadership row was written.
    pub fn opened_or_vacated(&mut self, row: &Leadership) {
        self.epoch = row.epoch;
        self.store = row.holder.as_ref().map(|holder| holder.as_str().to_owned());
    }

    /// Who leads: named by lease and store alike, and alive.
    pub fn leader(&self) -> Option<(&str, &Arc<Life>)> {
        let holder = self.lease.as_deref().filter(|lease| self.store.as_deref() == Some(lease))?;
        let life = self.lives.get(holder)?;
        (!life.is_over()).then_some((holder, life))
    }

    /// The process behind a holder value.
    pub fn life(&self, holder: &str) -> Option<&Arc<Life>> {
        self.lives.get(holder)
    }
}
