//! Public vectors for varints and multibases.

use polypeer::wire::{base, varint};
use serde_json::Value;

#[test]
fn varints() {
    let file: Value =
        serde_json::from_str(include_str!("vectors/varint/unsigned-varint.json")).unwrap();
    for case in file["valid"].as_array().unwrap() {
        let (value, bytes) = (case["value"].as_u64().unwrap(), bytes(&case["hex"]));
        let mut encoded = Vec::new();
        varint::encode(value, &mut encoded);
        assert_eq!(encoded, bytes, "{value}");
        assert_eq!(varint::decode(&bytes), Ok(Some((value, bytes.len()))));
    }
    for case in file["invalid"].as_array().unwrap() {
        let decoded = varint::decode(&bytes(&case["hex"]));
        let error = case["error"].as_str().unwrap();
        match error.split(':').next().unwrap() {
            "overflow" => assert_eq!(decoded, Err(varint::Error::Overflow), "{case}"),
            "not minimal" => assert_eq!(decoded, Err(varint::Error::NotMinimal), "{case}"),
            // What a stream may still complete.
            "unexpected end" | "end of input" => assert_eq!(decoded, Ok(None), "{case}"),
            _ => panic!("unknown expectation in {case}"),
        }
    }
}

/// The bases that peer ids and addresses are written in. The others (octal,
/// padded forms, emoji…) stand for nothing in libp2p and must be refused.
const KNOWN: [&str; 9] = [
    "base16",
    "base16upper",
    "base32",
    "base32upper",
    "base36",
    "base36upper",
    "base58btc",
    "base64",
    "base64url",
];

#[test]
fn multibases() {
    for (file, expected) in [
        (include_str!("vectors/multibase/basic.csv"), &b"yes mani !"[..]),
        (include_str!("vectors/multibase/leading_zero.csv"), b"\x00yes mani !"),
        (include_str!("vectors/multibase/two_leading_zeros.csv"), b"\x00\x00yes mani !"),
        (include_str!("vectors/multibase/case_insensitivity.csv"), b"hello world"),
    ] {
        let mut known = 0;
        for line in file.lines().skip(1) {
            let (name, text) = line.split_once(',').unwrap();
            let text = text.trim().trim_matches('"');
            if KNOWN.contains(&name) {
                known += 1;
                assert_eq!(base::decode(text).as_deref(), Ok(expected), "{line}");
            } else {
                assert_eq!(base::decode(text), Err(base::Error::UnknownBase), "{line}");
            }
            match name {
                "base32" if !file.starts_with("non-canonical") => {
                    assert_eq!(base::encode_base32(expected), text);
                }
                "base58btc" => assert_eq!(base::encode_base58(expected), text[1..]),
                "base64url" => assert_eq!(base::encode_base64_url(expected), text),
                _ => {}
            }
        }
        assert!(known >= 6);
    }
}

fn bytes(hex: &Value) -> Vec<u8> {
    hex::decode(hex.as_str().unwrap()).unwrap()
}
