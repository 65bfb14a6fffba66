//! Inbound connections by where they come from: how many, how fast, and how
//! many in their handshakes.
//!
//! Addresses cost an attacker something; connections do not. So an IPv4 address
//! and an IPv6 /56, which one customer has, are held to a number of connections
//! and to a rate of new ones, and so is an IPv6 /48, which one organisation has.
//! Source of the numbers: go-libp2p's "resource manager" and rate limiter.
//!
//! Handshakes that do not end are the cheapest attack. When their places are
//! taken, the oldest of the prefix with the most gives way to the newcomer, so
//! that those who take their time keep nobody out.
//!
//! What a remote can fill here: the table of prefixes; those with a connection
//! are bounded by the connections, the others by [`MAX_IDLE_PREFIXES`].

use crate::collections::LongMap;
use core::cmp::Reverse;
use core::net::IpAddr;
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::time::Instant;

/// Prefixes without a connection whose rate is remembered; when there are more,
/// all of them are forgotten. Some 64 bytes each.
pub const MAX_IDLE_PREFIXES: usize = 16 * 1024;

/// How many connections remotes may open to us. Plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrivals {
    /// Handshakes of one IPv4 address or IPv6 /56 at a time; 8.
    pub handshakes_per_address: usize,
    /// Connections of one IPv4 address or IPv6 /56; 8, rate 1 in 5 s after 16.
    pub address: Share,
    /// Connections of one IPv6 /48; 64, rate 1 in 2 s after 80.
    pub site: Share,
    /// Whether these limits hold for loopback, too; `false`: behind a proxy on
    /// this machine they would be the limits of all.
    pub loopback: bool,
}

/// What one prefix may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Connections at a time.
    pub connections: usize,
    /// New connections at once, before the rate holds.
    pub burst: u32,
    /// Time after which one more may come.
    pub interval: Duration,
}

impl Default for Arrivals {
    fn default() -> Self {
        let address = Share { connections: 8, burst: 16, interval: Duration::from_secs(5) };
        let site = Share { connections: 64, burst: 80, interval: Duration::from_secs(2) };
        Self { handshakes_per_address: 8, address, site, loopback: false }
    }
}

/// How a newcomer stands beside others in their handshakes: it displaces none
/// that stand higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Nothing is known of its address.
    Unknown,
    /// A peer has proved itself from its address, or it has none.
    Known,
    /// Its address is allowed by name.
    Allowed,
}

/// Why a connection may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooMany {
    Connections,
    Rate,
    Handshakes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Prefix {
    V4(u32),
    V6(u64),
    Site(u64),
}

impl Prefix {
    /// The prefixes that `ip` belongs to, the longest first.
    fn of(ip: IpAddr) -> [Option<Self>; 2] {
        match ip.to_canonical() {
            IpAddr::V4(ip) => [Some(Self::V4(ip.to_bits())), None],
            IpAddr::V6(ip) => {
                let high = (ip.to_bits() >> 64) as u64;
                [Some(Self::V6(high >> 8)), Some(Self::Site(high >> 16))]
            }
        }
    }
}

#[derive(Debug, Default)]
struct Entry {
    connections: usize,
    handshakes: usize,
    /// When the burst is whole again (generic cell rate algorithm).
    whole_at: Instant,
    /// A peer has proved itself from here.
    known: bool,
}

#[derive(Debug, Default)]
struct Table {
    entries: LongMap<Prefix, Entry>,
    /// Entries without a connection.
    idle: usize,
    /// By age: whose, and how it stands.
    handshakes: LongMap<u64, (Option<Prefix>, Standing)>,
}

/// All inbound connections of a node.
#[derive(Debug)]
pub(crate) struct Gatekeeper {
    limits: Arrivals,
    max_handshakes: usize,
    table: Arc<Mutex<Table>>,
}

/// The place of one inbound connection, given back when dropped.
#[derive(Debug)]
pub(crate) struct Arrival {
    id: u64,
    prefixes: [Option<Prefix>; 2],
    table: Arc<Mutex<Table>>,
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    // Every change is complete before the lock is released.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gatekeeper {
    pub(crate) fn new(limits: Arrivals, max_handshakes: usize) -> Self {
        Self { limits, max_handshakes, table: Arc::default() }
    }

    /// Lets connection `id`, whose number is higher than all before, in, or says
    /// why not; and whose handshake is to be given up for it.
    pub(crate) fn admit(
        &mut self,
        now: Instant,
        id: u64,
        ip: Option<IpAddr>,
        allowed: bool,
    ) -> Result<(Arrival, Option<u64>), TooMany> {
        let held = ip.filter(|ip| !allowed && (self.limits.loopback || !ip.is_loopback()));
        let prefixes = held.map_or([None, None], Prefix::of);
        let mut table = lock(&self.table);
        table.forget_idle(now);
        let mut crowded = false;
        for (prefix, share) in prefixes.iter().zip(self.shares()) {
            let Some(prefix) = prefix else { continue };
            let entry = table.entries.get(prefix);
            crowded |= entry.map_or(0, |entry| entry.connections) >= share.connections;
            if entry.is_some_and(|entry| share.next(entry, now).is_none()) {
                return Err(TooMany::Rate);
            }
        }
        let standing = match prefixes[0] {
            _ if allowed => Standing::Allowed,
            Some(prefix) if !table.entries.get(&prefix).is_some_and(|entry| entry.known) => {
                Standing::Unknown
            }
            _ => Standing::Known,
        };
        let own = prefixes[0].and_then(|prefix| table.entries.get(&prefix));
        let own = own.map_or(0, |entry| entry.handshakes);
        if crowded && own == 0 {
            return Err(TooMany::Connections);
        }
        let displaced = if crowded || own >= self.limits.handshakes_per_address {
            table.displace(|_, (other, _)| (*other == prefixes[0]).then_some(()))?
        } else if table.handshakes.len() >= self.max_handshakes {
            table.displace(|table, (other, below)| {
                let of = other.and_then(|other| table.get(&other));
                let crowd = of.map_or(0, |entry| entry.handshakes);
                (*below <= standing).then_some((Reverse(*below), crowd))
            })?
        } else {
            None
        };
        table.handshakes.insert(id, (prefixes[0], standing));
        for (index, (prefix, share)) in prefixes.iter().zip(self.shares()).enumerate() {
            let Some(prefix) = *prefix else { continue };
            let Table { entries, idle, .. } = &mut *table;
            let entry = entries.entry(prefix).or_insert_with(|| {
                *idle += 1;
                Entry::default()
            });
            *idle -= usize::from(entry.connections == 0);
            entry.connections += 1;
            entry.handshakes += usize::from(index == 0);
            entry.whole_at = share.next(entry, now).unwrap_or(entry.whole_at);
        }
        Ok((Arrival { id, prefixes, table: self.table.clone() }, displaced))
    }

    fn shares(&self) -> [Share; 2] {
        [self.limits.address, self.limits.site]
    }
}

impl Share {
    /// When the burst is whole again after one more; `None` if one more is too fast.
    fn next(&self, entry: &Entry, now: Instant) -> Option<Instant> {
        let whole_at = entry.whole_at.max(now) + self.interval;
        (whole_at - now <= self.interval.saturating_mul(self.burst)).then_some(whole_at)
    }
}

impl Table {
    /// Gives up the handshake that `rank` ranks highest, of equals the oldest.
    fn displace<R: Ord>(
        &mut self,
        rank: impl Fn(&LongMap<Prefix, Entry>, &(Option<Prefix>, Standing)) -> Option<R>,
    ) -> Result<Option<u64>, TooMany> {
        let ranked = self
            .handshakes
            .iter()
            .filter_map(|(id, place)| Some(((rank(&self.entries, place)?, Reverse(*id)), place.0)));
        let first = ranked.max_by(|(a, _), (b, _)| a.cmp(b));
        let ((_, Reverse(id)), prefix) = first.ok_or(TooMany::Handshakes)?;
        self.end_handshake(id, prefix);
        Ok(Some(id))
    }

    fn end_handshake(&mut self, id: u64, prefix: Option<Prefix>) {
        if self.handshakes.remove(&id).is_some()
            && let Some(entry) = prefix.and_then(|prefix| self.entries.get_mut(&prefix))
        {
            entry.handshakes = entry.handshakes.saturating_sub(1);
        }
    }

    fn forget_idle(&mut self, now: Instant) {
        if self.idle < MAX_IDLE_PREFIXES {
            return;
        }
        let busy = |entry: &Entry| entry.connections > 0;
        self.entries.retain(|_, entry| busy(entry) || entry.whole_at > now || entry.known);
        self.idle = self.entries.values().filter(|entry| !busy(entry)).count();
        // Or else it would be done for each newcomer again.
        if self.idle > MAX_IDLE_PREFIXES / 2 {
            self.entries.retain(|_, entry| busy(entry));
            self.idle = 0;
        }
    }
}

impl Arrival {
    /// The remote has proved who it is: the handshake's place is free.
    pub(crate) fn proved(&self) {
        let mut table = lock(&self.table);
        table.end_handshake(self.id, self.prefixes[0]);
        if let Some(entry) = self.prefixes[0].and_then(|prefix| table.entries.get_mut(&prefix)) {
            entry.known = true;
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut table = lock(&self.table);
        table.end_handshake(self.id, self.prefixes[0]);
        for prefix in self.prefixes.iter().flatten() {
            let Table { entries, idle, .. } = &mut *table;
            if let Some(entry) = entries.get_mut(prefix) {
                entry.connections = entry.connections.saturating_sub(1);
                *idle += usize::from(entry.connections == 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Door {
        keeper: Gatekeeper,
        next: u64,
        now: Instant,
    }

    impl Door {
        fn new(max_handshakes: usize) -> Self {
            let keeper = Gatekeeper::new(Arrivals::default(), max_handshakes);
            Self { keeper, next: 0, now: Instant::ZERO }
        }

        fn knock(&mut self, ip: &str) -> Result<(Arrival, Option<u64>), TooMany> {
            self.next += 1;
            let ip = (!ip.is_empty()).then(|| ip.parse().unwrap());
            self.keeper.admit(self.now, self.next, ip, false)
        }

        /// As [`Self::knock`], and proves itself at once.
        fn enter(&mut self, ip: &str) -> Result<Arrival, TooMany> {
            let (arrival, displaced) = self.knock(ip)?;
            assert_eq!(displaced, None);
            arrival.proved();
            Ok(arrival)
        }
    }

    #[test]
    fn connections_of_an_address() {
        for [ip, same, other] in [
            ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"],
            ["2001:db8::1", "2001:db8:0:ff::1", "2001:db8:0:100::1"],
        ] {
            let mut door = Door::new(64);
            let mut all: Vec<_> = (0..8).map(|_| door.enter(ip).unwrap()).collect();
            assert_eq!(door.enter(same).unwrap_err(), TooMany::Connections);
            all.push(door.enter(other).unwrap());
            all.remove(0);
            assert!(door.enter(same).is_ok(), "one has left");
        }
    }

    #[test]
    fn connections_of_a_site() {
        let mut door = Door::new(64);
        let all: Vec<_> =
            (0..64).map(|n| door.enter(&format!("2001:db8:0:{:x}00::1", n / 8)).unwrap()).collect();
        assert_eq!(door.enter("2001:db8:0:ff00::1").unwrap_err(), TooMany::Connections);
        assert!(door.enter("2001:db8:1::1").is_ok());
        drop(all);
        assert!(door.enter("2001:db8:0:ff00::1").is_ok());
    }

    #[test]
    fn new_connections_of_an_address_have_a_rate() {
        let mut door = Door::new(64);
        for _ in 0..16 {
            door.enter("192.0.2.1").unwrap();
        }
        assert_eq!(door.enter("192.0.2.1").unwrap_err(), TooMany::Rate);
        assert!(door.enter("192.0.2.2").is_ok(), "of others it is none of their business");
        door.now = door.now + Duration::from_secs(5);
        assert!(door.enter("192.0.2.1").is_ok());
        assert_eq!(door.enter("192.0.2.1").unwrap_err(), TooMany::Rate);
        door.now = door.now + Duration::from_secs(5 * 16);
        for _ in 0..16 {
            door.enter("192.0.2.1").unwrap();
        }
    }

    #[test]
    fn loopback_and_those_without_an_address_are_exempt() {
        for ip in ["127.0.0.1", "::1", ""] {
            let mut door = Door::new(64);
            let all: Vec<_> = (0..200).map(|_| door.enter(ip).unwrap()).collect();
            assert_eq!(all.len(), 200);
        }
    }

    #[test]
    fn the_ninth_handshake_of_an_address_displaces_its_oldest() {
        let mut door = Door::new(64);
        let held: Vec<_> = (0..8).map(|_| door.knock("192.0.2.1").unwrap()).collect();
        assert!(held.iter().all(|(_, displaced)| displaced.is_none()));
        let (ninth, displaced) = door.knock("192.0.2.1").unwrap();
        assert_eq!(displaced, Some(1));
        let (tenth, displaced) = door.knock("192.0.2.1").unwrap();
        assert_eq!(displaced, Some(2));
        assert_eq!(door.knock("192.0.2.2").unwrap().1, None);
        drop((held, ninth, tenth));
        let mut door = Door::new(64);
        door.keeper.limits.address.connections = 100;
        let held: Vec<_> = (0..8).map(|_| door.knock("192.0.2.1").unwrap()).collect();
        assert_eq!(door.knock("192.0.2.1").unwrap().1, Some(1));
        drop(held);
    }

    #[test]
    fn a_full_house_gives_way_where_most_handshakes_are() {
        let mut door = Door::new(10);
        let crowd: Vec<_> = (0..6).map(|_| door.knock("192.0.2.1").unwrap()).collect();
        let few: Vec<_> = (2..6).map(|n| door.knock(&format!("192.0.2.{n}")).unwrap()).collect();
        let (honest, displaced) = door.knock("198.51.100.1").unwrap();
        assert_eq!(displaced, Some(1), "the crowd's oldest");
        honest.proved();
        drop((crowd, few));
    }

    #[test]
    fn those_who_are_known_are_not_displaced_by_those_who_are_not() {
        let mut door = Door::new(4);
        door.enter("192.0.2.1").unwrap();
        let known = door.knock("192.0.2.1").unwrap();
        let allowed = door.keeper.admit(door.now, 100, "192.0.2.9".parse().ok(), true).unwrap();
        door.next = 100;
        let mut strangers = Vec::new();
        for n in 1..100 {
            let (arrival, displaced) = door.knock(&format!("198.51.100.{n}")).unwrap();
            assert_ne!(displaced, Some(known.0.id));
            assert_ne!(displaced, Some(100));
            strangers.push(arrival);
        }
        let mut all: Vec<_> = Vec::new();
        for n in 0..2 {
            all.push(door.keeper.admit(door.now, 300 + n, None, true).unwrap());
        }
        // Only those with a name are left, and one that is known.
        all.push(door.keeper.admit(door.now, 303, None, true).unwrap());
        door.next = 400;
        assert_eq!(door.knock("203.0.113.1").unwrap_err(), TooMany::Handshakes);
        drop((known, allowed, all));
        assert!(door.knock("203.0.113.1").is_ok());
    }

    #[test]
    fn the_table_is_bounded_and_empties() {
        let mut door = Door::new(64);
        for n in 0..3 * MAX_IDLE_PREFIXES as u32 {
            let ip = IpAddr::V4((0x0A00_0000 + n).into());
            door.enter(&ip.to_string()).unwrap();
            assert!(lock(&door.keeper.table).entries.len() <= MAX_IDLE_PREFIXES + 2);
        }
        assert!(lock(&door.keeper.table).handshakes.is_empty());
    }
}
