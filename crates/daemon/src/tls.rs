//! Encrypted connections to servers: [`Connect`] with TLS in it, by rustls.

use std::io;
use std::path::Path;
use std::sync::Arc;

use oncegate_coordinator::{BoxFuture, Connect, Stream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// Connects, and shakes hands before the stream is handed out; the server's name is the host that is connected to.
pub struct TlsConnect {
    inner: Arc<dyn Connect>,
    connector: TlsConnector,
}

impl TlsConnect {
    /// Over `inner`. It trusts whom the PEM file at `ca_file` names, and only them; without it, whom this host trusts.
    ///
    /// # Errors
    /// What is wrong with the file, or that this host trusts nobody.
    pub fn new(inner: Arc<dyn Connect>, ca_file: Option<&Path>) -> Result<Self, String> {
        Ok(Self { inner, connector: TlsConnector::from(client_config(ca_file)?) })
    }
}

/// What a client is told: TLS 1.2 and 1.3, the server's certificate and name checked, against whom `ca_file` names or,
/// without it, whom this host trusts.
///
/// # Errors
/// What is wrong with the file, or that this host trusts nobody.
pub fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let roots = match ca_file {
        Some(file) => roots_in(file)?,
        None => roots_of_this_host()?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn roots_in(file: &Path) -> Result<RootCertStore, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("{} can't be read: {error}", file.display());
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        roots.add(certificate).map_err(|error| unreadable(&error))?;
    }
    if roots.is_empty() {
        Err(format!("{} has no certificate in it", file.display()))
    } else {
        Ok(roots)
    }
}

fn roots_of_this_host() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err("this host has no certificates to trust: install ca-certificates, or write ca_file".into());
    }
    Ok(roots)
}

impl Connect for TlsConnect {
    fn connect<'a>(&'a self, peer: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let host = peer.rsplit_once(':').map_or(peer, |(host, _)| host).trim_matches(['[', ']']);
            let name = ServerName::try_from(host.to_owned())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, format!("{host:?}: {error}")))?;
            let stream = self.inner.connect(peer).await?;
            let stream = self.connector.connect(name, stream).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}
