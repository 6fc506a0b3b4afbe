//! The page of how CAs stand: the fleet, and each CA with its alarms, the moments that can be restored, its rehearsals and runs. It
//! has no script, and takes nothing from elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write;

use certadm_rules::markup::{escaped, head, with_code};
use certadm_rules::words::{counted, human_bytes};
use certadm_set::manifest::SetKind;

use crate::alarm::abouts;
use crate::config::Name;
use crate::held::is_past;
use crate::place::moment;
use crate::record::Outcome;
use crate::status::CaStatus;

/// What this page has beside the style of all pages: a line of time, and the colour of warnings.
const STYLE: &str = "<style>:root{--warn:#8a5300}@media(prefers-color-scheme:dark){:root{--warn:#e3b04b}}.warn{color:var(--warn)}\
    .time{position:relative;height:2.2rem;border-bottom:2px solid var(--line);margin:.5rem 0 .2rem}.time i{position:absolute;bottom:0;min-width:2px;background:var(--past);height:.9rem}\
    .time .full{background:var(--bar);height:1.8rem}.time .gap{background:var(--mark);height:.35rem}.time .proven{background:var(--good);height:.35rem;top:0;bottom:auto}\
    .ends{display:flex;justify-content:space-between;color:var(--soft);font-size:.9rem}.key.good{background:var(--good)}a{color:var(--bar)}\
    @media print{.time i{print-color-adjust:exact}a{color:inherit}}</style>";
/// Moments nearer to each other than this part of the line are drawn as one.
const SLOTS: i64 = 200;
/// The line begins so many seconds ago at the earliest.
const LONGEST: i64 = 30 * 86_400;

/// The page of these CAs, and of those that no job has.
#[must_use]
pub fn status_page(stand: &[CaStatus], unprotected: &[&Name], now: i64) -> String {
    let mut page = head("Protection of certification authorities", &moment(now), env!("CARGO_PKG_VERSION"));
    page.push_str(STYLE);
    fleet(&mut page, stand, unprotected, now);
    for (number, status) in stand.iter().enumerate() {
        section(&mut page, status, number, now);
    }
    page.push_str("</main></body></html>\n");
    page
}

/// One line a CA. Writing to a string cannot fail, here and below.
fn fleet(page: &mut String, stand: &[CaStatus], unprotected: &[&Name], now: i64) {
    let alarms = stand.iter().map(|status| status.alarms.len()).sum::<usize>();
    let (sum, class) = match (alarms, unprotected.len()) {
        (0, 0) if stand.is_empty() => ("nothing is protected".to_owned(), "bad"),
        (0, 0) => ("in order".to_owned(), "good"),
        (count, 0) => (counted(count as u64, "alarm"), "bad"),
        (0, without) => (format!("{without} without a job"), "bad"),
        (count, without) => (format!("{}, {without} without a job", counted(count as u64, "alarm")), "bad"),
    };
    write!(
        page,
        "<section><h2>All <span class=\"soft\">{}, <span class=\"{class}\">{sum}</span></span></h2><table class=\"list\">\
         <tr><th scope=\"col\">CA</th><th scope=\"col\">State</th><th scope=\"col\">Can be restored to</th>\
         <th scope=\"col\">Proven</th></tr>",
        counted((stand.len() + unprotected.len()) as u64, "CA")
    )
    .ok();
    for (number, status) in stand.iter().enumerate() {
        let (word, class) = state_of(status);
        write!(
            page,
            "<tr><td><a href=\"#ca{number}\">{}</a></td><td class=\"{class}\">{word}</td><td>{}</td><td>{}</td></tr>",
            escaped(&status.ca),
            known(status, status.newest_state, short),
            known(status, proven(status, now), short)
        )
        .ok();
    }
    for name in unprotected {
        let name = escaped(name.as_str());
        write!(page, "<tr><td>{name}</td><td class=\"bad\">no job has it</td><td>-</td><td>-</td></tr>").ok();
    }
    page.push_str("</table></section>\n");
}

/// When something was proven last. A rehearsal that has failed proves nothing, nor does what a wrong clock has dated.
fn proven(status: &CaStatus, now: i64) -> Option<i64> {
    [status.verified, status.rehearsal_proven].into_iter().flatten().filter(|time| is_past(*time, now)).max()
}

fn state_of(status: &CaStatus) -> (String, &'static str) {
    let abouts = abouts(&status.alarms);
    match status.alarms.iter().any(|alarm| alarm.about.is_grave()) {
        _ if abouts.is_empty() => ("in order".to_owned(), "good"),
        true => (abouts, "bad"),
        false => (abouts, "warn"),
    }
}

fn section(page: &mut String, status: &CaStatus, number: usize, now: i64) {
    let title = format!("{} ({})", status.ca, status.job);
    write!(page, "<section id=\"ca{number}\"><h2>{}</h2>", escaped(&title)).ok();
    time_line(page, status, now);
    page.push_str("<table class=\"facts\">");
    let mut row = |name: &str, value: &str, class: &str| {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        write!(page, "<tr><th scope=\"row\">{name}</th><td{class}>{}</td></tr>", with_code(value)).ok();
    };
    for alarm in &status.alarms {
        let class = if alarm.about.is_grave() { "bad" } else { "warn" };
        let text = format!("{}. What to do: {}.", alarm.message, alarm.remedy);
        row(&format!("Alarm: {}", alarm.about), &text, class);
    }
    if status.alarms.is_empty() {
        row("State", "in order", "good");
    }
    let holds = match status.place_seen {
        true => counted(status.sets as u64, "set"),
        false => "which could not be looked at".to_owned(),
    };
    row("Place", &format!("{}, {holds}", status.place), "");
    row("Can be restored to", &known(status, status.newest_state, when), "");
    row("Last full backup", &known(status, status.last_full, when), "");
    row("Last backup of logs", &known(status, status.last_logs, when), "");
    row("Last proof by reading back", &known(status, status.verified, when), "");
    if status.story.rehearsals.is_empty() {
        row("Last rehearsal", &when(status.rehearsed), "");
    }
    for (time, verdict, is_proven) in &status.story.rehearsals {
        let class = if *is_proven { "good" } else { "bad" };
        row("Rehearsal", &format!("{}: {verdict}", moment(*time)), class);
    }
    if let Some(complete) = &status.complete {
        row("Everything there", &format!("{} {}", complete.key(), status.missing.join(", ")), "");
    }
    for (name, bytes) in [("Logs waiting at the CA", status.logs_waiting), ("Free at the place", status.free)]
    {
        if let Some(bytes) = bytes {
            row(name, &human_bytes(bytes), "");
        }
    }
    for (name, time) in [("CRL ends", status.crl_ends), ("Certificate ends", status.certificate_ends)] {
        if time.is_some() {
            row(name, &when(time), "");
        }
    }
    for (step, time) in &status.next {
        row(&format!("Next {step}"), &moment(*time), "");
    }
    page.push_str("</table>");
    runs(page, status);
    page.push_str("</section>\n");
}

/// What can be restored to which moment, and where there is a gap: drawn, and in words.
fn time_line(page: &mut String, status: &CaStatus, now: i64) {
    let story = &status.story;
    let Some((first, _)) = story.moments.first() else { return };
    let from = (*first).max(now - LONGEST);
    let span = (now - from).max(1);
    // In hundredths of a percent, so that no rounding depends on a machine.
    let at = |time: i64| ((time - from).clamp(0, span) * 10_000) / span;
    let percent = |part: i64| format!("{}.{:02}", part / 100, part % 100);
    let gaps = counted(story.gaps.len() as u64, "gap");
    write!(
        page,
        "<div class=\"time\" role=\"img\" aria-label=\"{} that can be restored, {gaps}\">",
        counted(story.moments.len() as u64, "moment")
    )
    .ok();
    let mut slots = BTreeMap::new();
    for (time, kind) in story.moments.iter().filter(|(time, _)| from <= *time) {
        let kind_of = slots.entry(at(*time) * SLOTS / 10_000).or_insert((at(*time), *kind));
        if *kind == SetKind::Full {
            *kind_of = (at(*time), SetKind::Full);
        }
    }
    for (place, kind) in slots.values() {
        let class = if *kind == SetKind::Full { " class=\"full\"" } else { "" };
        write!(page, "<i{class} style=\"left:{}%\"></i>", percent(*place)).ok();
    }
    for (begins, ends) in story.gaps.iter().filter(|(_, ends)| from < *ends) {
        let (left, right) = (at(*begins), at(*ends));
        let style = format!("left:{}%;width:{}%", percent(left), percent(right - left));
        write!(page, "<i class=\"gap\" style=\"{style}\"></i>").ok();
    }
    for (time, ..) in story.rehearsals.iter().filter(|(time, _, is_proven)| *is_proven && from <= *time) {
        write!(page, "<i class=\"proven\" style=\"left:{}%\"></i>", percent(at(*time))).ok();
    }
    write!(page, "</div><div class=\"ends\"><span>{}</span><span>now</span></div>", short(Some(from))).ok();
    page.push_str(
        "<p class=\"soft\"><span class=\"key\"></span>full set<span class=\"key past\"></span>log set\
         <span class=\"key marked\"></span>gap<span class=\"key good\"></span>proven by a rehearsal</p>",
    );
    page.push_str("<details><summary>The moments in words</summary><table class=\"facts\">");
    let mut row = |name: &str, text: &str| {
        write!(page, "<tr><th scope=\"row\">{name}</th><td>{}</td></tr>", escaped(text)).ok();
    };
    let mut chains: Vec<(i64, i64, usize)> = Vec::new();
    for (time, kind) in &story.moments {
        match chains.last_mut().filter(|_| *kind != SetKind::Full) {
            Some(chain) => (chain.1, chain.2) = (*time, chain.2 + 1),
            None => chains.push((*time, *time, 1)),
        }
    }
    for (begins, ends, count) in chains.iter().rev().take(50) {
        row(
            "Can be restored to",
            &format!("{} until {}: {}", moment(*begins), moment(*ends), counted(*count as u64, "moment")),
        );
    }
    for (begins, ends) in story.gaps.iter().rev().take(50) {
        row("Gap", &format!("{} until {}", moment(*begins), moment(*ends)));
    }
    for (time, set) in story.damaged.iter().rev().take(50) {
        row("Damaged", &format!("the set {set} of {} was found to be damaged", moment(*time)));
    }
    for (time, set) in story.orphans.iter().rev().take(50) {
        let text = format!("the log set {set} of {} continues no state that can be restored", moment(*time));
        row("Of no use", &text);
    }
    page.push_str("</table></details>");
}

/// The last run of each step, and what was found.
fn runs(page: &mut String, status: &CaStatus) {
    let story = &status.story;
    if story.runs.is_empty() {
        return;
    }
    page.push_str("<details><summary>Runs</summary><table class=\"facts\">");
    for (step, time, outcome) in &story.runs {
        let step = escaped(step);
        let (word, class) = match outcome {
            Outcome::Good => ("good", "good"),
            Outcome::Finding => ("with findings", "warn"),
            Outcome::Failed => ("failed", "bad"),
            Outcome::Interrupted => ("interrupted", "warn"),
        };
        let when = moment(*time);
        write!(page, "<tr><th scope=\"row\">{step}</th><td class=\"{class}\">{word}, {when}</td></tr>").ok();
    }
    for (step, trouble) in &story.findings {
        let step = escaped(step);
        let remedy =
            trouble.remedy.as_ref().map(|remedy| format!(". What to do: {remedy}")).unwrap_or_default();
        let text = with_code(&format!("{}{remedy}", trouble.message));
        write!(page, "<tr><th scope=\"row\">{step}: found</th><td>{text}</td></tr>").ok();
    }
    page.push_str("</table></details>");
}

/// A time that the place tells. Where it could not be looked at, nobody knows that there is none.
fn known(status: &CaStatus, time: Option<i64>, shown: fn(Option<i64>) -> String) -> String {
    match status.place_seen || time.is_some() {
        true => shown(time),
        false => "not known".to_owned(),
    }
}

fn when(time: Option<i64>) -> String {
    time.map_or_else(|| "never".to_owned(), moment)
}

/// A moment to the minute.
fn short(time: Option<i64>) -> String {
    let text = when(time);
    match text.get(..16) {
        Some(start) => start.replace('T', " "),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use certadm_rehearsal::Proof;

    use super::*;
    use crate::alarm::{About, Alarm};
    use crate::record::Trouble;
    use crate::story::Story;

    const NOW: i64 = 1_764_331_200;

    #[test]
    fn text_from_elsewhere_stays_text() {
        let alarm = Alarm {
            about: About::Late,
            id: String::new(),
            job: "j".to_owned(),
            ca: "c".to_owned(),
            message: "<script>alert(1)</script>".to_owned(),
            remedy: "r".to_owned(),
        };
        let trouble = Trouble {
            id: String::new(),
            code: String::new(),
            kind: String::new(),
            message: "<img src=x>".to_owned(),
            remedy: Some("run `a<b`".to_owned()),
            set: crate::record::OfSet::NoSet,
        };
        let story = Story {
            orphans: vec![(NOW, "<b>".to_owned())],
            moments: vec![(NOW - 1000, SetKind::Full)],
            runs: vec![("verify".to_owned(), NOW, Outcome::Failed)],
            findings: vec![("verify".to_owned(), trouble)],
            ..Story::default()
        };
        let status = CaStatus { ca: "web".to_owned(), alarms: vec![alarm], story, ..CaStatus::default() };
        let page = status_page(&[status], &[], NOW);
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
        assert!(!page.contains("<img") && !page.contains("<b>"), "{page}");
        assert!(page.contains("<code>a&lt;b</code>") && page.contains("verify: found"), "{page}");
        assert!(page.contains("1 alarm") && page.ends_with("</html>\n"));
    }

    #[test]
    fn a_ca_that_no_job_has_is_not_in_order() {
        let sound = CaStatus { ca: "web".to_owned(), ..CaStatus::default() };
        let name: Name = "forgotten".parse().unwrap();
        for (stand, unprotected, sum) in [
            (&[sound.clone()][..], &[][..], "1 CA, <span class=\"good\">in order"),
            (&[sound], &[&name], "2 CAs, <span class=\"bad\">1 without a job"),
            (&[], &[], "0 CAs, <span class=\"bad\">nothing is protected"),
        ] {
            let page = status_page(stand, unprotected, NOW);
            assert!(page.contains(sum), "{sum}: {page}");
            assert_eq!(page.contains("<td>forgotten</td>"), !unprotected.is_empty());
        }
    }

    /// A page of a place that was away said that nothing could be restored.
    #[test]
    fn what_a_place_holds_that_was_not_looked_at_is_not_known() {
        for (place_seen, word) in [(false, "not known"), (true, "never")] {
            let page = status_page(&[CaStatus { place_seen, ..CaStatus::default() }], &[], NOW);
            let row = format!("<th scope=\"row\">Can be restored to</th><td>{word}</td>");
            assert!(page.contains(&row) && page.contains("could not be looked at") != place_seen, "{page}");
        }
    }

    #[test]
    fn what_has_failed_or_is_dated_ahead_has_proven_nothing() {
        let status = |verified: Option<i64>, rehearsed: i64, rehearsal: Proof| CaStatus {
            verified,
            rehearsed: Some(rehearsed),
            rehearsal: Some(rehearsal),
            rehearsal_proven: Some(rehearsed).filter(|_| rehearsal != Proof::NotProven),
            place_seen: true,
            ..CaStatus::default()
        };
        let earlier =
            CaStatus { rehearsal_proven: Some(NOW - 500), ..status(None, NOW - 100, Proof::NotProven) };
        for (status, expected) in [
            (status(Some(NOW - 900), NOW - 100, Proof::Proven), Some(NOW - 100)),
            (status(Some(NOW - 900), NOW - 100, Proof::ProvenExcept), Some(NOW - 100)),
            (status(Some(NOW - 900), NOW - 100, Proof::NotProven), Some(NOW - 900)),
            (status(None, NOW - 100, Proof::NotProven), None),
            (earlier, Some(NOW - 500)),
            (status(Some(NOW + 90_000), NOW - 100, Proof::Proven), Some(NOW - 100)),
        ] {
            assert_eq!(proven(&status, NOW), expected);
            let page = status_page(&[status], &[], NOW);
            assert!(page.contains(&format!("<td>{}</td></tr>", short(expected))), "{page}");
        }
    }

    #[test]
    fn what_fills_disks_is_shown_where_it_is_known() {
        let known = CaStatus { logs_waiting: Some(3 << 20), free: Some(0), ..CaStatus::default() };
        let page = |status: CaStatus| status_page(&[status], &[], NOW);
        let shown = page(known);
        assert!(shown.contains("Logs waiting at the CA</th><td>3.00 MiB</td>"), "{shown}");
        assert!(shown.contains("Free at the place</th><td>0 B</td>"), "{shown}");
        assert!(!page(CaStatus::default()).contains("Logs waiting"));
    }

    #[test]
    fn a_line_of_time_has_the_moments_the_gaps_and_the_rehearsals() {
        let day = 86_400;
        let mut moments = vec![(NOW - 10 * day, SetKind::Full)];
        moments.extend((0..500).map(|number| (NOW - 5 * day + number * 60, SetKind::Logs)));
        let story = Story {
            moments,
            gaps: vec![(NOW - 10 * day, NOW - 5 * day)],
            rehearsals: vec![(NOW - day, "PROVEN".to_owned(), true)],
            ..Story::default()
        };
        let page = status_page(&[CaStatus { ca: "web".to_owned(), story, ..CaStatus::default() }], &[], NOW);
        assert!(page.contains("501 moments that can be restored, 1 gap"), "{page}");
        assert!(page.contains("<i class=\"full\" style=\"left:0.00%\">"), "{page}");
        assert!(page.contains("<i class=\"gap\" style=\"left:0.00%;width:50.00%\">"), "{page}");
        assert!(page.contains("<i class=\"proven\" style=\"left:90.00%\">"), "{page}");
        assert!(page.matches("<i style").count() < 20, "what lies on one place is drawn once");
    }
}
