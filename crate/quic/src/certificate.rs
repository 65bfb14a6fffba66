//! Certificates that prove who a peer is.
//!
//! A peer signs the key of a certificate of its own making with the key of its identity,
//! and puts both that key and the signature into an extension of the certificate.
//!
//! Source: libp2p specs, `tls/tls.md`, "Peer Authentication".

use std::time::Duration;

use polypeer::Keypair;
use polypeer::identity::{PeerId, PublicKey};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair, PublicKeyData};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::asn1_rs::{FromDer, OctetString, Oid, Sequence, ToDer, oid};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::time::ASN1Time;

use crate::setup::SetupError;

/// The longest certificate that is looked at, in bytes. Ours have some 400, those with
/// keys of RSA less than 3,000.
pub const MAX_CERTIFICATE: usize = 16 * 1024;

/// The extension in which the identity stands, of Protocol Labs.
const EXTENSION: Oid<'static> = oid!(1.3.6.1.4.1.53594.1.1);
const EXTENSION_PARTS: [u64; 9] = [1, 3, 6, 1, 4, 1, 53594, 1, 1];

/// What is signed begins with this; the certificate's key follows.
const PREFIX: &[u8] = b"libp2p-tls-handshake:";

/// Why a certificate proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// It has more than [`MAX_CERTIFICATE`] bytes.
    #[error("the certificate is too long")]
    TooLong,
    /// It is no certificate in DER (RFC 5280), or more than one.
    #[error("the certificate is malformed")]
    Malformed,
    /// It is to be used later or earlier.
    #[error("the certificate is not valid now")]
    NotValidNow,
    /// It is not signed with its own key.
    #[error("the certificate is not signed with its own key, or in a way that is not known")]
    NotSelfSigned,
    /// It says something that must be understood and is not.
    #[error("the certificate has a critical extension that is not known")]
    Critical,
    /// It is not a certificate of libp2p.
    #[error("the certificate says nothing of a libp2p identity")]
    NoIdentity,
    /// The identity in it is malformed, or its key of a kind that is not known.
    #[error("the identity in the certificate is malformed")]
    MalformedIdentity,
    /// The identity's key has not signed that of the certificate.
    #[error("the certificate's key is not signed by the identity in it")]
    Forged,
}

/// Makes a certificate for `keypair`, with a key of its own.
pub(crate) fn make(
    keypair: &Keypair,
) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), SetupError> {
    let made = |error: rcgen::Error| SetupError::Certificate(error.to_string());
    let key = KeyPair::generate().map_err(made)?;
    let signed = [PREFIX, &key.subject_public_key_info()].concat();
    let signature = keypair.sign(&signed).map_err(|_| SetupError::Sign)?;
    let public = keypair.public().to_protobuf();
    let value = [OctetString::new(&public), OctetString::new(&signature)];
    let parts: Vec<u8> = value.iter().filter_map(|part| part.to_der_vec().ok()).flatten().collect();
    let value = Sequence::new(parts.into()).to_der_vec();
    let value = value.map_err(|error| SetupError::Certificate(error.to_string()))?;

    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::from_oid_content(&EXTENSION_PARTS, value)];
    let certificate = params.self_signed(&key).map_err(made)?;
    let key = PrivateKeyDer::try_from(key.serialize_der());
    let key = key.map_err(|reason| SetupError::Certificate(reason.into()))?;
    Ok((certificate.into(), key))
}

/// Who shows this certificate, if it is as it must be `since_epoch` (Unix time).
pub fn verify(der: &[u8], since_epoch: Duration) -> Result<PeerId, CertificateError> {
    let certificate = parse(der)?;
    let now = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
    let now = ASN1Time::from_timestamp(now).map_err(|_| CertificateError::NotValidNow)?;
    if !certificate.validity().is_valid_at(now) {
        return Err(CertificateError::NotValidNow);
    }
    certificate.verify_signature(None).map_err(|_| CertificateError::NotSelfSigned)?;
    let (key, signature) = identity(&certificate)?;
    let signed = [PREFIX, certificate.public_key().raw].concat();
    key.verify(&signed, &signature).map_err(|_| CertificateError::Forged)?;
    Ok(key.peer_id())
}

/// Who shows this certificate, which was [verified](verify) before.
pub fn peer_of(der: &[u8]) -> Result<PeerId, CertificateError> {
    Ok(identity(&parse(der)?)?.0.peer_id())
}

/// The key of a certificate, as it stands there.
pub(crate) fn key_of(der: &[u8]) -> Result<Vec<u8>, CertificateError> {
    Ok(parse(der)?.public_key().raw.to_vec())
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    if der.len() > MAX_CERTIFICATE {
        return Err(CertificateError::TooLong);
    }
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CertificateError::Malformed),
    }
}

/// The key of the identity, and its signature.
fn identity(certificate: &X509Certificate<'_>) -> Result<(PublicKey, Vec<u8>), CertificateError> {
    let mut found = None;
    for extension in certificate.extensions() {
        if extension.oid == EXTENSION {
            if found.replace(extension.value).is_some() {
                return Err(CertificateError::MalformedIdentity);
            }
        } else if extension.critical
            && matches!(extension.parsed_extension(), ParsedExtension::UnsupportedExtension { .. })
        {
            return Err(CertificateError::Critical);
        }
    }
    let value = found.ok_or(CertificateError::NoIdentity)?;
    let (key, signature) = signed_key(value).ok_or(CertificateError::MalformedIdentity)?;
    let key = PublicKey::from_protobuf(&key).map_err(|_| CertificateError::MalformedIdentity)?;
    Ok((key, signature))
}

/// `SignedKey`: a sequence of two strings of bytes.
fn signed_key(value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let ([], sequence) = Sequence::from_der(value).ok()? else { return None };
    let (rest, key) = OctetString::from_der(&sequence.content).ok()?;
    let ([], signature) = OctetString::from_der(rest).ok()? else { return None };
    Some((key.as_ref().to_vec(), signature.as_ref().to_vec()))
}
