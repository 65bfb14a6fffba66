//! The primitives that the handshake runs on: snow's, with our randomness and
//! without keys that make a secret predictable.

use core::cell::Cell;

use snow::params::{
    BaseChoice, CipherChoice, DHChoice, HandshakeChoice, HandshakeModifierList, HandshakePattern,
    HashChoice, NoiseParams,
};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use zeroize::Zeroizing;

use crate::Rng;
use crate::security::Role;

/// Begins the handshake of the specification with a static key and a source of
/// randomness for the ephemeral one.
pub(super) fn start(
    role: Role,
    static_key: &[u8; 32],
    prologue: &[u8],
    random: Box<dyn Random>,
) -> Result<HandshakeState, snow::Error> {
    let params = NoiseParams::new(
        "Noise_XX_25519_ChaChaPoly_SHA256".into(),
        BaseChoice::Noise,
        HandshakeChoice {
            pattern: HandshakePattern::XX,
            modifiers: HandshakeModifierList { list: Vec::new() },
        },
        DHChoice::Curve25519,
        CipherChoice::ChaChaPoly,
        HashChoice::SHA256,
    );
    let builder = Builder::with_resolver(params, Box::new(Resolver(Cell::new(Some(random)))))
        .local_private_key(static_key)?
        .prologue(prologue)?;
    match role {
        Role::Initiator => builder.build_initiator(),
        Role::Responder => builder.build_responder(),
    }
}

/// A new static key and its public half.
pub(super) fn static_key(rng: &mut Rng) -> (Zeroizing<[u8; 32]>, [u8; 32]) {
    let private = Zeroizing::new(rng.array());
    let mut public = [0; 32];
    if let Some(mut dh) = DefaultResolver.resolve_dh(&DHChoice::Curve25519) {
        dh.set(&*private);
        public.copy_from_slice(dh.pubkey());
    }
    (private, public)
}

/// Our generator, as snow wants it.
pub(super) struct Seeded(pub(super) Rng);

impl Random for Seeded {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), snow::Error> {
        self.0.fill(out);
        Ok(())
    }
}

/// Resolves the source of randomness once: a second one would repeat the first.
struct Resolver(Cell<Option<Box<dyn Random>>>);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        self.0.take()
    }

    // There is one pattern: naming its primitives here keeps the others out of
    // the WebAssembly module.

    fn resolve_dh(&self, _: &DHChoice) -> Option<Box<dyn Dh>> {
        Some(Box::new(Contributory(DefaultResolver.resolve_dh(&DHChoice::Curve25519)?)))
    }

    fn resolve_hash(&self, _: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(&HashChoice::SHA256)
    }

    fn resolve_cipher(&self, _: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(&CipherChoice::ChaChaPoly)
    }
}

/// X25519 that refuses an all-zero result, which a remote gets by sending a point
/// of low order (RFC 7748, section 6.1).
pub(super) struct Contributory(pub(super) Box<dyn Dh>);

impl Dh for Contributory {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn pub_len(&self) -> usize {
        self.0.pub_len()
    }

    fn priv_len(&self) -> usize {
        self.0.priv_len()
    }

    fn set(&mut self, private: &[u8]) {
        self.0.set(private);
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), snow::Error> {
        self.0.generate(random)
    }

    fn pubkey(&self) -> &[u8] {
        self.0.pubkey()
    }

    fn privkey(&self) -> &[u8] {
        self.0.privkey()
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        self.0.dh(public, out)?;
        let all = out.iter().fold(0, |all, byte| all | byte);
        if all == 0 { Err(snow::Error::Dh) } else { Ok(()) }
    }
}
