//! Every limit, reached; and the ends of streams.

use core::time::Duration;

use super::super::*;
use super::pair::{CLIENT, Pair, SERVER};
use crate::Instant;

fn server(config: Config) -> Yamux {
    Yamux::new(config, Role::Server, Instant::ZERO)
}

fn frame(kind: Kind, flags: Flags, stream: u32, length: u32) -> Vec<u8> {
    Header { kind, flags, stream, length }.encode().to_vec()
}

fn data(flags: Flags, stream: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = frame(Kind::Data, flags, stream, body.len() as u32);
    bytes.extend_from_slice(body);
    bytes
}

fn receive(end: &mut Yamux, bytes: &[u8]) -> Result<(), Error> {
    end.receive(Instant::ZERO, bytes)
}

fn sent(end: &mut Yamux) -> Vec<Header> {
    let mut out = Vec::new();
    end.transmit(Instant::ZERO, &mut out, usize::MAX);
    let (mut rest, mut headers) = (&out[..], Vec::new());
    while let Some((bytes, after)) = rest.split_first_chunk() {
        let header = Header::decode(bytes).unwrap();
        rest = if header.kind == Kind::Data { &after[header.length as usize..] } else { after };
        headers.push(header);
    }
    headers
}

const OPEN: fn(u32) -> Vec<u8> = |id| frame(Kind::WindowUpdate, Flags::SYN, id, 0);

#[test]
fn faults_of_the_remote_have_names_and_change_nothing() {
    let reset = Flags::RST;
    let none = Flags::NONE;
    let cases = [
        (vec![1; 12], Error::Frame(DecodeError::Version(1))),
        (frame(Kind::Ping, Flags::SYN, 3, 0), Error::NotSession(3)),
        (frame(Kind::GoAway, none, 1, 0), Error::NotSession(1)),
        (frame(Kind::Data, none, 0, 1), Error::SessionStream),
        (frame(Kind::WindowUpdate, reset, 0, 1), Error::SessionStream),
        (OPEN(2), Error::WrongSide(2)),
        (frame(Kind::Data, none, 1, 0), Error::NeverOpened(1)),
        (frame(Kind::WindowUpdate, Flags::FIN, 2, 9), Error::NeverOpened(2)),
        (frame(Kind::Data, Flags::SYN, 1, INITIAL_WINDOW + 1), Error::WindowExceeded(1)),
        (frame(Kind::WindowUpdate, Flags::SYN, 1, u32::MAX), Error::WindowOverflow(1)),
        (frame(Kind::Data, reset, 1, u32::MAX), Error::WindowExceeded(1)),
    ];
    for (bytes, error) in cases {
        let mut end = server(Config::default());
        assert_eq!(receive(&mut end, &bytes), Err(error));
        assert_eq!(receive(&mut end, &OPEN(1)), Err(error), "it stays failed");
        assert_eq!((end.streams(), end.memory(), end.poll_event()), ((0, 0), 0, None));
        assert!(!end.wants_read());
        let last = Header { kind: Kind::GoAway, flags: none, stream: 0, length: 1 };
        assert_eq!(sent(&mut end), [last]);
        assert!(!end.wants_transmit());
    }
}

#[test]
fn faults_on_a_stream_have_names() {
    let none = Flags::NONE;
    let cases = [
        (OPEN(1), Error::Reused(1)),
        (frame(Kind::Data, none, 1, INITIAL_WINDOW + 1), Error::WindowExceeded(1)),
        (
            frame(Kind::WindowUpdate, none, 1, u32::MAX - INITIAL_WINDOW + 1),
            Error::WindowOverflow(1),
        ),
        ([data(Flags::FIN, 1, b"x"), data(none, 1, b"y")].concat(), Error::DataAfterEnd(1)),
    ];
    for (bytes, error) in cases {
        let mut end = server(Config::default());
        receive(&mut end, &OPEN(1)).unwrap();
        assert_eq!(receive(&mut end, &bytes), Err(error));
    }
    let mut end = server(Config::default());
    let bytes =
        [data(Flags::SYN, 1, &vec![0; INITIAL_WINDOW as usize]), data(none, 1, b"x")].concat();
    assert_eq!(receive(&mut end, &bytes), Err(Error::WindowExceeded(1)));
}

#[test]
fn a_number_is_not_used_twice_even_after_its_stream() {
    let mut end = server(Config::default());
    receive(&mut end, &[OPEN(1), frame(Kind::Data, Flags::RST, 1, 0)].concat()).unwrap();
    assert_eq!(end.poll_event(), None);
    assert_eq!(end.streams(), (0, 0));
    assert_eq!(receive(&mut end, &OPEN(1)), Err(Error::Reused(1)));
}

#[test]
fn numbers_may_come_out_of_order() {
    let mut end = server(Config::default());
    receive(&mut end, &[OPEN(5), OPEN(1), OPEN(3)].concat()).unwrap();
    assert_eq!(end.streams(), (3, 0));
}

#[test]
fn frames_that_cross_an_end_are_passed_over() {
    let mut pair = Pair::new(Config::default(), 1);
    let id = pair.open();
    pair.stream(CLIENT, id).write(b"crosses").unwrap();
    pair.stream(CLIENT, id).finish();
    pair.stream(SERVER, id).reset();
    pair.settle();
    assert_eq!(pair.events(CLIENT), [Event::Reset(id)]);
    assert_eq!(pair.events(SERVER), []);
    assert!(pair.ends.iter().all(Yamux::is_idle));
    // A reset for what never was means that its opener gave up early.
    pair.ends[SERVER].receive(pair.now, &frame(Kind::Data, Flags::RST, 99, 0)).unwrap();
}

#[test]
fn a_stream_given_up_before_it_was_sent_is_not_heard_of() {
    let mut end = server(Config::default());
    let id = end.open().unwrap();
    end.stream(id).unwrap().write(b"never").unwrap();
    end.stream(id).unwrap().reset();
    assert_eq!(sent(&mut end), []);
    assert!(end.is_idle());
}

#[test]
fn syn_and_ack_ride_on_data_and_the_end_has_its_own_frame() {
    let mut pair = Pair::new(Config::default(), 1);
    let id = pair.ends[CLIENT].open().unwrap();
    pair.stream(CLIENT, id).write(b"all").unwrap();
    pair.stream(CLIENT, id).finish();
    assert_eq!(pair.stream(CLIENT, id).write(b"more"), Err(WriteError::Finished));
    pair.settle();
    assert_eq!(pair.ends[CLIENT].stats().frames_out, 2);
    assert_eq!(pair.events(SERVER), [Event::Opened(id), Event::Readable(id), Event::Finished(id)]);
    let mut out = [0; 8];
    assert_eq!(pair.stream(SERVER, id).read(&mut out), Read::Bytes(3));
    assert_eq!(pair.stream(SERVER, id).read(&mut out), Read::Finished);
    pair.stream(SERVER, id).write(b"reply").unwrap();
    pair.stream(SERVER, id).finish();
    pair.settle();
    assert_eq!(pair.ends[SERVER].stats().frames_out, 2);
    assert_eq!(pair.events(SERVER), [Event::Closed(id)]);
    assert_eq!(pair.events(CLIENT), [Event::Readable(id), Event::Finished(id)]);
    assert_eq!(pair.stream(CLIENT, id).read(&mut out), Read::Bytes(5));
    assert_eq!(pair.stream(CLIENT, id).read(&mut out), Read::Finished);
    assert_eq!(pair.events(CLIENT), [Event::Closed(id)]);
    assert!(pair.ends.iter().all(Yamux::is_idle));
}

#[test]
fn readable_is_told_once_until_looked_at() {
    let mut pair = Pair::new(Config::default(), 1);
    let id = pair.open();
    let mut told = |looks: bool| {
        pair.stream(CLIENT, id).write(b"x").unwrap();
        pair.settle();
        let told = !pair.events(SERVER).is_empty();
        if looks {
            pair.stream(SERVER, id).readable();
        }
        told
    };
    assert!(told(false));
    assert!(!told(true));
    assert!(told(false));
    assert!(!told(false));
}

#[test]
fn open_stops_at_the_backlog_of_unacknowledged_streams() {
    let mut pair = Pair::new(Config { max_outbound_streams: 1024, ..Config::default() }, 1);
    let ids: Vec<_> = (0..MAX_ACK_BACKLOG).map(|_| pair.ends[CLIENT].open().unwrap()).collect();
    assert_eq!(pair.ends[CLIENT].open(), Err(OpenError::TooManyUnacknowledged));
    pair.settle();
    assert_eq!(pair.ends[CLIENT].open(), Err(OpenError::TooManyUnacknowledged));
    assert_eq!(pair.ends[SERVER].poll_event(), Some(Event::Opened(ids[0])));
    pair.settle();
    assert!(pair.stream(CLIENT, ids[0]).is_acknowledged());
    pair.ends[CLIENT].open().unwrap();
}

#[test]
fn the_accept_backlog_refuses_more() {
    let mut end = server(Config::default());
    let backlog = Config::default().accept_backlog as u32;
    for index in 0..backlog + 10 {
        receive(&mut end, &data(Flags::SYN, 1 + 2 * index, b"hello")).unwrap();
    }
    let refused: Vec<_> =
        sent(&mut end).iter().map(|header| (header.flags, header.stream)).collect();
    let expected: Vec<_> = (0..10).map(|index| (Flags::RST, 1 + 2 * (backlog + index))).collect();
    assert_eq!(refused, expected);
    assert_eq!((end.streams().0, end.stats().refused), (backlog as usize, 10));
    // What follows for a refused stream is passed over.
    receive(&mut end, &data(Flags::FIN, 1 + 2 * backlog, b"more")).unwrap();
    // Accepting makes room once the remote is told.
    end.poll_event();
    sent(&mut end);
    receive(&mut end, &OPEN(9999)).unwrap();
    assert_eq!(end.streams().0, backlog as usize + 1);
}

#[test]
fn the_number_of_streams_is_limited_both_ways() {
    let config = Config { max_inbound_streams: 3, max_outbound_streams: 2, ..Config::default() };
    let mut end = server(config);
    receive(&mut end, &[OPEN(1), OPEN(3), OPEN(5), OPEN(7)].concat()).unwrap();
    assert_eq!(sent(&mut end).len(), 1);
    assert_eq!(end.stats().refused, 1);
    end.open().unwrap();
    let id = end.open().unwrap();
    assert_eq!(end.open(), Err(OpenError::TooManyStreams));
    end.stream(id).unwrap().reset();
    sent(&mut end);
    end.open().unwrap();
}

#[test]
fn streams_opened_and_reset_before_anyone_looks_stay_bounded() {
    let mut end = server(Config::default());
    for index in 0..5000 {
        let id = 1 + 2 * index;
        receive(&mut end, &[OPEN(id), frame(Kind::Data, Flags::RST, id, 0)].concat()).unwrap();
        sent(&mut end);
    }
    assert!(end.streams().0 <= Config::default().max_inbound_streams);
    assert_eq!(end.poll_event(), None);
    assert!(end.is_idle());
    receive(&mut end, &OPEN(10_001)).unwrap();
    assert_eq!(end.poll_event(), Some(Event::Opened(StreamId::from_number(10_001))));
}

#[test]
fn a_remote_that_takes_no_answers_gets_no_more() {
    let mut end = server(Config::default());
    let ping = frame(Kind::Ping, Flags::SYN, 0, 7);
    for _ in 0..REPLIES_PAUSE {
        assert!(end.wants_read());
        receive(&mut end, &ping).unwrap();
    }
    assert!(!end.wants_read());
    // The piece that was under way still has its place.
    receive(&mut end, &ping.repeat(65_535 / HEADER_LEN)).unwrap();
    let result = receive(&mut end, &ping.repeat(MAX_REPLIES));
    assert_eq!(result, Err(Error::TooManyReplies));
    assert!(end.memory() <= MAX_REPLIES * 16);

    let mut end = server(Config::default());
    receive(&mut end, &ping.repeat(REPLIES_PAUSE)).unwrap();
    assert!(sent(&mut end).iter().all(|header| header.flags == Flags::ACK && header.length == 7));
    assert!(end.wants_read());
}

#[test]
fn the_stream_that_holds_the_most_unread_is_reset_alone() {
    let config = Config { max_unread: 500_000, ..Config::default() };
    let mut end = server(config);
    let window = vec![0; INITIAL_WINDOW as usize];
    let (hog, modest, late) = (1, 3, 5);
    receive(&mut end, &data(Flags::SYN, modest, &[1; 100_000])).unwrap();
    receive(&mut end, &data(Flags::SYN, hog, &window)).unwrap();
    receive(&mut end, &data(Flags::SYN, late, &[2; 140_000])).unwrap();
    let events: Vec<_> = std::iter::from_fn(|| end.poll_event()).collect();
    let (modest, late) = (StreamId::from_number(modest), StreamId::from_number(late));
    // The hog was reset before anybody had seen it, so nobody is told.
    assert_eq!(
        events,
        [
            Event::Opened(modest),
            Event::Readable(modest),
            Event::Opened(late),
            Event::Readable(late)
        ],
    );
    assert_eq!((end.unread(), end.stats().overflowed), (240_000, 1));
    assert_eq!(end.stream(modest).unwrap().readable(), [1; 100_000]);
    assert_eq!(end.stream(late).unwrap().readable(), [2; 140_000]);
    assert!(sent(&mut end).iter().any(|header| header.flags == Flags::RST && header.stream == hog));
    // What it sends on is passed over.
    receive(&mut end, &data(Flags::NONE, hog, &[0; 100])).unwrap();
    assert_eq!(end.unread(), 240_000);
}

#[test]
fn go_away_refuses_new_streams_both_ways_and_keeps_the_old() {
    let mut pair = Pair::new(Config::default(), 1);
    let id = pair.open();
    pair.ends[SERVER].go_away(code::NORMAL);
    pair.ends[SERVER].go_away(code::INTERNAL_ERROR);
    let crossing = pair.ends[CLIENT].open().unwrap();
    pair.settle();
    assert_eq!(pair.events(CLIENT), [Event::GoAway(code::NORMAL), Event::Reset(crossing)]);
    assert_eq!(pair.ends[CLIENT].open(), Err(OpenError::GoneAway));
    assert_eq!(pair.ends[SERVER].open(), Err(OpenError::GoneAway));
    pair.stream(CLIENT, id).write(b"still").unwrap();
    pair.settle();
    assert_eq!(pair.stream(SERVER, id).readable(), b"still");
}

#[test]
fn a_hundred_thousand_streams_leave_nothing_behind() {
    let mut pair = Pair::new(Config::default(), 1);
    let idle = pair.ends[CLIENT].memory();
    assert_eq!(idle, 0);
    for round in 0..100_000u32 {
        let opener = (round % 2) as usize;
        let id = pair.ends[opener].open().unwrap();
        pair.stream(opener, id).write(b"hello").unwrap();
        pair.stream(opener, id).finish();
        pair.step();
        pair.events(1 - opener);
        let mut stream = pair.stream(1 - opener, id);
        stream.consume(5);
        if round % 3 == 0 {
            stream.reset();
        } else {
            stream.finish();
        }
        pair.step();
        pair.step();
        pair.events(CLIENT);
        pair.events(SERVER);
        for end in &pair.ends {
            assert_eq!(end.streams(), (0, 0));
            assert!(end.memory() < 1024, "{}", end.memory());
        }
    }
    pair.rest();
    assert_eq!(pair.ends.map(|end| end.memory()), [idle, idle]);
}

#[test]
fn an_idle_session_is_small() {
    let end = server(Config::default());
    assert!(size_of_val(&end) + end.memory() < 1024, "{}", size_of_val(&end));
}

#[test]
fn unused_memory_is_given_back() {
    let mut pair = Pair::new(Config::default(), 1);
    let id = pair.open();
    for _ in 0..10 {
        pair.stream(CLIENT, id).write(&[1; 200_000]).unwrap();
        pair.settle();
        pair.stream(SERVER, id).consume(usize::MAX);
        pair.events(SERVER);
    }
    assert!(pair.ends.iter().all(|end| end.memory() > 60_000));
    pair.rest();
    assert!(pair.ends.iter().all(|end| end.memory() < 1024));
    assert!(pair.ends.iter().all(|end| end.poll_timeout().is_none()), "no timer ticks on");
    pair.now = pair.now + Duration::from_secs(1);
    pair.stream(CLIENT, id).write(b"again").unwrap();
    pair.settle();
    assert_eq!(pair.stream(SERVER, id).readable(), b"again");
}

#[test]
fn the_end_has_a_frame_of_its_own() {
    let mut end = Yamux::new(Config::default(), Role::Client, Instant::ZERO);
    let id = end.open().unwrap();
    end.stream(id).unwrap().write(b"last words").unwrap();
    end.stream(id).unwrap().finish();
    let frames = sent(&mut end);
    assert_eq!(frames.iter().map(|frame| frame.length).collect::<Vec<_>>(), [10, 0]);
    assert_eq!(frames[0].flags, Flags::SYN);
    assert_eq!(frames[1].flags, Flags::FIN);
    assert!(!end.wants_transmit());
}
