//! Finding out how a CA stands, from what the places hold, from evidence, and from the CA's folder.

use certadm_files::space;
use certadm_rules::Hresult;
use jiff::tz::TimeZone;

use crate::alarm::{About, Ledger};
use crate::config::{Ca, Config, Job, Place, Target};
use crate::held::Held;
use crate::judge::judge;
use crate::plan::next;
use crate::record::{Attempts, Trouble};
use crate::status::{CaStatus, Completeness};
use crate::step::Step;
use crate::story::Story;
use crate::{known, names, place};

/// Finds out how a CA of a job stands. What cannot be found out is in its `trouble`. What a run could not write of its attempts counts in
/// the place of the records.
#[must_use]
pub fn of(
    config: &Config,
    (job, ca): (&Job, &Ca),
    unwritten: Option<Attempts>,
    now: i64,
    zone: &TimeZone,
) -> CaStatus {
    let attempts = unwritten.unwrap_or_else(|| Attempts::read(config, job, ca));
    let mut status = nothing_known(job, ca);
    status.add_unread(&attempts);
    status.trouble.extend(names::unread(config, job, ca));
    let looked = |first| place::look_again(config, first, (job, ca, &attempts), now);
    let mut held = match job.to.first().map(looked) {
        Some(Ok(held)) => {
            status.place_seen = true;
            held
        }
        Some(Err(unseen)) => {
            status.trouble.push(unseen.trouble.met_at(Step::Look.key()));
            status.unjudged.extend([About::Late, About::Unverified, About::Disk, About::Finding]);
            Held::default()
        }
        None => Held::default(),
    };
    held.recall(&status.place, &attempts, now);
    status.story = Story::of(&held, &attempts, job.limits.rpo, now);
    status.add_held(&held, now);
    status.add_rehearsal(job, ca, now);
    let completed = attempts.of(Step::Complete);
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let verdict = completed.facts.get("verdict").and_then(|verdict| verdict.as_str());
    status.complete = verdict.map(Completeness::of);
    let missing = completed.facts.get("missing").and_then(|missing| missing.as_array());
    status.missing = missing.into_iter().flatten().filter_map(text).collect();
    match free(config, job, ca) {
        Ok(free) => status.free = free,
        Err(_) => drop(status.unjudged.insert(About::Disk)),
    }
    match &ca.place {
        Place::Folder(dir, _) => status.add_health(dir, now),
        Place::Socket(_) | Place::Server(..) => {
            let asked = attempts.of(Step::Ask);
            if asked.facts.is_empty() {
                status.unjudged.extend([About::Crl, About::Certificate]);
            }
            let time = |key: &str| place::seconds_of(asked.facts.get("ca")?.get(key)?.as_str()?);
            status.crl_ends = time("crl_next_update");
            status.certificate_ends = time("certificate_not_after");
        }
    }
    status.next = slots(job, now, zone);
    status.judge(config, job, (&held, &attempts), now);
    status
}

/// How a CA stands that could not be looked at within so many seconds, because something hangs: what the records know, and that.
#[must_use]
pub fn unanswered(
    config: &Config,
    (job, ca): (&Job, &Ca),
    unwritten: Option<Attempts>,
    now: i64,
    zone: &TimeZone,
    seconds: u64,
) -> CaStatus {
    let attempts = unwritten.unwrap_or_else(|| Attempts::read(config, job, ca));
    let mut status = nothing_known(job, ca);
    status.add_unread(&attempts);
    let text = format!(
        "neither {} nor {} has answered within {seconds} seconds: it cannot be said how the CA stands",
        status.place,
        ca.place_text()
    );
    let remedy = format!("see what hangs there: certadm status {}", job.name);
    let trouble = place::trouble(Hresult::RPC_S_SERVER_UNAVAILABLE, text, &remedy);
    // It is the same trouble as that of a place that says at once that it cannot be reached.
    status.trouble.push(trouble.met_at(Step::Look.key()));
    // What was told of it before may be so still: also a failure that nothing but a look shows.
    status.unjudged.extend(About::ALL);
    status.next = slots(job, now, zone);
    status.judge(config, job, (&Held::default(), &attempts), now);
    status
}

impl CaStatus {
    /// Without what is known of the steps nobody knows which sets are damaged, nor what was found or has failed.
    fn add_unread(&mut self, attempts: &Attempts) {
        if let Some(unread) = attempts.unread() {
            self.trouble.push(unread.clone());
            let unjudged = [About::Late, About::Failed, About::Unverified, About::Incomplete, About::Finding];
            self.unjudged.extend(unjudged);
        }
    }

    /// Judges it. What cannot be judged now, and was an alarm, is one still.
    fn judge(&mut self, config: &Config, job: &Job, (held, attempts): (&Held, &Attempts), now: i64) {
        let known = match self.unjudged.is_empty() {
            true => Ok(Ledger::default()),
            false => known::peek(config),
        };
        if let Err(error) = &known {
            let what = "which alarms were in force is not known, because they cannot be read";
            let remedy =
                "find out what has damaged the records (`state` in certadm.toml), such as a disk that fails"
                    .to_owned();
            self.trouble.push(Trouble::of_unread("records/alarms", what, error, remedy));
        }
        self.alarms = judge(job, self, held, attempts, now);
        self.recall(&known.unwrap_or_default());
    }
}

fn nothing_known(job: &Job, ca: &Ca) -> CaStatus {
    CaStatus {
        job: job.name.to_string(),
        ca: ca.name.to_string(),
        place: job.to.first().map(ToString::to_string).unwrap_or_default(),
        ..CaStatus::default()
    }
}

/// The next slot of each step that has a schedule.
fn slots(job: &Job, now: i64, zone: &TimeZone) -> Vec<(Step, i64)> {
    Step::ALL.into_iter().filter_map(|step| Some((step, next(job, step, now, zone)?))).collect()
}

/// The bytes that are free where the sets of a CA are; of a folder alone, and of a vault in one.
fn free(config: &Config, job: &Job, ca: &Ca) -> certadm_files::Result<Option<u64>> {
    match job.to.first() {
        Some(Target::Folder(folder)) => {
            // Another disk may be mounted there. Before the first set there is no such folder.
            let sets = place::folder_of(folder, ca);
            space::available(if sets.is_dir() { &sets } else { folder })
        }
        Some(Target::Vault(vault)) => {
            let vault = config.vault(vault).ok();
            let folder = vault.as_ref().and_then(|vault| vault.folder());
            folder.map_or(Ok(None), space::available)
        }
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::alarm::Alarm;

    fn with_ca(dir: &std::path::Path) -> Config {
        let text = "state = 'state'\n[ca]\nweb = { dir = 'ca' }\n[job.j]\nca = 'web'\nto = 'sets'\nfull = 'hourly'\nverify = 'hourly'";
        std::fs::create_dir_all(dir.join("sets/web")).unwrap();
        std::fs::create_dir_all(dir.join("state/attempts/j")).unwrap();
        Config::parse(text, &dir.join("certadm.toml")).unwrap()
    }

    fn alarm(about: About, id: &str) -> Alarm {
        Alarm {
            about,
            id: id.to_owned(),
            job: "j".to_owned(),
            ca: "web".to_owned(),
            message: "m".to_owned(),
            remedy: "r".to_owned(),
        }
    }

    /// They were taken for empty, so that a set which was found damaged counted as sound.
    #[test]
    fn records_that_cannot_be_read_are_an_alarm_and_end_none() {
        let dir = certadm_files::scratch::for_test();
        let config = with_ca(dir.path());
        let (job, ca) = (config.job("j").unwrap(), config.ca("web").unwrap());
        let file = dir.path().join("state/attempts/j/web.json");
        let mut ledger = Ledger::default();
        ledger.update(("j", "web"), &[alarm(About::Finding, "verify/x")], &BTreeSet::new(), 900);
        std::fs::write(dir.path().join("state/alarms.json"), serde_json::to_vec(&ledger).unwrap()).unwrap();
        let ids = || -> Vec<String> {
            let status = of(&config, (job, ca), None, 1_000, &TimeZone::UTC);
            ledger.clone().update(("j", "web"), status.judged(), &status.unjudged, 1_000);
            status.alarms.iter().map(|alarm| alarm.id.clone()).filter(|id| !id.starts_with("ca/")).collect()
        };
        let empty = ids();
        assert!(!empty.contains(&"records".to_owned()), "{empty:?}");
        let unread = [&["records".to_owned()], empty.as_slice(), &["verify/x".to_owned()]].concat();
        let instead: [&dyn Fn(); 3] = [
            &|| std::fs::write(&file, "{").unwrap(),
            &|| std::fs::write(&file, vec![b' '; (1 << 20) + 1]).unwrap(),
            &|| {
                std::fs::remove_file(&file).unwrap();
                std::fs::create_dir(&file).unwrap();
            },
        ];
        for instead in instead {
            instead();
            assert_eq!(ids(), unread);
        }
    }

    /// Page, figures and check said that it was over.
    #[test]
    fn an_alarm_about_what_cannot_be_looked_at_is_shown_as_long_as_it_is_in_force() {
        let dir = certadm_files::scratch::for_test();
        let config = with_ca(dir.path());
        let (job, ca) = (config.job("j").unwrap(), config.ca("web").unwrap());
        let kinds =
            [(About::Certificate, ""), (About::Finding, "unreadable/s"), (About::Incomplete, "untold:x")];
        let mut ledger = Ledger::default();
        ledger.update(("j", "web"), &kinds.map(|(about, id)| alarm(about, id)), &BTreeSet::new(), 900);
        let known = dir.path().join("state/alarms.json");
        std::fs::write(&known, serde_json::to_vec(&ledger).unwrap()).unwrap();
        let look = || of(&config, (job, ca), None, 1_000, &TimeZone::UTC);
        let recalled = |status: &CaStatus| -> Vec<About> {
            let recalled = &status.alarms[status.judged().len()..];
            assert!(recalled.iter().all(|alarm| alarm.message == "as it was seen last: m"), "{recalled:?}");
            recalled.iter().map(|alarm| alarm.about).collect()
        };
        // The CA's folder is not there.
        assert_eq!(recalled(&look()), [About::Certificate]);
        let figures = crate::metrics::metrics(&[look()], &[], 1_000);
        let figure = |about: &str| format!("certadm_alarm{{backup_job=\"j\",ca=\"web\",about=\"{about}\"}}");
        assert!(figures.contains(&format!("{} 1", figure("certificate"))), "{figures}");
        assert!(figures.contains(&format!("{} 0", figure("finding"))), "the place was seen: {figures}");
        std::fs::remove_dir_all(dir.path().join("sets")).unwrap();
        assert_eq!(recalled(&look()), [About::Certificate, About::Finding]);
        let hangs = unanswered(&config, (job, ca), None, 1_000, &TimeZone::UTC, 5);
        assert_eq!(recalled(&hangs), [About::Certificate, About::Finding, About::Incomplete]);
        // To judge what is shown changes nothing of what is known.
        let mut again = ledger.clone();
        again.update(("j", "web"), hangs.judged(), &hangs.unjudged, 1_000);
        assert_eq!(again.in_force(("j", "web"), hangs.judged(), &hangs.unjudged).len(), 3);
        assert!(kinds.iter().all(|(about, id)| {
            again.in_force(("j", "web"), &[], &hangs.unjudged).contains(&alarm(*about, id))
        }));
        // Which alarms were in force is not known.
        std::fs::write(&known, "{").unwrap();
        assert!(look().alarms.iter().any(|alarm| alarm.id == "records/alarms"));
    }

    /// A place that hung every few minutes ended and began all alarms about what only a look shows.
    #[test]
    fn while_a_place_hangs_no_alarm_about_a_failure_ends_and_the_place_has_one() {
        let dir = certadm_files::scratch::for_test();
        let text =
            "state = 'state'\n[ca]\nweb = { dir = 'ca' }\n[job.j]\nca = 'web'\nto = 'sets'\nfull = 'hourly'";
        let config = Config::parse(text, &dir.path().join("certadm.toml")).unwrap();
        let (job, ca) = (config.job("j").unwrap(), config.ca("web").unwrap());
        let hangs = unanswered(&config, (job, ca), None, 1_000, &TimeZone::UTC, 5);
        let mut looked = nothing_known(job, ca);
        let gone = || place::trouble(Hresult::ERROR_PATH_NOT_FOUND, "it is gone".to_owned(), "r");
        let away = || place::trouble(Hresult::ERROR_BAD_NETPATH, "it is away".to_owned(), "r");
        looked.trouble =
            vec![gone().met_at("ca"), gone().met_at("evidence"), away().met_at(Step::Look.key())];
        looked.alarms = judge(job, &looked, &Held::default(), &Attempts::default(), 1_000);
        let (mut ledger, jobs) = (Ledger::default(), BTreeSet::from(["j"]));
        let mut hear = |status: &CaStatus, now| -> usize {
            ledger.update(("j", "web"), status.judged(), &status.unjudged, now);
            let news = ledger.news("ops", &jobs);
            news.iter().for_each(|news| ledger.heard("ops", news));
            news.len()
        };
        let failed = |alarms: &[Alarm]| alarms.iter().filter(|alarm| alarm.about == About::Failed).count();
        assert_eq!((failed(&looked.alarms), hear(&looked, 1_000)), (3, looked.alarms.len()));
        assert_eq!((failed(&hangs.alarms), hear(&hangs, 2_000)), (1, 0), "{:?}", hangs.alarms);
        assert_eq!(hear(&looked, 3_000), 0);
        assert_eq!(hear(&nothing_known(job, ca), 4_000), looked.alarms.len(), "they end");
    }
}
