//! The rehearsal: its steps in order (recovery.md 8.2).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use certadm_ca::Serial;
use certadm_recovery::{Anchors, Damage, Issuers, PublishedCrl, Records, Row};
use certadm_rules::finding::{Finding, Kind};
use certadm_rules::words::counted;
use certadm_rules::{FileTime, Hresult};
use certadm_set::Opened;
use certadm_set::progress::Progress;
use certadm_set::verify::{Report, verify, verify_signed};

use crate::count::{Counted, Counts};
use crate::crl::{Listed, Planned, asked_of, published, tell_deadline, try_keys};
use crate::error::{Error, Result};
use crate::latest::Chain;
use crate::ours::Ours;
use crate::place::{Place, Purpose, check_space};
use crate::sample::{Choice, Judge, SampleFacts};
use crate::step::{Notes, Outcome, Step, StepRecord, Steps, Trouble, Watch};
use crate::times::{Times, late};
use crate::verdict::Verdict;
use crate::windows::Windows;
use crate::wishes::{Keys, Sample, Wishes};

/// Whose set it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaFacts {
    /// The common name of the CA.
    pub name: String,
    /// The identifier of its newest key, hexadecimal; empty where the database could not be read.
    pub key_identifier: String,
    /// When the newest of its certificates ends.
    pub not_after: Option<FileTime>,
}

/// What a rehearsal showed.
#[derive(Debug)]
pub struct Rehearsal {
    /// When it began and ended.
    pub span: (FileTime, FileTime),
    /// The moment that counts as now.
    pub now: FileTime,
    /// The sets, full one first; empty where none was found.
    pub sets: Vec<PathBuf>,
    /// Whether they are of a Windows CA; nothing where none was found.
    pub of_windows: Option<bool>,
    /// The generations of logs, first to last.
    pub generations: Option<(u32, u32)>,
    /// The steps.
    pub steps: Vec<StepRecord>,
    /// What was found on the way, and in which step.
    pub findings: Vec<(Step, Finding)>,
    /// Whose it is.
    pub ca: CaFacts,
    /// What the restored database holds, where it could be read.
    pub counts: Option<Counts>,
    /// Which certificates were checked.
    pub sample: Option<SampleFacts>,
    /// RPO and RTO.
    pub times: Times,
    /// When the last CRL ends that others can have.
    pub crl_end: Option<FileTime>,
    /// What it comes to.
    pub verdict: Verdict,
    /// The scratch folder, if it was to be kept.
    pub kept: Option<PathBuf>,
    /// What rehearsals that were killed had left, and what is gone now.
    pub removed: Vec<PathBuf>,
}

/// Rehearses a restore: everything that a restore does is done, in a scratch folder, and looked at as others would look at
/// it. Neither the CA nor the sets are touched; keys stay in memory, and nothing listens but on loopback.
///
/// What goes wrong is told in [`Rehearsal::steps`].
///
/// # Errors
/// [`Error::NoRoom`](crate::Error::NoRoom), [`Error::ALiveCa`](crate::Error::ALiveCa) and the like, when nothing was shown at
/// all; [`Error::File`](crate::Error::File) when the process was asked to stop.
pub fn rehearse(wishes: &Wishes, progress: &mut dyn Progress, watch: &mut dyn Watch) -> Result<Rehearsal> {
    let began = certadm_store::now();
    if let Ok(Opened::Folder(folder)) = certadm_set::open(&wishes.sets) {
        return Err(Error::ALiveCa { path: folder.path().to_owned() });
    }
    let mut steps = Steps::new(watch);
    let mut facts = Facts::default();
    let chain = steps.run(Step::Find, Some(()), |(), notes| find(wishes, notes))?;
    if let Some(chain) = &chain {
        let room = chain.room(wishes.own_copies);
        steps.watch.needs_room(room.saturating_add(chain.published()), &wishes.within);
        check_space(&wishes.within, room, Purpose::Rehearsal)?;
        facts.taken = chain.taken;
        facts.of_windows = Some(matches!(chain.opened, Opened::Windows(_)));
    }
    let place = Place::make(&wishes.within, Purpose::Rehearsal)?;
    let verified = steps.run(Step::Verify, chain.as_ref(), |chain, notes| {
        checked(&chain.paths, wishes, progress, notes, &mut facts)
    })?;
    let needs = chain.as_ref().zip(verified.as_ref());
    let restored = steps.run(Step::Restore, needs, |(chain, _), notes| {
        Restored::of(chain, place.path(), wishes, progress, notes)
    })?;
    let needs = restored.as_ref().zip(verified.as_ref());
    let read = steps.run(Step::Count, needs, |(restored, report), notes| {
        count(restored, report, wishes, notes, &mut facts)
    })?;
    rest(&mut steps, wishes, chain.as_ref().zip(restored.as_ref()), read, &mut facts)?;
    let seconds = steps.seconds_until_back();
    steps.run(Step::Times, chain.as_ref(), |_, notes| {
        facts.times = Times::of(facts.taken, facts.counted.newest, seconds, wishes);
        late(&facts.times, wishes, notes)
    })?;
    let removed = place.removed.clone();
    let mut kept = None;
    steps.run(Step::CleanUp, Some(()), |(), notes| {
        let closed = restored.map_or(Ok(()), Restored::close);
        if wishes.keep {
            let path = kept.insert(place.keep());
            notes.detail = format!("{} was to be kept", path.display());
        } else {
            place.remove()?;
            "nothing is left of the restored CA".clone_into(&mut notes.detail);
        }
        Ok(closed?)
    })?;
    let Steps { records, findings, .. } = steps;
    Ok(Rehearsal {
        span: (began, certadm_store::now()),
        now: wishes.now,
        sets: chain.map(|chain| chain.paths).unwrap_or_default(),
        of_windows: facts.of_windows,
        generations: facts.generations,
        verdict: Verdict::of(&records),
        steps: records,
        findings,
        ca: facts.ca,
        counts: facts.read.then_some(facts.counted.counts),
        sample: facts.sample,
        times: facts.times,
        crl_end: facts.crl_end,
        kept,
        removed,
    })
}

/// What the steps find out on the way.
#[derive(Default)]
struct Facts {
    taken: Option<FileTime>,
    of_windows: Option<bool>,
    generations: Option<(u32, u32)>,
    ca: CaFacts,
    counted: Counted,
    read: bool,
    sample: Option<SampleFacts>,
    times: Times,
    crl_end: Option<FileTime>,
}

fn find(wishes: &Wishes, notes: &mut Notes) -> Result<Chain, Trouble> {
    let allowed = wishes.allowed_signers.as_ref();
    let chain = match &wishes.latest_in {
        Some(dir) => Chain::latest_in(dir, &wishes.sets, allowed, &mut notes.findings)?,
        None => Chain::named(&wishes.sets, allowed)?,
    };
    let logs = chain.paths.len().saturating_sub(1) as u64;
    let first = chain.paths.first().map(|path| path.display().to_string()).unwrap_or_default();
    notes.detail = format!("{}: {first} and {}", chain.opened.word(), counted(logs, "log set"));
    if let Some(taken) = chain.taken {
        notes.detail.push_str(&format!(", taken {}", taken.to_rfc3339()));
    }
    let signers: BTreeSet<_> = chain.signed_by.iter().map(|by| by.principals.as_str()).collect();
    if !signers.is_empty() {
        let signers: Vec<_> = signers.into_iter().collect();
        notes.detail.push_str(&format!(", signed by {}", signers.join(" and ")));
    }
    Ok(chain)
}

fn checked(
    paths: &[PathBuf],
    wishes: &Wishes,
    progress: &mut dyn Progress,
    notes: &mut Notes,
    facts: &mut Facts,
) -> Result<Report, Trouble> {
    let report = match &wishes.allowed_signers {
        Some(allowed) => verify_signed(paths, allowed, progress),
        None => verify(paths, progress),
    };
    certadm_files::cancel::check()?;
    facts.generations = report.range.map(|range| (range.low().number(), range.high().number()));
    notes.detail = report.verdict();
    let code = report.findings.first().map_or(Hresult::DATABASE_CORRUPTED, |finding| finding.code);
    notes.findings.extend(report.findings.iter().cloned());
    if report.is_restorable() {
        return Ok(report);
    }
    let remedy = "run `certadm verify` on the sets, and take one from another copy, or an older one";
    Err(Trouble::fail(code, report.verdict(), remedy))
}

/// What a restore gave.
enum Restored {
    Ours(Box<Ours>),
    Windows(Box<Windows>),
}

impl Restored {
    fn of(
        chain: &Chain,
        scratch: &Path,
        wishes: &Wishes,
        progress: &mut dyn Progress,
        notes: &mut Notes,
    ) -> Result<Self, Trouble> {
        Ok(match &chain.opened {
            Opened::Windows(sets) => {
                Self::Windows(Box::new(Windows::recover(sets, &scratch.join("database"), progress, notes)?))
            }
            Opened::Ours(_) | Opened::Folder(_) => {
                let dir = scratch.join("ca");
                Self::Ours(Box::new(Ours::restore(&chain.paths, &dir, wishes, progress, notes)?))
            }
        })
    }

    fn counted(&self) -> Result<Counted> {
        match self {
            Self::Ours(ours) => Counted::of_ours(ours.store.writer()?.connection()),
            Self::Windows(windows) => Counted::of_windows(&windows.database),
        }
    }

    /// Reads every row; `see` is shown each.
    fn records(&self, now: FileTime, asked: BTreeSet<Serial>, see: &mut dyn FnMut(&Row)) -> Result<Records> {
        Ok(match self {
            Self::Ours(ours) => Records::of_ours_seen(ours.store.writer()?.connection(), now, asked, see)?,
            Self::Windows(windows) => {
                Records::of_windows_seen(&windows.database, now, asked, Damage::Refused, see)?
            }
        })
    }

    fn close(self) -> Result<()> {
        match self {
            Self::Ours(ours) => ours.close(),
            Self::Windows(_) => Ok(()),
        }
    }
}

/// What was read of the restored database.
struct Read {
    records: Records,
    anchors: Anchors,
    issuers: Issuers,
    choice: Option<Choice>,
    /// The CRLs that the CA has published last.
    published: Result<Vec<PublishedCrl>>,
}

fn count(
    restored: &Restored,
    report: &Report,
    wishes: &Wishes,
    notes: &mut Notes,
    facts: &mut Facts,
) -> Result<Read, Trouble> {
    let mut choice = match wishes.sample {
        Sample::Of(wanted) => Some(Choice::new(wanted, wishes.now)?),
        Sample::All => None,
    };
    facts.counted = restored.counted()?;
    // What cannot be read fails the step that needs it.
    let published = published(&wishes.published).and_then(|crls| Ok((asked_of(&crls)?, crls)));
    let (asked, published) = match published {
        Ok((asked, crls)) => (asked, Ok(crls)),
        Err(error) => (BTreeSet::new(), Err(error)),
    };
    let records = restored.records(wishes.now, asked, &mut |row| {
        if let Some(choice) = &mut choice {
            choice.see(row);
        }
    })?;
    facts.read = true;
    let (issuers, anchors) = (Issuers::of(&records)?, Anchors::of(&records)?);
    if let Some(newest) = issuers.iter().last() {
        facts.ca = CaFacts {
            name: newest.common_name().unwrap_or_default(),
            key_identifier: newest.key_identifier(),
            not_after: Some(anchors.end()),
        };
    }
    let counts = &facts.counted.counts;
    notes.detail = format!(
        "{}, {} of them revoked, in {}; {}",
        counted(counts.certificates, "certificate"),
        counts.revoked,
        counted(counts.requests, "request"),
        counted(counts.crls, "CRL")
    );
    compare(counts, report, wishes, &facts.ca, notes)?;
    Ok(Read { records, anchors, issuers, choice, published })
}

/// Compares with what `verify` counted, and with the last rehearsal: a CA never has fewer certificates than before.
fn compare(
    counts: &Counts,
    report: &Report,
    wishes: &Wishes,
    ca: &CaFacts,
    notes: &mut Notes,
) -> Result<(), Trouble> {
    if let Some(content) = &report.content
        && (content.requests, content.certificates, content.revoked)
            != (counts.requests, counts.certificates, counts.revoked)
    {
        let text = format!(
            "the set has {} certificates, what was restored has {}",
            content.certificates, counts.certificates
        );
        let remedy = "report this, with the command that led to it";
        return Err(Trouble::fail(Hresult::DATABASE_CORRUPTED, text, remedy));
    }
    let counted_before = wishes.previous.iter().flat_map(|previous| &previous.counted);
    let Some(last) = counted_before.into_iter().find(|last| last.key_identifier == ca.key_identifier) else {
        return Ok(());
    };
    let before = &last.counts;
    if before.certificates <= counts.certificates && before.last_request <= counts.last_request {
        return Ok(());
    }
    let text = format!(
        "the last rehearsal ({}) counted {} and requests up to {}, now there are {} and requests up to {}",
        last.started.to_rfc3339(),
        counted(before.certificates, "certificate"),
        before.last_request,
        counts.certificates,
        counts.last_request
    );
    if wishes.accept_fewer {
        notes.findings.push(Finding::warning(Kind::FewerCertificates, text));
        return Ok(());
    }
    let remedy = "find out whether an older set was rehearsed, or certificates are lost; if rows were deleted on \
                  purpose, say --accept-fewer once";
    Err(Trouble::fail(Hresult::DATABASE_CORRUPTED, text, remedy))
}

/// What is done with the restored database.
fn rest(
    steps: &mut Steps<'_>,
    wishes: &Wishes,
    there: Option<(&Chain, &Restored)>,
    mut read: Option<Read>,
    facts: &mut Facts,
) -> Result<()> {
    let now = wishes.now;
    let restored = there.map(|(_, restored)| restored);
    steps.run(Step::Complete, there, |(chain, restored), notes| {
        complete(chain, restored, wishes, read.as_ref(), notes)
    })?;
    let fits = steps.run(Step::Key, read.as_ref(), |read, notes| {
        try_keys(&read.issuers, read.anchors.end(), &wishes.keys, now, notes)
    })?;
    let mut planned: Option<Planned> = None;
    steps.run(Step::Crl, read.as_mut(), |read, notes| {
        let published = std::mem::replace(&mut read.published, Ok(Vec::new()))?;
        let made = planned.insert(Planned::of(&read.records, published, now, notes)?);
        facts.crl_end = made.deadline();
        tell_deadline(made.deadline(), now, notes);
        made.sign(&wishes.keys, wishes.spare.as_deref(), now, notes)
    })?;
    let listed = planned.as_ref().map(|planned| &planned.listed);
    let anchors = read.as_ref().map(|read| read.anchors.clone());
    steps.run(Step::Certificates, restored.zip(read), |(restored, read), notes| {
        certificates(restored, read, listed, now, notes, facts)
    })?;
    let needs = restored.zip(anchors).zip(planned.as_ref());
    steps.run(Step::Issue, needs, |((restored, anchors), planned), notes| {
        match (restored, &wishes.keys) {
            (Restored::Windows(_), _) => {
                Err(Trouble::other(Outcome::NotApplicable, "a Windows CA issues on Windows alone"))
            }
            (Restored::Ours(ours), Keys::Given(keys)) if fits.is_some() => {
                let newest = planned.issuers().iter().last();
                let key = keys
                    .iter()
                    .find(|(_, key)| newest.is_some_and(|one| one.public_key() == key.public_key()));
                let Some((_, key)) = key else {
                    return Err(Trouble::skipped(
                        "the newest key of the CA was not given",
                        "give it by --key FILE",
                    ));
                };
                ours.issue(key, &anchors, planned.issuers(), now, notes)
            }
            (Restored::Ours(_), keys) => {
                crate::crl::given(keys, "certificates are issued where the key is")?;
                Err(Trouble::other(Outcome::Skipped, "no key that was given fits"))
            }
        }
    })?;
    steps.run(Step::Gap, Some(()), |(), _| -> Result<(), Trouble> {
        let text = "a rehearsal compares with nothing from outside the backup; `certadm gap` does";
        Err(Trouble::other(Outcome::NotApplicable, text))
    })?;
    Ok(())
}

/// Whether what no database holds was handed in.
fn complete(
    chain: &Chain,
    restored: &Restored,
    wishes: &Wishes,
    read: Option<&Read>,
    notes: &mut Notes,
) -> Result<(), Trouble> {
    match restored {
        Restored::Ours(ours) if !ours.left_out.is_empty() => Err(Trouble::fail(
            Hresult::ERROR_INVALID_DATA,
            format!("a restore leaves out what cannot be used: {}", ours.left_out.join("; ")),
            "take the folder Identity from another copy of the set; attach a key as PKCS#8 in PEM",
        )),
        Restored::Ours(ours) if ours.is_configured => {
            "ca.toml was handed in and used; ca.crt is of the CA of the database"
                .clone_into(&mut notes.detail);
            Ok(())
        }
        Restored::Ours(_) => Err(Trouble::skipped(
            "ca.toml was not handed in: the CA started with the built-in settings",
            "keep ca.toml and ca.crt beside the sets, and name their folder by --identity DIR",
        )),
        Restored::Windows(windows) => match read {
            Some(read) => windows.complete(chain, wishes, (&read.records, &read.issuers), notes),
            None => Err(Trouble::skipped("the database could not be read", "see step 4")),
        },
    }
}

fn certificates(
    restored: &Restored,
    read: Read,
    listed: Option<&Listed>,
    now: FileTime,
    notes: &mut Notes,
    facts: &mut Facts,
) -> Result<(), Trouble> {
    let mut judge = Judge::new(&read.anchors, listed, now);
    let sample = match read.choice {
        Some(choice) => choice.check(&mut judge),
        None => {
            restored.records(now, BTreeSet::new(), &mut |row| judge.see(row))?;
            judge.facts.clone()
        }
    };
    let (flaws, not_checked) = (judge.flaws, judge.not_checked);
    notes.detail = format!(
        "{} checked, {} of them in force, {} revoked: each is signed by the CA, {}",
        counted(sample.checked, "certificate"),
        sample.in_force,
        sample.revoked,
        match listed {
            Some(_) => "and the CRL lists those that are revoked",
            None => "revocation was not compared",
        }
    );
    let (failed, checked) = (sample.failed, sample.checked);
    facts.sample = Some(sample);
    if failed == 0 && not_checked == 0 {
        return Ok(());
    }
    if failed == 0 {
        let text = format!(
            "{}; {not_checked} in force could not be checked, because the kind of the CA's key is not supported",
            notes.detail
        );
        return Err(Trouble::other(Outcome::Skipped, text));
    }
    let text = format!("{failed} of {checked} certificates cannot be relied on: {}", flaws.join("; "));
    let remedy =
        "look at these rows with `certadm list`; if their certificates are damaged, take an older set";
    Err(Trouble::fail(Hresult::NTE_BAD_SIGNATURE, text, remedy))
}
