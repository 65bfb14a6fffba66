//! How fast messages come to all of many peers: what is the same whoever they are.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::Semaphore;

use crate::process::cpu_seconds;

/// The topic of the measurement.
pub(crate) const TOPIC: &str = "bench";
/// Bytes of a message.
const LENGTH: usize = 1024;
/// Earlier peers that each dials.
const DIALS: usize = 5;
/// Messages in a row that all have to hear before the clock starts: there is a mesh then.
const WARM_UP: usize = 10;
/// How long a message may take, before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who dials whom: the same random graph each time.
pub(crate) fn dials(peer: usize) -> Vec<usize> {
    let mut state = peer as u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let mut chosen = Vec::new();
    while chosen.len() < DIALS.min(peer) {
        let other = next() % peer;
        if !chosen.contains(&other) {
            chosen.push(other);
        }
    }
    chosen
}

/// Messages under way: each is over when all others have heard it.
pub(crate) struct Deliveries {
    heard: Vec<AtomicUsize>,
    over: Vec<Semaphore>,
    others: usize,
}

impl Deliveries {
    /// Up to `messages` among `peers`.
    pub(crate) fn new(peers: usize, messages: usize) -> Self {
        let most = messages + 100 * WARM_UP;
        Self {
            heard: (0..most).map(|_| AtomicUsize::new(0)).collect(),
            over: (0..most).map(|_| Semaphore::new(0)).collect(),
            others: peers - 1,
        }
    }

    /// A peer has heard a message.
    pub(crate) fn heard(&self, data: &[u8]) {
        let Some(number) = data.first_chunk().map(|bytes| u64::from_le_bytes(*bytes) as usize)
        else {
            return;
        };
        let (Some(heard), Some(over)) = (self.heard.get(number), self.over.get(number)) else {
            return;
        };
        if heard.fetch_add(1, Ordering::Relaxed) + 1 == self.others {
            over.add_permits(1);
        }
    }

    /// Whether all have heard a message in time.
    async fn is_over(&self, number: usize) -> bool {
        tokio::time::timeout(PATIENCE, self.over[number].acquire()).await.is_ok()
    }

    /// Publishes by turns at the peers, with `window` messages under way at a time, and
    /// prints how long that took and what it cost.
    ///
    /// # Errors
    /// There is no mesh after a hundred times what it takes, or it cannot be published.
    pub(crate) async fn measure<E>(
        &self,
        peers: usize,
        (messages, window): (usize, usize),
        mut publish: impl AsyncFnMut(usize, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E>
    where
        E: From<&'static str>,
    {
        let (mut next, mut in_a_row) = (0, 0);
        while in_a_row < WARM_UP {
            if next + messages == self.heard.len() {
                return Err("the peers do not hear each other".into());
            }
            publish(next % peers, message(next)).await?;
            let heard =
                tokio::time::timeout(Duration::from_secs(1), self.over[next].acquire()).await;
            in_a_row = if heard.is_ok() { in_a_row + 1 } else { 0 };
            next += 1;
        }
        let (cpu, began) = (cpu_seconds(), Instant::now());
        let mut lost = 0;
        for number in next..next + messages {
            if number >= next + window {
                lost += usize::from(!self.is_over(number - window).await);
            }
            publish(number % peers, message(number)).await?;
        }
        for number in next + messages.saturating_sub(window)..next + messages {
            lost += usize::from(!self.is_over(number).await);
        }
        let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        println!(
            "{}",
            json!({
                "peers": peers, "messages": messages, "lost": lost, "seconds": seconds,
                "cpu": cpu, "deliveries": messages * self.others,
            })
        );
        Ok(())
    }
}

fn message(number: usize) -> Vec<u8> {
    let mut data = vec![0x55; LENGTH];
    data[..8].copy_from_slice(&(number as u64).to_le_bytes());
    data
}
