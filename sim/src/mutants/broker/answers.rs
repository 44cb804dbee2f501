//! Silence and errors are taken for answers. Each tells by the words in which the production adapter says what
//! it has seen.

use std::sync::Arc;

use oncegate_coordinator::{Broker, Clock};
use oncegate_protocol::{BrokerOrderId, Outcome};

use crate::mutants::Bug;
use crate::mutants::ports::outcomes_read;

/// An answer of the 5xx kind means that the order was not placed.
pub(crate) struct ServerErrorIsNotSent;

impl Bug for ServerErrorIsNotSent {
    fn broker(&self, inner: Arc<dyn Broker>, _clock: &Arc<dyn Clock>) -> Arc<dyn Broker> {
        outcomes_read(inner, |outcome| match outcome {
            Outcome::Unknown(seen) if seen.starts_with("the answer 5") => Outcome::NotSent(seen),
            outcome => outcome,
        })
    }
}

/// A connection that broke means that the order was not placed.
pub(crate) struct BrokenIsNotSent;

impl Bug for BrokenIsNotSent {
    fn broker(&self, inner: Arc<dyn Broker>, _clock: &Arc<dyn Clock>) -> Arc<dyn Broker> {
        outcomes_read(inner, |outcome| match outcome {
            Outcome::Unknown(seen) if seen.contains("then lost the answer") => Outcome::NotSent(seen),
            outcome => outcome,
        })
    }
}

/// No answer in time means that the order was refused.
pub(crate) struct SilenceIsRefusal;

impl Bug for SilenceIsRefusal {
    fn broker(&self, inner: Arc<dyn Broker>, _clock: &Arc<dyn Clock>) -> Arc<dyn Broker> {
        outcomes_read(inner, |outcome| match outcome {
            Outcome::Unknown(seen) if seen.contains("did not answer") => Outcome::Rejected(seen),
            outcome => outcome,
        })
    }
}

/// What has left the house has arrived.
pub(crate) struct SentIsAccepted;

impl Bug for SentIsAccepted {
    fn broker(&self, inner: Arc<dyn Broker>, _clock: &Arc<dyn Clock>) -> Arc<dyn Broker> {
        outcomes_read(inner, |outcome| match outcome {
            Outcome::Unknown(_) => Outcome::Accepted(BrokerOrderId::new("surely")),
            outcome => outcome,
        })
    }
}
