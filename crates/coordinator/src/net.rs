//! The real network.

use std::io;

use crate::ports::{BoxFuture, Connect, Listen, Stream};

/// TCP of the operating system, without Nagle's delay.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpConnect;

impl Connect for TcpConnect {
    #[allow(clippy::disallowed_methods)] // This is the port.
    fn connect<'a>(&'a self, peer: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream = tokio::net::TcpStream::connect(peer).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

/// A listening TCP socket of the operating system.
#[derive(Debug)]
pub struct TcpListen(tokio::net::TcpListener);

impl TcpListen {
    /// Listens at `address`, written `host:port`; port 0 takes a free one.
    ///
    /// # Errors
    /// The operating system's: in use, not allowed, not an address of this host.
    #[allow(clippy::disallowed_methods)] // This is the port.
    pub async fn bind(address: &str) -> io::Result<Self> {
        Ok(Self(tokio::net::TcpListener::bind(address).await?))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The operating system's; none is known.
    pub fn local_address(&self) -> io::Result<std::net::SocketAddr> {
        self.0.local_addr()
    }
}

impl Listen for TcpListen {
    fn accept(&self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, String)>> {
        Box::pin(async move {
            let (stream, peer) = self.0.accept().await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as Box<dyn Stream>, peer.to_string()))
        })
    }
}
