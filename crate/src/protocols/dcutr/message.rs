//! The messages of DCUtR.
//!
//! Source: libp2p specs "DCUtR", section "RPC messages".

use crate::address::Multiaddr;
use crate::wire::protobuf::{Malformed, Reader, Writer};

use super::MAX_ADDRESSES;

/// What one says to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Where to dial the sender; at most [`MAX_ADDRESSES`], the first ones.
    Connect(Vec<Multiaddr>),
    /// Dial now.
    Sync,
}

const CONNECT: u64 = 100;
const SYNC: u64 = 300;

impl Message {
    /// Reads a message. Addresses of protocols that we do not know are passed over.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut kind, mut addresses) = (None, Vec::new());
        for field in Reader(bytes) {
            match field? {
                (1, value) => kind = Some(value.number()?),
                (2, value) => {
                    let address = Multiaddr::from_bytes(value.bytes()?);
                    let room = addresses.len() < MAX_ADDRESSES;
                    addresses.extend(address.ok().filter(|_| room));
                }
                _ => {}
            }
        }
        match kind {
            Some(CONNECT) => Ok(Self::Connect(addresses)),
            Some(SYNC) => Ok(Self::Sync),
            _ => Err(Malformed),
        }
    }

    /// Writes a message.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer(&mut out);
        match self {
            Self::Connect(addresses) => {
                writer.number(1, CONNECT);
                for address in addresses.iter().take(MAX_ADDRESSES) {
                    Writer(&mut out).bytes(2, address.as_bytes());
                }
            }
            Self::Sync => {
                writer.number(1, SYNC);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    /// The specification's message, as prost reads and writes it.
    #[derive(Clone, PartialEq, prost::Message)]
    struct HolePunch {
        #[prost(uint64, required, tag = "1")]
        kind: u64,
        #[prost(bytes = "vec", repeated, tag = "2")]
        addresses: Vec<Vec<u8>>,
    }

    fn address(number: usize) -> Multiaddr {
        format!("/ip4/192.0.2.1/tcp/{number}").parse().unwrap()
    }

    #[test]
    fn what_is_written_is_what_others_read() {
        let addresses = vec![address(1), address(2)];
        let bytes = Message::Connect(addresses.clone()).encode();
        let read = HolePunch::decode(&*bytes).unwrap();
        let raw: Vec<_> = addresses.iter().map(|a| a.as_bytes().to_vec()).collect();
        assert_eq!(read, HolePunch { kind: 100, addresses: raw });
        assert_eq!(Message::decode(&bytes), Ok(Message::Connect(addresses)));
        let sync = HolePunch { kind: 300, addresses: Vec::new() };
        assert_eq!(Message::Sync.encode(), sync.encode_to_vec());
        assert_eq!(Message::decode(&sync.encode_to_vec()), Ok(Message::Sync));
    }

    #[test]
    fn addresses_are_counted_while_they_are_read() {
        let mut addresses: Vec<_> =
            (1..=500).map(|number| address(number).as_bytes().to_vec()).collect();
        addresses.insert(0, b"no address".to_vec());
        let bytes = HolePunch { kind: 100, addresses }.encode_to_vec();
        let Ok(Message::Connect(read)) = Message::decode(&bytes) else { panic!("no CONNECT") };
        assert_eq!(read, (1..=MAX_ADDRESSES).map(address).collect::<Vec<_>>());
        assert!(Message::Connect(read).encode().len() < super::super::MAX_MESSAGE_BYTES);
    }

    #[test]
    fn what_is_neither_is_refused() {
        let other = HolePunch { kind: 200, addresses: Vec::new() };
        for bytes in [other.encode_to_vec(), Vec::new(), vec![0x12, 0x05, 1]] {
            assert_eq!(Message::decode(&bytes), Err(Malformed));
        }
    }
}
