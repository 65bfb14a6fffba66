//! What listeners do for those who come before their links are handed over.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use polypeer::address::Multiaddr;
use polypeer::facade::platform::{Link, TransportError};
use tokio::task::{AbortHandle, Id, JoinSet};

/// Handshakes at a time. When there are more, the oldest is given up: those who
/// take their time cannot keep the others out.
const MAX_HANDSHAKES: usize = 64;

/// Handshakes at a time with one address, loopback excepted (a proxy, most often).
/// So it takes many addresses to fill [`MAX_HANDSHAKES`].
const MAX_HANDSHAKES_PER_ADDRESS: usize = 8;

/// How long TLS and WebSocket, or ICE, DTLS and SCTP, may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The handshakes under way, each in a task of its own.
#[derive(Default)]
pub(crate) struct Handshakes {
    tasks: JoinSet<Result<Link, TransportError>>,
    /// The same in the order of their age.
    ages: VecDeque<(Id, IpAddr, AbortHandle)>,
}

impl Handshakes {
    /// Begins a handshake with `ip`, whose address is `remote`.
    pub(crate) fn start(
        &mut self,
        ip: IpAddr,
        remote: Multiaddr,
        handshake: impl Future<Output = Result<Link, TransportError>> + Send + 'static,
    ) {
        self.make_room(ip);
        let task = self.tasks.spawn(async move {
            tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake)
                .await
                .unwrap_or_else(|_| Err(TransportError::TimedOut { address: remote }))
        });
        self.ages.push_back((task.id(), ip, task));
    }

    /// Gives up the oldest handshake if the limits are reached.
    fn make_room(&mut self, ip: IpAddr) {
        let oldest = surplus(self.ages.iter().map(|(_, ip, _)| *ip), ip);
        if let Some((_, _, task)) = oldest.and_then(|index| self.ages.remove(index)) {
            task.abort();
        }
    }

    /// The next handshake that ends, well or not.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Link, TransportError>> {
        while let Poll::Ready(Some(ended)) = self.tasks.poll_join_next_with_id(cx) {
            let id = match &ended {
                Ok((id, _)) => *id,
                Err(error) => error.id(),
            };
            self.ages.retain(|(other, ..)| *other != id);
            match ended {
                Ok((_, link)) => return Poll::Ready(link),
                // It was given up for another one.
                Err(error) if error.is_cancelled() => {}
                Err(error) => {
                    return Poll::Ready(Err(TransportError::Other { reason: error.to_string() }));
                }
            }
        }
        Poll::Pending
    }
}

/// Which of those under way, the oldest first, is to give way to one more with `ip`: the
/// oldest if the limits are reached, with `ip` if it is that address that has too many.
pub(crate) fn surplus(
    mut waiting: impl Iterator<Item = IpAddr> + Clone,
    ip: IpAddr,
) -> Option<usize> {
    let same = |other: &IpAddr| *other == ip;
    if !ip.is_loopback() && waiting.clone().filter(same).count() >= MAX_HANDSHAKES_PER_ADDRESS {
        return waiting.position(|other| other == ip);
    }
    (waiting.count() >= MAX_HANDSHAKES).then_some(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way_of_an_address_that_has_too_many_first() {
        let [greedy, other] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let mut waiting = vec![other];
        waiting.extend([greedy; MAX_HANDSHAKES_PER_ADDRESS]);
        let giving_way = |waiting: &[IpAddr], ip| surplus(waiting.iter().copied(), ip);
        assert_eq!(giving_way(&waiting, greedy), Some(1));
        assert_eq!(giving_way(&waiting, other), None);
        waiting.resize(MAX_HANDSHAKES - 1, loopback);
        assert_eq!(giving_way(&waiting, loopback), None);
        waiting.push(loopback);
        assert_eq!(giving_way(&waiting, loopback), Some(0));
        assert_eq!(giving_way(&waiting, greedy), Some(1));
    }
}
