use proptest::prelude::*;

use super::*;
use crate::Rng;

fn names(list: &[&str]) -> Vec<Name> {
    list.iter().map(|name| Name::from(*name)).collect()
}

fn line(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    super::line::write(text, &mut out);
    out
}

fn lines(list: &[&str]) -> Vec<u8> {
    list.iter().flat_map(|text| line(text)).collect()
}

type Heard = (Result<(usize, Option<Name>), Error>, Vec<u8>);

/// Answers of a listener that supports `/yes` and gets `input` in `chunk`-byte pieces.
fn listen(input: &[u8], chunk: usize) -> Heard {
    let (mut listener, mut out, mut consumed) = (Listener::new(), Vec::new(), 0);
    for piece in input.chunks(chunk.max(1)) {
        let names = || names(&["/yes", "/never/chosen"]);
        match listener.receive(piece, &|name| name == "/yes", &names, &mut out) {
            Ok((count, None)) => {
                assert_eq!(count, piece.len());
                consumed += count;
            }
            Ok((count, agreed)) => return (Ok((consumed + count, agreed)), out),
            Err(error) => return (Err(error), out),
        }
    }
    (Ok((consumed, None)), out)
}

#[test]
fn the_wire_is_that_of_the_specification() {
    assert_eq!(line("na"), [0x03, 0x6e, 0x61, 0x0a]);
    let mut out = Vec::new();
    let dialer = Dialer::new(names(&["/a"]), &mut out).unwrap();
    assert_eq!(out, b"\x13/multistream/1.0.0\n\x03/a\n");
    assert_eq!(dialer.lazy(), Some(&Name::from("/a")));
    let (result, out) = listen(&lines(&[HEADER, "ls"]), usize::MAX);
    assert_eq!(result.unwrap().1, None);
    assert_eq!(out, b"\x13/multistream/1.0.0\n\x16\x05/yes\n\x0e/never/chosen\n\n");
}

#[test]
fn agrees_at_every_chunking_and_takes_nothing_after_the_agreement() {
    for chunk in 1..64 {
        for proposals in [vec!["/yes"], vec!["/no", "/yes"], vec!["/no", "/nope", "/yes", "/x"]] {
            let mut to_listener = Vec::new();
            let (mut to_dialer, mut dialed, mut accepted) = (Vec::new(), None, None);
            let mut dialer = Dialer::new(names(&proposals), &mut to_listener).unwrap();
            assert_eq!(dialer.lazy().is_some(), proposals.len() == 1);
            let mut listener = Listener::new();
            while dialed.is_none() {
                let sent = core::mem::take(&mut to_listener);
                for piece in sent.chunks(chunk) {
                    let (count, name) = listener
                        .receive(piece, &|name| name == "/yes", &Vec::new, &mut to_dialer)
                        .unwrap();
                    assert_eq!(count, piece.len());
                    accepted = name;
                }
                let mut sent = core::mem::take(&mut to_dialer);
                let own = sent.len();
                sent.extend_from_slice(b"\x03data of the protocol");
                let mut consumed = 0;
                for piece in sent[..own].chunks(chunk) {
                    let rest = &sent[consumed..consumed + piece.len()];
                    let (count, name) = dialer.receive(rest, &mut to_listener).unwrap();
                    consumed += count;
                    dialed = name;
                }
                assert_eq!(consumed, own);
                if dialed.is_some() {
                    let again = dialer.receive(&sent[own..], &mut to_listener).unwrap();
                    assert_eq!(again, (0, dialed.clone()));
                }
            }
            assert_eq!(dialed.as_deref(), Some("/yes"));
            assert_eq!(dialed, accepted);
        }
    }
}

#[test]
fn data_in_the_same_flight_is_left_alone() {
    let mut input = lines(&[HEADER, "/yes"]);
    let own = input.len();
    input.extend_from_slice(b"\x05data\nmore");
    let (result, out) = listen(&input, usize::MAX);
    assert_eq!(result, Ok((own, Some("/yes".into()))));
    assert_eq!(out, lines(&[HEADER, "/yes"]));
    let mut dialer = Dialer::new(names(&["/yes"]), &mut Vec::new()).unwrap();
    assert_eq!(dialer.receive(&input, &mut Vec::new()), Ok((own, Some("/yes".into()))));
}

#[test]
fn errors_are_typed() {
    for chunk in [1, 3, usize::MAX] {
        for (input, error) in [
            (line("/multistream/2.0.0"), Error::Header),
            (b"\x03hey".to_vec(), Error::Header),
            (vec![0], Error::Header),
            (vec![0x80, 0], Error::Header),
            (b"\xff\xffGET / HTTP/1.1".to_vec(), Error::LineTooLong),
            ([line(HEADER), vec![0]].concat(), Error::Malformed),
            ([line(HEADER), b"\x04/yes".to_vec()].concat(), Error::Malformed),
            ([line(HEADER), vec![0x80, 0]].concat(), Error::Malformed),
            ([line(HEADER), vec![0x81, 0x08]].concat(), Error::LineTooLong),
            ([line(HEADER), vec![0x80, 0x80, 0x80]].concat(), Error::LineTooLong),
        ] {
            assert_eq!(listen(&input, chunk).0, Err(error), "{input:?}");
        }
    }
    let dial = |input: &[u8]| {
        let mut dialer = Dialer::new(names(&["/a", "/b"]), &mut Vec::new()).unwrap();
        dialer.receive(input, &mut Vec::new())
    };
    assert_eq!(dial(&line("/plaintext/1.0.0")), Err(Error::Header));
    assert_eq!(dial(&lines(&[HEADER, "/b"])), Err(Error::Unexpected));
    assert_eq!(dial(&lines(&[HEADER, "na", "na"])), Err(Error::Refused));
    assert_eq!(dial(&lines(&[HEADER, "na", "/b"])).unwrap().1.as_deref(), Some("/b"));
}

#[test]
fn own_proposals_are_checked() {
    let dial = |list: &[&str]| Dialer::new(names(list), &mut Vec::new()).err();
    assert_eq!(dial(&[]), Some(Error::NothingToPropose));
    let long = "x".repeat(MAX_LINE);
    for bad in ["", "a\nb", "na", "ls", HEADER, &long] {
        assert_eq!(dial(&["/a", bad]), Some(Error::BadName(bad.into())));
    }
    assert_eq!(dial(&[&long[1..]]), None);
}

#[test]
fn names_that_are_no_text_are_not_available() {
    let input = [line(HEADER), vec![3, 0xff, 0xfe, b'\n'], line("na")].concat();
    let (result, out) = listen(&input, 1);
    assert_eq!(result.unwrap().1, None);
    assert_eq!(out, lines(&[HEADER, "na", "na"]));
}

#[test]
fn limit_of_the_line_is_reached() {
    let longest = "x".repeat(MAX_LINE - 1);
    let (result, out) = listen(&lines(&[HEADER, &longest]), 1);
    assert_eq!(result.unwrap().1, None);
    assert_eq!(out, lines(&[HEADER, "na"]));
    let longer = "x".repeat(MAX_LINE);
    assert_eq!(listen(&lines(&[HEADER, &longer]), 1).0, Err(Error::LineTooLong));
}

#[test]
fn limit_of_proposals_is_reached() {
    let mut input = line(HEADER);
    for _ in 0..MAX_PROPOSALS {
        input.extend(line("/no"));
    }
    assert_eq!(listen(&input, 7).0, Ok((input.len(), None)));
    input.extend(line("ls"));
    assert_eq!(listen(&input, 7).0, Err(Error::TooManyProposals));
}

#[test]
fn limit_of_bytes_is_reached() {
    let mut input = line(HEADER);
    while input.len() <= MAX_BYTES - MAX_LINE - 2 {
        input.extend(line(&"x".repeat(MAX_LINE - 1)));
    }
    assert_eq!(listen(&input, 100).0, Ok((input.len(), None)));
    input.extend(line(&"x".repeat(MAX_LINE - 1)));
    assert_eq!(listen(&input, 100).0, Err(Error::TooManyBytes));
}

#[test]
fn limit_of_the_listing_is_reached() {
    let all: Vec<Name> = (0..1000).map(|n| format!("/{n:0>60}").into()).collect();
    let mut out = Vec::new();
    let input = lines(&[HEADER, "ls"]);
    Listener::new().receive(&input, &|_| false, &|| all.clone(), &mut out).unwrap();
    let listing = &out[line(HEADER).len()..];
    let (length, start) = crate::wire::varint::decode(listing).unwrap().unwrap();
    assert_eq!(listing.len() - start, length as usize);
    assert!(length as usize <= MAX_LISTING && length as usize > MAX_LISTING - 100);
    let (_, out) = listen(&lines(&[HEADER, "ls", "ls"]), usize::MAX);
    assert!(out.ends_with(b"\x0e/never/chosen\n\n\x03na\n"));
}

#[test]
fn noise_is_a_typed_error_or_an_answer() {
    let mut rng = Rng::from_number(1);
    for _ in 0..10_000 {
        let mut input = lines(&[HEADER, "/no", "ls", "/yes"]);
        for _ in 0..=rng.below(3) {
            match rng.below(4) {
                0 => input.truncate(rng.below(input.len() as u64) as usize + 1),
                1 => {
                    let at = rng.below(input.len() as u64) as usize;
                    input[at] ^= 1 << rng.below(8);
                }
                2 => {
                    let at = rng.below(input.len() as u64) as usize;
                    input.insert(at, rng.next_u64() as u8);
                }
                _ => {
                    let by = rng.below(30) as usize % input.len();
                    input.rotate_left(by);
                }
            }
        }
        let chunk = rng.below(40) as usize + 1;
        let (whole, whole_out) = listen(&input, usize::MAX);
        let (pieces, pieces_out) = listen(&input, chunk);
        assert_eq!(whole, pieces);
        assert!(whole.is_err() || whole_out == pieces_out);
        assert!(whole_out.len() <= 20 + 40 * input.len());
        let mut dialer = Dialer::new(names(&["/no", "/yes"]), &mut Vec::new()).unwrap();
        let _ = dialer.receive(&input, &mut Vec::new());
    }
}

proptest! {
    #[test]
    fn any_name_round_trips(name in "[^\n]{1,300}", chunk in 1usize..400) {
        prop_assume!(![HEADER, NOT_AVAILABLE, LIST].contains(&name.as_str()));
        prop_assume!(name.len() < MAX_LINE);
        let (mut to_listener, mut to_dialer, mut agreed) = (Vec::new(), Vec::new(), None);
        let mut dialer = Dialer::new(names(&[&name]), &mut to_listener).unwrap();
        let mut listener = Listener::new();
        for piece in to_listener.chunks(chunk) {
            agreed = listener.receive(piece, &|other| other == name, &Vec::new, &mut to_dialer)
                .unwrap().1;
        }
        prop_assert_eq!(agreed.as_deref(), Some(name.as_str()));
        prop_assert_eq!(dialer.receive(&to_dialer, &mut Vec::new()).unwrap().1, agreed);
    }
}
