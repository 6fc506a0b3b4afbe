//! What callers may use up. Every bound of the service stands here.

use std::time::Duration;

/// Bounds of a running service. [`Limits::default`] suits a CA; tests make them small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once, over all listeners. Above it the oldest connection that never authenticated makes room; when
    /// all have, the new one is closed.
    pub connections: usize,
    /// Connections at once of one proven caller; a further one is closed.
    pub connections_per_caller: usize,
    /// How long a connection may stay without any caller proven.
    pub handshake: Duration,
    /// How long a proven caller may stay silent between two PDUs.
    pub idle: Duration,
    /// How long one PDU may take from its first byte to its last.
    pub pdu: Duration,
    /// How long one whole answer may take to be written; 4 MiB in this time is the slowest reader that is served.
    pub answer: Duration,
    /// Objects at once.
    pub objects: usize,
    /// Objects at once of one caller.
    pub objects_per_caller: usize,
    /// Ping sets at once (wire.md 4.16).
    pub ping_sets: usize,
    /// Objects in one ping set.
    pub ping_set_objects: usize,
    /// The ping period; a set dies three of them after its last ping (wire.md 4.16).
    pub ping_period: Duration,
    /// How long an object with references lives after its last call without pings (wire.md 4.16).
    pub object_idle: Duration,
    /// How long a backup outlives the last TCP connection of its client (certbcli.md D30).
    pub lost_client: Duration,
    /// How long a backup may stand still (certbcli.md D30).
    pub session_idle: Duration,
    /// Failed logons of one address that have no consequence.
    pub free_failures: u32,
    /// The longest time an address is shut out after failed logons; it doubles from one second with each.
    pub longest_shut_out: Duration,
    /// How long the failures of an address are remembered after the last.
    pub failure_memory: Duration,
    /// How long callers are still answered after the service was told to stop (wire.md 5.7, ServerControl).
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            connections_per_caller: 64,
            handshake: Duration::from_secs(30),
            idle: Duration::from_secs(30 * 60),
            pdu: Duration::from_secs(30),
            answer: Duration::from_secs(120),
            objects: 1024,
            objects_per_caller: 64,
            ping_sets: 1024,
            ping_set_objects: 256,
            ping_period: Duration::from_secs(120),
            object_idle: Duration::from_secs(14 * 60),
            lost_client: Duration::from_secs(30),
            session_idle: Duration::from_secs(30 * 60),
            free_failures: 10,
            longest_shut_out: Duration::from_secs(60),
            failure_memory: Duration::from_secs(15 * 60),
            farewell: Duration::from_secs(2),
        }
    }
}

/// Addresses whose failed logons are remembered; the one that failed longest ago is forgotten first.
pub(crate) const REMEMBERED_ADDRESSES: usize = 4096;

/// The largest request that the resolver's port takes, in bytes. Two of its calls are answered to everybody, so that what
/// they can make the service hold is little.
pub(crate) const RESOLVER_STUB: usize = 64 * 1024;

/// The stack of a connection's thread, in bytes. SQLite runs on it when a backup rolls or ends.
pub(crate) const STACK: usize = 512 * 1024;

/// How long a blocking read or write waits before it looks at deadlines and at the order to stop.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// Sealed fragments are collected while they have no more bytes than this, and then written, so that the client unseals the
/// first ones while the rest is being sealed. Two of the largest segments that a loopback device takes at once: a few bytes more
/// would travel as a third, each of which costs both ends time, and each write wakes a client that waits.
pub(crate) const WRITE_BATCH: usize = 2 * 65_483;
