//! The sockets of whichever engine moves the world.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use turmoil_net::shim::tokio::net as jumping;

use super::Engine;
use crate::world::{World, address, host_at, locked};

/// A TCP stream.
pub(in crate::world) enum Wire {
    /// Of `turmoil-net`.
    Jumping(jumping::TcpStream),
    /// Of `turmoil`.
    Turmoil(turmoil::net::TcpStream),
}

impl Wire {
    /// A connection to `peer`, asked for by the host at `from`.
    pub(in crate::world) async fn connect(world: &World, from: usize, peer: SocketAddr) -> io::Result<Self> {
        match world.engine() {
            Engine::Jumping => jumping::TcpStream::connect(peer).await.map(Self::Jumping),
            Engine::Turmoil => {
                let connected = turmoil::net::TcpStream::connect(peer).await;
                // There, a SYN is answered, or refused, without a packet: that answer takes its way here.
                let to = host_at(peer.ip()).expect("peers are hosts of this world");
                world.net.travel(world, to, from).await;
                connected.map(Self::Turmoil)
            }
        }
    }

    /// Both ends, where the world's own network keeps them.
    pub(in crate::world) fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        match self {
            Self::Jumping(stream) => stream.local_addr().ok().zip(stream.peer_addr().ok()),
            Self::Turmoil(_) => None,
        }
    }

    /// The ports at this end and at the other.
    pub(in crate::world) fn ports(&self) -> io::Result<(u16, u16)> {
        let (here, there) = match self {
            Self::Jumping(stream) => (stream.local_addr()?, stream.peer_addr()?),
            Self::Turmoil(stream) => (stream.local_addr()?, stream.peer_addr()?),
        };
        Ok((here.port(), there.port()))
    }

    /// The address at the other end.
    pub(in crate::world) fn peer(&self) -> io::Result<IpAddr> {
        match self {
            Self::Jumping(stream) => stream.peer_addr(),
            Self::Turmoil(stream) => stream.peer_addr(),
        }
        .map(|address| address.ip())
    }
}

macro_rules! either {
    ($wire:expr, $stream:ident => $poll:expr) => {
        match $wire.get_mut() {
            Wire::Jumping($stream) => $poll,
            Wire::Turmoil($stream) => $poll,
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

/// A listening socket.
pub(in crate::world) enum Door {
    /// Of `turmoil-net`.
    Jumping(jumping::TcpListener),
    /// Of `turmoil`: connections that its kernel has taken and the process has not.
    Turmoil {
        /// In order of arrival.
        backlog: Mutex<mpsc::UnboundedReceiver<turmoil::net::TcpStream>>,
        /// The kernel's part.
        kernel: tokio::task::JoinHandle<()>,
    },
}

impl Door {
    /// Listens on `port` of the host at `at`, which is the one that runs this.
    pub(in crate::world) async fn bind(world: &World, at: usize, port: u16) -> io::Result<Self> {
        match world.engine() {
            Engine::Jumping => jumping::TcpListener::bind(SocketAddr::new(address(at), port)).await.map(Self::Jumping),
            Engine::Turmoil => {
                let listener = turmoil::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
                let (taken, backlog) = mpsc::unbounded_channel();
                // A kernel completes handshakes while the process stands still; there, `accept` does.
                let kernel = tokio::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        if taken.send(stream).is_err() {
                            return;
                        }
                    }
                });
                Ok(Self::Turmoil { backlog: Mutex::new(backlog), kernel })
            }
        }
    }

    /// The next connection.
    pub(in crate::world) async fn accept(&self) -> io::Result<Wire> {
        match self {
            Self::Jumping(listener) => listener.accept().await.map(|(stream, _)| Wire::Jumping(stream)),
            Self::Turmoil { backlog, .. } => {
                let stream = poll_fn(|cx| locked(backlog).poll_recv(cx)).await;
                stream.map(Wire::Turmoil).ok_or_else(|| io::ErrorKind::NotConnected.into())
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Self::Turmoil { kernel, .. } = self {
            kernel.abort();
        }
    }
}
