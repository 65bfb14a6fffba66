//! The payload of an initiator that follows the handshake otherwise.
#![no_main]
use libfuzzer_sys::fuzz_target;
use polypeer::security::Role;
use polypeer::security::noise::{Handshake, Step};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};

struct Ones;

impl Random for Ones {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), snow::Error> {
        out.fill(1);
        Ok(())
    }
}

struct Resolver;

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Ones))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

fuzz_target!(|data: &[u8]| {
    let params = "Noise_XX_25519_ChaChaPoly_SHA256".parse().unwrap();
    let builder = snow::Builder::with_resolver(params, Box::new(Resolver));
    let mut dialer = builder.local_private_key(&[3; 32]).unwrap().build_initiator().unwrap();
    let mut buffer = vec![0; 65535];
    let mut message = |dialer: &mut snow::HandshakeState, payload: &[u8]| {
        let length = dialer.write_message(payload, &mut buffer).ok()?;
        Some([&(length as u16).to_be_bytes(), &buffer[..length]].concat())
    };
    let mut out = Vec::new();
    let config = polypeer_fuzz::noise_config(Role::Responder);
    let mut listener = Handshake::new(config, &mut out).unwrap();
    let first = message(&mut dialer, &[]).unwrap();
    listener.receive(&first, &mut out).unwrap();
    dialer.read_message(&out[2..], &mut [0; 65535]).unwrap();
    let Some(last) = message(&mut dialer, data) else { return };
    if let Ok((_, step)) = listener.receive(&last, &mut out) {
        assert!(!matches!(step, Step::Pending));
    }
});
