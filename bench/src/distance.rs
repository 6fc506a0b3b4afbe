//! DISTANCE: a full backup over a line of 1, 10 and 50 ms round trip, to nowhere; beside `sftp` over the same line.

use std::net::{Ipv4Addr, SocketAddr};

use crate::error::Result;
use crate::process::wait_until_idle;
use crate::proxy::Line;
use crate::run::Bench;
use crate::sealed::{LARGE_READ, Logon, Service, our_backup};
use crate::sshd::Sshd;
use crate::table::{Row, median};

/// Round trips in milliseconds, and the goal in MB/s.
const LINES: [(u64, Option<&str>); 3] = [(1, None), (10, Some(">= 100")), (50, Some(">= 40"))];
/// Where the line begins: the same ports of another address of loopback.
const NEAR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// DISTANCE.
pub(crate) fn run_all(bench: &mut Bench) -> Result<()> {
    let service = Service::start(bench, "distance", &Logon::Ntlm)?;
    let line = Line::default();
    let near = |address: SocketAddr| SocketAddr::from((NEAR, address.port()));
    for far in [service.resolver, service.exporter] {
        line.lead(near(far), far)?;
    }
    let sshd = Sshd::start(&bench.root.join("sshd"));
    if let Ok(sshd) = &sshd {
        line.lead(near(sshd.address), sshd.address)?;
    }
    for (milliseconds, goal) in LINES {
        let (mut ours, mut sftp) = (Vec::new(), Vec::new());
        for round in 0..bench.options.rounds {
            println!("{milliseconds} ms, round {} of {}", round + 1, bench.options.rounds);
            line.set(milliseconds);
            wait_until_idle();
            let way = near(service.resolver).to_string();
            let report = our_backup(&service, &Logon::Ntlm, &way, LARGE_READ)?.report;
            let number = |field: &str| report[field].as_f64().unwrap_or(f64::NAN);
            ours.push(number("bytes") / 1e6 / number("seconds"));
            if let Ok(sshd) = &sshd {
                wait_until_idle();
                sftp.push(sshd.fetch(near(sshd.address), &service.database)?);
            }
        }
        let rate = median(&ours);
        println!("{milliseconds} ms: certadm {rate:.0} MB/s, sftp {:.0} MB/s", median(&sftp));
        let row = Row::plain(&format!("DISTANCE {milliseconds} ms, MB a second"), rate);
        bench.rows.push(match goal {
            Some(goal) => row.goal(goal),
            None => row,
        });
        bench.rows.push(match &sshd {
            Ok(_) => {
                Row::plain(&format!("DISTANCE {milliseconds} ms / sftp"), rate / median(&sftp)).goal(">= 0.7")
            }
            Err(error) => Row::plain(&format!("DISTANCE {milliseconds} ms / sftp: {error}"), f64::NAN),
        });
    }
    Ok(())
}
