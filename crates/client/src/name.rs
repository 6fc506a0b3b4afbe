//! How a user names a server (certbcli.md D6; docs/remote.md, "How a server is named").

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::str::FromStr;

use certadm_rules::Hresult;
use certadm_rules::names::same_ignoring_case;

/// Longest host name, in bytes: what DNS allows.
const MAX_HOST: usize = 253;
/// Longest CA name, in characters: a common name has 64, its sanitized form five for each.
const MAX_CA: usize = 320;

/// The name of a server, taken apart: `host`, `host:port`, `host\CA name`, any of them behind `\\`. The host may also
/// be a name of the client's configuration.
///
/// ```
/// use certadm_client::ServerName;
///
/// let name: ServerName = r"\\ca1.corp.example:1135\Example CA".parse().unwrap();
/// assert_eq!((name.host(), name.ca()), ("ca1.corp.example", Some("Example CA")));
/// assert_eq!(name.port().unwrap().get(), 1135);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName {
    host: String,
    port: Option<NonZeroU16>,
    ca: Option<String>,
}

/// A text is not the name of a server. The caller's fault; the code is `E_INVALIDARG` (certbcli.md D6).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} does not name a server: {detail}; write host, host:port or host\\CA name")]
pub struct NameError {
    /// The text.
    pub name: String,
    /// What is wrong with it.
    pub detail: &'static str,
}

impl NameError {
    /// `E_INVALIDARG`.
    pub const fn hresult(&self) -> Hresult {
        Hresult::E_INVALIDARG
    }
}

impl ServerName {
    /// The machine: a host name, an address, or a name of the configuration.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port of the machine's object resolver, where the name says one.
    #[must_use]
    pub const fn port(&self) -> Option<NonZeroU16> {
        self.port
    }

    /// The CA's name, which calls carry as their authority (wire.md 5.1).
    #[must_use]
    pub fn ca(&self) -> Option<&str> {
        self.ca.as_deref()
    }

    /// The machine as an address, when it is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Whether `other` is this name, or says more than it: a port or a CA where this one says none.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let same_host = match (self.address(), other.address()) {
            (Some(own), Some(address)) => own == address,
            _ => self.host.eq_ignore_ascii_case(&other.host),
        };
        same_host
            && (self.port.is_none() || self.port == other.port)
            && match (&self.ca, &other.ca) {
                (None, _) => true,
                // certbcli.md 2.1: without regard to case.
                (Some(own), Some(ca)) => same_ignoring_case(own, ca),
                (Some(_), None) => false,
            }
    }

    /// Whether the name means the service on this machine, reached over its socket: `localhost`, `.` or `own_name`,
    /// without a port (certbcli.md D6). An address never does.
    #[must_use]
    pub fn is_local(&self, own_name: &str) -> bool {
        self.port.is_none() && is_own_name(&self.host, own_name)
    }
}

impl FromStr for ServerName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = |detail| NameError { name: text.to_owned(), detail };
        if text.chars().any(char::is_control) {
            return Err(wrong("it holds a control character"));
        }
        let rest = text.trim_start_matches('\\');
        let (machine, ca) = match rest.split_once('\\') {
            None => (rest, None),
            Some((_, "")) => return Err(wrong("the CA name behind the backslash is missing")),
            Some((_, ca)) if ca.contains('\\') => return Err(wrong("it has too many backslashes")),
            Some((_, ca)) if ca.chars().count() > MAX_CA => return Err(wrong("the CA name is too long")),
            Some((machine, ca)) => (machine, Some(ca.to_owned())),
        };
        let (host, port) = split_port(machine).map_err(wrong)?;
        if host.is_empty() {
            return Err(wrong("the host is missing"));
        }
        if host.len() > MAX_HOST {
            return Err(wrong("the host name is too long"));
        }
        if host.contains(|character: char| character.is_whitespace() || "/@[]".contains(character)) {
            return Err(wrong("the host name holds a character that no host name has"));
        }
        Ok(Self { host: host.to_owned(), port, ca })
    }
}

/// Cuts the port off. An IPv6 address with a port stands in brackets (certbcli.md D6).
fn split_port(machine: &str) -> Result<(&str, Option<NonZeroU16>), &'static str> {
    let number = |text: &str| port_number(text).map(Some).ok_or("the port is not a number from 1 to 65535");
    if let Some(inside) = machine.strip_prefix('[') {
        let (address, rest) = inside.split_once(']').ok_or("the bracket is not closed")?;
        if address.parse::<std::net::Ipv6Addr>().is_err() {
            return Err("brackets are for IPv6 addresses");
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((address, number(port)?)),
            None if rest.is_empty() => Ok((address, None)),
            None => Err("something stands behind the bracket"),
        };
    }
    if machine.parse::<IpAddr>().is_ok() {
        return Ok((machine, None));
    }
    match machine.split_once(':') {
        None => Ok((machine, None)),
        Some((_, port)) if port.contains(':') => Err("an IPv6 address with a port stands in brackets"),
        Some((host, port)) => Ok((host, number(port)?)),
    }
}

/// A port, as digits alone: `u16` by itself would take a sign, too.
pub(crate) fn port_number(text: &str) -> Option<NonZeroU16> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.port, self.host.contains(':')) {
            (None, _) => f.write_str(&self.host)?,
            (Some(port), false) => write!(f, "{}:{port}", self.host)?,
            (Some(port), true) => write!(f, "[{}]:{port}", self.host)?,
        }
        self.ca.iter().try_for_each(|ca| write!(f, "\\{ca}"))
    }
}

/// Names of entries in `client.toml` that are not for the server which was named: it may be one of them, misspelt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtherEntries(pub Vec<String>);

impl fmt::Display for OtherEntries {
    /// Half a sentence that goes on from another; nothing where there are no entries.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 8;
        let shown: Vec<&str> = self.0.iter().take(MOST).map(String::as_str).collect();
        match self.0.len() {
            0 => Ok(()),
            count if MOST < count => write!(
                f,
                "; client.toml has no entry of that name (it has {} and {} more)",
                shown.join(", "),
                count - MOST
            ),
            _ => write!(f, "; client.toml has no entry of that name (it has {})", shown.join(", ")),
        }
    }
}

/// The name of this machine as the system knows it; `localhost` where it knows none.
#[must_use]
pub fn own_host_name() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// Whether `host` names the machine called `own_name`: `localhost`, `.`, that name or its first label, in any case. No
/// name is looked up, and an address never is one.
#[must_use]
pub fn is_own_name(host: &str, own_name: &str) -> bool {
    let own_label = own_name.split('.').next().unwrap_or_default();
    [".", "localhost", own_name, own_label]
        .iter()
        .any(|own| !own.is_empty() && own.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, Option<u16>, Option<String>) {
        let name: ServerName = text.parse().unwrap_or_else(|error| panic!("{error}"));
        (name.host, name.port.map(NonZeroU16::get), name.ca)
    }

    #[test]
    fn takes_the_forms_of_d6_apart() {
        let expect = |text: &str, host: &str, port: Option<u16>, ca: Option<&str>| {
            assert_eq!(parts(text), (host.to_owned(), port, ca.map(str::to_owned)), "{text}");
        };
        expect("ca1", "ca1", None, None);
        expect("ca1.corp.example:1135", "ca1.corp.example", Some(1135), None);
        expect("\\\\ca1", "ca1", None, None);
        expect("ca1\\Example CA (1)", "ca1", None, Some("Example CA (1)"));
        expect("\\\\ca1:2\\Example CA", "ca1", Some(2), Some("Example CA"));
        expect("192.0.2.7", "192.0.2.7", None, None);
        expect("192.0.2.7:135", "192.0.2.7", Some(135), None);
        expect("2001:db8::1", "2001:db8::1", None, None);
        expect("[2001:db8::1]:136\\CA", "2001:db8::1", Some(136), Some("CA"));
        expect("[::1]", "::1", None, None);
        expect(".", ".", None, None);
    }

    #[test]
    fn refuses_what_names_no_server() {
        for text in [
            "",
            "\\",
            "\\\\",
            "ca1\\",
            "ca1\\a\\b",
            "ca\u{7}1",
            "ca1\0",
            ":135",
            "ca1:",
            "ca1:0",
            "ca1:65536",
            "ca1:+5",
            "a:b:c",
            "[ca1]:5",
            "[::1",
            "[::1]x",
            "ca 1",
            "a/b",
            "user@ca1",
            &"a".repeat(254),
        ] {
            let error = text.parse::<ServerName>().expect_err(text);
            assert_eq!(error.hresult(), Hresult::E_INVALIDARG);
        }
    }

    #[test]
    fn knows_which_names_mean_this_machine() {
        let local = |text: &str| text.parse::<ServerName>().unwrap().is_local("CA1.corp.example");
        for text in [".", "localhost", "LOCALHOST", "ca1", "ca1.corp.example", "\\\\ca1\\Example CA"] {
            assert!(local(text), "{text}");
        }
        for text in ["localhost:135", "ca1:135", "127.0.0.1", "::1", "ca2", "ca1.other.example"] {
            assert!(!local(text), "{text}");
        }
        assert!(!"x".parse::<ServerName>().unwrap().is_local(""));
    }

    #[test]
    fn a_name_covers_itself_in_any_letters_and_what_says_more() {
        let covers = |own: &str, other: &str| {
            let [own, other] = [own, other].map(|text| text.parse::<ServerName>().unwrap());
            own.covers(&other)
        };
        assert!(covers("ca1\\Pr\u{fc}f CA", "CA1:135\\PR\u{dc}F ca") && covers("ca1", "ca1\\Example CA"));
        for other in ["ca1", "ca1\\Other CA", "ca2\\Example CA"] {
            assert!(!covers("ca1\\Example CA", other), "{other}");
        }
    }

    #[test]
    fn prints_what_it_parses() {
        for text in ["ca1", "ca1:135\\CA", "[2001:db8::1]:5\\CA", "2001:db8::1"] {
            assert_eq!(text.parse::<ServerName>().unwrap().to_string(), text);
        }
    }
}
