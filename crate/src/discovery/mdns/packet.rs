//! DNS messages, as far as mDNS discovery needs them: questions, and records of the
//! types PTR and TXT.
//!
//! Source: RFC 1035 section 4 (format), RFC 6762 section 18 (multicast).

/// Bytes of a message, at most: what multicast DNS allows (RFC 6762 section 17).
pub const MAX_PACKET: usize = 9000;
/// Questions and records of a message that are looked at.
const MAX_ENTRIES: usize = 256;
/// Bytes of a name (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 255;
/// Pointers that a name may follow: each name needs two at most.
const MAX_POINTERS: usize = 8;

const HEADER_LEN: usize = 12;
const ANSWER: u16 = 0x8400;
const IN: u16 = 1;
/// Of the class of a record: what was known of its name is no more (RFC 6762
/// section 10.2). Of a question: the answer may come to the asker alone.
const TOP_BIT: u16 = 0x8000;

/// The types of record that there are here.
pub(super) const PTR: u16 = 12;
pub(super) const TXT: u16 = 16;
const ANY: u16 = 255;

/// What a message says; names in lower case, without a dot at the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) is_answer: bool,
    /// Names that are asked for, with the type of record.
    pub(super) questions: Vec<(String, u16)>,
    pub(super) records: Vec<Record>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) name: String,
    /// Seconds that it holds.
    pub(super) ttl: u32,
    pub(super) data: Data,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Data {
    /// The name that it points to.
    Ptr(String),
    /// Its strings, of 255 bytes at most.
    Txt(Vec<Vec<u8>>),
}

impl Message {
    pub(super) fn asks(&self, name: &str, kind: u16) -> bool {
        !self.is_answer
            && self.questions.iter().any(|(asked, of)| asked == name && (*of == kind || *of == ANY))
    }

    /// Reads as much as can be understood; nothing of a message that breaks off.
    pub(super) fn read(packet: &[u8]) -> Option<Self> {
        let mut reader = Reader { packet: packet.get(..packet.len().min(MAX_PACKET))?, at: 2 };
        let flags = reader.u16()?;
        let questions = reader.u16()?;
        let records = [reader.u16()?, reader.u16()?, reader.u16()?];
        let mut message = Self { is_answer: flags & 0x8000 != 0, ..Self::default() };
        for _ in 0..usize::from(questions).min(MAX_ENTRIES) {
            let name = reader.name()?;
            let (kind, _class) = (reader.u16()?, reader.u16()?);
            message.questions.push((name, kind));
        }
        if usize::from(questions) > MAX_ENTRIES {
            return Some(message);
        }
        let records: usize = records.into_iter().map(usize::from).sum();
        for _ in 0..records.min(MAX_ENTRIES) {
            if let Some(record) = reader.record()? {
                message.records.push(record);
            }
        }
        Some(message)
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = vec![0; HEADER_LEN];
        let flags = if self.is_answer { ANSWER } else { 0 };
        out[2..4].copy_from_slice(&flags.to_be_bytes());
        out[4..6].copy_from_slice(&(self.questions.len() as u16).to_be_bytes());
        out[6..8].copy_from_slice(&(self.records.len() as u16).to_be_bytes());
        for (name, kind) in &self.questions {
            write_name(&mut out, name);
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&IN.to_be_bytes());
        }
        for record in &self.records {
            record.write(&mut out);
        }
        out
    }
}

impl Record {
    fn write(&self, out: &mut Vec<u8>) {
        write_name(out, &self.name);
        let (kind, class) = match &self.data {
            // Others have records with this name too.
            Data::Ptr(_) => (PTR, IN),
            Data::Txt(_) => (TXT, IN | TOP_BIT),
        };
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&class.to_be_bytes());
        out.extend_from_slice(&self.ttl.to_be_bytes());
        let length_at = out.len();
        out.extend_from_slice(&[0, 0]);
        match &self.data {
            Data::Ptr(name) => write_name(out, name),
            Data::Txt(strings) => {
                for string in strings {
                    out.push(string.len() as u8);
                    out.extend_from_slice(string);
                }
            }
        }
        let length = (out.len() - length_at - 2) as u16;
        out[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }
}

/// `name` has labels of 63 bytes at most: see [`super::ServiceName`].
fn write_name(out: &mut Vec<u8>, name: &str) {
    for label in name.split('.') {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
}

struct Reader<'a> {
    packet: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let bytes = self.packet.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk().copied().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk().copied().map(u32::from_be_bytes)
    }

    /// A record; none inside if it is of a type that is of no use here.
    fn record(&mut self) -> Option<Option<Record>> {
        let name = self.name()?;
        let (kind, class, ttl) = (self.u16()?, self.u16()?, self.u32()?);
        let length = self.u16()?;
        let mut data = Reader { packet: self.packet, at: self.at };
        self.take(length.into())?;
        if class & !TOP_BIT != IN {
            return Some(None);
        }
        let data = match kind {
            PTR => Data::Ptr(data.name()?),
            TXT => {
                let mut strings = Vec::new();
                while data.at < self.at {
                    let length = data.take(1)?[0];
                    strings.push(data.take(length.into()).filter(|_| data.at <= self.at)?.to_vec());
                }
                Data::Txt(strings)
            }
            _ => return Some(None),
        };
        Some(Some(Record { name, ttl, data }))
    }

    /// A name. Bytes that are not ASCII are of no name that is waited for; they stay
    /// apart from others as replacement characters.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let mut at = self.at;
        let (mut pointers, mut total) = (0, 0);
        loop {
            let length = usize::from(*self.packet.get(at)?);
            match length >> 6 {
                0 if length == 0 => {
                    if pointers == 0 {
                        self.at = at + 1;
                    }
                    return Some(name);
                }
                0 => {
                    let label = self.packet.get(at + 1..at + 1 + length)?;
                    if !name.is_empty() {
                        name.push('.');
                    }
                    for byte in label {
                        let byte = byte.to_ascii_lowercase();
                        name.push(if byte.is_ascii() { byte.into() } else { '\u{fffd}' });
                    }
                    total += 1 + length;
                    if total >= MAX_NAME {
                        return None;
                    }
                    at += 1 + length;
                }
                3 => {
                    let low = usize::from(*self.packet.get(at + 1)?);
                    if pointers == 0 {
                        self.at = at + 2;
                    }
                    pointers += 1;
                    let to = (length & 0x3f) << 8 | low;
                    // Only back, as names are written, so that no name goes in circles.
                    if pointers > MAX_POINTERS || to >= at {
                        return None;
                    }
                    at = to;
                }
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(name: &str, ttl: u32, data: Data) -> Record {
        Record { name: name.into(), ttl, data }
    }

    #[test]
    fn names_may_point_back_and_nowhere_else() {
        // As in RFC 1035 section 4.1.4: F.ISI.ARPA, then FOO.F.ISI.ARPA by a pointer.
        let mut packet = vec![0; 12];
        packet.extend_from_slice(b"\x01F\x03ISI\x04ARPA\0\x03FOO\xc0\x0c");
        let mut reader = Reader { packet: &packet, at: 12 };
        assert_eq!(reader.name().unwrap(), "f.isi.arpa");
        assert_eq!(reader.name().unwrap(), "foo.f.isi.arpa");
        assert_eq!(reader.at, packet.len());
        for bad in [&b"\xc0\x0c"[..], b"\xc0\x0d", b"\xc0\xff", b"\xc0", b"\x03ab", b"\x40", b""] {
            let packet = [&[0; 12], bad].concat();
            assert_eq!(Reader { packet: &packet, at: 12 }.name(), None, "{bad:?}");
        }
    }

    #[test]
    fn other_records_are_passed_over_and_broken_ones_end_it() {
        let message = Message {
            is_answer: true,
            questions: Vec::new(),
            records: vec![record("a.local", 1, Data::Txt(vec![b"x".to_vec()]))],
        };
        let mut packet = message.write();
        // An address before it: type A, class IN.
        let address = [&b"\x01b\0\0\x01\0\x01\0\0\0\x09\0\x04"[..], &[192, 0, 2, 1]].concat();
        packet.splice(12..12, address);
        packet[7] = 2;
        assert_eq!(Message::read(&packet).unwrap(), message);
        for length in 0..packet.len() {
            assert_eq!(Message::read(&packet[..length]), None, "{length}");
        }
        // A string that is longer than its record.
        let mut packet = message.write();
        let at = packet.len() - 2;
        packet[at] = 9;
        assert_eq!(Message::read(&packet), None);
    }

    fn name() -> impl Strategy<Value = String> {
        proptest::collection::vec("[a-z0-9_-]{1,40}", 1..4).prop_map(|labels| labels.join("."))
    }

    fn data() -> impl Strategy<Value = Data> {
        let string = proptest::collection::vec(any::<u8>(), 0..=255);
        prop_oneof![
            name().prop_map(Data::Ptr),
            proptest::collection::vec(string, 0..4).prop_map(Data::Txt),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            is_answer: bool,
            questions in proptest::collection::vec((name(), any::<u16>()), 0..4),
            records in proptest::collection::vec((name(), any::<u32>(), data()), 0..4),
        ) {
            let records = records.into_iter()
                .map(|(name, ttl, data)| Record { name, ttl, data })
                .collect();
            let message = Message { is_answer, questions, records };
            let packet = message.write();
            if packet.len() <= MAX_PACKET {
                prop_assert_eq!(Message::read(&packet), Some(message));
            }
        }

        #[test]
        fn nothing_panics(packet in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = Message::read(&packet);
        }
    }
}
