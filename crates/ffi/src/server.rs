//! Server names of the C API, and whom they mean (certbcli.md D6, D27).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use certadm_client::{Config, Endpoint, Error, RemoteCa, ServerName, Target, is_own_name, own_host_name};
use certadm_rules::Hresult;

use crate::log;

/// A port to name where a port has to be named: that of the discard protocol.
const DISCARD: u16 = 9;

/// Whom a name means, by the client's configuration of this process.
///
/// # Errors
/// `E_INVALIDARG` for a text that names no server, and for a configuration that cannot be used.
pub(crate) fn target(name: &str) -> Result<Target, Hresult> {
    find(name).map_err(|error| code(&error))
}

/// Whether a name means this machine, whichever of its services: a restore needs none of them. With it, the CA that is named.
///
/// # Errors
/// As [`target`].
pub(crate) fn on_this_machine(name: &str) -> Result<(bool, Option<String>), Hresult> {
    let found = find(name);
    let is_here = is_of_this_machine(&found).map_err(code)?;
    let ca = match found {
        Ok(target) => target.authority,
        // Several services run here, and the name may say which CA is meant all the same.
        Err(_) => name.parse::<ServerName>().ok().and_then(|name| name.ca().map(str::to_owned)),
    };
    Ok((is_here, ca))
}

fn find(name: &str) -> Result<Target, Error> {
    let name: ServerName = name.parse().map_err(Error::Name)?;
    Config::load()?.target(&name)
}

fn is_of_this_machine(found: &Result<Target, Error>) -> Result<bool, &Error> {
    match found {
        Ok(target) => Ok(is_this_machine(target)),
        Err(Error::SeveralSockets { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Connects to a CA with the account that the configuration has for it.
///
/// # Errors
/// Those of [`Target::configured_credentials`], and of a connection (certbcli.md 14.3).
pub(crate) fn connect(target: Target) -> Result<RemoteCa, Hresult> {
    let credentials = target.configured_credentials().map_err(|error| code(&error))?;
    RemoteCa::connect(target, credentials).map_err(|error| code(&error))
}

/// Whether a target is this machine. For restores a port makes no difference, and an address of this machine counts
/// too. Other names are not looked up: whoever answers for names must not choose where a restore goes.
fn is_this_machine(target: &Target) -> bool {
    let Endpoint::Tcp { host, .. } = &target.endpoint else { return true };
    match host.parse::<IpAddr>() {
        Ok(address) => is_own_address(address),
        Err(_) => is_own_name(host, &own_host_name()),
    }
}

/// Whoever turns to an address of his own comes from that very address. Nothing is sent.
fn is_own_address(address: IpAddr) -> bool {
    let anywhere: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let towards = |socket: UdpSocket| {
        socket.connect((address, DISCARD))?;
        socket.local_addr()
    };
    address.is_loopback()
        || !address.is_unspecified()
            && UdpSocket::bind((anywhere, 0)).and_then(towards).is_ok_and(|own| own.ip() == address)
}

fn code(error: &Error) -> Hresult {
    log::why(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of them is meant is asked where one is called.
    #[test]
    fn this_machine_with_several_services_is_still_this_machine() {
        let several = Err(Error::SeveralSockets { sockets: vec!["one".into(), "two".into()] });
        assert!(is_of_this_machine(&several).unwrap());
        assert!(is_of_this_machine(&Err(Error::Account { account: String::new() })).is_err());
    }

    #[test]
    fn this_machine_by_name_and_by_address() {
        let local = |name: &str| is_this_machine(&Config::default().target(&name.parse().unwrap()).unwrap());
        let own = own_host_name();
        for name in
            ["localhost", ".", "localhost:135", "127.0.0.1", "127.0.0.1:135", &own, &format!("{own}:9")]
        {
            assert!(local(name), "{name}");
        }
        for name in ["192.0.2.1", "0.0.0.0", "ca1.corp.example", "elsewhere:135"] {
            assert!(!local(name), "{name}");
        }
    }
}
