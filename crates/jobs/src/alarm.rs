//! Alarms: what a person has to be told, once when it begins and once when it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use certadm_rules::Diagnosis;
use certadm_rules::diagnosis::chain_of;
use serde::{Deserialize, Serialize};

use crate::config::{Error, Name};

/// What an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// More would be lost than may be: the newest state is too old, or there is none.
    Late,
    /// A step has failed.
    Failed,
    /// No state was proven for too long.
    Unverified,
    /// The last rehearsal has shown that the CA does not come back, or there was none for too long.
    NotProven,
    /// Something is missing that the CA needs.
    Incomplete,
    /// The CRL has ended or ends soon.
    Crl,
    /// The CA's own certificate has ended or ends soon.
    Certificate,
    /// There is no room for the next set.
    Disk,
    /// Something was found that stays open.
    Finding,
    /// No job has the CA, so that nothing protects it.
    Unprotected,
    /// The agent cannot show its page and its figures.
    Page,
}

impl About {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Late,
        Self::Failed,
        Self::Unverified,
        Self::NotProven,
        Self::Incomplete,
        Self::Crl,
        Self::Certificate,
        Self::Disk,
        Self::Finding,
        Self::Unprotected,
        Self::Page,
    ];

    /// Its name for programs.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Failed => "failed",
            Self::Unverified => "unverified",
            Self::NotProven => "not-proven",
            Self::Incomplete => "incomplete",
            Self::Crl => "crl",
            Self::Certificate => "certificate",
            Self::Disk => "disk",
            Self::Finding => "finding",
            Self::Unprotected => "unprotected",
            Self::Page => "page",
        }
    }

    /// Whether a loss now would cost more than it may.
    #[must_use]
    pub const fn is_grave(self) -> bool {
        matches!(self, Self::Late | Self::Failed | Self::NotProven | Self::Disk | Self::Unprotected)
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// An alarm about a CA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What it is about.
    pub about: About,
    /// Which one of those it is, such as the step that has failed and why. It stays the same while the alarm goes on, though numbers in
    /// the message change. Empty where there is only one of the kind, or where a program of before has noted it.
    #[serde(default)]
    pub id: String,
    /// The job; empty where no job has the CA.
    pub job: String,
    /// The CA; empty where it is about the configuration or the records.
    pub ca: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl Alarm {
    /// What there is an alarm about for a CA that no job has.
    #[must_use]
    pub fn of_unprotected(ca: &Name) -> Self {
        Self {
            about: About::Unprotected,
            id: String::new(),
            job: String::new(),
            ca: ca.to_string(),
            message: "no job has this CA, so nothing protects it".to_owned(),
            remedy: "name it in `ca` of a job (certadm.toml(5)), or take it out of the file".to_owned(),
        }
    }

    /// What there is an alarm about when the configuration cannot be read any more, and the agent goes on by the one before.
    #[must_use]
    pub fn of_configuration(error: &Error) -> Self {
        Self {
            about: About::Failed,
            id: "configuration".to_owned(),
            job: String::new(),
            ca: String::new(),
            message: format!(
                "the configuration cannot be read, and the one before stays in force: {}",
                chain_of(error)
            ),
            remedy: error.remedy().into_owned(),
        }
    }

    /// What there is an alarm about when the records cannot be written.
    #[must_use]
    pub fn of_records(error: &certadm_files::Error) -> Self {
        Self {
            about: About::Failed,
            id: "records".to_owned(),
            job: String::new(),
            ca: String::new(),
            message: format!("the records cannot be written, and what was told is told again: {}", chain_of(error)),
            remedy: "make room where the records are (`state` in certadm.toml), or make them writable; backups may stop"
                .to_owned(),
        }
    }

    /// What there is an alarm about when it could not be read what was told. It ends with the next judgement that can read it.
    #[must_use]
    pub fn of_unread_records(error: &certadm_files::Error) -> Self {
        Self {
            about: About::Failed,
            id: "records".to_owned(),
            job: String::new(),
            ca: String::new(),
            message: format!("what was told cannot be read, and is told again: {}", chain_of(error)),
            remedy: "find out what has damaged the records (`state` in certadm.toml), such as a disk that fails; who waits for the end of \
                     an alarm reads certadm status"
                .to_owned(),
        }
    }

    /// What there is an alarm about when the agent cannot show its page. It does its other work all the same.
    #[must_use]
    pub fn of_page(why: &str) -> Self {
        Self {
            about: About::Page,
            job: String::new(),
            ca: String::new(),
            id: String::new(),
            message: format!("the agent cannot show its page and its figures at {why}"),
            remedy: "name a free port, a socket in a folder that is there, and files that can be used (certadm config check); the agent \
                     tries it again by itself"
                .to_owned(),
        }
    }

    /// By what it is known: what is about the same job and CA and is the same trouble is one alarm.
    pub(crate) fn key(&self) -> String {
        let kind = format!("{}/{}/{}", self.job, self.ca, self.about);
        if self.id.is_empty() { kind } else { format!("{kind}/{}", self.id) }
    }

    /// Whether both are of one failure, by their words: one of them may say before it which step has met it.
    fn is_same_failure(&self, other: &Self) -> bool {
        let says = |message: &str, words: &str| message == words || message.ends_with(&format!(": {words}"));
        self.about == About::Failed
            && other.about == About::Failed
            && (says(&other.message, &self.message) || says(&self.message, &other.message))
    }

    /// The CA, or what else it is about: what all of them share.
    #[must_use]
    pub fn subject(&self) -> &str {
        if self.ca.is_empty() { "all CAs" } else { &self.ca }
    }

    /// The CA and its job, for a sentence.
    #[must_use]
    pub fn whose(&self) -> String {
        if self.ca.is_empty() {
            return self.subject().to_owned();
        }
        let job = if self.job.is_empty() { "no job" } else { &self.job };
        format!("{} ({job})", self.ca)
    }
}

/// What alarms are about, each kind once, for a person.
#[must_use]
pub fn abouts(alarms: &[Alarm]) -> String {
    let mut kinds: Vec<&str> = Vec::new();
    for alarm in alarms {
        if !kinds.contains(&alarm.about.key()) {
            kinds.push(alarm.about.key());
        }
    }
    kinds.join(", ")
}

/// Whether an alarm begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turn {
    /// It begins.
    Begins,
    /// It ends.
    Ends,
}

/// Something that those who are told have to hear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct News {
    /// Whether the alarm begins or ends.
    pub event: Turn,
    /// Since when there is the alarm, in seconds since 1970.
    pub since: i64,
    /// The alarm.
    #[serde(flatten)]
    pub alarm: Alarm,
}

/// The alarms that are known, and who was told of each. Without it everybody is told again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    entries: BTreeMap<String, Entry>,
    /// Who did not answer when he was told last, and when that was, in seconds since 1970.
    silent: BTreeMap<String, i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    alarm: Alarm,
    since: i64,
    ended: bool,
    told: BTreeSet<String>,
}

impl Ledger {
    /// Takes over what there is an alarm about for a CA of a job. Those that were there and are not any more have ended, unless they
    /// are about what could not be judged.
    pub fn update(
        &mut self,
        (job, ca): (&str, &str),
        alarms: &[Alarm],
        unjudged: &BTreeSet<About>,
        now: i64,
    ) {
        let of_this = format!("{job}/{ca}/");
        let mut here = BTreeSet::new();
        self.take_over(&of_this, alarms);
        self.find_ids(&of_this, alarms);
        for alarm in alarms {
            let key = alarm.key();
            if !here.insert(key.clone()) {
                continue;
            }
            match self.entries.get_mut(&key) {
                Some(entry) => {
                    if entry.ended {
                        // It has come back before everybody heard of its end.
                        *entry = Entry { since: now, ended: false, ..entry.clone() };
                    }
                    entry.alarm = alarm.clone();
                }
                None => {
                    let entry =
                        Entry { alarm: alarm.clone(), since: now, ended: false, told: BTreeSet::new() };
                    self.entries.insert(key, entry);
                }
            }
        }
        for (key, entry) in &mut self.entries {
            if key.starts_with(&of_this) && !here.contains(key) && !unjudged.contains(&entry.alarm.about) {
                entry.ended = true;
            }
        }
        // Nobody heard of its beginning, and nobody has to hear of its end.
        self.entries.retain(|_, entry| !(entry.ended && entry.told.is_empty()));
    }

    /// The alarms about a CA of a job that are in force and about what could not be judged now, without those that are among `alarms`:
    /// nothing shows that they are over.
    #[must_use]
    pub fn in_force(
        &self,
        (job, ca): (&str, &str),
        alarms: &[Alarm],
        unjudged: &BTreeSet<About>,
    ) -> Vec<Alarm> {
        let of_this = format!("{job}/{ca}/");
        let is_told = |known: &Alarm| {
            // Programs of before told one alarm of each kind, without an id.
            let mut of_kind = alarms.iter().filter(|alarm| alarm.about == known.about);
            of_kind.any(|alarm| known.id.is_empty() || alarm.id == known.id || alarm.is_same_failure(known))
        };
        let entries = self.entries.iter().filter(|(key, entry)| key.starts_with(&of_this) && !entry.ended);
        let known = entries.map(|(_, entry)| &entry.alarm);
        known.filter(|known| unjudged.contains(&known.about) && !is_told(known)).cloned().collect()
    }

    /// What was met when the CA was looked at, such as a folder that is gone, is the same trouble when a step fails for it: the alarm goes
    /// on as that of the step, and nobody hears twice.
    fn take_over(&mut self, of_this: &str, alarms: &[Alarm]) {
        let keys: BTreeSet<String> = alarms.iter().map(Alarm::key).collect();
        for alarm in alarms.iter().filter(|alarm| alarm.about == About::Failed) {
            let is_same = |known: &Alarm| alarm.is_same_failure(known);
            let gone = self.entries.iter().find(|(key, entry)| {
                key.starts_with(of_this)
                    && !entry.ended
                    && !keys.contains(*key)
                    && !entry.alarm.id.is_empty()
                    && is_same(&entry.alarm)
            });
            if let Some(key) =
                gone.map(|(key, _)| key.clone()).filter(|_| !self.entries.contains_key(&alarm.key()))
                && let Some(entry) = self.entries.remove(&key)
            {
                self.entries.insert(alarm.key(), entry);
            }
        }
    }

    /// Programs of before told one alarm of each kind, the first: it is the one that is there with the same words, or the first one.
    fn find_ids(&mut self, of_this: &str, alarms: &[Alarm]) {
        for about in About::ALL {
            let key = format!("{of_this}{about}");
            let Some(before) = self.entries.get(&key).map(|entry| &entry.alarm) else { continue };
            let mut of_kind = alarms.iter().filter(|alarm| alarm.about == about && !alarm.id.is_empty());
            let same = of_kind.clone().find(|alarm| alarm.message == before.message);
            if let Some(alarm) = same.or_else(|| of_kind.next())
                && let Some(entry) = self.entries.remove(&key)
            {
                self.entries.entry(alarm.key()).or_insert(entry);
            }
        }
    }

    /// Ends the alarms about a CA of a job that are not in the configuration any more.
    pub fn end_of_gone(&mut self, is_there: impl Fn(&str, &str) -> bool) {
        for entry in self.entries.values_mut() {
            entry.ended |= !is_there(&entry.alarm.job, &entry.alarm.ca);
        }
        self.entries.retain(|_, entry| !(entry.ended && entry.told.is_empty()));
    }

    /// What `who` has not heard yet: that an alarm of these jobs begins, and that one ends whose beginning was heard.
    #[must_use]
    pub fn news(&self, who: &str, jobs: &BTreeSet<&str>) -> Vec<News> {
        let entries =
            self.entries.values().filter(|entry| entry.ended || jobs.contains(entry.alarm.job.as_str()));
        let mut news: Vec<News> = entries
            .filter(|entry| entry.ended == entry.told.contains(who))
            .map(|entry| News {
                event: if entry.ended { Turn::Ends } else { Turn::Begins },
                since: entry.since,
                alarm: entry.alarm.clone(),
            })
            .collect();
        // Whoever counts kinds alone does not take the end of one alarm for that of another one which has begun.
        news.sort_by_key(|news| news.event == Turn::Begins);
        news
    }

    /// Whether an alarm about CAs of these jobs, or about what all share, is in force. That nobody can look at the page harms no CA.
    #[must_use]
    pub fn has_any_of(&self, jobs: &BTreeSet<&str>) -> bool {
        let counts = |alarm: &Alarm| alarm.about != About::Page && jobs.contains(alarm.job.as_str());
        self.entries.values().any(|entry| !entry.ended && counts(&entry.alarm))
    }

    /// Whether an alarm of this kind is in force.
    #[must_use]
    pub fn has_one_about(&self, about: About) -> bool {
        self.entries.values().any(|entry| !entry.ended && entry.alarm.about == about)
    }

    /// Notes that `who` has heard it.
    pub fn heard(&mut self, who: &str, news: &News) {
        if let Some(entry) = self.entries.get_mut(&news.alarm.key()) {
            match news.event {
                Turn::Begins => entry.told.insert(who.to_owned()),
                Turn::Ends => entry.told.remove(who),
            };
        }
        self.entries.retain(|_, entry| !(entry.ended && entry.told.is_empty()));
    }

    /// Notes whether `who` has answered `now`, in seconds since 1970.
    pub fn answered(&mut self, who: &str, is_there: bool, now: i64) {
        match is_there {
            true => self.silent.remove(who),
            false => self.silent.insert(who.to_owned(), now),
        };
    }

    /// Whether `who` has not answered within so many seconds before `now`.
    #[must_use]
    pub fn is_silent(&self, who: &str, seconds: i64, now: i64) -> bool {
        self.silent.get(who).is_some_and(|since| (0..seconds).contains(&(now - since)))
    }

    /// Notes that what `who` has heard was heard by each of these.
    pub fn share<'a>(&mut self, who: &str, all: impl Iterator<Item = &'a str> + Clone) {
        for entry in self.entries.values_mut().filter(|entry| entry.told.contains(who)) {
            entry.told.remove(who);
            entry.told.extend(all.clone().map(str::to_owned));
        }
    }

    /// Forgets those who are told no more, so that no alarm waits for them.
    pub fn keep_only(&mut self, listeners: &BTreeSet<String>) {
        self.silent.retain(|who, _| listeners.contains(who));
        for entry in self.entries.values_mut() {
            entry.told.retain(|who| listeners.contains(who));
        }
        self.entries.retain(|_, entry| !(entry.ended && entry.told.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who reads only "cannot create /records" does not know whether the disk is full or a right is missing.
    #[test]
    fn an_alarm_names_the_reason_that_the_system_gave() {
        let refused = || certadm_files::Error::Io {
            action: "create",
            path: "/records".into(),
            source: std::io::Error::other("no room"),
        };
        let message = Alarm::of_records(&refused()).message;
        assert!(message.ends_with("cannot create /records: no room"), "{message}");
        let message = Alarm::of_configuration(&Error::from(refused())).message;
        assert!(message.ends_with("cannot create /records: no room"), "{message}");
    }

    fn alarm(about: About) -> Alarm {
        Alarm {
            about,
            id: String::new(),
            job: "nightly".to_owned(),
            ca: "web".to_owned(),
            message: "m".to_owned(),
            remedy: "r".to_owned(),
        }
    }

    #[test]
    fn each_listener_hears_once_that_an_alarm_begins_and_once_that_it_ends() {
        let jobs = BTreeSet::from(["nightly"]);
        let of = ("nightly", "web");
        let mut ledger = Ledger::default();
        ledger.update(of, &[alarm(About::Late), alarm(About::Late)], &BTreeSet::new(), 100);
        let news = ledger.news("ops", &jobs);
        assert_eq!(news.len(), 1);
        assert_eq!((news[0].event, news[0].since), (Turn::Begins, 100));
        assert_eq!(ledger.news("ops", &BTreeSet::from(["other"])).len(), 0);
        // Who could not be reached is told again.
        ledger.update(of, &[alarm(About::Late)], &BTreeSet::new(), 200);
        assert_eq!(ledger.news("ops", &jobs), news);
        ledger.heard("ops", &news[0]);
        assert_eq!((ledger.news("ops", &jobs).len(), ledger.news("boss", &jobs).len()), (0, 1));
        ledger.update(of, &[], &BTreeSet::new(), 300);
        assert_eq!(ledger.news("boss", &jobs).len(), 0, "an end of what he never heard of");
        let end = ledger.news("ops", &jobs);
        assert_eq!((end[0].event, end[0].since), (Turn::Ends, 100));
        // It comes back before its end was heard of: there is nothing new for ops.
        ledger.update(of, &[alarm(About::Late)], &BTreeSet::new(), 400);
        assert_eq!(ledger.news("ops", &jobs).len(), 0);
        ledger.update(of, &[], &BTreeSet::new(), 500);
        ledger.heard("ops", &ledger.news("ops", &jobs)[0].clone());
        assert_eq!(ledger, Ledger::default());
    }

    #[test]
    fn who_heard_of_an_alarm_hears_of_its_end_although_its_job_is_gone() {
        let mut ledger = Ledger::default();
        let jobs = BTreeSet::from(["nightly"]);
        ledger.update(("nightly", "web"), &[alarm(About::Late)], &BTreeSet::new(), 100);
        ledger.heard("ops", &ledger.news("ops", &jobs)[0].clone());
        ledger.end_of_gone(|job, ca| (job, ca) == ("nightly", "web"));
        assert!(ledger.news("ops", &jobs).is_empty(), "it is there");
        ledger.end_of_gone(|_, _| false);
        let none = BTreeSet::new();
        assert!(ledger.news("boss", &none).is_empty());
        let end = ledger.news("ops", &none);
        assert_eq!(end.iter().map(|news| news.event).collect::<Vec<_>>(), [Turn::Ends]);
        ledger.heard("ops", &end[0]);
        assert_eq!(ledger, Ledger::default());
    }

    #[test]
    fn what_cannot_be_judged_does_not_end() {
        let (of, jobs) = (("nightly", "web"), BTreeSet::from(["nightly"]));
        let mut ledger = Ledger::default();
        ledger.update(of, &[alarm(About::Late), alarm(About::Crl)], &BTreeSet::new(), 100);
        for news in ledger.news("ops", &jobs) {
            ledger.heard("ops", &news);
        }
        ledger.update(of, &[alarm(About::Failed)], &BTreeSet::from([About::Late]), 200);
        let news = |ledger: &Ledger| -> Vec<_> {
            ledger.news("ops", &jobs).iter().map(|news| (news.event, news.alarm.about)).collect()
        };
        assert_eq!(news(&ledger), [(Turn::Ends, About::Crl), (Turn::Begins, About::Failed)]);
        ledger.update(of, &[], &BTreeSet::new(), 300);
        assert_eq!(news(&ledger), [(Turn::Ends, About::Crl), (Turn::Ends, About::Late)]);
    }

    /// A failure that went on kept every further one of the CA from being told.
    #[test]
    fn another_failure_is_told_when_it_begins_and_each_ends_by_itself() {
        let (of, jobs) = (("nightly", "web"), BTreeSet::from(["nightly"]));
        let failed = |id: &str, message: &str| Alarm {
            id: id.to_owned(),
            message: message.to_owned(),
            ..alarm(About::Failed)
        };
        let mut ledger = Ledger::default();
        let mut hear = |alarms: &[Alarm], now| -> Vec<_> {
            ledger.update(of, alarms, &BTreeSet::new(), now);
            let news = ledger.news("ops", &jobs);
            news.iter().for_each(|news| ledger.heard("ops", news));
            news.into_iter().map(|news| (news.event, news.alarm.id)).collect()
        };
        let told = |event, id: &str| (event, id.to_owned());
        let (copy, verify) = (failed("copy into off:/x", "2 tries"), failed("verify/y", "a"));
        assert_eq!(hear(std::slice::from_ref(&copy), 100), [told(Turn::Begins, &copy.id)]);
        // The same one, in other words.
        assert_eq!(hear(&[failed(&copy.id, "3 tries")], 200), []);
        assert_eq!(hear(&[copy.clone(), verify.clone()], 300), [told(Turn::Begins, &verify.id)]);
        assert_eq!(hear(&[copy.clone(), verify.clone()], 400), []);
        // Its step fails otherwise now.
        let full = failed("a full/z", "b");
        let turned = [told(Turn::Ends, &verify.id), told(Turn::Begins, &full.id)];
        assert_eq!(hear(&[copy.clone(), full.clone()], 500), turned);
        assert_eq!(hear(std::slice::from_ref(&full), 600), [told(Turn::Ends, &copy.id)]);
        // What was met at a look is what a step fails for, and it was told.
        let (looked, failed) = (failed("ca/0x1", "it is gone"), failed("logs/0x1", "logs: it is gone"));
        assert_eq!(hear(&[full.clone(), looked.clone()], 700), [told(Turn::Begins, &looked.id)]);
        assert_eq!(hear(&[full.clone(), failed.clone()], 800), []);
        assert_eq!(hear(&[full], 900), [told(Turn::Ends, &failed.id)]);
    }

    #[test]
    fn what_a_program_of_before_has_told_is_told_no_more_and_ends() {
        let jobs = BTreeSet::from(["nightly"]);
        let before = r#"{"entries":{"nightly/web/failed":{"alarm":{"about":"failed","job":"nightly","ca":"web","message":"b",
            "remedy":"r"},"since":100,"ended":false,"told":["ops"]},"nightly/web/late":{"alarm":{"about":"late","job":"nightly",
            "ca":"web","message":"2 hours","remedy":"r"},"since":100,"ended":false,"told":["ops"]}},"silent":{}}"#;
        let of = |about, id: &str, message: &str| Alarm {
            id: id.to_owned(),
            message: message.to_owned(),
            ..alarm(about)
        };
        let (one, other) = (of(About::Failed, "copy/1", "a"), of(About::Failed, "verify/2", "b"));
        let late = of(About::Late, "age", "3 hours");
        let mut ledger: Ledger = serde_json::from_str(before).unwrap();
        ledger.update(("nightly", "web"), &[one, other, late], &BTreeSet::new(), 200);
        let news = ledger.news("ops", &jobs);
        assert_eq!(news.iter().map(|news| news.alarm.id.as_str()).collect::<Vec<_>>(), ["copy/1"]);
        ledger.heard("ops", &news[0]);
        ledger.update(("nightly", "web"), &[], &BTreeSet::new(), 300);
        let ends = ledger.news("ops", &jobs);
        let ends: Vec<_> = ends.iter().map(|news| (news.event, news.since, news.alarm.id.as_str())).collect();
        let at = |since, id| (Turn::Ends, since, id);
        assert_eq!(ends, [at(200, "copy/1"), at(100, "verify/2"), at(100, "age")]);
    }

    #[test]
    fn who_has_not_answered_is_silent_for_a_while() {
        let mut ledger = Ledger::default();
        ledger.answered("ops", false, 1_000);
        let silent = |now| ledger.is_silent("ops", 900, now);
        assert_eq!([999, 1_000, 1_899, 1_900].map(silent), [false, true, true, false]);
        assert!(!ledger.is_silent("ops", 0, 1_000) && !ledger.is_silent("boss", 900, 1_000));
        ledger.answered("ops", true, 1_100);
        assert_eq!(ledger, Ledger::default());
    }

    #[test]
    fn an_alarm_of_another_ca_stays() {
        let mut ledger = Ledger::default();
        ledger.update(("nightly", "web"), &[alarm(About::Late)], &BTreeSet::new(), 100);
        ledger.update(("nightly", "we"), &[], &BTreeSet::new(), 100);
        assert_eq!(ledger.news("ops", &BTreeSet::from(["nightly"])).len(), 1);
        ledger.heard("ops", &ledger.news("ops", &BTreeSet::from(["nightly"]))[0].clone());
        ledger.update(("nightly", "web"), &[], &BTreeSet::new(), 200);
        ledger.keep_only(&BTreeSet::new());
        assert_eq!(ledger, Ledger::default());
    }

    #[test]
    fn what_a_listener_of_before_has_heard_was_heard_by_each_of_his_ways() {
        let mut ledger = Ledger::default();
        let jobs = BTreeSet::from(["nightly"]);
        ledger.update(("nightly", "web"), &[alarm(About::Late)], &BTreeSet::new(), 100);
        ledger.heard("ops", &ledger.news("ops", &jobs)[0].clone());
        ledger.share("ops", ["ops mail", "ops command"].into_iter());
        let heard = ["ops", "ops mail", "ops command"].map(|who| ledger.news(who, &jobs).is_empty());
        assert_eq!(heard, [false, true, true]);
    }
}
