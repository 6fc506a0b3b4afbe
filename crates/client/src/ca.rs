//! One CA over the network: its administration object, and the calls on it (wire.md 5).

use std::sync::Arc;

use certadm_rules::diagnosis::chain_of;
use certadm_rules::finding::Finding;
use certadm_rules::flags::{Control, DEFAULT_READ_BUFFER, MIN_READ_BUFFER, Origin};
use certadm_rules::{BackupType, Hresult, PlainList, TaggedList};
use certadm_wire::csra::{Request, Response};
use certadm_wire::dcom::{ComVersion, Ipid, OrpcThat, StdObjRef};
use certadm_wire::ndr::{ByteOrder, Reader, Writer};

use crate::connection::{Connection, Interface};
use crate::credentials::Credentials;
use crate::delivered::Delivered;
use crate::dial::{Activated, Exported, Login};
use crate::error::Error;
use crate::logon::{Logon, Taken};
use crate::orpc::{object_of, orpc_stub, release};
use crate::outlet::Ready;
use crate::ping::Pinger;
use crate::reading::{PAGE, READ, Reading};
use crate::target::{Endpoint, Target};

/// What servers answer to a read that is too large for them: RPC_X_BAD_STUB_DATA, RPC_S_INVALID_BOUND, an invalid argument or buffer
/// size (-1047); and to one for which memory is short: RPC_S_SERVER_OUT_OF_MEMORY, ERROR_NOT_ENOUGH_MEMORY, E_OUTOFMEMORY, and
/// -1011 and -1069 of the engine (certbcli.md 14.2).
const TOO_LARGE: [Hresult; 9] = [
    Hresult::from_win32(0x6F7),
    Hresult::from_win32(0x6C6),
    Hresult::E_INVALIDARG,
    Hresult::from_jet(1047),
    Hresult::from_win32(0x46A),
    Hresult::from_win32(8),
    Hresult::E_OUTOFMEMORY,
    Hresult::from_jet(1011),
    Hresult::from_jet(1069),
];

/// The administration object of a CA: one backup at a time, as [`certadm_session::Source`].
///
/// Dropping it gives its reference back; a backup that still runs ends then, at the CA, as aborted.
#[derive(Debug)]
pub struct RemoteCa {
    pub(crate) connection: Connection,
    pub(crate) reading: Reading,
    pub(crate) delivered: Delivered,
    /// A backup was prepared and not ended.
    pub(crate) in_backup: bool,
    interface: Interface,
    object: StdObjRef,
    rem_unknown: Ipid,
    version: ComVersion,
    authority: Option<String>,
    origin: Origin,
    /// How it is authenticated; none over a socket.
    logon: Option<Arc<Logon>>,
    /// Pings while the object lives; none where it does not want any.
    _pinger: Option<Pinger>,
}

impl RemoteCa {
    /// Dials, authenticates at packet privacy, and activates the CA's administration object. `credentials` are needed
    /// over the network, and of no use on a socket of this machine.
    ///
    /// # Errors
    /// [`Error`]: its code is one of certbcli.md 14.3, and [`Diagnosis`](certadm_rules::Diagnosis) says what
    /// to do.
    pub fn connect(target: Target, credentials: Option<Credentials>) -> Result<Self, Error> {
        let login = Login::new(target, credentials)?;
        let activated = login.activate()?;
        Self::open(login, activated)
    }

    /// The mechanism that the connection is authenticated by, "Kerberos" or "NTLM"; none over a socket of this machine, whose
    /// peer the system vouches for.
    #[must_use]
    pub fn mechanism(&self) -> Option<&'static str> {
        self.logon.as_ref().and_then(|logon| logon.taken()).map(Taken::name)
    }

    /// What is to be said of the logon, although it succeeded: that NTLM took the place of Kerberos, and that clocks differ.
    /// Connections are made while an object is used, so ask at the end.
    #[must_use]
    pub fn logon_findings(&self) -> Vec<Finding> {
        self.logon.as_ref().map(|logon| logon.findings()).unwrap_or_default()
    }

    /// Connects to the exporter of an object that was activated.
    pub(crate) fn open(login: Login, activated: Activated) -> Result<Self, Error> {
        let (rem_unknown, version) = (activated.exporter.rem_unknown, activated.exporter.version.common());
        let Exported { connection, interface, object } = login.exporter(activated)?;
        let over_network = matches!(login.target.endpoint, Endpoint::Tcp { .. });
        let authority = login.target.authority.clone();
        let server = login.target.endpoint.to_string();
        let logon = login.logon.clone();
        let pinger = if over_network && object.wants_pings() {
            let period = login.target.timeouts.ping;
            Some(Pinger::start(login, object.oid, period)?)
        } else {
            None
        };
        Ok(Self {
            connection,
            reading: Reading::new(server, DEFAULT_READ_BUFFER),
            delivered: Delivered::default(),
            in_backup: false,
            interface,
            object,
            rem_unknown,
            version,
            authority,
            origin: if over_network { Origin::Remote } else { Origin::Local },
            logon,
            _pinger: pinger,
        })
    }

    /// Where this program is, as the CA's interface flags see it.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// The name of the interface that the CA serves: `ICertAdminD2`, or the older `ICertAdminD`.
    #[must_use]
    pub const fn interface(&self) -> &'static str {
        self.interface.name
    }

    /// Which methods the CA's interface has.
    pub(crate) fn method_table(&self) -> certadm_wire::csra::Interface {
        use certadm_wire::csra::Interface as Table;
        if self.interface == Interface::CERT_ADMIN_2 { Table::CertAdmin2 } else { Table::CertAdmin }
    }

    /// The CA's name for calls that carry one.
    pub(crate) fn authority(&self) -> Option<String> {
        self.authority.clone()
    }

    /// GetServerState (wire.md 5.7): whether the CA serves requests and this caller may read it.
    ///
    /// # Errors
    /// [`Error`].
    pub fn server_state(&mut self) -> Result<bool, Error> {
        const CALL: &str = "GetServerState";
        self.invoke(&Request::GetServerState { authority: self.authority() }, CALL, |response| match response
        {
            Response::State { state, .. } => Some(state == 1),
            _ => None,
        })
    }

    /// Ping (wire.md 5.7), which needs the administrator's role: a refusal means nothing for backups.
    ///
    /// # Errors
    /// [`Error`].
    pub fn ping(&mut self) -> Result<(), Error> {
        self.invoke_plain(&Request::Ping { authority: self.authority() }, "Ping")
    }

    /// ServerControl (wire.md 5.7). [`Control::Shutdown`] stops the CA.
    ///
    /// # Errors
    /// [`Error`].
    pub fn control(&mut self, control: Control) -> Result<(), Error> {
        let flags = match control {
            Control::Shutdown => certadm_rules::flags::CSCONTROL_SHUTDOWN,
            Control::Suspend => certadm_rules::flags::CSCONTROL_SUSPEND,
            Control::Restart => certadm_rules::flags::CSCONTROL_RESTART,
        };
        let request = Request::ServerControl { authority: self.authority(), flags };
        self.invoke(&request, "ServerControl", |response| match response {
            Response::Control { .. } => Some(()),
            _ => None,
        })
    }

    /// BackupPrepare with the flags of the wire: `grbitJet` 1 for logs only, `dwBackupFlags` always 0 (certbcli.md D1).
    pub(crate) fn backup_prepare(&mut self, kind: BackupType) -> Result<(), Error> {
        let request = Request::BackupPrepare {
            authority: self.authority(),
            grbit_jet: kind.wire_grbit(),
            backup_flags: 0,
        };
        self.invoke_plain(&request, "BackupPrepare")?;
        self.in_backup = true;
        self.delivered = Delivered::default();
        Ok(())
    }

    /// A call that answers a list of tagged names.
    pub(crate) fn tagged_list(&mut self, request: &Request, call: &'static str) -> Result<TaggedList, Error> {
        let units = self.units(request, call)?;
        TaggedList::decode_wire(&units).map_err(|error| Error::BadAnswer { call, detail: error.to_string() })
    }

    /// A call that answers a list of plain names.
    pub(crate) fn plain_list(&mut self, request: &Request, call: &'static str) -> Result<PlainList, Error> {
        let units = self.units(request, call)?;
        PlainList::decode_wire(&units).map_err(|error| Error::BadAnswer { call, detail: error.to_string() })
    }

    fn units(&mut self, request: &Request, call: &'static str) -> Result<Vec<u16>, Error> {
        self.invoke(request, call, |response| match response {
            Response::List { units, .. } => Some(units),
            _ => None,
        })
    }

    /// BackupOpenFile: the announced length in bytes.
    pub(crate) fn backup_open(&mut self, path: &str) -> Result<u64, Error> {
        let request = Request::BackupOpenFile { path: Some(path.to_owned()) };
        self.invoke(&request, "BackupOpenFile", |response| match response {
            Response::Length { length, .. } => Some(length),
            _ => None,
        })
    }

    /// A call that answers its code alone.
    pub(crate) fn invoke_plain(&mut self, request: &Request, call: &'static str) -> Result<(), Error> {
        self.invoke(request, call, |response| match response {
            Response::Code(_) => Some(()),
            _ => None,
        })
    }

    fn invoke<T>(
        &mut self,
        request: &Request,
        call: &'static str,
        take: impl FnOnce(Response<'_>) -> Option<T>,
    ) -> Result<T, Error> {
        let ready = self.ready(request)?;
        let stub = self.exchange(&ready, call)?;
        decode(request, &stub, call, take)
    }

    /// Sends a request and waits for the stub of its answer.
    pub(crate) fn exchange(&mut self, ready: &Ready, call: &'static str) -> Result<Vec<u8>, Error> {
        self.connection.call(ready, call).map_err(|error| self.lost(error))
    }

    /// The same for an answer with a value of up to `most` bytes.
    pub(crate) fn exchange_up_to(
        &mut self,
        most: usize,
        ready: &Ready,
        call: &'static str,
    ) -> Result<Vec<u8>, Error> {
        self.connection.call_up_to(most, ready, call).map_err(|error| self.lost(error))
    }

    /// A request to the CA's object, ready to be sent.
    pub(crate) fn ready(&self, request: &Request) -> Result<Ready, Error> {
        self.ready_stub(request.opnum(), |writer| request.write(writer))
    }

    /// A request to the CA's object whose parameters `write` writes.
    pub(crate) fn ready_stub(&self, opnum: u16, write: impl FnOnce(&mut Writer)) -> Result<Ready, Error> {
        let mut writer = orpc_stub(self.version)?;
        write(&mut writer);
        Ok(Ready {
            interface: self.interface.syntax(),
            opnum,
            object: object_of(self.object.ipid),
            stub: writer.into_bytes(),
        })
    }

    /// Fills `buffer` but at the end of the file.
    pub(crate) fn read_file(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut filled = self.reading.take_rest(buffer);
        while filled < buffer.len() && self.reading.remaining != Some(0) {
            let read = self.read_once(&mut buffer[filled..]);
            match read {
                Ok(0) => break,
                Ok(len) => filled += len,
                Err(error) => {
                    // The CA has closed a database, or given the backup up (certbcli.md 6.5).
                    self.reading.close();
                    return Err(error);
                }
            }
        }
        Ok(filled)
    }

    /// One read of the wire, into `buffer` and what is beyond it into the rest.
    fn read_once(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        if let Some(stub) = self.reading.used_up() {
            self.connection.recycle(stub);
        }
        loop {
            // Without an open file the CA has to answer for itself.
            let remaining = self.reading.remaining.unwrap_or(PAGE.into());
            let size = match self.reading.ahead.take() {
                Some(size) => size,
                None => {
                    // What may still be on its way was asked for by a read that has failed since.
                    self.connection.settle(READ).map_err(|error| self.lost(error))?;
                    self.reading.next_size(remaining)
                }
            };
            let request = Request::BackupReadFile { size };
            // What is left behind this one, if it delivers what it asks for.
            let after = remaining.saturating_sub(size.into());
            let next_size = self.reading.next_size(after);
            let may_go_ahead =
                after > 0 && self.reading.is_proven(next_size) && self.reading.remaining.is_some();
            let next = may_go_ahead.then(|| self.ready(&Request::BackupReadFile { size: next_size }));
            let next = next.transpose()?;
            let ready = self.ready(&request)?;
            let answer = self.connection.call_ahead(&ready, next, READ).map_err(|error| self.lost(error));
            self.reading.ahead = self.connection.is_ahead().then_some(next_size);
            let reading = &mut self.reading;
            let len = answer.and_then(|stub| {
                let accepted = decode(&request, &stub, READ, |response| match response {
                    Response::Data { data, .. } => {
                        // Where in the stub the bytes are that there is no room for.
                        let begin = data.as_ptr().addr() - stub.as_ptr().addr();
                        let end = begin + data.len();
                        Some(reading.accept(size, data, buffer).map(|len| (len, begin + len..end)))
                    }
                    _ => None,
                });
                match accepted.and_then(|accepted| accepted) {
                    Ok((len, rest)) if !rest.is_empty() => {
                        reading.keep(stub, rest);
                        Ok(len)
                    }
                    accepted => {
                        self.connection.recycle(stub);
                        accepted.map(|(len, _)| len)
                    }
                }
            });
            match len {
                Err(error) if self.may_be_too_large(&error, size) => {
                    self.reopen(error)?;
                    self.reading.halve(size);
                    tracing::debug!(
                        size = self.reading.size,
                        "the CA refuses so large a read; trying a smaller one"
                    );
                }
                len => return len,
            }
        }
    }

    /// Whether an error may mean that the server has a lower limit for reads than we asked for, or too little memory for so large a one.
    /// That can only be a read of more bytes than ever succeeded, and it is the first of its file.
    fn may_be_too_large(&self, error: &Error, size: u32) -> bool {
        let code = match error {
            Error::Fault { status, .. } => match status.client_code() {
                // Of the protocol, and without a Win32 error: its last digits mean something else.
                0x1_0000..0x8000_0000 => return false,
                code => Hresult::from_win32(code),
            },
            Error::Method { code, .. } => *code,
            _ => return false,
        };
        TOO_LARGE.contains(&code)
            && self.reading.untouched().is_some()
            && !self.reading.is_proven(size)
            && MIN_READ_BUFFER < size
    }

    /// Opens the file anew whose first read was refused: the CA has closed a database when it could not read it (certbcli.md 6.5), or
    /// stands behind what it read and could not send. Where that does not work, the refusal is what is told.
    fn reopen(&mut self, refused: Error) -> Result<(), Error> {
        let Some((name, length)) = self.reading.untouched() else { return Err(refused) };
        // One that is closed already cannot be closed.
        let closed = self.invoke_plain(&Request::BackupCloseFile, "BackupCloseFile");
        match self.backup_open(&name) {
            Ok(again) if again == length => Ok(()),
            opened => {
                tracing::debug!(?closed, ?opened, length, "the file of a refused read was not opened again");
                Err(refused)
            }
        }
    }

    /// In a backup a connection that is gone has taken the backup with it, whichever call notices (certbcli.md D30).
    pub(crate) fn lost(&self, error: Error) -> Error {
        match error {
            Error::NotSent { peer, during } if self.in_backup => Error::Lost { peer, during, source: None },
            error => error,
        }
    }

    /// Ends the backup that runs as aborted, by giving the object up: nothing can be called on it afterwards.
    pub(crate) fn abandon(&mut self) {
        self.let_go();
        self.connection.cut();
    }

    /// Gives the backup up as [`RemoteCa::abandon`] does. Where the CA does not take its object back, BackupEnd is sent, so that it does
    /// not count the backup as running until it misses this client; it may then count it as done.
    pub(crate) fn abandon_or_end(&mut self) {
        if !self.let_go() {
            match self.invoke_plain(&Request::BackupEnd, "BackupEnd") {
                Ok(()) => tracing::warn!(
                    remedy =
                        "take the next backup as a full one: the CA may count logs as backed up that are not",
                    "the CA did not take its object back, and counts the backup that was given up as complete"
                ),
                Err(error) => tracing::debug!(error = %chain_of(&error), "BackupEnd of a backup given up"),
            }
        }
        self.connection.cut();
    }

    /// Whether the CA took its object back.
    fn let_go(&mut self) -> bool {
        if self.connection.is_broken() {
            return false;
        }
        let released = self.release();
        if !matches!(released, Ok(true)) {
            let error = released.as_ref().err().map(|error| chain_of(error).to_string());
            tracing::debug!(error, "the CA's object was not released");
        }
        matches!(released, Ok(true))
    }

    /// Gives the object's references back (wire.md 4.15). Whether the CA has taken them.
    fn release(&mut self) -> Result<bool, Error> {
        const CALL: &str = "RemRelease";
        self.connection.hurry();
        self.connection.add_interface(Interface::REM_UNKNOWN, CALL)?;
        release(&mut self.connection, (self.rem_unknown, self.version), &self.object)
    }
}

impl Drop for RemoteCa {
    fn drop(&mut self) {
        // What is not released the server forgets by itself, later.
        self.abandon();
    }
}

/// Takes the answer to `request` apart. Any code but 0 is a failure (wire.md 5.8).
fn decode<T>(
    request: &Request,
    stub: &[u8],
    call: &'static str,
    take: impl FnOnce(Response<'_>) -> Option<T>,
) -> Result<T, Error> {
    let mut reader = Reader::new(stub, ByteOrder::Little);
    let response = OrpcThat::read(&mut reader)
        .and_then(|_| Response::read(request, &mut reader))
        .map_err(|source| Error::answer(call, source))?;
    match response.code() {
        Hresult::S_OK => take(response)
            .ok_or_else(|| Error::BadAnswer { call, detail: "it is the answer to another call".to_owned() }),
        code => Err(Error::Method { call, code }),
    }
}
