//! The WebRTC stacks of simulated peers.
//!
//! A description names the end that it is of, and which of its descriptions it is. Two
//! ends that have set each other's last ones meet, where the network lets UDP through to
//! both; who was given another's description, or waits for somebody who does not wait for
//! it, finds no way, as with a fingerprint that does not fit. ICE that is restarted looks
//! for a way as the first time.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::node::ConnectionId;
use crate::protocols::webrtc::HostOrder;
use crate::webrtc::record::{self, Kind, REMOTE};

use super::{Application, End, Happening, PeerIndex, World};

/// How long a stack looks for a way, where nothing else is said.
const ICE_TIME: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Stacks {
    ends: BTreeMap<End, Stack>,
    /// The data channels of open connections.
    channels: BTreeMap<End, Channels>,
    /// Peers to whom no UDP comes.
    pub(super) blocked: BTreeSet<PeerIndex>,
    /// Peers who do nothing when ICE is to be restarted.
    stubborn: BTreeSet<PeerIndex>,
    /// How long stacks look for a way, if not [`ICE_TIME`].
    ice_time: Option<Duration>,
    descriptions: u64,
}

/// An end, and the number of its description.
type Described = (End, u64);

struct Stack {
    remote: Option<Described>,
    /// The number of the last description.
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

fn describe(((index, id), number): Described) -> String {
    format!("end {} {} {number}", index.0, id.0)
}

fn described(text: &str) -> Option<Described> {
    let mut words = text.strip_prefix("end ")?.split(' ');
    let index = words.next()?.parse().ok()?;
    let end = (PeerIndex(index), ConnectionId(words.next()?.parse().ok()?));
    Some((end, words.next()?.parse().ok()?))
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

    /// From now on stacks look for a way for so long before they say that there is none.
    pub fn set_ice_time(&mut self, time: Duration) {
        self.stacks.ice_time = Some(time);
    }

    /// From now on a peer does nothing when it, or another, restarts ICE.
    pub fn ignore_restarts(&mut self, index: PeerIndex) {
        self.stacks.stubborn.insert(index);
    }

    /// How many descriptions stacks have made.
    pub fn descriptions(&self) -> u64 {
        self.stacks.descriptions
    }

    pub(super) fn rtc(&mut self, end: End, order: HostOrder) {
        let accepts = matches!(order, HostOrder::Accept { .. });
        if matches!(order, HostOrder::Restart { .. }) && self.stacks.stubborn.contains(&end.0) {
            return;
        }
        let remote = match &order {
            HostOrder::Offer | HostOrder::Restart { offer: None } => None,
            HostOrder::Answer { offer: text }
            | HostOrder::Restart { offer: Some(text) }
            | HostOrder::Accept { answer: text } => match described(text) {
                Some(remote) => Some(remote),
                None => return self.rtc_failed(end, Duration::ZERO),
            },
            HostOrder::Candidate { .. } => return,
        };
        if !accepts {
            self.stacks.descriptions += 1;
            let number = self.stacks.descriptions;
            self.stacks.ends.insert(end, Stack { remote: None, number });
            let (peer, now) = (&mut self.hosts[end.0.0].peer, self.now);
            peer.rtc_described(now, end.1, describe((end, number)));
            for candidate in
                ["{\"candidate\":\"candidate:1 1 udp 1 192.0.2.1 9 typ host\"}", "null"]
            {
                peer.rtc_found(now, end.1, candidate.into());
            }
        }
        let (Some((remote, number)), Some(stack)) = (remote, self.stacks.ends.get_mut(&end)) else {
            return;
        };
        stack.remote = Some((remote, number));
        let ours = (end, stack.number);
        let theirs = self.stacks.ends.get(&remote);
        let waits =
            theirs.is_some_and(|stack| stack.remote == Some(ours) && stack.number == number);
        let open = |end: End| !self.stacks.blocked.contains(&end.0);
        if waits && open(end) && open(remote) && self.reachable(end.0, remote.0) {
            // Checks there and back, and the handshake of DTLS.
            let delay = self.links.delay(&mut self.rng) * 4;
            self.schedule(delay, Happening::Meet(end, remote));
        } else {
            // Who answers waits for who offered to hear of it.
            let time = self.stacks.ice_time.unwrap_or(ICE_TIME);
            self.rtc_failed(end, if accepts { time } else { time * 2 });
        }
    }

    fn rtc_failed(&mut self, end: End, after: Duration) {
        let number = self.stacks.ends.get(&end).map_or(0, |stack| stack.number);
        self.schedule(after, Happening::RtcFailed(end, number));
    }

    pub(super) fn rtc_late(&mut self, end: End, number: u64) {
        if self.stacks.ends.get(&end).is_none_or(|stack| stack.number == number) {
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
