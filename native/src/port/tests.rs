//! A port and its doors, over real sockets.

use std::future::poll_fn;
use std::io::Write;
use std::net::TcpStream;

use polypeer::swarm::gate::Verdict;
use tokio::io::AsyncReadExt;

use super::*;

const ALL: [Kind; 3] = [Kind::Plain, Kind::Http, Kind::Tls];
const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01";

/// The doors of these kinds, at one new port.
fn open<const N: usize>(kinds: [Kind; N]) -> [Door; N] {
    let listening = Arc::<Listening>::default();
    let mut at = SocketAddr::from(([127, 0, 0, 1], 0));
    kinds.map(|kind| {
        let door = listening.open(at, kind).unwrap();
        at = door.local();
        door
    })
}

fn connect(door: &Door, begin: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(door.local()).unwrap();
    stream.write_all(begin).unwrap();
    stream
}

async fn accept(door: &mut Door) -> Arrival {
    poll_fn(|cx| door.poll_accept(cx)).await.unwrap()
}

/// Polls a door at which nobody arrives until the port is as wanted.
async fn attend(door: &mut Door, wanted: impl Fn(&mut State) -> bool) {
    poll_fn(|cx| {
        assert!(door.poll_accept(cx).is_pending());
        if wanted(&mut door.port.lock()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[test]
fn what_a_connection_begins_with_says_what_it_is() {
    let mut doors = Doors::default();
    assert!(ALL.into_iter().all(|kind| doors.open(kind)) && !doors.open(Kind::Http));
    for (begun, kind) in [
        (&b""[..], None),
        (b"\x13", Some(Kind::Plain)),
        (b"G", None),
        (b"GET", None),
        (b"GET /", Some(Kind::Http)),
        (b"GES", Some(Kind::Plain)),
        (b"POST ", Some(Kind::Plain)),
        (b"\x16", None),
        (b"\x16\x03\x01\xff\xff", None),
        (HELLO, Some(Kind::Tls)),
        (b"\x16\x07", Some(Kind::Plain)),
        (b"\x16\x03\x01\x02\x00\x02", Some(Kind::Plain)),
    ] {
        assert_eq!(doors.decide(begun), kind, "{begun:?}");
    }
    doors.close(Kind::Tls);
    assert_eq!(doors.decide(b"\x16"), Some(Kind::Plain), "there is nothing to wait for");
    doors.close(Kind::Plain);
    assert_eq!(doors.decide(b""), Some(Kind::Http), "there is nothing else");
}

#[tokio::test]
async fn each_goes_through_its_door_and_loses_no_byte() {
    let mut doors = open(ALL);
    let nonce = b"GEnonce that begins like it";
    let begins =
        [(0, &b"\x13/multistream/1.0.0\n"[..]), (1, b"GET / HTTP/1.1\r\n"), (2, HELLO), (0, nonce)];
    for (door, begin) in begins {
        // Whole, and byte by byte.
        for pieces in [begin.len(), 1] {
            let door = &mut doors[door];
            let mut stream = TcpStream::connect(door.local()).unwrap();
            stream.set_nodelay(true).unwrap();
            let begin = begin.to_vec();
            let writer = tokio::task::spawn_blocking(move || {
                begin.chunks(pieces).for_each(|piece| stream.write_all(piece).unwrap());
                (begin, stream)
            });
            let (mut accepted, _) = accept(door).await;
            let (begin, stream) = writer.await.unwrap();
            drop(stream);
            let mut read = Vec::new();
            accepted.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, begin);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_for_the_time_of_grace_is_plain() {
    let [mut http, mut plain] = open([Kind::Http, Kind::Plain]);
    let since = Instant::now();
    let _silent = [connect(&http, b""), connect(&http, b"GE")];
    attend(&mut http, |state| state.undecided.len() == 2).await;
    // Another one polls now, and it ends all the same.
    for _ in 0..2 {
        accept(&mut plain).await;
    }
    assert!((GRACE..GRACE * 2).contains(&since.elapsed()), "{:?}", since.elapsed());
}

#[tokio::test]
async fn of_too_many_silent_ones_the_oldest_is_plain() {
    let [mut http, mut plain] = open([Kind::Http, Kind::Plain]);
    // As many as there is room for; who of an address is too many is a test there.
    let most = (0..).find(|&count| {
        let waiting = std::iter::repeat_n(plain.local().ip(), count);
        surplus(waiting, plain.local().ip()).is_some()
    });
    let most = most.unwrap();
    let silent: Vec<_> = (0..=most).map(|_| connect(&http, b"")).collect();
    let (_, first) = accept(&mut plain).await;
    assert_eq!(first, silent[0].local_addr().unwrap());
    assert_eq!(plain.port.lock().undecided.len(), most);
    // Those who speak in time are what they say.
    (&silent[1]).write_all(b"GET ").unwrap();
    let (_, second) = accept(&mut http).await;
    assert_eq!(second, silent[1].local_addr().unwrap());
}

#[tokio::test]
async fn a_door_that_is_full_has_the_rest_wait_outside_and_loses_nobody() {
    let [mut plain, mut http] = open([Kind::Plain, Kind::Http]);
    let outside = 3;
    let crowd: Vec<_> = (0..MAX_WAITING + outside).map(|_| connect(&plain, b"GET ")).collect();
    attend(&mut plain, |state| state.doors.is_full()).await;
    let _late = connect(&plain, b"\x13");
    for _ in &crowd {
        accept(&mut http).await;
    }
    accept(&mut plain).await;
}

#[tokio::test]
async fn a_door_that_is_left_alone_takes_everyone_at_once() {
    for (stays, begin) in [(Kind::Plain, b"GET "), (Kind::Http, b"\x13\x13\x13\x13")] {
        let leaves = if stays == Kind::Plain { Kind::Http } else { Kind::Plain };
        let [mut stays, leaves] = open([stays, leaves]);
        let _silent = connect(&stays, b"");
        attend(&mut stays, |state| state.undecided.len() == 1).await;
        drop(leaves);
        let (silent, _) = accept(&mut stays).await;
        let _other = connect(&stays, begin);
        let (other, _) = accept(&mut stays).await;
        assert_eq!((silent.begun(), other.begun()), (&b""[..], &b""[..]), "it is not looked at");
    }
}

#[tokio::test]
async fn a_kind_is_listened_on_once_and_the_port_as_long_as_any() {
    let listening = Arc::<Listening>::default();
    let mut at = SocketAddr::from(([127, 0, 0, 1], 0));
    let plain = listening.open(at, Kind::Plain).unwrap();
    at = plain.local();
    let again = |kind| listening.open(at, kind).map_err(|error| error.kind());
    assert_eq!(again(Kind::Plain).err(), Some(io::ErrorKind::AddrInUse));
    let http = again(Kind::Http).unwrap();
    drop(plain);
    let plain = again(Kind::Plain).unwrap();
    drop(http);
    drop(plain);
    assert!(listening.lock().is_empty());
    assert!(TcpStream::connect(at).is_err());
}

#[tokio::test]
async fn nobody_who_is_denied_has_a_place() {
    let [plain, mut http] = open([Kind::Plain, Kind::Http]);
    let mut filters = Filters::default();
    filters.set("/ip4/127.0.0.0/ipcidr/8".parse().unwrap(), None, Verdict::Deny);
    plain.set_filters(Arc::new(filters));
    let mut denied = connect(&plain, b"");
    let reading =
        tokio::task::spawn_blocking(move || std::io::Read::read(&mut denied, &mut [0]).is_err());
    let attending = poll_fn(|cx| http.poll_accept(cx));
    tokio::select! {
        reset = reading => assert!(reset.unwrap(), "it is reset"),
        _ = attending => panic!("it is let in"),
    }
    assert!(plain.port.lock().undecided.is_empty());
}
