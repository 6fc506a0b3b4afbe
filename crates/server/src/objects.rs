//! The object exporter's tables: objects, their interfaces and references, ping sets (wire.md 4.14 to 4.16).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use certadm_session::Loss;
use certadm_wire::dcom::{Iid, Ipid, Oid, Oxid, SetId};
use certadm_wire::ndr::Guid;

use crate::identity::Identity;
use crate::limits::Limits;
use crate::object::{AdminObject, ConnectionId};

/// References that an activation hands out (wire.md 4.4).
pub(crate) const ACTIVATION_REFERENCES: u32 = 5;
/// The interfaces of the administration object (wire.md 1.1, 4.14).
const INTERFACES: [Iid; 3] = [Iid::UNKNOWN, Iid::CERT_ADMIN, Iid::CERT_ADMIN_2];
/// The interfaces of the factory of its class (wire.md 4.6).
const FACTORY_INTERFACES: [Iid; 2] = [Iid::UNKNOWN, Iid::CLASS_FACTORY];
/// The missed pings that end a set (wire.md 4.16).
const PINGS_TO_EXPIRY: u32 = 3;

/// All objects of the service.
#[derive(Debug)]
pub(crate) struct Objects {
    limits: Limits,
    oxid: Oxid,
    remote_unknown: Ipid,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    objects: HashMap<Oid, Entry>,
    interfaces: HashMap<Ipid, (Oid, Iid)>,
    sets: HashMap<SetId, PingSet>,
}

/// What a client holds by its references.
#[derive(Debug, Clone)]
pub(crate) enum Thing {
    /// The administration object.
    Object(Arc<AdminObject>),
    /// The factory of its class, which has no state.
    Factory,
}

#[derive(Debug)]
struct Entry {
    thing: Thing,
    owner: Identity,
    /// Whether he had any role when it was made.
    has_role: bool,
    /// The IPID of each interface that somebody holds, and how many references.
    held: HashMap<Iid, (Ipid, u32)>,
    last_call: Instant,
}

#[derive(Debug)]
struct PingSet {
    owner: Identity,
    objects: HashSet<Oid>,
    sequence: u16,
    last_ping: Instant,
}

/// Why no object can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ObjectsError {
    /// There are too many, of everybody or of this caller.
    #[error("there are too many objects; release some")]
    Full,
    /// The system gives no random bytes.
    #[error("there are no random bytes for an identifier; check the system's random source")]
    NoRandomness,
}

/// An interface of an object, as handed to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handed {
    pub(crate) oid: Oid,
    pub(crate) ipid: Ipid,
    pub(crate) references: u32,
}

impl Objects {
    /// No objects yet.
    ///
    /// # Errors
    /// [`ObjectsError::NoRandomness`].
    pub(crate) fn new(limits: Limits) -> Result<Self, ObjectsError> {
        Ok(Self {
            limits,
            oxid: Oxid(random_u64()?),
            remote_unknown: random_ipid()?,
            table: Mutex::default(),
        })
    }

    pub(crate) fn oxid(&self) -> Oxid {
        self.oxid
    }

    pub(crate) fn remote_unknown(&self) -> Ipid {
        self.remote_unknown
    }

    /// Enters something new and hands out one reference to each of `interfaces` that exists; none for the others.
    ///
    /// # Errors
    /// [`ObjectsError`].
    pub(crate) fn enter(
        &self,
        thing: Thing,
        owner: Identity,
        has_role: bool,
        interfaces: &[Iid],
        now: Instant,
    ) -> Result<Vec<Option<Handed>>, ObjectsError> {
        let mut table = self.table();
        let own = table.objects.values().filter(|entry| entry.owner == owner).count();
        let most = if has_role { self.limits.objects_per_caller } else { self.limits.roleless_per_caller };
        if most <= own {
            // A caller who forgets to release loses what he has not used for longest.
            let forgotten = table.longest_unused(|entry| entry.owner == owner).ok_or(ObjectsError::Full)?;
            table.remove(forgotten);
        }
        if self.limits.objects <= table.objects.len() {
            // Whoever has a ticket of the realm may make one; that keeps nobody out who has a role.
            let roleless = table.longest_unused(|entry| has_role && !entry.has_role);
            table.remove(roleless.ok_or(ObjectsError::Full)?);
        }
        let oid = Oid(random_u64()?);
        let entry = Entry { thing, owner, has_role, held: HashMap::new(), last_call: now };
        table.objects.insert(oid, entry);
        interfaces.iter().map(|&iid| table.hand_out(oid, iid, ACTIVATION_REFERENCES)).collect()
    }

    /// What an IPID belongs to, and its interface.
    pub(crate) fn find(&self, ipid: Ipid, now: Instant) -> Option<(Thing, Iid)> {
        let mut table = self.table();
        let &(oid, iid) = table.interfaces.get(&ipid)?;
        let entry = table.objects.get_mut(&oid)?;
        entry.last_call = now;
        Some((entry.thing.clone(), iid))
    }

    /// RemQueryInterface: references to further interfaces of the object that `ipid` belongs to; none at all when
    /// there is no such object or it belongs to another caller.
    ///
    /// # Errors
    /// [`ObjectsError::NoRandomness`].
    pub(crate) fn query(
        &self,
        ipid: Ipid,
        caller: &Identity,
        interfaces: &[Iid],
        references: u32,
        now: Instant,
    ) -> Result<Option<Vec<Option<Handed>>>, ObjectsError> {
        let mut table = self.table();
        let Some(oid) = table.oid_of(ipid, caller) else { return Ok(None) };
        if let Some(entry) = table.objects.get_mut(&oid) {
            entry.last_call = now;
        }
        interfaces.iter().map(|&iid| table.hand_out(oid, iid, references)).collect::<Result<_, _>>().map(Some)
    }

    /// RemAddRef on one IPID; answers whether it exists.
    pub(crate) fn add_references(&self, ipid: Ipid, caller: &Identity, count: u32) -> bool {
        let mut table = self.table();
        let Some(oid) = table.oid_of(ipid, caller) else { return false };
        let Some(held) = table.objects.get_mut(&oid).and_then(|entry| entry.held_as(ipid)) else {
            return false;
        };
        *held = held.saturating_add(count);
        true
    }

    /// RemRelease on one IPID; with its last reference the IPID goes, and with its last IPID the object.
    pub(crate) fn release(&self, ipid: Ipid, caller: &Identity, count: u32) {
        let dead = {
            let mut table = self.table();
            let Some(oid) = table.oid_of(ipid, caller) else { return };
            table.release(oid, ipid, count)
        };
        // Not under the table's lock: a call that still runs on the object is waited for.
        if let Some(object) = dead {
            object.abort(Loss::Object);
        }
    }

    /// A simple ping, or a complex one with changes; answers the set's identifier, none when there is no such set or
    /// there are too many (wire.md 4.16).
    pub(crate) fn ping(&self, ping: &Ping<'_>, caller: &Identity, now: Instant) -> Option<SetId> {
        let mut table = self.table();
        let Table { objects, sets, .. } = &mut *table;
        let id = if ping.set == SetId(0) {
            let own = || sets.iter().filter(|(_, set)| set.owner == *caller);
            if self.limits.ping_sets_per_caller <= own().count() {
                let forgotten = own().min_by_key(|(_, set)| set.last_ping).map(|(id, _)| *id)?;
                sets.remove(&forgotten);
            }
            if self.limits.ping_sets <= sets.len() {
                return None;
            }
            // Below 0x10000: impacket sends the identifier in the 16-bit sequence field.
            let id = (1..=u64::from(u16::MAX)).map(SetId).find(|id| !sets.contains_key(id))?;
            let set = PingSet { owner: caller.clone(), objects: HashSet::new(), sequence: 0, last_ping: now };
            sets.insert(id, set);
            id
        } else {
            ping.set
        };
        let set = sets.get_mut(&id).filter(|set| set.owner == *caller)?;
        set.last_ping = now;
        if let Some(sequence) = ping.sequence {
            if sequence < set.sequence {
                return Some(id); // a duplicate that was overtaken
            }
            set.sequence = sequence;
            for oid in ping.remove {
                set.objects.remove(oid);
            }
            let room = self.limits.ping_set_objects.saturating_sub(set.objects.len());
            set.objects.extend(ping.add.iter().filter(|oid| objects.contains_key(oid)).take(room));
        }
        Some(id)
    }

    /// A connection has ended.
    pub(crate) fn disconnected(&self, connection: ConnectionId, now: Instant) {
        for object in self.all() {
            object.disconnected(connection, now);
        }
    }

    /// Ends what nobody drives any more: backups first, then objects (wire.md 4.16; certbcli.md D30).
    pub(crate) fn sweep(&self, now: Instant) {
        let since = |then: Instant| now.saturating_duration_since(then);
        let busy: HashMap<Oid, bool> = {
            let things: Vec<_> =
                self.table().objects.iter().map(|(oid, entry)| (*oid, entry.thing.clone())).collect();
            let is_busy = |thing: Thing| thing.object().is_some_and(|object| object.sweep(&self.limits, now));
            things.into_iter().map(|(oid, thing)| (oid, is_busy(thing))).collect()
        };
        let dead: Vec<Arc<AdminObject>> = {
            let mut table = self.table();
            let expiry: Duration = self.limits.ping_period * PINGS_TO_EXPIRY;
            table.sets.retain(|_, set| since(set.last_ping) < expiry);
            let pinged: HashSet<Oid> =
                table.sets.values().flat_map(|set| set.objects.iter().copied()).collect();
            let oids: Vec<Oid> = table
                .objects
                .iter()
                .filter(|(oid, entry)| {
                    let lives = pinged.contains(oid)
                        || since(entry.last_call) < self.limits.object_idle
                        || busy.get(oid).copied().unwrap_or(true);
                    !lives
                })
                .map(|(oid, _)| *oid)
                .collect();
            oids.into_iter().filter_map(|oid| table.remove(oid)).collect()
        };
        for object in dead {
            object.abort(Loss::Object);
        }
    }

    /// For how long the client of the running backup has been gone; nothing when it is there, or none runs.
    pub(crate) fn lost_for(&self, now: Instant) -> Option<Duration> {
        self.all().iter().find_map(|object| object.lost_for(now))
    }

    /// Forgets the objects and ping sets of the callers for whom `is_gone` says so; their backups end.
    pub(crate) fn end_those(&self, is_gone: impl Fn(&Identity) -> bool) {
        let dead: Vec<Arc<AdminObject>> = {
            let mut table = self.table();
            table.sets.retain(|_, set| !is_gone(&set.owner));
            let gone = table.objects.iter().filter(|(_, entry)| is_gone(&entry.owner));
            let oids: Vec<Oid> = gone.map(|(oid, _)| *oid).collect();
            oids.into_iter().filter_map(|oid| table.remove(oid)).collect()
        };
        for object in dead {
            object.abort(Loss::Account);
        }
        for object in self.all() {
            object.abort_if_gone(&is_gone);
        }
    }

    /// Aborts every backup: the service stops. The objects still answer (certbcli.md 7.1, "Failed").
    pub(crate) fn abort_all(&self) {
        for object in self.all() {
            object.abort(Loss::Service);
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.abort_all();
        *self.table() = Table::default();
    }

    /// How many objects there are.
    pub(crate) fn count(&self) -> usize {
        self.table().objects.len()
    }

    fn all(&self) -> Vec<Arc<AdminObject>> {
        self.table().objects.values().filter_map(|entry| entry.thing.clone().object()).collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Thing {
    /// Whether it has the interface.
    pub(crate) fn has_interface(&self, iid: Iid) -> bool {
        match self {
            Self::Object(_) => INTERFACES.contains(&iid),
            Self::Factory => FACTORY_INTERFACES.contains(&iid),
        }
    }

    /// The administration object, if it is one.
    pub(crate) fn object(self) -> Option<Arc<AdminObject>> {
        match self {
            Self::Object(object) => Some(object),
            Self::Factory => None,
        }
    }

    fn is_unused(&self) -> bool {
        match self {
            Self::Object(object) => object.is_unused(),
            Self::Factory => true,
        }
    }
}

/// What a ping says.
#[derive(Debug)]
pub(crate) struct Ping<'a> {
    pub(crate) set: SetId,
    /// None for a simple ping.
    pub(crate) sequence: Option<u16>,
    pub(crate) add: &'a [Oid],
    pub(crate) remove: &'a [Oid],
}

impl Table {
    /// An IPID is no credential (wire.md 7, item 7): another caller's object is as if it were not there.
    fn oid_of(&self, ipid: Ipid, caller: &Identity) -> Option<Oid> {
        let &(oid, _) = self.interfaces.get(&ipid)?;
        self.objects.get(&oid).filter(|entry| entry.owner == *caller).map(|_| oid)
    }

    /// Of the objects that `counts` picks, the one without backup and without open connection whose last call is longest ago.
    fn longest_unused(&self, counts: impl Fn(&Entry) -> bool) -> Option<Oid> {
        let unused = self.objects.iter().filter(|(_, entry)| counts(entry) && entry.thing.is_unused());
        unused.min_by_key(|(_, entry)| entry.last_call).map(|(oid, _)| *oid)
    }

    fn hand_out(&mut self, oid: Oid, iid: Iid, references: u32) -> Result<Option<Handed>, ObjectsError> {
        let Some(entry) = self.objects.get_mut(&oid).filter(|entry| entry.thing.has_interface(iid)) else {
            return Ok(None);
        };
        let (ipid, held) = match entry.held.get(&iid) {
            Some(&(ipid, held)) => (ipid, held),
            None => (random_ipid()?, 0),
        };
        entry.held.insert(iid, (ipid, held.saturating_add(references)));
        self.interfaces.insert(ipid, (oid, iid));
        Ok(Some(Handed { oid, ipid, references }))
    }

    fn release(&mut self, oid: Oid, ipid: Ipid, count: u32) -> Option<Arc<AdminObject>> {
        let entry = self.objects.get_mut(&oid)?;
        let held = entry.held_as(ipid)?;
        *held = held.saturating_sub(count);
        if *held == 0 {
            entry.held.retain(|_, (held, _)| *held != ipid);
            self.interfaces.remove(&ipid);
        }
        if entry.held.is_empty() { self.remove(oid) } else { None }
    }

    fn remove(&mut self, oid: Oid) -> Option<Arc<AdminObject>> {
        let entry = self.objects.remove(&oid)?;
        for (ipid, _) in entry.held.values() {
            self.interfaces.remove(ipid);
        }
        for set in self.sets.values_mut() {
            set.objects.remove(&oid);
        }
        entry.thing.object()
    }
}

impl Entry {
    fn held_as(&mut self, ipid: Ipid) -> Option<&mut u32> {
        self.held.values_mut().find(|(held, _)| *held == ipid).map(|(_, count)| count)
    }
}

fn random_u64() -> Result<u64, ObjectsError> {
    getrandom::u64().map_err(|_| ObjectsError::NoRandomness)
}

fn random_ipid() -> Result<Ipid, ObjectsError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| ObjectsError::NoRandomness)?;
    Ok(Ipid(Guid::from_le_bytes(bytes)))
}
