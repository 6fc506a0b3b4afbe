//! Registering a restore on this machine (certbcli.md 6.13 to 6.18, 7.2), and the start that carries it out.

use std::path::Path;

use certadm_rules::registration::{self, Circumstances, Registration, Target};
use certadm_rules::unc::UncRoot;
use certadm_rules::{Hresult, RestoreType};
use certadm_store::locks::{self, Held};
use certadm_store::record::{self, Form};
use certadm_store::{Error, Folder, Options, Store};

use crate::events;

/// Opens the CA in `folder` as its owner: the start that carries a completed registration out. That is told in the log, as
/// audit records 4878 and 4879 if `audits`: bit 0x2 of the CA's audit filter.
///
/// # Errors
/// As [`Store::open`].
pub fn start(folder: &Folder, options: Options, audits: bool) -> Result<Store, Error> {
    let store = Store::open(folder, options)?;
    if let (Some(recovered), true) = (&store.opened().recovered, audits) {
        events::restored(recovered.low, recovered.high);
    }
    Ok(store)
}

/// An open restore context on the CA in one folder. From its first registration on it keeps the CA from starting, until
/// it is dropped; a registration that was not completed keeps it from starting beyond that.
///
/// A registration is completed before the next one begins, or it does not compile:
/// ```compile_fail,E0499
/// # use certadm_session::restore::RestoreContext;
/// # use certadm_rules::registration::Registration;
/// # fn wrong(context: &mut RestoreContext) -> Result<(), certadm_store::Error> {
/// let full = context.register(Registration::default())?;
/// let logs = context.register(Registration::default())?;
/// full.complete(certadm_rules::Hresult::S_OK)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RestoreContext {
    folder: Folder,
    names: UncRoot,
    restore_type: RestoreType,
    map_registered: bool,
    form: Form,
    owned: Option<Held>,
}

/// A registration that waits for the outcome of the copying.
#[derive(Debug)]
#[must_use = "a registration that is not completed keeps the CA from starting"]
pub struct Pending<'a> {
    context: &'a RestoreContext,
}

impl RestoreContext {
    /// RestorePrepare: makes no connection and touches no file.
    pub fn prepare(folder: Folder, names: UncRoot, restore_type: RestoreType) -> Self {
        Self { folder, names, restore_type, map_registered: false, form: Form::Record, owned: None }
    }

    /// From now on registrations go to the CA's folder for requests, where whoever may restore can write, and not to
    /// the record beside its configuration: RestoreRegisterThroughFile (certbcli.md 6.15, D17).
    pub const fn through_file(&mut self, through_file: bool) {
        self.form = if through_file { Form::Request } else { Form::Record };
    }

    /// Keeps the CA from starting from now on, as the first registration does.
    ///
    /// # Errors
    /// [`Error::Owned`] (0x80070420) while the CA runs, [`Error::File`].
    pub fn own(&mut self) -> Result<(), Error> {
        if self.owned.is_none() {
            self.owned = Some(locks::own(&self.folder)?);
        }
        Ok(())
    }

    /// Lets the CA start again as far as this context is concerned. A registration that is pending still keeps it from
    /// starting, and the next one needs the CA to be down again.
    pub fn release(&mut self) {
        self.owned = None;
    }

    /// RestoreRegister: records a restore to be carried out at the CA's next start.
    ///
    /// # Errors
    /// [`Error::Owned`] (0x80070420) while the CA runs, [`Error::Registration`] with the code of certbcli.md D16,
    /// [`Error::File`].
    pub fn register(&mut self, arguments: Registration) -> Result<Pending<'_>, Error> {
        self.own()?;
        let with_map = arguments.map.is_some();
        let (database, log) = (text(&self.folder.database_dir()), text(&self.folder.log_dir()));
        let circumstances = Circumstances {
            caller_allowed: true,
            target_is_local: true,
            ca_running: false,
            restore_type: self.restore_type,
            map_registered: self.map_registered,
            target: Target {
                names: &self.names,
                database_directory: &database,
                log_directory: &log,
                checkpoint_directory: &log,
            },
        };
        let existing = record::read(&self.folder)?;
        let record = registration::register(existing.as_ref(), arguments, &circumstances)
            .map_err(Error::Registration)?;
        if with_map {
            record::begin_as(&self.folder, self.form, &record)?;
        } else {
            record::register(&self.folder, self.form, &record)?;
        }
        self.map_registered |= with_map;
        Ok(Pending { context: self })
    }

    /// RestoreRegisterComplete for a caller that kept no [`Pending`]: the outcome of the copying for whatever
    /// registration of this CA is pending, in either form.
    ///
    /// # Errors
    /// [`Error::Registration`] with `E_UNEXPECTED` when none is pending (certbcli.md D16), [`Error::File`].
    pub fn complete(&self, outcome: Hresult) -> Result<(), Error> {
        complete(&self.folder, outcome)
    }

    /// Gives an earlier registration up that nobody completed, so that a new full one may replace it.
    ///
    /// # Errors
    /// As [`RestoreContext::register`].
    pub fn abandon_pending(&mut self) -> Result<(), Error> {
        self.own()?;
        match record::read(&self.folder)? {
            Some(record) if record.is_pending() => complete(&self.folder, Hresult::E_ABORT),
            _ => Ok(()),
        }
    }
}

impl Pending<'_> {
    /// The registration is completed later, through [`RestoreContext::complete`].
    pub fn complete_later(self) {}

    /// RestoreRegisterComplete: the outcome of the copying. With a failure the CA does not start until a new full
    /// registration succeeds.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Registration`].
    pub fn complete(self, outcome: Hresult) -> Result<(), Error> {
        complete(&self.context.folder, outcome)
    }
}

fn complete(folder: &Folder, outcome: Hresult) -> Result<(), Error> {
    let record = record::read(folder)?;
    let completed = registration::complete(record.as_ref(), outcome).map_err(Error::Registration)?;
    record::register(folder, record::form(folder), &completed)
}

/// An absolute path as text; the record holds text.
fn text(path: &Path) -> String {
    certadm_files::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}
