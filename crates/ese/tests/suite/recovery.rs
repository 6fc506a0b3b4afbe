//! Recovery as a whole: planned, rehearsed, done; and every way a set of logs can be wrong.

use certadm_ese::checksum::xor_checksum;
use certadm_ese::finding::{Kind, Severity, Spot};
use certadm_ese::header::{Copies, State};
use certadm_ese::pager::Pager;
use certadm_ese::recovery::{LogInput, Outcome, Plan};
use certadm_ese::{Code, Database, Error};

const CAP: usize = 64 << 20;

struct Set {
    database: Option<Vec<u8>>,
    logs: Vec<(String, Vec<u8>)>,
}

impl Set {
    /// A real streaming backup, and the log that was written after it.
    fn mail() -> Option<Self> {
        let backup = "winmail-v7-sec4096/Backup_new_";
        Some(Self {
            database: Some(crate::common::fixture(&format!("{backup}WindowsMail.MSMessageStore"))?),
            logs: vec![
                ("edb00001.log".into(), crate::common::fixture(&format!("{backup}edb00001.log"))?),
                ("edb.log".into(), crate::common::fixture("winmail-v7-sec4096/edb.log")?),
            ],
        })
    }

    /// A log that makes its database from nothing.
    fn security() -> Option<Self> {
        Some(Self {
            database: None,
            logs: vec![("edb.log".into(), crate::common::fixture("secedit-v8/edb.log")?)],
        })
    }

    fn inputs(&self) -> Vec<LogInput<'_>> {
        let inputs = self.logs.iter();
        inputs.map(|(name, file)| LogInput { name, file }).collect()
    }

    fn with_plan<R>(&self, use_plan: impl FnOnce(&Plan<'_>) -> R) -> R {
        let inputs = self.inputs();
        let database = self.database.as_ref().map(|bytes| bytes as &dyn Pager);
        use_plan(&Plan::new(database, &inputs).unwrap())
    }

    fn codes(&self) -> Vec<Code> {
        self.with_plan(|plan| {
            plan.findings.iter().filter_map(|finding| Code::from_hresult(finding.code)).collect()
        })
    }

    fn rehearse(&self) -> Result<Outcome, Error> {
        self.with_plan(|plan| plan.rehearse(CAP, &mut |_| {}))
    }

    fn recover(&self) -> (Vec<u8>, Outcome) {
        self.with_plan(|plan| {
            let mut output = Vec::new();
            let outcome = plan.recover(&mut output, &mut |_| {}).unwrap();
            (output, outcome)
        })
    }
}

/// Changes a field of a log header and makes its checksum right again.
fn edit_header(log: &mut [u8], offset: usize, bytes: &[u8]) {
    log[offset..offset + bytes.len()].copy_from_slice(bytes);
    let checksum = xor_checksum(&log[..4096]);
    log[..4].copy_from_slice(&checksum.to_le_bytes());
}

fn check_recovered(bytes: Vec<u8>) {
    let database = Database::open(bytes).unwrap();
    assert_eq!(database.header().state(), State::CleanShutdown);
    assert_eq!(database.header_copies(), Copies::Equal);
    assert_eq!(database.header().required_low(), 0);
    assert!(!database.header().current_full_backup().is_set());
    let report = database.verify(&mut |_| {}).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.pages.beyond, 0, "the patch page is gone");
}

#[test]
fn a_backup_is_planned_rehearsed_and_recovered() {
    let Some(set) = Set::mail() else { return };
    set.with_plan(|plan| {
        assert!(plan.is_promising(), "{:?}", plan.findings);
        let required = plan.required().unwrap();
        assert_eq!((required.low, required.high), (1, 1));
    });
    let before = set.database.clone();
    let rehearsed = set.rehearse().unwrap();
    assert_eq!(rehearsed.reached.to_string(), "0x2:9:644");
    assert_eq!(
        rehearsed.sentence(),
        "restorable: replay reached 0x2:9:644, 0 mismatches, 0 transactions rolled back"
    );
    let (recovered, outcome) = set.recover();
    assert_eq!(set.database, before, "the input is never changed");
    assert_eq!(outcome.counts, rehearsed.counts);
    check_recovered(recovered.clone());

    // The result is clean and needs nothing; the same logs once more change no page.
    let again = Set { database: Some(recovered.clone()), logs: set.logs };
    assert_eq!(again.with_plan(|plan| plan.required()), None);
    let (twice, outcome) = again.recover();
    assert_eq!(outcome.counts.applied, 0);
    assert!(twice[2 * 8192..] == recovered[2 * 8192..], "no page changes");
}

#[test]
fn a_database_made_by_its_log_is_sound_and_stays_so() {
    let Some(set) = Set::security() else { return };
    let (recovered, outcome) = set.recover();
    assert_eq!(outcome.counts.skipped, 0);
    check_recovered(recovered.clone());
    let again = Set { database: Some(recovered.clone()), logs: set.logs };
    let (twice, outcome) = again.recover();
    assert_eq!(outcome.counts.applied, 0);
    assert!(twice[2 * 4096..] == recovered[2 * 4096..], "no page changes");
}

#[test]
fn missing_logs_have_the_codes_of_the_table() {
    let Some(mut set) = Set::mail() else { return };
    let logs = core::mem::take(&mut set.logs);
    assert_eq!(set.codes(), [Code::MISSING_RESTORE_LOGS]);
    set.logs = vec![logs[1].clone()];
    assert_eq!(set.codes(), [Code::STARTING_LOG_TOO_HIGH]);
    let error = set.rehearse().unwrap_err();
    assert_eq!(error.code(), Code::STARTING_LOG_TOO_HIGH);

    // A database that was just not closed, without the log it had open.
    let Some(live) = crate::common::fixture("winmail-v7-sec4096/WindowsMail.MSMessageStore") else {
        return;
    };
    let mut dirty = live;
    for copy in [0, 8192] {
        let header = &mut dirty[copy..copy + 8192];
        header[52..56].copy_from_slice(&2u32.to_le_bytes());
        header[296..300].copy_from_slice(&1u32.to_le_bytes());
        header[300..304].copy_from_slice(&2u32.to_le_bytes());
        header[416..420].copy_from_slice(&2u32.to_le_bytes());
        let checksum = xor_checksum(header);
        header[..4].copy_from_slice(&checksum.to_le_bytes());
    }
    let mut open = Set { database: Some(dirty), logs: Vec::new() };
    assert_eq!(open.codes(), [Code::REQUIRED_LOGS_MISSING]);
    open.logs = vec![logs[0].clone()];
    assert_eq!(open.codes(), [Code::MISSING_LOG]);
    open.logs = vec![logs[1].clone()];
    assert_eq!(open.codes(), [Code::REQUIRED_LOGS_MISSING]);
    open.logs = logs;
    assert_eq!(open.codes(), []);
    open.rehearse().unwrap();
    open.with_plan(|plan| assert_eq!(plan.inspect_logs(&mut |_| {}).unwrap(), []));

    // Wrong logs of a database that was in use have codes of their own.
    let good = open.logs.clone();
    edit_header(&mut open.logs[1].1, 24, &[9]);
    assert_eq!(open.codes(), [Code::INVALID_LOG_SEQUENCE]);
    open.logs.clone_from(&good);
    edit_header(&mut open.logs[1].1, 44, &[1, 2, 3]);
    assert_eq!(open.codes(), [Code::BAD_LOG_SIGNATURE]);
    edit_header(&mut open.logs[0].1, 44, &[1, 2, 3]);
    assert_eq!(open.codes(), [Code::BAD_DATABASE_SIGNATURE]);
    open.logs.clone_from(&good);
    open.logs[0].1[4096 + 600] ^= 1;
    assert_eq!(open.rehearse().unwrap_err().code(), Code::LOG_CORRUPT);
    open.with_plan(|plan| {
        let findings = plan.inspect_logs(&mut |_| {}).unwrap();
        assert_eq!(findings[0].kind, Kind::LogDamaged);
        assert_eq!(findings[0].code, Code::LOG_CORRUPT.hresult());
    });
}

#[test]
fn wrong_logs_have_the_codes_of_the_table() {
    let Some(mut set) = Set::mail() else { return };
    set.logs[1].0 = "edb00002.log".into();
    let with = |change: &dyn Fn(&mut Set)| {
        let mut changed = Set { database: set.database.clone(), logs: set.logs.clone() };
        change(&mut changed);
        let codes = changed.codes();
        if let [first, ..] = codes.as_slice() {
            assert_eq!(changed.rehearse().unwrap_err().code(), *first);
        }
        codes
    };
    // Name and header disagree.
    let codes = with(&|set| set.logs[0].0 = "edb00003.log".into());
    assert_eq!(codes, [Code::LOG_GENERATION_MISMATCH]);
    // One log of another sequence.
    let codes = with(&|set| edit_header(&mut set.logs[1].1, 44, &[1, 2, 3]));
    assert_eq!(codes, [Code::GIVEN_LOG_BAD_SIGNATURE]);
    // All logs of another sequence than the database.
    let codes = with(&|set| {
        for log in &mut set.logs {
            edit_header(&mut log.1, 44, &[1, 2, 3]);
        }
    });
    assert_eq!(codes, [Code::DATABASE_LOG_SET_MISMATCH]);
    // An older copy of a predecessor.
    let codes = with(&|set| edit_header(&mut set.logs[1].1, 24, &[9]));
    assert_eq!(codes, [Code::GIVEN_LOG_NOT_CONTIGUOUS]);
    // The same generation twice: equal copies are accepted, different ones are not.
    assert_eq!(with(&|set| set.logs.push(set.logs[0].clone())), []);
    let codes = with(&|set| {
        let mut other = set.logs[0].clone();
        other.1[5000] ^= 1;
        set.logs.push(other);
    });
    assert_eq!(codes, [Code::GIVEN_LOG_NOT_CONTIGUOUS]);
    // A gap.
    let codes = with(&|set| {
        set.logs[1].0 = "edb00003.log".into();
        edit_header(&mut set.logs[1].1, 4, &3u32.to_le_bytes());
    });
    assert_eq!(codes, [Code::MISSING_RESTORE_LOGS]);
    // A damaged header, and another version.
    let codes = with(&|set| set.logs[0].1[100] ^= 1);
    assert_eq!(codes[0], Code::LOG_CORRUPT_IN_RESTORE);
    let codes = with(&|set| edit_header(&mut set.logs[0].1, 32, &9u32.to_le_bytes()));
    assert_eq!(codes[0], Code::BAD_LOG_VERSION);
    // Another page size.
    let codes = with(&|set| edit_header(&mut set.logs[1].1, 14, &4096u16.to_le_bytes()));
    assert_eq!(codes, [Code::DATABASE_LOG_SET_MISMATCH]);
}

#[test]
fn a_current_log_behind_the_range_of_a_restore_has_codes_of_its_own() {
    let Some(set) = Set::mail() else { return };
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut changed = Set { database: set.database.clone(), logs: set.logs.clone() };
        change(&mut changed.logs[1].1);
        changed.codes()
    };
    assert_eq!(with(&|log| edit_header(log, 44, &[1, 2, 3])), [Code::EXISTING_LOG_BAD_SIGNATURE]);
    assert_eq!(with(&|log| edit_header(log, 24, &[9])), [Code::EXISTING_LOG_NOT_CONTIGUOUS]);
    assert_eq!(with(&|log| edit_header(log, 4, &3u32.to_le_bytes())), [Code::MISSING_CURRENT_LOGS]);
}

/// A current log that came beside a set by mistake: one finding about that log, no gap, nothing about the logs of the
/// set, and the set recovers as without it.
#[test]
fn a_stray_current_log_is_one_finding_and_the_set_recovers_without_it() {
    let Some(set) = Set::mail() else { return };
    let alone = Set { database: set.database.clone(), logs: vec![set.logs[0].clone()] };
    let reached = alone.rehearse().unwrap().reached;
    let stray = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut logs = set.logs.clone();
        change(&mut logs[1].1);
        // In any letters and at any place among the others.
        logs[1].0 = "EDB.LOG".into();
        logs.reverse();
        Set { database: set.database.clone(), logs }
    };
    let changes: [fn(&mut Vec<u8>); 6] = [
        |log| edit_header(log, 4, &9u32.to_le_bytes()),
        |log| edit_header(log, 44, &[1, 2, 3]),
        |log| edit_header(log, 24, &[9]),
        // Another state of the log that the set has.
        |log| edit_header(log, 4, &1u32.to_le_bytes()),
        |log| log[100] ^= 1,
        |log| log.fill(0),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let set = stray(&change);
        set.with_plan(|plan| {
            let [finding] = plan.findings.as_slice() else { panic!("{number}: {:?}", plan.findings) };
            assert_eq!((finding.kind, finding.severity), (Kind::LogStray, Severity::Warning), "{number}");
            assert_eq!(finding.place.file.as_deref(), Some(std::path::Path::new("EDB.LOG")));
            assert_eq!(plan.given().unwrap().high, 1);
        });
        assert_eq!(set.rehearse().unwrap().reached, reached, "{number}");
    }
    // A copy of the set's own log is no fault, and one that continues the set is used.
    let copy = Set {
        database: set.database.clone(),
        logs: vec![("edb.log".into(), set.logs[0].1.clone()), set.logs[0].clone()],
    };
    copy.with_plan(|plan| assert_eq!(plan.findings, []));
    assert!(reached < stray(&|_| {}).rehearse().unwrap().reached);
}

#[test]
fn a_gap_of_any_size_is_one_finding() {
    let Some(set) = Set::mail() else { return };
    let mut set = Set { database: None, logs: set.logs };
    set.logs[1].0 = "edb10000.log".into();
    edit_header(&mut set.logs[1].1, 4, &0x10000u32.to_le_bytes());
    set.with_plan(|plan| {
        let gap: Vec<_> = plan.findings.iter().filter(|finding| finding.kind == Kind::LogMissing).collect();
        let [gap] = gap.as_slice() else { panic!("{gap:?}") };
        assert_eq!(gap.place.spot, Some(Spot::Logs(2, 0xffff)));
    });
}

#[test]
fn damage_inside_logs_stops_where_it_is_required_and_only_ends_the_replay_behind() {
    let Some(set) = Set::mail() else { return };
    let mut required = Set { database: set.database.clone(), logs: set.logs.clone() };
    required.logs[0].1[4096 + 600] ^= 1;
    let error = required.rehearse().unwrap_err();
    assert_eq!(error.code(), Code::LOG_CORRUPT_IN_RESTORE);

    let mut behind = Set { database: set.database.clone(), logs: set.logs.clone() };
    behind.logs[1].1[7 * 4096 + 600] ^= 1;
    let outcome = behind.rehearse().unwrap();
    assert_eq!(outcome.findings[0].kind, Kind::LogDamaged);
    assert!(outcome.reached.segment < 9);
    // The same log under the name of its generation is a part of the restore.
    behind.logs[1].0 = "edb00002.log".into();
    assert_eq!(behind.rehearse().unwrap_err().code(), Code::LOG_CORRUPT_IN_RESTORE);

    let mut short = Set { database: set.database, logs: set.logs };
    short.logs[0].1.truncate(3000 * 4);
    assert!(short.rehearse().is_err());
}

#[test]
fn a_database_of_another_time_is_refused_by_its_pages() {
    let Some(set) = Set::mail() else { return };
    // Only the second log on the state before the first: an earlier log is missing.
    let mut set = set;
    let database = set.database.as_mut().unwrap();
    for copy in [0, 8192] {
        let header = &mut database[copy..copy + 8192];
        header[184..208].fill(0);
        header[296..300].copy_from_slice(&2u32.to_le_bytes());
        header[300..304].copy_from_slice(&2u32.to_le_bytes());
        header[416..420].copy_from_slice(&2u32.to_le_bytes());
        let checksum = xor_checksum(header);
        header[..4].copy_from_slice(&checksum.to_le_bytes());
    }
    // A page thrown back to an older time: the state a lost write leaves.
    let start = 3 * 8192 + 8192;
    database[start + 8..start + 16].copy_from_slice(&1u64.to_le_bytes());
    certadm_ese::checksum::checksum_page(&mut database[start..start + 8192], 3);
    set.logs.remove(0);
    let error = set.rehearse().unwrap_err();
    assert_eq!(error.code(), Code::DBTIME_TOO_OLD, "{error}");
    assert!(matches!(error, Error::Replay { page: Some(3), .. }));
}

#[test]
fn records_that_wait_lead_to_the_same_bytes() {
    use certadm_ese::log::LogFile;
    use certadm_ese::pager::FilePager;
    use certadm_ese::redo::Replayer;

    let Some(bytes) = crate::common::fixture("secedit-v8/edb.log") else {
        return;
    };
    let log = LogFile::open(&bytes).unwrap();
    let ended = |most, in_a_file: bool| {
        let mut replayer = Replayer::new(Vec::new(), None, log.header().page_size).let_wait_at_most(most);
        if in_a_file {
            replayer = replayer.let_wait_in(FilePager::new(tempfile::tempfile().unwrap()).unwrap());
        }
        replayer.begin_log(log.header());
        for record in log.records() {
            let record = record.unwrap();
            replayer.apply(record.position, &record.bytes).unwrap();
        }
        let (target, header, counts) = replayer.finish().unwrap();
        (target, header.bytes().to_vec(), counts)
    };
    let at_once = ended(0, false);
    for most in [1, 2, 7, 100, 10_000, usize::MAX] {
        assert!(at_once == ended(most, false), "{most}");
        assert!(at_once == ended(most, true), "{most}, in a file");
    }
}

#[test]
fn replay_from_every_intermediate_state_ends_the_same() {
    use certadm_ese::header::DatabaseHeader;
    use certadm_ese::log::LogFile;
    use certadm_ese::redo::Replayer;

    let Some(bytes) = crate::common::fixture("secedit-v8/edb.log") else {
        return;
    };
    let log = LogFile::open(&bytes).unwrap();
    let records: Vec<_> = log.records().map(Result::unwrap).collect();
    let run = |start: (Vec<u8>, Option<DatabaseHeader>), limit: usize| {
        let mut replayer = Replayer::new(start.0, start.1, log.header().page_size);
        replayer.begin_log(log.header());
        for record in records.iter().take(limit) {
            replayer.apply(record.position, &record.bytes).unwrap();
        }
        replayer
    };
    let (complete, _, _) = run((Vec::new(), None), usize::MAX).finish().unwrap();
    // The file as a crash behind each record leaves it, once it is a database. Most records leave it as it was.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (sender, receiver) = std::sync::mpsc::sync_channel::<Vec<u8>>(threads);
    let receiver = std::sync::Mutex::new(receiver);
    let states = std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let next = receiver.lock().unwrap().recv();
                    let Ok(state) = next else { break };
                    let header = DatabaseHeader::read(&state).unwrap().0;
                    let (ended, _, _) = run((state, Some(header)), usize::MAX).finish().unwrap();
                    assert!(ended[2 * 4096..] == complete[2 * 4096..]);
                }
            });
        }
        let mut forward = run((Vec::new(), None), 0);
        let mut last = Vec::new();
        let mut states = 0;
        for record in &records {
            forward.apply(record.position, &record.bytes).unwrap();
            let state = forward.clone().into_crashed().unwrap();
            if DatabaseHeader::read(&state).is_ok() && state != last {
                last.clone_from(&state);
                sender.send(state).unwrap();
                states += 1;
            }
        }
        drop(sender);
        states
    });
    println!("{} records, {states} states", records.len());
    assert!(records.len() / 4 < states);
}

/// Replays a log onto files in which every page has another age, as a crash or an online copy leaves them.
fn replay_mixed_ages(start: Option<Vec<u8>>, logs: &[Vec<u8>], rounds: u64) {
    use certadm_ese::header::DatabaseHeader;
    use certadm_ese::log::LogFile;
    use certadm_ese::redo::Replayer;

    let logs: Vec<_> = logs.iter().map(|bytes| LogFile::open(bytes).unwrap()).collect();
    let size = logs[0].header().page_size;
    let page = size.bytes();
    let records: Vec<Vec<_>> = logs.iter().map(|log| log.records().map(Result::unwrap).collect()).collect();
    let total: usize = records.iter().map(Vec::len).sum();
    let run = |start: Option<Vec<u8>>, limit: usize| {
        let header = start.as_ref().map(|bytes| DatabaseHeader::read(bytes).unwrap().0);
        let mut replayer = Replayer::new(start.unwrap_or_default(), header, size);
        let mut left = limit;
        for (log, records) in logs.iter().zip(&records) {
            replayer.begin_log(log.header());
            for record in records.iter().take(left) {
                replayer.apply(record.position, &record.bytes).unwrap();
            }
            left = left.saturating_sub(records.len());
        }
        replayer
    };
    let (complete, _, _) = run(start.clone(), total).finish().unwrap();
    // States spread over the log, the header of a database that is not closed in each.
    let first = total / 40 + 30;
    let states: Vec<Vec<u8>> = (first..total)
        .step_by(total / 40)
        .map(|limit| {
            let mut state = run(start.clone(), limit).into_crashed().unwrap();
            state.resize(complete.len(), 0);
            state
        })
        .collect();
    let mut random = crate::common::Random::new(5);
    for round in 0..rounds {
        let mut mixed = states[0].clone();
        for slot in 2..complete.len() / page {
            let state = &states[usize::try_from(random.below(states.len() as u64)).unwrap()];
            mixed[slot * page..(slot + 1) * page].copy_from_slice(&state[slot * page..(slot + 1) * page]);
        }
        let (ended, _, _) = run(Some(mixed), total).finish().unwrap();
        assert!(ended[2 * page..] == complete[2 * page..], "round {round}");
    }
}

#[test]
fn pages_of_different_ages_end_the_same() {
    if let Some(log) = crate::common::fixture("secedit-v8/edb.log") {
        replay_mixed_ages(None, &[log], 40);
    }
    if let Some(set) = Set::mail() {
        let mut database = set.database.unwrap();
        database.truncate(database.len() - 8192);
        let logs: Vec<_> = set.logs.into_iter().map(|(_, bytes)| bytes).collect();
        replay_mixed_ages(Some(database), &logs, 40);
    }
}

#[test]
fn any_flip_in_a_log_ends_in_an_error_or_the_same_state() {
    let Some(set) = Set::security() else { return };
    let (expected, _) = set.recover();
    let mut random = crate::common::Random::new(3);
    for _ in 0..60 {
        let mut flipped = Set { database: None, logs: set.logs.clone() };
        let log = &mut flipped.logs[0].1;
        let used = 0x9F * 4096;
        let at = usize::try_from(random.below(used)).unwrap();
        log[at] ^= 1 << random.below(8);
        let inputs = flipped.inputs();
        let plan = Plan::new(None, &inputs).unwrap();
        let mut output = Vec::new();
        match plan.recover(&mut output, &mut |_| {}) {
            Err(error) => assert!(0xC800_0000 <= error.code().hresult().to_bits()),
            // Damage behind everything required ends the replay, and says so.
            Ok(outcome) => assert!(
                output[2 * 4096..] == expected[2 * 4096..] || !outcome.findings.is_empty(),
                "byte {at}"
            ),
        }
    }
}

/// Logs of version 8 with nothing in them, of one sequence or of several.
fn empty_logs(generations: &[(u32, u8)]) -> Vec<(String, Vec<u8>)> {
    let log = |(generation, sequence): &(u32, u8)| {
        let mut bytes = crate::writer::log_v8(*generation, 2, &[crate::writer::begin(1, 0)]);
        edit_header(&mut bytes, 44, &[*sequence; 28]);
        // Each was made after the one before.
        edit_header(&mut bytes, 16, &[1, 1, 1, 1, u8::try_from(*generation).unwrap(), 100, 0, 0]);
        edit_header(&mut bytes, 24, &[1, 1, 1, 1, u8::try_from(*generation - 1).unwrap(), 100, 0, 0]);
        (format!("edb{generation:05x}.log"), bytes)
    };
    generations.iter().map(log).collect()
}

#[test]
fn a_clean_database_with_the_logs_of_another_is_told_that_it_needs_none() {
    let original = crate::common::fixture("certlog/CertLog.edb").unwrap();
    let mut repaired = original.clone();
    for copy in [0, 4096] {
        // A repair leaves no signature of a log.
        let header = &mut repaired[copy..copy + 4096];
        header[108..136].fill(0);
        let checksum = xor_checksum(header);
        header[..4].copy_from_slice(&checksum.to_le_bytes());
    }
    for database in [original, repaired] {
        let set = Set { database: Some(database), logs: empty_logs(&[(5, 7), (6, 7)]) };
        let outcome = set.rehearse().unwrap();
        assert_eq!(outcome.foreign_logs, 2);
        assert_eq!(
            outcome.sentence(),
            "restorable: the database is clean and needs no log; the 2 logs given are not its own"
        );
        let [finding] = &outcome.findings[..] else { panic!("{:?}", outcome.findings) };
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(finding.code, Code::ATTACHED_DATABASE_MISMATCH.hresult());
    }
}

#[test]
fn logs_alone_show_gaps_and_foreign_logs() {
    let codes = |generations: &[(u32, u8)]| Set { database: None, logs: empty_logs(generations) }.codes();
    assert_eq!(codes(&[(5, 7), (6, 7), (7, 7)]), []);
    assert_eq!(codes(&[(5, 7), (7, 7)]), [Code::MISSING_RESTORE_LOGS]);
    // Which logs are missing is not said before they are those of one CA.
    assert_eq!(codes(&[(5, 7), (6, 7), (9, 8)]), [Code::GIVEN_LOG_BAD_SIGNATURE]);
    let mut both = Set { database: None, logs: empty_logs(&[(5, 7), (5, 8)]) };
    both.logs[1].0 = "EDB00005.LOG".to_owned();
    assert_eq!(both.codes(), [Code::GIVEN_LOG_BAD_SIGNATURE]);
}

/// A real, clean database with another state in both copies of its header.
fn in_state(state: u32) -> Set {
    let mut bytes = crate::common::fixture("certlog/CertLog.edb").unwrap();
    for copy in [0, 4096] {
        let header = &mut bytes[copy..copy + 4096];
        header[52..56].copy_from_slice(&state.to_le_bytes());
        let checksum = xor_checksum(header);
        header[..4].copy_from_slice(&checksum.to_le_bytes());
    }
    Set { database: Some(bytes), logs: Vec::new() }
}

/// Clean is only what says so: a database that was not closed and names no logs is not, nor is one that is being reseeded.
#[test]
fn a_database_that_is_not_clean_is_not_made_so_without_logs() {
    in_state(3).rehearse().unwrap();
    for state in [1, 2, 4, 5, 6, 7, 8, 99] {
        let set = in_state(state);
        let kind = if matches!(state, 2 | 7) { Kind::DirtyShutdown } else { Kind::UnusualState };
        set.with_plan(|plan| {
            let [finding] = plan.findings.as_slice() else { panic!("{state}: {:?}", plan.findings) };
            assert_eq!((finding.kind, finding.severity), (kind, Severity::Error), "{state}");
        });
        assert_eq!(set.rehearse().unwrap_err().code(), Code::DIRTY_SHUTDOWN, "{state}");
    }
}

/// Behind the range of a restore, damage ends the replay, also where a record reaches into it.
#[test]
fn a_damaged_current_log_leaves_the_backup_restorable() {
    let Some(mut set) = Set::mail() else { return };
    let whole = set.rehearse().unwrap().reached;
    let torn = 9 * 4096 + 512..10 * 4096;
    let shadow = 10 * 4096..11 * 4096;
    set.logs[1].1[torn].fill(0);
    let outcome = set.rehearse().unwrap();
    assert_eq!(outcome.reached, whole, "the shadow has it all");
    set.logs[1].1[shadow].fill(0);
    let outcome = set.rehearse().unwrap();
    assert!(outcome.reached < whole && 2 <= outcome.reached.generation, "{}", outcome.reached);
    set.with_plan(|plan| {
        let findings = plan.inspect_logs(&mut |_| {}).unwrap();
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!((finding.kind, finding.severity), (Kind::LogDamaged, Severity::Warning));
    });
    // In the range it is an error.
    set.logs[1].0 = "edb00002.log".into();
    assert_eq!(set.rehearse().unwrap_err().code(), Code::LOG_CORRUPT_IN_RESTORE);
}
