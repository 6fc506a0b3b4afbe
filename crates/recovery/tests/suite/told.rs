//! Revocations that sources tell of certificates which the database knows: the order in which they come does not matter, and
//! what the database has had already is no news.

use std::fs;

use certadm_files::Found;
use certadm_recovery::Known;
use certadm_recovery::diff::{Change, diff};
use certadm_recovery::gap::{Collector, Gap, Limits};
use certadm_rules::FileTime;
use rusqlite::Connection;

use crate::openssl::Openssl;

/// The newest moment of the database, 2030-03-17T17:46:40Z; the present is a month later.
const NEWEST: i64 = 1_900_000_000;
const HOUR: i64 = 3600;

const HOLD: i32 = 6;
const RELEASED: i32 = -1;

/// A database of our own CA with one certificate, whose serial number is 04, and sources.
struct Work {
    openssl: Openssl,
    known: Known,
}

fn with_ca() -> Openssl {
    let openssl = Openssl::new();
    openssl.key("ca", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    openssl.ca("ca", "ca", None, "");
    openssl
}

/// The certificate was revoked an hour before the newest moment, where there is a reason.
fn database(openssl: &Openssl, reason: Option<i32>) -> Connection {
    let database = Connection::open_in_memory().unwrap();
    database
        .execute_batch(
            "CREATE TABLE Requests (RequestID, Disposition, ResolvedWhen, SubmittedWhen, RevokedEffectiveWhen, \
             RevokedReason); CREATE TABLE Certificates (RequestID, SerialNumber, NotAfter, CommonName, \
             EnrollmentFlags, RawCertificate); CREATE TABLE CRLs (ThisPublish);",
        )
        .unwrap();
    let at = |hours: i64| FileTime::from_unix_seconds(NEWEST + hours * HOUR).0;
    // What a row keeps of a hold that was taken back is nothing: the last CRL is newer than every row.
    database.execute("INSERT INTO CRLs VALUES (?1)", [at(0)]).unwrap();
    for (id, serial, disposition, when, reason) in [
        (1, "01", 15, at(-90), None),
        (2, "04", if reason.is_some() { 21 } else { 20 }, at(-80), reason),
        (3, "05", 20, at(-70), None),
    ] {
        let row = (id, disposition, when, reason.map(|_| at(-1)), reason);
        database.execute("INSERT INTO Requests VALUES (?1, ?2, ?3, ?3, ?4, ?5)", row).unwrap();
        let certificate = (id == 1).then(|| openssl.der("ca"));
        let row = (id, serial, certificate);
        database.execute("INSERT INTO Certificates VALUES (?1, ?2, NULL, NULL, NULL, ?3)", row).unwrap();
    }
    database
}

impl Work {
    fn new(reason: Option<i32>) -> Self {
        let openssl = with_ca();
        let known = Known::of(&database(&openssl, reason)).unwrap();
        Self { openssl, known }
    }

    /// What is told so many hours after the newest moment, as a log of these events in this order.
    fn log(&self, events: &[(i64, i32)]) -> Found {
        let event = |(hours, reason): &(i64, i32)| {
            let when = FileTime::from_unix_seconds(NEWEST + hours * HOUR).to_rfc3339();
            format!(
                "<Event><System><Provider Name=\"Microsoft-Windows-Security-Auditing\"/><EventID>4870</EventID>\
                 <TimeCreated SystemTime=\"{when}\"/><Computer>ca1</Computer></System><EventData>\
                 <Data Name=\"CertificateSerialNumber\">04</Data><Data Name=\"RevocationReason\">{reason}</Data>\
                 </EventData></Event>\n"
            )
        };
        let events: String = events.iter().map(event).collect();
        let path = self.openssl.path("events.xml");
        fs::write(&path, format!("<Events>{events}</Events>")).unwrap();
        Found::named(path)
    }

    /// A CRL that was made on this day of March 2030, and lists the certificate since then or an earlier day.
    fn crl(&self, made: u32, since: u32, reason: &str) -> Found {
        let (made, since) = (format!("3003{made:02}000000Z"), format!("3003{since:02}000000Z"));
        let der =
            self.openssl.generated_crl("66", (&made, "310101000000Z"), "", "", &[("04", &since, reason)]);
        let path = self.openssl.path("crl.crl");
        fs::write(&path, der).unwrap();
        Found::named(path)
    }

    fn gap(&self, take: impl FnOnce(&mut Collector<'_>)) -> Gap {
        let now = Some(FileTime::from_unix_seconds(NEWEST + 30 * 24 * HOUR));
        let limits = Limits { now, ..Limits::default() };
        let mut collector = Collector::new(&self.known, limits, Box::new(|_, _| Ok(())));
        take(&mut collector);
        collector.finish()
    }

    /// The code of the reason that is news after these events, whatever their order; nothing where nothing is.
    fn news(&self, events: &[(i64, i32)]) -> Option<i32> {
        let backwards: Vec<_> = events.iter().rev().copied().collect();
        let [one, other] = [events, &backwards].map(|events| {
            let log = self.log(events);
            reason_in(&self.gap(|collector| collector.events(&log).unwrap()))
        });
        assert_eq!(one, other, "{events:?}");
        one
    }

    fn news_of_crl(&self, crl: &Found) -> Option<i32> {
        reason_in(&self.gap(|collector| collector.crl(crl).unwrap()))
    }
}

fn reason_in(gap: &Gap) -> Option<i32> {
    assert!(gap.serial_only.is_empty() && gap.sources.iter().all(|source| source.problem.is_none()));
    assert_eq!(gap.revoked_elsewhere.is_empty(), gap.seen != 0, "what is no news was seen: {gap:?}");
    gap.revoked_elsewhere.first().map(|entry| entry.revoked.reason.code())
}

const TAKEN_BACK: i32 = 8;

#[test]
fn the_order_of_events_changes_nothing() {
    for reason in [None, Some(RELEASED)] {
        let work = Work::new(reason);
        for (events, expected) in [
            (&[(1, 1)][..], Some(1)),
            (&[(1, HOLD)], Some(HOLD)),
            (&[(1, HOLD), (2, TAKEN_BACK)], None),
            (&[(1, HOLD), (2, TAKEN_BACK), (3, HOLD)], Some(HOLD)),
            (&[(1, HOLD), (2, TAKEN_BACK), (3, 4)], Some(4)),
            (&[(1, TAKEN_BACK), (2, 1)], Some(1)),
        ] {
            assert_eq!(work.news(events), expected, "{reason:?} {events:?}");
        }
    }
    let held = Work::new(Some(HOLD));
    for (events, expected) in [
        (&[(1, 1)][..], Some(1)),
        (&[(1, HOLD)], None),
        (&[(1, TAKEN_BACK)], Some(TAKEN_BACK)),
        (&[(1, TAKEN_BACK), (2, HOLD)], None),
        (&[(1, TAKEN_BACK), (2, 1)], Some(1)),
        // No CA takes that back.
        (&[(1, 1), (2, TAKEN_BACK)], Some(1)),
    ] {
        assert_eq!(held.news(events), expected, "{events:?}");
    }
    let revoked = Work::new(Some(4));
    assert_eq!(revoked.news(&[(1, 1)]), None);
    assert_eq!(revoked.news(&[(1, HOLD), (2, TAKEN_BACK)]), None);
}

/// The row has what happened before its database was backed up, and it knows the end of that, too.
#[test]
fn a_hold_that_is_older_than_the_database_is_no_news() {
    for reason in [None, Some(RELEASED)] {
        let work = Work::new(reason);
        assert_eq!(work.news(&[(-5, HOLD)]), None);
        assert_eq!(work.news(&[(-5, HOLD), (-4, TAKEN_BACK), (1, HOLD)]), Some(HOLD));
        // A revocation for good cannot have been taken back, so it is told.
        assert_eq!(work.news(&[(-5, 1)]), Some(1));
        assert_eq!(work.news_of_crl(&work.crl(16, 15, "certificateHold")), None);
        assert_eq!(work.news_of_crl(&work.crl(16, 15, "keyCompromise")), Some(1));
        // CRLs are dated back by ten minutes: this one was made three minutes after the backup.
        let before = |minutes: i64| {
            let at = FileTime::from_unix_seconds(NEWEST - minutes * 60).to_rfc3339();
            let at: String = at.chars().filter(char::is_ascii_alphanumeric).filter(|c| *c != 'T').collect();
            let entry = ("04", "300315000000Z", "certificateHold");
            let der = work.openssl.generated_crl("66", (&at[2..], "310101000000Z"), "", "", &[entry]);
            fs::write(work.openssl.path("crl.crl"), der).unwrap();
            work.news_of_crl(&Found::named(work.openssl.path("crl.crl")))
        };
        assert_eq!((before(7), before(13)), (Some(HOLD), None));
        // Ordered after the backup, and dated back.
        assert_eq!(work.news_of_crl(&work.crl(19, 15, "certificateHold")), Some(HOLD));
        // A CRL from a time that is still to come does not say when it was made.
        fs::remove_file(work.openssl.path("crl.crl")).unwrap();
        let ahead = work.openssl.generated_crl(
            "66",
            ("301231000000Z", "320101000000Z"),
            "",
            "",
            &[("04", "300315000000Z", "certificateHold")],
        );
        fs::write(work.openssl.path("ahead.crl"), ahead).unwrap();
        assert_eq!(work.news_of_crl(&Found::named(work.openssl.path("ahead.crl"))), None);
    }
    let held = Work::new(Some(HOLD));
    assert_eq!(held.news(&[(-5, TAKEN_BACK)]), None, "it was put on hold once more");
    assert_eq!(held.news_of_crl(&held.crl(16, 15, "keyCompromise")), Some(1));
}

#[test]
fn a_hold_that_was_taken_back_is_no_revocation_of_another_reason() {
    let openssl = with_ca();
    let changes = |before: Option<i32>, after: Option<i32>| {
        let mut changes = Vec::new();
        let counts = diff(&database(&openssl, before), &database(&openssl, after), None, &mut |difference| {
            changes.push(difference.change);
            Ok(())
        });
        assert_eq!(counts.unwrap().is_empty(), changes.is_empty());
        changes
    };
    for in_force in [None, Some(RELEASED)] {
        assert_eq!(changes(Some(HOLD), in_force), [Change::Unrevoked]);
        assert_eq!(changes(in_force, Some(HOLD)), [Change::Revoked]);
        assert_eq!(changes(in_force, in_force), []);
        assert_eq!(changes(None, in_force), []);
    }
    assert_eq!(changes(Some(HOLD), Some(1)), [Change::Reason]);
}
