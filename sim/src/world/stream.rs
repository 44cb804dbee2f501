//! Byte streams of one life of one host over the simulated network.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use oncegate_coordinator::{BoxFuture, Connect, Listen, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::engine::Engine;
use super::engine::wire::{Door, Wire};
use super::host::Life;
use super::resets::Fate;
use super::{World, address, host_at};

/// A read of at least so many bytes may open the window so far that the peer must be told.
const WINDOW_NEWS: usize = 4 * 1024;

/// A TCP stream that belongs to a life: every poll pins its host, so that tasks spawned by libraries reach the
/// right network stack, and none of them moves while the host stands still or after its life is over.
pub struct LifeStream {
    world: Arc<World>,
    life: Arc<Life>,
    peer: usize,
    fate: Option<Arc<Fate>>,
    /// Whether the process was told that the other end has ended or broken the connection.
    told: bool,
    inner: Option<Wire>,
}

impl LifeStream {
    fn new(world: Arc<World>, life: Arc<Life>, peer: usize, inner: Wire) -> Self {
        let fate = world.resets.watch(life.host.at, peer);
        Self { world, life, peer, fate, told: false, inner: Some(inner) }
    }

    /// The host at the other end.
    pub fn peer(&self) -> usize {
        self.peer
    }

    /// The ports at this end and at the other; none when the connection is gone.
    pub fn ports(&self) -> Option<(u16, u16)> {
        self.life.host.enter();
        self.inner.as_ref()?.ports().ok()
    }

    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut Wire>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if !self.life.poll_running(cx) {
            return Poll::Pending;
        }
        if self.fate.as_ref().is_some_and(|fate| fate.poll(cx)) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        self.life.host.enter();
        let inner = self.inner.as_mut().expect("a stream has its socket until it is dropped");
        poll(Pin::new(inner), cx)
    }
}

impl Drop for LifeStream {
    fn drop(&mut self) {
        self.life.host.enter();
        if let Some((local, peer)) = self.inner.as_ref().and_then(Wire::ends) {
            self.world.net.leave(local, peer);
        }
        self.inner = None;
        self.world.net.poke();
    }
}

impl AsyncRead for LifeStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let mut read = self.poll(cx, |inner, cx| inner.poll_read(cx, buf));
        match &read {
            Poll::Ready(Ok(())) => self.told |= buf.filled().len() == before && buf.remaining() > 0,
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => {
                // Only once: after that a broken connection is an ended one.
                if std::mem::replace(&mut self.told, true) {
                    read = Poll::Ready(Ok(()));
                }
            }
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
        if buf.filled().len() - before >= WINDOW_NEWS {
            self.world.net.poke();
        }
        read
    }
}

impl AsyncWrite for LifeStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut written = self.poll(cx, |inner, cx| inner.poll_write(cx, bytes));
        if let Poll::Ready(Err(error)) = &written
            && error.kind() == io::ErrorKind::ConnectionReset
            && std::mem::replace(&mut self.told, true)
        {
            written = Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if written.is_ready() {
            self.world.net.poke();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |inner, cx| inner.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = self.poll(cx, |inner, cx| inner.poll_shutdown(cx));
        self.world.net.poke();
        shut
    }
}

/// Any future whose polls must reach the right network stack, and only while the host moves.
pub struct OnHost<F> {
    world: Arc<World>,
    life: Arc<Life>,
    inner: Option<Pin<Box<F>>>,
}

impl<F> OnHost<F> {
    /// `inner`, run by `life`.
    pub fn new(world: Arc<World>, life: Arc<Life>, inner: F) -> Self {
        Self { world, life, inner: Some(Box::pin(inner)) }
    }
}

impl<F: Future> Future for OnHost<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if !self.life.poll_running(cx) {
            return Poll::Pending;
        }
        self.life.host.enter();
        self.inner.as_mut().expect("polled until it is dropped").as_mut().poll(cx)
    }
}

impl<F> Drop for OnHost<F> {
    fn drop(&mut self) {
        self.life.host.enter();
        self.inner = None;
        self.world.net.poke();
    }
}

/// The connect port of one life. Peers are `name:port`.
#[derive(Clone)]
pub struct SimConnect {
    /// Where the peers are.
    pub world: Arc<World>,
    /// Who connects.
    pub life: Arc<Life>,
}

impl SimConnect {
    /// A connection to `peer`, as what it is.
    ///
    /// # Errors
    /// The simulated network's, and that there is no such host.
    pub fn open<'a>(&'a self, peer: &'a str) -> BoxFuture<'a, io::Result<LifeStream>> {
        Box::pin(async move {
            let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("no host {peer} in this world"));
            let (name, port) = peer.rsplit_once(':').ok_or_else(unknown)?;
            let host = self.world.host(name).ok_or_else(unknown)?;
            let port: u16 = port.parse().map_err(|_| unknown())?;
            let here = self.life.host.at;
            if self.world.net.refuses(host.at) {
                self.world.net.travel(&self.world, here, host.at).await;
                self.world.net.travel(&self.world, host.at, here).await;
                self.life.running().await;
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let address = SocketAddr::new(address(host.at), port_of_life(&self.world, port, host.lives()));
            let (world, from) = (Arc::clone(&self.world), self.life.host.at);
            let connecting = async move { Wire::connect(&world, from, address).await };
            let mut connecting = OnHost::new(Arc::clone(&self.world), Arc::clone(&self.life), connecting);
            let stream = poll_fn(|cx| {
                let connected = Pin::new(&mut connecting).poll(cx);
                // The first poll sends a packet.
                self.world.net.poke();
                connected
            })
            .await?;
            Ok(LifeStream::new(Arc::clone(&self.world), Arc::clone(&self.life), host.at, stream))
        })
    }
}

impl Connect for SimConnect {
    fn connect<'a>(&'a self, peer: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move { Ok(Box::new(self.open(peer).await?) as Box<dyn Stream>) })
    }
}

/// Where the life of that number listens when it means to listen on `port`. The simulated stack keeps the
/// sockets of a dead process for as long as their peers have not let go, and their port with them; a server
/// that starts anew would set `SO_REUSEADDR`, which that stack does not know. The second engine's frees the port.
fn port_of_life(world: &World, port: u16, life: u64) -> u16 {
    if world.engine() == Engine::Turmoil {
        return port;
    }
    port + u16::try_from(life.saturating_sub(1)).expect("hosts don't live that often")
}

/// A listening socket of one life.
pub struct LifeListener {
    world: Arc<World>,
    life: Arc<Life>,
    inner: Option<Door>,
}

impl LifeListener {
    /// Listens on `port` of the life's host.
    ///
    /// # Errors
    /// The simulated network stack's.
    pub async fn bind(world: Arc<World>, life: Arc<Life>, port: u16) -> io::Result<Self> {
        let port = port_of_life(&world, port, life.number);
        let binding = Door::bind(&world, life.host.at, port);
        let inner = OnHost::new(Arc::clone(&world), Arc::clone(&life), binding).await?;
        Ok(Self { world, life, inner: Some(inner) })
    }

    /// The next connection.
    ///
    /// # Errors
    /// The simulated network stack's.
    pub async fn accept(&self) -> io::Result<LifeStream> {
        let inner = self.inner.as_ref().expect("a listener has its socket until it is dropped");
        let accepting = OnHost::new(Arc::clone(&self.world), Arc::clone(&self.life), inner.accept());
        let stream = accepting.await?;
        let peer = host_at(stream.peer()?).expect("connections are between hosts of this world");
        Ok(LifeStream::new(Arc::clone(&self.world), Arc::clone(&self.life), peer, stream))
    }
}

impl Listen for LifeListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, String)>> {
        Box::pin(async move {
            let stream = Self::accept(self).await?;
            let peer = self.world.hosts()[stream.peer()].name.clone();
            Ok((Box::new(stream) as Box<dyn Stream>, peer))
        })
    }
}

/// Serves whoever connects to `port` of the life's host, all side by side, until the listening socket breaks. How
/// one of them ends is no news to a server.
pub async fn serve_each<F: Future>(world: Arc<World>, life: Arc<Life>, port: u16, serve: impl Fn(LifeStream) -> F) {
    let Ok(listener) = LifeListener::bind(world, life, port).await else { return };
    let mut clients = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            accepted = listener.accept() => {
                let Ok(stream) = accepted else { return };
                clients.push(serve(stream));
            }
            Some(_) = clients.next() => {}
        }
    }
}

impl Drop for LifeListener {
    fn drop(&mut self) {
        self.life.host.enter();
        self.inner = None;
        self.world.net.poke();
    }
}
