//! Telling people what there is an alarm about, each by his ways, and a ping after each run.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::alarm::{About, Alarm, Ledger, News};
use crate::config::{Config, Name};
use crate::known::Known;
use crate::place::moment;
use crate::status::CaStatus;
use crate::unheard::Unheard;
use crate::way::{Way, read_address};

/// The log hears of everything, as a listener of its own.
const LOG: &str = "the log";
/// The job of a CA that no job has: everybody's business.
const NO_JOB: &str = "";
/// The CA of what is about the configuration itself: everybody's business, too.
const NO_CA: &str = "";
/// Who has not answered is left out by runs for so many seconds: as long as it takes to the agent's next judgement.
const SPARED: i64 = 900;
/// How long the refusals of one way may take together before he counts as one who does not answer.
const SLOW: Duration = Duration::from_secs(30);

/// Somebody who could not be told, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotTold {
    /// Who.
    pub who: String,
    /// Why.
    pub why: String,
}

/// What became of telling.
#[derive(Debug, Default)]
pub struct Told {
    /// The news.
    pub news: Vec<News>,
    /// Who could not be told: they are told the next time.
    pub not_told: Vec<NotTold>,
    /// Why it cannot be remembered who was told. There is an alarm about it.
    pub unwritten: Option<certadm_files::Error>,
}

/// Tells those who are told of alarms, and knows what there is an alarm about then.
pub struct Teller<'a> {
    config: &'a Config,
    known: Ledger,
    /// What is known here could not be written.
    is_unwritten: bool,
    /// Who has not answered so many seconds ago is left out.
    spares: i64,
    /// Who has not answered here, and what somebody has refused here: neither is tried twice.
    silent: BTreeSet<String>,
    refused: BTreeSet<(String, String)>,
    /// The records were written here: it is known whether they can be.
    is_tried: bool,
    /// That the records could not be read here. They were written since.
    unread: Option<Alarm>,
    /// Why the agent cannot show its page, and an empty text where it can; nothing where that is not known.
    page: Option<String>,
}

impl<'a> Teller<'a> {
    /// Tells after a run. It does not wait for who has not answered a few minutes ago: the next run would wait as well.
    #[must_use]
    pub fn of_run(config: &'a Config) -> Self {
        Self { spares: SPARED, ..Self::of_judgement(config) }
    }

    /// Tells after a look at all CAs: everybody is tried.
    #[must_use]
    pub fn of_judgement(config: &'a Config) -> Self {
        let (silent, refused) = (BTreeSet::new(), BTreeSet::new());
        Self {
            config,
            known: Ledger::default(),
            is_unwritten: false,
            spares: 0,
            silent,
            refused,
            is_tried: false,
            unread: None,
            page: None,
        }
    }

    /// What the agent knows of its page: why it cannot show it, or an empty text. Nobody else knows, and ends no alarm about that while the
    /// agent runs.
    #[must_use]
    pub fn knowing_of_page(self, page: Option<String>) -> Self {
        Self { page, ..self }
    }

    /// Takes over what there is an alarm about for these CAs, and for those that no job has, and tells those who have not heard of
    /// it. One process does so at a time. That the records cannot be written keeps nobody from hearing of it.
    pub fn tell(&mut self, stand: &[CaStatus], now: i64) -> Told {
        let config = self.config;
        let (mut known, mut ledger) = Known::open(config);
        // What nobody else can know, because nothing could be written.
        let is_newer = self.is_unwritten && !known.was_unwritten();
        if is_newer {
            ledger.clone_from(&self.known);
        }
        if let Some(error) = known.unread() {
            self.unread = Some(Alarm::of_unread_records(error));
        }
        let before = ledger.clone();
        // A disk that is full is seen by writing alone.
        if !self.is_tried {
            self.is_tried = true;
            known.write(&ledger);
        }
        self.judge(&mut ledger, stand, known.unwritten().is_some(), now);
        // Whether they can be written has to be known before somebody is told.
        if ledger != before || known.was_unwritten() || is_newer {
            known.write(&ledger);
        }
        let unreadable = config.why_unreadable().map(|error| Alarm::of_configuration(&error));
        let unwritten = known.unwritten().map(Alarm::of_records).or_else(|| self.unread.clone());
        let page = self.page.as_deref().filter(|why| !why.is_empty()).map(Alarm::of_page);
        let of_all: Vec<Alarm> = unreadable.into_iter().chain(unwritten).chain(page).collect();
        // An agent that is gone shows no page, and nobody else would ever end the alarm.
        let is_known = self.page.is_some()
            || ledger.has_one_about(About::Page) && crate::lock::is_agent_gone(&config.state);
        let unjudged = (!is_known).then_some(About::Page).into_iter().collect();
        ledger.update((NO_JOB, NO_CA), &of_all, &unjudged, now);
        let mut told = Told::default();
        let all: BTreeSet<&str> = config.jobs.keys().map(Name::as_str).chain([NO_JOB]).collect();
        for news in ledger.news(LOG, &all) {
            ledger.heard(LOG, &news);
            told.news.push(news);
        }
        for (name, notify) in &config.notify {
            for way in Way::all(name, notify) {
                if !ledger.is_silent(&way.door, self.spares, now) {
                    told.not_told.extend(self.tell_one(&mut ledger, name, &way, now));
                }
            }
        }
        if ledger != before {
            known.write(&ledger);
        }
        told.unwritten = known.close();
        self.is_unwritten = told.unwritten.is_some();
        self.known = ledger;
        told
    }

    /// Tells somebody what he has not heard by this way yet. One message that he refuses does not keep the others from him.
    fn tell_one(&mut self, ledger: &mut Ledger, name: &Name, way: &Way<'_>, now: i64) -> Option<NotTold> {
        let (mut not_told, mut spent) = (None, Duration::ZERO);
        for news in ledger.news(&way.who, &jobs_of(self.config, name)) {
            let key = (way.who.clone(), format!("{:?} {}", news.event, news.alarm.key()));
            if self.silent.contains(&way.door) || self.refused.contains(&key) {
                continue;
            }
            let begun = Instant::now();
            let why = match way.send(&news, &to_json(&news).to_string()) {
                Ok(()) => {
                    ledger.answered(&way.door, true, now);
                    ledger.heard(&way.who, &news);
                    continue;
                }
                Err(Unheard::Refused(why)) => {
                    // Who takes his time to refuse would hold back everybody else, once for each alarm.
                    spent += begun.elapsed();
                    let is_slow = SLOW < spent;
                    ledger.answered(&way.door, !is_slow, now);
                    if is_slow {
                        self.silent.insert(way.door.clone());
                    }
                    self.refused.insert(key);
                    why
                }
                Err(Unheard::Silent(why)) => {
                    ledger.answered(&way.door, false, now);
                    self.silent.insert(way.door.clone());
                    why
                }
            };
            not_told.get_or_insert(NotTold { who: name.to_string(), why });
        }
        not_told
    }

    /// Takes over what there is an alarm about, but for what all CAs share. What steps have found or why they failed is not known from
    /// records that cannot be written.
    fn judge(&self, ledger: &mut Ledger, stand: &[CaStatus], is_unwritten: bool, now: i64) {
        let config = self.config;
        let mut listeners = BTreeSet::from([LOG.to_owned()]);
        for (name, notify) in &config.notify {
            let ways = Way::all(name, notify);
            // Programs of before knew no ways.
            ledger.share(name.as_str(), ways.iter().map(|way| way.who.as_str()));
            listeners.extend(ways.into_iter().flat_map(|way| [way.who, way.door]));
        }
        ledger.keep_only(&listeners);
        for status in stand {
            let mut unjudged = status.unjudged.clone();
            if is_unwritten {
                unjudged.extend([About::Failed, About::Finding]);
            }
            ledger.update((&status.job, &status.ca), status.judged(), &unjudged, now);
        }
        let unprotected = config.unprotected();
        for name in config.cas.keys() {
            let alarm = unprotected.contains(&name).then(|| Alarm::of_unprotected(name));
            ledger.update((NO_JOB, name.as_str()), alarm.as_slice(), &BTreeSet::new(), now);
        }
        ledger.end_of_gone(|job, ca| {
            let of_job =
                config.jobs.values().filter(|known| known.name.as_str() == job).flat_map(|job| &job.cas);
            let all = config.cas.keys().filter(|_| job == NO_JOB);
            of_job.chain(all).any(|known| known.as_str() == ca) || (job, ca) == (NO_JOB, NO_CA)
        });
    }

    /// Asks for the addresses that wait for a sign of life of these jobs: as they are when there is no alarm, else with `/fail`. All CAs
    /// of whoever is told count, as they were judged last, and not only those of this run.
    #[must_use]
    pub fn ping(&self, stand: &[CaStatus]) -> Vec<NotTold> {
        let mut not_told = Vec::new();
        for (name, notify) in &self.config.notify {
            let Some(address) = &notify.ping else { continue };
            let jobs = jobs_of(self.config, name);
            if !stand.iter().any(|status| jobs.contains(status.job.as_str())) {
                continue;
            }
            let asked = read_address(address).and_then(|address| {
                let address = if self.known.has_any_of(&jobs) { failed(&address) } else { address };
                crate::http::request(&address, None).map_err(Unheard::why)
            });
            if let Err(why) = asked {
                not_told.push(NotTold { who: name.to_string(), why });
            }
        }
        not_told
    }
}

/// The jobs whose alarms somebody is told of, and what is everybody's business.
fn jobs_of<'a>(config: &'a Config, listener: &Name) -> BTreeSet<&'a str> {
    let jobs = config.jobs.values().filter(|job| job.notify.contains(listener));
    jobs.map(|job| job.name.as_str()).chain([NO_JOB]).collect()
}

/// The address that tells of a failure: `/fail` ends its path, before a query or a fragment (RFC 3986, section 3).
fn failed(address: &str) -> String {
    let (path, rest) = address.split_at(address.find(['?', '#']).unwrap_or(address.len()));
    format!("{}/fail{rest}", path.trim_end_matches('/'))
}

/// What is told, as docs/json.md has it.
#[must_use]
pub fn to_json(news: &News) -> Value {
    let mut value = json!(news);
    value["format"] = json!(1);
    value["since"] = json!(moment(news.since));
    value["grave"] = json!(news.alarm.about.is_grave());
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alarm::Turn;
    use crate::lock::OF_AGENT;

    /// It made every ping one of a failure, and outlived the agent that alone could end it.
    #[test]
    fn an_alarm_about_the_page_ends_with_its_agent_and_is_no_failure_of_a_backup() {
        let dir = certadm_files::scratch::for_test();
        let text =
            "state = 'state'\n[ca]\nweb = { dir = 'ca' }\n[job.j]\nca = 'web'\nto = 'sets'\nfull = 'hourly'";
        let config = Config::parse(text, &dir.path().join("certadm.toml")).unwrap();
        let tell = |mut teller: Teller<'_>| -> (Vec<(Turn, About)>, bool) {
            let news = teller.tell(&[], 1_000).news;
            let fails = teller.known.has_any_of(&BTreeSet::from(["j", NO_JOB]));
            (news.iter().map(|news| (news.event, news.alarm.about)).collect(), fails)
        };
        std::fs::create_dir(&config.state).unwrap();
        let agent = certadm_files::durable::open_or_create(&config.state.join(OF_AGENT)).unwrap();
        agent.try_lock().unwrap();
        let of_agent = || Teller::of_judgement(&config).knowing_of_page(Some("port 1".to_owned()));
        assert_eq!(tell(of_agent()), (vec![(Turn::Begins, About::Page)], false));
        assert_eq!(tell(Teller::of_run(&config)).0, [], "the agent runs, and knows");
        agent.unlock().unwrap();
        assert_eq!(tell(Teller::of_run(&config)).0, [(Turn::Ends, About::Page)]);
    }

    /// It was taken for one that has nothing: everybody heard everything again, and nobody why.
    #[test]
    fn alarms_that_cannot_be_read_are_told_as_such_and_once() {
        let dir = certadm_files::scratch::for_test();
        let text =
            "state = 'state'\n[ca]\nweb = { dir = 'ca' }\n[job.j]\nca = 'web'\nto = 'sets'\nfull = 'hourly'";
        let config = Config::parse(text, &dir.path().join("certadm.toml")).unwrap();
        let tell = |teller: &mut Teller<'_>| -> Vec<_> {
            let news = teller.tell(&[], 1_000).news.into_iter();
            news.map(|news| (news.event, news.alarm.id)).collect()
        };
        assert_eq!(tell(&mut Teller::of_judgement(&config)), [], "no file is an empty one");
        std::fs::write(config.state.join("alarms.json"), "{").unwrap();
        let mut judgement = Teller::of_judgement(&config);
        let records = |event| vec![(event, "records".to_owned())];
        assert_eq!([tell(&mut judgement), tell(&mut judgement)], [records(Turn::Begins), Vec::new()]);
        assert_eq!(tell(&mut Teller::of_judgement(&config)), records(Turn::Ends), "it was written since");
    }

    #[test]
    fn a_failure_is_told_by_the_path_of_an_address() {
        for (address, expected) in [
            ("https://hc.example/x", "https://hc.example/x/fail"),
            ("https://hc.example/x/", "https://hc.example/x/fail"),
            ("https://hc.example/x?create=1", "https://hc.example/x/fail?create=1"),
            ("https://hc.example/x/?a=b/c?d#e", "https://hc.example/x/fail?a=b/c?d#e"),
            ("https://hc.example/x#e?f", "https://hc.example/x/fail#e?f"),
        ] {
            assert_eq!(failed(address), expected);
        }
    }
}
