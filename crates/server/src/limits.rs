//! What callers may use up. Every bound of the service stands here.

use std::time::Duration;

/// Bounds of a running service. [`Limits::default`] suits a CA; tests make them small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once over TCP. Above it the address with the most connections that have proven nothing loses its
    /// oldest; when all have proven who they are, the new one is closed.
    pub connections: usize,
    /// Connections at once of one address, or of one /64 of IPv6, that have proven nothing; a further one ends the oldest.
    pub unproven_per_address: usize,
    /// Connections at once over the Unix socket of callers with a role; a further one is closed.
    pub local_connections: usize,
    /// Connections at once of all callers without a role, over the Unix socket, and as many over TCP of those who have proven who
    /// they are; a further one ends the oldest.
    pub roleless_connections: usize,
    /// The same of one caller, and the objects that he may have at once; a further one ends the oldest.
    pub roleless_per_caller: usize,
    /// Connections at once of one proven caller; a further one is closed.
    pub connections_per_caller: usize,
    /// How long a connection may stay without any caller proven, or over the Unix socket without any role; and how long a proven
    /// caller without any role may stay silent. A caller is proven by the first message that verifies: a logon may be relayed, the
    /// key of its session cannot.
    pub handshake: Duration,
    /// How long a proven caller with a role may stay silent between two PDUs.
    pub idle: Duration,
    /// How long one PDU may take from its first byte to its last.
    pub pdu: Duration,
    /// How long one whole answer may take to be written. That to a read of the backup that runs has [`session_idle`](Self::session_idle):
    /// clients send the next read ahead, and their caller may pause before he wants it.
    pub answer: Duration,
    /// Objects at once.
    pub objects: usize,
    /// Objects at once of one caller.
    pub objects_per_caller: usize,
    /// Ping sets at once (wire.md 4.16).
    pub ping_sets: usize,
    /// Ping sets at once of one caller; a further one replaces the one that he has not pinged for longest.
    pub ping_sets_per_caller: usize,
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
    /// Calls of a backup that write (BackupGetBackupLogs, BackupTruncateLogs) of one caller that are answered at once.
    pub writes_at_once: u32,
    /// After them, one such call is answered in this time; the others wait for their turn.
    pub write_every: Duration,
    /// Failed logons at one account from one address that have no consequence.
    pub free_failures: u32,
    /// Failed logons from one address, whatever the account, that have no consequence.
    pub free_failures_of_address: u32,
    /// The longest time that failed logons shut out; it doubles from one second with each.
    pub longest_shut_out: Duration,
    /// How long failures are remembered after the last.
    pub failure_memory: Duration,
    /// How long an address keeps its reserved share after an account was proven from it.
    pub proven_memory: Duration,
    /// How long callers are still answered after the service was told to stop (wire.md 5.7, ServerControl).
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            unproven_per_address: 64,
            local_connections: 128,
            roleless_connections: 16,
            roleless_per_caller: 4,
            connections_per_caller: 64,
            handshake: Duration::from_secs(30),
            idle: Duration::from_secs(30 * 60),
            pdu: Duration::from_secs(30),
            answer: Duration::from_secs(120),
            objects: 1024,
            objects_per_caller: 64,
            ping_sets: 1024,
            ping_sets_per_caller: 16,
            ping_set_objects: 256,
            ping_period: Duration::from_secs(120),
            object_idle: Duration::from_secs(14 * 60),
            lost_client: Duration::from_secs(30),
            session_idle: Duration::from_secs(30 * 60),
            writes_at_once: 240,
            write_every: Duration::from_millis(250),
            free_failures: 10,
            free_failures_of_address: 100,
            longest_shut_out: Duration::from_secs(60),
            failure_memory: Duration::from_secs(15 * 60),
            proven_memory: Duration::from_secs(60 * 60),
            farewell: Duration::from_secs(2),
        }
    }
}

/// Addresses whose failed logons are remembered; the one that failed longest ago is forgotten first.
pub(crate) const REMEMBERED_ADDRESSES: usize = 4096;

/// Accounts at addresses whose failed logons are remembered, likewise.
pub(crate) const REMEMBERED_GUESSES: usize = 16_384;

/// Logons of an account that was proven from an address a short while ago that are judged in each [`RESERVED_PERIOD`]
/// although others have guessed at it from there.
pub(crate) const RESERVED_GUESSES: u32 = 3;

/// See [`RESERVED_GUESSES`].
pub(crate) const RESERVED_PERIOD: Duration = Duration::from_secs(60);

/// Lines of the log about one peer or caller that are written at once.
pub(crate) const LINES_AT_ONCE: u32 = 50;

/// After them, one is written in this time, and says how many were left out.
pub(crate) const LINE_EVERY: Duration = Duration::from_secs(10);

/// The same for all peers together that have proven nothing.
pub(crate) const ALL_LINES_AT_ONCE: u32 = 1000;

/// See [`ALL_LINES_AT_ONCE`].
pub(crate) const ALL_LINES_EVERY: Duration = Duration::from_millis(200);

/// Callers and addresses whose paces are counted.
pub(crate) const RATED_KEYS: usize = 4096;

/// How often the last logons are written down.
pub(crate) const NOTE_LOGONS: Duration = Duration::from_secs(60);

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
