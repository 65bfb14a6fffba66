//! Two sessions joined in memory, with a clock of their own.

use core::time::Duration;
use std::collections::VecDeque;

use super::super::*;
use crate::{Instant, Rng};

pub(super) const CLIENT: usize = 0;
pub(super) const SERVER: usize = 1;

/// How far the clock goes in a step.
pub(super) const TICK: Duration = Duration::from_millis(1);

pub(super) struct Pair {
    pub(super) now: Instant,
    pub(super) ends: [Yamux; 2],
    /// What is under way from each end, with the time it arrives.
    wires: [VecDeque<(Instant, Vec<u8>)>; 2],
    pub(super) delay: Duration,
    /// Bytes that each end may send in a step.
    pub(super) budget: usize,
    /// Pieces in which bytes arrive are at most this long.
    pub(super) piece: usize,
    pub(super) rng: Rng,
}

impl Pair {
    pub(super) fn new(config: Config, seed: u64) -> Self {
        let end = |role| Yamux::new(config.clone(), role, Instant::ZERO);
        Self {
            now: Instant::ZERO,
            ends: [end(Role::Client), end(Role::Server)],
            wires: Default::default(),
            delay: Duration::ZERO,
            budget: usize::MAX,
            piece: usize::MAX,
            rng: Rng::from_number(seed),
        }
    }

    /// One tick: both ends send, what is due arrives, deadlines pass.
    pub(super) fn step(&mut self) {
        self.now = self.now + TICK;
        for from in [CLIENT, SERVER] {
            let mut out = Vec::new();
            let count = self.ends[from].transmit(self.now, &mut out, self.budget);
            assert_eq!(count, out.len());
            assert!(count <= self.budget);
            if count > 0 {
                self.wires[from].push_back((self.now + self.delay, out));
            }
            let to = &mut self.ends[1 - from];
            while self.wires[from].front().is_some_and(|(at, _)| *at <= self.now) {
                let (_, bytes) = self.wires[from].pop_front().unwrap();
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let most = self.piece.min(rest.len()) as u64;
                    let size = if most < 2 { most } else { 1 + self.rng.below(most) };
                    let (piece, after) = rest.split_at(size as usize);
                    to.receive(self.now, piece).unwrap();
                    rest = after;
                }
            }
        }
        for end in &mut self.ends {
            if end.poll_timeout().is_some_and(|at| at <= self.now) {
                end.handle_timeout(self.now).unwrap();
            }
        }
    }

    /// Steps until nothing is under way.
    pub(super) fn settle(&mut self) {
        while self.ends.iter().any(Yamux::wants_transmit)
            || self.wires.iter().any(|wire| !wire.is_empty())
        {
            self.step();
        }
    }

    pub(super) fn events(&mut self, end: usize) -> Vec<Event> {
        std::iter::from_fn(|| self.ends[end].poll_event()).collect()
    }

    pub(super) fn stream(&mut self, end: usize, id: StreamId) -> Stream<'_> {
        self.ends[end].stream(id).unwrap()
    }

    /// A stream of the client that both ends know and have accepted.
    pub(super) fn open(&mut self) -> StreamId {
        let id = self.ends[CLIENT].open().unwrap();
        self.settle();
        assert!(self.events(SERVER).contains(&Event::Opened(id)));
        self.settle();
        id
    }

    /// Has so much time pass that unused memory is given back.
    pub(super) fn rest(&mut self) {
        self.settle();
        for _ in 0..3 {
            self.now = self.now + Duration::from_secs(10);
            for end in &mut self.ends {
                end.handle_timeout(self.now).unwrap();
            }
        }
    }
}
