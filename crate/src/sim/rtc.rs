//! The WebRTC stacks of simulated peers.
//!
//! A description names the end that it is of. Two ends that have set each other's
//! meet, where the network lets UDP through to both; who was given another's
//! description, or waits for somebody who does not wait for it, finds no way, as with
//! a fingerprint that does not fit.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::node::ConnectionId;
use crate::protocols::webrtc::HostOrder;
use crate::webrtc::record::{self, Kind, REMOTE};

use super::{Application, End, Happening, PeerIndex, World};

/// How long a stack looks for a way.
const ICE_TIME: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Stacks {
    ends: BTreeMap<End, Stack>,
    /// The data channels of open connections.
    channels: BTreeMap<End, Channels>,
    /// Peers to whom no UDP comes.
    pub(super) blocked: BTreeSet<PeerIndex>,
    tries: u64,
}

struct Stack {
    remote: Option<End>,
    /// Which of the tries with this end it is.
    number: u64,
}

/// The channels of one end.
#[derive(Default)]
struct Channels {
    /// Those that the other end opened, by the number that they have there.
    remote: Vec<u32>,
    /// The beginning of a record whose rest is not out yet.
    partial: Vec<u8>,
}

fn describe((index, id): End) -> String {
    format!("end {} {}", index.0, id.0)
}

fn described(text: &str) -> Option<End> {
    let mut words = text.strip_prefix("end ")?.split(' ');
    let index = words.next()?.parse().ok()?;
    Some((PeerIndex(index), ConnectionId(words.next()?.parse().ok()?)))
}

impl<A: Application> World<A> {
    /// From now on no UDP comes through to a peer, or it does again.
    pub fn block_udp(&mut self, index: PeerIndex, blocked: bool) {
        if blocked {
            self.stacks.blocked.insert(index);
        } else {
            self.stacks.blocked.remove(&index);
        }
    }

    pub(super) fn rtc(&mut self, end: End, order: HostOrder) {
        let answers = matches!(order, HostOrder::Answer { .. });
        let remote = match &order {
            HostOrder::Offer => None,
            HostOrder::Answer { offer: text } | HostOrder::Accept { answer: text } => {
                match described(text) {
                    Some(remote) => Some(remote),
                    None => return self.rtc_failed(end, Duration::ZERO),
                }
            }
            HostOrder::Candidate { .. } => return,
        };
        if !matches!(order, HostOrder::Accept { .. }) {
            self.stacks.tries += 1;
            let number = self.stacks.tries;
            self.stacks.ends.insert(end, Stack { remote: None, number });
            let (peer, now) = (&mut self.hosts[end.0.0].peer, self.now);
            peer.rtc_described(now, end.1, describe(end));
            for candidate in
                ["{\"candidate\":\"candidate:1 1 udp 1 192.0.2.1 9 typ host\"}", "null"]
            {
                peer.rtc_found(now, end.1, candidate.into());
            }
        }
        let Some(remote) = remote else { return };
        if let Some(stack) = self.stacks.ends.get_mut(&end) {
            stack.remote = Some(remote);
        }
        let waits = |end: &End, other: End| {
            self.stacks.ends.get(end).is_some_and(|stack| stack.remote == Some(other))
        };
        let open = |end: End| !self.stacks.blocked.contains(&end.0);
        let meets = waits(&remote, end) && open(end) && open(remote);
        if meets && self.reachable(end.0, remote.0) {
            // Checks there and back, and the handshake of DTLS.
            let delay = self.links.delay(&mut self.rng) * 4;
            self.schedule(delay, Happening::Meet(end, remote));
        } else {
            // Who answers waits for who offered to hear of it.
            self.rtc_failed(end, if answers { ICE_TIME * 2 } else { ICE_TIME });
        }
    }

    fn rtc_failed(&mut self, end: End, after: Duration) {
        let number = self.stacks.ends.get(&end).map_or(0, |stack| stack.number);
        self.schedule(after, Happening::RtcFailed(end, number));
    }

    pub(super) fn rtc_late(&mut self, end: End, number: u64) {
        if self.stacks.ends.get(&end).is_none_or(|stack| stack.number == number) {
            self.stacks.ends.remove(&end);
            let (peer, now) = (&mut self.hosts[end.0.0].peer, self.now);
            peer.rtc_failed(now, end.1, "no candidate pair worked".into());
        }
    }

    pub(super) fn meet(&mut self, one: End, other: End) {
        let ends = [one, other];
        if !ends.iter().all(|end| self.stacks.ends.contains_key(end)) {
            return;
        }
        self.links.insert(one, other);
        for end in ends {
            self.stacks.ends.remove(&end);
            self.stacks.channels.insert(end, Channels::default());
        }
        for end in ends {
            if !self.hosts[end.0.0].peer.rtc_connected(self.now, end.1) {
                self.close(end);
            }
            self.drain(end.0);
        }
    }

    pub(super) fn rtc_dropped(&mut self, end: End) {
        self.stacks.ends.remove(&end);
        self.stacks.channels.remove(&end);
    }

    /// What the records that one end sends are at the other, if they have data
    /// channels between them.
    pub(super) fn over_channels(&mut self, from: End, bytes: Vec<u8>, reachable: bool) -> Vec<u8> {
        let Some(to) = self.links.other(from) else { return bytes };
        let channels = &mut self.stacks.channels;
        let (Some(mut ours), Some(mut theirs)) = (channels.remove(&from), channels.remove(&to))
        else {
            return bytes;
        };
        ours.partial.extend(bytes);
        let (mut there, mut back) = (Vec::new(), Vec::new());
        let mut rest = &ours.partial[..];
        while let Some((kind, channel, body)) = record::read(&mut rest) {
            match kind {
                Kind::Ping if reachable => {
                    let answer = [body, &0u32.to_le_bytes()].concat();
                    record::write(&mut back, kind, 0, &answer);
                }
                // As a page, it cannot hold anybody back.
                Kind::Ping | Kind::Hold | Kind::Release => {}
                Kind::Open => {
                    let number = REMOTE + theirs.remote.len() as u32;
                    theirs.remote.push(channel);
                    record::write(&mut there, kind, number, &[]);
                }
                Kind::Message | Kind::Close => {
                    let number = match channel.checked_sub(REMOTE) {
                        Some(nth) => ours.remote.get(nth as usize).copied(),
                        None => {
                            let nth = theirs.remote.iter().position(|known| *known == channel);
                            nth.map(|nth| REMOTE + nth as u32)
                        }
                    };
                    record::write(&mut there, kind, number.unwrap_or_default(), body);
                }
            }
        }
        ours.partial = rest.to_vec();
        channels.insert(from, ours);
        channels.insert(to, theirs);
        if !back.is_empty() {
            let delay = self.links.delay(&mut self.rng) * 2;
            self.schedule(delay, Happening::Deliver { to: from, bytes: back });
        }
        there
    }
}
