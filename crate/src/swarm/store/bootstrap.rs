//! The first connections of a start: to peers that the application names, to
//! those that proved stable in earlier runs, and to public ones if asked for.
//!
//! Dials go out until [`Config::target`] peers are connected, no more at a time
//! than are lacking. When all were tried in vain, there is a pause that grows.
//! Once the target was reached nothing happens until the last connection is lost.
//! Whomever the application hangs up on is not dialed again.

use core::time::Duration;

use crate::address::Multiaddr;
use crate::collections::{Map, Set};
use crate::identity::PeerId;
use crate::node::DialId;
use crate::rng::Rng;
use crate::time::Instant;

/// Peers of the public libp2p network that anybody may begin with, which the
/// IPFS project runs; kubo's list.
pub const PUBLIC: [&str; 5] = [
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN",
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa",
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb",
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt",
    "/dnsaddr/va1.bootstrap.libp2p.io/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8",
];
/// The pause after all were tried in vain; it doubles up to [`MAX_PAUSE`].
pub const PAUSE: Duration = Duration::from_secs(15);
/// The longest pause.
pub const MAX_PAUSE: Duration = Duration::from_secs(10 * 60);

/// With whom to begin. Nobody is dialed by default.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Addresses of peers to begin with, best with their `/p2p`.
    pub peers: Vec<Multiaddr>,
    /// Whether to begin with [`PUBLIC`] peers too; no.
    pub public: bool,
    /// How many of the peers that proved stable to begin with too, the best
    /// first; 0.
    pub remembered: usize,
    /// Peers to be connected to; 4.
    pub target: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { peers: Vec::new(), public: false, remembered: 0, target: 4 }
    }
}

/// Somebody to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) peer: Option<PeerId>,
    /// None: those that the store knows.
    pub(crate) addresses: Vec<Multiaddr>,
}

/// The list at work.
pub(crate) struct Bootstrap {
    config: Config,
    rng: Rng,
    named: Vec<Candidate>,
    public: Vec<Candidate>,
    /// Those of this round that are not tried yet, the best last.
    left: Vec<Candidate>,
    dials: Map<DialId, Candidate>,
    /// Those that the application hung up on.
    unwanted: Set<PeerId>,
    /// When to go on; never once the target is reached.
    due: Option<Instant>,
    pause: Duration,
    /// Whether a round is under way.
    running: bool,
}

/// What a round came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Dial,
    /// The target is reached, or all were tried.
    Over,
    Wait,
}

impl Bootstrap {
    pub(crate) fn new(config: Config, rng: Rng) -> Self {
        let named = group(config.peers.iter().cloned());
        let public = PUBLIC.iter().filter(|_| config.public).filter_map(|text| text.parse().ok());
        let public = group(public);
        let due = (!named.is_empty() || !public.is_empty()).then_some(Instant::ZERO);
        Self {
            config,
            rng,
            named,
            public,
            left: Vec::new(),
            dials: Map::new(),
            unwanted: Set::new(),
            due,
            pause: PAUSE,
            running: false,
        }
    }

    /// How many of the peers that proved stable are of use.
    pub(crate) fn remembered(&self) -> usize {
        self.config.remembered
    }

    /// Peers of earlier runs are known now.
    pub(crate) fn restored(&mut self, stable: bool) {
        if stable && self.config.remembered > 0 {
            self.due.get_or_insert(Instant::ZERO);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Whether it is time to go on.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// What to do now, with `connected` peers. A round begins with those that
    /// `stable` names beside the ones configured.
    pub(crate) fn step(
        &mut self,
        now: Instant,
        connected: usize,
        is_connected: impl Fn(&PeerId) -> bool,
        stable: impl FnOnce() -> Vec<PeerId>,
    ) -> (Step, Option<Candidate>) {
        self.due = None;
        if !self.running {
            self.running = true;
            let remembered = stable().into_iter();
            let remembered =
                remembered.map(|peer| Candidate { peer: Some(peer), addresses: Vec::new() });
            self.left = self.named.iter().cloned().chain(remembered).collect();
            self.left.extend(self.public.iter().cloned());
            self.left.reverse();
        }
        if connected >= self.config.target {
            (self.running, self.pause) = (false, PAUSE);
            self.left.clear();
            return (Step::Over, None);
        }
        if self.dials.len() >= self.config.target - connected {
            return (Step::Wait, None);
        }
        // Whom there is no sense in dialing.
        let out = |peer: &PeerId| is_connected(peer) || self.unwanted.contains(peer);
        while let Some(candidate) = self.left.pop() {
            if !candidate.peer.as_ref().is_some_and(&out) {
                return (Step::Dial, Some(candidate));
            }
        }
        if !self.dials.is_empty() {
            return (Step::Wait, None);
        }
        self.running = false;
        let missing = |candidate: &Candidate| !candidate.peer.as_ref().is_some_and(&out);
        if self.named.iter().chain(&self.public).any(missing) || connected == 0 {
            self.schedule(now);
        }
        (Step::Over, None)
    }

    fn schedule(&mut self, now: Instant) {
        // A quarter more or less, lest all that started together come together.
        let quarter = u64::try_from(self.pause.as_micros() / 4).unwrap_or(u64::MAX);
        let jitter = Duration::from_micros(self.rng.below(quarter.saturating_mul(2)));
        self.due = Some(now + (self.pause - self.pause / 4) + jitter);
        self.pause = (self.pause * 2).min(MAX_PAUSE);
    }

    pub(crate) fn dialing(&mut self, dial: DialId, candidate: Candidate) {
        self.dials.insert(dial, candidate);
    }

    /// A dial has come to its end; `peer` is whom it found.
    pub(crate) fn dialed(&mut self, now: Instant, dial: DialId, peer: Option<&PeerId>) {
        let Some(candidate) = self.dials.remove(&dial) else { return };
        self.due = Some(now);
        if peer.is_some() {
            self.pause = PAUSE;
        }
        // Who is at an address that did not say so is known from now on.
        for known in self.named.iter_mut().filter(|known| **known == candidate) {
            known.peer = known.peer.or(peer.copied());
        }
    }

    /// A peer is gone, by our own wish or not; `connected` are left.
    pub(crate) fn lost(&mut self, now: Instant, peer: &PeerId, wanted: bool, connected: usize) {
        let listed =
            |list: &[Candidate]| list.iter().any(|known| known.peer.as_ref() == Some(peer));
        let any = !self.named.is_empty() || !self.public.is_empty() || self.config.remembered > 0;
        if wanted {
            if listed(&self.named) || listed(&self.public) {
                self.unwanted.insert(*peer);
            }
        } else if any && connected == 0 && !self.running && self.due.is_none() {
            self.schedule(now);
        }
    }
}

/// Addresses by the peer that they name.
fn group(addresses: impl Iterator<Item = Multiaddr>) -> Vec<Candidate> {
    let mut list: Vec<Candidate> = Vec::new();
    for address in addresses {
        let peer = address.peer_id();
        match list.iter_mut().find(|known| peer.is_some() && known.peer == peer) {
            Some(known) => known.addresses.push(address),
            None => list.push(Candidate { peer, addresses: vec![address] }),
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_list_is_readable_and_off() {
        assert_eq!(group(PUBLIC.iter().map(|text| text.parse().unwrap())).len(), PUBLIC.len());
        assert_eq!(Bootstrap::new(Config::default(), Rng::from_number(1)).poll_timeout(), None);
        let config = Config { public: true, ..Config::default() };
        assert!(Bootstrap::new(config, Rng::from_number(1)).poll_timeout().is_some());
    }
}
