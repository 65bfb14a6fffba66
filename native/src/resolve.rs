//! Names: `/dns`, `/dns4`, `/dns6` and `/dnsaddr`.

use std::collections::VecDeque;
use std::net::IpAddr;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::proto::rr::RData;
use polypeer::address::Multiaddr;
use polypeer::facade::platform::{BoxFuture, TransportError};
use tokio::sync::OnceCell;

use crate::endpoint::{Endpoint, Host, Target};

/// How deep `/dnsaddr` records may point to further ones.
const MAX_DEPTH: usize = 4;

/// Look-ups for one dial: a record costs its owner nothing, each look-up costs us.
const MAX_LOOKUPS: usize = 32;

/// `/dnsaddr` records taken from one answer.
const MAX_RECORDS: usize = 16;

/// Addresses that one dial tries.
const MAX_TARGETS: usize = 16;

/// Looks names up. The system's resolver is the default; tests bring their own.
pub trait Resolver: Send + Sync + 'static {
    /// The A and AAAA records of `name`, preferred ones first.
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>>;

    /// The TXT records of `name`.
    fn texts<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, ResolveError>>;
}

/// Why a look-up failed, in the resolver's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ResolveError(pub String);

/// The resolver that the operating system is configured with, by hosts file and DNS.
#[derive(Default)]
pub struct SystemResolver {
    /// Read at the first look-up: most peers are dialed by number.
    resolver: OnceCell<TokioResolver>,
}

impl SystemResolver {
    async fn get(&self) -> Result<&TokioResolver, ResolveError> {
        let make = || async {
            let mut builder = TokioResolver::builder_tokio()?;
            builder.options_mut().ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
            builder.build()
        };
        self.resolver.get_or_try_init(make).await.map_err(|error| ResolveError(error.to_string()))
    }
}

impl Resolver for SystemResolver {
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        Box::pin(async move {
            let found = self.get().await?.lookup_ip(name).await;
            found
                .map(|found| found.iter().collect())
                .map_err(|error| ResolveError(error.to_string()))
        })
    }

    fn texts<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, ResolveError>> {
        Box::pin(async move {
            let found = self.get().await?.txt_lookup(name).await;
            let found = found.map_err(|error| ResolveError(error.to_string()))?;
            let texts = found.answers().iter().filter_map(|record| match &record.data {
                // The strings of one record are one text (RFC 7208, section 3.3).
                RData::TXT(txt) => String::from_utf8(txt.txt_data.concat()).ok(),
                _ => None,
            });
            Ok(texts.collect())
        })
    }
}

/// What to try, in this order, to reach `address`.
pub(crate) async fn resolve(
    resolver: &dyn Resolver,
    address: &Multiaddr,
) -> Result<Vec<Target>, TransportError> {
    let mut lookups = 0;
    let mut failure = None;
    let mut targets = Vec::new();
    let mut queue = VecDeque::from([(address.clone(), 0)]);
    while let Some((address, depth)) = queue.pop_front() {
        let Some(endpoint) = Endpoint::parse(&address) else { continue };
        let name = match endpoint.name() {
            None => String::new(),
            Some(_) if lookups == MAX_LOOKUPS => {
                failure = Some(too_many(&address));
                break;
            }
            Some(name) => {
                lookups += 1;
                name.to_owned()
            }
        };
        match &endpoint {
            Endpoint::Memory(port) => targets.push(Target::Memory(*port)),
            Endpoint::Tcp { host, .. }
            | Endpoint::WebRtc { host, .. }
            | Endpoint::Quic { host, .. } => match host {
                Host::Ip(ip) => targets.extend(endpoint.at(*ip)),
                Host::Name(_, family) => match resolver.addresses(&name).await {
                    Ok(ips) => {
                        let wanted = ips.into_iter().filter(|ip| family.has(ip));
                        targets.extend(wanted.filter_map(|ip| endpoint.at(ip)));
                    }
                    Err(error) => failure = Some(failed(name, error.0)),
                },
            },
            Endpoint::Dnsaddr { end, .. } => {
                let name = format!("_dnsaddr.{name}");
                match resolver.texts(&name).await {
                    Ok(_) if depth == MAX_DEPTH => failure = Some(too_many(&address)),
                    Ok(texts) => {
                        let found = texts.iter().filter_map(|text| record(text, end));
                        queue.extend(found.take(MAX_RECORDS).map(|found| (found, depth + 1)));
                    }
                    Err(error) => failure = Some(failed(name, error.0)),
                }
            }
        }
        if targets.len() >= MAX_TARGETS {
            targets.truncate(MAX_TARGETS);
            break;
        }
    }
    if targets.is_empty() {
        return Err(failure.unwrap_or_else(|| match Endpoint::parse(address) {
            None => TransportError::Unsupported { address: address.clone() },
            Some(_) => failed(address.to_string(), "no address that can be dialed".into()),
        }));
    }
    Ok(targets)
}

/// The address in a `dnsaddr=` record, if it ends as asked for.
fn record(text: &str, end: &[u8]) -> Option<Multiaddr> {
    let address: Multiaddr = text.strip_prefix("dnsaddr=")?.parse().ok()?;
    address.as_bytes().ends_with(end).then_some(address)
}

fn failed(name: String, reason: String) -> TransportError {
    TransportError::Resolve { name, reason }
}

fn too_many(address: &Multiaddr) -> TransportError {
    failed(address.to_string(), "its records lead on and on".into())
}
