//! From a bare transport to a secure, multiplexed one.
//!
//! What a remote can make grow here: the bytes that wait for the rest of a
//! handshake message or for the verdict on its signature, at most
//! [`MAX_HANDSHAKE_BYTES`]; the time is bounded by the connection's deadline.

use std::sync::Arc;

use crate::identity::{PeerId, PublicKey};
use crate::negotiate::{Dialer, Listener, Name};
use crate::rng::Rng;
use crate::security::Role;
use crate::security::noise::{self, VerifyRequest};
#[cfg(feature = "plaintext")]
use crate::security::plaintext;
use crate::wire::Buffer;

use super::channel::Channel;
use super::{Config, Error, Security};

/// Bytes of an unauthenticated remote that may be left waiting with us. A Noise
/// message has 65,537 at most; the rest is room for what follows it while its
/// signature is verified.
pub const MAX_HANDSHAKE_BYTES: usize = 256 * 1024;

/// The protocol name of our muxer.
pub(super) const YAMUX: &str = "/yamux/1.0.0";

pub(super) enum Progress {
    Pending,
    /// The host must verify a signature; go on with [`Upgrade::verified`].
    Verify(VerifyRequest),
    Done(Box<Upgraded>),
}

/// What a finished upgrade hands over.
pub(super) struct Upgraded {
    pub(super) channel: Channel,
    pub(super) peer: PeerId,
    /// The answer to our muxer proposal, if it is still to come.
    pub(super) muxer_answer: Option<Dialer>,
    /// Bytes off the wire that belong to the channel.
    pub(super) rest: Vec<u8>,
    /// Plaintext that came behind the muxer's negotiation.
    pub(super) plain: Vec<u8>,
}

#[cfg(feature = "webrtc")]
impl Upgraded {
    pub(super) fn over_channels(
        channels: Box<crate::webrtc::Channels>,
        peer: PeerId,
        rest: Vec<u8>,
    ) -> Self {
        Self { channel: Channel::Data(channels), peer, muxer_answer: None, rest, plain: Vec::new() }
    }

    /// The host has done it all.
    #[cfg(feature = "muxed")]
    pub(super) fn muxed(peer: PeerId) -> Self {
        let (rest, plain) = (Vec::new(), Vec::new());
        Self { channel: Channel::Muxed, peer, muxer_answer: None, rest, plain }
    }
}

pub(super) struct Upgrade {
    config: Arc<Config>,
    role: Role,
    expected: Option<PeerId>,
    rng: Rng,
    stage: Stage,
    input: Buffer,
    /// The host is verifying a signature.
    verifying: bool,
    /// Takes the handshake off data channels, if these are what lies below.
    #[cfg(feature = "webrtc")]
    channels: Option<Box<crate::webrtc::Handshake>>,
}

enum Stage {
    /// Multistream-select over the bare transport; the handshake is already
    /// under way if its protocol was proposed lazily.
    Security(Negotiation, Option<Handshake>),
    Handshake(Handshake),
    /// Multistream-select inside the channel: only the listener waits in it.
    Muxer {
        listener: Listener,
        channel: Channel,
        remote: PublicKey,
        plain: Buffer,
    },
    Over,
}

enum Negotiation {
    Dialer(Dialer),
    Listener(Listener),
}

enum Handshake {
    Noise(Box<noise::Handshake>),
    #[cfg(feature = "plaintext")]
    Plaintext(Box<plaintext::Handshake>),
}

impl Upgrade {
    fn idle(config: Arc<Config>, role: Role, expected: Option<PeerId>, rng: Rng) -> Self {
        Self {
            config,
            role,
            expected,
            rng,
            stage: Stage::Over,
            input: Buffer::new(),
            verifying: false,
            #[cfg(feature = "webrtc")]
            channels: None,
        }
    }

    /// Starts; the dialer's first flight is appended to `out`.
    pub(super) fn new(
        config: Arc<Config>,
        role: Role,
        expected: Option<PeerId>,
        rng: Rng,
        out: &mut Vec<u8>,
    ) -> Result<Self, Error> {
        let mut upgrade = Self::idle(config, role, expected, rng);
        upgrade.stage = match role {
            Role::Responder => Stage::Security(Negotiation::Listener(Listener::new()), None),
            Role::Initiator => {
                let names: Vec<Name> =
                    upgrade.config.security.iter().map(|security| security.name().into()).collect();
                let single = upgrade.config.security.first().filter(|_| names.len() == 1).copied();
                let dialer = Dialer::new(names, out)?;
                let early = single.map(|security| upgrade.handshake(security, out)).transpose()?;
                Stage::Security(Negotiation::Dialer(dialer), early)
            }
        };
        Ok(upgrade)
    }

    /// Whom we dialed, if that was said.
    #[cfg(feature = "webrtc")]
    pub(super) fn expected(&self) -> Option<PeerId> {
        self.expected
    }

    /// Starts over data channels, with no security to negotiate: who listens begins
    /// the handshake (webrtc/webrtc-direct.md, "Connection Security").
    #[cfg(feature = "webrtc")]
    pub(super) fn over_channels(
        config: Arc<Config>,
        (role, prologue): (Role, Vec<u8>),
        expected: Option<PeerId>,
        rng: Rng,
        out: &mut Vec<u8>,
    ) -> Result<Self, Error> {
        let mut upgrade = Self::idle(config, role, expected, rng);
        upgrade.channels = Some(Box::default());
        let role = match role {
            Role::Initiator => Role::Responder,
            Role::Responder => Role::Initiator,
        };
        let mut said = Vec::new();
        upgrade.stage = Stage::Handshake(upgrade.noise((role, prologue), Vec::new(), &mut said)?);
        crate::webrtc::Handshake::write(&said, out);
        Ok(upgrade)
    }

    pub(super) fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Progress, Error> {
        let early = self.hear(bytes);
        let progress = self.said(out, Self::advance)?;
        // Only what is left counts: all of a large chunk may have been of use.
        if self.input.len() + early > MAX_HANDSHAKE_BYTES {
            return Err(Error::HandshakeTooLarge);
        }
        Ok(progress)
    }

    /// Takes bytes of the handshake off the carrier; returns how many others wait.
    fn hear(&mut self, bytes: &[u8]) -> usize {
        #[cfg(feature = "webrtc")]
        if let Some(channels) = &mut self.channels {
            return channels.receive(bytes, &mut self.input);
        }
        self.input.push(bytes);
        0
    }

    /// What `step` says goes to `out` as the carrier wants it.
    fn said(
        &mut self,
        out: &mut Vec<u8>,
        step: impl FnOnce(&mut Self, &mut Vec<u8>) -> Result<Progress, Error>,
    ) -> Result<Progress, Error> {
        #[cfg(feature = "webrtc")]
        if self.channels.is_some() {
            let mut said = Vec::new();
            let progress = step(self, &mut said)?;
            crate::webrtc::Handshake::write(&said, out);
            return Ok(progress);
        }
        step(self, out)
    }

    /// Whether more bytes can be of use now.
    pub(super) fn wants_read(&self) -> bool {
        !self.verifying
    }

    /// Bytes of the remote that wait here.
    pub(super) fn held(&self) -> usize {
        let plain = match &self.stage {
            Stage::Muxer { plain, .. } => plain.len(),
            _ => 0,
        };
        self.input.len() + plain
    }

    /// The host's verdict on the signature that [`Progress::Verify`] named.
    pub(super) fn verified(&mut self, good: bool, out: &mut Vec<u8>) -> Result<Progress, Error> {
        self.verifying = false;
        self.said(out, |upgrade, out| {
            let step = match &mut upgrade.stage {
                Stage::Handshake(Handshake::Noise(noise)) => noise.verified(good, out)?,
                _ => return Ok(Progress::Pending),
            };
            match upgrade.noise_step(step, out)? {
                Some(progress) => Ok(progress),
                None => upgrade.advance(out),
            }
        })
    }

    fn advance(&mut self, out: &mut Vec<u8>) -> Result<Progress, Error> {
        loop {
            match &mut self.stage {
                Stage::Security(negotiation, early) => {
                    let config = &self.config;
                    let (used, name) = match negotiation {
                        Negotiation::Dialer(dialer) => {
                            dialer.receive(self.input.as_slice(), out)?
                        }
                        Negotiation::Listener(listener) => listener.receive(
                            self.input.as_slice(),
                            &|name| config.security.iter().any(|known| known.name() == name),
                            &|| config.security.iter().map(|known| known.name().into()).collect(),
                            out,
                        )?,
                    };
                    let early = early.take_if(|_| name.is_some());
                    self.input.consume(used);
                    let Some(name) = name else { return Ok(Progress::Pending) };
                    let handshake = match (early, Security::from_name(&name)) {
                        (Some(handshake), _) => handshake,
                        (None, Some(security)) => self.handshake(security, out)?,
                        (None, None) => return Ok(Progress::Pending),
                    };
                    self.stage = Stage::Handshake(handshake);
                }
                Stage::Handshake(Handshake::Noise(noise)) => {
                    let (used, step) = noise.receive(self.input.as_slice(), out)?;
                    self.input.consume(used);
                    let pending = matches!(step, noise::Step::Pending);
                    if let Some(progress) = self.noise_step(step, out)? {
                        return Ok(progress);
                    }
                    if pending && used == 0 {
                        return Ok(Progress::Pending);
                    }
                }
                #[cfg(feature = "plaintext")]
                Stage::Handshake(Handshake::Plaintext(plaintext)) => {
                    let (used, done) = plaintext.receive(self.input.as_slice())?;
                    self.input.consume(used);
                    let Some(remote) = done else { return Ok(Progress::Pending) };
                    if let Some(done) =
                        self.secured(Channel::Plaintext, remote.public_key, &[], out)?
                    {
                        return Ok(done);
                    }
                }
                Stage::Muxer { listener, channel, plain, .. } => {
                    channel.receive(self.input.as_mut_slice(), &mut |bytes| {
                        plain.push(bytes);
                        Ok(())
                    })?;
                    self.input.clear();
                    let mut answer = Vec::new();
                    let (used, name) = listener.receive(
                        plain.as_slice(),
                        &|name| name == YAMUX,
                        &|| vec![YAMUX.into()],
                        &mut answer,
                    )?;
                    plain.consume(used);
                    send(channel, &answer, out)?;
                    if name.is_some() {
                        return Ok(self.finish());
                    }
                    if plain.len() > MAX_HANDSHAKE_BYTES {
                        return Err(Error::HandshakeTooLarge);
                    }
                    return Ok(Progress::Pending);
                }
                Stage::Over => return Ok(Progress::Pending),
            }
        }
    }

    fn handshake(&mut self, security: Security, out: &mut Vec<u8>) -> Result<Handshake, Error> {
        Ok(match security {
            Security::Noise => self.noise((self.role, Vec::new()), vec![YAMUX.into()], out)?,
            #[cfg(feature = "plaintext")]
            Security::Plaintext => Handshake::Plaintext(Box::new(plaintext::Handshake::new(
                &self.config.keypair.public(),
                self.expected,
                out,
            ))),
        })
    }

    fn noise(
        &mut self,
        (role, prologue): (Role, Vec<u8>),
        muxers: Vec<Name>,
        out: &mut Vec<u8>,
    ) -> Result<Handshake, Error> {
        let config = noise::Config {
            keypair: self.config.keypair.clone(),
            role,
            expected: self.expected,
            muxers,
            certhashes: Vec::new(),
            prologue,
            ciphers: self.config.ciphers.clone(),
            rng: self.rng.fork(),
        };
        Ok(Handshake::Noise(Box::new(noise::Handshake::new(config, out)?)))
    }

    fn noise_step(
        &mut self,
        step: noise::Step,
        out: &mut Vec<u8>,
    ) -> Result<Option<Progress>, Error> {
        match step {
            noise::Step::Pending => Ok(None),
            noise::Step::Verify(request) => {
                self.verifying = true;
                Ok(Some(Progress::Verify(request)))
            }
            #[cfg(feature = "webrtc")]
            noise::Step::Done(secured) if self.channels.is_some() => {
                self.stage = Stage::Over;
                let rest = self.channels.take().map(|channels| channels.done()).unwrap_or_default();
                let channels = Box::new(crate::webrtc::Channels::new(self.role));
                let peer = secured.remote.peer_id();
                let upgraded = Upgraded::over_channels(channels, peer, rest);
                Ok(Some(Progress::Done(Box::new(upgraded))))
            }
            noise::Step::Done(secured) => {
                let channel = Channel::noise(secured.sealer, secured.opener);
                self.secured(channel, secured.remote, &secured.remote_muxers, out)
            }
        }
    }

    /// The channel stands: agree on the muxer, which the handshake may have done.
    fn secured(
        &mut self,
        mut channel: Channel,
        remote: PublicKey,
        remote_muxers: &[Name],
        out: &mut Vec<u8>,
    ) -> Result<Option<Progress>, Error> {
        let early = remote_muxers.iter().any(|name| &**name == YAMUX);
        let mut muxer_answer = None;
        if !early {
            match self.role {
                Role::Initiator => {
                    let mut proposal = Vec::new();
                    muxer_answer = Some(Dialer::new(vec![YAMUX.into()], &mut proposal)?);
                    send(&mut channel, &proposal, out)?;
                }
                Role::Responder => {
                    self.stage = Stage::Muxer {
                        listener: Listener::new(),
                        channel,
                        remote,
                        plain: Buffer::new(),
                    };
                    return Ok(None);
                }
            }
        }
        self.stage = Stage::Over;
        let rest = self.input.as_slice().to_vec();
        self.input.clear();
        let plain = Vec::new();
        let upgraded = Upgraded { channel, peer: remote.peer_id(), muxer_answer, rest, plain };
        Ok(Some(Progress::Done(Box::new(upgraded))))
    }

    fn finish(&mut self) -> Progress {
        let Stage::Muxer { channel, remote, plain, .. } =
            core::mem::replace(&mut self.stage, Stage::Over)
        else {
            return Progress::Pending;
        };
        let plain = plain.as_slice().to_vec();
        let (peer, rest) = (remote.peer_id(), Vec::new());
        Progress::Done(Box::new(Upgraded { channel, peer, muxer_answer: None, rest, plain }))
    }
}

/// Sends `bytes`, which fit in one frame, through the channel.
fn send(channel: &mut Channel, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let mut rest = bytes;
    channel.transmit(out, usize::MAX, &mut |out, budget| {
        let (now, later) = rest.split_at(rest.len().min(budget));
        out.extend_from_slice(now);
        rest = later;
        now.len()
    })?;
    Ok(())
}
