//! CBOR, as much of it as a record's data needs: one map of numbers, bytes and text.
//!
//! Source: RFC 8949; the strictness is that of DAG-CBOR (IPLD, "DAG-CBOR
//! Specification"): definite lengths, numbers in their shortest form, text as keys.
//! Values of other kinds, which applications may add, are passed over.

/// The bytes are no map in DAG-CBOR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Lists and maps within each other that are passed over: more than anybody means, and
/// no deep stack.
const MAX_DEPTH: usize = 16;

const NUMBER: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const MAP: u8 = 5;

/// A value of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Text(&'a str),
    Other,
}

/// The entries of a map that is all of the bytes.
pub(super) struct Entries<'a> {
    rest: &'a [u8],
    left: u64,
}

impl<'a> Entries<'a> {
    pub(super) fn of(mut bytes: &'a [u8]) -> Result<Self, Malformed> {
        match head(&mut bytes)? {
            (MAP, left) => Ok(Self { rest: bytes, left }),
            _ => Err(Malformed),
        }
    }

    fn entry(&mut self) -> Result<(&'a str, Item<'a>), Malformed> {
        let Item::Text(key) = item(&mut self.rest, MAX_DEPTH)? else { return Err(Malformed) };
        Ok((key, item(&mut self.rest, MAX_DEPTH)?))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(&'a str, Item<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            // Bytes behind the map are an error, told once.
            return (!core::mem::take(&mut self.rest).is_empty()).then_some(Err(Malformed));
        }
        self.left -= 1;
        let entry = self.entry();
        if entry.is_err() {
            (self.rest, self.left) = (&[], 0);
        }
        Some(entry)
    }
}

/// The kind of an item and its number or length.
fn head(bytes: &mut &[u8]) -> Result<(u8, u64), Malformed> {
    let [first] = *take(bytes, 1)? else { return Err(Malformed) };
    let (kind, short) = (first >> 5, first & 0x1f);
    let width = match short {
        0..24 => return Ok((kind, short.into())),
        24..28 => 1 << (short - 24),
        _ => return Err(Malformed),
    };
    let digits = take(bytes, width)?;
    let number = digits.iter().fold(0, |number, digit| number << 8 | u64::from(*digit));
    // What has a shorter form is to have it; floats are no numbers of this kind.
    let least = if width == 1 { 24 } else { 1 << (4 * width) };
    if number < least && kind != 7 {
        return Err(Malformed);
    }
    Ok((kind, number))
}

fn take<'a>(bytes: &mut &'a [u8], length: u64) -> Result<&'a [u8], Malformed> {
    let length = usize::try_from(length).map_err(|_| Malformed)?;
    let (taken, rest) = bytes.split_at_checked(length).ok_or(Malformed)?;
    *bytes = rest;
    Ok(taken)
}

fn item<'a>(bytes: &mut &'a [u8], depth: usize) -> Result<Item<'a>, Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed)?;
    let (kind, number) = head(bytes)?;
    let within = match kind {
        NUMBER => return Ok(Item::Number(number)),
        BYTES => return take(bytes, number).map(Item::Bytes),
        TEXT => {
            let text = core::str::from_utf8(take(bytes, number)?).map_err(|_| Malformed)?;
            return Ok(Item::Text(text));
        }
        // Each item has a byte at least: who promises more runs out of bytes.
        4 => number,
        MAP => number.saturating_mul(2),
        // A tag stands before one item.
        6 => 1,
        // A negative number, a float, a truth.
        _ => 0,
    };
    for _ in 0..within {
        item(bytes, depth)?;
    }
    Ok(Item::Other)
}

/// Writes a map whose keys come in DAG-CBOR's order: the shorter first, then by bytes.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// A map of so many entries.
    pub(super) fn map(entries: u64) -> Self {
        let mut writer = Self(Vec::new());
        writer.head(MAP, entries);
        writer
    }

    pub(super) fn number(mut self, key: &str, value: u64) -> Self {
        self.key(key).head(NUMBER, value);
        self
    }

    pub(super) fn bytes(mut self, key: &str, value: &[u8]) -> Self {
        self.key(key).head(BYTES, value.len() as u64);
        self.0.extend(value);
        self
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn key(&mut self, key: &str) -> &mut Self {
        self.head(TEXT, key.len() as u64);
        self.0.extend(key.as_bytes());
        self
    }

    fn head(&mut self, kind: u8, number: u64) {
        let kind = kind << 5;
        let digits = number.to_be_bytes();
        let (short, width) = match number {
            0..24 => return self.0.push(kind | number as u8),
            24..0x100 => (24, 1),
            0x100..0x1_0000 => (25, 2),
            0x1_0000..0x1_0000_0000 => (26, 4),
            _ => (27, 8),
        };
        self.0.push(kind | short);
        self.0.extend(digits.iter().skip(8 - width));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(hex: &str) -> Result<Vec<(String, Item<'static>)>, Malformed> {
        let bytes = hex::decode(hex).unwrap().leak();
        Entries::of(bytes)?.map(|entry| entry.map(|(key, item)| (key.to_owned(), item))).collect()
    }

    #[test]
    fn what_is_written_is_read_and_has_the_bytes_of_the_rfc() {
        // RFC 8949, appendix A: numbers in each width.
        for (number, hex) in [
            (0, "00"),
            (23, "17"),
            (24, "1818"),
            (255, "18ff"),
            (256, "190100"),
            (1_000_000, "1a000f4240"),
            (1_000_000_000_000, "1b000000e8d4a51000"),
            (u64::MAX, "1bffffffffffffffff"),
        ] {
            let written = Writer::map(2).number("a", number).bytes("b", &[1, 2]).finish();
            assert_eq!(hex::encode(&written), format!("a26161{hex}6162420102"));
            let read = read(&hex::encode(written)).unwrap();
            let expected = [("a".into(), Item::Number(number)), ("b".into(), Item::Bytes(&[1, 2]))];
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn other_kinds_are_passed_over() {
        // {"x": [1, {"y": -1}, 42(h'00')], "f": 1.5, "n": null, "a": "b"}
        let hex = "a4617883 01 a1617920 d82a4100 6166fb3ff8000000000000 616ef6 61616162";
        let read = read(&hex.replace(' ', "")).unwrap();
        assert_eq!(read.last(), Some(&("a".into(), Item::Text("b"))));
        assert_eq!(read.iter().filter(|(_, item)| *item == Item::Other).count(), 3);
    }

    #[test]
    fn what_is_not_dag_cbor_is_refused() {
        for hex in [
            "",           // nothing
            "80",         // a list
            "a1",         // no entry
            "a16161",     // no value
            "a1016161",   // a key that is no text
            "a161611817", // a number that has a shorter form
            "a16161190017",
            "a161611a0000ffff",
            "a161611b00000000ffffffff",
            "bf616101ff",             // indefinite length
            "a161615fff",             // bytes of indefinite length
            "a161614500",             // bytes that are cut off
            "a161616261",             // text that is cut off
            "a1616161ff",             // text that is none
            "a1616100ff",             // more behind the map
            "a161619bffffffffffffff", // a list as long as memory, cut off
            "a161619bffffffffffffffff",
            "a16161bbffffffffffffffff",
        ] {
            assert!(read(hex).is_err(), "{hex}");
        }
        let deep = format!("a16161{}00", "81".repeat(MAX_DEPTH));
        assert!(read(&deep).is_err());
        assert!(read(&format!("a16161{}00", "81".repeat(MAX_DEPTH - 1))).is_ok());
    }
}
