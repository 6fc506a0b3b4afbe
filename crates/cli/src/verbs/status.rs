//! `certadm status`: how each CA of each job stands, and `certadm check`: the same for monitoring (docs/jobs.md).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::slice;

use certadm_files::durable;
use certadm_jobs::alarm::{About, Alarm, abouts};
use certadm_jobs::metrics::metrics;
use certadm_jobs::notify::Teller;
use certadm_jobs::page::status_page;
use certadm_jobs::place::moment;
use certadm_jobs::run::system_clock;
use certadm_jobs::status::{CaStatus, Completeness};
use certadm_jobs::{Ca, Config, Job, Name, Step, span};
use certadm_rules::span::brief;
use certadm_rules::words::human_bytes;
use clap::Args;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::interrupt;
use crate::output::{Done, Output};
use crate::terminal::Tone;
use crate::verbs::files::refuse_wrong_place;
use crate::verbs::protected::{jobs, none_meant, pairs, stand, tell};

/// `certadm status`
#[derive(Debug, Default, Args)]
#[command(after_help = "Example: certadm status\nExample: certadm status nightly --html status.html")]
pub(crate) struct StatusArgs {
    /// A job of certadm.toml; all of them if left out
    #[arg(value_name = "JOB")]
    job: Option<String>,
    /// Write a page to a file, over the one that is there
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the figures to a file in the format of Prometheus, over the one that is there
    #[arg(long, value_name = "FILE")]
    prometheus: Option<PathBuf>,
    /// Tell those who are to be told of alarms what they have not heard yet
    #[arg(long)]
    notify: bool,
    /// Why the agent, which has started this, cannot show its page; an empty text where it can
    #[arg(long, hide = true, value_name = "TEXT", allow_hyphen_values = true)]
    page_trouble: Option<String>,
}

/// `certadm check`
#[derive(Debug, Args)]
#[command(after_help = "Example: certadm check nightly --max-age 1h\n\
    Exit codes are those of Nagios: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.")]
pub(crate) struct CheckArgs {
    /// A job of certadm.toml; all of them if left out
    #[arg(value_name = "JOB")]
    job: Option<String>,
    /// Only this CA
    #[arg(long, value_name = "NAME")]
    ca: Option<String>,
    /// The oldest that the newest state may be, such as 1h [default: `rpo` of the job]
    #[arg(long, value_name = "TIME", value_parser = span)]
    max_age: Option<i64>,
}

pub(crate) fn run(args: &StatusArgs, output: Output) -> Result<Done, Failure> {
    for file in [&args.html, &args.prometheus].into_iter().flatten() {
        refuse_wrong_place(file)?;
    }
    let config = Config::load()?;
    let jobs = jobs(&config, args.job.as_deref())?;
    interrupt::watch();
    let now = system_clock();
    // What is of no job is told first, and each CA as soon as it is known.
    let teller = args.notify.then(|| Teller::of_judgement(&config));
    let mut teller = teller.map(|teller| teller.knowing_of_page(args.page_trouble.clone()));
    let mut is_remembered = true;
    let mut told = |stand: &[CaStatus]| {
        if let Some(teller) = &mut teller {
            is_remembered &= tell(teller, stand, now, output);
        }
    };
    told(&[]);
    let stand = stand(&config, &pairs(&config, &jobs), &[], now, |status| told(slice::from_ref(status)))?;
    // Of a job that was named, the others are not asked for.
    let unprotected = if args.job.is_some() { Vec::new() } else { config.unprotected() };
    if let Some(page) = &args.html {
        durable::replace(page, status_page(&stand, &unprotected, now).as_bytes())?;
    }
    if let Some(file) = &args.prometheus {
        durable::replace(file, metrics(&stand, &unprotected, now).as_bytes())?;
    }
    // The agent's own call: what is new has been told, and nobody reads a table in a journal.
    if !(args.notify && output.quiet) {
        table(&stand, now, output);
        for name in &unprotected {
            output.result(format!("{name}: no job has this CA, so nothing protects it"));
            output.result(
                "  what to do: name it in `ca` of a job (certadm.toml(5)), or take it out of the file",
            );
        }
        if stand.is_empty() && unprotected.is_empty() {
            output.result(format!("No CA is protected: {} names none", config.path.display()));
            output.result("  what to do: write a section [ca.NAME] and a job (certadm.toml(5))");
        }
    }
    let is_well = stand.iter().all(|status| status.alarms.is_empty()) && unprotected.is_empty();
    let exit = if is_well && is_remembered && !stand.is_empty() { Exit::Good } else { Exit::Finding };
    let unprotected: Vec<&str> = unprotected.into_iter().map(Name::as_str).collect();
    let result = json!({ "now": moment(now), "cas": stand.iter().map(to_json).collect::<Vec<_>>(),
        "unprotected": unprotected });
    Ok(Done { exit, result })
}

/// A line a CA, and below it what else is known of it; nothing where there is no CA.
fn table(stand: &[CaStatus], now: i64, output: Output) {
    if stand.is_empty() {
        return;
    }
    let width = stand.iter().map(|status| status.ca.len()).max().unwrap_or_default().max(2);
    output.line(format!(
        "{:width$}  {:>7}  {:>7}  {:>7}  {:>8}  {:>9}  {:11}  STATE",
        "CA", "FULL", "LOGS", "AT RISK", "VERIFIED", "REHEARSED", "COMPLETE"
    ));
    for status in stand {
        let ago = |time: Option<i64>| time.map_or_else(|| "-".to_owned(), |time| brief(now - time));
        // What a place holds is not known where it was not looked at.
        let seen = |time| if status.place_seen || time != "-" { time } else { "?".to_owned() };
        let nothing = if status.place_seen { "ALL" } else { "?" };
        let line = format!(
            "{:width$}  {:>7}  {:>7}  {:>7}  {:>8}  {:>9}  {:11}  ",
            status.ca,
            seen(ago(status.last_full)),
            seen(ago(status.last_logs)),
            status.rpo.map_or_else(|| nothing.to_owned(), brief),
            seen(ago(status.verified)),
            ago(status.rehearsal_proven),
            status.complete.map_or("-", Completeness::key),
        );
        let (word, tone) = state_of(status);
        output.toned(&line, &word, Some(tone), "");
        for parts in [resources(status, now), steps(status, now)] {
            wrapped(&parts).into_iter().for_each(|line| output.result(line));
        }
        if status.is_not_proven() {
            let when = ago(status.rehearsed);
            output.result(format!("  the rehearsal {when} ago has not shown that the CA comes back"));
        }
        if !status.missing.is_empty() && !status.alarms.iter().any(|alarm| alarm.about == About::Incomplete) {
            output.result(format!("  missing: {}", status.missing.join(", ")));
        }
        for alarm in &status.alarms {
            output.result(format!("  {}: {}", alarm.about, alarm.message));
            output.result(format!("  what to do: {}", alarm.remedy));
        }
    }
}

/// What fills up, and what ends.
fn resources(status: &CaStatus, now: i64) -> Vec<String> {
    let waiting = status.logs_waiting.map(|bytes| format!("logs waiting {}", human_bytes(bytes)));
    let free = status.free.map(|bytes| format!("free {}", human_bytes(bytes)));
    let ends = [("CRL", status.crl_ends), ("certificate", status.certificate_ends)];
    let ends = ends.into_iter().filter_map(|(what, ends)| match ends? - now {
        left @ 1.. => Some(format!("{what} ends in {}", brief(left))),
        _ => Some(format!("{what} has ended")),
    });
    waiting.into_iter().chain(free).chain(ends).collect()
}

/// When which step comes next, the soonest first.
fn steps(status: &CaStatus, now: i64) -> Vec<String> {
    let mut next = status.next.clone();
    next.sort_by_key(|(_, time)| *time);
    let named = next.iter().map(|(step, time)| format!("{step} in {}", brief(time - now)));
    named.enumerate().map(|(at, text)| if at == 0 { format!("next {text}") } else { text }).collect()
}

/// Parts in lines of 80 columns, below the line of a CA.
fn wrapped(parts: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.len() + 2 + part.len() < 80 => {
                line.push_str(", ");
                line.push_str(part);
            }
            _ => lines.push(format!("  {part}")),
        }
    }
    lines
}

/// A state in a word, and its colour.
fn state_of(status: &CaStatus) -> (String, Tone) {
    match (status.alarms.iter().any(|alarm| alarm.about.is_grave()), status.alarms.as_slice()) {
        (_, []) => ("ok".to_owned(), Tone::Good),
        (is_grave, alarms) => (abouts(alarms), if is_grave { Tone::Bad } else { Tone::Warn }),
    }
}

/// A CA's state as docs/json.md has it.
fn to_json(status: &CaStatus) -> Value {
    let mut value = json!(status);
    let times = [
        "first",
        "last_full",
        "last_logs",
        "newest_state",
        "verified",
        "rehearsed",
        "rehearsal_proven",
        "crl_ends",
        "certificate_ends",
    ];
    for key in times {
        value[key] = json!(value[key].as_i64().map(moment));
    }
    let next: serde_json::Map<String, Value> =
        status.next.iter().map(|(step, time)| (step.key().to_owned(), json!(moment(*time)))).collect();
    let all = Step::ALL.into_iter().filter(|step| !matches!(step, Step::Copy | Step::Prune | Step::Ask));
    value["next"] = all.map(|step| (step.key().to_owned(), json!(next.get(step.key())))).collect();
    value
}

pub(crate) fn check(args: &CheckArgs, output: Output) -> Result<Done, Failure> {
    // Monitoring knows a command that cannot tell by its code, and shows what it prints.
    let unknown = |failure: Failure| {
        output.result(format!("UNKNOWN - {failure}; what to do: {}", failure.remedy));
        Done {
            exit: Exit::Refused,
            result: json!({ "state": "unknown", "text": failure.to_string(), "cas": [] }),
        }
    };
    Ok(judged(args, output).unwrap_or_else(unknown))
}

fn judged(args: &CheckArgs, output: Output) -> Result<Done, Failure> {
    let config = Config::load()?;
    let jobs = jobs(&config, args.job.as_deref())?;
    let wanted = args.ca.as_deref().map(|name| config.ca(name)).transpose()?;
    let mut work = pairs(&config, &jobs);
    work.retain(|(_, ca)| wanted.is_none_or(|wanted| wanted.name == ca.name));
    // Of a job or a CA that was named, the others are not asked for.
    let unprotected = if args.job.is_some() || wanted.is_some() { Vec::new() } else { config.unprotected() };
    if work.is_empty() && unprotected.is_empty() {
        return Err(none_meant());
    }
    // The limit of the command line takes the place of the job's own.
    let limited: Vec<Job> = work
        .iter()
        .map(|(job, _)| {
            let mut job = (*job).clone();
            job.limits.rpo = args.max_age.unwrap_or(job.limits.rpo);
            job
        })
        .collect();
    let work: Vec<(&Job, &Ca)> = limited.iter().zip(&work).map(|(job, (_, ca))| (job, *ca)).collect();
    let stand = stand(&config, &work, &[], system_clock(), |_| {})?;
    let alarms: Vec<&Alarm> = stand.iter().flat_map(|status| &status.alarms).collect();
    let is_grave = alarms.iter().any(|alarm| alarm.about.is_grave()) || !unprotected.is_empty();
    let (word, exit) = match (is_grave, alarms.is_empty()) {
        (false, true) => ("OK", Exit::Good),
        (false, false) => ("WARNING", Exit::Finding),
        // 2 is CRITICAL there.
        (true, _) => ("CRITICAL", Exit::Usage),
    };
    let told = alarms.iter().map(|alarm| format!("{} {}: {}", alarm.ca, alarm.about, alarm.message));
    let unprotected = unprotected.into_iter().map(|name| format!("{name}: no job has this CA"));
    let told: Vec<String> = told.chain(unprotected).collect();
    let oldest = stand.iter().map(|status| status.rpo).max().flatten();
    // Several jobs may have one CA.
    let cas = stand.iter().map(|status| &status.ca).collect::<BTreeSet<_>>().len();
    let told = match told.as_slice() {
        [] if cas == 1 => "1 CA is protected".to_owned(),
        [] => format!("{cas} CAs are protected"),
        told => told.join("; "),
    };
    let figure = oldest.map(|oldest| format!(" | age={oldest}s")).unwrap_or_default();
    // What stands behind the bar is for programs, and a message must not begin it.
    let text = format!("{word} - {}", told.replace('|', "/"));
    output.result(format!("{text}{figure}"));
    let cas: Vec<Value> = stand.iter().map(to_json).collect();
    Ok(Done { exit, result: json!({ "state": word.to_ascii_lowercase(), "text": text, "cas": cas }) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_the_line_of_a_ca_fits_80_columns() {
        let status = CaStatus {
            logs_waiting: Some(1 << 20),
            free: Some(45 << 30),
            crl_ends: Some(7_000),
            certificate_ends: Some(-1),
            next: vec![(Step::Full, 90_000), (Step::Logs, 600), (Step::Verify, 400_000), (Step::Rehearse, 0)],
            ..CaStatus::default()
        };
        let lines = wrapped(&resources(&status, 0));
        assert_eq!(
            lines,
            ["  logs waiting 1.00 MiB, free 45.00 GiB, CRL ends in 116 min", "  certificate has ended"]
        );
        assert_eq!(
            wrapped(&steps(&status, 0)),
            ["  next rehearse in 0 s, logs in 10 min, full in 25 h, verify in 4 d"]
        );
        assert!(wrapped(&resources(&CaStatus::default(), 0)).is_empty());
        assert!(wrapped(&vec!["logs in 119 min".to_owned(); 9]).iter().all(|line| line.len() <= 80));
    }
}
