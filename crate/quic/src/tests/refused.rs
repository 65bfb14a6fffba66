//! Those who do not prove who they are, and who ask for what is not allowed.

use std::sync::Arc;
use std::time::Duration;

use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{ClientConfig, Dir};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::network::{FINE, Network, keypair};
use crate::End;
use crate::certificate::make;
use crate::setup::Verifier;

const MINUTE: Duration = Duration::from_secs(60);

/// A dialer that believes everybody.
fn client(
    shown: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    protocol: &[u8],
) -> ClientConfig {
    let provider = Arc::new(default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { provider }));
    let mut config = match shown {
        Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()))
}

/// Why the listener ends a connection.
fn refused(client: ClientConfig) -> String {
    ended(client, 1)
}

/// Why a connection ends, as the dialer (0) or the listener (1) sees it.
fn ended(client: ClientConfig, side: usize) -> String {
    let mut network = Network::dialing(client, FINE, 1);
    network.run(MINUTE, |network| {
        network.sides[side].has_session() && network.sides[side].session().end().is_some()
    });
    assert_eq!(network.sides[side].session().peer(), None);
    match network.sides[side].session().end() {
        Some(End::Failed(reason)) => reason.clone(),
        end => panic!("{end:?}"),
    }
}

#[test]
fn a_dialer_must_show_a_certificate_of_libp2p() {
    let other = || {
        let key = rcgen::KeyPair::generate().unwrap();
        let plain = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        (plain.into(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    };
    let reason = refused(client(Some(other()), b"libp2p"));
    assert!(reason.contains("certificate"), "{reason}");
    let reason = refused(client(None, b"libp2p"));
    assert!(reason.contains("certificate"), "{reason}");
    // The certificate of another, without its key.
    let (stolen, _) = make(&keypair(3)).unwrap();
    let (_, key) = other();
    let certified = rustls::sign::CertifiedKey::new(
        vec![stolen],
        rustls::crypto::ring::sign::any_supported_type(&key).unwrap(),
    );
    let provider = Arc::new(default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { provider }))
        .with_client_cert_resolver(Arc::new(Always(Arc::new(certified))));
    config.alpn_protocols = vec![b"libp2p".to_vec()];
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()));
    let reason = refused(config);
    assert!(reason.contains("BadSignature"), "{reason}");
}

#[derive(Debug)]
struct Always(Arc<rustls::sign::CertifiedKey>);

impl rustls::client::ResolvesClientCert for Always {
    fn resolve(
        &self,
        _: &[&[u8]],
        _: &[rustls::SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[test]
fn another_protocol_is_not_spoken() {
    let shown = make(&keypair(1)).unwrap();
    let reason = ended(client(Some(shown), b"h3"), 0);
    assert!(reason.contains("known protocol"), "{reason}");
}

#[test]
fn streams_of_one_direction_and_too_many_are_not_to_be_had() {
    let mut network = Network::new(FINE, 1);
    network.connect();
    let connection = network.sides[0].session().quic();
    assert_eq!(connection.streams().open(Dir::Uni), None);
    let opened = std::iter::from_fn(|| connection.streams().open(Dir::Bi)).count();
    assert_eq!(opened, crate::MAX_STREAMS as usize);
}
