//! Where a KDC is, as options and configuration files name it.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::str::FromStr;

use serde::Deserialize;

use super::dns::KdcPlace;
use crate::name::port_number;

/// The port of a KDC.
const PORT: u16 = 88;

/// Host and port of a KDC, which is asked over TCP. Written as `host`, `host:port`, an IPv6 address, or `[address]:port`; `tcp/` may
/// stand before it, as in krb5.conf.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct KdcAddress(KdcPlace);

/// A text that does not say where a KDC is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} does not name a KDC: {detail}; write host or host:port")]
pub struct KdcAddressError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub detail: &'static str,
}

impl KdcAddress {
    pub(super) fn place(&self) -> KdcPlace {
        self.0.clone()
    }
}

impl fmt::Display for KdcAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = &self.0;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl FromStr for KdcAddress {
    type Err = KdcAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let place = place(trimmed.strip_prefix("tcp/").unwrap_or(trimmed));
        place.map(Self).map_err(|detail| KdcAddressError { text: text.to_owned(), detail })
    }
}

impl TryFrom<String> for KdcAddress {
    type Error = KdcAddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SocketAddr> for KdcAddress {
    fn from(address: SocketAddr) -> Self {
        Self((address.ip().to_string(), address.port()))
    }
}

fn place(text: &str) -> Result<KdcPlace, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.contains("://") {
        return Err("it is a URL, and a KDC is asked over TCP");
    }
    if text.contains('/') {
        return Err("a KDC is asked over TCP alone");
    }
    if text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        return Err("it has a blank or a control character");
    }
    let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(None) => return Err("the bracket is not closed"),
        Some(Some((host, rest))) if is_ipv6(host) => match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err("something follows the bracket"),
        },
        Some(Some(_)) => return Err("no IPv6 address stands in the brackets"),
        // Several colons are an IPv6 address.
        None if text.matches(':').count() < 2 => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
        None if is_ipv6(text) => (text, None),
        None => return Err("it has several colons and is no IPv6 address"),
    };
    if host.is_empty() {
        return Err("it has no host");
    }
    let port = match port {
        Some(port) => port_number(port).map(NonZeroU16::get),
        None => Some(PORT),
    };
    Ok((host.to_owned(), port.ok_or("its port is no number from 1 to 65535")?))
}

/// Whether it is an IPv6 address, with its zone or without.
fn is_ipv6(text: &str) -> bool {
    text.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_every_form() {
        for (text, host, port) in [
            ("dc1", "dc1", 88),
            (" dc1 ", "dc1", 88),
            ("dc1:1088", "dc1", 1088),
            ("tcp/dc1:65535", "dc1", 65535),
            ("[::1]:1088", "::1", 1088),
            ("[::1]", "::1", 88),
            ("::1", "::1", 88),
            ("fe80::1%eth0", "fe80::1%eth0", 88),
            ("192.0.2.1:1", "192.0.2.1", 1),
        ] {
            let address: KdcAddress = text.parse().unwrap();
            assert_eq!(address.place(), (host.to_owned(), port), "{text}");
            assert_eq!(address.to_string().parse().as_ref(), Ok(&address));
        }
    }

    /// A mistake that is passed over lets another KDC be asked than the one that is meant.
    #[test]
    fn a_mistyped_address_is_named() {
        for text in [
            "",
            "  ",
            "tcp/",
            "vm:8x8",
            "vm:70000",
            "vm:0",
            "vm:",
            ":88",
            "vm:-1",
            "vm:+88",
            "[::1]:+88",
            "https://x/KdcProxy",
            "udp/vm",
            "vm 127.0.0.1",
            "vm\u{1b}[2J",
            "[::1",
            "[::1]88",
            "[::1]:x",
            "[vm]:88",
            "vm:88:88",
        ] {
            let error = text.parse::<KdcAddress>().unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
}
