//! What there is an alarm about: a pure function of how a CA stands.

use std::collections::BTreeSet;

use certadm_rules::span::{exact, rounded};
use certadm_rules::words::human_bytes;

use crate::alarm::{About, Alarm};
use crate::config::Job;
use crate::held::{Held, is_past};
use crate::perform::MOST_TROUBLES;
use crate::record::{Attempt, Attempts, Outcome, Trouble};
use crate::schedule::Schedule;
use crate::status::{CaStatus, Completeness};
use crate::step::Step;
use crate::unreadable::Unreadable;

/// A step may take this long beyond its slot, in seconds.
const GRACE: i64 = 600;
/// No more findings of one step are told one by one, and no more sets that cannot be read: each alarm is a mail to everybody.
const MOST_ONE_BY_ONE: usize = 5;
/// Which alarm it is that tells of the others.
const MORE: &str = "more";
/// Which alarm it is where something is too long ago.
const OLD: &str = "age";

/// What there is an alarm about.
#[must_use]
pub fn judge(job: &Job, status: &CaStatus, held: &Held, attempts: &Attempts, now: i64) -> Vec<Alarm> {
    let case = Case { job, status, held, attempts, now };
    [
        case.looks(),
        case.age().into_iter().collect(),
        case.steps(),
        case.proof().into_iter().collect(),
        case.rehearsal().into_iter().collect(),
        case.completeness().into_iter().collect(),
        case.ends(),
        case.disk().into_iter().collect(),
        case.unreadable(),
        case.clock().into_iter().collect(),
    ]
    .concat()
}

/// What is known of a CA of a job.
struct Case<'a> {
    job: &'a Job,
    status: &'a CaStatus,
    held: &'a Held,
    attempts: &'a Attempts,
    now: i64,
}

impl Case<'_> {
    /// Of what was met when the CA and its places were looked at.
    fn looks(&self) -> Vec<Alarm> {
        let told = self.status.trouble.iter().filter(|trouble| !self.has_failed_for(trouble));
        let of_trouble = |trouble: &Trouble| {
            let remedy = trouble.remedy.clone().unwrap_or_default();
            self.alarm(About::Failed, &trouble.which(), trouble.message.clone(), remedy)
        };
        told.map(of_trouble).collect()
    }

    /// What is told as the failure of a step is told once, and until that step was done: whatever it met may be gone before.
    fn has_failed_for(&self, met: &Trouble) -> bool {
        self.attempts.all().any(|(step, _, attempt)| {
            let first = attempt.trouble.first().filter(|_| attempt.outcome == Some(Outcome::Failed));
            step != Step::Look && first.is_some_and(|trouble| trouble.message == met.message)
        })
    }

    /// Of how much would be lost now.
    fn age(&self) -> Option<Alarm> {
        let (place, limit) = (&self.status.place, self.job.limits.rpo);
        let full = self.by_hand(Step::Full);
        let late = |id, text, remedy| self.alarm(About::Late, id, text, remedy);
        match self.status.rpo {
            // What cannot be looked at is told as such. How old it is by now, the records know.
            None if !self.status.place_seen => {
                let age = backed_up(self.attempts, self.now).map(|last| self.now - last);
                let age = age.filter(|age| limit < *age)?;
                let (age, limit) = (rounded(age), exact(limit));
                let text = format!("the last backup into {place} is {age} old, and {limit} may be lost");
                Some(late(OLD, text, format!("see why {place} cannot be looked at, then: {full}")))
            }
            None => {
                let text = format!("no state of the CA can be restored from {place}");
                Some(late("nothing", text, format!("take a full backup: {full}")))
            }
            Some(rpo) if limit < rpo => {
                let text = format!("{} would be lost now, and {} may be", rounded(rpo), exact(limit));
                Some(late(OLD, text, format!("find out why no backup runs: {full}")))
            }
            Some(_) => None,
        }
    }

    /// Of what became of each step at each place.
    fn steps(&self) -> Vec<Alarm> {
        let of_step = |(step, place, attempt): (Step, &str, &Attempt)| {
            // The name of a vault ends as the sentence needs it.
            let what = step.at(place);
            let what = what.strip_suffix(':').unwrap_or(&what);
            match attempt.outcome {
                Some(Outcome::Failed) => self.failure((step, what), attempt).into_iter().collect(),
                Some(Outcome::Finding) => self.findings((step, what), attempt),
                _ => Vec::new(),
            }
        };
        self.attempts.all().flat_map(of_step).collect()
    }

    fn failure(&self, (step, what): (Step, &str), attempt: &Attempt) -> Option<Alarm> {
        let Some(trouble) = attempt.trouble.first() else {
            // Whatever a command leaves unsaid.
            let remedy = format!("do it again, and read what it says: {}", self.by_hand(step));
            let text = format!("{what}: it has failed, and did not say why");
            return Some(self.alarm(About::Failed, what, text, remedy));
        };
        // What a look has met is told once.
        let is_told =
            step == Step::Look && self.status.trouble.iter().any(|told| told.message == trouble.message);
        (!is_told).then(|| self.of_step(About::Failed, (step, what), trouble))
    }

    fn findings(&self, (step, what): (Step, &str), attempt: &Attempt) -> Vec<Alarm> {
        let mut told = BTreeSet::new();
        let distinct = attempt.trouble.iter().filter(|trouble| told.insert(trouble.which()));
        let distinct: Vec<_> = distinct.collect();
        let one_by_one = distinct.iter().take(MOST_ONE_BY_ONE);
        let one_by_one = one_by_one.map(|trouble| self.of_step(About::Finding, (step, what), trouble));
        let more = more_of(distinct.len(), "finding").map(|more| {
            // Of very many a run keeps the first.
            let least = if attempt.trouble.len() < MOST_TROUBLES { "" } else { "at least " };
            let (id, text) = (format!("{what}/{MORE}"), format!("{what}: and {least}{more}"));
            self.alarm(About::Finding, &id, text, format!("see all: {}", self.by_hand(step)))
        });
        one_by_one.chain(more).collect()
    }

    /// Of one trouble of a step.
    fn of_step(&self, about: About, (step, what): (Step, &str), trouble: &Trouble) -> Alarm {
        let remedy = trouble.remedy.clone().unwrap_or_else(|| format!("run {}", self.by_hand(step)));
        let id = format!("{what}/{}", trouble.which());
        self.alarm(about, &id, format!("{what}: {}", trouble.message), remedy)
    }

    /// Of how long ago a state was proven.
    fn proof(&self) -> Option<Alarm> {
        let age = self.overdue(self.job.verify, self.status.verified)?;
        let text = format!("no state was proven for {}", rounded(age));
        let remedy = format!("read everything back: {}", self.by_hand(Step::Verify));
        Some(self.alarm(About::Unverified, "", text, remedy))
    }

    /// Of what the last rehearsal has shown, and when it was.
    fn rehearsal(&self) -> Option<Alarm> {
        let again = self.by_hand(Step::Rehearse);
        if self.status.is_not_proven() {
            let text = "the last rehearsal has not shown that the CA comes back".to_owned();
            let remedy = format!("rehearse again, and read what it says: {again}");
            return Some(self.alarm(About::NotProven, "shown", text, remedy));
        }
        let age = self.overdue(self.job.rehearse, self.status.rehearsed)?;
        let text = format!("there was no rehearsal for {}", rounded(age));
        Some(self.alarm(About::NotProven, OLD, text, format!("rehearse: {again}")))
    }

    /// How long ago it was done, where that is too long by its schedule.
    fn overdue(&self, schedule: Option<Schedule>, last: Option<i64>) -> Option<i64> {
        // What lies ahead was dated by a wrong clock, and proves nothing for as long.
        let last = last.filter(|last| is_past(*last, self.now));
        let (schedule, since) = (schedule?, last.or(self.status.first)?);
        Some(self.now - since).filter(|age| 2 * schedule.period() + GRACE < *age)
    }

    /// Of what the CA needs and nobody has.
    fn completeness(&self) -> Option<Alarm> {
        let again = self.by_hand(Step::Complete);
        match self.status.complete.filter(|_| self.job.complete.is_some()) {
            Some(Completeness::Incomplete) => {
                let missing = listed(&self.status.missing);
                let text = format!("not everything is there that the CA needs: {missing}");
                let remedy = format!("see what is missing and attach it: {again}");
                Some(self.alarm(About::Incomplete, &format!("missing:{missing}"), text, remedy))
            }
            Some(Completeness::CannotTell) => {
                let (untold, remedy) = self.attempts.of(Step::Complete).untold();
                let untold = listed(&untold);
                let text = format!("nothing tells whether all is there that the CA needs: {untold}");
                let remedy =
                    remedy.unwrap_or_else(|| "see what certadm complete says, and attach it".to_owned());
                let remedy = format!("{remedy}; then: {again}");
                Some(self.alarm(About::Incomplete, &format!("untold:{untold}"), text, remedy))
            }
            Some(Completeness::Complete) | None => None,
        }
    }

    /// Of what ends soon or has ended.
    fn ends(&self) -> Vec<Alarm> {
        let (status, limits) = (self.status, &self.job.limits);
        let crl = (About::Crl, status.crl_ends, limits.crl);
        let own = (About::Certificate, status.certificate_ends, limits.certificate);
        let all = [
            (crl, "CRL", "publish a new one: certadm ca crl; on a Windows CA: certutil -CRL"),
            (own, "CA's own certificate", "renew the certificate of the CA"),
        ];
        let of_one = |((kind, ends, limit), what, remedy): ((About, Option<i64>, i64), &str, &str)| {
            let left = ends? - self.now;
            let text = match left {
                ..=0 => format!("the {what} has ended"),
                _ if left <= limit => format!("the {what} ends in {}", rounded(left)),
                _ => return None,
            };
            Some(self.alarm(kind, "", text, remedy.to_owned()))
        };
        all.into_iter().filter_map(of_one).collect()
    }

    /// Of the room that the next full set needs.
    fn disk(&self) -> Option<Alarm> {
        let needed = self.held.last_full().map_or(0, |full| full.bytes);
        let free = self.status.free.filter(|free| *free < needed)?;
        let (place, free, needed) = (&self.status.place, human_bytes(free), human_bytes(needed));
        let text = format!("{place} has {free} free, and a full set takes {needed}");
        Some(self.alarm(About::Disk, "", text, "make room there, or have fewer sets kept".to_owned()))
    }

    /// Of sets that cannot be read.
    fn unreadable(&self) -> Vec<Alarm> {
        let all = &self.held.unreadable;
        let one_by_one = all.iter().take(MOST_ONE_BY_ONE).map(|Unreadable { name, why, remedy }| {
            let text = format!("the set {name} cannot be read: {why}");
            self.alarm(About::Finding, &format!("unreadable/{name}"), text, remedy.clone())
        });
        let first_more = all.get(MOST_ONE_BY_ONE);
        let more = first_more.zip(more_of(all.len(), "set")).map(|(first, more)| {
            let remedy = format!("for the first of them, {}: {}", first.name, first.remedy);
            let id = format!("unreadable/{MORE}");
            self.alarm(About::Finding, &id, format!("and {more} cannot be read"), remedy)
        });
        one_by_one.chain(more).collect()
    }

    /// Of a set from the future. Once a backup followed it, a wrong date is history.
    fn clock(&self) -> Option<Alarm> {
        let newest = self.held.newest_state();
        newest.last().filter(|set| !is_past(set.time, self.now))?;
        let text = "the newest set is dated in the future: a clock is or was wrong".to_owned();
        let remedy = "set the clock, and take a full backup".to_owned();
        Some(self.alarm(About::Finding, "clock", text, remedy))
    }

    fn alarm(&self, about: About, id: &str, message: String, remedy: String) -> Alarm {
        let (job, ca) = (self.status.job.clone(), self.status.ca.clone());
        Alarm { about, id: id.to_owned(), job, ca, message, remedy }
    }

    fn by_hand(&self, step: Step) -> String {
        // Every run looks first, and nobody can ask for that alone.
        let now = if step == Step::Look { String::new() } else { format!(" --now {step}") };
        format!("certadm run {} --ca {}{now}", self.status.job, self.status.ca)
    }
}

/// How many of so many are not told one by one, for a sentence.
fn more_of(all: usize, thing: &str) -> Option<String> {
    let more = all.checked_sub(MOST_ONE_BY_ONE).filter(|more| 0 < *more)?;
    Some(format!("{more} more {thing}{}", if more == 1 { "" } else { "s" }))
}

/// Components for a sentence.
fn listed(components: &[String]) -> String {
    if components.is_empty() { "something".to_owned() } else { components.join(", ") }
}

/// When the last backup was taken, as the records have it, in seconds since 1970.
fn backed_up(attempts: &Attempts, now: i64) -> Option<i64> {
    let taken = [Step::Full, Step::Logs].into_iter().filter_map(|step| attempts.of(step).succeeded);
    taken.filter(|time| is_past(*time, now)).max()
}

#[cfg(test)]
mod tests {
    use certadm_set::manifest::SetKind::{Full, Logs};

    use super::*;
    use crate::config::Config;
    use crate::held::tests::set;
    use crate::record::tests::record;
    use crate::record::{OfSet, StepRecord};

    #[test]
    fn the_alarm_about_a_set_from_the_future_ends_with_the_backup_that_its_remedy_asks_for() {
        let text = "[ca]\nweb = { dir = '/a' }\n[job.j]\nca = 'web'\nto = ['/b']\nfull = 'daily 02:30'";
        let config = Config::parse(text, "/etc/certadm/certadm.toml".as_ref()).unwrap();
        let job = config.job("j").unwrap();
        let about_the_clock = |sets: &[_]| {
            let held = Held::new(sets, 1_000);
            let alarms = judge(job, &CaStatus::default(), &held, &Attempts::default(), 1_000);
            alarms.iter().filter(|alarm| alarm.message.contains("future")).count()
        };
        let wrong = [set(900, Full, (1, 5)), set(90_000, Logs, (6, 7))];
        assert_eq!(about_the_clock(&wrong[..1]), 0);
        assert_eq!(about_the_clock(&wrong), 1);
        let right = [wrong.as_slice(), &[set(950, Full, (8, 9))]].concat();
        assert_eq!(about_the_clock(&right), 0);
        // Meanwhile nobody knows how much would be lost, and the set before the wrong one counts.
        let status = |sets: &[_]| {
            let mut status = CaStatus::default();
            status.add_held(&Held::new(sets, 1_000), 1_000);
            (status.rpo, status.first)
        };
        let of = [&wrong[..], &right, &wrong[1..]].map(status);
        assert_eq!(of, [(Some(100), Some(900)), (Some(50), Some(900)), (None, None)]);
        // Nothing was proven since the first set of a right clock.
        let ahead_first = [set(90_000, Full, (1, 5)), set(700, Logs, (6, 7)), set(800, Logs, (8, 9))];
        assert_eq!(status(&ahead_first), (Some(200), Some(700)));
    }

    #[test]
    fn a_place_that_cannot_be_looked_at_is_late_when_its_last_backup_is_too_old() {
        let text = "[ca]\nweb = { dir = '/a' }\n[job.j]\nca = 'web'\nto = ['/b']\nfull = 'daily 02:30'\nlogs = 'hourly'\nrpo = '1h'";
        let config = Config::parse(text, "/etc/certadm/certadm.toml".as_ref()).unwrap();
        let late = |attempts: &Attempts, now| {
            let alarms =
                judge(config.job("j").unwrap(), &CaStatus::default(), &Held::default(), attempts, now);
            alarms.iter().filter(|alarm| alarm.about == About::Late).count()
        };
        let mut attempts = Attempts::default();
        assert_eq!(late(&attempts, 100_000), 0, "nothing is known of it");
        attempts.note(&record(Step::Full, Outcome::Good, 10_000));
        attempts.note(&record(Step::Logs, Outcome::Good, 20_000));
        attempts.note(&record(Step::Logs, Outcome::Failed, 23_000));
        assert_eq!((late(&attempts, 23_600), late(&attempts, 23_601)), (0, 1));
        // A clock that was ahead has taken it: it does not hide the one before.
        attempts.note(&record(Step::Logs, Outcome::Good, 900_000));
        assert_eq!((late(&attempts, 13_600), late(&attempts, 13_601)), (0, 1));
    }

    /// A finding that stays open, such as a key that nobody gives, kept every other one from being told.
    #[test]
    fn each_finding_and_each_failure_has_an_alarm_of_its_own() {
        let text = "[ca]\nweb = { dir = '/a' }\n[job.j]\nca = 'web'\nto = ['/b', 'v2:']\nfull = 'daily 02:30'\nrehearse = 'hourly'";
        let config = Config::parse(text, "/etc/certadm/certadm.toml".as_ref()).unwrap();
        let finding = |id: &str, message: &str| crate::record::Trouble {
            id: id.to_owned(),
            code: String::new(),
            kind: "step".to_owned(),
            message: message.to_owned(),
            remedy: Some("r".to_owned()),
            set: OfSet::NoSet,
        };
        let mut attempts = Attempts::default();
        let found = vec![finding("step:key", "no key was given"), finding("a", "1"), finding("a", "2")];
        attempts.note(&StepRecord { trouble: found, ..record(Step::Rehearse, Outcome::Finding, 900) });
        for (step, place) in [(Step::Full, "/b"), (Step::Copy, "v2:")] {
            let (place, trouble) = (place.to_owned(), vec![finding("0x1", "x")]);
            attempts.note(&StepRecord { place, trouble, ..record(step, Outcome::Failed, 900) });
        }
        let unreadable = ["s1", "s2"].map(unreadable);
        let held = Held { unreadable: unreadable.to_vec(), ..Held::default() };
        let trouble = ["evidence", "ca"].map(|what| finding("0x2", "y").met_at(what)).to_vec();
        let status = CaStatus { rpo: Some(0), trouble, ..CaStatus::default() };
        let alarms = judge(config.job("j").unwrap(), &status, &held, &attempts, 1_000);
        let ids: Vec<String> = alarms.iter().map(|alarm| format!("{} {}", alarm.about, alarm.id)).collect();
        let expected = [
            "failed evidence/0x2",
            "failed ca/0x2",
            "failed full/0x1",
            "failed copy into v2/0x1",
            "finding rehearse/step:key",
            "finding rehearse/a",
            "finding unreadable/s1",
            "finding unreadable/s2",
        ];
        assert_eq!(ids, expected, "{alarms:#?}");
        assert!(alarms.iter().map(Alarm::key).collect::<BTreeSet<_>>().len() == alarms.len());
    }

    /// A share that leaves a file of its own beside each log made an alarm, and a mail to everybody, of each.
    #[test]
    fn of_many_findings_the_first_are_told_and_how_many_more_there_are() {
        let text = "[ca]\nweb = { dir = '/a' }\n[job.j]\nca = 'web'\nto = ['/b']\nfull = 'daily 02:30'\nverify = 'hourly'";
        let config = Config::parse(text, "/etc/certadm/certadm.toml".as_ref()).unwrap();
        let told = |findings: usize, unreadable: usize| -> Vec<String> {
            let mut attempts = Attempts::default();
            let trouble = (0..findings).map(|number| crate::record::Trouble {
                id: format!("stranger::._edb{number:05x}.log"),
                code: String::new(),
                kind: "stranger".to_owned(),
                message: "it is none of the set".to_owned(),
                remedy: None,
                set: OfSet::NoSet,
            });
            let trouble = trouble.collect();
            attempts.note(&StepRecord { trouble, ..record(Step::Verify, Outcome::Finding, 900) });
            let unreadable =
                (0..unreadable).map(|set| super::tests::unreadable(&format!("s{set}"))).collect();
            let held = Held { unreadable, ..Held::default() };
            let status = CaStatus { rpo: Some(0), ..CaStatus::default() };
            let alarms = judge(config.job("j").unwrap(), &status, &held, &attempts, 1_000);
            alarms.into_iter().map(|alarm| format!("{}: {}", alarm.id, alarm.message)).collect()
        };
        assert_eq!((told(5, 0).len(), told(0, 5).len()), (5, 5));
        let last = |findings, unreadable| {
            let all = told(findings, unreadable);
            assert_eq!(all.len(), 6, "{all:?}");
            all[5].clone()
        };
        assert_eq!(last(6, 0), "verify/more: verify: and 1 more finding");
        assert_eq!(last(20, 0), "verify/more: verify: and at least 15 more findings");
        assert_eq!(last(0, 670), "unreadable/more: and 665 more sets cannot be read");
    }

    fn unreadable(name: &str) -> Unreadable {
        Unreadable { name: name.to_owned(), why: "w".to_owned(), remedy: "r".to_owned() }
    }

    /// Remedies named steps that nobody can ask for.
    #[test]
    fn what_is_to_be_done_by_hand_can_be_asked_for() {
        let text = "[ca]\nweb = { server = 'a' }\n[job.j]\nca = 'web'\nto = ['/b']\nfull = 'daily 02:30'";
        let config = Config::parse(text, "/etc/certadm/certadm.toml".as_ref()).unwrap();
        let mut attempts = Attempts::default();
        for step in [Step::Look, Step::Ask] {
            attempts.note(&record(step, Outcome::Failed, 900));
        }
        let status =
            CaStatus { rpo: Some(0), job: "j".to_owned(), ca: "web".to_owned(), ..CaStatus::default() };
        let alarms = judge(config.job("j").unwrap(), &status, &Held::default(), &attempts, 1_000);
        let ends = ["certadm run j --ca web", "certadm run j --ca web --now ask"];
        let remedies = alarms.iter().map(|alarm| alarm.remedy.as_str());
        assert!(remedies.zip(ends).all(|(remedy, end)| remedy.ends_with(end)), "{alarms:?}");
        assert_eq!(alarms.len(), 2);
    }

    #[test]
    fn a_failure_without_a_reason_is_an_alarm_too() {
        let text = "[ca]\nweb = { dir = '/a' }\n[job.j]\nca = 'web'\nto = ['/b']\nfull = 'daily 02:30'\nverify = 'hourly'";
        let config = Config::parse(text, "/etc/certadm/certadm.toml".as_ref()).unwrap();
        let mut attempts = Attempts::default();
        attempts.note(&record(Step::Verify, Outcome::Failed, 900));
        let status = CaStatus { rpo: Some(0), ..CaStatus::default() };
        let alarms = judge(config.job("j").unwrap(), &status, &Held::default(), &attempts, 1_000);
        let abouts: Vec<About> = alarms.iter().map(|alarm| alarm.about).collect();
        assert_eq!(abouts, [About::Failed], "{alarms:?}");
    }

    #[test]
    fn what_complete_finds_or_cannot_tell_is_an_alarm() {
        let text = "[ca]\nweb = { dir = '/a' }\n[job.j]\nca = 'web'\nto = ['/b']\nfull = 'daily 02:30'\ncomplete = 'weekly sun 06:00'";
        let config = Config::parse(text, "/etc/certadm/certadm.toml".as_ref()).unwrap();
        let alarms = |attempts: &Attempts, verdict: &str| {
            let status =
                CaStatus { rpo: Some(0), complete: Some(Completeness::of(verdict)), ..CaStatus::default() };
            judge(config.job("j").unwrap(), &status, &Held::default(), attempts, 1_000)
        };
        let mut attempts = Attempts::default();
        let found = crate::place::trouble(
            certadm_rules::Hresult::E_FAIL,
            "a file was changed".to_owned(),
            "look at it",
        );
        let trouble = vec![found];
        attempts.note(&StepRecord { trouble, ..record(Step::Complete, Outcome::Finding, 900) });
        let told = alarms(&attempts, "complete");
        assert_eq!(told.iter().map(|alarm| alarm.about).collect::<Vec<_>>(), [About::Finding]);
        assert_eq!(told[0].message, "complete: a file was changed");
        let result = serde_json::json!({ "verdict": "cannot-tell", "components": [
            { "id": "key", "needed": true, "state": "cannot-tell", "checks": [{ "ok": null, "remedy": "say where it is" }] },
            { "id": "templates", "needed": false, "state": "cannot-tell", "checks": [] },
        ]});
        attempts.note(&StepRecord { result, ..record(Step::Complete, Outcome::Finding, 900) });
        let told = alarms(&attempts, "cannot-tell");
        assert_eq!(told.iter().map(|alarm| alarm.about).collect::<Vec<_>>(), [About::Incomplete]);
        assert!(
            told[0].message.ends_with(": key") && told[0].remedy.starts_with("say where it is; "),
            "{told:?}"
        );
    }

    #[test]
    fn a_proof_from_the_future_puts_no_alarm_off() {
        let text = "[ca]\nweb = { dir = '/a' }\n[job.j]\nca = 'web'\nto = ['/b']\nfull = 'daily 02:30'\nverify = 'every 1h'";
        let config = Config::parse(text, "/etc/certadm/certadm.toml".as_ref()).unwrap();
        let unverified = |verified: i64| {
            let status = CaStatus { verified: Some(verified), first: Some(1_000), ..CaStatus::default() };
            let job = config.job("j").unwrap();
            let alarms = judge(job, &status, &Held::default(), &Attempts::default(), 100_000);
            alarms.iter().any(|alarm| alarm.about == About::Unverified)
        };
        assert!(!unverified(99_000));
        assert!(unverified(50_000));
        assert!(unverified(10_000_000));
    }
}
