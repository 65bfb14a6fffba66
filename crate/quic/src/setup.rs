//! QUIC and TLS as libp2p wants them.
//!
//! Source: libp2p specs, `quic/README.md`; `tls/tls.md`, "Handshake Protocol".

use std::sync::Arc;
use std::time::Duration;

use polypeer::Keypair;
use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn_proto::{ClientConfig, Endpoint, EndpointConfig, ServerConfig, TransportConfig, VarInt};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::{self, cipher_suite};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, OtherError, SignatureScheme};

use crate::certificate::{self, CertificateError};

/// What is spoken inside, for TLS.
const ALPN: &[u8] = b"libp2p";

/// What dialers call the listener: they name nobody (tls.md: "MUST NOT send Server Name
/// Indication"), but must give the library a name.
pub const NOBODY: &str = "libp2p";

/// Streams that a remote may have open at a time, as many as with go-libp2p and
/// rust-libp2p: `quinn-proto` makes room for all of them from the start.
pub const MAX_STREAMS: u32 = 256;
/// Bytes of a stream that a remote may send before we have read any.
pub const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
/// As [`STREAM_WINDOW`], of all streams of a connection.
pub const CONNECTION_WINDOW: u32 = 12 * 1024 * 1024;
/// Bytes sent, or to be sent, that the remote has not confirmed.
const SEND_WINDOW: u64 = 12 * 1024 * 1024;
/// A connection of which nothing has been heard for so long is over.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// What a round trip is taken for until one was measured: what is lost at the start, while
/// a hole is punched most often, is sent again after three of them.
const INITIAL_RTT: Duration = Duration::from_millis(100);
/// The longest datagram that is tried; networks that take less are found out.
const MAX_DATAGRAM: u16 = 1452;

/// Why QUIC cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The identity's key cannot sign.
    #[error("the key of this identity cannot sign")]
    Sign,
    /// No certificate can be made.
    #[error("no certificate can be made: {0}")]
    Certificate(String),
    /// TLS refuses its settings.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// QUIC for one identity.
#[derive(Clone, Debug)]
pub struct Setup {
    endpoint: Arc<EndpointConfig>,
    server: Arc<ServerConfig>,
    client: ClientConfig,
}

impl Setup {
    /// With a new certificate for `keypair`.
    pub fn new(keypair: &Keypair) -> Result<Self, SetupError> {
        let (chain, key) = certificate::make(keypair)?;
        let tls = |error: rustls::Error| SetupError::Tls(error.to_string());
        let provider = Arc::new(CryptoProvider {
            // The fastest where processors have AES, which most do, first.
            cipher_suites: vec![
                cipher_suite::TLS13_AES_128_GCM_SHA256,
                cipher_suite::TLS13_AES_256_GCM_SHA384,
                cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            ],
            ..ring::default_provider()
        });
        let verifier = Arc::new(Verifier { provider: provider.clone() });
        let versions = &[&rustls::version::TLS13];

        let mut client = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(tls)?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_client_auth_cert(vec![chain.clone()], key.clone_key())
            .map_err(tls)?;
        client.alpn_protocols = vec![ALPN.to_vec()];
        client.enable_sni = false;
        // Each connection proves anew who is there.
        client.resumption = rustls::client::Resumption::disabled();

        let mut server = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(tls)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![chain], key)
            .map_err(tls)?;
        server.alpn_protocols = vec![ALPN.to_vec()];
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});

        let cipher = |error: quinn_proto::crypto::rustls::NoInitialCipherSuite| {
            SetupError::Tls(error.to_string())
        };
        let transport = Arc::new(transport());
        let client = Arc::new(QuicClientConfig::try_from(client).map_err(cipher)?);
        let mut client = ClientConfig::new(client);
        client.transport_config(transport.clone());
        let server = Arc::new(QuicServerConfig::try_from(server).map_err(cipher)?);
        let mut server = ServerConfig::with_crypto(server);
        server.transport_config(transport);
        // The first bit that is always set tells QUIC from what shares the port.
        let mut endpoint = EndpointConfig::default();
        endpoint.grease_quic_bit(false);
        Ok(Self { endpoint: Arc::new(endpoint), server: Arc::new(server), client })
    }

    /// The state of a socket, which takes remotes up if it is `listening`.
    pub fn endpoint(&self, listening: bool) -> Endpoint {
        let server = listening.then(|| self.server.clone());
        Endpoint::new(self.endpoint.clone(), server, true, None)
    }

    /// How to dial.
    pub fn client(&self) -> ClientConfig {
        self.client.clone()
    }
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport.max_concurrent_bidi_streams(MAX_STREAMS.into());
    transport.max_concurrent_uni_streams(VarInt::from_u32(0));
    transport.datagram_receive_buffer_size(None);
    transport.stream_receive_window(STREAM_WINDOW.into());
    transport.receive_window(CONNECTION_WINDOW.into());
    transport.send_window(SEND_WINDOW);
    transport.max_idle_timeout(Some(VarInt::from_u32(IDLE_TIMEOUT.as_millis() as u32).into()));
    transport.keep_alive_interval(Some(IDLE_TIMEOUT / 2));
    transport.initial_rtt(INITIAL_RTT);
    transport.allow_spin(false);
    let mut discovery = quinn_proto::MtuDiscoveryConfig::default();
    discovery.upper_bound(MAX_DATAGRAM);
    transport.mtu_discovery_config(Some(discovery));
    transport
}

/// Believes whoever proves to be somebody; whether that is whom we dialed is for the
/// core to say.
#[derive(Debug)]
pub(crate) struct Verifier {
    pub(crate) provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let refused = |error: CertificateError| {
            let error = OtherError(Arc::new(error));
            rustls::Error::InvalidCertificate(rustls::CertificateError::Other(error))
        };
        // "Endpoints MUST abort the connection attempt if more than one is received."
        if !chain.is_empty() {
            return Err(refused(CertificateError::Malformed));
        }
        let since_epoch = Duration::from_secs(now.as_secs());
        certificate::verify(certificate, since_epoch).map_err(refused)?;
        Ok(())
    }

    fn verify_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = certificate::key_of(certificate).map_err(|_| {
            rustls::Error::InvalidCertificate(rustls::CertificateError::BadEncoding)
        })?;
        let known = &self.provider.signature_verification_algorithms;
        let key = SubjectPublicKeyInfoDer::from(key);
        verify_tls13_signature_with_raw_key(message, &key, signature, known)
    }

    /// There is no TLS before 1.3 here.
    fn too_old() -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::PeerIncompatible(rustls::PeerIncompatible::Tls13RequiredForQuic))
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What both sides ask of a verifier of certificates, of signatures in the handshake.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Self::too_old()
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            self.verify_signature(message, certificate, signature)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.schemes()
        }
    };
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verify(certificate, chain, now).map(|()| ServerCertVerified::assertion())
    }

    signatures!();
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.verify(certificate, chain, now).map(|()| ClientCertVerified::assertion())
    }

    signatures!();
}
