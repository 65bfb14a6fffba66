//! Connections that the host has secured and multiplexed.

use super::*;

fn id(seed: u64) -> PeerId {
    config(seed).keypair.peer_id()
}

/// A connection of the first peer to the second one.
fn dialed(config: Config, expected: Option<PeerId>) -> Connection {
    let carrier = Carrier::Muxed { peer: id(2) };
    let (rng, now) = (Rng::from_number(1), Instant::ZERO);
    let shared = (Arc::new(config), handlers());
    let mut connection = Connection::over(shared, (Role::Initiator, &carrier), expected, rng, now);
    connection.begin(now, &carrier);
    connection
}

#[test]
fn it_is_established_at_once_and_its_streams_are_frames_in_the_clear() {
    let mut connection = dialed(config(1), Some(id(2)));
    assert!(matches!(connection.poll_node(), Some(ToNode::Established { peer }) if peer == id(2)));
    let mut frames = Vec::new();
    assert_eq!(connection.transmit(Instant::ZERO, &mut frames, 1000), 0);
    connection.open(Instant::ZERO, vec![ECHO.into()]).unwrap();
    connection.transmit(Instant::ZERO, &mut frames, 1000);
    let header = yamux::Header::decode(frames.first_chunk().unwrap()).unwrap();
    assert!(header.flags.has(yamux::Flags::SYN));
    assert_eq!(frames.len(), yamux::HEADER_LEN + header.length as usize);
    assert!(frames.windows(ECHO.len()).any(|window| window == ECHO.as_bytes()));
}

#[test]
fn another_peer_than_was_dialed_and_a_private_network_are_refused() {
    let refused = |config, expected| match dialed(config, expected).poll_node() {
        Some(ToNode::Closed { error }) => error,
        other => panic!("{other:?}"),
    };
    let wrong = Error::WrongPeer { expected: id(3), found: id(2) };
    assert_eq!(refused(config(1), Some(id(3))), wrong);
    let mut private = config(1);
    private.pre_shared_key = Some(PreSharedKey::new([7; 32]));
    assert_eq!(refused(private, None), Error::NotPrivate);
}
