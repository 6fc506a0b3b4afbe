//! The gap of a real Windows CA: its database is cut at a request, and the rest of it is what sources tell.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use certadm_ca::Serial;
use certadm_ese::Database;
use certadm_ese::column::Value;
use certadm_files::Found;
use certadm_recovery::gap::{Collector, Disagreement, Folder, Gap, Ids, Limits};
use certadm_recovery::{Damage, Inventory, Item, Known, Maker, Result, WindowsInventory};
use certadm_rules::FileTime;
use certadm_rules::finding::Kind;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::patch::overwrite;
use crate::support::certlog;

/// The requests of CertLog.edb, and the certificates issued on them.
struct Whole {
    items: Vec<Item>,
    certificates: BTreeMap<i64, (Serial, Vec<u8>)>,
}

thread_local! {
    static WHOLE: Rc<Whole> = Rc::new(whole());
}

fn whole() -> Whole {
    let database = Database::open(certlog()).unwrap();
    let mut items = Vec::new();
    WindowsInventory { database: &database, damage: Damage::Refused }
        .each(&mut |item| {
            items.push(item);
            Ok(())
        })
        .unwrap();
    let table = database.table("Certificates").unwrap();
    let mut certificates = BTreeMap::new();
    for row in table.rows() {
        let row = row.unwrap();
        let id = row.by_name("RequestID").unwrap().integer().unwrap();
        let item: &Item = items.iter().find(|item| item.request_id == id).unwrap();
        if let (Value::Binary(der), true) = (row.by_name("RawCertificate").unwrap(), item.is_certificate()) {
            certificates.insert(id, (item.serial.clone().unwrap(), der));
        }
    }
    Whole { items, certificates }
}

/// The database as it was after a request.
struct Cut(Rc<Whole>, i64);

impl Inventory for Cut {
    fn maker(&self) -> Maker {
        Maker::Windows
    }

    fn each(&self, visit: &mut dyn FnMut(Item) -> Result<()>) -> Result<u64> {
        self.0.items.iter().filter(|item| item.request_id <= self.1).cloned().try_for_each(visit)?;
        Ok(0)
    }
}

/// A database that ends after a request, and sources in a folder.
struct Work {
    whole: Rc<Whole>,
    known: Known,
    dir: TempDir,
    limits: Limits,
}

impl Work {
    fn cut_at(request_id: i64) -> Self {
        let whole = WHOLE.with(Rc::clone);
        let known = Known::of(&Cut(Rc::clone(&whole), request_id)).unwrap();
        Self { whole, known, dir: tempfile::tempdir().unwrap(), limits: Limits::default() }
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> Found {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        Found::named(path)
    }

    fn certificate(&self, request_id: i64) -> &(Serial, Vec<u8>) {
        &self.whole.certificates[&request_id]
    }

    /// What comes of sources; the certificates that are kept come with it.
    fn gap(&self, take: impl FnOnce(&mut Collector<'_>)) -> (Gap, Vec<(Serial, Vec<u8>)>) {
        let kept = RefCell::new(Vec::new());
        let keep = |serial: &Serial, der: &[u8]| {
            kept.borrow_mut().push((serial.clone(), der.to_vec()));
            Ok(())
        };
        let mut collector = Collector::new(&self.known, self.limits.clone(), Box::new(keep));
        take(&mut collector);
        let gap = collector.finish();
        (gap, kept.into_inner())
    }
}

/// An event as XML.
fn event(id: u32, data: &[(&str, &str)]) -> String {
    let data: String =
        data.iter().map(|(name, value)| format!("<Data Name=\"{name}\">{value}</Data>")).collect();
    format!(
        "<Event><System><Provider Name=\"Microsoft-Windows-Security-Auditing\"/><EventID>{id}</EventID>\
         <TimeCreated SystemTime=\"2025-09-30T11:07:22.1Z\"/><Computer>kingslanding.sevenkingdoms.local</Computer>\
         </System><EventData>{data}</EventData></Event>\n"
    )
}

fn pem(der: &[u8]) -> String {
    certadm_rules::pem::encode("CERTIFICATE", der)
}

#[test]
fn each_class_of_the_gap_is_told() {
    let work = Work::cut_at(6);
    let eleven = work.certificate(11).0.as_str();
    let events = [
        event(4888, &[("RequestId", "7"), ("Requester", "SEVENKINGDOMS\\cersei.lannister")]),
        event(4887, &[("RequestId", "11"), ("Subject", "CN=Tyron.lannister"), ("SerialNumber", eleven)]),
        event(4887, &[("RequestId", "10"), ("Subject", "CN=Jaime"), ("SubjectKeyIdentifier", "1a 91")]),
        event(
            4876,
            &[("BackupType", "1"), ("SubjectUserName", "varys"), ("SubjectDomainName", "SEVENKINGDOMS")],
        ),
        event(4877, &[]),
    ];
    let events = work.file("events.xml", format!("<Events>{}</Events>", events.concat()));
    let nine = work.file("nine.cer", &work.certificate(9).1);
    let known = work.file("known.pem", pem(&work.certificate(4).1).repeat(2));
    let nonsense = work.file("nonsense.cer", b"nothing");
    let (gap, kept) = work.gap(|collector| {
        collector.events(&events).unwrap();
        for file in [&nine, &known, &nonsense] {
            collector.certificates(file).unwrap();
        }
    });
    let ids = |list: &[certadm_recovery::gap::Unknown]| {
        list.iter().map(|found| found.request_id).collect::<Vec<_>>()
    };
    assert_eq!(ids(&gap.importable), [Some(9)]);
    assert_eq!(kept, [work.certificate(9).clone()]);
    assert_eq!(ids(&gap.serial_only), [Some(11)]);
    assert_eq!(gap.serial_only[0].subject, "CN=Tyron.lannister");
    assert_eq!(gap.request_only.iter().map(|only| only.request_id).collect::<Vec<_>>(), [10]);
    assert_eq!(gap.unaccounted, [Ids { first: 8, last: 8 }]);
    assert_eq!(
        (
            gap.rpo.last_request,
            gap.rpo.highest_request,
            gap.rpo.requests,
            gap.rpo.certificates,
            gap.rpo.denied
        ),
        (6, 11, 5, 3, 1)
    );
    assert_eq!((gap.seen, gap.foreign, gap.contradictions_counted), (2, 0, 0));
    let backup = gap.last_backup.as_ref().unwrap();
    assert_eq!((backup.full, backup.account.as_str()), (true, "SEVENKINGDOMS\\varys"));
    let kinds: Vec<_> = gap.findings().iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [Kind::SourceUnreadable, Kind::GapCertificates, Kind::GapUnaccounted]);
}

#[test]
fn a_certificate_that_turns_up_is_matched_with_an_event_without_its_serial_number() {
    let work = Work::cut_at(6);
    let key = work.whole.items.iter().find(|item| item.request_id == 10).unwrap();
    assert!(key.is_certificate());
    let old = event(4887, &[("RequestId", "10"), ("Subject", "CN=Jaime")]);
    let events = work.file("events.xml", old);
    let ten = work.file("ten.pem", pem(&work.certificate(10).1));
    let (gap, _) = work.gap(|collector| {
        collector.events(&events).unwrap();
        collector.certificates(&ten).unwrap();
    });
    assert!(gap.request_only.is_empty());
    assert_eq!(gap.importable.len(), 1);
    assert_eq!(gap.importable[0].request_id, Some(10));
}

#[test]
fn what_is_of_another_ca_or_later_takes_no_part() {
    let mut work = Work::cut_at(6);
    // One bit of the signature is another: the name alone makes no certificate of this CA.
    let mut forged = work.certificate(9).1.clone();
    *forged.last_mut().unwrap() ^= 1;
    let forged = work.file("forged.cer", forged);
    let other = "<Computer>kingslanding.sevenkingdoms.local";
    let elsewhere =
        event(4887, &[("RequestId", "11"), ("SerialNumber", "6500")]).replace(other, "<Computer>ca2.example");
    let events = work.file("events.xml", format!("{elsewhere}{}", event(4888, &[("RequestId", "7")])));
    let (gap, _) = work.gap(|collector| {
        collector.certificates(&forged).unwrap();
        collector.events(&events).unwrap();
    });
    assert_eq!((gap.foreign, gap.importable.len(), gap.serial_only.len()), (0, 0, 1));
    // It may be of a key that the CA got after the backup, so it is told.
    let of_unknown_key: Vec<_> = gap.of_unknown_key.iter().map(|one| &one.serial_number).collect();
    assert_eq!(of_unknown_key, [&work.certificate(9).0]);
    assert!(!gap.is_empty() && !gap.of_unknown_key[0].self_issued);
    let told =
        gap.findings().into_iter().find(|one| one.detail.contains("name this CA as their issuer")).unwrap();
    assert!(told.kind == Kind::GapCertificates && told.detail.contains(work.certificate(9).0.as_str()));
    let (alone, _) = work.gap(|collector| collector.certificates(&forged).unwrap());
    assert_eq!(alone.findings().len(), 1, "{:?}", alone.findings());
    assert_eq!(gap.computers.len(), 2);
    assert!(gap.findings().iter().any(|finding| finding.detail.contains("several machines")));
    work.limits.computer = Some("KINGSLANDING".to_owned());
    let (gap, _) = work.gap(|collector| collector.events(&events).unwrap());
    assert_eq!((gap.serial_only.len(), gap.rpo.denied, gap.computers.len()), (0, 1, 1));
    work.limits = Limits { until: Some(FileTime::from_unix_seconds(1_700_000_000)), ..Limits::default() };
    let nine = work.file("nine.cer", &work.certificate(9).1);
    let (gap, kept) = work.gap(|collector| {
        collector.events(&events).unwrap();
        collector.certificates(&nine).unwrap();
    });
    assert!(gap.is_empty() && kept.is_empty(), "{gap:?}");
}

#[test]
fn contradictions_are_told_and_nothing_follows_from_them() {
    let work = Work::cut_at(6);
    let four = work.certificate(4).0.as_str();
    let events = [
        event(4888, &[("RequestId", "4")]),
        event(4887, &[("RequestId", "4"), ("SerialNumber", "650000000404040404040404040000000000ff")]),
        event(4887, &[("RequestId", "9"), ("SerialNumber", four)]),
        event(4887, &[("RequestId", "4"), ("SerialNumber", four)]),
    ];
    let events = work.file("events.xml", events.concat());
    let (gap, _) = work.gap(|collector| collector.events(&events).unwrap());
    let what: Vec<_> = gap.contradictions.iter().map(|one| one.what).collect();
    assert_eq!(
        what,
        [Disagreement::DeniedElsewhere, Disagreement::OtherCertificate, Disagreement::OtherRequest]
    );
    assert!(gap.importable.is_empty() && gap.serial_only.is_empty() && gap.request_only.is_empty());
    assert_eq!((gap.seen, gap.rpo.requests), (1, 0));
}

#[test]
fn revocations_are_handed_on() {
    let work = Work::cut_at(6);
    let (four, nine, eleven) = (&work.certificate(4).0, &work.certificate(9).0, &work.certificate(11).0);
    let revoked = |serial: &Serial, reason: &str| {
        event(4870, &[("CertificateSerialNumber", serial.as_str()), ("RevocationReason", reason)])
    };
    let events = [revoked(four, "1"), revoked(nine, "4"), revoked(eleven, "0")].concat();
    let events = work.file("events.xml", events);
    let nine_file = work.file("nine.cer", &work.certificate(9).1);
    let to = work.dir.path().join("gap");
    let mut folder = Folder::begin(&to).unwrap();
    let (gap, kept) = work.gap(|collector| {
        collector.events(&events).unwrap();
        collector.certificates(&nine_file).unwrap();
    });
    for (serial, der) in &kept {
        Folder::keep(folder.import(), serial, der).unwrap();
    }
    folder.write(&gap, "<!doctype html>", certadm_rules::FileTime(i64::MAX)).unwrap();
    assert!(!to.exists());
    folder.place().unwrap();
    let read = |name: &str| fs::read_to_string(to.join(name)).unwrap();
    let revocations = read("revoke-only.csv");
    for line in [
        format!("{four},keyCompromise,2025-09-30T11:07:22Z\r\n"),
        format!("{nine},superseded,2025-09-30T11:07:22Z\r\n"),
        format!("{eleven},unspecified,2025-09-30T11:07:22Z\r\n"),
    ] {
        assert!(revocations.contains(&line), "{revocations}");
    }
    let now = FileTime::from_unix_seconds(1_800_000_000);
    assert_eq!(certadm_recovery::Revocation::parse_csv(&revocations, now, &mut Vec::new()).unwrap().len(), 3);
    let commands = read("return.cmd");
    assert!(commands.contains(&format!("certutil -importcert \"import\\{nine}.cer\"\r\n")), "{commands}");
    assert!(commands.contains(&format!("certutil -revoke {four} 1\r\n")), "{commands}");
    assert!(commands.contains(&format!("certutil -revoke {eleven} 0\r\n")), "it must be missed: {commands}");
    // A CRL of now would undo what was ordered in the emergency CRL: that folder's own file publishes.
    assert!(!commands.lines().any(|line| line.starts_with("certutil -crl")), "{commands}");
    assert!(commands.contains("Run return.cmd in the folder of the emergency CRL now"), "{commands}");
    assert_eq!(fs::read(to.join(format!("import/{nine}.cer"))).unwrap(), work.certificate(9).1);
    assert!(Folder::begin(&to).is_err(), "nothing is overwritten");
    // An event of a machine whose clock is ahead: the list says no date, which is now.
    let ahead = work.dir.path().join("ahead");
    let mut folder = Folder::begin(&ahead).unwrap();
    folder.write(&gap, "", FileTime::from_unix_seconds(1_700_000_000)).unwrap();
    folder.place().unwrap();
    let revocations = fs::read_to_string(ahead.join("revoke-only.csv")).unwrap();
    assert!(revocations.contains(&format!("{four},keyCompromise,\r\n")), "{revocations}");
}

#[test]
fn text_from_events_becomes_no_command_and_no_formula() {
    let work = Work::cut_at(6);
    let evil = "&quot; &amp; del C:\\ %PATH% &lt;script&gt;";
    let events = [
        event(
            4887,
            &[("RequestId", "11"), ("SerialNumber", "65&amp;del"), ("Subject", evil), ("Requester", evil)],
        ),
        event(
            4887,
            &[("RequestId", "12"), ("SerialNumber", "6500"), ("Subject", "=1+1"), ("Requester", "@x")],
        ),
        event(4870, &[("CertificateSerialNumber", "6500 &amp; calc"), ("RevocationReason", "1")]),
    ];
    let events = work.file("events.xml", events.concat());
    let (gap, _) = work.gap(|collector| collector.events(&events).unwrap());
    assert_eq!((gap.request_only.len(), gap.serial_only.len()), (1, 1));
    let to = work.dir.path().join("gap");
    let mut folder = Folder::begin(&to).unwrap();
    folder.write(&gap, "", certadm_rules::FileTime(i64::MAX)).unwrap();
    folder.place().unwrap();
    let commands = fs::read_to_string(to.join("return.cmd")).unwrap();
    for line in commands.lines().filter(|line| line.starts_with("certutil")) {
        assert!(
            line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" -\"\\.".contains(&byte)),
            "{line}"
        );
    }
    let table = fs::read_to_string(to.join("gap.csv")).unwrap();
    assert!(table.contains(",'=1+1,'@x,"), "{table}");
    assert!(fs::read_to_string(to.join("revoke-only.csv")).unwrap().contains("6500,certificateHold,\r\n"));
}

#[test]
fn sources_that_break_off_are_used_as_far_as_they_go() {
    let work = Work::cut_at(6);
    let events = work.file("events.xml", format!("{}<Event><Sys", event(4888, &[("RequestId", "7")])));
    let unicode: Vec<u8> = format!("\u{feff}{}", event(4888, &[("RequestId", "8")]))
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let unicode = work.file("unicode.xml", unicode);
    let base64 = pem(&work.certificate(9).1);
    let base64: String =
        base64.lines().filter(|line| !line.starts_with("---")).collect::<Vec<_>>().join("\n ");
    let ldif = work
        .file("users.ldif", format!("dn: CN=a\nuserCertificate:: {base64}\nuserCertificate:< file:///x\n"));
    let crl = work.file("crl.crl", b"no crl");
    let (gap, _) = work.gap(|collector| {
        collector.events(&events).unwrap();
        collector.events(&unicode).unwrap();
        collector.ldif(&ldif).unwrap();
        collector.crl(&crl).unwrap();
    });
    assert_eq!((gap.rpo.denied, gap.importable.len()), (2, 1));
    let problems: Vec<_> =
        gap.sources.iter().map(|source| (source.problem.is_some(), source.unreadable)).collect();
    assert_eq!(problems, [(true, 0), (false, 0), (false, 1), (true, 0)]);
    assert!(
        work.gap(|collector| assert!(collector.events(&Found::named(Path::new("/dev/null"))).is_err()))
            .0
            .is_empty()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A database is cut anywhere, and the rest is told by sources of several kinds: then the gap is the rest.
    #[test]
    fn the_rest_of_a_database_is_its_gap(cut in 2i64..12, kinds in proptest::collection::vec(0u8..3, 16)) {
        let work = Work::cut_at(cut);
        let (mut events, mut certificates) = (String::new(), String::new());
        let mut expected = (Vec::new(), Vec::new(), Vec::new());
        for item in &work.whole.items {
            let id = item.request_id.to_string();
            let kind = kinds[usize::try_from(item.request_id).unwrap() % kinds.len()];
            let is_new = cut < item.request_id;
            match (work.whole.certificates.get(&item.request_id), kind) {
                (Some((serial, der)), 0) => {
                    certificates.push_str(&pem(der));
                    if is_new { expected.0.push(serial.clone()); }
                }
                (Some((serial, _)), 1) => {
                    events.push_str(&event(4887, &[("RequestId", &id), ("SerialNumber", serial.as_str())]));
                    if is_new { expected.1.push(serial.clone()); }
                }
                (Some(_), _) => {
                    events.push_str(&event(4887, &[("RequestId", &id), ("SubjectKeyIdentifier", "00")]));
                    if is_new { expected.2.push(item.request_id); }
                }
                (None, _) if 2 < item.request_id => events.push_str(&event(4888, &[("RequestId", &id)])),
                _ => {}
            }
        }
        let (events, certificates) = (work.file("e.xml", events), work.file("c.pem", certificates));
        let (gap, _) = work.gap(|collector| {
            collector.events(&events).unwrap();
            collector.certificates(&certificates).unwrap();
        });
        let serials = |list: &[certadm_recovery::gap::Unknown]| {
            list.iter().map(|found| found.serial_number.clone()).collect::<Vec<_>>()
        };
        prop_assert_eq!(serials(&gap.importable), expected.0);
        prop_assert_eq!(serials(&gap.serial_only), expected.1);
        prop_assert_eq!(gap.request_only.iter().map(|only| only.request_id).collect::<Vec<_>>(), expected.2);
        prop_assert_eq!(gap.contradictions_counted, 0);
        prop_assert!(gap.unaccounted.is_empty(), "{:?}", gap.unaccounted);
    }
}

/// A row of the certificates that cannot be read, and one whose number is wrong, cost nothing of the others.
#[test]
fn a_damaged_certificate_leaves_the_later_ones_known() {
    let whole = WHOLE.with(Rc::clone);
    let known: Vec<i64> =
        whole.items.iter().filter(|item| item.serial.is_some()).map(|item| item.request_id).collect();
    let first = known[0];
    let original = certlog();
    let position = {
        let database = Database::open(&original[..]).unwrap();
        let table = database.table("Certificates").unwrap();
        let row = table.row_by_number(i32::try_from(first).unwrap()).unwrap().unwrap();
        row.position()
    };
    // Where its columns of variable length begin, and its number.
    for (at, bytes, lost) in [(2, &[0xFF, 0xFF][..], 1), (4, &i32::MAX.to_le_bytes()[..], 0)] {
        let mut bytes_of_all = original.clone();
        overwrite(&mut bytes_of_all, position, at, bytes);
        let database = Database::open(bytes_of_all).unwrap();
        let mut found = Vec::new();
        let inventory = WindowsInventory { database: &database, damage: Damage::Accepted };
        let unreadable = inventory.each(&mut |item| {
            found.extend(item.serial.is_some().then_some(item.request_id));
            Ok(())
        });
        assert_eq!(unreadable.unwrap(), lost);
        assert_eq!(found, known[usize::try_from(lost).unwrap()..]);
    }
}
