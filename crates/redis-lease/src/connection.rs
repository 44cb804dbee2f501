//! One link to the server, driven by whoever uses it.

use std::future::Future;
use std::pin::{Pin, pin};

use futures_util::FutureExt;
use futures_util::future::{Either, Fuse, FusedFuture, select};
use oncegate_coordinator::ports::{Clock, Connect};
use oncegate_coordinator::timeout::until;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ProtocolVersion, PushInfo, RedisConnectionInfo};
use tokio::sync::mpsc::UnboundedSender;

use crate::lease::RedisLeaseConfig;

/// A connection and the future that moves its bytes. The redis crate means that future to be spawned; here it
/// is polled by the call under way, so that it lives and dies with its owner, and an unused connection costs
/// no wake-ups.
pub(crate) struct Connection {
    handle: MultiplexedConnection,
    bytes: Fuse<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Connection {
    /// Opens a link, with authentication and choice of database where they are configured and without any
    /// other set-up. With `pushes` it speaks RESP3 and sends there what the server says unasked.
    ///
    /// # Errors
    /// What was seen, for people. Dropping it closes the link.
    pub(crate) async fn open(
        config: &RedisLeaseConfig,
        connect: &dyn Connect,
        clock: &dyn Clock,
        pushes: Option<UnboundedSender<PushInfo>>,
    ) -> Result<Self, String> {
        let opening = async {
            let stream = connect.connect(&config.peer).await.map_err(|error| format!("not connected: {error}"))?;
            let mut info = RedisConnectionInfo::default().set_db(config.db).set_skip_set_lib_name();
            if let Some(username) = &config.username {
                info = info.set_username(username);
            }
            if let Some(password) = &config.password {
                info = info.set_password(password);
            }
            // The crate's own timeouts would run on the runtime's clock, past the Clock port.
            let mut options = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
            if let Some(pushes) = pushes {
                info = info.set_protocol(ProtocolVersion::RESP3);
                options = options.set_push_sender(pushes);
            }
            let (handle, bytes) = MultiplexedConnection::new_with_config(&info, stream, options)
                .await
                .map_err(|error| format!("not set up: {error}"))?;
            let bytes: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(bytes);
            Ok(Self { handle, bytes: bytes.fuse() })
        };
        let deadline = clock.now().mono.plus(config.connect_timeout);
        match until(clock, deadline, opening).await {
            Some(opened) => opened,
            None => Err(format!("not connected within {:?}", config.connect_timeout)),
        }
    }

    /// Whether the link was still up when last seen; looks once more, without waiting.
    pub(crate) fn is_open(&mut self) -> bool {
        (&mut self.bytes).now_or_never().is_none() && !self.bytes.is_terminated()
    }

    /// Runs `call` on this link. Dropped halfway the link is out of step and must not be used again.
    pub(crate) async fn run<'a, T, F>(&'a mut self, call: impl FnOnce(&'a mut MultiplexedConnection) -> F) -> T
    where
        F: Future<Output = T>,
    {
        match select(pin!(call(&mut self.handle)), &mut self.bytes).await {
            Either::Left((output, _)) => output,
            // The link is down, and with it went the sender of any reply: the call ends without waiting.
            Either::Right(((), call)) => call.await,
        }
    }

    /// Moves bytes until the link is down.
    pub(crate) async fn run_until_closed(&mut self) {
        (&mut self.bytes).await;
    }
}
