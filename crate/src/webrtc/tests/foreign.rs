//! Remotes that know nothing of our windows, and hostile ones.

use super::*;
use crate::connection::StreamError;
use crate::webrtc::record::{self, Kind, REMOTE};
use crate::webrtc::{HOLD_WAITING_IN_ALL, MAX_WAITING, MAX_WAITING_IN_ALL};
use crate::wire::protobuf::Writer;
use crate::wire::varint;

const FIN: u64 = 0;
const STOP_SENDING: u64 = 1;
const RESET: u64 = 2;
const FIN_ACK: u64 = 3;

/// What came of our side: channel, flag and data of a message, or its close.
#[derive(Debug, PartialEq)]
enum Said {
    Open(u32),
    Message(u32, Option<u64>, Vec<u8>),
    Close(u32),
    Hold(u32),
    Release(u32),
}

struct Remote {
    connection: Connection,
    now: Instant,
}

impl Remote {
    fn new() -> Self {
        let carrier = Carrier::Signalled { peer: keypair(2).peer_id() };
        let connection = connection(1, Role::Responder, &carrier, None);
        Self { connection, now: Instant::ZERO }
    }

    fn record(&mut self, kind: Kind, channel: u32, body: &[u8]) {
        let mut pipe = Vec::new();
        record::write(&mut pipe, kind, channel, body);
        self.connection.receive(self.now, &mut pipe);
    }

    fn say(&mut self, channel: u32, flag: Option<u64>, data: &[u8]) {
        self.say_all(channel, flag, data, None);
    }

    fn say_all(&mut self, channel: u32, flag: Option<u64>, data: &[u8], credit: Option<u64>) {
        let mut message = Vec::new();
        let mut fields = Writer(&mut message);
        if let Some(flag) = flag {
            fields.number(1, flag);
        }
        if !data.is_empty() {
            fields.bytes(2, data);
        }
        if let Some(credit) = credit {
            fields.number(3, credit);
        }
        let mut whole = Vec::new();
        varint::encode(message.len() as u64, &mut whole);
        whole.extend_from_slice(&message);
        self.record(Kind::Message, channel, &whole);
    }

    /// Opens a channel and agrees on a protocol; its number and the stream.
    fn open(&mut self, nth: u32) -> (u32, StreamId) {
        let channel = REMOTE + nth;
        self.record(Kind::Open, channel, &[]);
        self.say(channel, None, b"\x13/multistream/1.0.0\n\x0c/echo/1.0.0\n");
        let id = inbound(&mut self.connection)[0];
        self.said();
        (channel, id)
    }

    fn said(&mut self) -> Vec<Said> {
        let mut pipe = Vec::new();
        while self.connection.transmit(self.now, &mut pipe, 65_536) > 0 {}
        let mut rest = &pipe[..];
        let records = core::iter::from_fn(|| record::read(&mut rest));
        let mut begun = Vec::new();
        records
            .filter_map(|(kind, channel, body)| match kind {
                Kind::Open => Some(Said::Open(channel)),
                Kind::Close => Some(Said::Close(channel)),
                Kind::Ping => None,
                Kind::Hold => Some(Said::Hold(channel)),
                Kind::Release => Some(Said::Release(channel)),
                Kind::Message => {
                    // What go-libp2p has room for before it knows the length, and
                    // rust-libp2p at any time.
                    assert!(body.len() <= if begun.is_empty() { 4096 } else { 8192 });
                    begun.extend_from_slice(body);
                    let (length, used) = varint::decode(&begun).unwrap().unwrap();
                    if begun.len() - used < length as usize {
                        return None;
                    }
                    let body = core::mem::take(&mut begun);
                    assert_eq!(length as usize, body.len() - used);
                    let (mut flag, mut data) = (None, Vec::new());
                    for field in crate::wire::protobuf::Reader(&body[used..]) {
                        match field.unwrap() {
                            (1, value) => flag = Some(value.number().unwrap()),
                            (2, value) => data = value.bytes().unwrap().to_vec(),
                            _ => {}
                        }
                    }
                    Some(Said::Message(channel, flag, data))
                }
            })
            .collect()
    }
}

/// Whether the reader is told that it was too slow.
fn was_overrun(connection: &mut Connection, id: StreamId) -> bool {
    let overrun = StreamEvent::Failed { stream: id, error: StreamError::Overrun };
    core::iter::from_fn(|| connection.poll_stream()).any(|event| event == overrun)
}

#[test]
fn what_the_reader_has_no_room_for_waits() {
    let mut remote = Remote::new();
    let (channel, id) = remote.open(0);
    let sent: Vec<u8> = (0..MAX_WAITING as u32).map(|byte| (byte * 13) as u8).collect();
    for part in sent.chunks(16_000) {
        remote.say(channel, None, part);
    }
    remote.say(channel, Some(FIN), &[]);
    assert_eq!(remote.said(), [Said::Hold(channel)]);
    let mut all = Vec::new();
    let mut said = Vec::new();
    loop {
        let (bytes, end) = read(&mut remote.connection, id, 200_000);
        all.extend_from_slice(&bytes);
        said.extend(remote.said());
        if let Some(end) = end {
            assert_eq!(end, Read::Finished);
            break;
        }
    }
    assert!(all == sent);
    assert_eq!(said, [Said::Release(channel)]);
    remote.connection.stream(id).unwrap().finish();
    let flag = |flag| Said::Message(channel, Some(flag), vec![]);
    assert_eq!(remote.said(), [flag(FIN), flag(FIN_ACK)]);
}

#[test]
fn a_remote_that_is_held_back_loses_nothing_however_slow_the_reader() {
    const STREAMS: u32 = 4;
    let mut remote = Remote::new();
    let streams: Vec<_> = (0..STREAMS).map(|nth| remote.open(nth)).collect();
    let mut sent = vec![0; streams.len()];
    let mut read_so_far = sent.clone();
    let mut held = vec![false; streams.len()];
    let enough = MAX_WAITING * 5 / 4;
    let (mut holds, mut most) = (0, 0);
    while read_so_far.iter().any(|count| *count < enough) {
        for (nth, (channel, _)) in streams.iter().enumerate() {
            while !held[nth] && sent[nth] < enough {
                remote.say(*channel, None, &[nth as u8; 16_000]);
                sent[nth] += 16_000;
                for said in remote.said() {
                    let (Said::Hold(of) | Said::Release(of)) = said else { panic!("{said:?}") };
                    let nth = streams.iter().position(|(channel, _)| *channel == of).unwrap();
                    held[nth] = matches!(said, Said::Hold(_));
                    holds += usize::from(held[nth]);
                }
            }
        }
        most = most.max(sent.iter().sum::<usize>() - read_so_far.iter().sum::<usize>());
        for (nth, (_, id)) in streams.iter().enumerate() {
            let (bytes, end) = read(&mut remote.connection, *id, 300_000);
            assert!(end.is_none() && bytes.iter().all(|byte| *byte == nth as u8));
            read_so_far[nth] += bytes.len();
        }
        for said in remote.said() {
            let Said::Release(of) = said else { panic!("{said:?}") };
            held[streams.iter().position(|(channel, _)| *channel == of).unwrap()] = false;
        }
    }
    assert!(holds >= STREAMS as usize, "{holds}");
    // What waits, and what the streams' windows may have grown to.
    let windows =
        yamux::Config::default().window_budget + streams.len() * yamux::INITIAL_WINDOW as usize;
    let waits = HOLD_WAITING_IN_ALL + streams.len() * 16_000;
    assert!(most < waits + windows, "{most}");
}

#[test]
fn a_stream_that_waits_too_much_is_reset() {
    let mut remote = Remote::new();
    let (channel, id) = remote.open(0);
    let enough = (MAX_WAITING + yamux::INITIAL_WINDOW as usize) / 16_000 + 1;
    for _ in 0..=enough {
        remote.say(channel, None, &[1; 16_000]);
    }
    assert!(was_overrun(&mut remote.connection, id));
    let reset = Said::Message(channel, Some(RESET), vec![]);
    assert_eq!(remote.said(), [Said::Hold(channel), reset, Said::Close(channel)]);
}

#[test]
fn all_streams_of_a_connection_wait_within_a_limit() {
    let mut remote = Remote::new();
    let streams = MAX_WAITING_IN_ALL / MAX_WAITING + 2;
    let mut reset = 0;
    for nth in 0..streams as u32 {
        let (channel, id) = remote.open(nth);
        for _ in 0..MAX_WAITING / 16_000 {
            remote.say(channel, None, &[1; 16_000]);
        }
        reset += usize::from(was_overrun(&mut remote.connection, id));
    }
    // A host that had other things to do would have been told to read no more.
    assert!(!remote.connection.wants_read());
    assert!((1..=2).contains(&reset), "{reset} were reset");
}

#[test]
fn who_goes_beyond_windows_it_knows_is_reset_at_once() {
    let mut remote = Remote::new();
    let channel = REMOTE;
    remote.record(Kind::Open, channel, &[]);
    remote.say_all(channel, None, b"\x13/multistream/1.0.0\n\x0c/echo/1.0.0\n", Some(0));
    let id = inbound(&mut remote.connection)[0];
    for _ in 0..yamux::INITIAL_WINDOW / 16_000 + 1 {
        remote.say(channel, None, &[1; 16_000]);
    }
    assert!(was_reset(&mut remote.connection, id));
}

#[test]
fn a_window_that_cannot_be_ends_the_connection() {
    let mut remote = Remote::new();
    let channel = REMOTE;
    remote.record(Kind::Open, channel, &[]);
    remote.say_all(channel, None, &[], Some(u64::from(u32::MAX)));
    let closed = core::iter::from_fn(|| remote.connection.poll_node())
        .any(|news| matches!(news, ToNode::Closed { .. }));
    assert!(closed);
}

#[test]
fn our_writer_needs_no_windows_from_it() {
    let mut remote = Remote::new();
    let (channel, id) = remote.open(0);
    let sent: Vec<u8> = (0..1_000_000u32).map(|byte| (byte * 3) as u8).collect();
    let (mut written, mut all) = (0, Vec::new());
    while written < sent.len() {
        let before = written;
        written += remote.connection.stream(id).unwrap().write(&sent[written..]).unwrap();
        assert!(written > before);
        for said in remote.said() {
            let Said::Message(number, None, data) = said else { panic!("{said:?}") };
            assert_eq!(number, channel);
            all.extend_from_slice(&data);
        }
    }
    assert!(all == sent);
}

#[test]
fn what_was_sent_before_it_spoke_is_no_window_spent() {
    let mut remote = Remote::new();
    let id = remote.connection.open(remote.now, vec![ECHO.into()]).unwrap();
    let window = yamux::INITIAL_WINDOW as usize;
    let mut stream = remote.connection.stream(id).unwrap();
    let mut written = stream.write(&vec![9; 2 * window]).unwrap();
    let said = remote.said();
    let Said::Open(channel) = said[0] else { panic!("{said:?}") };
    remote.say(channel, None, b"\x13/multistream/1.0.0\n\x0c/echo/1.0.0\n");
    for _ in 0..4 {
        remote.said();
        let more = vec![9; 4 * window - written];
        written += remote.connection.stream(id).unwrap().write(&more).unwrap();
    }
    assert!(written > 3 * window, "{written} bytes");
}

#[test]
fn ends_are_confirmed_and_then_the_channel_closes() {
    let mut remote = Remote::new();
    let flag = |channel, flag| Said::Message(channel, Some(flag), vec![]);
    let (first, id) = remote.open(0);
    remote.say(first, Some(FIN), b"last");
    assert_eq!(read(&mut remote.connection, id, 10).0, b"last");
    // Who may not know what that is still reads.
    assert_eq!(remote.said(), []);
    let answered = remote.connection.stream(id).unwrap().write(b"answer").unwrap();
    remote.connection.stream(id).unwrap().finish();
    let said = remote.said();
    assert_eq!(said[1..], [flag(first, FIN), flag(first, FIN_ACK)]);
    assert_eq!(said[0], Said::Message(first, None, b"answer"[..answered].to_vec()));
    let (second, id) = remote.open(1);
    remote.say(second, Some(FIN), &[]);
    assert_eq!(remote.said(), []);
    // It does know: who waits for a confirmation has it at once from now on.
    remote.say(first, Some(FIN_ACK), &[]);
    assert_eq!(remote.said(), [flag(second, FIN_ACK), Said::Close(first)]);
    remote.connection.stream(id).unwrap().finish();
    assert_eq!(remote.said(), [flag(second, FIN)]);
    remote.say(second, Some(FIN_ACK), &[]);
    assert_eq!(remote.said(), [Said::Close(second)]);
    let (third, _) = remote.open(2);
    remote.say(third, Some(FIN), &[]);
    assert_eq!(remote.said(), [flag(third, FIN_ACK)]);
    // Nor does it wait for who reads slowly.
    let (fourth, id) = remote.open(3);
    let sent = yamux::INITIAL_WINDOW as usize + 10_000;
    vec![4; sent].chunks(16_000).for_each(|part| remote.say(fourth, None, part));
    remote.say(fourth, Some(FIN), &[]);
    assert_eq!(remote.said(), [flag(fourth, FIN_ACK)]);
    let mut read_so_far = 0;
    let end = loop {
        let (bytes, end) = read(&mut remote.connection, id, 100_000);
        read_so_far += bytes.len();
        remote.said();
        if let Some(end) = end {
            break end;
        }
    };
    assert_eq!((read_so_far, end), (sent, Read::Finished));
}

#[test]
fn a_reset_or_a_channel_that_just_closes_resets_the_stream() {
    for gently in [true, false] {
        let mut remote = Remote::new();
        let (channel, id) = remote.open(0);
        if gently {
            remote.say(channel, Some(RESET), &[]);
            assert_eq!(remote.said(), [Said::Close(channel)]);
        } else {
            remote.record(Kind::Close, channel, &[]);
            assert_eq!(remote.said(), []);
        }
        assert!(was_reset(&mut remote.connection, id));
    }
}

#[test]
fn what_nobody_reads_is_not_sent() {
    let mut remote = Remote::new();
    let (channel, id) = remote.open(0);
    remote.say(channel, Some(STOP_SENDING), &[]);
    let (mut written, more) = (0, vec![1; 100_000]);
    for _ in 0..20 {
        written += remote.connection.stream(id).unwrap().write(&more).unwrap();
        assert_eq!(remote.said(), []);
    }
    assert!(written > yamux::INITIAL_WINDOW as usize * 2, "{written} bytes");
    // The other way still works.
    remote.say(channel, None, b"hello");
    assert_eq!(read(&mut remote.connection, id, 10).0, b"hello");
}

#[test]
fn nonsense_resets_its_stream_alone() {
    for nonsense in [&[3, 0xff, 0xff, 0xff][..], &[0x81, 0x80, 0x01], &[0xff; 12]] {
        let mut remote = Remote::new();
        let (channel, id) = remote.open(0);
        let (other, unharmed) = remote.open(1);
        remote.record(Kind::Message, channel, nonsense);
        assert!(was_reset(&mut remote.connection, id), "{nonsense:?}");
        remote.say(other, None, b"fine");
        assert_eq!(read(&mut remote.connection, unharmed, 10).0, b"fine");
    }
}

#[test]
fn messages_may_come_in_parts_and_together() {
    let mut remote = Remote::new();
    let (channel, id) = remote.open(0);
    let messages = [&[6, 0x12, 4][..], b"part", &[7, 0x12, 5], b"whole", &[2, 0x08, 0]].concat();
    for part in messages.chunks(3) {
        remote.record(Kind::Message, channel, part);
    }
    let (bytes, _) = read(&mut remote.connection, id, 10);
    assert_eq!(bytes, b"partwhole");
    assert_eq!(read(&mut remote.connection, id, 1).1, Some(Read::Finished));
}

#[test]
fn any_message_may_come_at_any_time() {
    let mut rng = Rng::from_number(7);
    for _ in 0..300 {
        let mut remote = Remote::new();
        for _ in 0..60 {
            let channel = REMOTE + rng.below(3) as u32;
            match rng.below(8) {
                0 => remote.record(Kind::Open, channel, &[]),
                1 => remote.record(Kind::Close, channel, &[]),
                2 => remote.say(channel, None, b"\x13/multistream/1.0.0\n\x0c/echo/1.0.0\n"),
                3 => {
                    let credit = (rng.below(2) == 0).then(|| rng.below(300_000));
                    remote.say_all(channel, None, &[3; 5000], credit);
                }
                _ => remote.say(channel, Some(rng.below(5)), &[1]),
            }
            for id in inbound(&mut remote.connection) {
                if let Some(mut stream) = remote.connection.stream(id) {
                    let _ = stream.write(&[7; 50]);
                    stream.finish();
                }
            }
            remote.said();
        }
    }
}
