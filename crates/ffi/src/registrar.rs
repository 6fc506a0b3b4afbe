//! Where a restore is registered on this machine: the folder of a CA of ours, on Windows too (certbcli.md D16 to D21). What a
//! Windows CA reads from its registry at a restart is not published in enough detail to be written there (9.3).

use certadm_client::config::ca_name_in;
use certadm_client::{Config, own_host_name};
use certadm_rules::names::names_ca;
use certadm_rules::registration::Registration;
use certadm_rules::unc::UncRoot;
use certadm_rules::{Hresult, RestoreType};
use certadm_session::restore::RestoreContext;
use certadm_store::{Error, Folder};

use crate::log;

/// The two ways to register (certbcli.md 6.14, 6.15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// RestoreRegister: the record itself.
    Record,
    /// RestoreRegisterThroughFile: a request that the service takes over at its start.
    File,
}

/// Registers restores of one context.
#[derive(Debug)]
pub(crate) struct Registrar {
    restore_type: RestoreType,
    /// The CA that was named, if one was.
    ca: Option<String>,
    /// From the first registration on, so that a second map in the same context is noticed.
    context: Option<RestoreContext>,
}

impl Registrar {
    /// A registrar that has registered nothing yet. Touches nothing.
    pub(crate) const fn new(restore_type: RestoreType, ca: Option<String>) -> Self {
        Self { restore_type, ca, context: None }
    }

    /// Records a restore to be carried out at the CA's next start. The CA is kept down only while this runs, and from
    /// then on by the pending registration itself.
    ///
    /// # Errors
    /// 0x80070424 when no CA is known here, `E_INVALIDARG` when it is not the one that was named, else those of D16 in their order.
    pub(crate) fn record(&mut self, form: Form, arguments: Registration) -> Result<(), Hresult> {
        let context = match &mut self.context {
            Some(context) => context,
            None => self.context.insert(context(self.restore_type, self.ca.as_deref())?),
        };
        context.through_file(form == Form::File);
        let registered = context.register(arguments).map(drop).map_err(|error| code(&error));
        context.release();
        registered
    }

    /// The outcome of the copying, for whatever registration is pending here.
    ///
    /// # Errors
    /// `E_UNEXPECTED` when none is, 0x80070424 when no CA is known here, `E_INVALIDARG` when it is not the one that was named.
    pub(crate) fn complete(&self, outcome: Hresult) -> Result<(), Hresult> {
        context(self.restore_type, self.ca.as_deref())?.complete(outcome).map_err(|error| code(&error))
    }
}

/// A context on the CA that the configuration knows. Of another CA than the one that was named it is none: its service would
/// not start before a restore that is not meant for it. A lost CA, whose `ca.toml` is gone, tells no name.
fn context(restore_type: RestoreType, ca: Option<&str>) -> Result<RestoreContext, Hresult> {
    let config = Config::load().map_err(|error| log::why(&error))?;
    let folder = config.ca_dir().filter(|folder| folder.is_dir()).ok_or_else(|| {
        tracing::warn!(
            remedy = "name the CA's folder as ca_dir in client.toml",
            "no folder of a CA is known on this machine"
        );
        Hresult::ERROR_SERVICE_DOES_NOT_EXIST
    })?;
    if let Some(own) = ca_name_in(&folder)
        && !names_ca(ca, &own)
    {
        let given = ca.unwrap_or_default();
        tracing::warn!(
            remedy =
                "name the CA of that folder, or none; or name the other CA's folder as ca_dir in client.toml",
            "a restore is meant for {given:?}, and {} holds {own:?}",
            folder.display()
        );
        return Err(Hresult::E_INVALIDARG);
    }
    let names = UncRoot::of_this_system(own_host_name()).and_then(|names| names.accepting("localhost"));
    Ok(RestoreContext::prepare(Folder::new(folder), names.map_err(|error| error.hresult())?, restore_type))
}

fn code(error: &Error) -> Hresult {
    log::why(error)
}
