//! Vectors of libp2p/specs (`tls/tls.md`) and of js-libp2p (Apache-2.0 or MIT).

use std::time::Duration;

use polypeer::Keypair;
use serde_json::Value;

use crate::certificate::{make, peer_of};
use crate::{CertificateError, MAX_CERTIFICATE, verify};

/// November 2026.
const NOW: Duration = Duration::from_secs(1_795_000_000);

fn cases(json: &str) -> Vec<Value> {
    let value: Value = serde_json::from_str(json).unwrap();
    value["cases"].as_array().unwrap().clone()
}

#[test]
fn vectors() {
    let specs = cases(include_str!("../../tests/vectors/certificates.json"));
    let js = cases(include_str!("../../tests/vectors/certificates-js.json"));
    let mut refused = 0;
    for case in specs.iter().chain(&js) {
        let der = hex::decode(case["cert_der_hex"].as_str().unwrap()).unwrap();
        let found = verify(&der, NOW);
        if case["valid"].as_bool().unwrap() {
            let peer = found.unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!(peer.to_string(), case["peer_id"].as_str().unwrap());
            assert_eq!(peer_of(&der), Ok(peer));
        } else {
            assert!(found.is_err(), "{case}");
            refused += 1;
        }
    }
    assert_eq!(refused, 3);
}

/// Where what the certificate's signature covers begins, and how long it is.
fn signed_part(der: &[u8]) -> (usize, usize) {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).unwrap();
    let signed = certificate.tbs_certificate.as_ref();
    let start = der.windows(signed.len()).position(|window| window == signed);
    (start.unwrap(), signed.len())
}

#[test]
fn ours_are_valid_and_prove_who_we_are() {
    for keypair in [
        Keypair::ed25519_from_seed([1; 32]),
        Keypair::generate_ecdsa(&mut polypeer::Rng::from_seed([2; 32])),
        Keypair::generate_secp256k1(&mut polypeer::Rng::from_seed([3; 32])),
    ] {
        let (certificate, _) = make(&keypair).unwrap();
        assert_eq!(verify(&certificate, NOW), Ok(keypair.peer_id()));
    }
}

#[test]
fn what_is_not_valid_now_or_bent_is_refused() {
    let (certificate, _) = make(&Keypair::ed25519_from_seed([1; 32])).unwrap();
    assert_eq!(verify(&certificate, Duration::ZERO), Err(CertificateError::NotValidNow));
    let long = vec![0x30; MAX_CERTIFICATE + 1];
    assert_eq!(verify(&long, NOW), Err(CertificateError::TooLong));
    let more = [&certificate[..], &[0]].concat();
    assert_eq!(verify(&more, NOW), Err(CertificateError::Malformed));
    // No bit of what it says may be another one.
    let (start, length) = signed_part(&certificate);
    for at in start * 8..(start + length) * 8 {
        let mut bent = certificate.to_vec();
        bent[at / 8] ^= 1 << (at % 8);
        assert!(verify(&bent, NOW).is_err(), "bit {at}");
    }
}
