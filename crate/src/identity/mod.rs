//! Who a peer is: key pairs, peer ids, and statements that a peer signed.
//!
//! Source: libp2p specifications "Peer Ids and Keys", RFC 0002 "Signed
//! Envelopes" and RFC 0003 "Peer Routing Records".
//!
//! ```
//! use polypeer::{Keypair, PeerId, Rng};
//! let keypair = Keypair::generate_ed25519(&mut Rng::from_number(1));
//! let signature = keypair.sign(b"hello")?;
//! assert!(keypair.public().verify(b"hello", &signature).is_ok());
//! let id: PeerId = keypair.peer_id().to_string().parse()?;
//! assert_eq!(id, keypair.peer_id());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "rsa")]
mod der;
#[cfg(feature = "ecdsa")]
mod ecdsa;
mod ed25519;
mod envelope;
mod keypair;
mod message;
mod peer_id;
mod peer_record;
mod public_key;
#[cfg(feature = "rsa")]
mod rsa;
#[cfg(feature = "secp256k1")]
mod secp256k1;
#[cfg(test)]
mod tests;

pub use envelope::{EnvelopeError, SignedEnvelope};
pub use keypair::{Keypair, SignError};
pub use message::{DecodeError, KeyType};
pub use peer_id::{PeerId, PeerIdError};
pub use peer_record::{PeerRecord, PeerRecordError};
pub use public_key::{PublicKey, VerifyError};
#[cfg(feature = "rsa")]
pub use rsa::{RSA_MAX_BITS, RSA_MIN_BITS};
