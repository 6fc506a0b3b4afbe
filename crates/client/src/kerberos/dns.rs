//! Where DNS says that a realm has its KDCs: SRV records (RFC 2782, RFC 4120 7.2.3.2) over UDP, and over TCP where the answer
//! is too long for it. An answer is good for finding a KDC and proves nothing: the KDC proves itself by its keys.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream, UdpSocket};
use std::time::Duration;

use super::timed::Timed;

/// Host and port of a KDC.
pub(super) type KdcPlace = (String, u16);

/// Most KDCs of a realm that are known. How many are asked is a matter of time.
pub(super) const MAX_KDCS: usize = 64;
/// How long a name server may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often each is asked.
const TRIES: usize = 2;
/// Most name servers, as resolvers have it.
const MAX_SERVERS: usize = 3;

const PORT: u16 = 53;
const CLASS_INTERNET: u16 = 1;
const TYPE_SRV: u16 = 33;

/// A record: a host that offers the service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    /// Those of the lowest are asked first.
    pub(crate) priority: u16,
    /// How often it is to be chosen among those of its priority.
    pub(crate) weight: u16,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Host and port of each record of `name`, in the order in which they are to be asked; none when no server has any.
///
/// # Errors
/// The last reason, when no server answers.
pub(super) fn services(name: &str, servers: &[SocketAddr]) -> io::Result<Vec<KdcPlace>> {
    records(name, servers).map(|records| ordered(records, &mut random))
}

/// Why nobody is asked where no name server is known.
const fn without_servers(is_windows: bool) -> &'static str {
    match is_windows {
        // Where they stand there, no file tells.
        true => "DNS is not asked on Windows; give the KDC by --kdc, or by `kdc` in client.toml",
        false => "no name server is configured",
    }
}

fn records(name: &str, servers: &[SocketAddr]) -> io::Result<Vec<Record>> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, without_servers(cfg!(windows)));
    for server in servers.iter().take(MAX_SERVERS) {
        for _ in 0..TRIES {
            match ask(name, *server) {
                Ok(found) => return Ok(found),
                Err(error) => last = error,
            }
        }
    }
    Err(last)
}

/// The first [`MAX_KDCS`] of the order that RFC 2782 wants: by priority, and among those of one priority at random, each as often
/// as its weight says. So the clients of a large domain spread over all of its KDCs.
fn ordered(mut records: Vec<Record>, random: &mut dyn FnMut() -> u32) -> Vec<KdcPlace> {
    // Within a priority those without a weight stand first: there they have a small chance.
    records.sort();
    records.dedup();
    let mut order = Vec::new();
    while let Some(first) = records.first()
        && order.len() < MAX_KDCS
    {
        let priority = first.priority;
        let alike = records.partition_point(|record| record.priority == priority);
        let weights = records[..alike].iter().map(|record| u64::from(record.weight));
        let total: u64 = weights.clone().sum();
        // A number below `end`, each as likely as the others.
        let mut below = |end: u64| (u64::from(random()) * end) >> 32;
        let chosen = if total == 0 {
            usize::try_from(below(alike as u64)).unwrap_or(0)
        } else {
            let wanted = below(total + 1);
            let mut sum = 0;
            let mut sums = weights.map(|weight| {
                sum += weight;
                sum
            });
            sums.position(|sum| wanted <= sum).unwrap_or(0)
        };
        let Record { host, port, .. } = records.remove(chosen);
        order.push((host, port));
    }
    order
}

/// Without random bytes the order is that of the records: still one in which all may be asked.
fn random() -> u32 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u32::from_ne_bytes(bytes),
        Err(_) => 0,
    }
}

fn ask(name: &str, server: SocketAddr) -> io::Result<Vec<Record>> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    let question = question(id, name).ok_or(io::ErrorKind::InvalidInput)?;
    let malformed = || {
        io::Error::new(io::ErrorKind::InvalidData, "its answer does not parse, or says that it cannot answer")
    };
    let answer = over_udp(&question, server)?;
    let (records, is_cut) = answered(&question, &answer).ok_or_else(malformed)?;
    if !is_cut {
        return Ok(records);
    }
    let answer = over_tcp(&question, server)?;
    answered(&question, &answer).map(|(records, _)| records).ok_or_else(malformed)
}

fn over_udp(question: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let own: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((own, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    // Only from there are answers taken.
    socket.connect(server)?;
    socket.send(question)?;
    let mut answer = vec![0; 4096];
    let size = socket.recv(&mut answer)?;
    answer.truncate(size);
    Ok(answer)
}

fn over_tcp(question: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], question].concat())?;
    let mut answers = Timed::new(&stream, PATIENCE);
    let mut length = [0; 2];
    answers.read_exact(&mut length)?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    answers.read_exact(&mut answer)?;
    Ok(answer)
}

/// A question for the SRV records of a name; none for a name that DNS cannot have.
pub(crate) fn question(id: [u8; 2], name: &str) -> Option<Vec<u8>> {
    // One question, and answer it whatever it takes.
    let mut message = [&id[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    if 253 < name.len() {
        return None;
    }
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        message.push(length);
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend([TYPE_SRV, CLASS_INTERNET].map(u16::to_be_bytes).concat());
    Some(message)
}

/// The records of an answer to `question`, and whether it was cut short; none for what is no answer to it.
pub(crate) fn answered(question: &[u8], answer: &[u8]) -> Option<(Vec<Record>, bool)> {
    let header = answer.first_chunk::<12>()?;
    let is_answer = header[2] & 0x80 != 0 && header[..2] == *question.get(..2)?;
    let is_cut = header[2] & 2 != 0;
    let [questions, count] = [4, 6].map(|at| u16::from_be_bytes([header[at], header[at + 1]]));
    let asked = question.get(12..)?;
    let same = answer.get(12..)?.get(..asked.len())?.eq_ignore_ascii_case(asked);
    // 0: it answers; 3: there is no such name. Another code says nothing of the name: another server may know it.
    let knows = matches!(header[3] & 0x0F, 0 | 3);
    if !is_answer || !knows || questions != 1 || !same {
        return None;
    }
    if is_cut {
        return Some((Vec::new(), true));
    }
    let mut at = question.len();
    let mut records = Vec::new();
    for _ in 0..count {
        at = name_at(answer, at)?.1;
        let fixed = answer.get(at..)?.first_chunk::<10>()?;
        let kind = u16::from_be_bytes([fixed[0], fixed[1]]);
        let end = at + 10 + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        if kind == TYPE_SRV {
            let [a, b, c, d, e, f] = *answer.get(at + 10..end)?.first_chunk()?;
            let [priority, weight, port] = [[a, b], [c, d], [e, f]].map(u16::from_be_bytes);
            let (host, name_end) = name_at(answer, at + 16)?;
            // A lone dot means that there is no such service (RFC 2782).
            if name_end == end && !host.is_empty() {
                records.push(Record { priority, weight, host, port });
            }
        }
        answer.get(..end)?;
        at = end;
    }
    // All of them: the best may stand last in an answer, which is at most 64 KiB.
    Some((records, false))
}

/// The name that stands at a place, and where it ends there. Its end may be a pointer to the end of another name; a name has
/// at most 255 bytes, which ends circles too.
fn name_at(message: &[u8], at: usize) -> Option<(String, usize)> {
    let (mut name, mut place, mut end) = (String::new(), at, None);
    for _ in 0..128 {
        let length = *message.get(place)?;
        match length >> 6 {
            0 if length == 0 => return Some((name, end.unwrap_or(place + 1))),
            0 => {
                let label = message.get(place + 1..place + 1 + usize::from(length))?;
                let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                if !label.iter().all(plain) || 253 < name.len() + label.len() {
                    return None;
                }
                if !name.is_empty() {
                    name.push('.');
                }
                name.extend(label.iter().copied().map(char::from));
                place += 1 + label.len();
            }
            3 => {
                end = end.or(Some(place + 2));
                place = usize::from(u16::from_be_bytes([length & 0x3F, *message.get(place + 1)?]));
            }
            _ => return None,
        }
    }
    None
}

/// The name servers of this machine. A file without any means the one on this machine itself (resolv.conf(5)). None on Windows,
/// where everybody may make a file of that path.
pub(crate) fn servers_of_this_machine() -> Vec<SocketAddr> {
    const FILE: &str = "/etc/resolv.conf";
    if cfg!(windows) {
        return Vec::new();
    }
    let text = certadm_files::Found::named(FILE).read(64 * 1024).unwrap_or_default();
    let mut servers = servers_in(&String::from_utf8_lossy(&text), &interface_number);
    if servers.is_empty() {
        servers.push((Ipv4Addr::LOCALHOST, PORT).into());
    }
    servers
}

/// The number of a network interface of this machine, as Linux tells it without a call.
fn interface_number(name: &str) -> Option<u32> {
    let is_name = |name: &str| !name.contains('/') && !matches!(name, "" | "." | "..");
    let path = is_name(name).then(|| format!("/sys/class/net/{name}/ifindex"))?;
    let text = certadm_files::Found::named(path).read(64).ok()?;
    std::str::from_utf8(&text).ok()?.trim().parse().ok()
}

/// The name servers of a text such as `/etc/resolv.conf`.
fn servers_in(text: &str, interface_number: &dyn Fn(&str) -> Option<u32>) -> Vec<SocketAddr> {
    let server = |text: &str| match text.split_once('%') {
        // An address that counts on one interface alone, such as `fe80::1%eth0`.
        Some((address, interface)) => {
            let number = interface.parse().ok().or_else(|| interface_number(interface))?;
            Some(SocketAddrV6::new(address.parse().ok()?, PORT, 0, number).into())
        }
        None => Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, PORT)),
    };
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        // A comment may stand behind it.
        .filter_map(|rest| server(rest.trim_start().split([';', '#', ' ', '\t']).next()?))
        .take(MAX_SERVERS)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const NAME: &str = "_kerberos._tcp.toy.test";

    /// An answer to a question: records of priority, weight, port and host.
    fn answer(question: &[u8], records: &[(u16, u16, u16, &str)]) -> Vec<u8> {
        let mut message = question.to_vec();
        message[2] |= 0x80;
        message[7] = u8::try_from(records.len()).unwrap();
        for (priority, weight, port, host) in records {
            let mut target: Vec<u8> = host
                .split('.')
                .filter(|label| !label.is_empty())
                .flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat())
                .collect();
            target.push(0);
            let length = u16::try_from(6 + target.len()).unwrap();
            // The name of the question, by a pointer.
            message.extend([0xC0, 12, 0, 33, 0, 1, 0, 0, 0, 60]);
            message.extend([length, *priority, *weight, *port].map(u16::to_be_bytes).concat());
            message.extend(target);
        }
        message
    }

    /// The order of these records where the random numbers are always this one.
    fn order(records: &[(u16, u16, u16, &str)], number: u32) -> Vec<KdcPlace> {
        let question = question([1, 2], NAME).unwrap();
        let (found, is_cut) = answered(&question, &answer(&question, records)).unwrap();
        assert!(!is_cut);
        ordered(found, &mut || number)
    }

    #[test]
    fn the_best_priority_comes_first() {
        let records = [
            (10, 0, 88, "far.toy.test"),
            (0, 1, 88, "b.toy.test"),
            (0, 9, 1088, "a.toy.test"),
            (0, 0, 1, "."),
        ];
        let places = |places: [(&str, u16); 3]| places.map(|(host, port)| (host.to_owned(), port));
        let expected = [("b.toy.test", 88), ("a.toy.test", 1088), ("far.toy.test", 88)];
        assert_eq!(order(&records, 0), places(expected));
        let expected = [("a.toy.test", 1088), ("b.toy.test", 88), ("far.toy.test", 88)];
        assert_eq!(order(&records, u32::MAX), places(expected));
    }

    /// A domain controller registers itself with weight 100, as all others do.
    #[test]
    fn every_record_of_a_priority_may_come_first_as_often_as_its_weight_says() {
        let record = |weight, host: &str| Record { priority: 0, weight, host: host.to_owned(), port: 88 };
        let firsts = |records: &[Record]| {
            let mut counts = std::collections::BTreeMap::new();
            // The whole range of numbers, evenly.
            for number in 0..1000 {
                let number = number * (u32::MAX / 1000);
                let order = ordered(records.to_vec(), &mut || number);
                assert_eq!(order.len(), records.len().min(MAX_KDCS));
                *counts.entry(order[0].0.clone()).or_insert(0) += 1;
            }
            counts
        };
        for weight in [100, 0] {
            let records: Vec<_> = (0..40).map(|number| record(weight, &format!("dc{number}"))).collect();
            let counts = firsts(&records);
            assert!(
                counts.len() == 40 && counts.values().all(|count| (15..=35).contains(count)),
                "{counts:?}"
            );
        }
        let counts = firsts(&[record(0, "none"), record(1, "little"), record(9, "much")]);
        assert!(counts["much"] > 700 && counts["little"] < 200 && counts["none"] > 0, "{counts:?}");
        let many: Vec<_> = (0..3000).map(|number| record(65535, &format!("dc{number}"))).collect();
        assert_eq!(ordered(many, &mut || u32::MAX).len(), MAX_KDCS);
    }

    #[test]
    fn the_best_record_counts_wherever_it_stands() {
        let hosts: Vec<String> = (0..100).map(|number| format!("far{number}.toy.test")).collect();
        let mut records: Vec<_> = hosts.iter().map(|host| (10, 0, 88, host.as_str())).collect();
        records.push((0, 0, 88, "near.toy.test"));
        let found = order(&records, 7);
        assert_eq!(found.len(), MAX_KDCS);
        assert_eq!(found[0], ("near.toy.test".to_owned(), 88));
    }

    #[test]
    fn what_is_no_answer_is_none() {
        let asked = question([1, 2], NAME).unwrap();
        let good = answer(&asked, &[(0, 0, 88, "dc1.toy.test")]);
        for length in 0..good.len() {
            assert!(answered(&asked, &good[..length]).is_none(), "{length}");
        }
        let other = question([1, 3], NAME).unwrap();
        assert!(answered(&other, &good).is_none(), "another id");
        let other = question([1, 2], "_kerberos._tcp.other.test").unwrap();
        assert!(answered(&other, &good).is_none(), "another name");
        assert!(answered(&asked, &asked).is_none(), "the question");
        // A name that points to itself.
        let mut circle = good.clone();
        let at = asked.len();
        circle[at..at + 2].copy_from_slice(&[0xC0, u8::try_from(at).unwrap()]);
        assert!(answered(&asked, &circle).is_none());
        assert!(question([0, 0], "a..b").is_none() && question([0, 0], &"a".repeat(64)).is_none());
        assert!(answered(&asked, &answer(&asked, &[])).unwrap().0.is_empty());
    }

    #[test]
    fn an_answer_that_was_cut_comes_over_tcp() {
        // The same port for both; another program may have one of them.
        let (udp, tcp) = std::iter::repeat_with(|| {
            let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
            UdpSocket::bind(tcp.local_addr().unwrap()).ok().map(|udp| (udp, tcp))
        })
        .take(100)
        .flatten()
        .next()
        .unwrap();
        let server = tcp.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let mut question = [0; 512];
            let (size, peer) = udp.recv_from(&mut question).unwrap();
            let mut cut = answer(&question[..size], &[]);
            cut[2] |= 2;
            udp.send_to(&cut, peer).unwrap();
            let (mut stream, _) = tcp.accept().unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut question = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut question).unwrap();
            let answer = answer(&question, &[(0, 0, 88, "dc1.toy.test")]);
            stream.write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes()).unwrap();
            stream.write_all(&answer).unwrap();
        });
        assert_eq!(services(NAME, &[server]).unwrap(), [("dc1.toy.test".to_owned(), 88)]);
        thread.join().unwrap();
        assert!(services(NAME, &[]).is_err());
    }

    #[test]
    fn who_has_no_name_server_is_told_what_to_give() {
        let told = services(NAME, &[]).unwrap_err().to_string();
        assert_eq!(told, without_servers(cfg!(windows)));
        assert!(without_servers(true).contains("--kdc") && without_servers(false).contains("name server"));
        assert_eq!(servers_of_this_machine().is_empty(), cfg!(windows));
    }

    #[test]
    fn a_server_that_cannot_answer_says_nothing_of_the_name() {
        let asked = question([1, 2], "_kerberos._tcp.toy.test").unwrap();
        for (code, says) in [(0, true), (2, false), (3, true), (5, false)] {
            let mut answer = answer(&asked, &[]);
            answer[3] |= code;
            assert_eq!(answered(&asked, &answer).is_some(), says, "{code}");
        }
    }

    #[test]
    fn name_servers_are_read_with_what_stands_behind_them() {
        let text = "# a comment\nnameserver 10.0.0.1   # dc1\nnameserver\t10.0.0.2;x\nnameserver fe80::1\nsearch toy.test\n";
        let found = |text: &str| -> Vec<String> {
            let number = |name: &str| (name == "eth0").then_some(7);
            servers_in(text, &number).iter().map(ToString::to_string).collect()
        };
        assert_eq!(found(text), ["10.0.0.1:53", "10.0.0.2:53", "[fe80::1]:53"]);
        let scoped = "nameserver fe80::1%eth0 # router\nnameserver fe80::1%eth1\nnameserver fe80::2%3\nnameserver x%3\n";
        assert_eq!(found(scoped), ["[fe80::1%7]:53", "[fe80::2%3]:53"]);
    }
}
