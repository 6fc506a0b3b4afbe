//! Addresses that fail to log on are shut out for a while, longer each time.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{Limits, REMEMBERED_ADDRESSES};

/// The failed logons of every address. A success forgives nothing: otherwise one account would pay for guesses at others.
#[derive(Debug)]
pub(crate) struct Backoff {
    limits: Limits,
    records: Mutex<HashMap<IpAddr, Record>>,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    failures: u32,
    last: Instant,
    shut_out_until: Instant,
}

impl Backoff {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, records: Mutex::default() }
    }

    /// Whether nobody from this address is listened to at present.
    pub(crate) fn is_shut_out(&self, address: IpAddr, now: Instant) -> bool {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.get(&network(address)).is_some_and(|record| now < record.shut_out_until)
    }

    /// Notes a failed logon; answers how long the address is shut out now.
    pub(crate) fn failed(&self, address: IpAddr, now: Instant) -> Duration {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let address = network(address);
        if !records.contains_key(&address) && REMEMBERED_ADDRESSES <= records.len() {
            let oldest = records.iter().min_by_key(|(_, record)| record.last).map(|(address, _)| *address);
            oldest.map(|oldest| records.remove(&oldest));
        }
        let fresh = Record { failures: 0, last: now, shut_out_until: now };
        let record = records.entry(address).or_insert(fresh);
        if self.limits.failure_memory < now.saturating_duration_since(record.last) {
            *record = fresh;
        }
        record.failures = record.failures.saturating_add(1);
        record.last = now;
        let delay = match record.failures.checked_sub(self.limits.free_failures) {
            None | Some(0) => Duration::ZERO,
            Some(excess) => {
                let doubled = 1_u64.checked_shl(excess - 1).unwrap_or(u64::MAX);
                Duration::from_secs(doubled).min(self.limits.longest_shut_out)
            }
        };
        record.shut_out_until = now + delay;
        delay
    }
}

/// What one attacker holds: an IPv4 address, or the 64 bits of an IPv6 network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_its_cap_and_is_forgotten() {
        let limits = Limits { free_failures: 2, ..Limits::default() };
        let backoff = Backoff::new(limits);
        let (address, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let now = Instant::now();
        let delays: Vec<u64> = (0..10).map(|_| backoff.failed(address, now).as_secs()).collect();
        assert_eq!(delays, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(backoff.is_shut_out(address, now) && !backoff.is_shut_out(other, now));
        assert!(!backoff.is_shut_out(address, now + Duration::from_secs(61)));
        let later = now + limits.failure_memory + Duration::from_secs(1);
        assert_eq!(backoff.failed(address, later), Duration::ZERO);
    }

    #[test]
    fn an_ipv6_network_counts_as_one_and_the_table_is_bounded() {
        let backoff = Backoff::new(Limits { free_failures: 0, ..Limits::default() });
        let now = Instant::now();
        backoff.failed("2001:db8::1".parse().unwrap(), now);
        assert!(backoff.is_shut_out("2001:db8::2".parse().unwrap(), now));
        for address in 0..2 * u32::try_from(REMEMBERED_ADDRESSES).unwrap() {
            backoff.failed(std::net::Ipv4Addr::from_bits(address).into(), now);
        }
        assert_eq!(backoff.records.lock().unwrap().len(), REMEMBERED_ADDRESSES);
    }
}
