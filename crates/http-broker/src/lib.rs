//! The broker port over HTTP: orders go out, and only what is proven comes back as known.
//!
//! This crate must never call something known that is not: a broken connection, a time-out or an odd answer
//! after the first byte is unknown, and "not sent" is said only when the stream itself saw no byte leave.
//!
//! Reading order: [`wire`] is the language between client and broker, [`answer`] turns an HTTP answer into
//! what is known, [`stream`] watches the first byte leave, [`client`] is the port itself. On the other side,
//! [`server`] speaks the same language for whoever plays the broker, and [`paper`] plays a friendly one.

pub mod answer;
pub mod client;
pub mod config;
pub mod paper;
pub mod server;
pub mod stream;
pub mod wire;

pub use client::HttpBroker;
pub use config::{ConfigError, HttpBrokerConfig, Secret};
pub use paper::{PaperBroker, PaperKind, PaperOrder, serve_paper};
pub use server::{Ask, Reply, serve};
pub use wire::{OrderAnswer, OrderRequest};
