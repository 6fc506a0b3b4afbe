//! DISTANCE and DISTANCE-KRB: a full backup over a line of 1, 10 and 50 ms round trip, to nowhere, with privacy by NTLM and by
//! Kerberos; beside `sftp` over the same line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::domain::Domain;
use crate::error::Result;
use crate::process::wait_until_idle;
use crate::proxy::Line;
use crate::run::Bench;
use crate::sealed::{LARGE_READ, Logon, PASSWORD, Service, USER, our_backup};
use crate::sshd::Sshd;
use crate::table::{Row, median};

/// Round trips in milliseconds, and the goal in MB/s.
const LINES: [(u64, Option<&str>); 3] = [(1, None), (10, Some(">= 100")), (50, Some(">= 40"))];
/// The services listen here. Their line begins at the same ports of 127.0.0.1, so that tickets for `localhost` lead over it.
const FAR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A way to the service, and what was measured on it.
struct Way {
    name: &'static str,
    logon: Logon,
    service: Service,
    /// Where the line begins.
    server: String,
    /// MB a second, of the round trip that is measured now.
    rates: Vec<f64>,
}

impl Way {
    fn start(bench: &Bench, line: &Line, name: &'static str, logon: Logon, host: &str) -> Result<Self> {
        let service = Service::start(bench, &name.to_lowercase(), &logon, FAR)?;
        for far in [service.resolver, service.exporter] {
            line.lead(near(far), far)?;
        }
        let server = format!("{host}:{}", service.resolver.port());
        Ok(Self { name, logon, service, server, rates: Vec::new() })
    }

    fn measure(&mut self) -> Result<()> {
        let report = our_backup(&self.service, &self.logon, &self.server, LARGE_READ)?.report;
        let number = |field: &str| report[field].as_f64().unwrap_or(f64::NAN);
        self.rates.push(number("bytes") / 1e6 / number("seconds"));
        Ok(())
    }
}

/// DISTANCE and DISTANCE-KRB.
pub(crate) fn run_all(bench: &mut Bench) -> Result<()> {
    let line = Line::default();
    let domain = Domain::start(&bench.root.join("distant-domain"), USER, PASSWORD)?;
    let tickets = Logon::Kerberos(Box::new(domain));
    let mut ways = [
        Way::start(bench, &line, "DISTANCE", Logon::Ntlm, "127.0.0.1")?,
        Way::start(bench, &line, "DISTANCE-KRB", tickets, "localhost")?,
    ];
    let sshd = Sshd::start(&bench.root.join("sshd"));
    if let Ok(sshd) = &sshd {
        line.lead(near(sshd.address), sshd.address)?;
    }
    for (milliseconds, goal) in LINES {
        line.set(milliseconds);
        let mut sftp = Vec::new();
        ways.iter_mut().for_each(|way| way.rates.clear());
        for round in 0..bench.options.rounds {
            println!("{milliseconds} ms, round {} of {}", round + 1, bench.options.rounds);
            for way in &mut ways {
                wait_until_idle();
                way.measure()?;
            }
            if let Ok(sshd) = &sshd {
                wait_until_idle();
                sftp.push(sshd.fetch(near(sshd.address), &ways[0].service.database)?);
            }
        }
        println!("{milliseconds} ms: sftp {:.0} MB/s", median(&sftp));
        for way in &ways {
            let (name, rate) = (format!("{} {milliseconds} ms", way.name), median(&way.rates));
            println!("{name}: certadm {rate:.0} MB/s");
            let row = Row::plain(&format!("{name}, MB a second"), rate);
            bench.rows.push(match goal {
                Some(goal) => row.goal(goal),
                None => row,
            });
            bench.rows.push(match &sshd {
                Ok(_) => Row::plain(&format!("{name} / sftp"), rate / median(&sftp)).goal(">= 0.7"),
                Err(error) => Row::plain(&format!("{name} / sftp: {error}"), f64::NAN),
            });
        }
    }
    Ok(())
}

/// Where the line to an address begins: the same port of the other address of loopback.
fn near(far: SocketAddr) -> SocketAddr {
    let other = if far.ip() == IpAddr::V4(FAR) { Ipv4Addr::LOCALHOST } else { FAR };
    SocketAddr::from((other, far.port()))
}
