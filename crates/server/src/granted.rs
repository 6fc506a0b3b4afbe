//! `[roles]` of a running service: as `ca.toml` has them at each moment.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use certadm_auth::TicketHolder;
use certadm_ca::{Config, RolesConfig};
use certadm_rules::flags::Roles;

use crate::error::StartError;
use crate::roles::local_roles;
use crate::ticket_roles::TicketRoles;
use crate::watched::{Watched, failure};

/// The roles of local callers and of those with tickets. The file is read again whenever it has changed, so that a role that is
/// taken away is gone at the next call, as it is with `users.toml`.
#[derive(Debug)]
pub(crate) struct Granted {
    /// `ca.toml`; none where the roles stay as they are.
    file: Option<PathBuf>,
    /// Whether names count that come without a PAC.
    without_pac: bool,
    known: Mutex<Watched<Known>>,
}

#[derive(Debug)]
struct Known {
    config: RolesConfig,
    tickets: TicketRoles,
}

impl Known {
    fn new(config: RolesConfig, without_pac: bool) -> Result<Self, StartError> {
        let tickets = TicketRoles::from_config(&config, without_pac)?;
        Ok(Self { config, tickets })
    }

    /// Of a file that cannot be used.
    fn nobody() -> Self {
        Self { config: RolesConfig::nobody(), tickets: TicketRoles::default() }
    }
}

impl Granted {
    /// The roles of `config`, which was read from `file`. `without_pac` is `danger_names_without_pac` of `[kerberos]`.
    ///
    /// # Errors
    /// [`StartError::Role`].
    pub(crate) fn new(
        config: RolesConfig,
        file: Option<PathBuf>,
        without_pac: bool,
    ) -> Result<Self, StartError> {
        // Without a stamp the file is read at the first call: it may have changed since.
        let known = Watched::with(None, Known::new(config, without_pac)?);
        Ok(Self { file, without_pac, known: Mutex::new(known) })
    }

    /// The roles of a caller of the Unix socket. `own` is the user that the service runs as.
    pub(crate) fn local(&self, uid: u32, gid: u32, own: u32) -> Roles {
        self.with(|known| local_roles(&known.config, uid, gid, own))
    }

    /// The roles of a caller with a ticket.
    pub(crate) fn of_ticket(&self, holder: &TicketHolder) -> Roles {
        self.with(|known| known.tickets.of(holder))
    }

    /// While the file cannot be read nobody has a role by it.
    fn with<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match &self.file {
            Some(file) => {
                let read = || {
                    let config = Config::load(file).map_err(failure)?;
                    Known::new(config.roles, self.without_pac).map_err(failure)
                };
                known.look(file, read, "nobody has a role by [roles] of ca.toml")
            }
            None => known.held(),
        };
        match found {
            Some(known) => look(known),
            None => look(&Known::nobody()),
        }
    }
}
