//! The deadline of a signal is stored, sent on, and never read.

use std::sync::Arc;

use oncegate_coordinator::{Clock, SignalStore};
use oncegate_protocol::StoreReply;

use crate::mutants::Bug;
use crate::mutants::ports::store_with;

pub(crate) struct DeadlineIgnored;

impl Bug for DeadlineIgnored {
    fn store(&self, inner: Arc<dyn SignalStore>, _clock: &Arc<dyn Clock>) -> Arc<dyn SignalStore> {
        store_with(inner, |store, call| {
            Box::pin(async move {
                let mut reply = store.call(call).await?;
                match &mut reply {
                    StoreReply::Pending { records, .. } => {
                        records.iter_mut().for_each(|record| record.expires_at = None)
                    }
                    StoreReply::Signal(Some(record)) | StoreReply::NotClaimed(Some(record)) => record.expires_at = None,
                    _ => {}
                }
                Ok(reply)
            })
        })
    }
}
