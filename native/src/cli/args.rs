//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use polypeer::address::Multiaddr;
use polypeer::discovery::mdns::ServiceName;
use polypeer::protocols::kad::OWN_NAME;

/// Exit codes, as `--help` tells them.
const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  the command failed while it ran
  2  the command line or the configuration is wrong
  3  the peer cannot be reached
  4  the key file is missing, in the way or of no use
  5  an address cannot be listened on";

/// A libp2p peer: serve, measure, make keys.
#[derive(Debug, Parser)]
#[command(name = "polypeer", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(super) struct Arguments {
    /// Print one JSON object a line, for programs to read.
    #[arg(long, global = true)]
    pub(super) json: bool,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a server: circuit relay, AutoNAT, DHT, ping, identify, echo and the demo's chat
    /// room.
    ///
    /// Without --listen it listens on all interfaces, IPv4 and IPv6, on port 4001 alone:
    /// for TCP, for WebSocket (with --certificate, secure too), for QUIC and for WebRTC
    /// direct, by which pages reach it without a certificate of an authority. It prints
    /// the address to give to pages, and all others. It makes a key if there is none, and
    /// runs until it is interrupted.
    #[command(after_help = EXIT_CODES)]
    Serve(Box<Serve>),
    /// Print the PeerId of the key.
    #[command(after_help = EXIT_CODES)]
    Id(KeyFile),
    /// Make a private key. An existing file is never overwritten.
    #[command(after_help = EXIT_CODES)]
    Keygen(Keygen),
    /// Ping a peer.
    #[command(after_help = EXIT_CODES)]
    Ping(Ping),
    /// Measure the throughput to a peer that runs `polypeer serve --perf`, or
    /// another libp2p peer that speaks /perf/1.0.0.
    #[command(after_help = EXIT_CODES)]
    Perf(Perf),
}

#[derive(Debug, Args)]
pub(super) struct KeyFile {
    /// The private key, in libp2p's protobuf form
    /// [default: ~/.config/polypeer/key, by the rules of the XDG]
    #[arg(long, value_name = "FILE", env = "POLYPEER_KEY")]
    pub(super) key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    pub(super) key: KeyFile,

    /// Listen here, for instance /ip4/127.0.0.1/tcp/0/ws or
    /// /ip4/0.0.0.0/udp/4001/webrtc-direct; may be repeated. The
    /// address of a relay with /p2p-circuit behind it asks that relay for a place.
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(super) listen: Vec<Multiaddr>,

    /// Keep the certificate of WebRTC direct here; its hash is part of the addresses
    /// [default: beside the key, with .webrtc.pem behind its name]
    #[arg(long, value_name = "FILE")]
    pub(super) webrtc_certificate: Option<PathBuf>,

    /// Remember peers here from one start to the next
    /// [default: beside the key, with .peers.redb behind its name]
    #[arg(long, value_name = "FILE", conflicts_with = "no_store")]
    pub(super) store: Option<PathBuf>,

    /// Remember nobody, and keep nothing for others but what --records names.
    #[arg(long)]
    pub(super) no_store: bool,

    /// Begin with this peer, for instance /dns4/a.example/tcp/4001/p2p/12D3KooW…;
    /// may be repeated. Peers that proved stable earlier are begun with as well.
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(super) bootstrap: Vec<Multiaddr>,

    /// Begin with the well-known peers of the public libp2p network too.
    #[arg(long)]
    pub(super) public_bootstrap: bool,

    /// Do not serve as a circuit relay for peers that cannot be dialed.
    #[arg(long)]
    pub(super) no_relay: bool,

    /// Peers that may have a place at the relay at a time; 128.
    #[arg(long, value_name = "N", conflicts_with = "no_relay")]
    pub(super) relay_reservations: Option<usize>,

    /// Seconds that a relayed connection may last, 120; 0 for no limit.
    #[arg(long, value_name = "SECONDS", conflicts_with = "no_relay")]
    pub(super) relay_duration: Option<u64>,

    /// Bytes that a relayed connection may carry each way, 128K; 0 for no limit.
    #[arg(long, value_name = "BYTES", value_parser = bytes, conflicts_with = "no_relay")]
    pub(super) relay_data: Option<u64>,

    /// Bytes a second through one relayed connection, at most.
    #[arg(long, value_name = "BYTES", value_parser = bytes, conflicts_with = "no_relay")]
    pub(super) relay_rate: Option<u64>,

    /// Bytes a second through all relayed connections of one peer, at most.
    #[arg(long, value_name = "BYTES", value_parser = bytes, conflicts_with = "no_relay")]
    pub(super) relay_rate_peer: Option<u64>,

    /// Bytes a second through all relayed connections of one IP address, at most.
    #[arg(long, value_name = "BYTES", value_parser = bytes, conflicts_with = "no_relay")]
    pub(super) relay_rate_ip: Option<u64>,

    /// Bytes a second through all relayed connections together, at most.
    #[arg(long, value_name = "BYTES", value_parser = bytes, conflicts_with = "no_relay")]
    pub(super) relay_rate_total: Option<u64>,

    /// Take limits, filters and bandwidth from this file, in TOML or JSON; on SIGHUP, again
    /// what it says of the relay and of addresses.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Use at most this much memory, K, M and G meaning KiB, MiB and GiB: the limits
    /// on connections and streams follow from it.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(super) memory: Option<u64>,

    /// Hold at most so many connections.
    #[arg(long, value_name = "N")]
    pub(super) max_connections: Option<usize>,

    /// With more connections than this, close the least valuable
    /// [default: 192, or nine tenths of --max-connections]
    #[arg(long, value_name = "N")]
    pub(super) high_water: Option<usize>,

    /// Close them until there are so many
    /// [default: 160, or four fifths of --max-connections]
    #[arg(long, value_name = "N")]
    pub(super) low_water: Option<usize>,

    /// Receive at most so much a second, of all together.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(super) limit_in: Option<u64>,

    /// Send at most so much a second, to all together.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(super) limit_out: Option<u64>,

    /// Speak with this peer, address or network, such as /ip4/10.0.0.0/ipcidr/8,
    /// whatever --deny says of more; * is everyone. May be repeated.
    #[arg(long, value_name = "SUBJECT")]
    pub(super) allow: Vec<String>,

    /// Do not speak with this peer, address or network. May be repeated.
    #[arg(long, value_name = "SUBJECT")]
    pub(super) deny: Vec<String>,

    /// Announce this address in place of all that the server knows of itself; may be
    /// repeated.
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(super) announce: Vec<Multiaddr>,

    /// Announce this address too; may be repeated.
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(super) append_announce: Vec<Multiaddr>,

    /// Never announce addresses that begin so, or of this network, such as
    /// /ip4/10.0.0.0/ipcidr/8. May be repeated.
    #[arg(long, value_name = "SUBJECT")]
    pub(super) no_announce: Vec<String>,

    /// Have the gateway of this network send on to us what comes for our ports, by UPnP,
    /// PCP or NAT-PMP.
    #[arg(long)]
    pub(super) port_mapping: bool,

    /// The gateway that speaks PCP or NAT-PMP; on Linux that of the default route is
    /// found.
    #[arg(long, value_name = "IP", requires = "port_mapping")]
    pub(super) gateway: Option<IpAddr>,

    /// Look for peers on the local network and connect to them (mDNS); with a NAME, for
    /// those alone that look for the same one.
    #[arg(long, value_name = "NAME", value_parser = ServiceName::new, num_args = 0..=1, default_missing_value = "p2p")]
    pub(super) mdns: Option<ServiceName>,

    /// Do not find out for others whether they can be dialed (AutoNAT).
    #[arg(long)]
    pub(super) no_autonat: bool,

    /// Be a rendezvous point: keep for whoever registers under a name where it is, and
    /// tell all who ask.
    #[arg(long)]
    pub(super) rendezvous: bool,

    /// Take part in the DHT of this name, with all peers of the same name that are met:
    /// a network of one's own. /ipfs/kad/1.0.0 is the public one, in which only those
    /// serve that can be dialed by everyone; --public-bootstrap leads into it.
    #[arg(long, value_name = "NAME", default_value = OWN_NAME, value_parser = protocol)]
    pub(super) dht: String,

    /// Take part in no DHT.
    #[arg(long)]
    pub(super) no_dht: bool,

    /// Keep what the DHT stores for others here, from one start to the next: a file, or
    /// s3://BUCKET/PREFIX, which several servers may share, with the keys, region and
    /// endpoint of the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
    /// AWS_REGION, AWS_ENDPOINT), if the program was built with the feature s3
    /// [default: beside the key, with .records.redb behind its name]
    #[arg(long, value_name = "PLACE", env = "POLYPEER_RECORDS", conflicts_with = "no_dht")]
    pub(super) records: Option<String>,

    /// Answer others out of the DHT over HTTP here (/routing/v1), such as
    /// 127.0.0.1:8080: for pages and behind a proxy that brings TLS.
    #[arg(long, value_name = "IP:PORT", env = "POLYPEER_ROUTING", conflicts_with = "no_dht")]
    pub(super) routing: Option<SocketAddr>,

    /// Print what the server does and holds so often.
    #[arg(long, value_name = "SECONDS", value_parser = interval)]
    pub(super) stats: Option<Duration>,

    /// Serve /perf/1.0.0 too, which lets anybody make this server work: only for
    /// networks that are trusted.
    #[arg(long)]
    pub(super) perf: bool,

    /// The certificate chain for secure WebSocket (/tls/ws), in PEM.
    #[arg(long, value_name = "FILE", requires = "certificate_key")]
    pub(super) certificate: Option<PathBuf>,

    /// The private key of the certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(super) certificate_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Keygen {
    #[command(flatten)]
    pub(super) key: KeyFile,

    /// The kind of key; ed25519 is understood everywhere.
    #[arg(long, value_enum, default_value_t)]
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum Kind {
    #[default]
    Ed25519,
    Secp256k1,
    /// On the curve P-256.
    Ecdsa,
}

#[derive(Debug, Args)]
pub(super) struct Ping {
    #[command(flatten)]
    pub(super) target: Target,

    /// How many times.
    #[arg(short, long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) count: u32,

    /// Seconds between pings.
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(super) interval: Duration,
}

#[derive(Debug, Args)]
pub(super) struct Perf {
    #[command(flatten)]
    pub(super) target: Target,

    /// Send this much; K, M and G mean KiB, MiB and GiB.
    #[arg(short, long, value_name = "BYTES", default_value = "256M", value_parser = bytes)]
    pub(super) upload: u64,

    /// Receive this much.
    #[arg(short, long, value_name = "BYTES", default_value = "256M", value_parser = bytes)]
    pub(super) download: u64,
}

#[derive(Debug, Args)]
pub(super) struct Target {
    /// The address of the peer, for instance /ip4/192.0.2.1/tcp/4001/p2p/12D3KooW…
    #[arg(value_name = "ADDR", value_parser = address)]
    pub(super) address: Multiaddr,

    /// Trust the certificates in this PEM file, too, for secure WebSocket.
    #[arg(long, value_name = "FILE")]
    pub(super) roots: Option<PathBuf>,
}

fn address(text: &str) -> Result<Multiaddr, String> {
    text.parse().map_err(|error: polypeer::address::ParseError| {
        // The place, marked under the address.
        let before = text.get(..error.offset).unwrap_or(text).chars().count();
        format!("{}\n  {text}\n  {:before$}^", error.kind, "")
    })
}

fn protocol(text: &str) -> Result<String, String> {
    if text.starts_with('/') { Ok(text.to_owned()) } else { Err("it begins with a /".to_owned()) }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = seconds(text)?;
    if interval.is_zero() { Err("not a time that passes".to_owned()) } else { Ok(interval) }
}

pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((index, letter)) if letter.is_ascii_alphabetic() => {
            (&text[..index], Some(letter.to_ascii_uppercase()))
        }
        _ => (text, None),
    };
    let shift = match unit {
        None | Some('B') => 0,
        Some('K') => 10,
        Some('M') => 20,
        Some('G') => 30,
        Some(other) => return Err(format!("unknown unit {other}; use K, M or G")),
    };
    let number: u64 = digits.parse().map_err(|_| "not a number of bytes".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "too many bytes".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn amounts() {
        assert_eq!(bytes("0"), Ok(0));
        assert_eq!(bytes("10"), Ok(10));
        assert_eq!(bytes("2k"), Ok(2048));
        assert_eq!(bytes("3G"), Ok(3 << 30));
        for wrong in ["", "M", "1.5M", "-1", "1T", "1é", "99999999999G"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_address_is_pointed_at() {
        let error = address("/ip4/127.0.0.1/tpc/4001").unwrap_err();
        assert!(error.contains("tpc"), "{error}");
        assert!(error.ends_with('^'), "{error}");
    }
}
