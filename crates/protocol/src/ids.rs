//! A type of its own for every name and number that could be mistaken for another.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// The configured name of a node, unique among the hosts that share a lease; it survives restarts.
    InstanceId
}
text_id! {
    /// Who holds the lease: `instance:boot-nonce:attempt`, unique per process *and* per acquisition, so that
    /// nobody can renew or release on the strength of a name that an earlier life also bore.
    Holder
}
text_id! {
    /// The id under which an order is placed. The first claim of a leg derives it, the same on any node of the
    /// same configuration, and stores it; from then on the stored one is the order's, whatever would be derived.
    ClientOrderId
}
text_id! {
    /// The broker's own name for an order that it accepted.
    BrokerOrderId
}

impl Holder {
    /// The holder value of one acquisition by one process.
    pub fn of(instance: &InstanceId, boot_nonce: u64, attempt: u64) -> Self {
        Self(format!("{instance}:{boot_nonce:016x}:{attempt}"))
    }

    /// The instance that this holder value names.
    pub fn instance(&self) -> &str {
        self.0.rsplitn(3, ':').last().unwrap_or(&self.0)
    }
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id! {
    /// The authority to act: minted by the store at each acquisition, only ever rising, never reused. Shown
    /// downstream it is the fencing token. Zero means that nobody has ever led.
    Epoch(u64)
}
number_id! {
    /// Which order of a signal: a signal may ask for several legs, and each is placed at most once.
    Leg(u16)
}
number_id! {
    /// One call to a port, unique within a process; a completion that bears another id is stale.
    CallId(u64)
}
number_id! {
    /// One question asked of the node from outside (a signal offered, an operator's order).
    RequestId(u64)
}

impl Epoch {
    /// The epoch that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holder_names_its_instance_even_when_that_has_colons() {
        let holder = Holder::of(&InstanceId::new("dc1:host-a"), 7, 3);
        assert_eq!(holder.as_str(), "dc1:host-a:0000000000000007:3");
        assert_eq!(holder.instance(), "dc1:host-a");
    }
}
