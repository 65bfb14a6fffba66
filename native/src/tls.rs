//! TLS under secure WebSocket, by rustls with `ring`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// The application protocol of WebSocket over TLS (RFC 7301).
const HTTP: &[u8] = b"http/1.1";

/// Why certificates or keys are of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The file cannot be read or has no PEM of the expected kind: check path and
    /// permissions.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// The key is not the certificate's, or of a kind that TLS does not use.
    #[error("unusable certificate: {0}")]
    Unusable(#[from] rustls::Error),
}

/// A certificate chain and its key, to listen on secure WebSocket with.
#[derive(Clone, Debug)]
pub struct ServerCertificate(pub(crate) Arc<ServerConfig>);

impl ServerCertificate {
    /// Reads PEM files: a chain, the server's own certificate first, and the key
    /// (PKCS #8, PKCS #1 or SEC 1).
    pub fn from_files(chain: &Path, key: &Path) -> Result<Self, CertificateError> {
        let read = |path: &Path| {
            let path = path.to_owned();
            move |source| CertificateError::Read { path, source }
        };
        let certificates = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(read(key))?;
        Self::new(certificates, key)
    }

    /// A chain and a key from memory.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CertificateError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![HTTP.to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

/// Reads the certificates of a PEM file.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|source| CertificateError::Read { path: path.to_owned(), source })
}

/// The client's side: the system's and the web's roots and `extra` ones. It is made
/// at the first secure dial, for reading the system's roots takes a while.
pub(crate) struct Client {
    extra: Vec<CertificateDer<'static>>,
    config: OnceLock<Result<Arc<ClientConfig>, rustls::Error>>,
}

impl Client {
    pub(crate) fn new(extra: Vec<CertificateDer<'static>>) -> Self {
        Self { extra, config: OnceLock::new() }
    }

    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        self.config.get_or_init(|| make(&self.extra)).clone()
    }
}

fn make(extra: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // A root of the system that cannot be read is one that is not trusted.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in extra {
        roots.add(certificate.clone())?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP.to_vec()];
    Ok(Arc::new(config))
}
