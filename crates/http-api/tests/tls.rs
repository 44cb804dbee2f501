//! TLS in front of the API, with a certificate made on the spot.

#![allow(clippy::unwrap_used)] // Clippy knows tests by their attribute, and helpers bear none.

mod kit;

use std::sync::Arc;

use kit::{Answer, request};
use oncegate_coordinator::{Listen, TcpListen};
use oncegate_http_api::TlsListen;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

fn certificate() -> (String, String, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem(), made.cert.der().clone())
}

fn trusting(certificate: CertificateDer<'static>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    TlsConnector::from(Arc::new(config.with_no_client_auth()))
}

async fn get(address: &str, connector: &TlsConnector) -> std::io::Result<Answer> {
    let stream = kit::connect(address).await;
    let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
    stream.write_all(&request("GET", "/livez", &[], b"")).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(Answer::read(&answer).unwrap())
}

#[tokio::test]
async fn the_api_speaks_tls_and_a_silent_peer_holds_up_no_handshake() {
    let (chain, key, trusted) = certificate();
    let tcp = TcpListen::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_address().unwrap().to_string();
    let listen = Arc::new(TlsListen::new(Arc::new(tcp), chain.as_bytes(), key.as_bytes()).unwrap());
    let node = kit::Plan::default().start_on(Arc::clone(&listen) as Arc<dyn Listen>, address.clone()).await;
    let _silent = kit::connect(&node.address).await;
    let connector = trusting(trusted);
    assert_eq!(get(&address, &connector).await.unwrap().status, 200);
    // Whoever does not speak TLS is not answered in the clear.
    let clear = kit::exchange(&address, &request("GET", "/livez", &[], b"")).await;
    assert!(!clear.starts_with(b"HTTP"), "{clear:?}");

    let (chain, key, trusted) = certificate();
    listen.replace(chain.as_bytes(), key.as_bytes()).unwrap();
    assert!(get(&address, &connector).await.is_err(), "the old certificate is not shown any more");
    assert_eq!(get(&address, &trusting(trusted)).await.unwrap().status, 200);
}

#[tokio::test]
async fn what_is_no_certificate_is_refused_with_what_is_wrong() {
    let (chain, key, _) = certificate();
    let (_, other_key, _) = certificate();
    for (chain, key, wrong) in [
        ("", &*key, "no certificate"),
        (&*chain, "", "private key"),
        ("-----BEGIN CERTIFICATE-----\nAA\n", &key, "certificate chain"),
        (&chain, &other_key, "can't be used"),
    ] {
        let tcp = Arc::new(TcpListen::bind("127.0.0.1:0").await.unwrap());
        let error = TlsListen::new(tcp, chain.as_bytes(), key.as_bytes()).err().unwrap().to_string();
        assert!(error.contains(wrong), "{error}");
    }
}
