//! ICE with one address on each side: the dialer checks that the path works and
//! goes on working, and both know when they have heard nothing for long.
//!
//! Source: RFC 8445 (the listener is a lite agent), RFC 7675 (consent).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::stun::{self, Class, Message, Transaction};
use super::ufrag::Credentials;

/// The wait for the answer to the first check, doubled for each further one up to
/// [`MAX_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
const MAX_WAIT: Duration = Duration::from_millis(1600);

/// How often the dialer checks a path that works: RFC 7675 section 5.1.
const CONSENT_EVERY: Duration = Duration::from_secs(5);

/// A remote that was not heard for so long is gone: RFC 7675 section 5.1.
pub(crate) const CONSENT_LASTS: Duration = Duration::from_secs(30);

/// A ping of the core is answered without a round trip of its own if the remote was
/// heard so long after it, but does not answer checks.
const PATIENCE: Duration = Duration::from_secs(1);

/// One side's view of the path.
pub(crate) struct Ice {
    credentials: Credentials,
    remote: SocketAddr,
    dials: bool,
    heard: Instant,
    check: Check,
    /// Pings of the core, one at a time as a rule, and when they came.
    pings: Vec<([u8; 4], Instant)>,
}

/// The check that is under way, or the next one.
struct Check {
    tie_breaker: [u8; 8],
    transaction: Transaction,
    /// When it was first sent; none before that.
    sent: Option<Instant>,
    /// When it is sent (again). A listener checks only when the core asks.
    next: Option<Instant>,
    wait: Duration,
    /// When one was last answered.
    answered: Option<Instant>,
    rtt: Option<Duration>,
}

impl Ice {
    /// The side that dials if `dials`, and the other one otherwise.
    pub(crate) fn new(
        dials: bool,
        credentials: Credentials,
        remote: SocketAddr,
        random: [u8; 20],
        now: Instant,
    ) -> Self {
        let (mut tie_breaker, mut transaction) = ([0; 8], [0; 12]);
        tie_breaker.copy_from_slice(&random[..8]);
        transaction.copy_from_slice(&random[8..]);
        let (next, wait) = (dials.then_some(now), FIRST_WAIT);
        let (sent, answered, rtt) = (None, None, None);
        let check = Check { tie_breaker, transaction, sent, next, wait, answered, rtt };
        Self { credentials, remote, dials, heard: now, check, pings: Vec::new() }
    }

    /// Whether DTLS may begin.
    pub(crate) fn works(&self) -> bool {
        !self.dials || self.check.answered.is_some()
    }

    /// When the remote counts as gone.
    pub(crate) fn lapses(&self) -> Instant {
        self.heard + CONSENT_LASTS
    }

    /// The remote has proved to be there in another way.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.check.rtt
    }

    /// The username of requests to the side that dials, if `dialer`, or listens, and
    /// the password that they and their answers are proved with.
    fn secrets(&self, dialer: bool) -> (String, &str) {
        let Credentials { listener, dialer: name, dialer_password } = &self.credentials;
        if dialer {
            (format!("{name}:{listener}"), dialer_password)
        } else {
            (self.credentials.username(), listener)
        }
    }

    /// Takes in a message of the remote; returns the answer to it.
    pub(crate) fn handle(&mut self, now: Instant, datagram: &[u8]) -> Option<Vec<u8>> {
        let message = Message::parse(datagram)?;
        match message.class {
            Class::Request => {
                let (username, password) = self.secrets(self.dials);
                if message.username == Some(&username) && message.verify(password) {
                    let answer = stun::success(message.transaction, self.remote, password);
                    self.heard = now;
                    return Some(answer);
                }
                // Perhaps somebody new behind the address of a remote that is gone.
                if self.dials { None } else { answer(&message, self.remote) }
            }
            Class::Success if message.transaction == self.check.transaction => {
                if message.verify(self.secrets(!self.dials).1) {
                    self.heard = now;
                    self.check.end(now);
                    self.check.next = self.dials.then(|| now + CONSENT_EVERY);
                }
                None
            }
            _ => None,
        }
    }

    /// The check that is due.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Vec<u8>> {
        let check = &mut self.check;
        check.next.filter(|next| *next <= now)?;
        check.sent.get_or_insert(now);
        check.next = Some(now + check.wait);
        check.wait = (check.wait * 2).min(MAX_WAIT);
        let (transaction, tie_breaker) = (check.transaction, check.tie_breaker);
        let (username, password) = self.secrets(!self.dials);
        Some(stun::request(transaction, &username, password, self.dials, tie_breaker))
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        let lapses = self.lapses();
        self.check.next.map_or(lapses, |next| next.min(lapses))
    }

    /// The core wants to know whether the remote is there.
    pub(crate) fn ping(&mut self, now: Instant, value: [u8; 4]) {
        self.pings.push((value, now));
        if self.check.sent.is_none() {
            self.check.next = Some(now);
        }
    }

    /// The next ping that is answered.
    pub(crate) fn pong(&mut self) -> Option<[u8; 4]> {
        let (value, asked) = *self.pings.first()?;
        let answered = self.check.answered.is_some_and(|at| at >= asked);
        if !answered && self.heard < asked + PATIENCE {
            return None;
        }
        self.pings.remove(0);
        if self.pings.is_empty() && !self.dials {
            // It has done its service, or will never do it.
            (self.check.next, self.check.sent) = (None, None);
        }
        Some(value)
    }
}

impl Check {
    /// It was answered; the next one is another one.
    fn end(&mut self, now: Instant) {
        if let Some(sent) = self.sent.take() {
            self.rtt = Some(now.saturating_duration_since(sent));
        }
        self.answered = Some(now);
        self.wait = FIRST_WAIT;
        // It need not be hard to guess: answers are proved.
        for byte in &mut self.transaction {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
    }
}

/// The answer of a listener to the request of somebody: whoever asks knows the
/// password, for it is in the question.
pub(crate) fn answer(request: &Message<'_>, from: SocketAddr) -> Option<Vec<u8>> {
    let credentials = credentials(request)?;
    Some(stun::success(request.transaction, from, &credentials.listener))
}

/// What a listener learns from a request that is as it should be.
pub(crate) fn credentials(request: &Message<'_>) -> Option<Credentials> {
    let credentials = Credentials::of_request(request.username?)?;
    let proved = request.class == Class::Request && request.verify(&credentials.listener);
    proved.then_some(credentials)
}
