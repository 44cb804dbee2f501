//! TLS in front of any `Listen`: rustls, with the server's certificate chain and key.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use oncegate_coordinator::{BoxFuture, Listen, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

/// Why a certificate can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The chain can't be read.
    #[error("the certificate chain can't be read as PEM: {0}")]
    Chain(String),
    /// There is none in it.
    #[error("there is no certificate in the chain: it must begin with this server's, in PEM")]
    NoCertificate,
    /// The key can't be read.
    #[error("the private key can't be read as PEM (PKCS#8, PKCS#1 or SEC1, without a passphrase): {0}")]
    Key(String),
    /// The two do not go together, or rustls does not take them.
    #[error("certificate and key can't be used: {0}")]
    Unusable(tokio_rustls::rustls::Error),
}

/// Takes streams from another port, and speaks TLS on each. A handshake goes on when the stream is first read or
/// written, under the time-outs of whoever does that: it never holds up the next peer.
pub struct TlsListen {
    inner: Arc<dyn Listen>,
    acceptor: Mutex<TlsAcceptor>,
}

impl TlsListen {
    /// TLS 1.2 and 1.3 over `inner`, with `chain` (PEM, this server's certificate first) and `key` (PEM).
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn new(inner: Arc<dyn Listen>, chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Ok(Self { inner, acceptor: Mutex::new(acceptor(chain, key)?) })
    }

    /// From now on with another certificate; connections that are there keep the one that they have.
    ///
    /// # Errors
    /// [`TlsError`]; then the present one stays.
    pub fn replace(&self, chain: &[u8], key: &[u8]) -> Result<(), TlsError> {
        let next = acceptor(chain, key)?;
        *self.acceptor.lock().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }
}

fn acceptor(chain: &[u8], key: &[u8]) -> Result<TlsAcceptor, TlsError> {
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| TlsError::Chain(error.to_string()))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Key(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(TlsError::Unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl Listen for TlsListen {
    fn accept(&self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, String)>> {
        Box::pin(async move {
            let (stream, peer) = self.inner.accept().await?;
            let acceptor = self.acceptor.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let secured = Secured::Greeting(Box::new(acceptor.accept(stream)));
            Ok((Box::new(secured) as Box<dyn Stream>, peer))
        })
    }
}

type Tls = TlsStream<Box<dyn Stream>>;

/// A stream that speaks TLS, from the handshake on.
enum Secured {
    Greeting(Box<Accept<Box<dyn Stream>>>),
    Open(Box<Tls>),
    Broken,
}

impl Secured {
    /// The stream behind the handshake, once that is done.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Pin<&mut Tls>>> {
        if let Self::Greeting(greeting) = self {
            *self = match ready!(Pin::new(&mut **greeting).poll(cx)) {
                Ok(stream) => Self::Open(Box::new(stream)),
                Err(error) => {
                    *self = Self::Broken;
                    return Poll::Ready(Err(error));
                }
            };
        }
        match self {
            Self::Open(stream) => Poll::Ready(Ok(Pin::new(&mut **stream))),
            Self::Greeting(_) | Self::Broken => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncRead for Secured {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            // Nothing was written yet: the handshake flushes itself.
            Self::Greeting(_) | Self::Broken => Poll::Ready(Ok(())),
            Self::Open(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Greeting(_) | Self::Broken => Poll::Ready(Ok(())),
            Self::Open(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}
