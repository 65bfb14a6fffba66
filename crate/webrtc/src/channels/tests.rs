use super::packet::{carries_message, seal, without_receipts};
use super::*;
use crate::tests::start;

#[test]
fn messages_are_found_behind_other_chunks() {
    let head = [0; 12];
    let sack = [3, 0, 0, 16, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 0];
    let cookie = [10, 0, 0, 5, 7, 0, 0, 0];
    let data = [0, 3, 0, 17];
    assert!(carries_message(&[&head[..], &data].concat()));
    assert!(carries_message(&[&head[..], &cookie, &sack, &data].concat()));
    for other in [&[][..], &sack, &cookie, &[3, 0, 0, 0], &[3, 0, 255, 255]] {
        assert!(!carries_message(&[&head[..], other].concat()));
    }
}

/// A packet that asks for stream 7 to be reset and answers a request, or something else.
fn request(kind: u8) -> Vec<u8> {
    let mut packet = [0; 12].to_vec();
    packet.extend([130, 0, 0, 36, 0, kind, 0, 18]);
    packet.extend([0, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 99, 0, 7, 0, 0]);
    packet.extend([0, 16, 0, 12, 0, 0, 0, 1, 0, 0, 0, 6]);
    seal(&mut packet);
    packet
}

#[test]
fn requests_say_nothing_of_what_they_have_got_from_us() {
    let packet = request(13);
    let without = without_receipts(packet.clone().into());
    let mut expected = packet.clone();
    // The number before 0, and nothing else.
    expected[24..28].fill(0xff);
    seal(&mut expected);
    assert_eq!(without, expected);

    let mut damaged = packet.clone();
    damaged[8] ^= 1;
    let others = [request(14), damaged, packet[..20].into(), packet[..12].into(), Vec::new()];
    for other in others {
        assert_eq!(without_receipts(other.clone().into()), other);
    }
    // What is cut off is no place to write to, even in a whole packet.
    for length in 12..packet.len() {
        let mut cut = packet[..length].to_vec();
        seal(&mut cut);
        assert_eq!(without_receipts(cut.clone().into()) != cut, length >= 28, "{length}");
    }
}

#[test]
fn whatever_a_packet_says_of_its_lengths_only_receipts_change() {
    let packet = request(13);
    for (at, value) in (0..packet.len()).flat_map(|at| (0..=255).map(move |value| (at, value))) {
        let mut odd = packet.clone();
        odd[at] = value;
        seal(&mut odd);
        let without = without_receipts(odd.clone().into());
        assert_eq!(without.len(), odd.len());
        let changed = (12..odd.len()).filter(|at| without[*at] != odd[*at]).count();
        // One byte may make a second request of what follows the first.
        assert!(changed <= 8, "{changed} bytes with {value} at {at}");
    }
}

/// Two ends whose packets arrive at once. One of them has every request to reset streams
/// refused: the numbers are not those that the other one expects.
struct Refused {
    ends: [Channels; 2],
    whose: usize,
    now: Instant,
}

impl Refused {
    fn new(whose: usize) -> Self {
        let ends = [Channels::new(true), Channels::new(false)];
        let mut pair = Self { ends, whose, now: start() };
        pair.pass();
        assert!(pair.ends.iter().all(Channels::is_established));
        pair
    }

    /// A second passes.
    fn pass(&mut self) -> [Vec<u8>; 2] {
        const ANSWER: [u8; 2] = [0, 16];
        const BAD_SEQUENCE_NUMBER: u8 = 5;
        let mut read = [Vec::new(), Vec::new()];
        for _ in 0..50 {
            for end in [0, 1] {
                while let Some(packet) = self.ends[end].poll_packet(self.now) {
                    let mut packet = packet.to_vec();
                    if end != self.whose && packet[12] == 130 && packet[16..18] == ANSWER {
                        packet[27] = BAD_SEQUENCE_NUMBER;
                        seal(&mut packet);
                    }
                    self.ends[1 - end].handle(self.now, packet.into());
                }
            }
            self.now += Duration::from_millis(20);
            for (end, read) in self.ends.iter_mut().zip(&mut read) {
                end.handle_timeout(self.now);
                end.read(self.now, read, 1 << 16);
            }
        }
        read
    }
}

#[test]
fn a_remote_that_frees_no_ids_is_left_before_none_is_left() {
    let mut pair = Refused::new(0);
    for number in 0..=MAX_WORN as u32 {
        assert_eq!(pair.ends[0].lost(), None, "{number}");
        pair.ends[0].open(1 + number);
        let [_, opened] = pair.pass();
        assert_eq!(opened[..1], [records::OPEN], "{number}");
        pair.ends[0].close(pair.now, 1 + number);
        pair.pass();
    }
    assert!(pair.ends[0].lost().is_some());
}

#[test]
fn a_remote_that_opens_a_channel_on_an_id_that_it_does_not_free_is_left() {
    let mut pair = Refused::new(1);
    pair.ends[0].open(1);
    pair.pass();
    pair.ends[0].close(pair.now, 1);
    pair.pass();
    assert_eq!(pair.ends[1].lost(), None);
    pair.ends[0].open(2);
    pair.pass();
    assert!(pair.ends[1].lost().is_some());
}

#[test]
fn channels_that_wait_for_the_remote_to_close_them_are_not_open() {
    let (mut channels, now) = (Channels::new(true), start());
    let mut open = |nth: usize| {
        let (id, number) = (2 * nth as u16 + 1, records::REMOTE + nth as u32);
        channels.on_opened(id);
        let refused = channels.channels.insert(id, Use::Open(number)) == Some(Use::Closing);
        channels.ids.insert(number, id);
        if nth < MAX_REMOTE {
            channels.close(now, number);
        }
        refused
    };
    for nth in 0..2 * MAX_REMOTE {
        assert!(!open(nth), "{nth}");
    }
    assert!(open(2 * MAX_REMOTE));
}

#[test]
fn a_remote_that_heeds_no_refusal_is_left() {
    let mut channels = Channels::new(false);
    for id in 1..=MAX_CHANNELS as u16 {
        channels.on_opened(id);
    }
    assert_eq!(channels.lost(), None);
    channels.on_opened(MAX_CHANNELS as u16 + 1);
    assert!(channels.lost().is_some());
}
