//! Protocol Buffers, read field by field.
//!
//! Nothing is allocated while reading, so each message decides what it keeps, and
//! how many, before memory is spent on it: a field of two bytes that is repeated
//! a million times costs a remote's bandwidth and not our memory.
//!
//! Source: "Protocol Buffers", Encoding. Groups, which no libp2p message has, are
//! refused.

use thiserror::Error;

/// The bytes are no protobuf message, or not of the expected shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the bytes are no protobuf message of this kind")]
pub struct Malformed;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number of any integer type, `bool` and `enum` too.
    Number(u64),
    /// Bytes, text, or a message.
    Bytes(&'a [u8]),
    /// Eight bytes.
    Fixed64(u64),
    /// Four bytes.
    Fixed32(u32),
}

impl<'a> Value<'a> {
    /// The number, if this is one.
    pub fn number(self) -> Result<u64, Malformed> {
        match self {
            Self::Number(number) => Ok(number),
            _ => Err(Malformed),
        }
    }

    /// The eight bytes as a number, if these are some.
    pub fn fixed64(self) -> Result<u64, Malformed> {
        match self {
            Self::Fixed64(number) => Ok(number),
            _ => Err(Malformed),
        }
    }

    /// The bytes, if these are some.
    pub fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed),
        }
    }

    /// The text, if this is UTF-8.
    pub fn text(self) -> Result<&'a str, Malformed> {
        core::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }
}

/// The fields of a message, in the order of the wire.
///
/// ```
/// use polypeer::wire::protobuf::{Reader, Value, Writer};
/// let mut bytes = Vec::new();
/// Writer(&mut bytes).number(1, 150).bytes(2, b"testing");
/// assert_eq!(bytes[..3], [0x08, 0x96, 0x01]);
/// let fields: Vec<_> = Reader(&bytes).collect::<Result<_, _>>().unwrap();
/// assert_eq!(fields, [(1, Value::Number(150)), (2, Value::Bytes(b"testing"))]);
/// ```
#[derive(Clone, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if shift == 63 && bits > 1 {
                return Err(Malformed);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).map_err(|_| Malformed)?;
        if number == 0 || number >= 1 << 29 {
            return Err(Malformed);
        }
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Fixed64(little_endian(self.take(8)?)),
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(little_endian(self.take(4)?) as u32),
            _ => return Err(Malformed),
        };
        Ok((number, value))
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// Appends the fields of a message.
pub struct Writer<'a>(pub &'a mut Vec<u8>);

impl Writer<'_> {
    fn varint(&mut self, value: u64) {
        let mut rest = value;
        while rest >= 0x80 {
            self.0.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
    }

    /// A number.
    pub fn number(&mut self, field: u32, value: u64) -> &mut Self {
        self.varint(u64::from(field) << 3);
        self.varint(value);
        self
    }

    /// Bytes, text, or an encoded message.
    pub fn bytes(&mut self, field: u32, value: &[u8]) -> &mut Self {
        self.head(field, value.len()).0.extend_from_slice(value);
        self
    }

    /// What stands before bytes that follow.
    pub(crate) fn head(&mut self, field: u32, length: usize) -> &mut Self {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(length as u64);
        self
    }

    /// Bytes that are left out when they are empty, as proto3 wants it.
    pub fn some_bytes(&mut self, field: u32, value: &[u8]) -> &mut Self {
        if value.is_empty() { self } else { self.bytes(field, value) }
    }

    /// A number that is left out when it is zero, as proto3 wants it.
    pub fn some_number(&mut self, field: u32, value: u64) -> &mut Self {
        if value == 0 { self } else { self.number(field, value) }
    }

    /// A number in eight bytes that is left out when it is zero, as proto3 wants it.
    pub fn some_fixed64(&mut self, field: u32, value: u64) -> &mut Self {
        if value != 0 {
            self.varint(u64::from(field) << 3 | 1);
            self.0.extend_from_slice(&value.to_le_bytes());
        }
        self
    }

    /// A message that `write` writes.
    pub fn message(&mut self, field: u32, write: impl FnOnce(&mut Writer<'_>)) -> &mut Self {
        self.varint(u64::from(field) << 3 | 2);
        let start = self.0.len();
        write(self);
        // The length goes in front, for which most bodies have to move a byte.
        let length = self.0.len() - start;
        self.varint(length as u64);
        let prefix = self.0.len() - start - length;
        if let Some(message) = self.0.get_mut(start..) {
            message.rotate_right(prefix);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    #[derive(Clone, PartialEq, Message)]
    struct Oracle {
        #[prost(uint64, optional, tag = "1")]
        number: Option<u64>,
        #[prost(bytes = "vec", repeated, tag = "2")]
        bytes: Vec<Vec<u8>>,
        #[prost(string, optional, tag = "300")]
        text: Option<String>,
        #[prost(fixed32, optional, tag = "4")]
        four: Option<u32>,
        #[prost(fixed64, optional, tag = "5")]
        eight: Option<u64>,
    }

    /// As prost reads it, by our reader.
    fn read(bytes: &[u8]) -> Result<Oracle, Malformed> {
        let mut message = Oracle::default();
        for field in Reader(bytes) {
            match field? {
                (1, value) => message.number = Some(value.number()?),
                (2, value) => message.bytes.push(value.bytes()?.to_vec()),
                (300, value) => message.text = Some(value.text()?.into()),
                (4, Value::Fixed32(value)) => message.four = Some(value),
                (5, Value::Fixed64(value)) => message.eight = Some(value),
                (4 | 5, _) => return Err(Malformed),
                _ => {}
            }
        }
        Ok(message)
    }

    proptest! {
        #[test]
        fn reads_and_writes_as_prost_does(
            number: Option<u64>,
            bytes: Vec<Vec<u8>>,
            text: Option<String>,
            four: Option<u32>,
            eight: Option<u64>,
        ) {
            let message = Oracle { number, bytes, text, four, eight };
            prop_assert_eq!(read(&message.encode_to_vec()).unwrap(), message.clone());
            let mut out = Vec::new();
            let mut writer = Writer(&mut out);
            if let Some(number) = message.number {
                writer.number(1, number);
            }
            for bytes in &message.bytes {
                writer.bytes(2, bytes);
            }
            if let Some(text) = &message.text {
                writer.bytes(300, text.as_bytes());
            }
            let written = Oracle { four: None, eight: None, ..message };
            prop_assert_eq!(Oracle::decode(&*out).unwrap(), written);
        }

        #[test]
        fn accepts_of_any_bytes_what_prost_accepts(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            match (Oracle::decode(&*bytes), read(&bytes)) {
                (Ok(theirs), Ok(ours)) => prop_assert_eq!(theirs, ours),
                (Err(_), Ok(ours)) => prop_assert!(false, "we took {:?}", ours),
                // Groups are theirs alone.
                _ => {}
            }
        }
    }

    #[test]
    fn a_message_within() {
        let mut out = Vec::new();
        Writer(&mut out).message(3, |inner| {
            inner.some_number(1, 0).some_bytes(2, b"").number(4, u64::MAX);
        });
        let (3, Value::Bytes(inner)) = Reader(&out).next().unwrap().unwrap() else { panic!() };
        assert_eq!(Reader(inner).collect::<Vec<_>>(), [Ok((4, Value::Number(u64::MAX)))]);
    }

    #[test]
    fn refuses_what_is_cut_short_or_too_large() {
        let cases: [&[u8]; 7] = [
            &[0x08],
            &[0x12, 5, 1],
            &[0x0b],                                                             // a group
            &[0x00, 0],                                                          // field zero
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], // 65 bits
            &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], // 2^64 - 1 bytes
            &[0x09, 1, 2, 3],
        ];
        for case in cases {
            assert_eq!(Reader(case).collect::<Vec<_>>(), [Err(Malformed)]);
        }
    }
}
