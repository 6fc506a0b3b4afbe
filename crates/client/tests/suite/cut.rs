//! The connection is cut after every PDU that a server sends in a session: the backup ends cleanly, no half set is
//! left, and the next one works.

use std::path::Path;

use certadm_client::RemoteCa;
use certadm_rules::{BackupType, Diagnosis, Hresult};
use certadm_set::{Set, Silent, TakeOptions, Taken, take};

use crate::fake::{Calls, FakeCa, Files};
use crate::server::{Manners, Server, credentials};

fn back_up(server: &Server, set: &Path) -> Result<Taken, Hresult> {
    let options = TakeOptions::new(BackupType::Full);
    let mut ca = RemoteCa::connect(server.target(), Some(credentials())).map_err(|error| error.hresult())?;
    take(&mut ca, set, &options, &mut Silent).map_err(|error| error.hresult())
}

#[test]
fn a_connection_cut_at_every_fragment() {
    // Several fragments in the image and in a log, and a read ahead among them.
    let files = Files::new(90_000);
    let server = Server::start(Manners::default(), move || FakeCa::new(files.clone(), Calls::default()));
    let work = tempfile::tempdir().unwrap();
    let set = work.path().join("set");
    back_up(&server, &set).unwrap();
    let all = server.seen().sent;
    assert!(all > 40, "{all}");
    std::fs::remove_dir_all(&set).unwrap();
    let mut aborted = 0;
    for sent in 0..all {
        server.cut_after(sent);
        match back_up(&server, &set) {
            Err(code) => {
                aborted += 1;
                let unreachable = [Hresult::RPC_S_CALL_FAILED, Hresult::RPC_S_CALL_FAILED_DNE];
                assert!(unreachable.contains(&code), "after {sent}: {code}");
                assert_eq!(std::fs::read_dir(work.path()).unwrap().count(), 0, "after {sent}");
            }
            Ok(taken) => {
                // Cut behind the commit: the set stands, and says that the CA did not confirm its end.
                let last_word = sent + 2 >= all;
                assert!(taken.end_error.is_some() || last_word, "after {sent} of {all}");
                Set::open(&set).unwrap();
                std::fs::remove_dir_all(&set).unwrap();
            }
        }
        if sent % 10 == 0 {
            server.cut_after(-1);
            assert_eq!(back_up(&server, &set).unwrap().end_error, None);
            std::fs::remove_dir_all(&set).unwrap();
        }
    }
    assert!(aborted > 30, "{aborted}");
}
