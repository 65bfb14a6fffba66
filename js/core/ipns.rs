//! Records of IPNS: signed and verified here, found and kept elsewhere.

use core::time::Duration;

use polypeer::identity::{Keypair, PeerId};
use polypeer::records::{Content, Lifetime, Namespace, RecordError};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::Core;
use crate::records::{Cause, Records};

#[wasm_bindgen]
impl Core {
    /// Signs a record with a private key in protobuf encoding: its length; negative: a
    /// failure's record. `until` is in milliseconds of Unix time, `ttl` in milliseconds.
    pub fn ipns_sign(
        &mut self,
        key: &[u8],
        value: &[u8],
        sequence: &str,
        until: f64,
        ttl: f64,
    ) -> i32 {
        let keypair = match Keypair::from_protobuf(key) {
            Ok(keypair) => keypair,
            Err(error) => return self.fail(Cause::Protocol, &error),
        };
        let Ok(sequence) = sequence.parse() else {
            return self.fail(Cause::Protocol, &RecordError::Malformed);
        };
        let content = Content {
            value: value.to_vec(),
            sequence,
            lifetime: Lifetime::Until(Duration::from_millis(until as u64)),
            ttl: Duration::from_millis(ttl as u64),
        };
        match Namespace::ipns().sign(&keypair, b"", content) {
            Ok(record) => {
                self.output.clear();
                self.output.extend(record.as_bytes());
                self.output_at = self.output.as_ptr() as usize;
                self.output.len() as i32
            }
            Err(error @ RecordError::TooLong(_)) => self.fail(Cause::Limit, &error),
            Err(error) => self.fail(Cause::Protocol, &error),
        }
    }

    /// The PeerId of a private key in protobuf encoding; negative: a failure's record.
    pub fn ipns_name(&mut self, key: &[u8]) -> i32 {
        match Keypair::from_protobuf(key) {
            Ok(keypair) => self.say(&mut core::iter::once(&keypair.peer_id() as _)) as i32,
            Err(error) => self.fail(Cause::Protocol, &error),
        }
    }

    /// Verifies a peer's record at a time in milliseconds of Unix time: the length of
    /// what it says; negative: a failure's record.
    pub fn ipns_verify(&mut self, peer: &str, record: &[u8], unix: f64) -> i32 {
        let peer = match peer.parse::<PeerId>() {
            Ok(peer) => peer,
            Err(error) => return self.fail(Cause::Address, &error),
        };
        let ipns = Namespace::ipns();
        let record = ipns.verify(&ipns.key(&peer, b""), record).and_then(|record| {
            record.check_time(Duration::from_millis(unix as u64))?;
            Ok(record)
        });
        let record = match record {
            Ok(record) => record,
            Err(error) => return self.fail(Cause::Protocol, &error),
        };
        let content = record.content();
        let Lifetime::Until(end) = content.lifetime else {
            return self.fail(Cause::Protocol, &RecordError::Lifetime);
        };
        self.output.clear();
        let mut out = Records(&mut self.output);
        out.text(&peer).bytes(&content.value).text(&content.sequence);
        out.number(end.as_millis() as u64).number(content.ttl.as_millis() as u64);
        self.output_at = self.output.as_ptr() as usize;
        self.output.len() as i32
    }
}
