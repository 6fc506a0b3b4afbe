//! A server that means harm: names that lead elsewhere, sizes that lie, answers that do not decode. Nothing is written
//! outside the set's folder, no set comes to be, and the error says whose fault it is.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use certadm_client::RemoteCa;
use certadm_rules::{BackupType, Diagnosis, Hresult};
use certadm_session::Source;
use certadm_set::{Error, Silent, TakeOptions, take};
use certadm_wire::csra::{Request, Response};
use certadm_wire::ndr::Writer;

use crate::fake::{Calls, DATABASE, FakeCa, Files, Hook, encode};
use crate::server::{Manners, Reply, Server, credentials};

/// Takes a backup of a CA whose answers `hook` replaces, which has to fail and to leave nothing behind.
fn refused(manners: Manners, hook: Hook) -> Error {
    refused_within(Duration::from_secs(60), manners, hook)
}

/// The same with a client that waits so long for an answer.
fn refused_within(patience: Duration, manners: Manners, hook: Hook) -> Error {
    let files = Files::new(20_000);
    let server =
        Server::start(manners, move || FakeCa::hooked(files.clone(), Calls::default(), Arc::clone(&hook)));
    let work = tempfile::tempdir().unwrap();
    let inside = work.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    let mut target = server.target();
    target.timeouts.call = patience;
    let mut ca = RemoteCa::connect(target, Some(credentials())).unwrap();
    let options = TakeOptions::new(BackupType::Full);
    let error = take(&mut ca, &inside.join("set"), &options, &mut Silent).unwrap_err();
    assert_eq!(names_below(work.path()), ["inside"], "{error}");
    assert!(!error.remedy().is_empty());
    error
}

fn names_below(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        names.push(entry.file_name().into_string().unwrap());
        if entry.path().is_dir() {
            names.extend(names_below(&entry.path()));
        }
    }
    names
}

/// A list of one entry, made of raw units.
fn list(tag: char, name: &str) -> Vec<u8> {
    let units: Vec<u16> = format!("{tag}{name}\0\0").encode_utf16().collect();
    encode(&Response::List { units, code: Hresult::S_OK })
}

#[test]
fn names_that_lead_elsewhere() {
    let long = "a".repeat(32_000);
    let deep = format!("\\\\ca1\\c$\\{}", "..\\".repeat(5_000));
    let names = [
        "\\\\ca1\\c$\\..",
        "\\\\ca1\\c$\\.",
        "\\\\ca1\\c$\\",
        "\\\\ca1\\c$\\../../escaped",
        "/etc/escaped",
        "..",
        "../escaped",
        "C:escaped",
        "\\\\ca1\\c$\\x:stream",
        "\\\\.\\NUL",
        "\\\\ca1\\c$\\con.edb",
        "\\\\ca1\\c$\\certbkxp.dat",
        "\\\\ca1\\c$\\edb00001.log",
        "\\\\ca1\\c$\\bell\u{7}.edb",
        &long,
        &deep,
    ];
    for name in names {
        for logs in [false, true] {
            // A log's name is never used, only the generation in it: what is no log name is refused all the same.
            if logs && name.ends_with("edb00001.log") {
                continue;
            }
            let name = name.to_owned();
            let hook: Hook = Arc::new(move |request| match request {
                Request::BackupGetAttachmentInformation if !logs => Some(Reply::Stub(list('D', &name))),
                Request::BackupGetBackupLogs if logs => Some(Reply::Stub(list('!', &name))),
                // It opens whatever it is asked for.
                Request::BackupOpenFile { path: Some(path) } if path != DATABASE => {
                    Some(Reply::Stub(encode(&Response::Length { length: 5, code: Hresult::S_OK })))
                }
                _ => None,
            });
            let error = refused(Manners::default(), hook);
            assert_eq!(error.hresult(), Hresult::ERROR_INVALID_DATA, "{error}");
        }
    }
}

#[test]
fn a_name_with_a_nul_is_two_names_and_both_are_judged() {
    let hook: Hook = Arc::new(|request| match request {
        Request::BackupGetAttachmentInformation => Some(Reply::Stub(list('D', "\\\\ca1\\ok.edb\0D..\\.."))),
        Request::BackupOpenFile { .. } => {
            Some(Reply::Stub(encode(&Response::Length { length: 0, code: Hresult::S_OK })))
        }
        Request::BackupCloseFile => Some(Reply::Stub(encode(&Response::Code(Hresult::S_OK)))),
        _ => None,
    });
    assert_eq!(refused(Manners::default(), hook).hresult(), Hresult::ERROR_INVALID_DATA);
}

#[test]
fn sizes_that_lie() {
    let announce = |length: u64, data: usize| -> Hook {
        Arc::new(move |request| match request {
            Request::BackupOpenFile { .. } => {
                Some(Reply::Stub(encode(&Response::Length { length, code: Hresult::S_OK })))
            }
            Request::BackupReadFile { size } => {
                let data = vec![1; data.min(*size as usize)];
                Some(Reply::Stub(encode(&Response::Data { size: *size, data: &data, code: Hresult::S_OK })))
            }
            Request::BackupCloseFile => Some(Reply::Stub(encode(&Response::Code(Hresult::S_OK)))),
            _ => None,
        })
    };
    // More than announced, less than announced, nothing of what was announced.
    for (length, data) in [(10, 4096), (4095, 4096), (1_000_000, 0)] {
        let error = refused(Manners::default(), announce(length, data));
        assert_eq!(error.hresult(), Hresult::ERROR_INVALID_DATA, "{length} {data}: {error}");
    }
    // More than any disk has.
    for length in [u64::MAX, 1 << 50] {
        let error = refused(Manners::default(), announce(length, 4096));
        assert_eq!(error.hresult(), Hresult::ERROR_DISK_FULL, "{length}: {error}");
    }
}

/// A byte now and then is no answer: neither in a list nor in a file.
#[test]
fn answers_that_trickle() {
    for file in [false, true] {
        let hook: Hook = Arc::new(move |request| match request {
            Request::BackupGetAttachmentInformation if !file => Some(Reply::Trickle),
            Request::BackupReadFile { .. } if file => Some(Reply::Trickle),
            _ => None,
        });
        let error = refused_within(Duration::from_secs(3), Manners::default(), hook);
        assert_eq!(error.hresult(), Hresult::RPC_S_CALL_FAILED, "{error}");
        assert!(error.to_string().contains("did not answer"), "{error}");
    }
}

#[test]
fn a_file_that_ends_early_after_many_reads() {
    let reads = std::sync::atomic::AtomicUsize::new(0);
    let hook: Hook = Arc::new(move |request| match request {
        Request::BackupOpenFile { .. } => {
            Some(Reply::Stub(encode(&Response::Length { length: 64 << 20, code: Hresult::S_OK })))
        }
        Request::BackupReadFile { size } => {
            let nth = reads.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let data = vec![1; if nth < 8 { *size as usize } else { 0 }];
            Some(Reply::Stub(encode(&Response::Data { size: *size, data: &data, code: Hresult::S_OK })))
        }
        _ => None,
    });
    assert_eq!(refused(Manners::default(), hook).hresult(), Hresult::ERROR_INVALID_DATA);
}

#[test]
fn read_answers_that_contradict_themselves() {
    let stub = |max: u32, bytes: u32, read: u32| {
        move |_: u32| {
            let mut writer = Writer::new();
            writer.u32(max).zeros(bytes as usize).u32(read).u32(0);
            Reply::Stub(writer.into_bytes())
        }
    };
    let answers: [Box<dyn Fn(u32) -> Reply + Send + Sync>; 6] = [
        Box::new(|size| {
            let mut writer = Writer::new();
            writer.u32(size).zeros(size as usize).u32(size + 1).u32(0); // pcbRead > cbBuffer
            Reply::Stub(writer.into_bytes())
        }),
        Box::new(|size| {
            let mut writer = Writer::new();
            writer.u32(size).zeros(size as usize).u32(u32::MAX).u32(0);
            Reply::Stub(writer.into_bytes())
        }),
        Box::new(stub(u32::MAX, 100, 100)),
        Box::new(stub(4096, 4096, 4096)),
        Box::new(stub(0, 0, 0)),
        Box::new(|_| Reply::Stub(Vec::new())),
    ];
    for answer in answers {
        let hook: Hook = Arc::new(move |request| match request {
            Request::BackupReadFile { size } => Some(answer(*size)),
            _ => None,
        });
        let error = refused(Manners::default(), hook);
        assert_eq!(error.hresult(), Hresult::RPC_X_BAD_STUB_DATA, "{error}");
    }
}

#[test]
fn a_list_that_is_too_long_or_miscounted() {
    let answers: [Arc<dyn Fn() -> Vec<u8> + Send + Sync>; 4] = [
        Arc::new(|| encode(&Response::List { units: vec![0x44; 0x0110_0000], code: Hresult::S_OK })),
        Arc::new(|| {
            let mut writer = Writer::new();
            writer.referent().u32(u32::MAX).zeros(64).u32(u32::MAX).u32(0);
            writer.into_bytes()
        }),
        Arc::new(|| {
            let mut writer = Writer::new();
            writer.referent().conformant_units(&[0x44, 0x41, 0, 0]).u32(5).u32(0);
            writer.into_bytes()
        }),
        Arc::new(|| vec![0; 40 * 1024 * 1024]),
    ];
    for answer in answers {
        let hook: Hook = Arc::new(move |request| match request {
            Request::BackupGetAttachmentInformation => Some(Reply::Stub(answer())),
            _ => None,
        });
        let code = refused(Manners::default(), hook).hresult();
        assert!(code.is_failure(), "{code}");
    }
}

/// A list of nothing but tags without paths, half characters, and other rubbish.
#[test]
fn lists_of_rubbish() {
    for units in [&[0xD800, 0x41, 0, 0][..], &[0x44, 0, 0], &[0x44, 0xDC00, 0, 0]] {
        let units = units.to_vec();
        let hook: Hook = Arc::new(move |request| match request {
            Request::BackupGetBackupLogs => {
                Some(Reply::Stub(encode(&Response::List { units: units.clone(), code: Hresult::S_OK })))
            }
            _ => None,
        });
        assert_eq!(refused(Manners::default(), hook).hresult(), Hresult::ERROR_INVALID_DATA);
    }
}

#[test]
fn answers_of_any_bytes_never_panic() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let files = Files::new(20_000);
    let next: Arc<std::sync::Mutex<Vec<u8>>> = Arc::default();
    let stub = Arc::clone(&next);
    let hook: Hook = Arc::new(move |_| Some(Reply::Stub(stub.lock().unwrap().clone())));
    let server = Server::start(Manners::default(), move || {
        FakeCa::hooked(files.clone(), Calls::default(), Arc::clone(&hook))
    });
    let mut ca = RemoteCa::connect(server.target(), Some(credentials())).unwrap();
    for _ in 0..400 {
        let [len, ..] = random().to_le_bytes();
        // Small numbers are likelier to be taken for counts and referents.
        *next.lock().unwrap() = (0..len % 80)
            .map(|_| random().to_le_bytes())
            .map(|[kind, byte, ..]| byte % if kind < 80 { 255 } else { 3 })
            .collect();
        ca.is_online().ok();
        ca.prepare(BackupType::Full).ok();
        ca.database_names().ok();
        ca.database_locations().ok();
        ca.dynamic_files().ok();
        ca.open_file(DATABASE, 0).ok();
        ca.read(&mut [0; 5000]).ok();
        ca.close_file().ok();
        ca.backup_logs().ok();
        ca.end().ok();
    }
}

#[test]
fn answers_without_their_protection_are_not_taken() {
    for manners in
        [Manners { unsealed: true, ..Manners::default() }, Manners { tampered: true, ..Manners::default() }]
    {
        let server = Server::start(manners, || FakeCa::new(Files::new(1), Calls::default()));
        let error = RemoteCa::connect(server.target(), Some(credentials())).unwrap_err();
        assert_eq!(error.hresult(), Hresult::E_ACCESSDENIED, "{error}");
    }
}
