//! The figures of how CAs stand in the form of OpenMetrics, which Prometheus and the textfile collector of its node exporter
//! read. The crate `prometheus-client` writes them.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::alarm::About;
use crate::config::Name;
use crate::status::CaStatus;

/// What stands before each name.
const PREFIX: &str = "certadm";

/// What is told of each CA: the name behind `certadm_`, what it means, and where it comes from.
type Figure = (&'static str, &'static str, fn(&CaStatus) -> Option<i64>);

const FIGURES: [Figure; 13] = [
    ("last_full_timestamp_seconds", "End of the newest full backup", |ca| ca.last_full),
    ("last_logs_timestamp_seconds", "End of the newest backup of logs", |ca| ca.last_logs),
    ("newest_state_timestamp_seconds", "The newest state that can be restored", |ca| ca.newest_state),
    ("at_risk_seconds", "The time whose certificates would be lost now", |ca| ca.rpo),
    ("verified_timestamp_seconds", "When a state was proven last", |ca| ca.verified),
    ("rehearsed_timestamp_seconds", "End of the last rehearsal that was proven", |ca| ca.rehearsal_proven),
    ("sets", "Sets that the first place holds", |ca| seen(ca, ca.sets as u64)),
    ("sets_bytes", "Bytes of the files of these sets", |ca| seen(ca, ca.bytes)),
    ("sets_unreadable", "Sets that cannot be read", |ca| seen(ca, ca.unreadable as u64)),
    ("logs_waiting_bytes", "Bytes of logs that wait at the CA", |ca| i64::try_from(ca.logs_waiting?).ok()),
    ("place_free_bytes", "Bytes that are free at the first place", |ca| i64::try_from(ca.free?).ok()),
    ("crl_end_timestamp_seconds", "End of the last CRL", |ca| ca.crl_ends),
    ("certificate_end_timestamp_seconds", "End of the CA's own certificate", |ca| ca.certificate_ends),
];

/// What a place holds is known only where it could be looked at.
fn seen(ca: &CaStatus, count: u64) -> Option<i64> {
    i64::try_from(count).ok().filter(|_| ca.place_seen)
}

/// The figure with a line for each kind of alarm, so that an alert knows an alarm that has ended from one that is not told any
/// more.
const ALARM: (&str, &str) = ("alarm", "Whether there is an alarm, by what it is about");
/// The figure with a line for each CA that no job has. Nothing else is known of such a CA.
const UNPROTECTED: (&str, &str) = ("unprotected", "CAs that no job has, so that nothing protects them");
/// The figure that tells when all this was judged: one that stands still tells of an agent that does not run.
const JUDGED: (&str, &str) = ("judged_timestamp_seconds", "When the CAs were judged");

/// `job` is Prometheus's own label: it renames one of that name that a target tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCa {
    backup_job: String,
    ca: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WithoutJob {
    ca: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAlarm {
    backup_job: String,
    ca: String,
    about: String,
}

/// The names of all figures.
#[must_use]
pub fn names() -> Vec<String> {
    let names = FIGURES.iter().map(|(name, ..)| *name).chain([ALARM.0, UNPROTECTED.0, JUDGED.0]);
    names.map(|name| format!("{PREFIX}_{name}")).collect()
}

/// The metrics of these CAs, which were judged `now`, and of those that no job has. What is not known is left out.
#[must_use]
pub fn metrics(stand: &[CaStatus], unprotected: &[&Name], now: i64) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    for (name, help, figure) in FIGURES {
        let family = Family::<OfCa, Gauge>::default();
        for status in stand {
            if let Some(value) = figure(status) {
                let of = OfCa { backup_job: status.job.clone(), ca: status.ca.clone() };
                family.get_or_create(&of).set(value);
            }
        }
        registry.register(name, help, family);
    }
    let alarms = Family::<OfAlarm, Gauge>::default();
    for status in stand {
        // A CA that no job has is not among these, and has a figure of its own; the page is of no CA.
        for about in About::ALL.into_iter().filter(|about| !matches!(about, About::Unprotected | About::Page))
        {
            let is_there = status.alarms.iter().any(|alarm| alarm.about == about);
            let (backup_job, ca) = (status.job.clone(), status.ca.clone());
            let of = OfAlarm { backup_job, ca, about: about.key().to_owned() };
            alarms.get_or_create(&of).set(i64::from(is_there));
        }
    }
    registry.register(ALARM.0, ALARM.1, alarms);
    let without_job = Family::<WithoutJob, Gauge>::default();
    for name in unprotected {
        without_job.get_or_create(&WithoutJob { ca: name.as_str().to_owned() }).set(1);
    }
    registry.register(UNPROTECTED.0, UNPROTECTED.1, without_job);
    let judged: Gauge = Gauge::default();
    judged.set(now);
    registry.register(JUDGED.0, JUDGED.1, judged);
    let mut all = String::new();
    // Writing to a string cannot fail.
    text::encode(&mut all, &registry).ok();
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_figure_is_told_once_with_a_line_a_ca() {
        let of =
            |ca: &str, rpo| CaStatus { job: "j".to_owned(), ca: ca.to_owned(), rpo, ..CaStatus::default() };
        let forgotten = "forgotten".parse().unwrap();
        let text = metrics(&[of("a", Some(60)), of("b", None)], &[&forgotten], 1_000);
        assert!(text.contains("certadm_at_risk_seconds{backup_job=\"j\",ca=\"a\"} 60\n"), "{text}");
        assert!(!text.contains("certadm_at_risk_seconds{backup_job=\"j\",ca=\"b\"}"), "{text}");
        assert_eq!(text.matches("# TYPE certadm_alarm gauge").count(), 1);
        assert_eq!(text.lines().filter(|line| line.starts_with("certadm_alarm{")).count(), 18);
        assert!(text.contains("certadm_unprotected{ca=\"forgotten\"} 1\n"), "{text}");
        assert!(!metrics(&[], &[], 1_000).contains("certadm_unprotected{"), "every CA has a job");
        assert!(!text.contains("crl_end"), "what is not known is left out: {text}");
        assert!(!text.contains("certadm_sets"), "nobody has looked at the place: {text}");
        let seen = CaStatus { place_seen: true, ..of("a", None) };
        assert!(metrics(&[seen], &[], 1_000).contains("certadm_sets{backup_job=\"j\",ca=\"a\"} 0\n"));
        assert!(text.contains("certadm_judged_timestamp_seconds 1000\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    /// The names of figures in a text.
    fn named(text: &str) -> BTreeSet<String> {
        let is_name = |letter: char| letter.is_ascii_lowercase() || letter == '_';
        let words = text.split(|letter: char| !is_name(letter));
        words.filter(|word| word.starts_with("certadm_")).map(str::to_owned).collect()
    }

    #[test]
    fn dashboard_and_rules_use_the_figures_that_there_are() {
        let dist = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dist/monitoring/");
        let known: BTreeSet<String> = names().into_iter().collect();
        let mut used = BTreeSet::new();
        for file in ["certadm-dashboard.json", "certadm-alerts.yml"] {
            let text = std::fs::read_to_string(format!("{dist}{file}")).unwrap();
            let here = named(&text);
            let unknown: Vec<_> = here.difference(&known).collect();
            assert!(unknown.is_empty() && !here.is_empty(), "{file}: {unknown:?}");
            used.extend(here);
        }
        let unused: Vec<_> = known.difference(&used).collect();
        assert!(unused.is_empty(), "nobody looks at {unused:?}");
        let [dashboard, rules] = ["certadm-dashboard.json", "certadm-alerts.yml"]
            .map(|file| std::fs::read_to_string(format!("{dist}{file}")).unwrap());
        let job_of_prometheus = ["{job=", "labels.job", "{{job}}", ", job)"];
        assert!(!job_of_prometheus.iter().any(|label| dashboard.contains(label) || rules.contains(label)));
        serde_json::from_str::<serde_json::Value>(&dashboard).unwrap();
    }
}
