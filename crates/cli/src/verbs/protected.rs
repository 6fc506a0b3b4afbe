//! The CAs of jobs, how they stand, and telling people of it: what `run` and `status` share.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use certadm_files::{IoContext, cancel};
use certadm_jobs::alarm::{Alarm, Turn};
use certadm_jobs::notify::{NotTold, Teller};
use certadm_jobs::record::Attempts;
use certadm_jobs::stand::{of, unanswered};
use certadm_jobs::status::CaStatus;
use certadm_jobs::{Ca, CaRun, Config, Job, TimeZone, local_zone};
use certadm_rules::printable::printable;

use crate::failure::Failure;
use crate::output::Output;
use crate::terminal::Tone;

/// So long it may take to find out how a CA stands, and no longer than a run may take.
pub(crate) const LOOK: Duration = Duration::from_secs(300);
/// So long where another CA of the same place has not answered.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How often it is looked whether the command is to stop.
const GLANCE: Duration = Duration::from_millis(50);

/// Each job with each of its CAs.
pub(crate) fn pairs<'a>(config: &'a Config, jobs: &[&'a Job]) -> Vec<(&'a Job, &'a Ca)> {
    let cas = |job: &'a Job| job.cas.iter().filter_map(move |name| Some((job, config.cas.get(name)?)));
    jobs.iter().flat_map(|job| cas(job)).collect()
}

/// Work was asked for, or a judgement, of which there is none.
pub(crate) fn none_meant() -> Failure {
    Failure::usage("none of these jobs has this CA", "name a job that has this CA: certadm config show")
}

/// All jobs, or the one of that name.
pub(crate) fn jobs<'a>(config: &'a Config, name: Option<&str>) -> Result<Vec<&'a Job>, Failure> {
    Ok(match name {
        Some(name) => vec![config.job(name)?],
        None => config.jobs.values().collect(),
    })
}

/// How these CAs stand after these runs; `each` hears of it at once. What hangs keeps nobody from hearing of the others.
pub(crate) fn stand(
    config: &Config,
    work: &[(&Job, &Ca)],
    runs: &[CaRun],
    now: i64,
    mut each: impl FnMut(&CaStatus),
) -> Result<Vec<CaStatus>, Failure> {
    let zone = local_zone();
    let shared = Arc::new(config.clone());
    let limit = Duration::from_secs(u64::try_from(config.time_limit).unwrap_or_default());
    let (mut hanging, mut stand) = (BTreeSet::new(), Vec::new());
    for (job, ca) in work {
        let place = job.to.first().map(ToString::to_string);
        let patience = if hanging.contains(&place) { LOOK_AGAIN } else { LOOK }.min(limit);
        let run = runs
            .iter()
            .find(|run| (run.job.as_str(), run.ca.as_str()) == (job.name.as_str(), ca.name.as_str()));
        let unwritten = run.and_then(|run| run.unwritten.clone());
        let looking = looking(&shared, (job, ca), unwritten.clone(), now, &zone)?;
        let status = answer(&looking, patience)?.unwrap_or_else(|| {
            hanging.insert(place);
            unanswered(config, (job, ca), unwritten, now, &zone, patience.as_secs())
        });
        each(&status);
        stand.push(status);
    }
    Ok(stand)
}

/// Looks at a CA, in a thread of its own: one that hangs is left behind.
fn looking(
    config: &Arc<Config>,
    (job, ca): (&Job, &Ca),
    unwritten: Option<Attempts>,
    now: i64,
    zone: &TimeZone,
) -> Result<Receiver<CaStatus>, Failure> {
    let (sender, seen) = mpsc::channel();
    let (config, job, ca, zone) = (Arc::clone(config), job.clone(), ca.clone(), zone.clone());
    let looks = move || sender.send(of(&config, (&job, &ca), unwritten, now, &zone)).ok();
    let thread = thread::Builder::new().name("look".to_owned()).spawn(looks);
    thread.during("start a thread for", Path::new("a look at a CA"))?;
    Ok(seen)
}

/// What was seen; `None` when it takes too long.
fn answer(seen: &Receiver<CaStatus>, patience: Duration) -> Result<Option<CaStatus>, Failure> {
    let end = Instant::now() + patience;
    loop {
        cancel::check()?;
        match seen.recv_timeout(GLANCE) {
            Ok(status) => return Ok(Some(status)),
            Err(RecvTimeoutError::Timeout) if Instant::now() < end => {}
            Err(RecvTimeoutError::Timeout) => return Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::internal("the look at a CA broke down"));
            }
        }
    }
}

/// Tells what those who are told have not heard yet. Who cannot be told is told the next time, and this is said. Gives whether it could
/// be remembered.
pub(crate) fn tell(teller: &mut Teller<'_>, stand: &[CaStatus], now: i64, output: Output) -> bool {
    let told = teller.tell(stand, now);
    for news in told.news {
        let (word, tone) = match news.event {
            Turn::Begins if news.alarm.about.is_grave() => ("ALARM", Tone::Bad),
            Turn::Begins => ("alarm", Tone::Warn),
            Turn::Ends => ("ended", Tone::Good),
        };
        let Alarm { about, message, remedy, .. } = &news.alarm;
        let whose = news.alarm.subject();
        output.toned("", word, Some(tone), &format!(": {whose}: {about}: {}", printable(message)));
        if news.event == Turn::Begins {
            output.result(format!("  what to do: {remedy}"));
        }
    }
    say_not_told(&told.not_told, output);
    told.unwritten.is_none()
}

/// Says who could not be told.
pub(crate) fn say_not_told(not_told: &[NotTold], output: Output) {
    for one in not_told {
        let text =
            format!(": {} could not be told, and is told the next time: {}", one.who, printable(&one.why));
        output.toned("", "warning", Some(Tone::Warn), &text);
    }
}
