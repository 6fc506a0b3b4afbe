//! The service as a whole: started on a store, run until it is told to stop.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use certadm_auth::{AuthError, Environment, FileTime, ServerNames, Service};
use certadm_rules::unc::UncRoot;
use certadm_store::{Serving, Store};

use crate::accounts::Accounts;
use crate::audit;
use crate::brake::Brake;
use crate::connection::{Accepted, Connection};
use crate::connections::Connections;
use crate::error::StartError;
use crate::granted::Granted;
use crate::identity::Identity;
use crate::inherited::Inherited;
use crate::limits::STACK;
use crate::listeners::{Addresses, Listeners, Port};
use crate::logons::{LogonFile, Logons};
use crate::object::ConnectionId;
use crate::objects::Objects;
use crate::rates::{Lines, Rates};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::tickets::Tickets;
use crate::transport::Stream;
use crate::users::UserFile;
use crate::wake::{self, Woken};

/// How long the service waits for callers before it looks after other things.
const TICK: Duration = Duration::from_millis(200);
/// How often the tables are looked through for what nobody drives any more.
const SWEEP: Duration = Duration::from_secs(1);
/// How long the threads of ended connections may take to leave.
const LEAVING: Duration = Duration::from_secs(10);
/// How long the last references to the service's tables may take to go.
const LETTING_GO: Duration = Duration::from_secs(1);

/// Tells a running service to stop.
#[derive(Debug, Clone)]
pub struct Stopper(Weak<Shared>);

impl Stopper {
    /// Aborts the running backup and lets [`Server::run`] return soon.
    pub fn stop(&self) {
        if let Some(shared) = self.0.upgrade() {
            shared.stop();
        }
    }

    /// How many connections and objects there are at present.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        self.0.upgrade().map_or((0, 0), |shared| (shared.connections.count(), shared.objects.count()))
    }
}

/// How the service ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Stopped {
    /// What kept the database from being closed in order, if anything; nothing committed is lost then either.
    pub close_error: Option<certadm_store::Error>,
    /// Whether every connection's thread left in time.
    pub all_left: bool,
}

/// A service that listens.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    listeners: Listeners,
    woken: Woken,
}

impl Server {
    /// Opens the listeners for the CA that `store` holds, alone or together with others of this process. Opening the
    /// store has recovered it and refused a registration that is not complete.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(store: impl Into<Arc<Store>>, settings: Settings) -> Result<Self, StartError> {
        Self::start_with(store, settings, Inherited::default())
    }

    /// The same on sockets that were handed over, as far as there are any: they go before what `settings` say.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start_with(
        store: impl Into<Arc<Store>>,
        settings: Settings,
        inherited: Inherited,
    ) -> Result<Self, StartError> {
        let store = store.into();
        let host = &settings.host;
        let bad_host = |_| StartError::Host { host: host.clone() };
        let names =
            UncRoot::of_this_system(host.clone()).map_err(|_| StartError::Host { host: host.clone() })?;
        let server_names = ServerNames::from_host(host).map_err(bad_host)?;
        let users = UserFile::in_folder(store.folder().path());
        users.read()?;
        let accounts = Arc::new(Accounts::new(users));
        let without_pac =
            settings.kerberos.as_ref().is_some_and(|kerberos| kerberos.danger_names_without_pac);
        let granted = Granted::new(settings.roles.clone(), settings.roles_file.clone(), without_pac)?;
        let tickets = settings.kerberos.clone().map(Tickets::new).transpose()?.map(Arc::new);
        let mut logons = Service::new(server_names, accounts.clone(), Arc::new(System));
        if let Some(tickets) = &tickets {
            logons = logons.with_tickets(Arc::clone(tickets) as Arc<dyn certadm_auth::Tickets>);
        }
        if !settings.ntlm {
            logons = logons.without_ntlm();
        }
        let system = |what| move |source| StartError::System { what, source };
        let (wake, woken) = wake::pair().map_err(system("a pair of sockets"))?;
        let objects = Objects::new(settings.limits)
            .map_err(|error| StartError::System { what: "random bytes", source: io::Error::other(error) })?;
        let (listeners, addresses) = Listeners::open(
            settings.resolver,
            settings.exporter_port,
            settings.socket.clone(),
            store.folder(),
            inherited,
        )?;
        store.serves(&Serving { listen: Some(addresses.resolver), socket: addresses.socket.clone() });
        let shared = Shared {
            logons,
            tickets,
            granted,
            accounts,
            names,
            objects,
            connections: Connections::new(settings.limits),
            brake: Brake::new(settings.limits),
            last_logons: Logons::new(LogonFile::in_folder(store.folder().path())),
            writes: Rates::new(settings.limits.writes_at_once, settings.limits.write_every),
            lines: Lines::new(),
            own_uid: own_uid(),
            stopping: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            wake,
            addresses,
            store,
            settings,
        };
        Ok(Self { shared: Arc::new(shared), listeners, woken })
    }

    #[cfg(feature = "fuzzing")]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.shared.addresses
    }

    /// What ends it from another thread.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::downgrade(&self.shared))
    }

    /// Lets SIGTERM and SIGINT end it; on Windows Ctrl+C.
    ///
    /// # Errors
    /// [`StartError::System`].
    pub fn stop_on_signals(&self) -> Result<(), StartError> {
        let refused = |source| StartError::System { what: "signal handlers", source };
        self.shared.wake.on_signals().map_err(refused)
    }

    /// Serves until it is told to stop: by [`Stopper`], a signal, or ServerControl. Then the backup is aborted, callers
    /// are answered for a little longer, the log is rolled and the database checkpointed; closed, too, where nobody else
    /// holds the store.
    pub fn run(self) -> Stopped {
        let Self { shared, listeners, woken } = self;
        let mut listeners = Some(listeners);
        let name = shared.settings.name.clone();
        audit::started(&name);
        let mut swept = Instant::now();
        let mut stop_at: Option<Instant> = None;
        loop {
            let now = Instant::now();
            if stop_at.is_some_and(|stop_at| stop_at <= now || shared.connections.count() == 0) {
                break;
            }
            if SWEEP <= now.saturating_duration_since(swept) {
                shared.objects.sweep(now);
                shared.end_gone();
                shared.last_logons.note(shared.accounts.file(), now, false);
                swept = now;
            }
            if woken.wait(listeners.as_ref(), TICK) {
                // Who comes now finds no service.
                listeners = None;
                shared.store.serves(&Serving::default());
                shared.begin_stop();
                stop_at.get_or_insert(Instant::now() + shared.settings.limits.farewell);
            }
            for accepted in listeners.iter().flat_map(Listeners::accept) {
                accept(&shared, accepted);
            }
        }
        shared.closing.store(true, Ordering::SeqCst);
        let all_left = shared.connections.end_all(LEAVING);
        shared.objects.clear();
        shared.last_logons.note(shared.accounts.file(), Instant::now(), true);
        let close_error = close(shared);
        audit::stopped(&name);
        Stopped { close_error, all_left }
    }
}

/// Meets one caller.
fn accept(shared: &Arc<Shared>, accepted: io::Result<(Stream, Port, Option<Identity>)>) {
    let (stream, port, local) = match accepted {
        Ok(accepted) => accepted,
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            // Out of descriptors: the others need time to leave.
            std::thread::sleep(Duration::from_millis(20));
            return;
        }
    };
    let (address, now) = (stream.peer(), Instant::now());
    if address.is_some_and(|address| shared.brake.is_shut_out(address, now)) {
        return;
    }
    let stream = Arc::new(stream);
    let Some(id) = shared.connections.enter(&stream, shared.place(address, local.as_ref(), now)) else {
        if let Some(left_out) = shared.lines.about_peer(address, now) {
            tracing::warn!(?address, left_out, "a connection was closed; there are too many");
        }
        return;
    };
    let connection = Connection::new(Arc::clone(shared), Accepted { id, stream, port, local });
    let leaving = Leaving(Arc::clone(shared), id);
    let thread = std::thread::Builder::new().name("connection".into()).stack_size(STACK);
    let spawned = thread.spawn(move || {
        let _leaving = leaving;
        connection.run();
    });
    if let Err(error) = spawned
        && let Some(left_out) = shared.lines.about_peer(address, now)
    {
        tracing::warn!(%error, ?address, left_out, "a connection was closed; no thread for it");
    }
}

/// Takes the connection off the table and lets the objects know, whatever ended its thread. Its place is free before it may have to
/// wait for a call.
struct Leaving(Arc<Shared>, ConnectionId);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.connections.leave(self.1);
        self.0.objects.disconnected(self.1, Instant::now());
    }
}

/// The user that the service runs as. Where there are no local callers nobody asks.
fn own_uid() -> u32 {
    #[cfg(unix)]
    return rustix::process::geteuid().as_raw();
    #[cfg(not(unix))]
    return 0;
}

/// Rolls, checkpoints and lets go of the store.
fn close(mut shared: Arc<Shared>) -> Option<certadm_store::Error> {
    let deadline = Instant::now() + LETTING_GO;
    let shared = loop {
        match Arc::try_unwrap(shared) {
            Ok(shared) => break shared,
            // A thread that is just leaving.
            Err(held) if Instant::now() < deadline => {
                shared = held;
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(held) => return held.store.roll().err(),
        }
    };
    match Arc::try_unwrap(shared.store) {
        Ok(store) => store.close().err(),
        Err(store) => store.roll().err(),
    }
}

/// Clock and random source of the logons.
struct System;

impl Environment for System {
    fn now(&self) -> FileTime {
        FileTime::from_unix(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), AuthError> {
        getrandom::fill(bytes).map_err(|_| AuthError::NoRandomness)
    }
}
