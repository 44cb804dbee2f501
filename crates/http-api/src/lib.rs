//! The HTTP API of one node: signals in, state out, operators' words.
//!
//! What it must never do: answer 2xx to a signal that is not durable; decide anything about leadership or orders (it
//! asks the loop through [`oncegate_coordinator::Handle`] and shows what the ledger says); show or log a secret; read
//! a clock, open a socket or start a task but through the ports, so that it runs in simulation as it is.
//!
//! ```text
//!   Listen ─► serve: limits, time-outs ─► router: who asks, how often, may they ─► routes ─► Handle, Ledger, Overview
//! ```
//!
//! Reading order: [`config`] is what can be set, [`auth`] who asks, [`webhook`] senders that can't set headers,
//! [`rate`] how often, [`health`] what probes are told; `wire` are the JSON shapes and [`error`] the one of refusals;
//! `routes` answers, one file a subject; [`router`] joins them; [`server`] and `pace` run connections, [`tls`] secures
//! them.

mod answer;
pub mod auth;
mod body;
pub mod config;
pub mod error;
mod guard;
pub mod health;
mod pace;
mod page;
pub mod picture;
mod place;
pub mod rate;
pub mod router;
mod routes;
pub mod server;
mod shared;
pub mod tls;
pub mod webhook;
pub mod wire;
pub mod work_shapes;

use std::sync::Arc;

use oncegate_coordinator::overview::Overview;
use oncegate_coordinator::{Clock, Exposition, Handle, Ledger};
use oncegate_engine_desk::EngineDesk;
use tokio::sync::watch;

pub use auth::{Role, Token};
pub use config::{ApiConfig, ConfigError, Limits};
pub use health::{Health, alive};
pub use rate::Rate;
pub use router::openapi;
pub use server::{serve, serve_until};
pub use tls::TlsListen;
pub use webhook::{Check, Webhook};

/// The dashboard, as it comes with this crate.
pub const PAGE: &str = include_str!("page/index.html");

/// All that the routes stand on.
#[derive(Clone)]
pub struct Api {
    /// The name of this node.
    pub instance: String,
    /// Of the program.
    pub version: &'static str,
    /// The loop.
    pub handle: Handle,
    /// Both clocks.
    pub clock: Arc<dyn Clock>,
    /// The store, as people read it.
    pub ledger: Arc<dyn Ledger>,
    /// This node's picture of the cluster; only ever borrowed, so that nobody is woken in an order drawn at random.
    pub overview: watch::Receiver<Arc<Overview>>,
    /// The figures.
    pub figures: Arc<dyn Exposition>,
    /// Where engines in other languages take their work; none when this node places orders itself.
    pub desk: Option<EngineDesk>,
    /// Who may do what, and how much of it.
    pub config: ApiConfig,
    /// What probes are told of this process.
    pub health: Arc<Health>,
    /// What `GET /` shows: [`PAGE`], or another self-contained page.
    pub page: &'static str,
}
