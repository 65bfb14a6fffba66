//! Two connections whose hosts' channels are joined.

use super::*;
use crate::webrtc::record::{self, Kind, REMOTE};

pub(super) struct Pair {
    pub(super) a: Side,
    pub(super) b: Side,
    pub(super) now: Instant,
}

pub(super) struct Side {
    pub(super) connection: Connection,
    pub(super) peer: PeerId,
    /// How many bytes a call of transmit may give.
    pub(super) budget: usize,
    /// Channels that the remote opened, by the number that they have there.
    remote: Vec<u32>,
    /// Bytes of messages that went out, and channels opened and closed.
    pub(super) sent: usize,
    /// Bytes of the longest of them.
    pub(super) longest: usize,
    pub(super) opened: usize,
    pub(super) closed: usize,
}

impl Side {
    fn new(connection: Connection, seed: u64) -> Self {
        let peer = keypair(seed).peer_id();
        let (sent, longest, opened, closed) = (0, 0, 0, 0);
        Self { connection, peer, budget: 65_536, remote: vec![], sent, longest, opened, closed }
    }

    /// The number here of a channel that the other side opened.
    fn channel(&self, theirs: u32) -> u32 {
        let nth = self.remote.iter().position(|number| *number == theirs);
        nth.map_or(0, |nth| REMOTE + nth as u32)
    }
}

impl Pair {
    pub(super) fn signalled() -> Self {
        let carrier = |seed| Carrier::Signalled { peer: keypair(seed).peer_id() };
        let a = connection(1, Role::Initiator, &carrier(2), None);
        let b = connection(2, Role::Responder, &carrier(1), None);
        Self { a: Side::new(a, 1), b: Side::new(b, 2), now: Instant::ZERO }
    }

    pub(super) fn direct(prologues: [&[u8]; 2], expected: Option<PeerId>) -> Self {
        let carrier = |prologue: &[u8]| Carrier::Direct { prologue: prologue.to_vec() };
        let a = connection(1, Role::Initiator, &carrier(prologues[0]), expected);
        let b = connection(2, Role::Responder, &carrier(prologues[1]), None);
        Self { a: Side::new(a, 1), b: Side::new(b, 2), now: Instant::ZERO }
    }

    /// Carries records until there are none.
    pub(super) fn drive(&mut self) {
        while carry(self.now, &mut self.a, &mut self.b) | carry(self.now, &mut self.b, &mut self.a)
        {
        }
    }
}

fn carry(now: Instant, from: &mut Side, to: &mut Side) -> bool {
    let mut pipe = Vec::new();
    while from.connection.transmit(now, &mut pipe, from.budget) > 0 {}
    let (mut there, mut back) = (Vec::new(), Vec::new());
    let mut rest = &pipe[..];
    while let Some((kind, channel, body)) = record::read(&mut rest) {
        match kind {
            Kind::Ping => {
                let answer = [body, &1500u32.to_le_bytes()].concat();
                record::write(&mut back, Kind::Ping, 0, &answer);
            }
            Kind::Hold | Kind::Release => panic!("they have windows"),
            Kind::Open => {
                from.opened += 1;
                let number = REMOTE + to.remote.len() as u32;
                to.remote.push(channel);
                record::write(&mut there, Kind::Open, number, &[]);
            }
            Kind::Message | Kind::Close => {
                assert!(body.len() <= crate::webrtc::MAX_MESSAGE);
                from.sent += body.len();
                from.longest = from.longest.max(body.len());
                from.closed += usize::from(kind == Kind::Close);
                // The number of a channel that the other side opened is its own.
                let number = match channel.checked_sub(REMOTE) {
                    Some(nth) => from.remote[nth as usize],
                    None => to.channel(channel),
                };
                record::write(&mut there, kind, number, body);
            }
        }
    }
    assert!(rest.is_empty(), "half a record");
    from.connection.receive(now, &mut back);
    // In pieces, as a pipe may give them.
    for piece in there.chunks_mut(7_001) {
        to.connection.receive(now, piece);
    }
    !pipe.is_empty()
}
