//! Faults at every call of the storage and at every read of the CA: either the set is whole and counts, or there is none,
//! and the CA keeps its logs (repository.md 8 and 9).

use certadm_rules::Hresult;
use certadm_rules::diagnosis::Class;
use certadm_rules::{BackupType, Diagnosis};
use certadm_session::{CallError, CallResult, LocalSource, Source as _};
use certadm_tests::altered::{Altered, Through};

use crate::common::{Ca, assert_whole, over, repository};
use crate::objects::{Fault, Faulty};

/// Backs up with a fault, and then without one.
fn survive(fault: Fault) {
    let mut ca = Ca::create();
    let (memory, secret, sound) = repository();
    ca.back_up(&sound, BackupType::Full).unwrap();
    ca.issue(2);
    let logs = ca.logs();
    let broken = over(Faulty::new(memory.clone(), fault), &secret);
    let taken = ca.back_up(&broken, BackupType::Full);
    let kept = memory.names("snapshots/").len();
    match taken {
        Ok(taken) => {
            assert_eq!(kept, 2, "{fault:?}");
            assert!(taken.checked && !taken.truncated.is_empty(), "{fault:?}");
        }
        Err(error) => {
            assert!(logs.iter().all(|log| ca.logs().contains(log)), "{fault:?}: a log is gone");
            assert_eq!(error.class(), Class::Unreachable, "{fault:?}: {error}");
            // The answer to the very last write may be lost.
            assert!(kept == 1 || matches!(fault, Fault::LosesAnswer(_) | Fault::Dead(_) | Fault::Fails(_)));
        }
    }
    // Whatever counts is whole, and so is the next one.
    assert_eq!(assert_whole(&sound, ca.beside()), kept, "{fault:?}");
    ca.issue(1);
    ca.back_up(&sound, BackupType::Full).unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    assert_eq!(assert_whole(&sound, ca.beside()), kept + 1, "{fault:?}");
}

fn calls() -> u64 {
    let mut ca = Ca::create();
    let (memory, secret, sound) = repository();
    ca.back_up(&sound, BackupType::Full).unwrap();
    ca.issue(2);
    let counting = Faulty::new(memory, Fault::Never);
    ca.back_up(&over(counting.clone(), &secret), BackupType::Full).unwrap();
    counting.calls()
}

#[test]
fn each_call_of_the_storage_may_fail() {
    let calls = calls();
    assert!(20 < calls, "{calls}");
    for call in 0..calls {
        survive(Fault::Fails(call));
    }
    certadm_tests::proven::proven("faults", calls);
}

#[test]
fn each_answer_of_the_storage_may_be_lost() {
    let calls = calls();
    for call in 0..calls {
        survive(Fault::LosesAnswer(call));
    }
    certadm_tests::proven::proven("faults", calls);
}

/// As after kill -9: what was stored stays, and nothing follows.
#[test]
fn the_storage_may_be_gone_from_any_call_on() {
    let calls = calls();
    for call in 0..calls {
        survive(Fault::Dead(call));
    }
    certadm_tests::proven::proven("kills", calls);
}

/// Somebody prunes beside the writer: the proof misses the pack, and nothing is committed.
#[test]
fn a_pack_that_goes_while_others_are_written_is_missed() {
    let mut ca = Ca::create();
    let (memory, secret, sound) = repository();
    ca.back_up(&sound, BackupType::Full).unwrap();
    ca.issue(2);
    let logs = ca.logs();
    let pruned = over(Faulty::new(memory.clone(), Fault::PrunedAtIndex), &secret);
    let error = ca.back_up(&pruned, BackupType::Full).unwrap_err();
    assert_eq!(error.class(), Class::Damaged, "{error}");
    assert_eq!(memory.names("snapshots/").len(), 1);
    assert!(logs.iter().all(|log| ca.logs().contains(log)), "a log is gone");
}

/// A CA whose reads fail from a byte on.
struct Failing {
    inner: LocalSource,
    left: u64,
}

impl Altered for Failing {
    fn ca(&mut self) -> &mut LocalSource {
        &mut self.inner
    }
    fn read(&mut self, buffer: &mut [u8]) -> CallResult<usize> {
        let most = usize::try_from(self.left).unwrap().min(buffer.len()).min(8192);
        if most == 0 {
            return Err(CallError::new("BackupRead", Hresult::DISK_IO));
        }
        let len = self.inner.read(&mut buffer[..most])?;
        self.left -= len as u64;
        Ok(len)
    }
}

/// The engine logs such an error, skips the file and calls that a success (repository.md 9, trap 1).
#[test]
fn a_read_of_the_ca_that_fails_gives_no_snapshot() {
    let ca = Ca::create();
    let (memory, _, sound) = repository();
    ca.back_up(&sound, BackupType::Full).unwrap();
    let bytes = ca.back_up(&sound, BackupType::Full).unwrap().manifest.total_size();
    for left in [0, 1, 8192, bytes / 2, bytes - 1_000, bytes - 600] {
        let logs = ca.logs();
        let mut source = Through(Failing { inner: ca.source(), left });
        let error = ca.back_up_from(&mut source, &sound, BackupType::Full).unwrap_err();
        assert!(error.to_string().contains("BackupRead"), "{left}: {error}");
        assert_eq!(memory.names("snapshots/").len(), 2, "{left}");
        assert!(logs.iter().all(|log| ca.logs().contains(log)), "{left}: a log is gone");
        drop(source);
    }
    assert_eq!(assert_whole(&sound, ca.beside()), 2);
}

#[test]
fn two_writers_at_once_give_two_whole_sets() {
    let (one, other) = (Ca::create(), Ca::create());
    let (_, _, repository) = repository();
    std::thread::scope(|scope| {
        for ca in [&one, &other] {
            let repository = repository.clone();
            let mut source = ca.source();
            let beside = ca.beside().to_owned();
            scope.spawn(move || {
                let sink = repository.sink(crate::common::options(Some(&beside))).unwrap();
                let kind = certadm_set::TakeOptions::new(BackupType::Full);
                certadm_set::take_into(&mut source, Box::new(sink), &kind, &mut certadm_set::Silent).unwrap();
            });
        }
    });
    assert_eq!(assert_whole(&repository, one.beside()), 2);
}
