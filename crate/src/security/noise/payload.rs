//! What the peers tell each other inside the handshake.
//!
//! Source: libp2p specifications "noise", section "The libp2p Handshake Payload".

use crate::identity::Keypair;
use crate::negotiate::Name;
use crate::security::Error;
use crate::wire::protobuf::{Malformed, Reader, Writer};

/// Most bytes of a remote's extensions. Those in use take less than 300; a longer
/// field would only be a way to make us allocate an entry for every two bytes.
pub const MAX_EXTENSIONS: usize = 4096;

/// How many of a remote's muxers are kept; two are in use anywhere.
pub const MAX_MUXERS: usize = 16;

/// How many of a remote's certificate hashes are kept; servers announce the
/// current certificate and the next.
pub const MAX_CERTHASHES: usize = 16;

/// What a peer signs: this and its static Noise key.
const SIGNED_PREFIX: &[u8] = b"noise-libp2p-static-key:";

/// `NoiseExtensions`, as many entries of them as are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Extensions {
    pub(super) webtransport_certhashes: Vec<Vec<u8>>,
    pub(super) stream_muxers: Vec<Name>,
}

impl Extensions {
    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut extensions = Self::default();
        for field in Reader(bytes) {
            match field? {
                (1, value) if extensions.webtransport_certhashes.len() < MAX_CERTHASHES => {
                    extensions.webtransport_certhashes.push(value.bytes()?.to_vec());
                }
                (2, value) if extensions.stream_muxers.len() < MAX_MUXERS => {
                    extensions.stream_muxers.push(value.text()?.into());
                }
                _ => {}
            }
        }
        Ok(extensions)
    }
}

/// The message whose signature ties `static_key` to an identity.
pub(super) fn signed_message(static_key: &[u8]) -> Vec<u8> {
    [SIGNED_PREFIX, static_key].concat()
}

/// Our own payload.
pub(super) fn encode(
    keypair: &Keypair,
    static_key: &[u8],
    muxers: &[Name],
    certhashes: &[Vec<u8>],
) -> Result<Vec<u8>, Error> {
    let mut extensions = Vec::new();
    for hash in certhashes {
        Writer(&mut extensions).bytes(1, hash);
    }
    for muxer in muxers {
        Writer(&mut extensions).bytes(2, muxer.as_bytes());
    }
    let signature = keypair.sign(&signed_message(static_key)).map_err(Error::Sign)?;
    let mut payload = Vec::new();
    Writer(&mut payload)
        .bytes(1, &keypair.public().to_protobuf())
        .bytes(2, &signature)
        .some_bytes(4, &extensions);
    Ok(payload)
}

/// A remote's payload: its identity key, its signature and what it can do.
pub(super) fn decode(bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>, Extensions), Error> {
    let [mut key, mut signature, mut extensions] = [None; 3];
    for field in Reader(bytes) {
        let (number, value) = field.map_err(|_| Error::Payload)?;
        let place = match number {
            1 => &mut key,
            2 => &mut signature,
            4 => &mut extensions,
            _ => continue,
        };
        *place = Some(value.bytes().map_err(|_| Error::Payload)?);
    }
    let (Some(key), Some(signature)) = (key, signature) else { return Err(Error::Payload) };
    let extensions = extensions.unwrap_or_default();
    if extensions.len() > MAX_EXTENSIONS {
        return Err(Error::ExtensionsTooLong);
    }
    let extensions = Extensions::decode(extensions).map_err(|_| Error::Payload)?;
    Ok((key.to_vec(), signature.to_vec(), extensions))
}
