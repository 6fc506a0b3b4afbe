//! The figures of how CAs stand in the text format of Prometheus, for the textfile collector of its node exporter.

use std::fmt::Write;

use crate::alarm::About;
use crate::status::CaStatus;

/// What is told of each CA: the name behind `certadm_`, what it means, and where it comes from.
type Figure = (&'static str, &'static str, fn(&CaStatus) -> Option<i64>);

const FIGURES: [Figure; 13] = [
    ("last_full_timestamp_seconds", "End of the newest full backup.", |ca| ca.last_full),
    ("last_logs_timestamp_seconds", "End of the newest backup of logs.", |ca| ca.last_logs),
    ("newest_state_timestamp_seconds", "The newest state that can be restored.", |ca| ca.newest_state),
    ("at_risk_seconds", "The time whose certificates would be lost now.", |ca| ca.rpo),
    ("verified_timestamp_seconds", "When a state was proven last.", |ca| ca.verified),
    ("rehearsed_timestamp_seconds", "End of the last rehearsal.", |ca| ca.rehearsed),
    ("sets", "Sets that the first place holds.", |ca| i64::try_from(ca.sets).ok()),
    ("sets_bytes", "Bytes of the files of these sets.", |ca| i64::try_from(ca.bytes).ok()),
    ("sets_unreadable", "Sets that cannot be read.", |ca| i64::try_from(ca.unreadable).ok()),
    ("logs_waiting_bytes", "Bytes of logs that wait at the CA.", |ca| i64::try_from(ca.logs_waiting?).ok()),
    ("place_free_bytes", "Bytes that are free at the first place.", |ca| i64::try_from(ca.free?).ok()),
    ("crl_end_timestamp_seconds", "End of the last CRL.", |ca| ca.crl_ends),
    ("certificate_end_timestamp_seconds", "End of the CA's own certificate.", |ca| ca.certificate_ends),
];

/// The kinds of alarms.
const ABOUT: [About; 9] = [
    About::Late,
    About::Failed,
    About::Unverified,
    About::NotProven,
    About::Incomplete,
    About::Crl,
    About::Certificate,
    About::Disk,
    About::Finding,
];

/// The metrics of these CAs. What is not known is left out.
#[must_use]
pub fn metrics(stand: &[CaStatus]) -> String {
    let mut text = String::new();
    for (name, help, figure) in FIGURES {
        let lines = stand.iter().filter_map(|status| {
            let labels = labels(status);
            figure(status).map(|value| format!("certadm_{name}{{{labels}}} {value}\n"))
        });
        gauge(&mut text, name, help, &lines.collect::<String>());
    }
    // Each kind has a line, so that an alert knows an alarm that has ended from one that is not told any more.
    let alarms = stand.iter().flat_map(|status| {
        let labels = labels(status);
        ABOUT.map(|about| {
            let is_there = status.alarms.iter().any(|alarm| alarm.about == about);
            format!("certadm_alarm{{{labels},about=\"{about}\"}} {}\n", u8::from(is_there))
        })
    });
    gauge(&mut text, "alarm", "Whether there is an alarm, by what it is about.", &alarms.collect::<String>());
    text
}

fn gauge(text: &mut String, name: &str, help: &str, lines: &str) {
    if !lines.is_empty() {
        // Writing to a string cannot fail.
        write!(text, "# HELP certadm_{name} {help}\n# TYPE certadm_{name} gauge\n{lines}").ok();
    }
}

/// Names of sections need no escapes.
fn labels(status: &CaStatus) -> String {
    format!("job=\"{}\",ca=\"{}\"", status.job, status.ca)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_is_told_once_with_a_line_a_ca() {
        let of =
            |ca: &str, rpo| CaStatus { job: "j".to_owned(), ca: ca.to_owned(), rpo, ..CaStatus::default() };
        let text = metrics(&[of("a", Some(60)), of("b", None)]);
        assert!(text.contains("certadm_at_risk_seconds{job=\"j\",ca=\"a\"} 60\n"), "{text}");
        assert!(!text.contains("certadm_at_risk_seconds{job=\"j\",ca=\"b\"}"), "{text}");
        assert_eq!(text.matches("# TYPE certadm_alarm gauge").count(), 1);
        assert_eq!(text.lines().filter(|line| line.starts_with("certadm_alarm{")).count(), 18);
        assert!(!text.contains("crl_end"), "what is not known is left out: {text}");
        assert_eq!(metrics(&[]), "");
    }
}
