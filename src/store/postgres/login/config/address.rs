//! The places where the server may be.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::settings::{Setting, Settings};
use crate::store::error::StoreError;

const DEFAULT_HOST: &str = "localhost";
const DEFAULT_PORT: u16 = 5432;

/// One place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// A name, an IP address, or the directory of a Unix socket.
    pub(super) host: String,
    /// The IP address to connect to, in place of looking up the name.
    pub(super) ip: Option<IpAddr>,
    pub(super) port: u16,
}

impl Address {
    /// All that are configured, in their order; there is at least one.
    pub(super) fn all(settings: &Settings) -> Result<Vec<Self>, StoreError> {
        let hosts = settings.get("host");
        let ips = settings.get("hostaddr");
        let hosts_list = list(hosts.as_ref(), host)?;
        let ips_list = list(ips.as_ref(), ip)?;
        let count = hosts_list.len().max(ips_list.len()).max(1);
        if let Some(ips) = &ips
            && !hosts_list.is_empty()
            && hosts_list.len() != ips_list.len()
        {
            return Err(ips.must_be("a list as long as that of the hosts"));
        }
        let ports = settings.get("port");
        let ports_list = list(ports.as_ref(), port)?;
        if let Some(ports) = &ports
            && ports_list.len() != 1
            && ports_list.len() != count
        {
            return Err(ports.must_be("one port for all hosts, or a list as long as that of the hosts"));
        }
        Ok((0..count)
            .map(|at| {
                let ip = ips_list.get(at).copied().flatten();
                let host = hosts_list.get(at).cloned().flatten();
                let port = ports_list.get(at).or(ports_list.first()).copied().flatten();
                Self {
                    // The certificate of a host without a name is verified for its address.
                    host: host.unwrap_or_else(|| ip.map_or_else(|| String::from(DEFAULT_HOST), |ip| ip.to_string())),
                    ip,
                    port: port.unwrap_or(DEFAULT_PORT),
                }
            })
            .collect())
    }

    /// Whether it is a Unix socket.
    pub(super) fn is_socket(&self) -> bool {
        self.host.starts_with('/') && self.ip.is_none()
    }
}

/// All places as one, in the form that OpenTelemetry's conventions give to a list of servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerAddress {
    /// `db.example.com`, `a,b`, or, where one of several has another port than the usual, `a:5432,[::1]:5433`.
    pub(super) address: String,
    /// That of a single server.
    pub(super) port: Option<u16>,
}

impl ServerAddress {
    pub(super) fn of(addresses: &[Address]) -> Self {
        if let [only] = addresses {
            return Self {
                address: only.host.clone(),
                port: Some(only.port),
            };
        }
        let usual = addresses.iter().all(|address| address.port == DEFAULT_PORT);
        let names = addresses.iter().map(|address| {
            if usual {
                address.host.clone()
            } else {
                address.to_string()
            }
        });
        Self {
            address: names.collect::<Vec<_>>().join(","),
            port: None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        match host {
            directory if self.is_socket() && *port == DEFAULT_PORT => write!(f, "{directory}"),
            address if address.contains(':') && !self.is_socket() => write!(f, "[{address}]:{port}"),
            name => write!(f, "{name}:{port}"),
        }
    }
}

/// A setting's comma-separated items; an empty one is left to its default.
fn list<T>(
    setting: Option<&Setting>,
    parse: impl Fn(&Setting, &str) -> Result<T, StoreError>,
) -> Result<Vec<Option<T>>, StoreError> {
    let Some(setting) = setting else {
        return Ok(Vec::new());
    };
    let items = setting.value.split(',').map(str::trim);
    items
        .map(|item| (!item.is_empty()).then(|| parse(setting, item)).transpose())
        .collect()
}

fn host(setting: &Setting, item: &str) -> Result<String, StoreError> {
    if item.starts_with('/') {
        if cfg!(unix) {
            return Ok(String::from(item));
        }
        return Err(setting.must_be("a host's name: there are no Unix sockets on this system"));
    }
    let address = item.split_once('%').map_or(item, |(address, _zone)| address);
    let is_name = |item: &str| item.chars().all(|c| c.is_alphanumeric() || "-._".contains(c));
    // A wrongly written connection string may have a piece of its password here: what cannot be a host is not shown.
    if is_name(item) || address.parse::<Ipv6Addr>().is_ok() {
        Ok(String::from(item))
    } else {
        Err(setting.must_be(
            "the name, the IP address or the socket's directory (an absolute path) of each host; ports go into `port`, and \
             in a URL the characters @ / ? of a password must be percent-encoded",
        ))
    }
}

fn ip(setting: &Setting, item: &str) -> Result<IpAddr, StoreError> {
    item.parse().map_err(|_| setting.must_be("an IP address for each host"))
}

fn port(setting: &Setting, item: &str) -> Result<u16, StoreError> {
    item.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
        setting.must_be(
            "a number from 1 to 65535 for each host; in a URL the characters @ / ? of a password must be percent-encoded",
        )
    })
}
