//! The CAs of jobs, how they stand, and telling people of it: what `run` and `status` share.

use certadm_jobs::alarm::{Alarm, Turn};
use certadm_jobs::notify::{NotTold, Teller};
use certadm_jobs::stand::of;
use certadm_jobs::status::CaStatus;
use certadm_jobs::{Ca, Config, Job, local_zone};
use certadm_rules::printable::printable;

use crate::failure::Failure;
use crate::output::Output;
use crate::terminal::Tone;

/// Each job with each of its CAs.
pub(crate) fn pairs<'a>(config: &'a Config, jobs: &[&'a Job]) -> Vec<(&'a Job, &'a Ca)> {
    let cas = |job: &'a Job| job.cas.iter().filter_map(move |name| Some((job, config.cas.get(name)?)));
    jobs.iter().flat_map(|job| cas(job)).collect()
}

/// Work was asked for, or a judgement, of which there is none.
pub(crate) fn none_meant() -> Failure {
    Failure::usage("no CA of these jobs is meant", "name a job that has this CA: certadm config show")
}

/// All jobs, or the one of that name.
pub(crate) fn jobs<'a>(config: &'a Config, name: Option<&str>) -> Result<Vec<&'a Job>, Failure> {
    Ok(match name {
        Some(name) => vec![config.job(name)?],
        None => config.jobs.values().collect(),
    })
}

/// How these CAs stand.
pub(crate) fn stand(config: &Config, work: &[(&Job, &Ca)], now: i64) -> Result<Vec<CaStatus>, Failure> {
    let zone = local_zone();
    let mut stand = Vec::new();
    for (job, ca) in work {
        certadm_files::cancel::check()?;
        stand.push(of(config, job, ca, now, &zone));
    }
    Ok(stand)
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
