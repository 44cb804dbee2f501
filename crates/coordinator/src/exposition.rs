//! How a node's figures leave the process: one set, shown twice.

/// The figures of one node.
pub trait Exposition: Send + Sync + 'static {
    /// In the text format that Prometheus scrapes (version 0.0.4).
    fn prometheus(&self) -> String;

    /// The same figures as one JSON object.
    fn json(&self) -> serde_json::Value;
}
