//! The chain of evidence: what it shows, and where it shows that it was touched.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use certadm_rehearsal::evidence::{Evidence, Folder, History, history_page, metrics, previous_of};
use certadm_rehearsal::{Error, Limits, Outcome, Proof, Step, Wishes};
use certadm_store::now;

use crate::support::{Work, add, later, step};

/// A folder with so many rehearsals of one set.
fn chain(count: usize) -> (Work, PathBuf, Vec<PathBuf>) {
    let work = Work::new();
    let full = work.full("full");
    let dir = work.path("evidence");
    let files = (0..count)
        .map(|_| {
            let shown = work.rehearse(&work.wishes(&[&full]));
            add(&dir, &shown)
        })
        .collect();
    (work, dir, files)
}

fn breaks(dir: &std::path::Path) -> Vec<String> {
    let history = History::of(&Folder::at(dir), None, now()).unwrap();
    history.breaks.into_iter().map(|one| format!("{}: {}", one.file, one.detail)).collect()
}

#[test]
fn a_chain_holds_until_a_file_is_taken_out_changed_or_put_in() {
    let (_work, dir, files) = chain(3);
    let history = History::of(&Folder::at(&dir), None, now()).unwrap();
    assert_eq!((history.runs.len(), breaks(&dir)), (3, vec![]));
    assert!(files.iter().all(|file| file.with_extension("html").is_file()));
    let numbers: Vec<u64> = history.runs.iter().map(|kept| kept.evidence.run).collect();
    assert_eq!(numbers, [1, 2, 3]);
    // Changed: one number less in the second one.
    let whole = fs::read_to_string(&files[1]).unwrap();
    fs::write(&files[1], whole.replace("\"certificates_proven\": 3", "\"certificates_proven\": 4")).unwrap();
    assert!(breaks(&dir)[0].contains("it was changed after"), "{:?}", breaks(&dir));
    // Taken out.
    fs::remove_file(&files[1]).unwrap();
    assert!(breaks(&dir)[0].contains("which is not there"), "{:?}", breaks(&dir));
    fs::write(&files[1], &whole).unwrap();
    assert!(breaks(&dir).is_empty());
    // The first one.
    let first = fs::read(&files[0]).unwrap();
    fs::remove_file(&files[0]).unwrap();
    assert!(breaks(&dir)[0].contains("which is not there"));
    fs::write(&files[0], &first).unwrap();
    // Put in.
    fs::copy(&files[1], dir.join("2020-01-01T000000Z.json")).unwrap();
    assert!(!breaks(&dir).is_empty());
    fs::remove_file(dir.join("2020-01-01T000000Z.json")).unwrap();
    // Not readable: told, and nothing more is added behind it.
    fs::write(&files[2], "{}").unwrap();
    assert!(breaks(&dir)[0].contains("cannot be read"));
    assert!(matches!(Folder::at(&dir).all(), Err(Error::Evidence { .. })));
}

#[test]
fn what_stays_open_keeps_its_date_and_what_is_mended_is_closed() {
    let work = Work::new();
    let (full, dir) = (work.full("full"), work.path("evidence"));
    let open = |number: usize| {
        let file = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> = file.filter(|path| path.extension().unwrap() == "json").collect();
        files.sort();
        Evidence::parse(&fs::read(&files[number]).unwrap(), &files[number]).unwrap()
    };
    let short = Limits { rto: Some(Duration::ZERO), ..Limits::default() };
    for (limits, identity) in [(short, None), (short, None), (Limits::default(), Some(work.path("identity")))]
    {
        let shown = work.rehearse(&Wishes { limits, identity, ..work.wishes(&[&full]) });
        add(&dir, &shown);
        std::thread::sleep(Duration::from_millis(1100)); // files are named by the second
    }
    let (first, second, third) = (open(0), open(1), open(2));
    let ids = |evidence: &Evidence| evidence.findings.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&first), ["step:complete:skipped", "step:times:fail"]);
    assert_eq!(ids(&first), ids(&second));
    assert!(second.findings.iter().all(|finding| finding.open_since == first.started));
    assert_ne!(second.started, first.started);
    assert_eq!((ids(&third), third.closed.len(), third.unchecked.len()), (vec![], 2, 0));
    assert!(third.closed.iter().all(|finding| finding.open_since == first.started));
    assert_eq!(third.verdict.proof, Proof::Proven);
}

/// The evidence of a run that found fewer certificates has these counts, too. They are no measure for the next one.
#[test]
fn fewer_certificates_fail_every_rehearsal_until_they_are_accepted() {
    let work = Work::new();
    let (older, dir) = (work.full("older"), work.path("evidence"));
    work.issue("four");
    let newer = work.full("newer");
    let count = |set: &PathBuf, accept_fewer: bool| {
        let previous = previous_of(&Folder::at(&dir).all().unwrap());
        let shown = work.rehearse(&Wishes { previous, accept_fewer, ..work.wishes(&[set]) });
        add(&dir, &shown);
        step(&shown, Step::Count).0
    };
    assert_eq!(count(&newer, false), Outcome::Pass);
    assert_eq!(count(&older, false), Outcome::Fail);
    assert_eq!(count(&older, false), Outcome::Fail, "what failed heals nothing");
    assert_eq!(count(&newer, false), Outcome::Pass);
    assert_eq!(count(&older, true), Outcome::Pass);
    assert_eq!(count(&older, false), Outcome::Pass, "it was accepted once");
}

#[test]
fn what_was_not_looked_at_stays_open() {
    let work = Work::new();
    let (full, dir) = (work.full("full"), work.path("evidence"));
    add(&dir, &work.rehearse(&Wishes { identity: None, ..work.wishes(&[&full]) }));
    let gone = work.path("gone");
    let shown = work.rehearse(&work.wishes(&[&gone]));
    let file = add(&dir, &shown);
    let second = Evidence::parse(&fs::read(&file).unwrap(), &file).unwrap();
    assert_eq!(second.verdict.proof, Proof::NotProven);
    assert_eq!(second.certificates_proven, 0);
    assert_eq!(second.unchecked[0].step, Step::Complete);
    // It comes back with its old date.
    let file = add(&dir, &work.rehearse(&Wishes { identity: None, ..work.wishes(&[&full]) }));
    let third = Evidence::parse(&fs::read(&file).unwrap(), &file).unwrap();
    assert_eq!(third.findings[0].open_since, second.unchecked[0].open_since);
}

#[test]
fn the_history_knows_gaps_and_the_page_and_the_metrics_show_them() {
    let (_work, dir, _) = chain(2);
    let week = Duration::from_secs(7 * 86_400);
    let in_a_month = later(now(), 30 * 86_400);
    let fresh = History::of(&Folder::at(&dir), Some(week), now()).unwrap();
    assert!(fresh.gaps.is_empty() && fresh.longest_seconds.unwrap() < 3600);
    let late = History::of(&Folder::at(&dir), Some(week), in_a_month).unwrap();
    assert_eq!(late.gaps.len(), 1);
    assert_eq!((late.gaps[0].until.as_ref(), late.longest_seconds), (None, Some(late.gaps[0].seconds)));
    let page = history_page(&late, in_a_month);
    assert!(page.contains("Time without proof") && page.contains("PROVEN") && page.ends_with("</html>\n"));
    assert!(!page.contains("<script"));
    let text = metrics(&late, in_a_month);
    for name in ["last_success_timestamp_seconds", "rpo_seconds", "rto_seconds", "verdict", "crl_expiry_days"]
    {
        assert!(text.contains(&format!("certadm_rehearsal_{name}{{ca=\"Test CA\"}} ")), "{name}: {text}");
    }
    assert!(matches!(
        History::of(&Folder::at(&dir.join("none")), None, now()),
        Err(Error::NoEvidence { .. })
    ));
}
