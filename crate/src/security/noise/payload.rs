//! What the peers tell each other inside the handshake.
//!
//! Source: libp2p specifications "noise", section "The libp2p Handshake Payload".

use prost::Message;

use crate::identity::Keypair;
use crate::negotiate::Name;
use crate::security::Error;

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

/// `NoiseHandshakePayload`. The extensions stay bytes until their length is checked.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Payload {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(super) identity_key: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) identity_sig: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) extensions: Option<Vec<u8>>,
}

/// `NoiseExtensions`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Extensions {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(super) webtransport_certhashes: Vec<Vec<u8>>,
    #[prost(string, repeated, tag = "2")]
    pub(super) stream_muxers: Vec<String>,
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
    let extensions = Extensions {
        webtransport_certhashes: certhashes.to_vec(),
        stream_muxers: muxers.iter().map(|name| String::from(&**name)).collect(),
    };
    let extensions = extensions.encode_to_vec();
    let payload = Payload {
        identity_key: Some(keypair.public().to_protobuf()),
        identity_sig: Some(keypair.sign(&signed_message(static_key)).map_err(Error::Sign)?),
        extensions: (!extensions.is_empty()).then_some(extensions),
    };
    Ok(payload.encode_to_vec())
}

/// A remote's payload: its identity key, its signature and what it can do.
pub(super) fn decode(bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>, Extensions), Error> {
    let payload = Payload::decode(bytes).map_err(|_| Error::Payload)?;
    let (Some(key), Some(signature)) = (payload.identity_key, payload.identity_sig) else {
        return Err(Error::Payload);
    };
    let extensions = payload.extensions.unwrap_or_default();
    if extensions.len() > MAX_EXTENSIONS {
        return Err(Error::ExtensionsTooLong);
    }
    let mut extensions = Extensions::decode(&*extensions).map_err(|_| Error::Payload)?;
    extensions.stream_muxers.truncate(MAX_MUXERS);
    extensions.webtransport_certhashes.truncate(MAX_CERTHASHES);
    Ok((key, signature, extensions))
}
