//! The commands of the program.

mod args;
mod client;
mod config;
mod dht;
mod keeping;
mod key;
mod meeting;
mod neighbours;
mod output;
mod perf;
mod ping;
mod reach;
mod relay;
mod reload;
mod serve;
mod stats;
mod welcome;

use std::process::ExitCode;

use clap::Parser;
use polypeer::address::Multiaddr;
use polypeer::facade::platform::TransportError;
use polypeer::node::DialError;
use polypeer::protocols::relay::RelayError;
use polypeer_native::keys::KeyError;
use polypeer_native::service::perf::PerfError;
use polypeer_native::{CertificateError, WebRtcCertificateError};

use args::{Arguments, Command};
use output::Output;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("cannot start: {0}")]
    Start(std::io::Error),
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("no home directory is known")]
    NoHome,
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    WebRtcCertificate(#[from] WebRtcCertificateError),
    #[error("cannot look for neighbours: {0}")]
    Mdns(std::io::Error),
    #[error("{0}")]
    Listen(TransportError),
    #[error("cannot answer over HTTP at {address}: {source}")]
    Http { address: std::net::SocketAddr, source: std::io::Error },
    #[error("the store of records cannot be used: {0}")]
    Records(String),
    #[error("cannot listen on {0}: {1}")]
    Relay(Multiaddr, RelayError),
    #[error("cannot reach {address}: {source}")]
    Dial { address: Multiaddr, source: DialError },
    #[error("{lost} of {sent} pings were lost")]
    Lost { lost: u32, sent: u32 },
    #[error("the measurement failed: {0}")]
    Perf(#[from] PerfError),
}

impl Failure {
    /// The exit code; `--help` has the list.
    fn exit(&self) -> u8 {
        match self {
            Self::Start(_)
            | Self::Certificate(_)
            | Self::WebRtcCertificate(_)
            | Self::Records(_)
            | Self::Lost { .. }
            | Self::Perf(_) => 1,
            Self::Config(_) => 2,
            Self::Dial { .. } => 3,
            Self::Key(_) | Self::NoHome => 4,
            Self::Listen(_) | Self::Relay(..) | Self::Mdns(_) | Self::Http { .. } => 5,
        }
    }

    /// A stable name for programs.
    fn code(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Key(KeyError::Missing(_)) => "key-missing",
            Self::Key(KeyError::Exists(_)) => "key-exists",
            Self::Key(_) | Self::NoHome => "key",
            Self::Config(_) => "config",
            Self::Records(_) => "records",
            Self::Http { .. } => "listen",
            Self::Certificate(_) | Self::WebRtcCertificate(_) => "certificate",
            Self::Listen(_) | Self::Relay(..) => "listen",
            Self::Mdns(_) => "mdns",
            Self::Dial { .. } => "dial",
            Self::Lost { .. } => "lost",
            Self::Perf(_) => "perf",
        }
    }

    /// What may help.
    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Key(KeyError::Missing(_)) => {
                Some("Make one with `polypeer keygen`, or name another with --key.")
            }
            Self::Key(KeyError::Exists(_)) | Self::NoHome => Some("Name another file with --key."),
            Self::WebRtcCertificate(WebRtcCertificateError::Malformed { .. }) => {
                Some("Move it away to begin with a new one; the addresses change with it.")
            }
            Self::Listen(_) => Some("Choose other addresses with --listen."),
            Self::Http { .. } => Some("Choose another address with --routing."),
            Self::Records(_) => Some("Choose another place with --records."),
            Self::Perf(PerfError::Open(_)) => {
                Some("The peer must offer perf: `polypeer serve --perf`.")
            }
            _ => None,
        }
    }
}

/// Runs the program.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::new(arguments.json);
    let result = match tokio::runtime::Runtime::new() {
        // On a worker, like the connections' tasks: what they hand over is warm in
        // that core's cache.
        Ok(runtime) => runtime
            .block_on(runtime.spawn(carry_out(arguments.command, output)))
            .unwrap_or_else(|error| Err(Failure::Start(error.into()))),
        Err(error) => Err(Failure::Start(error)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.fail(&failure);
            ExitCode::from(failure.exit())
        }
    }
}

async fn carry_out(command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Serve(arguments) => serve::run(*arguments, output).await,
        Command::Id(file) => key::id(&file, output),
        Command::Keygen(arguments) => key::generate(&arguments, output),
        Command::Ping(arguments) => ping::run(arguments, output).await,
        Command::Perf(arguments) => perf::run(arguments, output).await,
    }
}
