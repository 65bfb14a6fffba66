//! The certificate that a listener shows and its addresses name, in a file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use polypeer_webrtc::{Certificate, Cipher, Identity};
use zeroize::Zeroizing;

use super::random;
use crate::keys;

/// The longest file that is read, in bytes: ours have 800.
const MAX_FILE: u64 = 64 * 1024;

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
#[derive(Clone, Debug)]
pub struct WebRtcCertificate(Certificate);

impl WebRtcCertificate {
    /// A new one, with a key on P-256, which all browsers know.
    ///
    /// # Errors
    ///
    /// [`WebRtcCertificateError::Make`] if the system has no randomness.
    pub fn generate() -> Result<Self, WebRtcCertificateError> {
        let failed = |reason: String| WebRtcCertificateError::Make(reason);
        let random = random().map_err(|error| failed(error.to_string()))?;
        Certificate::generate(&random).map(Self).map_err(|error| failed(error.to_string()))
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
        let pem = Self::generate()?.0.to_pem();
        let pem = pem.map_err(|error| WebRtcCertificateError::Make(error.to_string()))?;
        match keys::create(path, pem.as_bytes()) {
            // Another process was faster: its certificate is ours too.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(error)),
            _ => Self::load(path),
        }
    }

    fn load(path: &Path) -> Result<Self, WebRtcCertificateError> {
        let failed = |source| WebRtcCertificateError::Io { path: path.to_owned(), source };
        let pem = Zeroizing::new(fs::read(path).map_err(failed)?);
        Certificate::from_pem(&pem).map(Self).map_err(|error| WebRtcCertificateError::Malformed {
            path: path.to_owned(),
            reason: error.to_string(),
        })
    }

    /// What `/certhash` says in addresses: the multihash (SHA2-256) of the
    /// certificate.
    pub fn certhash(&self) -> [u8; 34] {
        self.0.certhash()
    }

    /// As sessions use it.
    pub(crate) fn identity(self) -> Result<Identity, WebRtcCertificateError> {
        let made = Identity::new(self.0, Cipher::AesGcm);
        made.map_err(|error| WebRtcCertificateError::Make(error.to_string()))
    }
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
