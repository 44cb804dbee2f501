//! Two wrappers around a stream: one that watches the first byte leave, and one that hyper can use.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use hyper::rt::ReadBufCursor;
use oncegate_coordinator::Clock;
use oncegate_protocol::Mono;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What became of the first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum FirstByte {
    /// Nothing was handed over.
    Held = 0,
    /// It was offered at or after `send_before`, and the stream is shut for good: nothing was handed over.
    TooLate = 1,
    /// It was handed over, or a write failed in a way that may have let it out.
    Gone = 2,
}

/// Reads the fate of the first byte, also after the stream was dropped; nothing changes any more then.
#[derive(Clone, Debug)]
pub struct Witness(Arc<AtomicU8>);

impl Witness {
    /// What became of the first byte.
    pub fn first_byte(&self) -> FirstByte {
        match self.0.load(Ordering::Acquire) {
            0 => FirstByte::Held,
            1 => FirstByte::TooLate,
            _ => FirstByte::Gone,
        }
    }

    fn note(&self, fate: FirstByte) {
        self.0.store(fate as u8, Ordering::Release);
    }
}

/// A stream that reads the clock right before its first byte leaves, and never lets it out too late.
///
/// The check sits in the write itself: whatever happens between "connected" and "written" (a slow hand-over,
/// a paused host, a full buffer), no byte leaves on the strength of an older clock reading.
pub struct GuardedStream<S> {
    inner: S,
    clock: Arc<dyn Clock>,
    send_before: Mono,
    witness: Witness,
}

impl<S> GuardedStream<S> {
    /// Guards `inner`, to which nothing was written yet.
    pub fn new(inner: S, clock: Arc<dyn Clock>, send_before: Mono) -> (Self, Witness) {
        let witness = Witness(Arc::new(AtomicU8::new(FirstByte::Held as u8)));
        (Self { inner, clock, send_before, witness: witness.clone() }, witness)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.witness.first_byte() {
            FirstByte::Held if self.clock.now().mono >= self.send_before => {
                self.witness.note(FirstByte::TooLate);
                Poll::Ready(Err(too_late()))
            }
            FirstByte::TooLate => Poll::Ready(Err(too_late())),
            FirstByte::Held | FirstByte::Gone => {
                let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
                // A pending write has taken nothing (that is its contract). A failed one has not either on a
                // plain socket, but a layer between may have sent a part: that is no proof.
                match written {
                    Poll::Pending | Poll::Ready(Ok(0)) => {}
                    Poll::Ready(Ok(_) | Err(_)) => self.witness.note(FirstByte::Gone),
                }
                written
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

fn too_late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the time to send ran out before the first byte")
}

/// How much is read at a time; the copy it costs is nothing beside a round trip to a broker.
const READ_CHUNK: usize = 4 * 1024;

/// A tokio stream as hyper wants it. (The ready-made adapter is a crate of its own and reads into
/// uninitialised memory; this one copies once and needs neither.)
pub struct HyperIo<S>(pub S);

impl<S: AsyncRead + Unpin> hyper::rt::Read for HyperIo<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut chunk = [0; READ_CHUNK];
        let room = buf.remaining().min(READ_CHUNK);
        let mut chunk = ReadBuf::new(&mut chunk[..room]);
        std::task::ready!(Pin::new(&mut self.0).poll_read(cx, &mut chunk))?;
        buf.put_slice(chunk.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> hyper::rt::Write for HyperIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
