//! The page of how CAs stand: each with its alarms, its sets, its times. It has no script, and takes nothing from elsewhere.

use std::fmt::Write;

use certadm_rules::markup::{escaped, head};
use certadm_rules::words::counted;

use crate::place::moment;
use crate::status::CaStatus;

/// The page of these CAs.
#[must_use]
pub fn status_page(stand: &[CaStatus], now: i64) -> String {
    let mut page = head("Protection of certification authorities", &moment(now), env!("CARGO_PKG_VERSION"));
    let alarms = stand.iter().map(|status| status.alarms.len()).sum::<usize>();
    let (sum, class) = match alarms {
        0 => ("in order".to_owned(), "good"),
        count => (counted(count as u64, "alarm"), "bad"),
    };
    writeln!(
        page,
        "<section><h2>In short</h2><table class=\"facts\"><tr><th scope=\"row\">CAs</th><td>{}</td></tr>\
         <tr><th scope=\"row\">State</th><td class=\"{class}\">{sum}</td></tr></table></section>",
        stand.len()
    )
    .ok();
    for status in stand {
        section(&mut page, status);
    }
    page.push_str("</main></body></html>\n");
    page
}

fn section(page: &mut String, status: &CaStatus) {
    let title = format!("{} ({})", status.ca, status.job);
    write!(page, "<section><h2>{}</h2><table class=\"facts\">", escaped(&title)).ok();
    let mut row = |name: &str, value: &str, class: &str| {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        write!(page, "<tr><th scope=\"row\">{name}</th><td{class}>{}</td></tr>", escaped(value)).ok();
    };
    let when = |time: Option<i64>| time.map_or_else(|| "never".to_owned(), moment);
    for alarm in &status.alarms {
        let class = if alarm.about.is_grave() { "bad" } else { "warn" };
        row(
            &format!("Alarm: {}", alarm.about),
            &format!("{}. What to do: {}.", alarm.message, alarm.remedy),
            class,
        );
    }
    if status.alarms.is_empty() {
        row("State", "in order", "good");
    }
    row("Place", &format!("{}, {}", status.place, counted(status.sets as u64, "set")), "");
    row("Can be restored to", &when(status.newest_state), "");
    row("Last full backup", &when(status.last_full), "");
    row("Last backup of logs", &when(status.last_logs), "");
    row("Last proof by reading back", &when(status.verified), "");
    let rehearsal = status.rehearsal.as_deref().map(|verdict| format!(": {verdict}")).unwrap_or_default();
    row("Last rehearsal", &format!("{}{rehearsal}", when(status.rehearsed)), "");
    if let Some(complete) = &status.complete {
        row("Everything there", &format!("{complete} {}", status.missing.join(", ")), "");
    }
    for (name, time) in [("CRL ends", status.crl_ends), ("Certificate ends", status.certificate_ends)] {
        if time.is_some() {
            row(name, &when(time), "");
        }
    }
    for (step, time) in &status.next {
        row(&format!("Next {step}"), &moment(*time), "");
    }
    page.push_str("</table></section>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alarm::{About, Alarm};

    #[test]
    fn text_from_elsewhere_stays_text() {
        let alarm = Alarm {
            about: About::Late,
            job: "j".to_owned(),
            ca: "c".to_owned(),
            message: "<script>alert(1)</script>".to_owned(),
            remedy: "r".to_owned(),
        };
        let status = CaStatus { ca: "web".to_owned(), alarms: vec![alarm], ..CaStatus::default() };
        let page = status_page(&[status], 1_764_331_200);
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
        assert!(page.contains("1 alarm") && page.ends_with("</html>\n"));
    }
}
