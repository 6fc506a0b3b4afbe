//! `[roles]` of a running service: as `ca.toml` has them at each moment.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use certadm_auth::TicketHolder;
use certadm_ca::{Config, RolesConfig};
use certadm_rules::Diagnosis;
use certadm_rules::flags::Roles;

use crate::accounts::{Stamp, stamp_of};
use crate::error::StartError;
use crate::roles::local_roles;
use crate::ticket_roles::TicketRoles;

/// The roles of local callers and of those with tickets. The file is read again whenever it has changed, so that a role that is
/// taken away is gone at the next call, as it is with `users.toml`.
#[derive(Debug)]
pub(crate) struct Granted {
    /// `ca.toml`; none where the roles stay as they are.
    file: Option<PathBuf>,
    /// Whether names count that come without a PAC.
    without_pac: bool,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    stamp: Option<Stamp>,
    config: RolesConfig,
    tickets: TicketRoles,
}

impl Known {
    fn new(stamp: Option<Stamp>, config: RolesConfig, without_pac: bool) -> Result<Self, StartError> {
        let tickets = TicketRoles::from_config(&config, without_pac)?;
        Ok(Self { stamp, config, tickets })
    }

    /// Of a file that cannot be used: the error goes into the log.
    fn nobody(stamp: Option<Stamp>, error: &dyn Diagnosis) -> Self {
        let code = error.hresult();
        tracing::error!(%error, %code, remedy = %error.remedy(), "nobody has a role by [roles] of ca.toml");
        Self { stamp, config: RolesConfig::nobody(), tickets: TicketRoles::default() }
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
        Ok(Self { file, without_pac, known: Mutex::new(Known::new(None, config, without_pac)?) })
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
        if let Some(file) = &self.file {
            let stamp = stamp_of(file);
            if stamp.is_none() || stamp != known.stamp {
                *known = match Config::load(file) {
                    Ok(config) => {
                        let made = Known::new(stamp, config.roles, self.without_pac);
                        made.unwrap_or_else(|error| Known::nobody(stamp, &error))
                    }
                    Err(error) => Known::nobody(stamp, &error),
                };
            }
        }
        look(&known)
    }
}
