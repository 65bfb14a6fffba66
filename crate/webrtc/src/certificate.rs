//! The certificate that a listener shows and its addresses name.

use dimpl::DtlsCertificate;
use p256::SecretKey;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::der::pem;
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The start of a SHA2-256 multihash: its code and its length.
const SHA2_256: [u8; 2] = [0x12, 0x20];

/// A multihash of SHA2-256.
pub type Multihash = [u8; 34];

/// What a certificate is made of, in DER (RFC 5280 section 4.1).
mod der {
    /// `ecdsa-with-SHA256` (RFC 5758 section 3.2).
    pub(super) const ALGORITHM: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    /// The version 3.
    pub(super) const VERSION: &[u8] = &[0xa0, 3, 2, 1, 2];
    /// The common name WebRTC: it says nothing of whose it is.
    pub(super) const NAME: &[u8] = &[
        0x30, 17, 0x31, 15, 0x30, 13, 6, 3, 0x55, 4, 3, 0x0c, 6, b'W', b'e', b'b', b'R', b'T', b'C',
    ];
    /// From 1975 to 4096: it does not expire.
    pub(super) const VALIDITY: [&[u8]; 2] = [b"\x17\x0d750101000000Z", b"\x18\x0f40960101000000Z"];

    pub(super) const INTEGER: u8 = 2;
    pub(super) const BIT_STRING: u8 = 3;
    pub(super) const SEQUENCE: u8 = 0x30;

    /// A value of `parts` one after another, together less than 64 KiB.
    pub(super) fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let [high, low] = (content.len() as u16).to_be_bytes();
        let head = match content.len() {
            0..0x80 => vec![tag, low],
            0x80..0x100 => vec![tag, 0x81, low],
            _ => vec![tag, 0x82, high, low],
        };
        [head, content].concat()
    }
}

/// Why something is no certificate to show.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The text has no certificate in PEM.
    #[error("there is no certificate in PEM: {0}")]
    Certificate(String),
    /// The text has no private key in PEM.
    #[error("there is no private key in PEM: {0}")]
    Key(String),
    /// The key is of another kind than all browsers know.
    #[error("its key is not on P-256")]
    NotP256,
    /// The key belongs to another certificate.
    #[error("its key is not that of the certificate")]
    OtherKey,
    /// A certificate could not be made, or DTLS refuses it.
    #[error("no use can be made of it: {0}")]
    Unusable(String),
}

/// A self-signed certificate for WebRTC direct. Dialers know it by its hash, which
/// is part of the addresses: a listener that keeps its certificate keeps these.
#[derive(Clone)]
pub struct Certificate {
    dtls: DtlsCertificate,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Certificate").field(&self.certhash()).finish()
    }
}

impl Certificate {
    /// A new one from 48 bytes that nobody can guess, with a key on P-256, which all
    /// browsers know.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Unusable`] if the bytes are not random at all.
    pub fn generate(random: &[u8; 48]) -> Result<Self, CertificateError> {
        let (key, serial) = random.split_at(32);
        let (mut key, mut serial) = (Zeroizing::new(key.to_vec()), serial.to_vec());
        // Below 2^255 each number but 0 is a key.
        key[0] &= 0x7f;
        // Positive, and without a leading zero.
        serial[0] = serial[0] & 0x7f | 0x40;
        let unusable =
            |error: &dyn std::fmt::Display| CertificateError::Unusable(error.to_string());
        let secret = SecretKey::from_slice(&key).map_err(|error| unusable(&error))?;
        let public = secret.public_key().to_public_key_der().map_err(|error| unusable(&error))?;
        let content = der::value(
            der::SEQUENCE,
            &[
                der::VERSION,
                &der::value(der::INTEGER, &[&serial]),
                der::ALGORITHM,
                der::NAME,
                &der::value(der::SEQUENCE, &der::VALIDITY),
                der::NAME,
                public.as_bytes(),
            ],
        );
        let signature: DerSignature = SigningKey::from(&secret).sign(&content);
        let signature = der::value(der::BIT_STRING, &[&[0], signature.as_bytes()]);
        let certificate = der::value(der::SEQUENCE, &[&content, der::ALGORITHM, &signature]);
        let private_key = secret.to_pkcs8_der().map_err(|error| unusable(&error))?;
        let private_key = private_key.as_bytes().to_vec();
        Ok(Self { dtls: DtlsCertificate { certificate, private_key } })
    }

    /// Reads a certificate and its private key in PEM, as [`to_pem`](Self::to_pem)
    /// writes them.
    ///
    /// # Errors
    ///
    /// One of them is missing or is not of use.
    pub fn from_pem(text: &[u8]) -> Result<Self, CertificateError> {
        let certificate = CertificateDer::from_pem_slice(text)
            .map_err(|error| CertificateError::Certificate(error.to_string()))?
            .to_vec();
        let key = PrivateKeyDer::from_pem_slice(text)
            .map_err(|error| CertificateError::Key(error.to_string()))?;
        let secret = match &key {
            PrivateKeyDer::Pkcs8(key) => SecretKey::from_pkcs8_der(key.secret_pkcs8_der()).ok(),
            PrivateKeyDer::Sec1(key) => SecretKey::from_sec1_der(key.secret_sec1_der()).ok(),
            _ => None,
        };
        let secret = secret.ok_or(CertificateError::NotP256)?;
        let public = secret.public_key().to_public_key_der();
        let public = public.map_err(|error| CertificateError::Unusable(error.to_string()))?;
        let public = public.as_bytes();
        if !certificate.windows(public.len()).any(|part| part == public) {
            return Err(CertificateError::OtherKey);
        }
        let private_key = secret.to_pkcs8_der();
        let private_key =
            private_key.map_err(|error| CertificateError::Unusable(error.to_string()))?;
        let private_key = private_key.as_bytes().to_vec();
        Ok(Self { dtls: DtlsCertificate { certificate, private_key } })
    }

    /// The certificate and its private key in PEM: to be kept as a secret.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Unusable`] if it is longer than text can be.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, CertificateError> {
        let text = |label, bytes: &[u8]| {
            pem::encode_string(label, LineEnding::LF, bytes)
                .map(Zeroizing::new)
                .map_err(|error| CertificateError::Unusable(error.to_string()))
        };
        let certificate = text("CERTIFICATE", &self.dtls.certificate)?;
        let key = text("PRIVATE KEY", &self.dtls.private_key)?;
        Ok(Zeroizing::new([certificate.as_str(), key.as_str()].concat()))
    }

    /// What `/certhash` says in addresses: the multihash (SHA2-256) of the
    /// certificate.
    pub fn certhash(&self) -> Multihash {
        multihash(&self.dtls.certificate)
    }

    pub(crate) fn dtls(&self) -> DtlsCertificate {
        self.dtls.clone()
    }
}

/// The multihash of a certificate in DER.
pub(crate) fn multihash(certificate: &[u8]) -> Multihash {
    let mut hash = [0; 34];
    let (code, digest) = hash.split_at_mut(SHA2_256.len());
    code.copy_from_slice(&SHA2_256);
    digest.copy_from_slice(&Sha256::digest(certificate));
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that look random enough.
    pub(crate) fn random(seed: u8) -> [u8; 48] {
        std::array::from_fn(|at| seed.wrapping_add((at * 37) as u8))
    }

    #[test]
    fn it_is_what_others_read_as_one() {
        use p256::ecdsa::VerifyingKey;
        use p256::ecdsa::signature::Verifier;
        use p256::pkcs8::DecodePublicKey;
        use x509_cert::der::{Decode, Encode};

        let made = Certificate::generate(&random(1)).unwrap();
        let read = x509_cert::Certificate::from_der(&made.dtls.certificate).unwrap();
        let content = &read.tbs_certificate;
        assert_eq!(content.version, x509_cert::Version::V3);
        assert_eq!(content.subject, content.issuer);
        assert_eq!(content.subject.to_string(), "CN=WebRTC");
        assert_eq!(content.validity.not_before.to_date_time().year(), 1975);
        assert_eq!(content.validity.not_after.to_date_time().year(), 4096);
        let public = content.subject_public_key_info.to_der().unwrap();
        let public = VerifyingKey::from_public_key_der(&public).unwrap();
        let signature = DerSignature::from_bytes(read.signature.raw_bytes()).unwrap();
        public.verify(&content.to_der().unwrap(), &signature).unwrap();
        assert_ne!(made.certhash(), Certificate::generate(&random(2)).unwrap().certhash());
    }

    #[test]
    fn it_is_kept_as_text() {
        for seed in [3, 0x80, 0xff] {
            let made = Certificate::generate(&random(seed)).unwrap();
            let text = made.to_pem().unwrap();
            let read = Certificate::from_pem(text.as_bytes()).unwrap();
            assert_eq!(read.certhash(), made.certhash());
            assert_eq!(read.dtls.private_key, made.dtls.private_key);
        }
        assert!(Certificate::generate(&[0; 48]).is_err());
    }

    #[test]
    fn text_that_is_something_else_is_refused() {
        let [one, other] =
            [4, 5].map(|seed| Certificate::generate(&random(seed)).unwrap().to_pem().unwrap());
        let key = |text: &str| text.find("-----BEGIN PRIVATE").unwrap();
        let (certificate, own) = one.split_at(key(&one));
        let (_, another) = other.split_at(key(&other));
        let read = |text: &str| Certificate::from_pem(text.as_bytes()).map(|read| read.certhash());
        assert!(matches!(read(""), Err(CertificateError::Certificate(_))));
        assert!(matches!(read(own), Err(CertificateError::Certificate(_))));
        assert!(matches!(read(certificate), Err(CertificateError::Key(_))));
        let mixed = [certificate, another].concat();
        assert!(matches!(read(&mixed), Err(CertificateError::OtherKey)));
        let broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let broken = [certificate, broken].concat();
        assert!(matches!(read(&broken), Err(CertificateError::NotP256)));
    }
}
