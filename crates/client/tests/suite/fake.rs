//! A CA in memory behind the test server: its files, and the order of calls as the specification's table has it. A hook
//! may replace any answer.

use std::sync::{Arc, Mutex};

use certadm_rules::sequence::{FileRef, LogsRequest};
use certadm_rules::{BackupType, Entry, Hresult, Sequence, Tag, TaggedList};
use certadm_wire::csra::{
    CaInfo, Interface, Method, OtherCall, OtherOut, OtherRequest, OtherResponse, PropertyValue, Request,
    RequestError, Response, Variant, encode_numbers,
};
use certadm_wire::ndr::{Reader, Writer};

use crate::server::{Reply, Script};

pub(crate) const DATABASE: &str = "\\\\ca1\\c$\\CertLog\\Example CA.edb";
pub(crate) const CA_NAME: &str = "Example CA";
pub(crate) const LAST_FULL: i64 = 0x01DC_5F00_1234_5678;
pub(crate) const LOGS: &str = "\\\\ca1\\c$\\CertLog";

/// What a CA holds; shared by all its objects.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) database: Arc<Vec<u8>>,
    pub(crate) logs: Arc<Vec<(String, Vec<u8>)>>,
}

impl Files {
    pub(crate) fn new(database: usize) -> Self {
        let log = |number: usize, len: usize| {
            (format!("{LOGS}\\edb{number:05x}.log"), pattern(len, u8::try_from(number).unwrap()))
        };
        Self {
            database: Arc::new(pattern(database, 7)),
            logs: Arc::new(vec![log(1, 70_000), log(2, 4096), log(3, 0), log(0x1f, 1)]),
        }
    }
}

pub(crate) fn pattern(len: usize, seed: u8) -> Vec<u8> {
    // The row's number and the place in it, so that a block that is lost or doubled shows.
    (0..len).map(|place| (place / 251).to_le_bytes()[0] ^ (place % 251).to_le_bytes()[0] ^ seed).collect()
}

/// Replaces the answer to a request.
pub(crate) type Hook = Arc<dyn Fn(&Request) -> Option<Reply> + Send + Sync>;

/// One object of the CA.
pub(crate) struct FakeCa {
    files: Files,
    hook: Hook,
    sequence: Sequence,
    open: Option<(FileRef, usize)>,
    calls: Calls,
}

/// Every call of every object, in order.
pub(crate) type Calls = Arc<Mutex<Vec<Request>>>;

impl FakeCa {
    pub(crate) fn new(files: Files, calls: Calls) -> Self {
        Self::hooked(files, calls, Arc::new(|_| None))
    }

    pub(crate) fn hooked(files: Files, calls: Calls, hook: Hook) -> Self {
        Self { files, hook, sequence: Sequence::new(), open: None, calls }
    }

    fn content(&self, file: FileRef) -> &[u8] {
        match file {
            FileRef::Database(_) => &self.files.database,
            FileRef::Log(place) => &self.files.logs[place].1,
        }
    }

    fn process(&mut self, request: &Request) -> Result<Vec<u8>, Hresult> {
        let response = match request {
            Request::GetServerState { .. } => Response::State { state: 1, code: Hresult::S_OK },
            Request::BackupPrepare { grbit_jet, backup_flags, .. } => {
                assert_eq!(*backup_flags, 0);
                self.sequence.check_prepare()?;
                self.sequence.prepared(BackupType::from_wire(*grbit_jet)?, vec![DATABASE.to_owned()])?;
                Response::Code(Hresult::S_OK)
            }
            Request::BackupGetAttachmentInformation => {
                let names = self.sequence.database_names()?.to_vec();
                list(&names, Tag::Database)
            }
            Request::BackupGetBackupLogs => {
                let names: Vec<String> = self.files.logs.iter().map(|(name, _)| name.clone()).collect();
                if let LogsRequest::Repeat(_) = self.sequence.check_backup_logs()? {
                    list(&names, Tag::Log)
                } else {
                    self.sequence.logs_listed(names.clone())?;
                    list(&names, Tag::Log)
                }
            }
            Request::RestoreGetDatabaseLocations => {
                let entry = |tag, path: &str| Entry::new(tag, path).unwrap();
                let list = TaggedList::new(vec![
                    entry(Tag::Database, DATABASE),
                    entry(Tag::LogDirectory, LOGS),
                    entry(Tag::CheckpointDirectory, LOGS),
                ]);
                Response::List { units: list.to_units(), code: Hresult::S_OK }
            }
            Request::BackupGetDynamicFiles => Response::List { units: Vec::new(), code: Hresult::S_OK },
            Request::BackupOpenFile { path } => {
                let file = self.sequence.check_open(path.as_deref())?;
                let length = self.content(file).len() as u64;
                self.sequence.opened(file, length)?;
                self.open = Some((file, 0));
                Response::Length { length, code: Hresult::S_OK }
            }
            Request::BackupReadFile { size } => {
                self.sequence.check_read()?;
                let (file, position) = self.open.unwrap();
                let content = self.content(file);
                let end = content.len().min(position + *size as usize);
                let data = content[position..end].to_vec();
                self.sequence.delivered(data.len() as u64)?;
                self.open = Some((file, end));
                return Ok(encode(&Response::Data { size: *size, data: &data, code: Hresult::S_OK }));
            }
            Request::BackupCloseFile => {
                self.sequence.close()?;
                Response::Code(Hresult::S_OK)
            }
            Request::BackupTruncateLogs => {
                self.sequence.check_truncate()?;
                self.sequence.truncated()?;
                Response::Code(Hresult::S_OK)
            }
            Request::BackupEnd => Response::Code(self.sequence.end()?.result),
            _ => return Err(Hresult::E_NOTIMPL),
        };
        Ok(encode(&response))
    }
}

impl Script for FakeCa {
    fn answer(&mut self, opnum: u16, parameters: &mut Reader<'_>) -> Reply {
        let request = match Request::read(Interface::CertAdmin2, opnum, parameters) {
            Ok(request) => request,
            Err(RequestError::NotBackup { method }) => {
                return Reply::Stub(answer_as_windows(method, parameters));
            }
            Err(error) => return Reply::Fault(error.fault().unwrap()),
        };
        self.calls.lock().unwrap().push(request.clone());
        if let Some(reply) = (self.hook)(&request) {
            return reply;
        }
        let answer = self.process(&request);
        Reply::Stub(answer.unwrap_or_else(|code| encode(&Response::failure(&request, code))))
    }
}

/// What a Windows CA answers beside the backup, by the document: names select as the table of wire.md 5.12 says, and
/// properties are structures and arrays.
fn answer_as_windows(method: Method, parameters: &mut Reader<'_>) -> Vec<u8> {
    let mut writer = Writer::new();
    let request = OtherRequest::read(Interface::CertAdmin2, method.opnum(), parameters).unwrap();
    let authority = request.authority.as_deref().unwrap_or_default();
    let blob = match &request.call {
        OtherCall::GetCaProperty { property, index: 0, kind } => match (*property, *kind) {
            (6, 4) => PropertyValue::Text(CA_NAME.to_owned()).encode(),
            (10, 1) => {
                CaInfo { ca_type: 1, certificates: 3, recovery_agents: 2, ..CaInfo::default() }.encode()
            }
            (19, 1) => vec![4, 2, 3],
            (20, 1) => vec![3, 1, 3],
            (27, 1) => vec![3, 3],
            (39, 1) => encode_numbers(&[0, 0x0000_0001, 0x0002_0002]),
            _ => Vec::new(),
        },
        OtherCall::GetCaProperty { property: 12, index: -1, kind: 3 } => b"certificate".to_vec(),
        OtherCall::GetCaProperty { property: 17, index: -1, kind: 3 } => b"crl".to_vec(),
        // CRLs of so many MiB.
        OtherCall::GetCaProperty { property: 17, index, kind: 3 } if *index > 0 => {
            vec![0x30; usize::try_from(*index).unwrap() << 20]
        }
        _ => Vec::new(),
    };
    let (out, code) = match &request.call {
        OtherCall::GetCaProperty { .. } if !blob.is_empty() => (OtherOut::Blob(&blob), Hresult::S_OK),
        OtherCall::GetConfigEntry { node: Some(node), entry }
            if node.is_empty() && authority == CA_NAME && entry == "InterfaceFlags" =>
        {
            (OtherOut::Variant(Variant::Long(0x641)), Hresult::S_OK)
        }
        // Moments stand above the keys of all CAs.
        OtherCall::GetConfigEntry { node: Some(node), entry }
            if node.is_empty() && authority.is_empty() && entry == "DBLastFullBackup" =>
        {
            (OtherOut::Variant(Variant::Bytes(LAST_FULL.to_le_bytes().to_vec())), Hresult::S_OK)
        }
        OtherCall::GetConfigEntry { node: None, .. } | OtherCall::GetCaProperty { .. } => {
            method.write_failure(Hresult::E_INVALIDARG, &mut writer);
            return writer.into_bytes();
        }
        OtherCall::GetConfigEntry { .. } => {
            method.write_failure(Hresult::ERROR_FILE_NOT_FOUND, &mut writer);
            return writer.into_bytes();
        }
        _ => {
            method.write_failure(Hresult::E_NOTIMPL, &mut writer);
            return writer.into_bytes();
        }
    };
    OtherResponse { out, code }.write(&mut writer);
    writer.into_bytes()
}

fn list(names: &[String], tag: Tag) -> Response<'static> {
    let entries = names.iter().map(|name| Entry::new(tag, name.clone()).unwrap());
    Response::List { units: entries.collect::<TaggedList>().to_units(), code: Hresult::S_OK }
}

/// The stub of an answer after ORPCTHAT. Alignment counts from ORPCTHAT, whose eight bytes change nothing.
pub(crate) fn encode(response: &Response<'_>) -> Vec<u8> {
    let mut writer = Writer::new();
    response.write(&mut writer);
    writer.into_bytes()
}
