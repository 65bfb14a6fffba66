//! How DTLS is set up, and which of the ciphers of both sides is taken.
//!
//! Source: RFC 6347 (DTLS 1.2), RFC 7905 (ChaCha20-Poly1305 in it).

use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use dimpl::Config;
use dimpl::crypto::{CryptoProvider, Dtls12CipherSuite, SupportedDtls12CipherSuite, rust_crypto};

use super::certificate::CertificateError;
use super::hello;

const CHACHA: Dtls12CipherSuite = Dtls12CipherSuite::ECDHE_ECDSA_CHACHA20_POLY1305_SHA256;

/// Bytes of a datagram of the handshake.
const MTU: usize = 1200;
/// Datagrams that wait until they can be read: a handshake has a dozen.
const MAX_EARLY: usize = 32;
/// The wait for the answer to the first datagrams, doubled for each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The cipher that one side would rather have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cipher {
    /// AES-GCM, for which processors have instructions.
    #[default]
    AesGcm,
    /// ChaCha20-Poly1305, where there are no such instructions, as in WebAssembly: it
    /// takes a fifth of the time there.
    ChaCha20Poly1305,
}

/// What a side is set up with, and what a listener is if the dialer offers the cipher
/// that it would rather have: of several the dialer's first is taken otherwise.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) all: Arc<Config>,
    pub(crate) preferred: Option<Arc<Config>>,
}

/// What is set up is tried out, key agreement and all, so it is made once.
static ANY: OnceLock<Arc<Config>> = OnceLock::new();
static CHACHA_FIRST: OnceLock<Arc<Config>> = OnceLock::new();
static CHACHA_ONLY: OnceLock<Arc<Config>> = OnceLock::new();

impl Setup {
    pub(crate) fn new(cipher: Cipher) -> Result<Self, CertificateError> {
        Ok(match cipher {
            Cipher::AesGcm => {
                let all = config(&ANY, rust_crypto::default_provider(), None)?;
                Self { all, preferred: None }
            }
            Cipher::ChaCha20Poly1305 => {
                let all = config(&CHACHA_FIRST, chacha_first(), None)?;
                let preferred = config(&CHACHA_ONLY, chacha_first(), Some(CHACHA))?;
                Self { all, preferred: Some(preferred) }
            }
        })
    }
}

fn config(
    made: &OnceLock<Arc<Config>>,
    provider: CryptoProvider,
    only: Option<Dtls12CipherSuite>,
) -> Result<Arc<Config>, CertificateError> {
    if let Some(config) = made.get() {
        return Ok(Arc::clone(config));
    }
    let mut builder = Config::builder()
        .with_crypto_provider(provider)
        .mtu(MTU)
        .max_queue_rx(MAX_EARLY)
        .flight_start_rto(FIRST_WAIT);
    if let Some(only) = only {
        builder = builder.dtls12_cipher_suites(&[only]);
    }
    let config = builder.build();
    let config = config.map_err(|error| CertificateError::Unusable(error.to_string()))?;
    Ok(Arc::clone(made.get_or_init(|| Arc::new(config))))
}

/// The same ciphers in another order.
fn chacha_first() -> CryptoProvider {
    static ORDER: LazyLock<Vec<&dyn SupportedDtls12CipherSuite>> = LazyLock::new(|| {
        let mut order = rust_crypto::default_provider().cipher_suites.to_vec();
        order.sort_by_key(|suite| suite.suite() != CHACHA);
        order
    });
    let mut provider = rust_crypto::default_provider();
    provider.cipher_suites = &ORDER;
    provider
}

/// Whether a datagram is the beginning of a handshake that offers ChaCha20-Poly1305.
pub(crate) fn offers_chacha(datagram: &[u8]) -> bool {
    hello::offers(datagram, CHACHA.as_u16())
}
