//! `certadm config show`: what the configuration means, with everything that it leaves to defaults.

use certadm_jobs::config::Notify;
use certadm_jobs::{Config, Job, Name, Schedule, span_text};
use certadm_repository::Keep;
use certadm_rules::words::human_bytes;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Done, Output, path_text};
use crate::verbs::bounded::{Looks, PATIENCE};

pub(super) fn show(output: Output) -> Result<Done, Failure> {
    let config = Config::load()?;
    output.result(format!("Configuration: {}", config.path.display()));
    output.result(format!("Records:       {}", config.state.display()));
    let waits: Vec<String> = config.retry_after.iter().map(|wait| span_text(*wait)).collect();
    let retries = if waits.is_empty() { "not".to_owned() } else { format!("after {}", waits.join(", ")) };
    output.result(format!(
        "Runs:          {} at once, {} at most, tried again {retries}",
        config.at_once,
        span_text(config.time_limit)
    ));
    let exposure = &config.exposure;
    let behind = exposure.socket.as_ref().map(|socket| path_text(&socket.path));
    let address = exposure.listen.map(|address| match exposure.guard {
        Some(_) => format!("https://{address}/, with the token"),
        None => format!("http://{address}/"),
    });
    for place in address.iter().chain(&behind) {
        output.result(format!("Agent's page:  {place}"));
    }
    let mut looks = Looks::new(PATIENCE);
    // A folder that hangs keeps nobody from reading the rest.
    let own_names = config.cas.values().map(|ca| {
        let ca = ca.clone();
        looks.at(move || ca.own_name().to_owned())
    });
    let own_names: Vec<Option<String>> = own_names.collect();
    for (ca, own_name) in config.cas.values().zip(&own_names) {
        let named = match own_name {
            Some(name) => format!("named {name} in vaults"),
            None => "which does not answer and so tells no name for vaults".to_owned(),
        };
        output.result(format!("CA {}: {}, {named}", ca.name, ca.place_text()));
    }
    config.jobs.values().for_each(|job| tell_job(job, output));
    for (name, notify) in &config.notify {
        output.result(format!("Notify {name}: {}", ways_of(notify).join(", ")));
    }
    let cas: Vec<Value> = config
        .cas
        .values()
        .zip(&own_names)
        .map(|(ca, own)| json!({ "name": ca.name.as_str(), "place": ca.place_text(), "own_name": own }))
        .collect();
    let jobs: Vec<Value> = config.jobs.values().map(job_to_json).collect();
    let result = json!({
        "path": path_text(&config.path),
        "state": path_text(&config.state),
        "at_once": config.at_once,
        "time_limit": config.time_limit,
        "retry_after": config.retry_after,
        "agent": {
            "listen": exposure.listen.map(|address| address.to_string()),
            "socket": behind,
            "guarded": exposure.guard.is_some(),
        },
        "cas": cas,
        "jobs": jobs,
        "notify": config.notify.keys().map(Name::as_str).collect::<Vec<_>>(),
    });
    Ok(Done::good(result))
}

/// A job, a line a setting.
fn tell_job(job: &Job, output: Output) {
    let to: Vec<String> = job.to.iter().map(ToString::to_string).collect();
    let cas: Vec<&str> = job.cas.iter().map(Name::as_str).collect();
    output.result(format!("Job {}: {} to {}", job.name, cas.join(", "), to.join(", ")));
    let tell = |name: &str, value: &str| output.result(format!("  {name:15} {value}"));
    for (name, schedule) in schedules(job) {
        tell(name, &schedule.map_or_else(|| "never".to_owned(), |schedule| schedule.to_string()));
    }
    let kept = job.keep.as_ref().map(|keep| {
        let rules = rules_of(keep).into_iter().filter(|(_, value)| *value != 0);
        let rules = rules.map(|(name, value)| match name {
            "within" => format!("{name} {}", span_text(value)),
            _ => format!("{name} {value}"),
        });
        format!("{}; after a full backup other sets are deleted", rules.collect::<Vec<_>>().join(", "))
    });
    tell("keep", kept.as_deref().unwrap_or("everything: no set is deleted"));
    let limits = &job.limits;
    tell("rpo", &format!("{}: alarm when more would be lost", span_text(limits.rpo)));
    let rto = limits.rto.map(|rto| format!("{}: limit for the way back in rehearsals", span_text(rto)));
    tell("rto", rto.as_deref().unwrap_or("no limit"));
    tell("crl", &format!("alarm {} before it ends", span_text(limits.crl)));
    tell("certificate", &format!("alarm {} before it ends", span_text(limits.certificate)));
    let speed = job.bandwidth.map(|bytes| format!("{}/s", human_bytes(bytes)));
    tell("bandwidth", speed.as_deref().unwrap_or("no limit"));
    tell("sha256", if job.sha256 { "true" } else { "false" });
    tell("evidence", &job.evidence.display().to_string());
    for (name, path) in
        [("scratch", &job.scratch), ("sign-key", &job.sign_key), ("allowed-signers", &job.allowed_signers)]
    {
        let path = path.as_ref().map(|path| path.display().to_string());
        let otherwise = if name == "scratch" { "the system's temporary folder" } else { "none" };
        tell(name, path.as_deref().unwrap_or(otherwise));
    }
    let told: Vec<&str> = job.notify.iter().map(Name::as_str).collect();
    tell("notify", &if told.is_empty() { "nobody".to_owned() } else { told.join(", ") });
}

/// How somebody is told. Addresses may hold tokens, and are not shown.
fn ways_of(notify: &Notify) -> Vec<String> {
    let command = notify.command.first().map(|program| format!("the command {program}"));
    let mail = notify.mail.as_ref().map(|mail| format!("mail to {}", mail.to.join(", ")));
    let others = [
        (notify.webhook.is_some(), "a webhook"),
        (notify.ping.is_some(), "a ping"),
        (notify.journal.is_some(), "the journal"),
        (notify.syslog.is_some(), "syslog"),
        (notify.event_log, "the event log"),
    ];
    let others = others.into_iter().filter(|(is_wished, _)| *is_wished).map(|(_, name)| name.to_owned());
    command.into_iter().chain(mail).chain(others).collect()
}

fn schedules(job: &Job) -> [(&'static str, Option<Schedule>); 5] {
    [
        ("full", job.full),
        ("logs", job.logs),
        ("verify", job.verify),
        ("complete", job.complete),
        ("rehearse", job.rehearse),
    ]
}

/// The rules by which sets are kept; `within` is in seconds.
fn rules_of(keep: &Keep) -> [(&'static str, i64); 6] {
    [
        ("last", i64::from(keep.last)),
        ("within", keep.within),
        ("daily", i64::from(keep.daily)),
        ("weekly", i64::from(keep.weekly)),
        ("monthly", i64::from(keep.monthly)),
        ("yearly", i64::from(keep.yearly)),
    ]
}

fn job_to_json(job: &Job) -> Value {
    let rules = |keep: &Keep| {
        let rules = rules_of(keep).map(|(name, value)| (name.to_owned(), json!(value)));
        Value::Object(rules.into_iter().collect())
    };
    let mut value = json!({
        "name": job.name.as_str(),
        "cas": job.cas.iter().map(Name::as_str).collect::<Vec<_>>(),
        "to": job.to.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "evidence": path_text(&job.evidence),
        "notify": job.notify.iter().map(Name::as_str).collect::<Vec<_>>(),
        "keep": job.keep.as_ref().map(rules),
        "limits": {
            "rpo": job.limits.rpo,
            "rto": job.limits.rto,
            "crl": job.limits.crl,
            "certificate": job.limits.certificate,
        },
        "bandwidth": job.bandwidth,
        "sha256": job.sha256,
        "scratch": job.scratch.as_deref().map(path_text),
        "sign_key": job.sign_key.as_deref().map(path_text),
        "allowed_signers": job.allowed_signers.as_deref().map(path_text),
    });
    for (name, schedule) in schedules(job) {
        value[name] = json!(schedule.map(|schedule| schedule.to_string()));
    }
    value
}
