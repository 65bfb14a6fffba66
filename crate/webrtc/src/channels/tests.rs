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
