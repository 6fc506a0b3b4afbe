//! The brake on guessing: asked before each AUTHENTICATE is judged, per account and address, with a far higher bound per
//! address.
//!
//! An address is what one neighbour holds: an IPv4 address, or the 64 bits of an IPv6 network. Several callers may stand
//! behind it. Failures at one account therefore do not shut out the others, and an account that was proven from an address
//! a short while ago keeps a small share of its own there, whatever others do at other accounts from it. Guesses at that very account
//! from there use the share up, too, because nobody knows before which one is its owner's: he waits. A ticket is no guess.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use certadm_auth::folded;

use crate::limits::{Limits, REMEMBERED_ADDRESSES, REMEMBERED_GUESSES, RESERVED_GUESSES, RESERVED_PERIOD};

/// The failed logons of every address and of every account at an address, and who was proven from where. A success forgives
/// nothing: otherwise one account would pay for guesses at others.
#[derive(Debug)]
pub(crate) struct Brake {
    limits: Limits,
    /// Turns account names into keys of a fixed size that nobody outside can choose.
    names: RandomState,
    records: Mutex<Records>,
}

#[derive(Debug, Default)]
struct Records {
    addresses: HashMap<IpAddr, Record>,
    pairs: HashMap<Pair, Record>,
    proven: HashMap<Pair, Proven>,
}

/// An account at an address.
type Pair = (IpAddr, u64);

#[derive(Debug, Clone, Copy)]
struct Record {
    failures: u32,
    last: Instant,
    shut_out_until: Instant,
}

/// An account that was proven from an address.
#[derive(Debug, Clone, Copy)]
struct Proven {
    last: Instant,
    /// Guesses that were judged although the brake was on, since when.
    reserved: u32,
    since: Instant,
}

/// What the brake lets happen to one AUTHENTICATE.
#[derive(Debug)]
pub(crate) enum Judged<T, E> {
    /// It was not looked at.
    HeldBack,
    /// It was judged, and is right.
    Right(T),
    /// It was judged, and is wrong; what it claims to be is shut out for so long.
    Wrong(E, Duration),
}

impl Brake {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, names: RandomState::new(), records: Mutex::default() }
    }

    /// Whether nobody from this address is listened to at present. An address from which somebody was proven a short while ago
    /// is always listened to: who comes is judged by the account that he names.
    pub(crate) fn is_shut_out(&self, address: IpAddr, now: Instant) -> bool {
        let records = self.records();
        let address = network(address);
        records.addresses.get(&address).is_some_and(|record| now < record.shut_out_until)
            && !records.knows(address, now, &self.limits)
    }

    /// Whether somebody was proven from this address a short while ago.
    pub(crate) fn is_known(&self, address: IpAddr, now: Instant) -> bool {
        self.records().knows(network(address), now, &self.limits)
    }

    /// Judges one AUTHENTICATE that claims to be `user`, unless the brake is on. One is judged at a time, so that guesses
    /// that are sent together count one after the other.
    pub(crate) fn judge<T, E>(
        &self,
        address: IpAddr,
        user: &str,
        now: Instant,
        judge: impl FnOnce() -> Result<T, E>,
    ) -> Judged<T, E> {
        let address = network(address);
        let pair = (address, self.names.hash_one(folded(user)));
        let mut records = self.records();
        if !records.lets_through(pair, now, &self.limits) {
            return Judged::HeldBack;
        }
        match judge() {
            Ok(right) => Judged::Right(right),
            Err(wrong) => {
                let of_address = records.address_failed(address, now, &self.limits);
                let of_pair = records.pair_failed(pair, now, &self.limits);
                Judged::Wrong(wrong, of_address.max(of_pair))
            }
        }
    }

    /// Notes a handshake that failed before it named an account; answers how long the address is shut out now.
    pub(crate) fn failed(&self, address: IpAddr, now: Instant) -> Duration {
        self.records().address_failed(network(address), now, &self.limits)
    }

    /// Notes that `user` was proven from this address.
    pub(crate) fn proven(&self, address: IpAddr, user: &str, now: Instant) {
        let pair = (network(address), self.names.hash_one(folded(user)));
        let mut records = self.records();
        make_room(&mut records.proven, &pair, REMEMBERED_ADDRESSES, |proven| proven.last);
        let fresh = Proven { last: now, reserved: 0, since: now };
        records.proven.entry(pair).or_insert(fresh).last = now;
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    fn knows(&self, address: IpAddr, now: Instant, limits: &Limits) -> bool {
        self.proven.iter().any(|((known, _), proven)| *known == address && proven.is_fresh(now, limits))
    }

    /// Whether a guess at this account from this address is judged now.
    fn lets_through(&mut self, pair: Pair, now: Instant, limits: &Limits) -> bool {
        let is_on = |record: Option<&Record>| record.is_some_and(|record| now < record.shut_out_until);
        let pair_is_shut_out = is_on(self.pairs.get(&pair));
        let address_is_shut_out = is_on(self.addresses.get(&pair.0));
        if !pair_is_shut_out && !address_is_shut_out {
            return true;
        }
        let Some(proven) = self.proven.get_mut(&pair).filter(|proven| proven.is_fresh(now, limits)) else {
            return false;
        };
        // Others at this address do not count against an account that was proven from it.
        !pair_is_shut_out || proven.takes_reserved(now)
    }

    fn address_failed(&mut self, address: IpAddr, now: Instant, limits: &Limits) -> Duration {
        make_room(&mut self.addresses, &address, REMEMBERED_ADDRESSES, |record| record.last);
        let record = self.addresses.entry(address).or_insert_with(|| Record::fresh(now));
        record.failed(now, limits.free_failures_of_address, limits)
    }

    fn pair_failed(&mut self, pair: Pair, now: Instant, limits: &Limits) -> Duration {
        make_room(&mut self.pairs, &pair, REMEMBERED_GUESSES, |record| record.last);
        self.pairs.entry(pair).or_insert_with(|| Record::fresh(now)).failed(now, limits.free_failures, limits)
    }
}

impl Record {
    fn fresh(now: Instant) -> Self {
        Self { failures: 0, last: now, shut_out_until: now }
    }

    /// Counts a failure; answers how long it shuts out.
    fn failed(&mut self, now: Instant, free: u32, limits: &Limits) -> Duration {
        if limits.failure_memory < now.saturating_duration_since(self.last) {
            *self = Self::fresh(now);
        }
        self.failures = self.failures.saturating_add(1);
        self.last = now;
        let delay = match self.failures.checked_sub(free) {
            None | Some(0) => Duration::ZERO,
            Some(excess) => {
                let doubled = 1_u64.checked_shl(excess - 1).unwrap_or(u64::MAX);
                Duration::from_secs(doubled).min(limits.longest_shut_out)
            }
        };
        self.shut_out_until = now + delay;
        delay
    }
}

impl Proven {
    fn is_fresh(&self, now: Instant, limits: &Limits) -> bool {
        now.saturating_duration_since(self.last) < limits.proven_memory
    }

    /// Takes one of the guesses that are judged all the same.
    fn takes_reserved(&mut self, now: Instant) -> bool {
        if RESERVED_PERIOD <= now.saturating_duration_since(self.since) {
            (self.reserved, self.since) = (0, now);
        }
        self.reserved = self.reserved.saturating_add(1);
        self.reserved <= RESERVED_GUESSES
    }
}

/// Forgets the oldest entry where a new one would be one too many.
fn make_room<K: Copy + Eq + std::hash::Hash, V>(
    table: &mut HashMap<K, V>,
    key: &K,
    most: usize,
    last: impl Fn(&V) -> Instant,
) {
    if !table.contains_key(key) && most <= table.len() {
        let oldest = table.iter().min_by_key(|(_, value)| last(value)).map(|(key, _)| *key);
        oldest.map(|oldest| table.remove(&oldest));
    }
}

/// What one neighbour holds: an IPv4 address, or the 64 bits of an IPv6 network.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "192.0.2.1";
    const THERE: &str = "192.0.2.2";

    /// How long a wrong guess shuts out; none when it was not judged.
    fn guess(brake: &Brake, address: &str, user: &str, now: Instant) -> Option<u64> {
        match brake.judge(address.parse().unwrap(), user, now, || Err::<(), ()>(())) {
            Judged::HeldBack => None,
            Judged::Wrong((), delay) => Some(delay.as_secs()),
            Judged::Right(()) => unreachable!(),
        }
    }

    /// Guesses until it is held back; answers how many were judged.
    fn guess_on(brake: &Brake, address: &str, user: &str, now: Instant) -> u32 {
        u32::try_from((0..1000).take_while(|_| guess(brake, address, user, now).is_some()).count()).unwrap()
    }

    #[test]
    fn the_delay_doubles_up_to_its_cap_and_is_forgotten() {
        let limits = Limits { free_failures: 2, ..Limits::default() };
        let brake = Brake::new(limits);
        let mut now = Instant::now();
        let mut delays = Vec::new();
        for _ in 0..10 {
            let delay = guess(&brake, HERE, "backup", now).unwrap();
            delays.push(delay);
            assert_eq!(delay == 0, guess_is_due(&brake, now), "{delays:?}");
            now += Duration::from_secs(delay);
        }
        assert_eq!(delays, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60]);
        now += limits.failure_memory + Duration::from_secs(1);
        assert_eq!(guess(&brake, HERE, "backup", now), Some(0));
    }

    /// Whether a right password would be looked at; it leaves no trace.
    fn guess_is_due(brake: &Brake, now: Instant) -> bool {
        let judged = brake.judge(HERE.parse().unwrap(), "BACKUP", now, || Ok::<_, ()>(()));
        matches!(judged, Judged::Right(()))
    }

    #[test]
    fn guesses_at_one_account_shut_out_neither_others_nor_elsewhere() {
        let brake = Brake::new(Limits::default());
        let now = Instant::now();
        assert_eq!(guess_on(&brake, HERE, "admin", now), 11);
        assert!(guess_is_due(&brake, now), "another account of the same address");
        assert_eq!(guess(&brake, THERE, "ADMIN", now), Some(0), "the account from elsewhere");
        assert!(!brake.is_shut_out(HERE.parse().unwrap(), now));
    }

    #[test]
    fn an_address_has_a_bound_of_its_own_which_proven_accounts_pass() {
        let limits = Limits::default();
        let brake = Brake::new(limits);
        let (here, now) = (HERE.parse().unwrap(), Instant::now());
        let judged: u32 = (0..50).map(|number| guess_on(&brake, HERE, &format!("user {number}"), now)).sum();
        assert_eq!(judged, limits.free_failures_of_address + 1);
        assert!(brake.is_shut_out(here, now) && !guess_is_due(&brake, now));
        brake.proven(here, "Backup", now);
        assert!(!brake.is_shut_out(here, now) && brake.is_known(here, now) && guess_is_due(&brake, now));
        assert_eq!(guess(&brake, HERE, "another", now), None);
        let later = now + limits.proven_memory;
        assert!(!brake.is_known(here, later));
    }

    #[test]
    fn a_proven_account_keeps_a_reserved_share_where_others_guess_at_it() {
        let brake = Brake::new(Limits::default());
        let now = Instant::now();
        brake.proven(HERE.parse().unwrap(), "backup", now);
        assert_eq!(guess_on(&brake, HERE, "backup", now), 11 + RESERVED_GUESSES);
        assert!(!guess_is_due(&brake, now));
        assert!(guess_is_due(&brake, now + RESERVED_PERIOD));
    }

    #[test]
    fn an_ipv6_network_counts_as_one_and_the_tables_are_bounded() {
        let brake = Brake::new(Limits { free_failures: 0, free_failures_of_address: 0, ..Limits::default() });
        let now = Instant::now();
        brake.failed("2001:db8::1".parse().unwrap(), now);
        assert!(brake.is_shut_out("2001:db8::2".parse().unwrap(), now));
        for address in 0..2 * u32::try_from(REMEMBERED_ADDRESSES).unwrap() {
            let address: IpAddr = std::net::Ipv4Addr::from_bits(address).into();
            brake.failed(address, now);
            brake.proven(address, "backup", now);
        }
        let records = brake.records();
        assert_eq!(records.addresses.len(), REMEMBERED_ADDRESSES);
        assert_eq!(records.proven.len(), REMEMBERED_ADDRESSES);
    }
}
