//! TLS by rustls: the server's certificate is always verified, against roots that are named.
//!
//! There is no "prefer": what falls back to plain text when somebody in between asks for it protects nobody.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use oncegate_coordinator::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::error::PgError;

/// How a connection is protected.
#[derive(Clone, Default)]
pub enum Tls {
    /// Not at all: for loopback, and for networks that are protected otherwise.
    #[default]
    Off,
    /// TLS, with the server's certificate verified against these roots and the name in `peers`, as libpq's
    /// `verify-full` does it.
    VerifyFull(Arc<ClientConfig>),
}

impl Tls {
    /// TLS with the root certificates in `roots` and, where the server asks for one, a client's certificate chain and
    /// key; all as PEM.
    ///
    /// # Errors
    /// [`PgError::Certificates`].
    pub fn verify_full(roots: &[u8], client: Option<(&[u8], &[u8])>) -> Result<Self, PgError> {
        let refused = |what: &str, why: String| PgError::Certificates(format!("{what}: {why}"));
        let chain = |what: &str, pem: &[u8]| {
            CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|e| refused(what, e.to_string()))
        };
        let mut store = RootCertStore::empty();
        for root in chain("the roots", roots)? {
            store.add(root).map_err(|e| refused("a root", e.to_string()))?;
        }
        if store.is_empty() {
            return Err(refused("the roots", "there is no certificate in the file".into()));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| refused("the protocol versions", e.to_string()))?
            .with_root_certificates(store);
        let config = match client {
            None => config.with_no_client_auth(),
            Some((certificates, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| refused("the client's key", e.to_string()))?;
                config
                    .with_client_auth_cert(chain("the client's certificate", certificates)?, key)
                    .map_err(|e| refused("the client's certificate", e.to_string()))?
            }
        };
        Ok(Self::VerifyFull(Arc::new(config)))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "Off",
            Self::VerifyFull(_) => "VerifyFull",
        })
    }
}

type Handshake = Pin<Box<dyn Future<Output = io::Result<Protected>> + Send>>;

/// Makes the handshake that the library asks for, once the server has agreed to it.
pub(crate) struct Handshaker {
    config: Arc<ClientConfig>,
    host: String,
}

impl Handshaker {
    pub(crate) fn new(config: Arc<ClientConfig>, host: &str) -> Self {
        Self { config, host: host.to_owned() }
    }
}

impl TlsConnect<Wire> for Handshaker {
    type Stream = Protected;
    type Error = io::Error;
    type Future = Handshake;

    fn connect(self, wire: Wire) -> Handshake {
        Box::pin(async move {
            let name = ServerName::try_from(self.host).map_err(io::Error::other)?;
            TlsConnector::from(self.config).connect(name, wire).await.map(Protected)
        })
    }
}

/// A stream of the port, as a type that the library can name.
pub(crate) struct Wire(pub(crate) Box<dyn Stream>);

/// A stream inside TLS.
pub(crate) struct Protected(tokio_rustls::client::TlsStream<Wire>);

impl TlsStream for Protected {
    /// Passwords are proven by SCRAM without it: the certificate was verified.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

macro_rules! streams_like_its_content {
    ($type:ty) => {
        impl AsyncRead for $type {
            fn poll_read(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                Pin::new(&mut self.0).poll_read(cx, buf)
            }
        }

        impl AsyncWrite for $type {
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
    };
}

streams_like_its_content!(Wire);
streams_like_its_content!(Protected);
