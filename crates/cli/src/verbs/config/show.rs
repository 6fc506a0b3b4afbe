//! `certadm config show`: what the configuration means.

use certadm_jobs::{Config, Job, Schedule, span_text};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Done, Output, path_text};
use crate::verbs::bounded::Looks;
use crate::verbs::config::PATIENCE;

pub(super) fn show(output: Output) -> Result<Done, Failure> {
    let config = Config::load()?;
    output.result(format!("Configuration: {}", config.path.display()));
    output.result(format!("Records:       {}", config.state.display()));
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
    for job in config.jobs.values() {
        let to: Vec<String> = job.to.iter().map(ToString::to_string).collect();
        let cas: Vec<&str> = job.cas.iter().map(certadm_jobs::Name::as_str).collect();
        output.result(format!("Job {}: {} to {}", job.name, cas.join(", "), to.join(", ")));
        for (name, schedule) in schedules(job) {
            if let Some(schedule) = schedule {
                output.result(format!("  {name:9} {schedule}"));
            }
        }
        output.result(format!("  alarm when more than {} may be lost", span_text(job.limits.rpo)));
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
        "agent": {
            "listen": exposure.listen.map(|address| address.to_string()),
            "socket": behind,
            "guarded": exposure.guard.is_some(),
        },
        "cas": cas,
        "jobs": jobs,
        "notify": config.notify.keys().map(certadm_jobs::Name::as_str).collect::<Vec<_>>(),
    });
    Ok(Done::good(result))
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

fn job_to_json(job: &Job) -> Value {
    let mut value = json!({
        "name": job.name.as_str(),
        "cas": job.cas.iter().map(certadm_jobs::Name::as_str).collect::<Vec<_>>(),
        "to": job.to.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "evidence": path_text(&job.evidence),
        "notify": job.notify.iter().map(certadm_jobs::Name::as_str).collect::<Vec<_>>(),
        "limits": {
            "rpo": job.limits.rpo,
            "rto": job.limits.rto,
            "crl": job.limits.crl,
            "certificate": job.limits.certificate,
        },
        "bandwidth": job.bandwidth,
        "sha256": job.sha256,
    });
    for (name, schedule) in schedules(job) {
        value[name] = json!(schedule.map(|schedule| schedule.to_string()));
    }
    value
}
