//! Settings that can be read, and that nobody can mean. `config check` tells of them; whatever runs by them goes on.

use std::ops::Range;

use certadm_rules::settings::mistake;

use super::raw;
use crate::span::span_text;

/// No backup ends sooner, in seconds.
const SHORTEST_RUN: i64 = 60;
/// A run that waits longer keeps its CA from others, in seconds.
const LONGEST_WAIT: i64 = 3_600;
/// An alarm that comes later than that comes too late for everybody, in seconds.
const LONGEST_LOSS: i64 = 366 * 86_400;

/// A setting that nobody can mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// What it does, with line and column.
    pub text: String,
    /// What to write.
    pub remedy: &'static str,
}

/// Those of the file itself.
pub(super) fn of_file(text: &str, raw: &raw::File) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let mut doubt = |span: Range<usize>, why: &str, remedy| {
        doubts.push(Doubt { text: mistake(text, Some(span), why, true), remedy });
    };
    if let Some(at_once) = raw.at_once.as_ref().filter(|at_once| *at_once.get_ref() == 0) {
        let why = "0 counts as 1, because no CA would be worked on";
        doubt(at_once.span(), why, "say how many CAs are worked on at the same time: 1 or more");
    }
    if let Some(limit) = raw.time_limit.as_ref().filter(|limit| limit.get_ref().0 < SHORTEST_RUN) {
        let why =
            format!("every run is stopped after {}, before a backup can end", span_text(limit.get_ref().0));
        doubt(limit.span(), &why, "give a run the time that its backups and rehearsals take, such as 24h");
    }
    let waits = raw.retry_after.iter().flatten();
    for wait in waits.filter(|wait| LONGEST_WAIT < wait.get_ref().0) {
        let why =
            format!("a run waits {} for a step, and keeps its CA meanwhile", span_text(wait.get_ref().0));
        doubt(wait.span(), &why, "wait some minutes at most: what has failed is tried again by a later run");
    }
    doubts
}

/// Those of a job whose most frequent backup comes every `often` seconds.
pub(super) fn of_job(text: &str, raw: &raw::Job, often: i64) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let mut doubt = |span: Range<usize>, why: &str, remedy| {
        doubts.push(Doubt { text: mistake(text, Some(span), why, true), remedy });
    };
    if let Some(rpo) = &raw.rpo {
        match rpo.get_ref().0 {
            seconds if seconds < often => {
                let why = format!(
                    "the backups come every {}, so that there is an alarm between any two",
                    span_text(often)
                );
                doubt(
                    rpo.span(),
                    &why,
                    "give it twice the time between two backups, or take them more often",
                );
            }
            seconds if LONGEST_LOSS < seconds => {
                let why = "for more than a year there is no alarm when no backup is taken";
                doubt(rpo.span(), why, "say how much may be lost, such as 24h");
            }
            _ => {}
        }
    }
    if let Some(rto) = raw.rto.as_ref().filter(|rto| rto.get_ref().0 == 0) {
        doubt(rto.span(), "no rehearsal takes no time", "say how long the way back may take, such as 4h");
    }
    for ends in [&raw.crl, &raw.certificate].into_iter().flatten().filter(|ends| ends.get_ref().0 == 0) {
        let why = "the alarm comes when it has ended, and not before";
        doubt(ends.span(), why, "say how long before the end there is an alarm, such as 24h");
    }
    if let Some(keep) = raw.keep.as_ref().filter(|keep| keep.get_ref().is_empty()) {
        let why = "no rule keeps anything, so that nothing is deleted, as without `keep`";
        doubt(keep.span(), why, "say which sets stay, such as { last = 2, daily = 14 }, or leave it out");
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn what_nobody_can_mean_is_told_with_its_place_and_read_all_the_same() {
        let doubts = |settings: &str, job: &str| {
            let text = format!(
                "{settings}\n[ca]\nweb = {{ dir = '/a' }}\n[job.j]\nca = 'web'\nto = '/b'\nfull = 'daily 02:00'\nlogs = 'every 15m'\n{job}"
            );
            let config = Config::parse(&text, "/etc/certadm/certadm.toml".as_ref()).unwrap();
            config.doubts.iter().map(|doubt| doubt.text.clone()).collect::<Vec<_>>()
        };
        for (settings, job, expected) in [
            ("at-once = 0", "", "line 1, column 11: at-once: 0 counts as 1"),
            ("time-limit = '0s'", "", "line 1, column 14: time-limit: every run is stopped after 0s"),
            ("retry-after = ['1m', '2h']", "", "line 1, column 22: retry-after: a run waits 2h"),
            ("", "rpo = '14m'", "line 9, column 7: rpo: the backups come every 15m"),
            ("", "rpo = '2000d'", "line 9, column 7: rpo: for more than a year"),
            ("", "rto = '0s'", "line 9, column 7: rto: no rehearsal"),
            ("", "crl = '0s'", "line 9, column 7: crl: the alarm comes when it has ended"),
            ("", "certificate = '0d'", "line 9, column 15: certificate: the alarm comes"),
            ("", "keep = { last = 0 }", "line 9, column 8: keep: no rule keeps anything"),
            ("[defaults.job]\nrto = '0s'", "", "line 2, column 7: rto: no rehearsal"),
        ] {
            let told = doubts(settings, job);
            assert!(told.len() == 1 && told[0].starts_with(expected), "{expected}: {told:#?}");
        }
        let sensible = "at-once = 1\ntime-limit = '1h'\nretry-after = []";
        let limits = "rpo = '15m'\nrto = '1h'\ncrl = '1h'\ncertificate = '1d'\nkeep = { last = 1 }";
        assert_eq!(doubts(sensible, limits), Vec::<String>::new());
    }
}
