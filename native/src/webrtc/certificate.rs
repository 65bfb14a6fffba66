//! The certificate that a listener shows and its addresses name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dimpl::DtlsCertificate;
use ring::digest;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::keys;

/// The longest file that is read, in bytes: ours have 800.
const MAX_FILE: u64 = 64 * 1024;

/// The start of a SHA2-256 multihash: its code and its length.
const SHA2_256: [u8; 2] = [0x12, 0x20];

/// A multihash of SHA2-256.
pub(crate) type Multihash = [u8; 34];

/// Why there is no certificate for WebRTC.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebRtcCertificateError {
    /// A file is there that holds no certificate with its key. If it is removed a
    /// new one is made, and with it the addresses of this peer change.
    #[error("{} does not hold a certificate and its key: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system refuses.
    #[error("cannot access {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(String),
}

/// A self-signed certificate for WebRTC direct. Dialers know it by its hash, which
/// is part of the addresses: a listener that keeps its certificate keeps these.
#[derive(Clone)]
pub struct WebRtcCertificate {
    dtls: DtlsCertificate,
}

impl std::fmt::Debug for WebRtcCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("WebRtcCertificate").field(&self.certhash()).finish()
    }
}

impl WebRtcCertificate {
    /// A new one, with a key on P-256, which all browsers know.
    ///
    /// # Errors
    ///
    /// [`WebRtcCertificateError::Make`] if the system has no randomness.
    pub fn generate() -> Result<Self, WebRtcCertificateError> {
        let (certificate, key) = make()?;
        let dtls = DtlsCertificate {
            certificate: certificate.der().to_vec(),
            private_key: key.serialize_der(),
        };
        Ok(Self { dtls })
    }

    /// The one in the PEM file at `path`; it is made if there is no such file, for
    /// its owner's eyes alone.
    pub fn load_or_create(path: &Path) -> Result<Self, WebRtcCertificateError> {
        let failed = |source| WebRtcCertificateError::Io { path: path.to_owned(), source };
        match fs::metadata(path) {
            Ok(metadata) if metadata.len() <= MAX_FILE => return Self::load(path),
            Ok(_) => {
                let reason = "it is too long".into();
                return Err(WebRtcCertificateError::Malformed { path: path.to_owned(), reason });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let (certificate, key) = make()?;
        let pem = Zeroizing::new(certificate.pem() + &key.serialize_pem());
        match keys::create(path, pem.as_bytes()) {
            // Another process was faster: its certificate is ours too.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(error)),
            _ => Self::load(path),
        }
    }

    fn load(path: &Path) -> Result<Self, WebRtcCertificateError> {
        let failed = |source| WebRtcCertificateError::Io { path: path.to_owned(), source };
        let pem = Zeroizing::new(fs::read(path).map_err(failed)?);
        let malformed = |reason: String| {
            let path = path.to_owned();
            WebRtcCertificateError::Malformed { path, reason }
        };
        let certificate = CertificateDer::from_pem_slice(&pem);
        let certificate = certificate.map_err(|error| malformed(error.to_string()))?.to_vec();
        let key = PrivateKeyDer::from_pem_slice(&pem);
        let key = key.map_err(|error| malformed(error.to_string()))?;
        let pair = rcgen::KeyPair::try_from(&key).map_err(|error| malformed(error.to_string()))?;
        if !pair.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256) {
            return Err(malformed("its key is not on P-256".into()));
        }
        let private_key = key.secret_der().to_vec();
        Ok(Self { dtls: DtlsCertificate { certificate, private_key } })
    }

    /// What `/certhash` says in addresses: the multihash (SHA2-256) of the
    /// certificate.
    pub fn certhash(&self) -> [u8; 34] {
        multihash(&self.dtls.certificate)
    }

    pub(crate) fn dtls(&self) -> DtlsCertificate {
        self.dtls.clone()
    }
}

fn make() -> Result<(rcgen::Certificate, rcgen::KeyPair), WebRtcCertificateError> {
    let failed = |error: rcgen::Error| WebRtcCertificateError::Make(error.to_string());
    let key = rcgen::KeyPair::generate().map_err(failed)?;
    // It says nothing of whose it is, and does not expire.
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "WebRTC");
    Ok((params.self_signed(&key).map_err(failed)?, key))
}

/// The multihash of a certificate in DER.
pub(crate) fn multihash(certificate: &[u8]) -> Multihash {
    let mut hash = [0; 34];
    let (code, digest) = hash.split_at_mut(SHA2_256.len());
    code.copy_from_slice(&SHA2_256);
    digest.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/webrtc.pem");
        let made = WebRtcCertificate::load_or_create(&path).unwrap();
        let kept = WebRtcCertificate::load_or_create(&path).unwrap();
        assert_eq!(made.certhash(), kept.certhash());
        assert_ne!(made.certhash(), WebRtcCertificate::generate().unwrap().certhash());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_that_is_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("webrtc.pem");
        let whole = WebRtcCertificate::load_or_create(&path).map(|_| fs::read(&path).unwrap());
        let whole = String::from_utf8(whole.unwrap()).unwrap();
        let key = whole.find("-----BEGIN PRIVATE").unwrap();
        let long = "x".repeat(MAX_FILE as usize + 1);
        for text in ["", "hello", &whole[..key], &whole[key..], &long] {
            fs::write(&path, text).unwrap();
            let error = WebRtcCertificate::load_or_create(&path).unwrap_err();
            assert!(matches!(error, WebRtcCertificateError::Malformed { .. }), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let error = WebRtcCertificate::load_or_create(folder.path());
        assert!(matches!(error, Err(WebRtcCertificateError::Io { .. })));
    }
}
